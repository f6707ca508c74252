//! What the scheduler keeps and what it destroys.
//!
//! Invariant: an import leaves the records only after its key is gone.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Error, Refusal, Scheduler};
use crate::clock::Moment;
use crate::expire::{self, Left};
use crate::import::{DestinationName, End, ImportId, Tombstone};
use crate::journal::{self, Entry};

/// Tombstones are forgotten after this: long enough to answer "what became of it".
const TOMBSTONES_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a full disk is left alone before the journal is tried again.
const FULL_WAIT: Duration = Duration::from_secs(1);

/// How long a key that could not be destroyed is left alone before it is tried again.
const BURY_WAIT: Duration = Duration::from_secs(30);

/// What has to be on the device before anybody hears of it.
pub(super) enum Record {
    Events(Arc<[Entry]>),
    End(Tombstone),
    Paused(BTreeSet<DestinationName>),
}

impl Scheduler {
    /// Makes events durable. A full disk is waited out: what was applied can't be taken back, and nobody has
    /// been told yet.
    pub(super) async fn keep(&self, record: Record) -> Result<(), Error> {
        let mut told = false;
        loop {
            let kept = match &record {
                Record::Events(entries) => {
                    self.disk(self.journal.append(Arc::clone(entries))).await
                }
                Record::End(tombstone) => self.disk(self.journal.bury(tombstone.clone())).await,
                Record::Paused(names) => self.disk(self.journal.keep_paused(names.clone())).await,
            };
            match kept {
                Err(error) if error.is_full() => {
                    if !told {
                        tracing::error!(%error, "nothing goes on before there is space");
                        self.shared.log(|log| log.alarm(error.to_string()));
                        told = true;
                    }
                    // It waits, it does not hang: the watchdog has no reason to end it.
                    self.shared.beats.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(FULL_WAIT).await;
                }
                kept => return Ok(kept?),
            }
        }
    }

    /// Keeps the clock's reading, and forgets what is long over.
    pub(super) async fn tidy(&mut self, now: Moment) -> Result<(), journal::Error> {
        self.disk(self.journal.keep_reading(self.shared.clock.reading())).await?;
        let kept_ms = u64::try_from(TOMBSTONES_KEPT.as_millis()).unwrap_or(u64::MAX);
        let Some(before) = now.running_ms.checked_sub(kept_ms) else {
            return Ok(());
        };
        let before = Moment { running_ms: before, ..now };
        self.disk(self.journal.forget(before)).await?;
        let mut stones = self.shared.tombstones.write().unwrap_or_else(PoisonError::into_inner);
        stones.retain(|stone| stone.ended.running_ms >= before.running_ms);
        Ok(())
    }

    /// The end of an import: the key first, then the bytes, then the records.
    pub(super) async fn bury(
        &mut self,
        id: ImportId,
        end: End,
    ) -> Result<Result<(), Refusal>, Error> {
        let import = self.shared.import(id);
        let spool = self.shared.spool.clone();
        let known = import.is_some();
        // Files that stayed do not make it an import again.
        if !known && self.shared.is_buried(id) {
            return Ok(Err(Refusal::Unknown));
        }
        let destroyed = tokio::task::spawn_blocking(move || {
            // An import whose records can't be read has nothing but its key left, and that can be erased.
            if !known && !spool.list()?.contains(&id) {
                return Ok(None);
            }
            expire::purge(&spool, id).map(Some)
        });
        let now = self.shared.clock.now();
        let destroyed = match self.disk(destroyed).await {
            Ok(Ok(Some(left))) => Ok(left),
            Ok(Ok(None)) => return Ok(Err(Refusal::Unknown)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("destroying the key broke off; look into the log".to_owned()),
        };
        let left = match destroyed {
            Ok(left) => left,
            Err(sentence) => {
                // The import stays; one whose time has come is tried again after a while.
                self.shared.note(id, "Expire", &sentence);
                self.slots.entry(id).or_default().bury_after = Some(now.after(BURY_WAIT));
                return Ok(Err(Refusal::NotNow(sentence)));
            }
        };
        if let Some(slot) = self.slots.get(&id) {
            slot.brake.cancel();
            slot.gate.shut();
        }
        let tombstone = Tombstone {
            id,
            kind: import.as_ref().map(|import| import.kind.clone()),
            created: import.as_ref().map_or(now, |import| import.created),
            ended: now,
            end,
            counts: import.map(|import| import.counts()).unwrap_or_default(),
        };
        self.keep(Record::End(tombstone.clone())).await?;
        self.unreadable.retain(|(unreadable, _)| *unreadable != id);
        self.shared.log(|log| log.settle(id));
        let undelivered = tombstone.counts.undelivered();
        if end == End::Expired && undelivered > 0 {
            let received = tombstone.counts.received;
            self.shared.alarm(format!(
                "the time to keep import {id} was over before {undelivered} of its {received} images were \
                 delivered: they are destroyed; fetch them again if they are needed"
            ));
        }
        // Without its key the import takes no event any more, so it ends all the same.
        if let Left::Files(error) = left {
            self.shared.alarm(format!(
                "the files of import {id} could not be removed ({error}); nobody can read them any more, and the \
                 next start removes them"
            ));
        }
        self.slots.remove(&id);
        self.imports().remove(&id);
        self.due.remove(id);
        self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.shared.tombstones.write().unwrap_or_else(PoisonError::into_inner).push(tombstone);
        tracing::info!(import = %id, ?end, "import ended, its key is destroyed");
        Ok(Ok(()))
    }
}
