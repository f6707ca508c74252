//! Certificates of a hospital that there is not: made anew for each test, with keys that nobody keeps.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SerialNumber, date_time_ymd,
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
    serial: u64,
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

    /// PEM of the list of those that are taken back; the next was to come at the begin of this year.
    pub fn revocation_list(&self, revoked: &[&Pair], next: i32) -> String {
        let revoked = revoked.iter().map(|pair| RevokedCertParams {
            serial_number: pair.serial.into(),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(next, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A certificate for `name`, `localhost` and 127.0.0.1.
    pub fn pair(&self, name: &str, valid: Valid) -> Pair {
        self.sign(name, &leaf(name, valid))
    }

    /// A certificate for `name` alone.
    pub fn pair_of_name(&self, name: &str) -> Pair {
        let mut params = leaf(name, Valid::Now);
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
        self.sign(name, &params)
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let serial = params.serial_number.as_ref().map_or(0, number);
        Pair { serial, ..keep(&self.folder, name, &certificate, &key) }
    }
}

fn number(serial: &SerialNumber) -> u64 {
    serial.to_bytes().iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
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
    static SERIAL: AtomicU64 = AtomicU64::new(1000);
    let mut params = params(name, valid);
    params.serial_number = Some(SERIAL.fetch_add(1, Ordering::Relaxed).into());
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
        serial: 0,
    };
    std::fs::write(&pair.certificate, certificate.pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}
