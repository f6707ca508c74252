//! Whether the destinations vouch for a study: may its local copy die?
//!
//! Owns the verdict, which is pure, and the questions to a destination that lead to it: storage commitment, or a
//! query. Invariant: one instance that one destination has not answered for with "stored", or one destination
//! that nothing assures, is enough for [`Verdict::Vouched`] not to be reached.

mod ask;
mod query;
mod refusal;
mod standing;

pub use ask::{Asked, Gone, Witness, ask};
pub use query::{Found, Sought, look};
pub use refusal::{Follows, Refusal};
pub use standing::{Standing, standing};

use crate::import::{Delivery, InstanceOutcome};

/// What the answers of all destinations amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every destination stored every instance.
    Vouched,
    /// Some instances have no answer yet.
    Waiting { unanswered: usize },
    /// Everything was answered, but so many destinations do not vouch for it yet.
    Unassured { destinations: usize },
    /// Everything was answered, and some of it refused: a person decides.
    Refused { refused: usize },
}

/// Judges the answers for `instances`, the numbers of the study's instances.
///
/// A study without instances or destinations is not vouched for: nobody said that anything is stored.
pub fn vouched(deliveries: &[Delivery], instances: &[u32]) -> Verdict {
    let mut unanswered = 0_usize;
    let mut refused = 0_usize;
    if deliveries.is_empty() || instances.is_empty() {
        return Verdict::Waiting { unanswered: instances.len() };
    }
    for delivery in deliveries {
        for number in instances {
            match delivery.outcomes.get(*number) {
                None => unanswered = unanswered.saturating_add(1),
                Some(InstanceOutcome::Refused { .. }) => refused = refused.saturating_add(1),
                Some(InstanceOutcome::Delivered { .. }) => {}
            }
        }
    }
    match (unanswered, refused) {
        (0, 0) => {
            let open = deliveries.iter().filter(|d| d.commitment.assurance().is_none()).count();
            if open == 0 { Verdict::Vouched } else { Verdict::Unassured { destinations: open } }
        }
        (0, refused) => Verdict::Refused { refused },
        (unanswered, _) => Verdict::Waiting { unanswered },
    }
}

#[cfg(test)]
mod tests;
