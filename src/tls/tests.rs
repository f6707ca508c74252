use super::*;

/// Self-signed for test.invalid, made with openssl; its key was thrown away.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBhTCCASugAwIBAgIUYN+habZARskZvVi7rqiFP+1QOcswCgYIKoZIzj0EAwIw\n\
FzEVMBMGA1UEAwwMdGVzdC5pbnZhbGlkMCAXDTI2MTEyMjE0MjE1OFoYDzIxMjYx\n\
MDI5MTQyMTU4WjAXMRUwEwYDVQQDDAx0ZXN0LmludmFsaWQwWTATBgcqhkjOPQIB\n\
BggqhkjOPQMBBwNCAASNEJZd2PjssRsgFMrxTc8NaSFZXbzZG2IcwUVEuTZQ4a1G\n\
RC+c30RCd5cxcDuswGlgf1qv5BnuUTCL3oJ93tS6o1MwUTAdBgNVHQ4EFgQUZrBa\n\
3xcHN9V+vN4c2gog5u3KP34wHwYDVR0jBBgwFoAUZrBa3xcHN9V+vN4c2gog5u3K\n\
P34wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBhq1pTdjaCutZk\n\
dALQebXWjWd/2VyOHdqQT+2B4LfmiAIhAPabwnir+rIUAi6s4+46SgMi0g0HpxQZ\n\
fYzBfeLVFSXZ\n\
-----END CERTIFICATE-----\n\
";

fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn certificates_are_read() {
    let two = file(format!("a comment\n{CERTIFICATE}{CERTIFICATE}").as_bytes());
    assert_eq!(certificates(two.path()).unwrap().len(), 2);
    assert_eq!(roots(two.path()).unwrap().len(), 2);
}

#[test]
fn what_is_no_certificate_is_refused() {
    for text in ["", "hello", "-----BEGIN CERTIFICATE-----\n"] {
        let file = file(text.as_bytes());
        assert!(certificates(file.path()).is_err(), "{text}");
        assert!(matches!(private_key(file.path()), Err(Error::NoKey { .. })));
    }
    let not_der = file(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(matches!(roots(not_der.path()), Err(Error::Damaged { number: 1, .. })));
    let huge = file(&vec![b'a'; 5 << 20]);
    assert!(matches!(certificates(huge.path()), Err(Error::TooLarge { .. })));
    let error = certificates(Path::new("/nowhere/roots.pem")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/roots.pem"));
}

#[test]
fn the_provider_is_installed_once() {
    install_provider();
    install_provider();
    assert!(rustls::crypto::CryptoProvider::get_default().is_some());
}

#[test]
fn a_certificate_tells_of_itself() {
    let file = file(CERTIFICATE.as_bytes());
    let der = &certificates(file.path()).unwrap()[0];
    let read = Certificate::read(der).unwrap();
    assert_eq!(read.subject, "CN=test.invalid");
    assert_eq!(read.names, ["test.invalid"]);
    assert!(read.is_self_signed);
    assert_eq!(read.end(), "2126-10-29");
    assert_eq!(read.days_left(read.not_after), 0);
    let day = jiff::SignedDuration::from_hours(24);
    assert_eq!(read.days_left(read.not_after.checked_sub(day).unwrap()), 1);
    assert_eq!(read.days_left(read.not_after.checked_add(day).unwrap()), -1);
    assert!(read.is_of(&Holder::Name("TEST.invalid".to_owned())));
    assert!(!read.is_of(&Holder::Name("invalid".to_owned())));
    let fingerprint: Fingerprint = read.fingerprint.to_string().parse().unwrap();
    assert!(read.is_of(&Holder::Fingerprint(fingerprint)));
}

#[test]
fn bytes_that_are_no_certificate_are_none() {
    let file = file(CERTIFICATE.as_bytes());
    let der = certificates(file.path()).unwrap()[0].to_vec();
    for cut in 0..der.len() {
        assert!(Certificate::read(&der[..cut]).is_none(), "{cut}");
    }
    for at in 0..der.len() {
        let mut broken = der.clone();
        broken[at] ^= 0xff;
        // Whatever comes of it, it comes without a panic and without a control character.
        if let Some(read) = Certificate::read(&broken) {
            assert!(!read.subject.chars().any(char::is_control));
        }
    }
}

#[test]
fn fingerprints_are_read_as_openssl_prints_them() {
    let hex = "ab".repeat(32);
    let plain: Fingerprint = format!("sha256:{hex}").parse().unwrap();
    let colons = vec!["AB"; 32].join(":");
    assert_eq!(plain, format!("SHA256:{colons}").parse().unwrap());
    for wrong in [
        "",
        "sha256:",
        &hex,
        &format!("sha256:{}", "ab".repeat(31)),
        &format!("sha256:{}", "ab".repeat(33)),
        &format!("sha256:{}", "zz".repeat(32)),
        &format!("sha256:{}", "+a".repeat(32)),
        &format!("sha256:{}é", "ab".repeat(31)),
    ] {
        assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
    }
}

#[test]
fn sections_that_contradict_themselves_are_refused() {
    let server = |text: &str| toml::from_str::<ServerSection>(text).unwrap().check();
    let pair = "certificate = \"c\"\nkey = \"k\"\n";
    assert!(server(&format!("{pair}client-ca = [\"a\"]")).is_ok());
    assert!(server(&format!("{pair}client = \"none\"")).is_ok());
    assert!(server(pair).is_err());
    assert!(server(&format!("{pair}client = \"optional\"")).is_err());
    assert!(server(&format!("{pair}client = \"none\"\nclient-ca = [\"a\"]")).is_err());
    assert!(server(&format!("{pair}client-ca = [\"a\"]\nclient-crl = [\"l\"]")).is_ok());
    assert!(server(&format!("{pair}client = \"none\"\nclient-crl = [\"l\"]")).is_err());
    let client = |text: &str| toml::from_str::<ClientSection>(text).unwrap().check();
    let own = format!("fingerprints = [\"sha256:{}\"]", "00".repeat(32));
    assert!(client("ca-files = [\"a\"]").is_ok());
    assert!(client(&own).is_ok());
    assert!(client(&format!("{own}\n{pair}")).is_ok());
    assert!(client("").is_err());
    assert!(client("ca-files = [\"a\"]\ncrl-files = [\"l\"]").is_ok());
    assert!(client(&format!("{own}\ncrl-files = [\"l\"]")).is_err());
    assert!(client(&format!("{own}\nca-files = [\"a\"]")).is_err());
    assert!(client("ca-files = [\"a\"]\ncertificate = \"c\"").is_err());
}

#[test]
fn the_end_of_certificates_is_warned_of_in_time() {
    let file = file(CERTIFICATE.as_bytes());
    let of_file = expiry::read_all([file.path().to_owned()].iter(), &[]);
    let ends = of_file[0].1[0].end;
    let expiries = Expiries::default();
    expiries.set(vec![("peers.pacs.tls".to_owned(), of_file)]);
    let days = |days: i64| {
        let span = jiff::SignedDuration::from_hours(24 * days);
        expiries.all(ends.checked_sub(span).unwrap()).remove(0)
    };
    assert!(days(31).warning.is_none());
    assert!(days(30).warning.unwrap().contains("in 30 days"));
    let ended = days(-1);
    assert!(ended.warning.unwrap().contains("has expired on 2126-10-29"));
    assert_eq!(ended.days_left, -1);
}

/// Lists of an authority: until 2024 and until 2099.
fn lists() -> [rcgen::CertificateRevocationList; 2] {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority\n");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    [2024, 2099].map(|year| {
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(year, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&issuer).unwrap()
    })
}

