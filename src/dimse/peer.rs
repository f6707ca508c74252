//! The `[peers.NAME]` section: who a peer is, where it lives, what it may ask of us.

use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DemandSection, IdentitySection, Network, Remote, Security, Timeouts};
use crate::dicom::AeTitle;
use crate::tls;

/// What a peer may ask of us. Only what is built is accepted; the default is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum May {
    Echo,
    Store,
    /// Query the modality worklist.
    Worklist,
    /// Query the studies that are held.
    Query,
    /// Fetch them, for itself or for another peer.
    Retrieve,
    /// Have us commit to what it sent.
    Commitment,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PeerSection {
    pub ae_title: AeTitle,
    /// `host:port`, where we call it.
    pub address: String,
    #[serde(default)]
    pub may: Vec<May>,
    /// How studies are fetched from it; without it, it is no source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieve: Option<Retrieve>,
    /// Where it calls from. Without any, only from the host of `address`.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// What its certificate has to be when it calls us; one of these is enough. It has to come over TLS then.
    #[serde(default)]
    pub certificates: Vec<tls::Holder>,
    /// Associations that it may have with us at once; default: half of all.
    #[serde(default)]
    pub associations: Option<NonZeroUsize>,
    /// How we call it by TLS; plain without.
    #[serde(default)]
    pub tls: Option<tls::ClientSection>,
    /// Who we say we are when we call it.
    #[serde(default)]
    pub identity: Option<IdentitySection>,
    /// Who it has to say it is when it calls us.
    #[serde(default)]
    pub demands: Option<DemandSection>,
}

/// How we fetch studies from a peer that we query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retrieve {
    /// C-GET: on our own association.
    Get,
    /// C-MOVE: the peer sends to our listener, whose address it has to know.
    Move,
}

impl PeerSection {
    pub fn may(&self, what: May) -> bool {
        self.may.contains(&what)
    }

    /// How to call this peer as `calling`, with the default patience.
    pub fn remote(&self, calling: &AeTitle) -> Remote {
        Remote {
            address: self.address.clone(),
            called: self.ae_title.clone(),
            calling: calling.clone(),
            timeouts: Timeouts::default(),
            max_pdu: super::MAX_PDU,
            security: Arc::new(Security {
                tls: self.tls.clone().map(tls::Dialer::new),
                identity: self.identity.clone(),
            }),
        }
    }

    /// The host of the address, without port and brackets.
    pub fn host(&self) -> &str {
        super::host(&self.address)
    }
}

impl TryFrom<String> for May {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "echo" => Ok(Self::Echo),
            "store" => Ok(Self::Store),
            "worklist" => Ok(Self::Worklist),
            "query" => Ok(Self::Query),
            "retrieve" => Ok(Self::Retrieve),
            "commitment" => Ok(Self::Commitment),
            _ => Err(format!(
                "a peer may `echo`, `store`, `query`, `retrieve`, query the `worklist` or ask for `commitment`, not `{text}`"
            )),
        }
    }
}

impl From<May> for String {
    fn from(may: May) -> Self {
        match may {
            May::Echo => "echo",
            May::Store => "store",
            May::Worklist => "worklist",
            May::Query => "query",
            May::Retrieve => "retrieve",
            May::Commitment => "commitment",
        }
        .to_owned()
    }
}
