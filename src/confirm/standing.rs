//! What we can say to a peer that asks us to commit to what it sent.
//!
//! Pure. A gateway keeps nothing for long: an instance counts as committed only when every destination of its
//! study vouches for it, so that the peer may let go of its own copy.

use crate::dicom::Uid;
use crate::import::{Import, State, StudyState};

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It will not get there.
    Failed,
    /// It is on its way, or waits for a person.
    Pending,
    /// Every destination vouches for it.
    Kept,
}

/// Where an instance stands in one import; `None` if it is not in it.
pub fn standing(import: &Import, sop_instance: &Uid) -> Option<Standing> {
    let number = import.number_of(sop_instance)?;
    let study = import.studies.iter().find(|study| study.instances.contains(&number));
    let dead = matches!(import.state, State::Cancelled { .. } | State::Failed { again: None, .. });
    Some(match study.map(|study| &study.state) {
        Some(StudyState::Confirmed { .. }) => Standing::Kept,
        Some(StudyState::Rejected { .. } | StudyState::Cancelled { .. }) => Standing::Failed,
        _ if dead => Standing::Failed,
        Some(
            StudyState::Inspected
            | StudyState::AwaitingWorklist { .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Forwarding(_)
            | StudyState::Confirming(_)
            | StudyState::Quarantined { .. },
        )
        | None => Standing::Pending,
    })
}
