//! The way to one destination: who may send now, and who waits.
//!
//! Every destination has a lane of its own, so that one that is down, paused or out of its hours holds up no
//! other. Invariants: never more than [`RUNS`] runs in a lane; of those that wait, the one with the higher rank
//! and the older ticket goes first; what waits here has not begun, so a restart does not count it as cut off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Backoff;
use crate::clock::{Clock, Moment};
use crate::dicom::Uid;
use crate::import::DestinationName;

/// Runs at once to one destination; they share its associations, so that small studies overlap.
const RUNS: usize = 8;

/// How often those that wait look at the clock.
const LOOK: Duration = Duration::from_millis(250);

/// A destination that does not offer commitment is not asked for this long.
const NOT_OFFERED: Duration = Duration::from_secs(3600);

/// Nights and pauses that are remembered: more than lie in the time that an import is kept.
const CLOSED_KEPT: usize = 64;

/// Commitments that are remembered after their report.
const FINISHED: usize = 1_000;

/// The lanes of all destinations; they outlive a reload.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Mutex<BTreeMap<DestinationName, Arc<Lane>>>,
    /// Commitments by peer and transaction that were reported on, the newest last.
    finished: Mutex<VecDeque<(String, Uid)>>,
}

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Somebody stands at the desk and waits.
    Person,
    /// It came by itself.
    Burst,
}

pub(super) struct Lane {
    state: Mutex<State>,
    changed: Notify,
    /// For questions about commitment, one at a time.
    pub(super) questions: Semaphore,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: BTreeSet<(Rank, u64)>,
    running: usize,
    /// Nothing is tried before then: the destination could take nothing.
    rests: Option<Moment>,
    /// Failures of the destination as a whole, in a row.
    failures: u32,
    /// The first of them.
    fails_since: Option<Moment>,
    /// A person stopped it.
    paused: bool,
    /// From when to when somebody who waited was kept out by its hours or by a person, the last first.
    closed: VecDeque<(Moment, Moment)>,
    /// Why it is not asked to commit, and since when.
    not_offered: Option<(Moment, String)>,
}

/// Somebody's turn in a lane.
pub(super) struct Turn(Arc<Lane>);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = state.running.saturating_sub(1);
        drop(state);
        self.0.changed.notify_waiters();
    }
}

/// A place among those that wait, given up when dropped.
struct Place {
    lane: Arc<Lane>,
    ticket: (Rank, u64),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.state().waiting.remove(&self.ticket);
        self.lane.changed.notify_waiters();
    }
}

impl Lanes {
    /// As a person left them.
    pub(super) fn with_paused(names: BTreeSet<DestinationName>) -> Self {
        let lanes = Self::default();
        for name in names {
            tracing::info!(destination = %name, "still paused, as a person left it");
            lanes.of(&name).pause(Paused::Yes);
        }
        lanes
    }

