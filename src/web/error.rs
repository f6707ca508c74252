//! Why a request failed, in words that name the host and what to do, and nothing else of the request.

use std::path::PathBuf;

use super::Way;
use super::guard::Refused;

/// What was wrong with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    Expired,
    WrongName,
    UnknownIssuer,
    Version,
    Other,
}

impl TlsFault {
    fn sentence(self) -> &'static str {
        match self {
            Self::Expired => "its certificate has expired; tell the portal's operator",
            Self::WrongName => "its certificate is for another name; check the link",
            Self::UnknownIssuer => {
                "its certificate is not from a known authority; if it is of your own, set ca-file in a [portals.NAME] section"
            }
            Self::Version => {
                "it offers no TLS version that is still safe; tell the portal's operator"
            }
            Self::Other => "the TLS handshake failed; tell the portal's operator",
        }
    }
}

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the link to {host} has no TLS; use its https link, or set allow-http = true for this host in a [portals.NAME] section"
    )]
    Scheme { host: String },
    #[error("the link to {host} carries a user name or password; use a link without them")]
    UserInfo { host: String },
    #[error(
        "{host} leads to {kind}, which is refused; if this is meant, set hosts = [\"{host}\"] and allow-private = true in a [portals.NAME] section"
    )]
    Address { host: String, kind: &'static str },
    #[error(
        "the portal passed on to {host}, which only links of its own [portals.NAME] section may reach; use its link directly, or add the first host to that section's hosts"
    )]
    RedirectInside { host: String },
    #[error("{host} passed on from https to http; tell the portal's operator")]
    Downgrade { host: String },
    #[error(
        "{host} passed the request on too often or to something that is no address; open the link in a browser to see where it ends"
    )]
    Redirects { host: String },
    #[error("{host} passed credentials on, which is refused; tell the portal's operator")]
    RedirectedPost { host: String },
    #[error(
        "the portal leads to {host}, which its recipe does not name; if both belong together, add it to hosts under [limits] of the recipe"
    )]
    Stray { host: String },
    #[error("a value for {host} has characters that a header cannot carry; check the recipe")]
    Unsendable { host: String },
    #[error("the name {host} could not be resolved; check the link and the name service")]
    Dns { host: String },
    #[error("{host} could not be reached; check the network, or whether the portal is down")]
    Unreachable { host: String },
    #[error(
        "{host} could not be reached through the proxy; check proxy in [fetch], and whether the proxy lets this host through"
    )]
    Proxy { host: String },
    #[error("no trusted connection to {host}: {}", .fault.sentence())]
    Tls { host: String, fault: TlsFault },
    #[error("{host} did not answer in time")]
    Timeout { host: String },
    #[error("{host} stopped sending in the middle")]
    Stalled { host: String },
    #[error(
        "{host} did not finish within the time for the whole transfer; raise the deadline if it is only slow"
    )]
    Deadline { host: String },
    #[error("the connection to {host} was cut before everything had come")]
    Cut { host: String },
    #[error("{host} sends more than {limit} bytes, the most that is taken here")]
    TooLarge { host: String, limit: u64 },
    #[error(
        "{host} sends its answer compressed though that was not asked for; tell the portal's operator"
    )]
    Encoded { host: String },
    #[error("{host} does not answer as an HTTP server should")]
    Protocol { host: String },
    #[error("{host} answers with something that is not JSON")]
    NotJson { host: String },
    #[error("ca-file {} {reason}", .path.display())]
    CaFile { path: PathBuf, reason: String },
    #[error("[portals.{section}] names no host; give it hosts = [\"…\"]")]
    NoHosts { section: String },
    #[error("the HTTP client could not be set up")]
    Setup,
}

impl Error {
    /// Whether the same request may go through later without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Dns { .. }
            | Self::Unreachable { .. }
            | Self::Proxy { .. }
            | Self::Timeout { .. }
            | Self::Stalled { .. }
            | Self::Cut { .. } => true,
            Self::Scheme { .. }
            | Self::UserInfo { .. }
            | Self::Address { .. }
            | Self::RedirectInside { .. }
            | Self::Downgrade { .. }
            | Self::Redirects { .. }
            | Self::RedirectedPost { .. }
            | Self::Stray { .. }
            | Self::Unsendable { .. }
            | Self::Tls { .. }
            | Self::Deadline { .. }
            | Self::TooLarge { .. }
            | Self::Encoded { .. }
            | Self::Protocol { .. }
            | Self::NotJson { .. }
            | Self::CaFile { .. }
            | Self::NoHosts { .. }
            | Self::Setup => false,
        }
    }

    /// Whether the peer certainly saw nothing of the last request.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Scheme { .. }
            | Self::UserInfo { .. }
            | Self::Address { .. }
            | Self::RedirectInside { .. }
            | Self::Dns { .. }
            | Self::Unreachable { .. }
            | Self::Proxy { .. }
            | Self::Tls { .. }
            | Self::CaFile { .. }
            | Self::NoHosts { .. }
            | Self::Setup => true,
            Self::Downgrade { .. }
            | Self::Redirects { .. }
            | Self::RedirectedPost { .. }
            | Self::Stray { .. }
            | Self::Unsendable { .. }
            | Self::Timeout { .. }
            | Self::Stalled { .. }
            | Self::Deadline { .. }
            | Self::Cut { .. }
            | Self::TooLarge { .. }
            | Self::Encoded { .. }
            | Self::Protocol { .. }
            | Self::NotJson { .. } => false,
        }
    }

    /// Finds the cause behind reqwest's error, whose own text would show the URL.
    pub(super) fn of(error: &reqwest::Error, host: &str, way: Way) -> Self {
        let host = host.to_owned();
        let causes = causes(error);
        let refused = causes.iter().find_map(|cause| cause.downcast_ref::<Refused>());
        if let Some(Refused(kind)) = refused {
            return Self::Address { host, kind };
        }
        let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Self::Tls { host, fault: fault(tls) };
        }
        let is_parse = causes
            .iter()
            .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
            .any(hyper::Error::is_parse);
        if error.is_dns() {
            Self::Dns { host }
        } else if error.is_connect() && way == Way::Proxy {
            Self::Proxy { host }
        } else if error.is_connect() {
            Self::Unreachable { host }
        } else if error.is_timeout() {
            Self::Timeout { host }
        } else if is_parse {
            Self::Protocol { host }
        } else {
            Self::Cut { host }
        }
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// The chain of causes. An `io::Error` skips what it wraps in its own chain, so that is visited too.
fn causes(error: &reqwest::Error) -> Vec<Cause<'_>> {
    /// Chains are short; this ends one that is not.
    const LONGEST: usize = 32;
    let mut found: Vec<Cause<'_>> = vec![error];
    let mut next = 0;
    while let Some(cause) = found.get(next).copied() {
        next = next.saturating_add(1);
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        found.extend(wrapped.map(|wrapped| wrapped as Cause<'_>));
        found.extend(cause.source());
        found.truncate(LONGEST);
    }
    found
}

fn fault(error: &rustls::Error) -> TlsFault {
    use rustls::{AlertDescription, CertificateError};
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsFault::Expired
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFault::WrongName
            }
            CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
            _ => TlsFault::Other,
        },
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => TlsFault::Version,
        _ => TlsFault::Other,
    }
}
