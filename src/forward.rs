//! Sending studies to destinations: coerced in flight, one outcome an instance.
//!
//! Owns what a destination is, which presentation contexts are asked for, how an object's bytes are put
//! together on the way out, and what an answer means. Invariants: an instance counts as delivered only if the
//! destination said so for this instance; an object is sent whole or not at all; pixel data goes through
//! untouched and never into memory; every outcome is with the [`Recorder`] before the run ends.

mod brake;
mod decode;
mod fileset;
mod folder;
mod held;
mod holdings;
mod ledger;
mod object;
mod pace;
mod part10;
mod peer;
mod readings;
mod recoding;
mod retry;
mod rewrite;
mod route;
mod section;
mod source;
mod stow;
mod verdict;
mod vouching;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::dicom::{StudyFacts, Uid};
use crate::dimse;
use crate::import::{Compressed, DestinationName, Instance, InstanceOutcome};
use crate::reconcile::{CoercionSection, Plan};
use crate::spool::ImportSpool;

use pace::Bucket;
use verdict::Judge;

pub use brake::Brake;
pub use held::{HeldStudy, Leaving};
pub use holdings::{Check, Held, ask};
pub use pace::{Bandwidth, Held as HeldBack, Pace, Window};
pub use readings::{Reading, Readings};
pub use retry::{Retries, Retry};
pub use section::{DestinationSection, Existing, Faulty, FolderLayout, TargetSection};
pub use stow::{Stow, Way};
pub use vouching::{ByQuery, Commitment, Vouching};

/// Whether images of this transfer syntax are decoded for a destination that does not take it.
pub fn decodes(transfer_syntax: &Uid) -> bool {
    decode::Codec::of(transfer_syntax).is_some()
}

/// One run: the instances of one study that the destination has not answered for.
pub struct Run {
    pub study: Uid,
    pub facts: StudyFacts,
    pub plan: Plan,
    pub compressed: Compressed,
    pub stored: Stored,
    /// What left in runs before without an answer that told what became of it: the destination may have it from us.
    pub may_hold: Arc<BTreeSet<u32>>,
    /// What a person decided against: contradictions, and what a destination held.
    pub overridden: Vec<String>,
    /// With their numbers in the import.
    pub instances: Vec<(u32, Arc<Instance>)>,
    pub spool: ImportSpool,
    pub brake: Brake,
    pub recorder: Arc<dyn Recorder>,
}

/// Whether the destination has stored anything of the study from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Nothing,
    Some,
}

/// Makes an outcome durable. A run waits for it at least every few instances, so that a crash repeats few
/// sends.
#[async_trait]
pub trait Recorder: Send + Sync {
    async fn record(&self, outcomes: Vec<(u32, InstanceOutcome)>) -> Result<(), Gone>;
    /// For progress only: bytes that left, counted as they go.
    fn sent_bytes(&self, bytes: u64);
    /// This instance left, and no answer told what became of it.
    fn unanswered(&self, number: u32);
}

/// The scheduler does not want this run any more.
#[derive(Debug)]
pub struct Gone;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every instance has an outcome.
    Complete,
    /// Nothing was sent: the destination holds the study for another patient.
    Held { sentence: String },
    /// Stopped by a fault that passes, or that is not the objects'; what has no outcome is sent again.
    Postponed {
        sentence: String,
        /// The fault is the destination's as a whole: nothing else needs to be tried there meanwhile.
        pause_destination: bool,
    },
}

/// Where objects go.
#[derive(Clone, Debug)]
pub enum Target {
    Peer {
        /// Of the `[peers.NAME]` section.
        name: String,
        remote: dimse::Remote,
    },
    Folder(PathBuf),
    Stow(Stow),
}

/// One destination.
#[derive(Clone, Debug)]
pub struct Destination {
    pub target: Target,
    /// Associations at once, over all studies; at least 1.
    pub associations: usize,
    pub check: Check,
    /// What is coerced otherwise than at the site.
    pub coercion: CoercionSection,
    /// For studies whose route says nothing of it.
    pub compressed: Compressed,
    /// Of a folder.
    pub layout: FolderLayout,
    /// Studies that came from this peer go back to it.
    pub send_back: bool,
    pub vouching: Vouching,
    pub pace: Pace,
    pub readings: Readings,
    pub retries: Retries,
}

impl Destination {
    /// With everything else at its default.
    pub fn new(target: Target, associations: usize) -> Self {
        let (check, coercion) = (Check::default(), CoercionSection::default());
        let (vouching, pace, readings, retries) = Default::default();
        Self {
            target,
            associations,
            check,
            coercion,
            compressed: Compressed::default(),
            layout: FolderLayout::default(),
            send_back: false,
            vouching,
            pace,
            readings,
            retries,
        }
    }
}

/// All configured destinations. Cheap to clone.
#[derive(Clone)]
pub struct Destinations(Arc<BTreeMap<DestinationName, Open>>);

/// A destination with what all runs to it share.
struct Open {
    destination: Destination,
    permits: Arc<Semaphore>,
    bucket: Arc<Bucket>,
    judge: Arc<Judge>,
}

impl Destinations {
    pub fn new(destinations: BTreeMap<DestinationName, Destination>) -> Self {
        let open = |destination: Destination| Open {
            permits: Arc::new(Semaphore::new(destination.associations.max(1))),
            bucket: Arc::new(Bucket::new(destination.pace.bandwidth)),
            judge: Arc::new(Judge::new(destination.readings.clone())),
            destination,
        };
        Self(Arc::new(destinations.into_iter().map(|(name, d)| (name, open(d))).collect()))
    }

    pub fn names(&self) -> Vec<DestinationName> {
        self.0.keys().cloned().collect()
    }

    /// What a destination is, if there is one of this name.
    pub fn get(&self, name: &DestinationName) -> Option<&Destination> {
        self.0.get(name).map(|open| &open.destination)
    }

    /// Sends what `run` holds. Ends early if the run is stopped, or cancelled; an association under way is then
    /// aborted.
    pub async fn deliver(&self, to: &DestinationName, run: Run) -> Ended {
        let Some(open) = self.0.get(to) else {
            return Ended::Postponed {
                sentence: format!(
                    "there is no destination {to} any more; configure it again or cancel the import"
                ),
                pause_destination: false,
            };
        };
        match &open.destination.target {
            Target::Peer { name, remote } => {
                let workers = open.destination.associations.max(1);
                let (permits, check) = (&open.permits, &open.destination.check);
                let compressed = run.compressed;
                let (bucket, judge) = (&open.bucket, &open.judge);
                let peer =
                    peer::Peer { name, remote, compressed, permits, workers, check, bucket, judge };
                peer::deliver(peer, run).await
            }
            Target::Folder(folder) => {
                let layout = open.destination.layout;
                folder::deliver(folder, layout, &open.permits, run).await
            }
            Target::Stow(stow) => stow::deliver(&to.0, stow, &open.permits, run).await,
        }
    }
}

#[cfg(test)]
mod tests;
