//! One study on its way to one destination, with what was answered for each of its instances.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::commitment::Commitment;
use super::outcomes::Outcomes;
use super::state::DestinationName;
use crate::clock::Moment;

/// One study to one destination.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub destination: DestinationName,
    /// By instance number; an absent one has not been answered yet.
    pub outcomes: Outcomes,
    /// Runs that ended without delivering everything.
    pub attempts: u32,
    /// Runs that a restart cut off.
    pub interrupted: u32,
    /// Waits until then; `None` while a run is under way or nothing is left.
    pub due: Option<Moment>,
    /// When the first of the runs ended that have delivered nothing since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_since: Option<Moment>,
    pub last_error: Option<String>,
    /// What keeps the study from being sent until a person decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Whether a run is sending, not only waiting for its turn.
    #[serde(default)]
    pub began: bool,
    /// What left for the destination without an answer that told what became of it: it may be there.
    #[serde(default)]
    pub may_hold: Arc<BTreeSet<u32>>,
    /// What the destination does beyond answering.
    #[serde(default)]
    pub commitment: Commitment,
}

/// What a destination answered for one instance.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InstanceOutcome {
    /// Success or a warning that means "stored" (PS3.4 B.2.3).
    Delivered { status: u16 },
    /// Refused for good; sent again only if a person says so.
    Refused { status: Option<u16>, sentence: String },
}

impl InstanceOutcome {
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }
}

impl Delivery {
    /// A delivery of which nothing has been answered.
    pub fn new(destination: DestinationName) -> Self {
        Self {
            destination,
            outcomes: Outcomes::default(),
            attempts: 0,
            interrupted: 0,
            may_hold: Arc::default(),
            due: None,
            fails_since: None,
            last_error: None,
            held: None,
            began: false,
            commitment: Commitment::default(),
        }
    }

    /// These left, and nobody can tell whether they are there.
    pub(super) fn left(&mut self, numbers: impl IntoIterator<Item = u32>) {
        Arc::make_mut(&mut self.may_hold).extend(numbers);
    }

    /// Any of these may have left that has no answer: whoever could tell which is gone.
    pub(super) fn any_may_have_left(&mut self, instances: &[u32]) {
        let open = instances.iter().copied().filter(|n| self.outcomes.get(*n).is_none());
        let open: Vec<u32> = open.collect();
        self.left(open);
    }

    /// Whether it is to be sent and no run of it has begun, of a study with so many instances on its way.
    pub(super) fn awaits_turn(&self, instances: usize) -> bool {
        self.due.is_none() && self.outcomes.len() < instances && !self.began
    }

    pub fn delivered(&self) -> usize {
        self.outcomes.values().filter(|outcome| outcome.is_delivered()).count()
    }

    pub fn refused(&self) -> usize {
        self.outcomes.len() - self.delivered()
    }
}