#[test]
fn revocation_lists_are_read_in_both_forms_and_told_when_they_are_old() {
    let [old, new] = lists();
    let pem = file(format!("{}{}", old.pem().unwrap(), new.pem().unwrap()).as_bytes());
    let der = file(new.der());
    let paths = [pem.path().to_owned(), der.path().to_owned()];
    assert_eq!(revocation::all(&paths).unwrap().len(), 3);
    let expiries = Expiries::default();
    expiries.set(vec![("peers.pacs.tls".to_owned(), expiry::read_all([].iter(), &paths))]);
    let all = expiries.all("2026-01-01T00:00:00Z".parse().unwrap());
    let warned: Vec<_> = all.iter().map(|one| one.warning.is_some()).collect();
    assert_eq!(warned, [true, false, false]);
    let told = all[0].warning.as_deref().unwrap();
    assert!(
        told.contains("\"CN=authority") && told.contains("out of date since 2024-01-01"),
        "{told}"
    );
    assert!(!told.contains(char::is_control), "{told}");
    assert_eq!(all[0].kind, Ends::RevocationList);
}

#[test]
fn what_is_no_revocation_list_is_refused() {
    let of = |bytes: &[u8]| {
        let file = file(bytes);
        revocation::all(&[file.path().to_owned()])
    };
    for text in ["", "hello", CERTIFICATE, "0"] {
        assert!(of(text.as_bytes()).is_err(), "{text}");
    }
    let [_, list] = lists();
    let der = list.der().to_vec();
    for cut in 1..der.len() {
        assert!(of(&der[..cut]).is_err(), "{cut}");
    }
    for at in 0..der.len() {
        let mut broken = der.clone();
        broken[at] ^= 0xff;
        // Whatever comes of it, it comes without a panic.
        let _ = of(&broken);
    }
}
