//! What the client trusts: the public certificate authorities, and one of the site's own if it has one.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::Error;

/// TLS 1.2 and 1.3 with the roots of the web, and those in `ca_file`.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let fault =
            |reason: &str| Error::CaFile { path: path.to_owned(), reason: reason.to_owned() };
        let certificates = CertificateDer::pem_file_iter(path)
            .map_err(|_| fault("cannot be read"))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| fault("is not a PEM file of certificates"))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(fault("holds no certificate"));
        }
    }
    config(roots)
}

/// For a client that never speaks TLS; reqwest wants a configuration all the same.
pub(super) fn no_tls() -> Result<ClientConfig, Error> {
    config(RootCertStore::empty())
}

fn config(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
