//! What an import waits for, by time.

use std::sync::Arc;
use std::time::Duration;

use super::apply::requested;
use super::event::{Action, End};
use super::state::{Delivery, Import, Kind, State, Study, StudyState};
use super::study::start_delivery;
use crate::clock::Moment;

/// An import is there for so long after its last study reached its end, whatever the site says: until then it shows what
/// became of each instance, for who asked us to commit to it.
const SHORTEST_REST: Duration = Duration::from_secs(60);

/// The site's times.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// A burst of C-STORE from one peer ends after this silence.
    pub quiet: Duration,
    /// It ends after this, even if it never falls silent.
    pub longest: Duration,
    /// Nothing is kept longer than this after it came.
    pub limit: Duration,
    /// Kept this long after every study has reached its end, and a minute at least.
    pub after_delivery: Duration,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// [`super::Event::CameDue`] has something to do.
    Work,
    /// [`super::Event::BecameQuiet`], as soon as nobody is in it.
    Quiet,
    /// The same for a burst that does not fall silent: nobody is let in any more.
    Long,
    /// The key has to die.
    Death(End),
}

impl Import {
    /// The earliest thing that is due at `now`; death comes before work.
    pub fn what_is_due(&self, times: &Times, now: Moment) -> Option<Due> {
        let (death, end) = self.death(times);
        if now.reached(death) {
            return Some(Due::Death(end));
        }
        if let Some(last) = self.quiet_since() {
            if now.reached(last.after(times.quiet)) {
                return Some(Due::Quiet);
            }
            if now.reached(self.created.after(times.longest)) {
                return Some(Due::Long);
            }
        }
        self.work_due().filter(|due| now.reached(*due)).map(|_| Due::Work)
    }

    /// When [`Import::what_is_due`] has to be asked again.
    pub fn next_due(&self, times: &Times) -> Moment {
        let longest = self.created.after(times.longest);
        let quiet = self.quiet_since().map(|last| last.after(times.quiet).earlier(longest));
        let death = self.death(times).0;
        [quiet, self.work_due()].into_iter().flatten().fold(death, Moment::earlier)
    }

    /// When the key of this import dies, and as what.
    pub fn death(&self, times: &Times) -> (Moment, End) {
        let limit = self.created.after(times.limit);
        match self.state {
            State::Cancelled { at } => (at, End::Cancelled),
            State::Closed { at } => {
                let rest = times.after_delivery.max(SHORTEST_REST);
                (limit.earlier(at.after(rest)), End::Expired)
            }
            _ => (limit, End::Expired),
        }
    }

    fn quiet_since(&self) -> Option<Moment> {
        match (&self.state, &self.kind) {
            (State::Receiving { last }, Kind::Association { .. }) => Some(*last),
            _ => None,
        }
    }

    fn work_due(&self) -> Option<Moment> {
        match &self.state {
            State::Requested { due, .. } | State::Received { due, .. } => *due,
            State::Preparing { due, .. } => Some(*due),
            State::Unpacked => {
                self.studies.iter().filter_map(|s| s.state.work_due()).reduce(Moment::earlier)
            }
            State::Asking { .. }
            | State::Choosing { .. }
            | State::Downloading { .. }
            | State::Receiving { .. }
            | State::Closed { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => None,
        }
    }
}

impl StudyState {
    fn work_due(&self) -> Option<Moment> {
        match self {
            Self::AwaitingWorklist { due, .. } => *due,
            Self::Forwarding(work) => {
                let dues = |d: &Delivery| [d.due, d.commitment.due()].into_iter().flatten();
                work.deliveries.iter().flat_map(dues).reduce(Moment::earlier)
            }
            // Nothing is sent any more, whatever a delivery waited for before.
            Self::Confirming(work) => {
                let dues = work.deliveries.iter().filter_map(|d| d.commitment.due());
                dues.reduce(Moment::earlier)
            }
            Self::Inspected
            | Self::AwaitingDecision { .. }
            | Self::Confirmed { .. }
            | Self::Quarantined { .. }
            | Self::Rejected { .. }
            | Self::Cancelled { .. } => None,
        }
    }
}

/// Starts everything whose time has come.
pub(super) fn came_due(import: &mut Import, now: Moment) -> Vec<Action> {
    match &mut import.state {
        State::Requested { due, .. } if due.is_some_and(|due| now.reached(due)) => {
            *due = None;
            vec![Action::Pull]
        }
        State::Received { due, .. } if due.is_some_and(|due| now.reached(due)) => {
            *due = None;
            vec![Action::Unpack]
        }
        State::Preparing { due, attempts } if now.reached(*due) => {
            let waited = *attempts;
            import.state = requested();
            if let State::Requested { attempts, .. } = &mut import.state {
                *attempts = waited;
            }
            vec![Action::Pull]
        }
        State::Unpacked => {
            let mut actions = vec![];
            let is_ripe =
                |study: &Study| study.state.work_due().is_some_and(|due| now.reached(due));
            let ripe = import.studies.iter_mut().filter(|study| is_ripe(study));
            for study in ripe.map(Arc::make_mut) {
                let uid = study.uid.clone();
                match &mut study.state {
                    StudyState::AwaitingWorklist { due, .. }
                        if due.is_some_and(|due| now.reached(due)) =>
                    {
                        *due = None;
                        actions.push(Action::AskWorklist { study: uid });
                    }
                    StudyState::Forwarding(work) => {
                        let waiting = work.deliveries.iter_mut();
                        let ripe = waiting.filter(|d| d.due.is_some_and(|due| now.reached(due)));
                        actions.extend(ripe.filter_map(|d| start_delivery(&uid, d)));
                    }
                    _ => {}
                }
                actions.extend(study.commitments_came_due(now));
            }
            actions
        }
        _ => vec![],
    }
}
