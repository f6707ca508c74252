//! Associations and the DIMSE layer: the only `use dicom_ul`.
//!
//! Owns both ends of an association over any stream: negotiation, message assembly, C-ECHO, C-STORE, C-FIND,
//! C-GET, C-MOVE and storage commitment as requestor ([`call`]) and acceptor ([`accept`]). Of dicom-ul only the
//! PDU types and their codec are used; its associations buffer without limit and truncate silently in measured
//! cases. Invariants: every wait has a
//! deadline and every buffer a limit; an association ends by release or abort, however its owner leaves it; an
//! object is never shown to be complete unless its source said so.

mod accept;
mod client;
mod command;
mod commit;
mod error;
mod find;
mod fragments;
mod identity;
mod lenient;
mod listen;
mod message;
mod negotiate;
mod network;
mod peer;
mod probe;
mod retrieve;
mod roles;
mod server;
mod server_commit;
mod server_retrieve;
mod status;
mod store;
mod waiting;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use accept::{Asking, accept, accept_tcp, hear};
pub use client::{Client, call, call_as_scp, call_extended, call_over, call_to_report};
pub use command::Remark;
pub use commit::{Asked, Hearing, Reference, Report, Wanted, commitment_contexts};
pub use error::{Abort, Class, Error, Rejection, Spoken};
pub use find::Found;
pub use identity::{DemandSection, Identity, IdentitySection};
pub use listen::listen;
#[cfg(test)]
pub(crate) use negotiate::taken;
pub use negotiate::{
    Classes, IMPLEMENTATION_CLASS, MAX_PDU, MIN_PDU, NameMatching, Offer, Syntaxes,
    is_known_storage, is_storage, is_stored_syntax,
};
pub use network::Network;
pub use peer::{May, PeerSection, Retrieve};
pub use probe::{Failed, PATIENCE, Service, Stage, Step, Survey, probe};
pub use retrieve::{Arriving, Counts, Originator, Retrieving, Told};
pub use server::{Caller, Echo, Find, Flow, Request, ServerAssociation, Store, Terms};
pub use server_retrieve::RetrieveRequest;
pub use status::{Status, StatusClass};
pub use waiting::{Slot, Waiting};
pub use wire::Stream;

use crate::dicom::{AeTitle, Uid};
use crate::tls;

/// Whom to call, and how patiently.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `host:port`.
    pub address: String,
    pub called: AeTitle,
    pub calling: AeTitle,
    pub timeouts: Timeouts,
    /// The largest P-DATA PDU that we take, in bytes; at most [`MAX_PDU`].
    pub max_pdu: u32,
    pub security: Arc<Security>,
}

/// How the peer proves who it is, and how we do; by default nobody does.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub tls: Option<tls::Dialer>,
    /// User identity negotiation (PS3.7 D.3.3.7).
    pub identity: Option<IdentitySection>,
}

impl Remote {
    /// The host of the address, without port and brackets.
    pub fn host(&self) -> &str {
        host(&self.address)
    }
}

fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub connect: Duration,
    /// For the answer to a request or release of an association (the ARTIM timer of PS3.8 9.1.5 too).
    pub association: Duration,
    /// For one PDU from its first byte to its last.
    pub read: Duration,
    /// For one PDU likewise.
    pub write: Duration,
    /// For the answer to a command, for the next part of an object from our own side, and between two PDUs of
    /// a peer that is sending.
    pub response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            association: Duration::from_secs(30),
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            response: Duration::from_secs(120),
        }
    }
}

/// A presentation context to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    pub sop_class: Uid,
    pub transfer_syntaxes: Vec<Uid>,
}

/// SOP class extended negotiation: the service class application information of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    pub sop_class: Uid,
    pub information: Vec<u8>,
}

/// A presentation context that both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub id: u8,
    pub sop_class: Uid,
    pub transfer_syntax: Uid,
}

/// A piece of a data set on its way out. The stream is whole only if it ends with `End`: a sender that
/// vanishes makes the association abort, never a short object.
pub enum Chunk {
    Bytes(Bytes),
    End,
}

#[cfg(test)]
mod tests;
