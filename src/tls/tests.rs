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
