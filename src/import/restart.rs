//! What a start makes of an import: it goes on where it was, and what was cut off too often is held.

use std::sync::Arc;

use super::apply::{PULL_ATTEMPTS, received, requested};
use super::event::{Action, Stage};
use super::state::{DestinationName, Import, State};
use crate::clock::Moment;
use crate::dicom::Uid;

/// Starts at which the same piece of work was cut off: the next one would only be cut off again.
pub const INTERRUPTIONS: u32 = 3;

/// What a start counts as cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// Also what was waiting for its turn, as releases before [`Event::Resumed`] did.
    All,
    Begun,
    Nothing,
}

impl Restart {
    /// Counts an interruption if this is one; whether it was one too many.
    pub(super) fn counts(self, began: bool, times: &mut u32) -> bool {
        let cut_off = match self {
            Self::All => true,
            Self::Begun => began,
            Self::Nothing => false,
        };
        *times += u32::from(cut_off);
        cut_off && *times >= INTERRUPTIONS
    }
}

impl Import {
    pub(super) fn began(
        &mut self,
        stage: Stage,
        study: Option<&Uid>,
        destination: Option<&DestinationName>,
    ) -> Option<Vec<Action>> {
        match (&mut self.state, stage) {
            (State::Received { began, due: None, .. }, Stage::Unpack) => {
                *began = true;
                Some(vec![])
            }
            _ => self.study_mut(study?)?.began(stage, destination),
        }
    }

    pub(super) fn restarted(&mut self, how: Restart, now: Moment) -> Vec<Action> {
        match &mut self.state {
            State::Requested { due: None, attempts, .. } => {
                *attempts += u32::from(how != Restart::Nothing);
                if *attempts > PULL_ATTEMPTS {
                    self.state = interrupted("fetching it", requested());
                    return vec![];
                }
                vec![Action::Pull]
            }
            State::Downloading { interrupted: times } => {
                if how.counts(true, times) {
                    self.state = interrupted("downloading it", requested());
                    return vec![];
                }
                vec![Action::Pull]
            }
            State::Received { files, interrupted: times, due: None, began, .. } => {
                if how.counts(std::mem::take(began), times) {
                    let again = received(files.clone());
                    self.state = interrupted("unpacking it", again);
                    return vec![];
                }
                vec![Action::Unpack]
            }
            // What it waited for may have been the reason for the restart.
            State::Received { due: Some(due), .. } => {
                *due = due.earlier(now);
                vec![]
            }
            State::Unpacked => {
                let studies = self.studies.iter_mut().map(Arc::make_mut);
                studies.flat_map(|study| study.restarted(how)).collect()
            }
            State::Requested { due: Some(_), .. }
            | State::Asking { .. }
            | State::Choosing { .. }
            | State::Preparing { .. }
            | State::Receiving { .. }
            | State::Closed { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => vec![],
        }
    }
}

pub(super) fn cut_off(doing: &str) -> String {
    format!(
        "the gateway was cut off {INTERRUPTIONS} times while {doing}; look into its log, then press retry"
    )
}

fn interrupted(doing: &str, again: State) -> State {
    State::Failed { sentence: cut_off(doing), again: Some(Box::new(again)) }
}
