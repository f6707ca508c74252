//! What a certificate says of itself: names, dates, fingerprint.
//!
//! Foreign certificates are read here only after rustls has judged them, or to tell a person why it refused them.
//! Invariant: names are shown without control characters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Names of one certificate that are looked at; some have hundreds.
const NAMES: usize = 64;

/// Characters of a name that are shown.
const SHOWN: usize = 200;

/// SHA-256 of a certificate in DER form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Upper or lower case, with or without colons, as `openssl x509 -fingerprint -sha256` prints it too.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            "a fingerprint is `sha256:` and 64 hexadecimal digits (`openssl x509 -fingerprint -sha256`)".to_owned()
        };
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.strip_prefix("sha256:").ok_or_else(refuse)?.replace(':', "");
        let mut bytes = [0; 32];
        let mut rest = digits.as_bytes();
        for byte in &mut bytes {
            let (two, behind) = rest.split_at_checked(2).ok_or_else(refuse)?;
            let two = std::str::from_utf8(two).map_err(|_| refuse())?;
            if !two.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(refuse());
            }
            *byte = u8::from_str_radix(two, 16).map_err(|_| refuse())?;
            rest = behind;
        }
        if rest.is_empty() { Ok(Self(bytes)) } else { Err(refuse()) }
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// Whose certificate is meant: this one, or any with this name that a trusted authority signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Holder {
    Fingerprint(Fingerprint),
    /// A subject alternative name (DNS, address) or the common name, without regard to case.
    Name(String),
}

impl TryFrom<String> for Holder {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.to_ascii_lowercase().starts_with("sha256:") {
            return text.parse().map(Self::Fingerprint);
        }
        if text.trim().is_empty() {
            return Err("write a name of the certificate, or its fingerprint".to_owned());
        }
        Ok(Self::Name(text))
    }
}

impl From<Holder> for String {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Fingerprint(fingerprint) => fingerprint.to_string(),
            Holder::Name(name) => name,
        }
    }
}

/// What is shown of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// Subject alternative names and the common name.
    pub names: Vec<String>,
    pub not_before: jiff::Timestamp,
    pub not_after: jiff::Timestamp,
    pub fingerprint: Fingerprint,
    pub is_self_signed: bool,
}

impl Certificate {
    /// Reads one; `None` if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let read = x509_cert::Certificate::from_der(der).ok()?;
        let of = read.tbs_certificate();
        let common = of.subject().common_name().ok().flatten();
        let alternatives = of.get_extension::<SubjectAltName>().ok().flatten();
        let alternatives = alternatives.map(|(_, names)| names.0).unwrap_or_default();
        let names = alternatives.iter().take(NAMES).filter_map(name);
        let names = names.chain(common.as_ref().map(|name| clean(&name.value())));
        let mut unique: Vec<String> = vec![];
        for name in names {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        Some(Self {
            subject: clean(&of.subject().to_string()),
            issuer: clean(&of.issuer().to_string()),
            names: unique,
            not_before: timestamp(of.validity().not_before)?,
            not_after: timestamp(of.validity().not_after)?,
            fingerprint: Fingerprint::of(der),
            is_self_signed: of.subject() == of.issuer(),
        })
    }

    pub fn is_of(&self, holder: &Holder) -> bool {
        match holder {
            Holder::Fingerprint(fingerprint) => self.fingerprint == *fingerprint,
            Holder::Name(name) => self.names.iter().any(|own| own.eq_ignore_ascii_case(name)),
        }
    }

    /// Whole days until it ends; negative when it has ended.
    pub fn days_left(&self, now: jiff::Timestamp) -> i64 {
        self.not_after.as_second().saturating_sub(now.as_second()).div_euclid(86_400)
    }

    /// The day it ends, as a person writes it.
    pub fn end(&self) -> String {
        self.not_after.strftime("%Y-%m-%d").to_string()
    }
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(clean(name.as_str())),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
            let any = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
            any.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

pub(super) fn timestamp(at: x509_cert::time::Time) -> Option<jiff::Timestamp> {
    let seconds = i64::try_from(at.to_unix_duration().as_secs()).ok()?;
    jiff::Timestamp::from_second(seconds).ok()
}

/// Text of a stranger, fit for a terminal and a log line.
pub(super) fn clean(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect()
}
