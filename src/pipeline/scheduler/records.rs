//! What the scheduler keeps and what it destroys.
//!
//! Invariant: an import leaves the records only after its key is gone.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::verify::files;
use super::{Command, Error, QUEUE, Refusal, Reply, Scheduler, Turn};
use crate::clock::Moment;
use crate::expire::{self, Left};
use crate::import::{DestinationName, End, Import, ImportId, Study, StudyState, Tombstone};
use crate::journal;

/// Tombstones are forgotten after this: long enough to answer "what became of it".
const TOMBSTONES_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a full disk is left alone before the journal is tried again.
const FULL_WAIT: Duration = Duration::from_secs(1);

/// How long a key that could not be destroyed is left alone before it is tried again.
const BURY_WAIT: Duration = Duration::from_secs(30);

/// What begins the alarm of a full disk.
const FULL: &str = "nothing goes on before there is space";

/// What has to be on the device before anybody hears of it.
pub(super) enum Record {
    End(Tombstone),
    Paused(BTreeSet<DestinationName>),
}

impl Scheduler {
    /// Makes the events of a turn durable. A full disk is waited out: what was applied can't be taken back, and nobody
    /// has been told yet. What has to die meanwhile dies, and what a person erases, since that is what makes space; it
    /// takes its part of the turn with it.
    pub(super) async fn keep_events(&mut self, turn: &mut Turn) -> Result<(), Error> {
        let mut entries = std::mem::take(&mut turn.entries);
        let mut waited = false;
        while !entries.is_empty() {
            match self.disk.work(|| self.journal.append(&entries)) {
                Err(error) if error.is_full() => self.tell_full(&error),
                kept => {
                    kept?;
                    break;
                }
            }
            waited = true;
            let now = self.shared.clock.now();
            self.keep_clock(now)?;
            let mut dead = Vec::new();
            // Whether it succeeds or not: what the key would seal is not kept any more.
            for (id, end, reply) in std::mem::take(&mut turn.deaths) {
                self.bury_and_tell(id, end, reply).await?;
                dead.push(id);
            }
            for (id, end) in self.due_to_die(&self.ripe(now), now) {
                self.bury_and_tell(id, end, None).await?;
                dead.push(id);
            }
            dead.extend(self.erase_meanwhile().await?);
            if !dead.is_empty() {
                entries.retain(|entry| !dead.contains(&entry.import));
                turn.actions.retain(|(id, _)| !dead.contains(id));
                // What it brought is not kept, so nobody is told that it is.
                for (_, _, result) in turn.replies.iter_mut().filter(|(id, ..)| dead.contains(id)) {
                    *result = Err(Refusal::Unknown);
                }
            }
        }
        if waited {
            self.shared.log(|log| log.settle_alarm(FULL));
        }
        Ok(())
    }

    /// Waits a while for space. Who asks for a death is served; everybody else keeps his turn.
    async fn erase_meanwhile(&mut self) -> Result<Vec<ImportId>, Error> {
        let mut dead = Vec::new();
        let wait = tokio::time::sleep(FULL_WAIT);
        tokio::pin!(wait);
        loop {
            let asked = tokio::select! {
                () = &mut wait => return Ok(dead),
                _ = &mut self.life => return Err(Error::Fault),
                Some(command) = self.queue.recv(), if self.held.len() < QUEUE => command,
            };
            let Command::Erase { id, reply } = asked else {
                self.held.push_back(asked);
                continue;
            };
            self.bury_and_tell(id, End::Erased, reply).await?;
            dead.push(id);
        }
    }

    /// Makes one record durable, however long the disk is full.
    pub(super) async fn keep(&mut self, record: Record) -> Result<(), Error> {
        let mut waited = false;
        loop {
            let kept = self.disk.work(|| match &record {
                Record::End(tombstone) => self.journal.bury(tombstone),
                Record::Paused(names) => self.journal.keep_paused(names),
            });
            match kept {
                Err(error) if error.is_full() => {
                    self.tell_full(&error);
                    waited = true;
                    if tokio::time::timeout(FULL_WAIT, &mut self.life).await.is_ok() {
                        return Err(Error::Fault);
                    }
                }
                kept => {
                    if waited {
                        self.shared.log(|log| log.settle_alarm(FULL));
                    }
                    return Ok(kept?);
                }
            }
        }
    }

    /// Tells of a full disk. We wait, we do not hang: the watchdog has no reason to end us.
    fn tell_full(&self, error: &journal::Error) {
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
        self.shared.log(|log| {
            if !log.has_alarm(FULL) {
                tracing::error!(%error, "{FULL}");
                log.alarm(format!("{FULL}: {error}"));
            }
        });
    }

    /// Keeps the clock's reading, and gets rid of what is long over.
    pub(super) fn tidy(&mut self, now: Moment) -> Result<(), journal::Error> {
        let reading = self.shared.clock.reading();
        self.disk.work(|| self.journal.keep_reading(&reading))?;
        self.disk.work(|| self.journal.compact());
        let kept_ms = u64::try_from(TOMBSTONES_KEPT.as_millis()).unwrap_or(u64::MAX);
        let Some(before) = now.running_ms.checked_sub(kept_ms) else {
            return Ok(());
        };
        let before = Moment { running_ms: before, ..now };
        self.disk.work(|| self.journal.forget(before))?;
        let mut stones = self.shared.tombstones.write().unwrap_or_else(PoisonError::into_inner);
        stones.retain(|stone| stone.ended.running_ms >= before.running_ms);
        Ok(())
    }

