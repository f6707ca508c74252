//! Who is let in by what.

use super::{House, text, tls_port};
use crate::support::ca::{Pair, Valid};
use crate::support::peers::python;
use crate::support::{Setup, run};

const SHARED: &str = "a secret of thirty-two bytes or more";

/// A JSON Web Token, signed with [`SHARED`].
fn token(audience: &str, until: i64) -> String {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    let claims = serde_json::json!({"aud": audience, "iss": "idp", "exp": until});
    let (header, claims) = (BASE64.encode(r#"{"alg":"HS256"}"#), BASE64.encode(claims.to_string()));
    let text = format!("{header}.{claims}");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SHARED.as_bytes());
    format!("{text}.{}", BASE64.encode(ring::hmac::sign(&key, text.as_bytes())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_an_address_and_a_user_let_in() {
    let house = House::new();
    let other = house.ca.pair("other", Valid::Now);
    let secret = house.ca.file.with_file_name("secret");
    std::fs::write(&secret, "right horse\n").unwrap();
    let shared = house.ca.file.with_file_name("shared");
    std::fs::write(&shared, SHARED).unwrap();
    let peer = |name: &str, title: &str, lines: &str| {
        format!(
            "[peers.{name}]\nae-title = \"{title}\"\naddress = \"127.0.0.1:9\"\nmay = [\"echo\"]\n{lines}\n"
        )
    };
    let tables = [
        peer("station", "STATION", "certificates = [\"STATION\"]"),
        peer("pinned", "PINNED", &format!("certificates = [{:?}]", other.fingerprint)),
        peer("far", "FAR", "networks = [\"192.0.2.0/24\", \"2001:db8::/32\"]"),
        peer("near", "NEAR", "networks = [\"192.0.2.0/24\", \"127.0.0.0/8\"]"),
        peer("named", "NAMED", "").replace("127.0.0.1:9", "localhost:9"),
        peer("moved", "MOVED", "").replace("127.0.0.1:9", "192.0.2.7:9"),
        peer(
            "user",
            "USER",
            &format!("demands = {{ user = \"gate\", password-file = {secret:?} }}"),
        ),
        peer(
            "bearer",
            "BEARER",
            &format!(
                "demands = {{ token = {{ algorithm = \"HS256\", key-file = {shared:?}, issuer = \"idp\" }} }}"
            ),
        ),
    ];
    let daemon =
        Setup::new().table(&tables.concat()).table(&house.listener("optional")).start().await;
    let (plain, port) = (daemon.dicom.port(), tls_port(&daemon).await);
    let ask = async |title: &str, port: u16, pair: Option<&Pair>, more: &[&str]| {
        let port = port.to_string();
        let mut arguments = vec!["scu", "--port", &port, "--ae", title];
        if port != plain.to_string() {
            arguments.extend(["--ca", text(&house.ca.file)]);
        }
        if let Some(pair) = pair {
            arguments.extend(["--tls", text(&pair.certificate), text(&pair.key)]);
        }
        arguments.extend(more);
        // pynetdicom sometimes sees the connection close before it has read why it was turned away.
        for _ in 0..3 {
            let ended = run(&mut python("secure.py", &arguments), "").await;
            let told = ended.stdout.trim().replace('\n', " ");
            if told != "not established" {
                return told;
            }
        }
        "not established".to_owned()
    };
    let no_reason = "rejected: result 1 source 1 reason 1";
    let calling_unknown = "rejected: result 1 source 1 reason 3";
    let called_unknown = "rejected: result 1 source 1 reason 7";
    // By certificate.
    assert_eq!(ask("STATION", port, Some(&house.station), &[]).await, "0000");
    assert_eq!(ask("STATION", port, Some(&other), &[]).await, no_reason);
    assert_eq!(ask("STATION", port, None, &[]).await, no_reason);
    assert_eq!(ask("STATION", plain, None, &[]).await, no_reason);
    assert_eq!(ask("PINNED", port, Some(&other), &[]).await, "0000");
    assert_eq!(ask("PINNED", port, Some(&house.station), &[]).await, no_reason);
    // By address.
    assert_eq!(ask("NEAR", plain, None, &[]).await, "0000");
    assert_eq!(ask("NAMED", plain, None, &[]).await, "0000");
    assert_eq!(ask("FAR", plain, None, &[]).await, calling_unknown);
    assert_eq!(ask("MOVED", plain, None, &[]).await, calling_unknown);
    assert_eq!(ask("NOBODY", plain, None, &[]).await, calling_unknown);
    assert_eq!(ask("NEAR", plain, None, &["--called", "OTHER"]).await, called_unknown);
    // By user.
    let user = ["--user", "gate", "--password", "right horse"];
    let known = ask("USER", plain, None, &user).await;
    assert!(known.starts_with("0000"), "{known}");
    assert_eq!(ask("USER", plain, None, &[]).await, no_reason);
    assert_eq!(ask("USER", plain, None, &["--user", "gate"]).await, no_reason);
    assert_eq!(
        ask("USER", plain, None, &["--user", "gate", "--password", "crooked nail"]).await,
        no_reason
    );
    assert_eq!(ask("USER", plain, None, &["--token", "right horse"]).await, no_reason);
    // By token.
    let seconds = jiff::Timestamp::now().as_second();
    let good = token("LOTSE", seconds + 600);
    let known = ask("BEARER", plain, None, &["--token", &good]).await;
    assert!(known.starts_with("0000"), "{known}");
    let bad = [token("PACS", seconds + 600), token("LOTSE", seconds - 600), format!("{good}x")];
    for token in &bad {
        assert_eq!(ask("BEARER", plain, None, &["--token", token]).await, no_reason);
    }
    assert_eq!(ask("BEARER", plain, None, &user).await, no_reason);
    let log = daemon.log();
    for words in [
        "`networks`",
        "its certificate is none of",
        "has to show a certificate",
        "its user identity is not",
        "for another audience",
        "its token has expired",
        "signature of its token does not fit",
        "it shows no JSON Web Token",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    assert!(
        !log.contains("right horse") && !log.contains("crooked") && !log.contains("eyJ"),
        "{log}"
    );
}
