//! JSON Web Tokens that callers show (RFC 7519, RFC 7515), judged by a key of the site.
//!
//! Three algorithms over `ring`: the libraries that do it bring either a second crypto provider or an implementation
//! of RSA with an open advisory. Invariants: the algorithm is the configured one, whatever the token says of itself;
//! nothing of a token is believed before its signature fits; one without an end is refused.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::{hmac, signature};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

/// A token is not longer; the item that carries it holds 65,535 bytes.
const LONGEST: usize = 32 << 10;

/// A key file is not larger: a public key of 16,384 bits is 3 KiB.
const LARGEST_KEY: u64 = 64 << 10;

/// Bytes of a secret: as many as the digest (RFC 7518 3.2).
const SHORTEST_SECRET: usize = 32;

/// By which the clocks of two machines may differ, in seconds.
const LEEWAY: f64 = 60.0;

/// `token` of a peer's `demands`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenSection {
    pub algorithm: Algorithm,
    /// The shared secret, or the public key in PEM form.
    pub key_file: PathBuf,
    /// Default: our AE title.
    #[serde(default)]
    pub audience: Option<String>,
    #[serde(default)]
    pub issuer: Option<String>,
    #[serde(default)]
    pub subject: Option<String>,
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: a secret that both sides know.
    HS256,
    /// RSA PKCS #1 with SHA-256.
    RS256,
    /// ECDSA over P-256 with SHA-256.
    ES256,
}

/// Why a token does not let in; nothing of its contents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("the key {0}; correct `key-file`")]
    Key(String),
    #[error("its token is no JSON Web Token")]
    Form,
    #[error("its token is not signed by the algorithm of `demands`")]
    Algorithm,
    #[error("the signature of its token does not fit the key of `demands`")]
    Signature,
    #[error("its token has no end (`exp`)")]
    Endless,
    #[error("its token has expired")]
    Expired,
    #[error("its token is not valid yet; compare the clocks")]
    TooEarly,
    #[error("its token is for another audience (`aud`)")]
    Audience,
    #[error("its token is of another issuer (`iss`)")]
    Issuer,
    #[error("its token is of another subject (`sub`)")]
    Subject,
}

enum Key {
    Secret(Zeroizing<Vec<u8>>),
    Public(Vec<u8>),
}

impl TokenSection {
    /// Whether the key can be used. Blocking.
    ///
    /// # Errors
    /// [`BadToken::Key`].
    pub fn read(&self) -> Result<(), BadToken> {
        self.key().map(drop)
    }

    /// Whether the token lets in at this time who calls `us`. Blocking.
    ///
    /// # Errors
    /// The reason, for the log.
    pub fn judge(&self, token: &[u8], us: &str, now: jiff::Timestamp) -> Result<(), BadToken> {
        let token = std::str::from_utf8(token).map_err(|_| BadToken::Form)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(BadToken::Form)?;
        if token.len() > LONGEST {
            return Err(BadToken::Form);
        }
        let header = object(header)?;
        let told = header.get("alg").and_then(Value::as_str);
        // What a critical extension changes we do not know (RFC 7515 4.1.11).
        if told != Some(self.algorithm.name()) || header.contains_key("crit") {
            return Err(BadToken::Algorithm);
        }
        let signature = BASE64.decode(signature).map_err(|_| BadToken::Form)?;
        self.verify(signed.as_bytes(), &signature)?;
        self.claims(&object(claims)?, us, now)
    }

    fn claims(
        &self,
        claims: &Map<String, Value>,
        us: &str,
        now: jiff::Timestamp,
    ) -> Result<(), BadToken> {
        let now = now.as_duration().as_secs_f64();
        let end = claims.get("exp").and_then(Value::as_f64).ok_or(BadToken::Endless)?;
        if now >= end + LEEWAY {
            return Err(BadToken::Expired);
        }
        for begin in ["nbf", "iat"].iter().filter_map(|name| claims.get(*name)) {
            // A time that is none is not passed.
            if begin.as_f64().is_none_or(|begin| now + LEEWAY < begin) {
                return Err(BadToken::TooEarly);
            }
        }
        let audience = self.audience.as_deref().unwrap_or(us);
        let is_ours = match claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if !is_ours {
            return Err(BadToken::Audience);
        }
        let says = |name: &str, wanted: &Option<String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| claims.get(name).and_then(Value::as_str) == Some(wanted))
        };
        if !says("iss", &self.issuer) {
            return Err(BadToken::Issuer);
        }
        if says("sub", &self.subject) { Ok(()) } else { Err(BadToken::Subject) }
    }

    fn verify(&self, signed: &[u8], given: &[u8]) -> Result<(), BadToken> {
        let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::HS256 | Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        };
        let fits = match self.key()? {
            Key::Secret(secret) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed, given).is_ok()
            }
            Key::Public(key) => {
                signature::UnparsedPublicKey::new(algorithm, key).verify(signed, given).is_ok()
            }
        };
        if fits { Ok(()) } else { Err(BadToken::Signature) }
    }

    fn key(&self) -> Result<Key, BadToken> {
        let fault = |what: &str| BadToken::Key(format!("{} {what}", self.key_file.display()));
        let bytes =
            read(&self.key_file).map_err(|error| fault(&format!("can't be read: {error}")))?;
        if self.algorithm == Algorithm::HS256 {
            let mut secret = bytes;
            while secret.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
                secret.pop();
            }
            if secret.len() < SHORTEST_SECRET {
                return Err(fault("holds less than 32 bytes, which can be guessed"));
            }
            return Ok(Key::Secret(secret));
        }
        let no_key = || fault("holds no public key in PEM form (`openssl pkey -pubout`)");
        let found = SubjectPublicKeyInfoDer::from_pem_slice(&bytes).map_err(|_| no_key())?;
        let found = SubjectPublicKeyInfoRef::from_der(&found).map_err(|_| no_key())?;
        let wanted = match self.algorithm {
            Algorithm::RS256 => "1.2.840.113549.1.1.1",
            Algorithm::HS256 | Algorithm::ES256 => "1.2.840.10045.2.1",
        };
        if found.algorithm.oid.to_string() != wanted {
            return Err(fault("holds a key of another kind than `algorithm` needs"));
        }
        Ok(Key::Public(found.subject_public_key.raw_bytes().to_vec()))
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
        }
    }
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    if std::fs::metadata(path)?.len() > LARGEST_KEY {
        return Err(std::io::Error::other("it is larger than a key"));
    }
    std::fs::read(path).map(Zeroizing::new)
}

fn object(part: &str) -> Result<Map<String, Value>, BadToken> {
    let bytes = BASE64.decode(part).map_err(|_| BadToken::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| BadToken::Form)
}

#[cfg(test)]
mod tests;
