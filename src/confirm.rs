//! Whether the destinations vouch for a study: may its local copy die?
//!
//! Pure. Until storage commitment is asked for, a destination vouches by the status of each instance (PS3.4
//! B.2.3). Invariant: one instance that one destination has not answered for with "stored" is enough for
//! [`Verdict::Vouched`] not to be reached.

use crate::import::{Delivery, InstanceOutcome};

/// What the answers of all destinations amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every destination stored every instance.
    Vouched,
    /// Some instances have no answer yet.
    Waiting { unanswered: usize },
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
            match delivery.outcomes.get(number) {
                None => unanswered = unanswered.saturating_add(1),
                Some(InstanceOutcome::Refused { .. }) => refused = refused.saturating_add(1),
                Some(InstanceOutcome::Delivered { .. }) => {}
            }
        }
    }
    match (unanswered, refused) {
        (0, 0) => Verdict::Vouched,
        (0, refused) => Verdict::Refused { refused },
        (unanswered, _) => Verdict::Waiting { unanswered },
    }
}

#[cfg(test)]
mod tests;
