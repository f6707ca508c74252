//! One study on its way to one destination, with what was answered for each of its instances.

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
    /// Whether the destination may hold an object that no answer has reached us for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_hold: bool,
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

impl Delivery {
    /// A delivery of which nothing has been answered.
    pub fn new(destination: DestinationName) -> Self {
        Self {
            destination,
            outcomes: Outcomes::default(),
            attempts: 0,
            interrupted: 0,
            may_hold: false,
            due: None,
            fails_since: None,
            last_error: None,
            held: None,
            began: false,
            commitment: Commitment::default(),
        }
    }

    pub fn delivered(&self) -> usize {
        self.outcomes
            .values()
            .filter(|outcome| matches!(outcome, InstanceOutcome::Delivered { .. }))
            .count()
    }

    pub fn refused(&self) -> usize {
        self.outcomes.len() - self.delivered()
    }
}
