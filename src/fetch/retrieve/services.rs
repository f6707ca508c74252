//! The configured sources, made ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Patience, Service};
use crate::dicom::AeTitle;
use crate::dimse::{Remote, Retrieve};
use crate::import::Source;

/// A peer that studies are fetched from.
#[derive(Clone, Debug)]
pub struct PeerSource {
    pub remote: Remote,
    pub how: Retrieve,
}

/// Every source by its name in the configuration. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sources {
    pub peers: Arc<BTreeMap<String, PeerSource>>,
    pub services: Arc<BTreeMap<String, Service>>,
    /// Our AE title, if anything listens under it: the destination of a C-MOVE.
    pub listener: Option<AeTitle>,
    pub patience: Patience,
}

impl Sources {
    pub fn has(&self, source: &Source) -> bool {
        match source {
            Source::Peer(name) => self.peers.contains_key(name),
            Source::Dicomweb(name) => self.services.contains_key(name),
        }
    }

    pub fn all(&self) -> Vec<Source> {
        let peers = self.peers.keys().cloned().map(Source::Peer);
        peers.chain(self.services.keys().cloned().map(Source::Dicomweb)).collect()
    }

    /// All names, for people.
    pub fn names(&self) -> Vec<&str> {
        self.peers.keys().chain(self.services.keys()).map(String::as_str).collect()
    }
}
