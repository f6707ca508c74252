//! The calling end: what a peer's `tls` makes of a TCP connection.
//!
//! Files are read at the first use and then kept; a reload makes new dialers. Invariant: a connection is handed out
//! only after the peer has proven to hold a certificate that the section trusts.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as Cause, OtherError,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Certificate, ClientSection, Error, Fault, Fingerprint, fault};

/// A connection to a peer.
pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;

/// How one peer is called by TLS. Cheap to clone.
#[derive(Clone)]
pub struct Dialer(Arc<Inner>);

struct Inner {
    section: ClientSection,
    loaded: OnceLock<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    config: ClientConfig,
    trust: Trust,
    pair: Option<Arc<CertifiedKey>>,
}

/// What a handshake showed, whether it came to an end or not.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<SeenInner>);

#[derive(Debug, Default)]
struct SeenInner {
    certificate: Mutex<Option<Certificate>>,
    wants_ours: AtomicBool,
}

impl Seen {
    /// The peer's certificate, if it came so far.
    pub fn certificate(&self) -> Option<Certificate> {
        self.0.certificate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the peer asked for a certificate of ours.
    pub fn wants_ours(&self) -> bool {
        self.0.wants_ours.load(Ordering::Relaxed)
    }
}

impl Dialer {
    pub fn new(section: ClientSection) -> Self {
        Self(Arc::new(Inner { section, loaded: OnceLock::new() }))
    }

    pub fn section(&self) -> &ClientSection {
        &self.0.section
    }

    /// Reads the files. Blocking.
    ///
    /// # Errors
    /// If one can't be read, or they do not belong together.
    pub fn load(&self) -> Result<(), Error> {
        self.loaded().map(drop)
    }

    fn loaded(&self) -> Result<Loaded, Error> {
        if let Some(loaded) = self.0.loaded.get() {
            return Ok(loaded.clone());
        }
        let loaded = read(&self.0.section)?;
        Ok(self.0.loaded.get_or_init(|| loaded).clone())
    }

    /// Shakes hands on a connection to `host` within `patience`.
    ///
    /// # Errors
    /// A [`Fault`] that names the likely cause.
    pub async fn dial(
        &self,
        stream: TcpStream,
        host: &str,
        patience: Duration,
        seen: &Seen,
    ) -> Result<ClientStream, Fault> {
        let own = self.clone();
        let loaded = tokio::task::spawn_blocking(move || own.loaded()).await;
        let loaded =
            loaded.map_err(|_| Fault::Ours("the certificates can't be read".to_owned()))?;
        let mut loaded = loaded.map_err(|error| Fault::Ours(error.to_string()))?;
        let name = self.0.section.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Fault::Ours(format!("{name} is no name that a certificate can hold; set `server-name`"))
        })?;
        let watching = Watching::new(loaded.trust, seen.clone());
        loaded.config.dangerous().set_certificate_verifier(Arc::new(watching));
        let showing = Showing { pair: loaded.pair.clone(), seen: seen.clone() };
        loaded.config.client_auth_cert_resolver = Arc::new(showing);
        let connector = TlsConnector::from(Arc::new(loaded.config));
        let shaken = timeout(patience, connector.connect(name, stream)).await;
        match shaken {
            Ok(Ok(stream)) => Ok(stream),
            Err(_) => Err(Fault::TimedOut),
            Ok(Err(error)) => Err(self.explain(&error, seen)),
        }
    }

    /// Why a connection that was dialled failed, now or in the middle: with what is known of both sides.
    pub fn explain(&self, error: &std::io::Error, seen: &Seen) -> Fault {
        use std::io::ErrorKind as Kind;
        let silent = self.0.section.certificate.is_none();
        match fault::of_io(error) {
            Some(found) => self.sharpen(found, seen),
            None if silent && seen.wants_ours() => Fault::CertificateWanted,
            None => match error.kind() {
                Kind::UnexpectedEof
                | Kind::ConnectionReset
                | Kind::ConnectionAborted
                | Kind::BrokenPipe => Fault::Closed,
                _ => Fault::Other(error.to_string()),
            },
        }
    }

    /// The fault with what is known of both sides.
    pub fn sharpen(&self, found: Fault, seen: &Seen) -> Fault {
        let certificate = seen.certificate();
        let silent = self.0.section.certificate.is_none();
        match found {
            Fault::UnknownIssuer(_) => match certificate {
                Some(one) if one.is_self_signed => Fault::SelfSigned,
                Some(one) => Fault::UnknownIssuer(Some(one.issuer)),
                None => Fault::UnknownIssuer(None),
            },
            Fault::WrongName { expected, .. } => Fault::WrongName {
                expected,
                presented: certificate.map_or(vec![], |one| one.names),
            },
            Fault::Purpose(_) => Fault::Purpose("server"),
            // Older versions of TLS have no alert of its own for it.
            Fault::Ended(_) | Fault::CertificateRefused(_) | Fault::Closed
                if silent && seen.wants_ours() =>
            {
                Fault::CertificateWanted
            }
            found => found,
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialer").field(&self.0.section).finish()
    }
}

