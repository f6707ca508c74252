//! Records at rest: the events of every import, tombstones, the clock's last reading.
//!
//! Owns the journal folder and the store in it (the only `use sled`). One thread owns the store; callers send
//! requests and await the answer, and those that wait at the same time share one sync. Every event is sealed
//! under the key of its import, so records die with the key even though the store keeps deleted bytes.
//! Invariants: what was answered is on the device; the sequence of an import has no gap; an import that was
//! buried takes no event any more. After an error of the store nothing is taken until the next start, because
//! nobody knows what it kept.

mod ahead;
mod body;
mod dump;
mod error;
mod guard;
mod migrate;
mod record;
mod replay;
mod store;
mod writer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

pub use dump::{dump, load, owned};
pub use error::Error;
pub use store::compact::Compacted;

use crate::clock::{Moment, Reading};
use crate::import::{DestinationName, Event, ImportId, Tombstone};
use crate::seal::{FolderId, Vault};
use store::Need;
use writer::{Request, Writer};

/// Requests waiting for the writer. More than this many callers wait in line before the queue.
const QUEUE: usize = 256;

/// One event to be kept.
#[derive(Clone)]
pub struct Entry {
    pub import: ImportId,
    /// Counts from 0 or 1, one by one.
    pub sequence: u64,
    pub at: Moment,
    pub event: Event,
}

impl Entry {
    /// Whether an event is small enough to be kept; one that is not would end the journal's caller.
    pub fn takes(event: &Event) -> bool {
        record::fits(event)
    }
}

/// What a start finds.
#[derive(Default)]
pub struct Recovered {
    /// By import, events in order of sequence.
    pub imports: Vec<(ImportId, Vec<Entry>)>,
    /// Imports whose records can't be read any more (key gone or damaged), with the reason.
    pub unreadable: Vec<(ImportId, String)>,
    pub tombstones: Vec<Tombstone>,
    pub reading: Option<Reading>,
    /// Destinations that a person has paused.
    pub paused: BTreeSet<DestinationName>,
    /// The folder of keys that the last start relied on.
    pub keys: Option<FolderId>,
    /// Commits that were acknowledged and are gone: the store cut its damaged log.
    pub cut: u64,
    /// Records were lost, at this start or an earlier one: bytes without a record may be an import's.
    pub keeps_orphans: bool,
}

/// The journal: one writer thread owns the store. Cheap to clone; the last clone dropped closes it.
#[derive(Clone)]
pub struct Journal(Arc<Handle>);

struct Handle {
    /// Taken when dropped.
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

/// Makes the folder of a journal small again that no process has open, if it holds far more than lives. Blocking.
///
/// # Errors
/// Nothing was lost by it; the journal is opened as it would have been without.
pub fn compact(dir: &Path) -> Result<Option<Compacted>, Error> {
    if !dir.join("db").is_file() {
        store::compact::clear_leftovers(dir)?;
        return Ok(None);
    }
    let mut store = store::Store::open(dir)?;
    // Not before nobody else has it open, who may be about to put it in the journal's place.
    store::compact::clear_leftovers(dir)?;
    store.compact(u64::MAX)
}

impl Journal {
    /// Opens the journal in `dir`, making it if it is missing, and reads all of it. Blocking.
    ///
    /// # Errors
    /// Names the step of the path that is wrong; [`Error::Locked`] if another process has it open;
    /// [`Error::Newer`] if a newer version wrote it. Records that can't be read are no error.
    pub fn open(dir: &Path, vault: Vault) -> Result<(Self, Recovered), Error> {
        let store = store::Store::open(dir)?;
        let (recovered, sequences) = replay::replay(&store, &vault)?;
        let (queue, requests) = mpsc::channel(QUEUE);
        let writer = Writer::new(store, vault, sequences);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(requests))
            .map_err(Error::Thread)?;
        let handle = Handle { queue: Some(queue), thread: Some(thread) };
        Ok((Self(Arc::new(handle)), recovered))
    }

    /// Seals and keeps the events, all or none; they are on the device when this returns. Calls that wait at
    /// the same time share one sync. A call that is dropped may or may not have been kept.
    ///
    /// # Errors
    /// [`Error::Full`] if the disk is (nothing was kept, it may be tried again); [`Error::OutOfOrder`] if a
    /// sequence is not the next; [`Error::Buried`] after the import's end; [`Error::Broken`] if the store
    /// failed: stop the gateway.
    pub async fn append(&self, entries: impl Into<Arc<[Entry]>>) -> Result<(), Error> {
        self.append_needing(Need::Space, entries.into()).await
    }

    /// As [`Self::append`], but also when the disk is nearly full, as long as what is set aside for that lasts: the
    /// few events without which no start succeeds. [`Self::bury`] and the `keep_` calls do so too.
    pub async fn append_at_start(&self, entries: Vec<Entry>) -> Result<(), Error> {
        self.append_needing(Need::Reserve, entries.into()).await
    }

    async fn append_needing(&self, need: Need, entries: Arc<[Entry]>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        self.ask(|answer| Request::Append { entries, need, answer }).await
    }

    /// Replaces the records of an import by its tombstone.
    pub async fn bury(&self, tombstone: Tombstone) -> Result<(), Error> {
        self.ask(|answer| Request::Bury { tombstone: Box::new(tombstone), answer }).await
    }

    /// Forgets tombstones that ended before `before`, in running time; returns how many.
    pub async fn forget(&self, before: Moment) -> Result<u64, Error> {
        self.ask(|answer| Request::Forget { before, answer }).await
    }

    /// Has every later start be told that records were lost, until [`Self::forget_loss`].
    pub async fn keep_loss(&self) -> Result<(), Error> {
        self.ask(|answer| Request::KeepLoss { answer }).await
    }

    /// Nothing is left of what was lost.
    pub async fn forget_loss(&self) -> Result<(), Error> {
        self.ask(|answer| Request::ForgetLoss { answer }).await
    }

    pub async fn keep_reading(&self, reading: Reading) -> Result<(), Error> {
        self.ask(|answer| Request::KeepReading { reading, answer }).await
    }

    /// Replaces the list of destinations that a person has paused.
    pub async fn keep_paused(&self, paused: BTreeSet<DestinationName>) -> Result<(), Error> {
        self.ask(|answer| Request::KeepPaused { paused, answer }).await
    }

    /// Which folder of keys later starts have to find.
    pub async fn keep_keys(&self, folder: FolderId) -> Result<(), Error> {
        self.ask(|answer| Request::KeepKeys { folder, answer }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let queue = self.0.queue.as_ref().ok_or(Error::Closed)?;
        queue.send(request(answer)).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

impl Drop for Handle {
    /// Waits until the writer has done what it was asked, so that the folder is free afterwards.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to do.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

#[cfg(test)]
mod tests;
