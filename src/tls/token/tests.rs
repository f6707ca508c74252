use ring::rand::SystemRandom;
use serde_json::json;

use super::*;

const SECRET: &[u8] = b"a secret of thirty-two bytes or more";

/// Made by `openssl genrsa`; the private key was thrown away.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuDY5cAqSMejuzFXz+PO6
Y2jtkjZOiF3bMWiEsqcivjJuOvFHCFFu95UOz7qu4j0rtA2vfFREtRtK3gLHJB6y
fMjK4ZxbQKHgVCCPxJmmEHxj3kAmnP5aOJ7C47o6eyNFBBTA1iipagFr3hHTCp+1
rf2w3kYljiVUfGwVZWkubKI0Z9jd4vltMG6Hp82lXrH74w5oBfL0pQG2OKdK97ZR
HvNeFrZGiVfRhjI7YMswbTgB+dFXdf/TfkTKuK6FmAh9D07ARLbvxda2HfmUYBUY
Zf0KRMEwPfF7IQvHn099t4WadalPcD5OhO4YabYnMEAgrt2d3CK532WNajrCHHYl
JQIDAQAB
-----END PUBLIC KEY-----
";

/// For the audience LOTSE, up to the year 2100, signed with it.
const BY_RSA: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJMT1RTRSIsImV4cCI6NDEwMjQ0NDgwMH0.\
Xz-ZkHQbzXz0_rnDXI98pRQZ_w7ocIZRFm_5qUfAeo0x0d5IQkRhPQlgYhP2Mx2NO0tYLemjVaz4r1orqc7PNFqwXmulznNgaka3hsqJ04pvFHGWaEGnaAPci\
Bn1Oc7LHkPOBtTETykCTgQJrg9cMoOZzHjUB9d-_nKeO2onabWCzQ0KLC8fkmWInJssvN8eSB10nhlLvOpMbeSlzfR3GwDj_QZ7IXeW4bu-5ETuHF5XTRGQs\
eXkwnelzeCq7GNC0GTaJ1mG6Hv9qretHeu3pxv2CeaX_KjW55UXPziSE-kmpTj8Xa7awf-BmDcs5zcDZtYHZbky3y8dimO95J683A";

fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000).unwrap()
}

fn in_seconds(seconds: i64) -> i64 {
    1_800_000_000 + seconds
}

struct Site {
    section: TokenSection,
    _folder: tempfile::TempDir,
}

fn site(algorithm: Algorithm, key: &[u8]) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, key).unwrap();
    let section = TokenSection { algorithm, key_file, audience: None, issuer: None, subject: None };
    Site { section, _folder: folder }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn by_secret(claims: &Value) -> String {
    signed(&json!({"alg": "HS256", "typ": "JWT"}), claims)
}

