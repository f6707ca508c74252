//! Why an association or an exchange on it failed, with the likely cause in the name.

use std::fmt;

use crate::dicom::Uid;
use crate::tls;

/// What to do after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It may pass: try again with growing delay.
    Retry,
    /// A setting on one side is wrong: pause this peer and tell a person. Not the object's fault.
    Configuration,
    /// Never for this class and transfer syntax, or this object.
    Permanent,
    /// Our own side gave up; the peer is not to blame.
    Local,
}

/// What answered on the port instead of a DICOM peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    Tls,
    Http,
    Unknown,
}

/// Why an association was rejected (PS3.8 9.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    CallingUnknown,
    CalledUnknown,
    ApplicationContext,
    ProtocolVersion,
    /// By the user without a reason: what many peers answer if they do not permit us.
    NotPermitted,
    Congestion,
    LimitExceeded,
    /// Anything else; the codes as they came: result, source, reason.
    Other(u8, u8, u8),
}

/// Why we or the peer aborted (PS3.8 9.3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The application gave up.
    User,
    NotSpecified,
    UnrecognisedPdu,
    UnexpectedPdu,
    UnrecognisedParameter,
    UnexpectedParameter,
    InvalidParameter,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the address {0} is not known; check it, or the name service")]
    Resolve(String),
    #[error("nothing listens at {0}; start the peer or correct the address")]
    Refused(String),
    #[error("{address} cannot be reached: {source}")]
    Unreachable { address: String, source: std::io::Error },
    #[error(
        "nothing answers at {0}; a firewall drops the connection, the host is down, or the address is wrong"
    )]
    Unanswered(String),
    #[error("TLS: {0}")]
    Tls(tls::Fault),
    #[error("our own identity for the peer can't be read: {0}")]
    Identity(String),
    #[error("the peer did not answer in time while {0}")]
    TimedOut(&'static str),
    #[error("the peer rejected the association: {0}")]
    Rejected(Rejection),
    /// By us, as acceptor.
    #[error("we rejected the association: {}", .0.by_us())]
    Declined(Rejection),
    #[error("the peer aborted the association: {0}")]
    Aborted(Abort),
    #[error("the peer closed the connection while {0}")]
    Closed(&'static str),
    #[error("the peer released the association while {0}")]
    Released(&'static str),
    #[error("the peer did not accept class {sop_class}{}; enable it there", in_syntax(.transfer_syntax.as_ref()))]
    ContextRefused { sop_class: Uid, transfer_syntax: Option<Uid> },
    #[error("{0} presentation contexts are needed and an association holds 128; send in several")]
    TooManyContexts(usize),
    #[error("{0}")]
    NotDicom(Spoken),
    #[error("the peer broke the protocol: {what}")]
    Protocol { what: &'static str, abort: Abort },
    #[error("the peer sent more than the limit of {limit} bytes: {what}")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("the source of the object ended before the object did")]
    SourceEnded,
    #[error("the association was given up before")]
    Dead,
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
}

impl Error {
    pub(crate) fn protocol(what: &'static str, abort: Abort) -> Self {
        Self::Protocol { what, abort }
    }

    pub fn class(&self) -> Class {
        match self {
            Self::Refused(_)
            | Self::Unanswered(_)
            | Self::Tls(tls::Fault::TimedOut | tls::Fault::Closed)
            | Self::Unreachable { .. }
            | Self::TimedOut(_)
            | Self::Aborted(_)
            | Self::Closed(_)
            | Self::Released(_)
            | Self::Io(_)
            | Self::Dead
            | Self::Rejected(Rejection::Congestion | Rejection::LimitExceeded) => Class::Retry,
            Self::Rejected(Rejection::Other(result, _, _)) => {
                if *result == 2 {
                    Class::Retry
                } else {
                    Class::Configuration
                }
            }
            Self::Resolve(_)
            | Self::Tls(_)
            | Self::Identity(_)
            | Self::Declined(_)
            | Self::NotDicom(_)
            | Self::Protocol { .. }
            | Self::TooLarge { .. }
            | Self::Rejected(
                Rejection::CallingUnknown
                | Rejection::CalledUnknown
                | Rejection::ApplicationContext
                | Rejection::ProtocolVersion
                | Rejection::NotPermitted,
            ) => Class::Configuration,
            Self::ContextRefused { .. } | Self::TooManyContexts(_) => Class::Permanent,
            Self::SourceEnded => Class::Local,
        }
    }
}

fn in_syntax(syntax: Option<&Uid>) -> String {
    syntax.map(|uid| format!(" in transfer syntax {uid}")).unwrap_or_default()
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => {
                "the other side speaks TLS and this port is plain; set TLS on both sides or neither"
            }
            Self::Http => "the other side speaks HTTP, not DICOM; correct the port",
            Self::Unknown => "the other side does not speak DICOM; correct the port",
        })
    }
}

impl Rejection {
    fn by_us(self) -> &'static str {
        match self {
            Self::CallingUnknown | Self::NotPermitted => {
                "it is not let in; a line before this one says why"
            }
            Self::CalledUnknown => "it called another AE title than ours; correct it at the peer",
            Self::ApplicationContext => "unknown application context",
            Self::ProtocolVersion => "unknown protocol version",
            Self::Congestion => "the gateway is stopping",
            Self::LimitExceeded => "too many associations at once, or PDUs too small",
            Self::Other(..) => "no reason",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallingUnknown => {
                f.write_str("it does not know our AE title; enter our AE title there")
            }
            Self::CalledUnknown => {
                f.write_str("it does not have the AE title we called; correct the peer's AE title")
            }
            Self::ApplicationContext => f.write_str("it does not support the application context"),
            Self::ProtocolVersion => f.write_str("it does not support the protocol version"),
            Self::NotPermitted => {
                f.write_str("it gave no reason; often our AE title or address is not allowed there")
            }
            Self::Congestion => f.write_str("it is congested for the moment"),
            Self::LimitExceeded => f.write_str("it has too many associations for the moment"),
            Self::Other(result, source, reason) => {
                write!(f, "result {result}, source {source}, reason {reason}")
            }
        }
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "its application gave up; look into its log",
            Self::NotSpecified => "no reason",
            Self::UnrecognisedPdu => "unrecognised PDU",
            Self::UnexpectedPdu => "unexpected PDU",
            Self::UnrecognisedParameter => "unrecognised PDU parameter",
            Self::UnexpectedParameter => "unexpected PDU parameter",
            Self::InvalidParameter => "invalid PDU parameter",
        })
    }
}
