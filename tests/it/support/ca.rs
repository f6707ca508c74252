//! Certificates of a hospital that there is not: made anew for each test, with keys that nobody keeps.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// An authority with its folder of files.
pub struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// PEM of its certificate.
    pub file: PathBuf,
}

/// A certificate and its key as files.
#[derive(Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// `sha256:…`
    pub fingerprint: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    Now,
    /// It ended in 2021.
    Once,
    /// From 2090 on.
    Later,
    /// It ends in ten days.
    Soon,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut params = params(name, Valid::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { folder: folder.to_owned(), issuer, file }
    }

    /// A certificate for `name`, `localhost` and 127.0.0.1.
    pub fn pair(&self, name: &str, valid: Valid) -> Pair {
        let (params, key) = (leaf(name, valid), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        keep(&self.folder, name, &certificate, &key)
    }

    /// A certificate for `name` alone.
    pub fn pair_of_name(&self, name: &str) -> Pair {
        let mut params = leaf(name, Valid::Now);
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        keep(&self.folder, name, &certificate, &key)
    }
}

/// A certificate that signed itself.
pub fn self_signed(folder: &Path, name: &str) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf(name, Valid::Now).self_signed(&key).unwrap();
    keep(folder, name, &certificate, &key)
}

fn params(name: &str, valid: Valid) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = match valid {
        Valid::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1)),
        Valid::Once => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        Valid::Later => (date_time_ymd(2090, 1, 1), date_time_ymd(2120, 1, 1)),
        Valid::Soon => {
            let day = jiff::Zoned::now().checked_add(jiff::Span::new().days(10)).unwrap();
            let (month, of_month) = (day.month().unsigned_abs(), day.day().unsigned_abs());
            let end = date_time_ymd(i32::from(day.year()), month, of_month);
            (date_time_ymd(2020, 1, 1), end)
        }
    };
    params
}

fn leaf(name: &str, valid: Valid) -> CertificateParams {
    let mut params = params(name, valid);
    let localhost = rcgen::SanType::DnsName("localhost".try_into().unwrap());
    let own = rcgen::SanType::DnsName(name.try_into().unwrap());
    let address = rcgen::SanType::IpAddress([127, 0, 0, 1].into());
    params.subject_alt_names = vec![own, localhost, address];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn keep(folder: &Path, name: &str, certificate: &rcgen::Certificate, key: &KeyPair) -> Pair {
    let pair = Pair {
        certificate: folder.join(format!("{name}.crt")),
        key: folder.join(format!("{name}.key")),
        fingerprint: lotse::tls::Fingerprint::of(certificate.der()).to_string(),
    };
    std::fs::write(&pair.certificate, certificate.pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}