fn signed(header: &Value, claims: &Value) -> String {
    let text = unsigned(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", BASE64.encode(tag))
}

fn judged(site: &Site, token: &str) -> Result<(), BadToken> {
    site.section.judge(token.as_bytes(), "LOTSE", now())
}

#[test]
fn each_algorithm_lets_in_whom_its_key_has_signed() {
    let good = json!({"aud": "LOTSE", "exp": in_seconds(60)});
    // A line break at the end belongs to the file, not to the secret.
    let secret = site(Algorithm::HS256, &[SECRET, b"\n"].concat());
    assert_eq!(judged(&secret, &by_secret(&good)), Ok(()));
    let rsa = site(Algorithm::RS256, RSA.as_bytes());
    assert_eq!(judged(&rsa, BY_RSA), Ok(()));
    let pair = rcgen::KeyPair::generate().unwrap();
    let curve = site(Algorithm::ES256, pair.public_key_pem().as_bytes());
    let (random, kind) = (SystemRandom::new(), &signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let private =
        signature::EcdsaKeyPair::from_pkcs8(kind, &pair.serialize_der(), &random).unwrap();
    let text = unsigned(&json!({"alg": "ES256"}), &good);
    let given = private.sign(&random, text.as_bytes()).unwrap();
    let token = format!("{text}.{}", BASE64.encode(given));
    assert_eq!(judged(&curve, &token), Ok(()));
    let other =
        site(Algorithm::ES256, rcgen::KeyPair::generate().unwrap().public_key_pem().as_bytes());
    assert_eq!(judged(&other, &token), Err(BadToken::Signature));
    // Whatever it says of itself, it is judged as the site says.
    assert_eq!(judged(&secret, BY_RSA), Err(BadToken::Algorithm));
    let public = site(Algorithm::HS256, RSA.as_bytes());
    assert_eq!(judged(&public, BY_RSA), Err(BadToken::Algorithm));
    assert_eq!(judged(&rsa, &by_secret(&good)), Err(BadToken::Algorithm));
}

#[test]
fn claims_are_held_against_the_clock_and_the_configuration() {
    let mut secret = site(Algorithm::HS256, SECRET);
    let until = in_seconds(60);
    let cases = [
        (json!({"aud": "LOTSE"}), Err(BadToken::Endless)),
        (json!({"aud": "LOTSE", "exp": "soon"}), Err(BadToken::Endless)),
        (json!({"aud": "LOTSE", "exp": in_seconds(-59)}), Ok(())),
        (json!({"aud": "LOTSE", "exp": in_seconds(-60)}), Err(BadToken::Expired)),
        (json!({"aud": "LOTSE", "exp": until, "nbf": in_seconds(60)}), Ok(())),
        (json!({"aud": "LOTSE", "exp": until, "nbf": in_seconds(61)}), Err(BadToken::TooEarly)),
        (json!({"aud": "LOTSE", "exp": until, "nbf": "today"}), Err(BadToken::TooEarly)),
        (json!({"aud": "LOTSE", "exp": until, "iat": in_seconds(90)}), Err(BadToken::TooEarly)),
        (json!({"aud": ["PACS", "LOTSE"], "exp": until}), Ok(())),
        (json!({"aud": ["PACS"], "exp": until}), Err(BadToken::Audience)),
        (json!({"aud": "PACS", "exp": until}), Err(BadToken::Audience)),
        (json!({"exp": until}), Err(BadToken::Audience)),
    ];
    for (claims, expected) in cases {
        assert_eq!(judged(&secret, &by_secret(&claims)), expected, "{claims}");
    }
    let section = &mut secret.section;
    (section.audience, section.issuer) = (Some("gateway".into()), Some("idp".into()));
    section.subject = Some("station".into());
    let token = |aud: &str, iss: &str, sub: &str| {
        by_secret(&json!({"aud": aud, "iss": iss, "sub": sub, "exp": until}))
    };
    assert_eq!(judged(&secret, &token("gateway", "idp", "station")), Ok(()));
    assert_eq!(judged(&secret, &token("LOTSE", "idp", "station")), Err(BadToken::Audience));
    assert_eq!(judged(&secret, &token("gateway", "other", "station")), Err(BadToken::Issuer));
    assert_eq!(judged(&secret, &token("gateway", "idp", "other")), Err(BadToken::Subject));
    let nobody = by_secret(&json!({"aud": "gateway", "exp": until}));
    assert_eq!(judged(&secret, &nobody), Err(BadToken::Issuer));
}

#[test]
fn what_was_altered_or_is_no_token_does_not_let_in() {
    let secret = site(Algorithm::HS256, SECRET);
    let claims = json!({"aud": "LOTSE", "exp": in_seconds(60)});
    let good = by_secret(&claims);
    let (text, tag) = good.rsplit_once('.').unwrap();
    let later =
        unsigned(&json!({"alg": "HS256"}), &json!({"aud": "LOTSE", "exp": in_seconds(999)}));
    assert_eq!(judged(&secret, &format!("{later}.{tag}")), Err(BadToken::Signature));
    assert_eq!(judged(&secret, &format!("{text}.")), Err(BadToken::Signature));
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "hs256"}),
        json!({"alg": ["HS256"]}),
        json!({}),
        json!({"alg": "HS256", "crit": ["exp"]}),
    ] {
        assert_eq!(
            judged(&secret, &signed(&header, &claims)),
            Err(BadToken::Algorithm),
            "{header}"
        );
    }
    let unsigned = unsigned(&json!({"alg": "none"}), &claims);
    assert_eq!(judged(&secret, &format!("{unsigned}.")), Err(BadToken::Algorithm));
    let long = by_secret(&json!({"aud": "x".repeat(LONGEST), "exp": 1}));
    for token in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "e30.e30.e30",
        "ü.e30.",
        &good[1..],
        &format!("{good}."),
        &long,
    ] {
        let told = judged(&secret, token).unwrap_err();
        assert!(
            matches!(told, BadToken::Form | BadToken::Algorithm | BadToken::Signature),
            "{told}"
        );
    }
    assert_eq!(secret.section.judge(&[0xFF, b'.', b'.'], "LOTSE", now()), Err(BadToken::Form));
    for cut in 0..good.len() {
        assert!(judged(&secret, &good[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_told() {
    let told = |algorithm, key: &[u8]| site(algorithm, key).section.read().unwrap_err().to_string();
    assert!(told(Algorithm::HS256, b"short\n").contains("less than 32 bytes"));
    assert!(told(Algorithm::RS256, SECRET).contains("no public key in PEM form"));
    assert!(told(Algorithm::ES256, RSA.as_bytes()).contains("another kind"));
    assert!(told(Algorithm::ES256, &vec![b'x'; 100_000]).contains("larger than a key"));
    let mut nowhere = site(Algorithm::HS256, SECRET);
    nowhere.section.key_file.push("no");
    assert!(nowhere.section.read().unwrap_err().to_string().contains("can't be read"));
}