fn read(section: &ClientSection) -> Result<Loaded, Error> {
    section.check()?;
    let provider = super::provider();
    let trust = if section.fingerprints.is_empty() {
        let roots = Arc::new(super::all_roots(&section.ca_files)?);
        let signed = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .with_crls(super::revocation::all(&section.crl_files)?)
            .build()
            .map_err(|error| Error::Setup(error.to_string()))?;
        Trust::Signed(signed)
    } else {
        Trust::Pinned(section.fingerprints.clone().into())
    };
    let pair =
        section.pair().map(|(certificate, key)| super::pair(certificate, key)).transpose()?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Watching::new(trust.clone(), Seen::default())))
        .with_no_client_auth();
    // Associations are few and long, and a resumed one would not show its certificate again.
    config.resumption = Resumption::disabled();
    Ok(Loaded { config, trust, pair: pair.map(Arc::new) })
}

/// Which certificates are believed.
#[derive(Clone, Debug)]
enum Trust {
    /// Those that an authority signed.
    Signed(Arc<WebPkiServerVerifier>),
    /// These, whoever signed them.
    Pinned(Arc<[Fingerprint]>),
}

/// Judges the peer, and keeps what it showed, whatever the judgement is.
#[derive(Debug)]
struct Watching {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
    seen: Seen,
}

impl Watching {
    fn new(trust: Trust, seen: Seen) -> Self {
        let algorithms = super::provider().signature_verification_algorithms;
        Self { trust, algorithms, seen }
    }
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Cause> {
        let shown = Certificate::read(end_entity);
        *self.seen.0.certificate.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        match &self.trust {
            Trust::Signed(signed) => {
                signed.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
            }
            Trust::Pinned(pinned) => judge_pinned(pinned, end_entity, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Cause> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Cause> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn judge_pinned(
    pinned: &[Fingerprint],
    end_entity: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Cause> {
    let fingerprint = Fingerprint::of(end_entity);
    if !pinned.contains(&fingerprint) {
        let refusal = Fault::WrongFingerprint(fingerprint.to_string());
        return Err(Cause::Other(OtherError(Arc::new(refusal))));
    }
    let read = Certificate::read(end_entity);
    let read = read.ok_or(Cause::InvalidCertificate(CertificateError::BadEncoding))?;
    let ended = u64::try_from(read.not_after.as_second()).unwrap_or(0);
    if now.as_secs() > ended {
        let not_after = UnixTime::since_unix_epoch(Duration::from_secs(ended));
        let expired = CertificateError::ExpiredContext { time: now, not_after };
        return Err(Cause::InvalidCertificate(expired));
    }
    Ok(ServerCertVerified::assertion())
}

/// Shows our certificate if there is one, and keeps that it was asked for.
#[derive(Debug)]
struct Showing {
    pair: Option<Arc<CertifiedKey>>,
    seen: Seen,
}

impl ResolvesClientCert for Showing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.seen.0.wants_ours.store(true, Ordering::Relaxed);
        self.pair.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Dialer {
    /// Our certificates, those of the authorities and their lists, with their files, for those who watch their end.
    /// Blocking.
    pub fn certificates(&self) -> super::Files {
        let section = &self.0.section;
        let paths = section.certificate.iter().chain(&section.ca_files);
        super::expiry::read_all(paths, &section.crl_files)
    }
}

/// Version and cipher that were agreed on, for a person.
pub fn agreed(stream: &ClientStream) -> String {
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().and_then(|version| version.as_str());
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    format!("{}, {}", version.unwrap_or("TLS"), suite.unwrap_or("unknown cipher"))
}

/// Whether a port answers a TLS greeting by TLS. Nothing is trusted, and nothing is said behind the greeting.
pub async fn is_spoken(stream: TcpStream, host: &str, patience: Duration) -> bool {
    let nobody = ClientSection {
        fingerprints: vec![Fingerprint::of(b"nobody's certificate")],
        server_name: ServerName::try_from(host).is_err().then(|| "unknown.invalid".to_owned()),
        ..ClientSection::default()
    };
    let seen = Seen::default();
    let dialled = Dialer::new(nobody).dial(stream, host, patience, &seen).await;
    match dialled {
        Ok(_) => true,
        Err(Fault::Ended(_) | Fault::TooOld | Fault::CertificateWanted) => true,
        Err(_) => seen.certificate().is_some(),
    }
}
