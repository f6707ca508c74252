//! The called end: what a listener's `tls` makes of a TCP connection.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{Certificate, Client, Error, Fault, ServerSection, fault};

/// A connection of a caller.
pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;

/// What one listener shows and demands. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    section: ServerSection,
    config: Arc<ServerConfig>,
}

impl Acceptor {
    /// Reads the files. Blocking.
    ///
    /// # Errors
    /// If one can't be read, or they do not belong together.
    pub fn load(section: &ServerSection) -> Result<Self, Error> {
        section.check()?;
        let setup = |error: String| Error::Setup(error);
        let provider = super::provider();
        let verifier = match section.client {
            Client::None => Arc::new(NoClientAuth) as _,
            Client::Required | Client::Optional => {
                let roots = Arc::new(super::all_roots(&section.client_ca)?);
                let builder =
                    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                        .with_crls(super::revocation::all(&section.client_crl)?);
                let builder = match section.client {
                    Client::Optional => builder.allow_unauthenticated(),
                    Client::Required | Client::None => builder,
                };
                builder.build().map_err(|error| setup(error.to_string()))?
            }
        };
        let pair = super::pair(&section.certificate, &section.key)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        // All are strong; ours are in the order of their strength.
        config.ignore_client_order = true;
        Ok(Self { section: section.clone(), config: Arc::new(config) })
    }

    /// Shakes hands within `patience`; gives the caller's certificate too, if it showed one that is good.
    ///
    /// # Errors
    /// A [`Fault`] that names the likely cause.
    pub async fn accept(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> Result<(ServerStream, Option<Certificate>), Fault> {
        let shaking = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let stream = match timeout(patience, shaking).await {
            Err(_) => return Err(Fault::TimedOut),
            Ok(Err(error)) => {
                return Err(fault::of_io(&error).unwrap_or(Fault::Closed));
            }
            Ok(Ok(stream)) => stream,
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = match shown {
            Some(der) => {
                let unreadable = || Fault::BadCertificate("it can't be read".to_owned());
                Some(Certificate::read(der).ok_or_else(unreadable)?)
            }
            None => None,
        };
        Ok((stream, certificate))
    }

    /// Our certificates, those of the authorities and their lists, with their files. Blocking.
    pub fn certificates(&self) -> super::Files {
        let own = std::iter::once(&self.section.certificate);
        let certificates = own.chain(&self.section.client_ca);
        super::expiry::read_all(certificates, &self.section.client_crl)
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Acceptor").field(&self.section).finish()
    }
}

/// TLS of one listener, if it has any; changes with a reload, from the next connection on.
#[derive(Clone, Debug, Default)]
pub struct Transport(Arc<RwLock<Option<Acceptor>>>);

impl Transport {
    pub fn new(acceptor: Option<Acceptor>) -> Self {
        Self(Arc::new(RwLock::new(acceptor)))
    }

    pub fn set(&self, acceptor: Option<Acceptor>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }

    pub fn get(&self) -> Option<Acceptor> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
