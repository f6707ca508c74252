//! TLS and mutual TLS with implementations that others wrote, both ways; certificates that change under load; who is
//! let in by what.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::sys::signal::Signal;

use crate::support::ca::{Authority, Pair, Valid};
use crate::support::peers::{Medium, Peer, compare, dcmtk, node, python, storescp, worklist};
use crate::support::{Daemon, Ended, Process, Setup, eventually, program, run};

/// A hospital with an authority, our certificate and that of the station.
struct House {
    _folder: tempfile::TempDir,
    ca: Authority,
    ours: Pair,
    station: Pair,
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "authority");
        let (ours, station) = (ca.pair("lotse", Valid::Now), ca.pair("station", Valid::Now));
        Self { _folder: folder, ca, ours, station }
    }

    /// `tls` of a listener.
    fn listener(&self, client: &str) -> String {
        let ca = if client == "none" {
            String::new()
        } else {
            format!("client-ca = [{:?}]\n", self.ca.file)
        };
        format!(
            "[[dicom.listeners]]\naddress = \"127.0.0.1:0\"\n[dicom.listeners.tls]\ncertificate = {:?}\n\
             key = {:?}\n{ca}client = {client:?}\n",
            self.ours.certificate, self.ours.key
        )
    }

    /// `tls` of a peer that we call, with our certificate.
    fn peer(&self) -> String {
        format!(
            "tls = {{ ca-files = [{:?}], certificate = {:?}, key = {:?} }}",
            self.ca.file, self.ours.certificate, self.ours.key
        )
    }

    /// The station's files as pynetdicom's and node's arguments.
    fn files(&self, pair: &Pair) -> [String; 3] {
        [&pair.certificate, &pair.key, &self.ca.file].map(|path| text(path).to_owned())
    }

    async fn echoscu(&self, port: u16, pair: Option<&Pair>) -> Ended {
        let port = port.to_string();
        let mut arguments =
            vec!["-v", "-aet", "STATION", "-aec", "LOTSE", "+cf", text(&self.ca.file)];
        match pair {
            Some(pair) => arguments.extend(["+tls", text(&pair.key), text(&pair.certificate)]),
            None => arguments.push("+tla"),
        }
        arguments.extend(["localhost", &port]);
        run(&mut dcmtk("echoscu", &arguments), "").await
    }

    async fn pynetdicom(&self, port: u16, pair: Option<&Pair>, more: &[&str]) -> Ended {
        let port = port.to_string();
        let mut arguments =
            vec!["scu", "--port", &port, "--ae", "STATION", "--ca", text(&self.ca.file)];
        if let Some(pair) = pair {
            arguments.extend(["--tls", text(&pair.certificate), text(&pair.key)]);
        }
        arguments.extend(more);
        run(&mut python("secure.py", &arguments), "").await
    }

    async fn dcmjs(&self, port: u16, pair: &Pair) -> Ended {
        let (port, files) = (port.to_string(), self.files(pair));
        let mut arguments = vec!["scu", port.as_str(), "STATION", "LOTSE"];
        arguments.extend(files.iter().map(String::as_str));
        run(&mut node("secure.cjs", &arguments), "").await
    }
}

/// The second listener of a daemon, which is the one with TLS.
async fn tls_port(daemon: &Daemon) -> u16 {
    eventually("the TLS listener", || {
        let log = daemon.log();
        let lines = log.lines().filter(|line| line.contains("DICOM door open"));
        let port = lines.filter_map(|line| {
            let address = line.split("address=").nth(1)?.split_whitespace().next()?;
            address.rsplit(':').next()?.parse::<u16>().ok()
        });
        let other = port.into_iter().find(|port| *port != daemon.dicom.port());
        std::future::ready(other)
    })
    .await
}

fn lines(daemon: &Daemon, words: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(words)).count()
}

