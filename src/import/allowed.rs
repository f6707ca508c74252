//! What a person may do now, told before it is tried: never otherwise than [`Import::apply`] answers.

use super::event::{Actor, Event};
use super::state::{Import, State, Study, StudyState};

impl Import {
    /// Whether [`Event::Retried`] does anything.
    pub fn may_retry(&self) -> bool {
        // A copy shares instances and answers; asking it keeps both from drifting apart.
        let retried = Event::Retried { actor: Actor(String::new()) };
        self.clone().apply(&retried, self.changed).is_ok()
    }

    /// Whether this study may be filed, for the first time or anew: [`Event::Decided`].
    pub fn may_decide(&self, study: &Study) -> bool {
        let open = match &study.state {
            StudyState::AwaitingWorklist { .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Quarantined { work: None, .. } => true,
            StudyState::Quarantined { work: Some(work), .. } => work.is_untouched(),
            StudyState::Inspected
            | StudyState::Forwarding(_)
            | StudyState::Confirming(_)
            | StudyState::Confirmed { .. }
            | StudyState::Rejected { .. }
            | StudyState::Cancelled { .. } => false,
        };
        open && matches!(self.state, State::Unpacked)
    }

    /// Whether this study may be turned away: [`Event::Rejected`].
    pub fn may_reject(&self, study: &Study) -> bool {
        let open = matches!(
            study.state,
            StudyState::AwaitingWorklist { .. }
                | StudyState::AwaitingDecision { .. }
                | StudyState::Quarantined { .. }
        );
        open && matches!(self.state, State::Unpacked)
    }
}
