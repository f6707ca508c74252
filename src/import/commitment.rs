//! What a destination vouches for beyond its answers: storage commitment (PS3.4 annex J) and what stands in for it.
//!
//! Invariants: a transaction UID is asked under once; an instance counts as committed only if a report named it
//! so and none named it as failed; a delivery is assured only when every instance of the study is.

mod apply;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::Action;
use super::state::Delivery;
use crate::clock::Moment;
use crate::dicom::Uid;

pub(super) use apply::apply;

/// Requests in a row without a report; then a person is asked.
pub const COMMITMENT_REQUESTS: u32 = 3;

/// Requests in a row that the destination refused; then a person is asked. With waits that double from 10 s to
/// 15 min that is an hour.
pub const COMMITMENT_REFUSALS: u32 = 10;

/// Times that instances are sent again because the destination has not kept them; then a person is asked.
pub const RESENDS: u32 = 3;

/// Instances of one request: its data set stays below a megabyte. What is left is asked for after the report.
pub const COMMITMENT_BATCH: usize = 4096;

/// Requests whose report is still believed when it comes late.
const REMEMBERED: usize = 8;

/// What vouches for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Assurance {
    /// The status of each C-STORE, or the files in a folder.
    Answered,
    /// A query found every instance.
    Found,
    /// It committed itself to every instance.
    Committed,
}

/// Why a commitment request came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommitmentFault {
    /// Nobody could be asked.
    Unreachable,
    /// The request was refused; another one may be taken.
    Refused,
    /// It was refused, and so will be every other.
    Final,
}

/// How far a commitment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stand {
    /// To be asked as soon as every instance is stored, or being asked.
    #[default]
    Open,
    Postponed {
        due: Moment,
    },
    /// A report is awaited until then.
    Asked {
        due: Moment,
    },
    Assured(Assurance),
}

/// One request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    pub transaction: Uid,
    pub instances: Vec<u32>,
    /// Whether the destination took the request.
    pub taken: bool,
}

/// What is known of one destination's commitment to one study.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Commitment {
    pub stand: Stand,
    pub committed: Arc<BTreeSet<u32>>,
    /// Requests without a report, the newest last.
    pub asked: Vec<Asked>,
    pub requests: u32,
    pub refusals: u32,
    /// Times it could not be asked, in a row.
    pub attempts: u32,
    pub resent: u32,
    /// What a person reads of it.
    pub note: Option<String>,
}

crate::dicom::redacted!(Asked, Commitment);

impl Commitment {
    pub fn assurance(&self) -> Option<Assurance> {
        match self.stand {
            Stand::Assured(by) => Some(by),
            Stand::Open | Stand::Postponed { .. } | Stand::Asked { .. } => None,
        }
    }

    /// When something has to be done about it.
    pub(super) fn due(&self) -> Option<Moment> {
        match self.stand {
            Stand::Postponed { due } | Stand::Asked { due } => Some(due),
            Stand::Open | Stand::Assured(_) => None,
        }
    }

    /// A person wants it tried anew.
    pub(super) fn reset(&mut self) {
        (self.requests, self.refusals, self.attempts, self.resent) = (0, 0, 0, 0);
        if self.assurance().is_none() {
            (self.stand, self.note) = (Stand::Open, None);
        }
    }
}

/// What follows from the reason why an instance was not committed (PS3.3 C.14.1.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// It is not there, or something went wrong with it there.
    SendAgain,
    AskAgain,
    Person,
}

fn follows(reason: u16) -> Follows {
    match reason {
        // Resource limitation; the transaction UID was used before.
        0x0213 | 0x0131 => Follows::AskAgain,
        // Class not supported; class and instance do not go together.
        0x0122 | 0x0119 => Follows::Person,
        // Processing failure, no such object, and reasons that the standard does not know.
        _ => Follows::SendAgain,
    }
}

fn sentence(reason: u16) -> &'static str {
    match reason {
        0x0110 => "processing failure",
        0x0112 => "no such object",
        0x0119 => "class and instance do not go together",
        0x0122 => "it does not commit to this class of objects",
        0x0131 => "duplicate transaction UID",
        0x0213 => "it lacks resources",
        _ => "a reason that the standard does not know",
    }
}

impl Delivery {
    /// Whether the destination has answered for all instances, and refused none.
    pub(super) fn is_stored(&self, instances: &[u32]) -> bool {
        self.outcomes.len() >= instances.len() && self.refused() == 0
    }
}

/// The call for an assurance of what is stored, if it is open.
pub(super) fn assure(study: &Uid, instances: &[u32], delivery: &Delivery) -> Option<Action> {
    let open = delivery.commitment.stand == Stand::Open && delivery.is_stored(instances);
    open.then(|| Action::Assure { study: study.clone(), destination: delivery.destination.clone() })
}

#[cfg(test)]
mod tests;