    pub(super) fn of(&self, name: &DestinationName) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(name.clone()).or_insert_with(|| {
            Arc::new(Lane {
                state: Mutex::default(),
                changed: Notify::new(),
                questions: Semaphore::new(1),
            })
        }))
    }

    /// Those that a person has stopped.
    pub(super) fn paused(&self) -> BTreeSet<DestinationName> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let paused = lanes.iter().filter(|(_, lane)| lane.is_paused());
        paused.map(|(name, _)| name.clone()).collect()
    }

    /// Notes a commitment that was reported on: a peer whose answer got lost repeats its report.
    pub(super) fn finish(&self, commitment: (String, Uid)) {
        let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.push_back(commitment);
        if finished.len() > FINISHED {
            finished.pop_front();
        }
    }

    pub(super) fn is_finished(&self, commitment: &(String, Uid)) -> bool {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.contains(commitment)
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn while `is_open` says no; `None` if it is cancelled.
    pub(super) async fn turn(
        self: &Arc<Self>,
        rank: Rank,
        clock: &Clock,
        is_open: impl Fn(Moment) -> bool + Send,
        cancel: &CancellationToken,
    ) -> Option<Turn> {
        let ticket = {
            let mut state = self.state();
            state.next = state.next.saturating_add(1);
            let ticket = (rank, state.next);
            state.waiting.insert(ticket);
            ticket
        };
        let place = Place { lane: Arc::clone(self), ticket };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if cancel.is_cancelled() {
                return None;
            }
            let now = clock.now();
            // Only who is first asks further, however many wait.
            let is_first = self.state().waiting.first() == Some(&place.ticket);
            if is_first && is_open(now) && self.enter(place.ticket, now) {
                return Some(Turn(Arc::clone(self)));
            }
            tokio::select! {
                () = cancel.cancelled() => return None,
                () = changed => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn enter(&self, ticket: (Rank, u64), now: Moment) -> bool {
        let mut state = self.state();
        let rests = state.rests.is_some_and(|until| !now.reached(until));
        // After a rest one goes ahead; the others follow when it has shown that the destination is back.
        let room = if state.rests.is_some() { 1 } else { RUNS };
        let first = state.waiting.first() == Some(&ticket);
        if state.paused || rests || !first || state.running >= room {
            return false;
        }
        state.waiting.remove(&ticket);
        state.running = state.running.saturating_add(1);
        true
    }

    /// The destination could take nothing; gives the moment before which nobody tries again. Runs that fail
    /// together count as one failure.
    pub(super) fn rest(&self, now: Moment, backoff: &Backoff) -> Moment {
        let mut state = self.state();
        if let Some(until) = state.rests.filter(|until| !now.reached(*until)) {
            return until;
        }
        state.failures = state.failures.saturating_add(1);
        state.fails_since.get_or_insert(now);
        let until = now.after(backoff.jittered(state.failures, now.running_ms));
        state.rests = Some(until);
        until
    }

    /// The destination took something; whether it had rested.
    pub(super) fn wake(&self) -> bool {
        let rested = {
            let mut state = self.state();
            (state.failures, state.fails_since) = (0, None);
            state.rests.take()
        };
        if rested.is_some() {
            self.changed.notify_waiters();
        }
        rested.is_some()
    }

    /// A person does not want to wait: one may try now.
    pub(super) fn nudge(&self, now: Moment) {
        let mut state = self.state();
        if state.rests.is_some() {
            state.rests = Some(now);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A person's word; whether it changes anything.
    pub(super) fn pause(&self, paused: Paused) -> bool {
        let paused = paused == Paused::Yes;
        let changed = {
            let mut state = self.state();
            // While nothing is tried, nothing fails.
            state.fails_since = None;
            std::mem::replace(&mut state.paused, paused) != paused
        };
        self.changed.notify_waiters();
        changed
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().paused
    }

    /// Somebody was kept out from then till now, by its hours or by a person: while nothing is tried, nothing fails.
    pub(super) fn keep_out(&self, from: Moment, now: Moment) {
        let mut state = self.state();
        match state.closed.front_mut() {
            Some((_, until)) if until.reached(from) => *until = until.later(now),
            _ => state.closed.push_front((from, now)),
        }
        state.closed.truncate(CLOSED_KEPT);
    }

    /// How much of the time since then somebody was kept out.
    pub(super) fn kept_out_since(&self, since: Moment) -> Duration {
        let state = self.state();
        let within = |(from, until): &(Moment, Moment)| until.since(from.later(since));
        state.closed.iter().map(within).sum()
    }

    /// Since when the destination takes nothing; `None` if it took something last.
    pub(super) fn fails_since(&self) -> Option<Moment> {
        self.state().fails_since
    }

    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    pub(super) fn rests(&self, now: Moment) -> bool {
        self.state().rests.is_some_and(|until| !now.reached(until))
    }

    /// Whether it is worth asking for commitment.
    pub(super) fn may_offer(&self, now: Moment) -> bool {
        self.state().not_offered.as_ref().is_none_or(|(at, _)| now.since(*at) >= NOT_OFFERED)
    }

    pub(super) fn does_not_offer(&self, now: Moment, why: String) {
        self.state().not_offered = Some((now, why));
    }

    pub(super) fn why_not_offered(&self) -> Option<String> {
        self.state().not_offered.as_ref().map(|(_, why)| why.clone())
    }
}

/// Whether a lane is closed by a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    Yes,
    No,
}

#[cfg(test)]
mod tests;
