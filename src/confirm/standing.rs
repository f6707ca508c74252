//! What we can say to a peer that asks us to commit to what it sent.
//!
//! Pure. A gateway keeps nothing for long: an instance counts as committed only when every destination of its
//! study vouches for it, so that the peer may let go of its own copy.

use crate::dicom::Uid;
use crate::import::{Digest, Import, State, StudyState};

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

/// Where an instance stands in all imports together; `None` if it is in none of them.
pub fn standing<'a>(
    imports: impl IntoIterator<Item = &'a Import>,
    sop_instance: &Uid,
) -> Option<Standing> {
    let found: Vec<(Option<Digest>, Standing)> =
        imports.into_iter().filter_map(|import| within(import, sop_instance)).collect();
    let ((first, _), standings) = (found.first()?, found.iter().map(|(_, standing)| *standing));
    if first.is_some() && found.iter().all(|(digest, _)| digest == first) {
        // The same object sent twice may stand better in one import than in the other.
        standings.max()
    } else {
        // Nobody can tell which of them the peer means to let go of.
        standings.min()
    }
}

/// What an instance holds, if that is one thing, and where it stands in one import; `None` if it is not in it.
fn within(import: &Import, sop_instance: &Uid) -> Option<(Option<Digest>, Standing)> {
    let number = import.number_of(sop_instance)?;
    // Of two objects with one UID the second reached nobody.
    if import.is_disputed(number) {
        return Some((None, Standing::Failed));
    }
    let instance = import.instances.get(usize::try_from(number).ok()?);
    let digest = instance.map(|instance| instance.blob.digest);
    let study = import.studies.iter().find(|study| study.instances.contains(&number));
    let dead = matches!(import.state, State::Cancelled { .. } | State::Failed { again: None, .. });
    let standing = match study.map(|study| &study.state) {
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
    };
    Some((digest, standing))
}

#[cfg(test)]
mod tests;
