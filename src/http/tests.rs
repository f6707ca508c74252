use super::*;

fn section(toml: &str) -> Result<HttpSection, toml::de::Error> {
    toml::from_str(toml)
}

#[test]
fn the_section_has_the_keys_of_the_contract() {
    let default = section("").unwrap();
    assert_eq!(default, section("listen = \"127.0.0.1:8080\"").unwrap());
    assert!(default.faults().is_empty());
    let named = section("listen = \"[::1]:80\"\nname = \"lotse.example.org\"").unwrap();
    assert!(named.faults().is_empty());
    assert!(section("listne = \"127.0.0.1:8080\"").is_err());
    assert!(section("listen = \"localhost\"").is_err());
}

#[test]
fn an_address_that_others_reach_is_refused_with_the_reason() {
    for listen in ["0.0.0.0:8080", "192.168.1.5:8080", "[::]:8080", "[fe80::1]:80"] {
        let faults = section(&format!("listen = \"{listen}\"")).unwrap().faults();
        assert!(matches!(faults.as_slice(), [Error::NotLoopback { .. }]), "{listen}");
        let text = faults[0].to_string();
        assert!(text.contains("TLS and accounts"), "{text}");
    }
}

#[test]
fn a_name_is_a_host_name() {
    for name in ["", "https://x.example", "x.example:8080", "a b", "x/y"] {
        let faults = section(&format!("name = \"{name}\"")).unwrap().faults();
        assert!(matches!(faults.as_slice(), [Error::Name]), "{name}");
    }
}

#[test]
fn tls_needs_no_certificate_of_browsers_unless_an_authority_is_named() {
    let tls = |more: &str| {
        let text = format!("[tls]\ncertificate = \"c\"\nkey = \"k\"\n{more}");
        section(&text).unwrap()
    };
    let client = |more: &str| tls(more).tls.unwrap().listener().client;
    assert_eq!(client(""), crate::tls::Client::None);
    assert_eq!(client("client-ca = [\"a\"]"), crate::tls::Client::Required);
    assert_eq!(client("client-ca = [\"a\"]\nclient = \"optional\""), crate::tls::Client::Optional);
    assert!(tls("").faults().is_empty());
    assert!(tls("client-ca = [\"a\"]\nclient-crl = [\"l\"]").faults().is_empty());
    for wrong in ["client = \"required\"", "client-ca = [\"a\"]\nclient = \"none\""] {
        assert!(matches!(tls(wrong).faults().as_slice(), [Error::Tls(_)]), "{wrong}");
    }
    // TLS alone does not open it to others.
    let mut wide = tls("");
    wide.listen = "0.0.0.0:443".parse().unwrap();
    assert!(matches!(wide.faults().as_slice(), [Error::NotLoopback { .. }]));
}
