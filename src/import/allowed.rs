//! What a person may do now, told before it is tried: never more than [`Import::apply`] takes.

use super::event::{Actor, Event};
use super::state::{Import, State, Study, StudyState, Work};
use crate::dicom::Patient;

impl Import {
    /// Whether [`Event::Retried`] does anything.
    pub fn may_retry(&self) -> bool {
        // A copy shares instances and answers; asking it keeps both from drifting apart.
        let retried = Event::Retried { actor: Actor(String::new()) };
        self.clone().apply(&retried, self.changed).is_ok()
    }

    /// Whether this study may be filed, for the first time or anew: [`Event::Decided`].
    pub fn may_decide(&self, study: &Study) -> bool {
        // What may be somewhere keeps its patient. A destination that holds the study for another one asks for a word,
        // though, and by a retry it would only ask again.
        let stays = |work: &Work| work.may_have_left() && work.held().is_empty();
        study.is_decidable()
            && !study.work().is_some_and(stays)
            && matches!(self.state, State::Unpacked)
    }

    /// Whether it may be filed under this patient: only under the one of before where something may have left for it.
    pub fn may_decide_for(&self, study: &Study, patient: &Patient) -> bool {
        let keeps = study.work().filter(|work| work.may_have_left());
        self.may_decide(study) && keeps.is_none_or(|work| work.is_for(patient))
    }

    /// Whether this study may be turned away: [`Event::Rejected`].
    pub fn may_reject(&self, study: &Study) -> bool {
        study.is_rejectable() && matches!(self.state, State::Unpacked)
    }
}

impl Study {
    pub(super) fn is_decidable(&self) -> bool {
        match &self.state {
            StudyState::AwaitingWorklist { .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Quarantined { work: None, .. } => true,
            // Held before anything was sent: the decision may have been the wrong one.
            StudyState::Quarantined { work: Some(work), .. } => work.is_untouched(),
            StudyState::Inspected
            | StudyState::Forwarding(_)
            | StudyState::Confirming(_)
            | StudyState::Confirmed { .. }
            | StudyState::Rejected { .. }
            | StudyState::Cancelled { .. } => false,
        }
    }

    pub(super) fn is_rejectable(&self) -> bool {
        matches!(
            self.state,
            StudyState::AwaitingWorklist { .. }
                | StudyState::AwaitingDecision { .. }
                | StudyState::Quarantined { .. }
        )
    }
}
