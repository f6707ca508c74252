//! The `[peers.NAME]` section: who a peer is, where it lives, what it may ask of us.

use serde::{Deserialize, Serialize};

use super::{Remote, Timeouts};
use crate::dicom::AeTitle;

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
        }
    }

    /// The host of the address, without port and brackets.
    pub fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
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
            "commitment" => {
                Err(format!("a peer can not be given `{text}` yet; leave it out of `may`"))
            }
            _ => Err(format!(
                "a peer may `echo`, `store`, `query`, `retrieve` or query the `worklist`, not `{text}`"
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
        }
        .to_owned()
    }
}
