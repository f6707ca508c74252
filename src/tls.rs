//! TLS: the crypto provider of the process, and certificates from PEM files.
//!
//! Invariant: `ring` is the provider of everything that speaks TLS here.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file of certificates is not larger: the roots of the whole web are 250 KiB.
const MAX_FILE: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} can't be read: {source}; correct the path, or give us the right to read it", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than a file of certificates; correct the path", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} holds no certificate in PEM form; convert it with `openssl x509`", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} holds no private key in PEM form; convert it with `openssl pkey`", path.display())]
    NoKey { path: PathBuf },
    #[error("{} is damaged: certificate {number} can't be read; export it again", path.display())]
    Damaged { path: PathBuf, number: usize },
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

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests;
