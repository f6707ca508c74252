//! What becomes of an import that could not be pulled or unpacked.

use super::apply::{PULL_ATTEMPTS, received, requested};
use super::event::Action;
use super::state::{Import, State};
use crate::clock::Moment;

impl Import {
    pub(super) fn pull_postponed(&mut self, due: Moment, sentence: &str) -> Option<Vec<Action>> {
        let attempts = match self.state {
            State::Requested { attempts, .. } => attempts + 1,
            State::Downloading { .. } => 1,
            _ => return None,
        };
        self.state = if attempts > PULL_ATTEMPTS {
            State::Failed { sentence: sentence.into(), again: Some(Box::new(requested())) }
        } else {
            State::Requested { attempts, due: Some(due), note: Some(sentence.into()) }
        };
        Some(vec![])
    }

    pub(super) fn unpacking_postponed(
        &mut self,
        at: Moment,
        sentence: &str,
        now: Moment,
    ) -> Option<Vec<Action>> {
        let State::Received { waits, fails_since, interrupted, due, note, began, .. } =
            &mut self.state
        else {
            return None;
        };
        *waits = waits.saturating_add(1);
        fails_since.get_or_insert(now);
        (*interrupted, *began) = (0, false);
        (*due, *note) = (Some(at), Some(sentence.to_owned()));
        Some(vec![])
    }

    pub(super) fn failed(&mut self, sentence: &str) -> Option<Vec<Action>> {
        let again = match &self.state {
            State::Requested { .. } | State::Downloading { .. } | State::Preparing { .. } => {
                requested()
            }
            // What a portal sent broken is fetched anew, not unpacked again.
            State::Received { .. } if self.kind.is_pulled() => requested(),
            State::Received { files, .. } => received(files.clone()),
            _ => return None,
        };
        self.state = State::Failed { sentence: sentence.into(), again: Some(Box::new(again)) };
        Some(vec![])
    }

    /// A person has to bring it anew; what a portal sent can be fetched anew.
    pub(super) fn unreadable(&mut self, sentence: &str) -> Option<Vec<Action>> {
        if !matches!(self.state, State::Received { .. }) {
            return None;
        }
        let again = self.kind.is_pulled().then(|| Box::new(requested()));
        self.state = State::Failed { sentence: sentence.into(), again };
        Some(vec![])
    }
}
