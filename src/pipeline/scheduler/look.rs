//! What the scheduler does without being asked: what is due, and the clocks.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Error, Scheduler, Turn};
use crate::clock::Moment;
use crate::import::{Due, End, Event, ImportId};

/// How often the clock's reading is kept, which bounds the running time that a crash forgets.
const READING_EVERY: Duration = Duration::from_secs(60);

/// The wall clock may drift from the running clock by this much between two looks before it counts as a jump.
const JUMP: Duration = Duration::from_secs(300);

impl Scheduler {
    /// Looks at what is due, at the clocks, and keeps their reading.
    pub(super) fn look(&mut self, turn: &mut Turn) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let ripe = self.ripe(now);
        let dying = self.due_to_die(&ripe, now);
        for (id, due) in ripe {
            match due {
                Due::Work => drop(self.apply(id, Event::CameDue, turn)),
                due @ (Due::Quiet | Due::Long) => {
                    if let (Due::Long, Some(slot)) = (due, self.slots.get(&id)) {
                        slot.gate.shut();
                    }
                    if self.slots.get(&id).is_none_or(|slot| slot.gate.close_if_empty()) {
                        drop(self.apply(id, Event::BecameQuiet, turn));
                        self.slots.entry(id).and_modify(|slot| self.disk.work(|| slot.close()));
                    }
                }
                Due::Death(_) => {}
            }
        }
        turn.deaths.extend(dying.into_iter().map(|(id, end)| (id, end, None)));
        self.watch_clocks(now);
        self.settle_slow(now);
        self.keep_clock(now)
    }

    pub(super) fn ripe(&self, now: Moment) -> Vec<(ImportId, Due)> {
        let times = self.times();
        let imports = self.shared.imports.read().unwrap_or_else(PoisonError::into_inner);
        let ripe = self.due.ripe(now).into_iter();
        ripe.filter_map(|id| Some((id, imports.get(&id)?.what_is_due(&times, now)?))).collect()
    }

    /// What has to die now, of what is `ripe` and of what is nothing but a key. What could not be destroyed waits for its
    /// turn.
    pub(super) fn due_to_die(&self, ripe: &[(ImportId, Due)], now: Moment) -> Vec<(ImportId, End)> {
        let known = ripe.iter().filter_map(|(id, due)| match due {
            Due::Death(end) => Some((*id, *end)),
            Due::Work | Due::Quiet | Due::Long => None,
        });
        let unreadable = self.unreadable.iter().filter(|(_, death)| now.reached(*death));
        let first = known.chain(unreadable.map(|(id, _)| (*id, End::Expired)));
        let again = self.dying.iter().filter(|(_, (_, again))| now.reached(*again));
        first
            .filter(|(id, _)| !self.dying.contains_key(id))
            .chain(again.map(|(id, (end, _))| (*id, *end)))
            .collect()
    }

    /// Keeps the clock's reading now and then.
    pub(super) fn keep_clock(&mut self, now: Moment) -> Result<(), Error> {
        if now.since(self.kept) >= READING_EVERY {
            self.kept = now;
            match self.tidy(now) {
                Ok(()) => {}
                // It is tried again in a minute; what must be kept waits for space by itself.
                Err(error) if error.is_full() => tracing::warn!(%error, "the clock is not kept"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A wall clock that jumps moves nothing here, since every due time counts in running time; but somebody
    /// has to know, because DICOM date-times and worklist windows follow the wall.
    fn watch_clocks(&mut self, now: Moment) {
        let ran = i64::try_from(now.since(self.looked).as_millis()).unwrap_or(i64::MAX);
        let jumped = now.wall_ms.saturating_sub(self.looked.wall_ms).saturating_sub(ran);
        if jumped.unsigned_abs() > u64::try_from(JUMP.as_millis()).unwrap_or(u64::MAX) {
            self.shared.alarm(format!(
                "the wall clock jumped by {} s; retention goes on in running time, set the clock right",
                jumped / 1000
            ));
        }
        self.looked = now;
    }
}
