//! Why a TLS connection failed, in the words of whoever has to mend it.

use rustls::{AlertDescription as Alert, CertificateError, Error as Cause, InvalidMessage};

/// Why the two sides do not come together. The same for both ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("its certificate has expired{}; renew it there", .0.as_ref().map(|day| format!(" on {day}")).unwrap_or_default())]
    Expired(Option<String>),
    #[error("its certificate is not valid yet; compare the clocks of both sides")]
    NotYetValid,
    #[error(
        "its certificate is self-signed; name it in `fingerprints`, or give the peer one of your authority"
    )]
    SelfSigned,
    #[error("its certificate is signed by none of the authorities we trust{}; add its authority's certificate", issued(.0.as_ref()))]
    UnknownIssuer(Option<String>),
    #[error("its certificate is for {}, not for {expected}; correct the address, or set `server-name`", names(.presented))]
    WrongName { expected: String, presented: Vec<String> },
    #[error(
        "its certificate is not one of `fingerprints`; if it was renewed there, take over the new one: {0}"
    )]
    WrongFingerprint(String),
    #[error("its certificate is not made for this use; it lacks the extended key usage of a {0}")]
    Purpose(&'static str),
    #[error("its certificate has been revoked by its authority; give it a new one")]
    Revoked,
    #[error(
        "whether its certificate has been revoked is not known; add the list of each authority of its chain to the revocation lists"
    )]
    RevocationUnknown,
    #[error("its certificate can't be used: {0}")]
    BadCertificate(String),
    #[error(
        "it wants a certificate of ours and got none; set `certificate` and `key` of the peer's `tls`"
    )]
    CertificateWanted,
    #[error("it refused our certificate ({0}); make our certificate or its authority known there")]
    CertificateRefused(String),
    #[error("it showed no certificate, and this listener wants one; give it one of `client-ca`")]
    NoCertificate,
    #[error(
        "the other side does not speak TLS here; set TLS on both sides or neither, or correct the port"
    )]
    NotTls,
    #[error(
        "the other side offers only old TLS or ciphers; it needs TLS 1.2 with ECDHE and GCM, or TLS 1.3"
    )]
    TooOld,
    #[error("the other side ended the TLS handshake ({0})")]
    Ended(String),
    #[error(
        "the other side closed the connection within the TLS handshake; often it speaks no TLS here, or wants a certificate of ours"
    )]
    Closed,
    #[error("the TLS handshake was not done in time; often the other side does not speak TLS here")]
    TimedOut,
    #[error("{0}")]
    Ours(String),
    #[error("the TLS connection failed: {0}")]
    Other(String),
}

fn issued(issuer: Option<&String>) -> String {
    issuer.map(|issuer| format!(" but by \"{issuer}\"")).unwrap_or_default()
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") }
}

/// What a TLS connection said through the interface of an ordinary one; `None` if the fault was not TLS.
pub fn of_io(error: &std::io::Error) -> Option<Fault> {
    error.get_ref()?.downcast_ref::<Cause>().map(of)
}

/// What rustls says, without what is known beside it.
pub(super) fn of(cause: &Cause) -> Fault {
    match cause {
        Cause::InvalidCertificate(error) => of_certificate(error),
        Cause::NoCertificatesPresented => Fault::NoCertificate,
        Cause::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => Fault::NotTls,
        Cause::PeerIncompatible(_) => Fault::TooOld,
        Cause::AlertReceived(alert) => of_alert(*alert),
        Cause::Other(inner) => match inner.0.downcast_ref::<Fault>() {
            Some(ours) => ours.clone(),
            None => Fault::Other(cause.to_string()),
        },
        other => Fault::Other(other.to_string()),
    }
}

fn of_certificate(error: &CertificateError) -> Fault {
    use CertificateError as E;
    match error {
        E::Expired => Fault::Expired(None),
        E::ExpiredContext { not_after, .. } => {
            let at = i64::try_from(not_after.as_secs()).ok();
            let at = at.and_then(|at| jiff::Timestamp::from_second(at).ok());
            Fault::Expired(at.map(|at| at.strftime("%Y-%m-%d").to_string()))
        }
        E::NotValidYet | E::NotValidYetContext { .. } => Fault::NotYetValid,
        E::UnknownIssuer => Fault::UnknownIssuer(None),
        E::NotValidForName => {
            Fault::WrongName { expected: "the host".to_owned(), presented: vec![] }
        }
        E::NotValidForNameContext { expected, presented } => Fault::WrongName {
            expected: expected.to_str().into_owned(),
            presented: presented.clone(),
        },
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => Fault::Purpose("server or client"),
        E::Revoked => Fault::Revoked,
        E::UnknownRevocationStatus => Fault::RevocationUnknown,
        other => Fault::BadCertificate(other.to_string()),
    }
}

fn of_alert(alert: Alert) -> Fault {
    let told = || format!("{alert:?}");
    match alert {
        Alert::CertificateRequired | Alert::NoCertificate => Fault::CertificateWanted,
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => Fault::CertificateRefused(told()),
        Alert::ProtocolVersion | Alert::InsufficientSecurity => Fault::TooOld,
        _ => Fault::Ended(told()),
    }
}
