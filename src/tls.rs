//! TLS: the crypto provider of the process, certificates from PEM files, and both ends of a connection.
//!
//! What is negotiated follows the BCP 195 profile of PS3.15 B.12: TLS 1.2 with ECDHE and AEAD, or 1.3; nothing else
//! is compiled in. Invariants: `ring` is the provider of everything that speaks TLS here; a key is read from a file
//! and shown nowhere; who is not to be trusted is never talked to.

mod certificate;
mod dial;
mod expiry;
mod fault;
mod listen;
mod revocation;
mod section;
mod token;

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use certificate::{Certificate, Fingerprint, Holder};
pub use dial::{ClientStream, Dialer, Seen, agreed, is_spoken};
pub use expiry::{Ends, Expiries, Expiry, Files};
pub use fault::{Fault, of_io};
pub use listen::{Acceptor, ServerStream, Transport};
pub use section::{Client, ClientSection, ServerSection};
pub use token::{Algorithm, BadToken, TokenSection};

/// A file of certificates is not larger: the roots of the whole web are 250 KiB.
const MAX_FILE: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} can't be read: {source}; correct the path, or give us the right to read it", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than such a file is; correct the path", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} holds no certificate in PEM form; convert it with `openssl x509`", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} holds no private key in PEM form; convert it with `openssl pkey`", path.display())]
    NoKey { path: PathBuf },
    #[error("{} is damaged: certificate {number} can't be read; export it again", path.display())]
    Damaged { path: PathBuf, number: usize },
    #[error("the key {} does not belong to the certificate {}; name the pair", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("the key {} can't be used: {reason}; use RSA of 2048 bits or more, P-256, P-384 or Ed25519", key.display())]
    Key { key: PathBuf, reason: String },
    #[error("{} holds no revocation list in PEM or DER form; fetch it from its authority again", path.display())]
    NoList { path: PathBuf },
    #[error("{} is damaged: revocation list {number} can't be read; fetch it from its authority again", path.display())]
    DamagedList { path: PathBuf, number: usize },
    #[error("{0}")]
    Section(&'static str),
    #[error("TLS can't be set up: {0}")]
    Setup(String),
}

/// Makes `ring` the provider of the process. Calling it again does nothing.
pub fn install_provider() {
    // It fails if there is one already, which is ours.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The certificates of a PEM file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let mut certificates = Vec::new();
    for (found, number) in CertificateDer::pem_slice_iter(&bytes).zip(1..) {
        let damaged = |_| Error::Damaged { path: path.to_owned(), number };
        certificates.push(found.map_err(damaged)?);
    }
    if certificates.is_empty() {
        return Err(Error::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// The certificates of a PEM file as roots to trust, and no others.
pub fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for (certificate, number) in certificates(path)?.into_iter().zip(1..) {
        let damaged = |_| Error::Damaged { path: path.to_owned(), number };
        roots.add(certificate).map_err(damaged)?;
    }
    Ok(roots)
}

/// The first private key of a PEM file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| Error::NoKey { path: path.to_owned() })
}

/// Trusts all of these files together.
fn all_roots(paths: &[PathBuf]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        roots.roots.extend(self::roots(path)?.roots);
    }
    Ok(roots)
}

/// What is negotiated, the newest first.
pub const VERSIONS: [&str; 2] = ["TLS 1.3", "TLS 1.2"];

/// The cipher suites, in our order.
pub fn cipher_suites() -> Vec<&'static str> {
    let suites = provider().cipher_suites.clone();
    suites.iter().filter_map(|suite| suite.suite().as_str()).collect()
}

fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate with its chain and key, proven to belong together.
fn pair(certificate: &Path, key: &Path) -> Result<rustls::sign::CertifiedKey, Error> {
    use rustls::InconsistentKeys::KeyMismatch;
    let chain = certificates(certificate)?;
    let paired = rustls::sign::CertifiedKey::from_der(chain, private_key(key)?, &provider());
    paired.map_err(|error| match error {
        rustls::Error::InconsistentKeys(KeyMismatch) => {
            Error::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        error => Error::Key { key: key.to_owned(), reason: error.to_string() },
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_up_to(path, MAX_FILE)
}

fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > limit {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests;