async fn hang_up(daemon: &Daemon) {
    let before = lines(daemon, "configuration reloaded");
    daemon.signal(Signal::SIGHUP);
    eventually("the reload", || {
        std::future::ready((lines(daemon, "configuration reloaded") > before).then_some(()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_implementations_call_us_by_mutual_tls() {
    let house = House::new();
    let daemon = Setup::new()
        .peer("station", "STATION", 9, &["echo", "store"])
        .table(&house.listener("required"))
        .start()
        .await;
    let port = tls_port(&daemon).await;
    let pair = Some(&house.station);
    house.echoscu(port, pair).await.ok();
    house.pynetdicom(port, pair, &[]).await.ok();
    let dcmjs = house.dcmjs(port, &house.station).await;
    assert_eq!(dcmjs.code, 0, "{dcmjs:?}");

    // Without a certificate, and with one of a stranger.
    let stranger = Authority::new(&house.ca.file.with_file_name("other"), "stranger");
    let foreign = stranger.pair("station", Valid::Now);
    assert_ne!(house.echoscu(port, None).await.code, 0);
    assert_ne!(house.echoscu(port, Some(&foreign)).await.code, 0);
    assert_ne!(house.pynetdicom(port, None, &[]).await.code, 0);
    assert_ne!(house.pynetdicom(port, Some(&foreign), &[]).await.code, 0);
    assert_ne!(house.dcmjs(port, &foreign).await.code, 0);
    let expired = house.ca.pair("once", Valid::Once);
    assert_ne!(house.echoscu(port, Some(&expired)).await.code, 0);
    let log = daemon.log();
    for words in
        ["it showed no certificate", "none of the authorities", "has expired on 2021-01-01"]
    {
        assert!(log.contains(words), "{words}: {log}");
    }
    // Plain to the TLS listener, and TLS to the plain one.
    let plain = ["-aet", "STATION", "-aec", "LOTSE", "127.0.0.1", &port.to_string()];
    assert_ne!(run(&mut dcmtk("echoscu", &plain), "").await.code, 0);
    assert_ne!(house.echoscu(daemon.dicom.port(), pair).await.code, 0);
    eventually("the log to name both", || {
        let log = daemon.log();
        let both = log.contains("does not speak TLS here")
            && log.contains("speaks TLS and this port is plain");
        std::future::ready(both.then_some(()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_implementations_call_us_by_tls_alone() {
    let house = House::new();
    let daemon = Setup::new()
        .peer("station", "STATION", 9, &["echo"])
        .table(&house.listener("none"))
        .start()
        .await;
    let port = tls_port(&daemon).await;
    house.echoscu(port, None).await.ok();
    house.pynetdicom(port, None, &[]).await.ok();
    assert_eq!(house.dcmjs(port, &house.station).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn we_call_three_implementations_by_mutual_tls() {
    let house = House::new();
    let [certificate, key, ca] = house.files(&house.station);
    let stored = house.ca.file.with_file_name("stored");
    let dcmtk = storescp(&stored, &["+tls", &key, &certificate, "+cf", &ca]).await;
    let secure = ["--tls", &certificate, &key, "--ca", &ca];
    let (_pynetdicom, pynetdicom) = crate::mistakes::pynetdicom(&secure).await;
    let mut dcmjs = Peer::start(|port| {
        node("secure.cjs", &["scp", &port.to_string(), &certificate, &key, &ca])
    })
    .await;
    let peers = [("dcmtk", dcmtk.port), ("pynetdicom", pynetdicom), ("dcmjs", dcmjs.port)];
    // Titles differ, because hosts do not.
    let tables = peers.map(|(name, port)| {
        let title = name.to_uppercase();
        let title = if name == "dcmtk" { "PACS".to_owned() } else { title };
        format!(
            "[peers.{name}]\nae-title = \"{title}\"\naddress = \"localhost:{port}\"\n{}\n",
            house.peer()
        )
    });
    let site = Setup::new().table(&tables.concat()).write();
    for (name, _) in peers {
        site.cli(&["echo", name]).await.ok();
    }
    dcmjs.process.says("echoed").await;
    let mut find = Command::new(crate::support::test_env("venv/bin/python"));
    find.args(["-c", "from pydicom.data import get_testdata_file as f; print(f('CT_small.dcm'))"]);
    let file = run(&mut find, "").await.ok();
    for (name, _) in peers {
        let sent = site.cli(&["send", "--as-it-is", file.trim(), name]).await.ok();
        assert!(sent.contains("stored"), "{name}: {sent}");
    }
    dcmjs.process.says("stored").await;
    assert_eq!(std::fs::read_dir(&stored).unwrap().count(), 1);
    let told = site.cli(&["peers", "--json"]).await.json();
    for peer in told["peers"].as_array().unwrap() {
        assert_eq!(peer["steps"][2]["stage"], "tls", "{peer}");
        assert_eq!(peer["certificate"]["names"][0], "station", "{peer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_load_and_nobody_is_dropped() {
    let house = Arc::new(House::new());
    let pacs_pair = house.ca.pair("pacs", Valid::Now);
    let [certificate, key, _] = house.files(&pacs_pair);
    let (_pacs, pacs) = crate::mistakes::pynetdicom(&["--tls", &certificate, &key]).await;
    let mut daemon = Setup::new()
        .peer("station", "STATION", 9, &["echo"])
        .table(&format!(
            "[peers.pacs]\nae-title = \"PACS\"\naddress = \"localhost:{pacs}\"\n{}",
            house.peer()
        ))
        .table(&house.listener("required"))
        .start()
        .await;
    let port = tls_port(&daemon).await;
    // An association from before, which lives through all of it.
    let mut held = held(&house, port).await;

    let (stop, echoes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load = (0..3).map(|_| {
        let (house, stop, echoes) = (Arc::clone(&house), Arc::clone(&stop), Arc::clone(&echoes));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let ended = house.echoscu(port, Some(&house.station)).await;
                assert_eq!(ended.code, 0, "{ended:?}");
                echoes.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let load: Vec<_> = load.collect();
    let mut shown = vec![fingerprint(&house, port).await];
    for round in 0..5 {
        let renewed = house.ca.pair(&format!("lotse-{round}"), Valid::Now);
        // Two files can't be replaced at once: the reload comes when both are there.
        std::fs::copy(&renewed.certificate, &house.ours.certificate).unwrap();
        std::fs::copy(&renewed.key, &house.ours.key).unwrap();
        hang_up(&daemon).await;
        let now = fingerprint(&house, port).await;
        assert_eq!(now, renewed.fingerprint);
        shown.push(now);
        let before = echoes.load(Ordering::Relaxed);
        eventually("echoes after the reload", || {
            let more = echoes.load(Ordering::Relaxed) > before + 2;
            std::future::ready(more.then_some(()))
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for one in load {
        one.await.unwrap();
    }
    shown.dedup();
    assert_eq!(shown.len(), 6);

    // A pair that does not belong together changes nothing.
    let before = lines(&daemon, "not reloaded");
    std::fs::copy(&house.station.key, &house.ours.key).unwrap();
    daemon.signal(Signal::SIGHUP);
    eventually("the refusal", || {
        std::future::ready((lines(&daemon, "not reloaded") > before).then_some(()))
    })
    .await;
    assert!(daemon.log().contains("does not belong to the certificate"), "{}", daemon.log());
    assert_eq!(fingerprint(&house, port).await, shown[5]);
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.stderr.contains("does not belong to the certificate"), "{checked:?}");

    // The old association is still there.
    held.signal(Signal::SIGUSR1);
    held.says("0000").await;
    assert!(daemon.lives());
    println!("{} echoes over {} certificates", echoes.load(Ordering::Relaxed), shown.len());
}

/// An association that answers one more C-ECHO when it is signalled.
async fn held(house: &House, port: u16) -> Process {
    let [certificate, key, ca] = house.files(&house.station);
    let port = port.to_string();
    let arguments = [&port, "LOTSE", "STATION", &certificate, &key, &ca].map(|one: &str| one);
    let mut process = Process::start(&mut python("hold.py", &arguments));
    process.says("held").await;
    process
}

/// What the listener shows, by OpenSSL.
async fn fingerprint(house: &House, port: u16) -> String {
    let mut command = Command::new(program("openssl"));
    command
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile"])
        .arg(&house.ca.file);
    command.arg("-cert").arg(&house.station.certificate).arg("-key").arg(&house.station.key);
    let shown = run(&mut command, "").await;
    let begin = shown.stdout.find("-----BEGIN").unwrap_or_else(|| panic!("{shown:?}"));
    let mut command = Command::new(program("openssl"));
    command.args(["x509", "-noout", "-fingerprint", "-sha256"]);
    let told = run(&mut command, &shown.stdout[begin..]).await.ok();
    let digits = told.trim().split('=').nth(1).unwrap().replace(':', "").to_lowercase();
    format!("sha256:{digits}")
}

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
        let ended = run(&mut python("secure.py", &arguments), "").await;
        ended.stdout.trim().replace('\n', " ")
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

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_certificate_is_told_everywhere() {
    let house = House::new();
    let soon = house.ca.pair("soon", Valid::Soon);
    std::fs::copy(&soon.certificate, &house.ours.certificate).unwrap();
    std::fs::copy(&soon.key, &house.ours.key).unwrap();
    let daemon = Setup::new().table(&house.listener("required")).start().await;
    let status: serde_json::Value = daemon.cli(&["status", "--json"]).await.json();
    let all = status["certificates"].as_array().unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0]["place"], "dicom.listeners.1.tls");
    assert!((8..=10).contains(&all[0]["daysLeft"].as_i64().unwrap()), "{all:?}");
    assert!(all[0]["warning"].as_str().unwrap().contains("renew it and reload"), "{all:?}");
    assert!(all[1].get("warning").is_none(), "{all:?}");
    let shown = daemon.cli(&["status"]).await.ok();
    assert!(shown.contains("days left") && shown.contains("! dicom.listeners.1.tls"), "{shown}");
    let metrics = daemon.api.text("/metrics").await;
    let line =
        metrics.lines().find(|line| line.starts_with("lotse_certificate_remaining_seconds{"));
    let seconds: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((7 * 86_400..=10 * 86_400).contains(&seconds), "{line:?}");
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains("note: dicom.listeners.1.tls"), "{checked:?}");
    assert!(daemon.log().contains("renew it and reload"), "{}", daemon.log());

    // Once it has ended the daemon goes on, and a check says so.
    let once = house.ca.pair("once", Valid::Once);
    std::fs::copy(&once.certificate, &house.ours.certificate).unwrap();
    std::fs::copy(&once.key, &house.ours.key).unwrap();
    hang_up(&daemon).await;
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.stderr.contains("has expired on 2021-01-01"), "{checked:?}");
    let log = daemon.log();
    assert!(log.contains("has expired on 2021-01-01"), "{log}");
    let key = std::fs::read_to_string(&house.ours.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!log.contains(secret) && !checked.stderr.contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_arrives_by_mutual_tls_once_our_certificate_is_named() {
    let house = House::new();
    let [certificate, key, ca] = house.files(&house.station);
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let stored = folder.join("stored");
    let pacs = storescp(&stored, &["+tls", &key, &certificate, "+cf", &ca]).await;
    let medium = Medium::make(&folder.join("medium"), &["--studies", "1"]).await;
    worklist(&folder.join("orders"), &[]).await;
    let peer = format!(
        "[peers.pacs]\nae-title = \"PACS\"\naddress = \"localhost:{}\"\ntls = {{ ca-files = [{ca:?}] }}\n",
        pacs.port
    );
    let setup = setup.worklist_folder(&folder.join("orders")).destination_peer("pacs").table(&peer);
    let daemon = setup.start().await;
    let request = serde_json::json!({"accessionNumber": "A2026-31415"});
    let id = daemon.api.upload("medium.zip", medium.zip(), &request).await;
    let told = daemon.api.until(&id, "the missing certificate", |import| {
        let text = format!("{} {}", import["nextStep"], import["studies"]);
        text.contains("wants a certificate of ours and got none")
    });
    told.await;
    let site = Arc::clone(daemon.site());
    site.edit(|text| text.replace(&format!("tls = {{ ca-files = [{ca:?}] }}"), &house.peer()));
    hang_up(&daemon).await;
    let (code, retried) =
        daemon.api.post(&format!("/api/v1/imports/{id}/retry"), &serde_json::json!({})).await;
    assert!(code < 300, "{code} {retried}");
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], medium.images);
    compare(&medium.originals(), &stored, &["--no-validation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_comes_by_mutual_tls() {
    let (house, port) = (House::new(), crate::support::free_port());
    let listener = house
        .listener("required")
        .replace("dicom.", "hl7.")
        .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let listener = format!("[hl7]\nauthority = \"KLINIKUM\"\n{listener}");
    let daemon = Setup::new().table(&listener).start().await;
    let order = "MSH|^~\\&|KIS|H|LOTSE|H|20260102030405||ORM^O01^ORM_O01|T1|P|2.5.1|||||DEU|UNICODE UTF-8\r\
                 PID|1||PHANTOM-7^^^KLINIKUM||PHANTOM^SECURE||19700101|F\r\
                 ORC|NW|P7|F7\rOBR|1|P7|F7|CT^CT||||||||||||||A2026-777||||||CT||||||||||||20260102";
    let orders = serde_json::json!([order]).to_string();
    let send = async |pair: Option<&Pair>| {
        let mut arguments = vec![port.to_string()];
        arguments.extend(pair.map(|pair| house.files(pair)).into_iter().flatten());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        run(&mut python("hl7_send.py", &arguments), &orders).await
    };
    let told = send(Some(&house.station)).await.ok();
    assert!(told.contains("\"verdict\": \"AA\""), "{told}");
    assert_ne!(send(Some(&house.ca.pair("once", Valid::Once))).await.code, 0);
    assert_ne!(send(None).await.code, 0);
    eventually("the log to name both", || {
        let log = daemon.log();
        let both = log.contains("HL7 sender turned away: TLS: its certificate has expired")
            && log.contains("HL7 sender turned away: TLS: the other side does not speak TLS here");
        std::future::ready(both.then_some(()))
    })
    .await;
    let status = daemon.cli(&["status", "--json"]).await.json();
    assert_eq!(status["certificates"][0]["place"], "hl7.listeners.0.tls");
}