    /// The end of an import, and the answer to whoever asked for it.
    pub(super) async fn bury_and_tell(
        &mut self,
        id: ImportId,
        end: End,
        reply: Reply,
    ) -> Result<(), Error> {
        let buried = self.bury(id, end).await?;
        if let Some(reply) = reply {
            let _ = reply.send(buried);
        }
        Ok(())
    }

    /// The end of an import: the key first, then the bytes, then the records.
    async fn bury(&mut self, id: ImportId, end: End) -> Result<Result<(), Refusal>, Error> {
        let import = self.shared.import(id);
        let spool = &self.shared.spool;
        // Of one that a start could make nothing of there may be records alone.
        let known = import.is_some() || self.unreadable.iter().any(|(dying, _)| *dying == id);
        // Files that stayed do not make it an import again.
        if !known && self.shared.is_buried(id) {
            return Ok(Err(Refusal::Unknown));
        }
        if let Some(slot) = self.slots.get_mut(&id) {
            self.disk.work(|| slot.close());
        }
        let destroyed = self.disk.work(|| {
            // An import whose records can't be read has nothing but its key left, and that can be erased.
            if !known && !spool.list()?.contains(&id) {
                return Ok(None);
            }
            expire::purge(spool, id).map(Some)
        });
        let now = self.shared.clock.now();
        let destroyed = match destroyed {
            Ok(Some(left)) => Ok(left),
            Ok(None) => {
                self.dying.remove(&id);
                return Ok(Err(Refusal::Unknown));
            }
            Err(error) => Err(format!(
                "the key of import {id} could not be destroyed ({error}); look at the disk of the keys; it is tried \
                 again by itself while the gateway runs, erase it again after a restart"
            )),
        };
        // Whether it succeeded or not: handles to the key are useless.
        if let Some(slot) = self.slots.get(&id) {
            slot.brake.cancel();
            slot.gate.shut();
        }
        let left = match destroyed {
            Ok(left) => left,
            Err(sentence) => {
                // It stays in the records until the device has taken it.
                self.shared.note(id, "Expire", &sentence);
                self.dying.insert(id, (end, now.after(BURY_WAIT)));
                return Ok(Err(Refusal::NotNow(sentence)));
            }
        };
        let tombstone = Tombstone {
            id,
            kind: import.as_ref().map(|import| import.kind.clone()),
            created: import.as_ref().map_or(now, |import| import.created),
            ended: now,
            end,
            counts: import.as_ref().map(|import| import.counts()).unwrap_or_default(),
        };
        self.keep(Record::End(tombstone.clone())).await?;
        self.unreadable.retain(|(unreadable, _)| *unreadable != id);
        let others = self.unreadable.iter().map(|(other, _)| *other);
        self.shared.log(|log| log.settle(id, others));
        if let (End::Expired, Some(import)) = (end, &import) {
            expired(import).into_iter().for_each(|alarm| self.shared.alarm(alarm));
        }
        // Without its key the import takes no event any more, so it ends all the same.
        if let Left::Files(error) = left {
            self.shared.alarm(format!(
                "the files of import {id} could not be removed ({error}); nobody can read them any more, and the \
                 next start removes them"
            ));
        }
        self.slots.remove(&id);
        self.dying.remove(&id);
        self.imports().remove(&id);
        self.due.remove(id);
        self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.shared.tombstones.write().unwrap_or_else(PoisonError::into_inner).push(tombstone);
        tracing::info!(import = %id, ?end, "import ended, its key is destroyed");
        Ok(Ok(()))
    }
}

/// What was lost because the time of an import was over.
fn expired(import: &Import) -> Vec<String> {
    let (id, counts) = (import.id, import.counts());
    let over = |lost: String| {
        format!(
            "the time to keep import {id} was over before {lost}: they are destroyed; fetch them again if they are needed"
        )
    };
    let undelivered = counts.undelivered();
    let images = (undelivered > 0)
        .then(|| over(format!("{undelivered} of its {} images were delivered", counts.received)));
    let packed = files(&import.state).len();
    let packed = (packed > 0).then(|| over(format!("its {packed} files were unpacked")));
    // Those of a study that a person gave up are not missed.
    let is_missed = |study: &Study| match study.state {
        StudyState::Rejected { .. } | StudyState::Cancelled { .. } => false,
        StudyState::Inspected
        | StudyState::AwaitingWorklist { .. }
        | StudyState::AwaitingDecision { .. }
        | StudyState::Forwarding(_)
        | StudyState::Confirming(_)
        | StudyState::Confirmed { .. }
        | StudyState::Quarantined { .. } => true,
    };
    let missed = import.studies.iter().enumerate().filter(|(_, study)| is_missed(study));
    let documents: u64 = missed
        .map(|(index, _)| import.study_counts(index))
        .map(|counts| counts.created.saturating_sub(counts.created_delivered))
        .sum();
    let documents =
        (documents > 0).then(|| over(format!("{documents} of its documents were delivered")));
    [images, packed, documents].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
