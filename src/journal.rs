//! Records at rest: the events of every import, tombstones, the clock's last reading.
//!
//! Owns the journal folder and the store in it (the only `use sled`). It has one owner, who brings together what
//! shall share a sync. Every event is sealed under the key of its import, so records die with the key even though the
//! store keeps deleted bytes. Invariants: what a call returned from is on the device; the sequence of an import has no
//! gap; an import that was buried takes no event any more. After an error of the store nothing is taken until the next
//! start, because nobody knows what it kept.

mod ahead;
mod body;
mod dump;
mod error;
mod guard;
mod migrate;
mod record;
mod replay;
mod store;

use std::collections::BTreeSet;
use std::path::Path;

pub use dump::{dump, load, owned};
pub use error::Error;
pub use store::compact::Compacted;

use crate::clock::{Moment, Reading};
use crate::import::{DestinationName, Event, ImportId, Tombstone};
use crate::seal::{FolderId, Vault};
use record::{Change, KEYS, PAUSED, READING, TOMBSTONES};
use replay::Sequences;
use store::compact::LIVE_WHILE_RUNNING;
use store::{Need, Store};

/// The store is looked at after so many burials: each leaves some kilobytes behind.
const BURIED: u32 = 64;

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

/// The journal. Every call blocks until the device has what was to be kept; dropped, it is closed.
pub struct Journal {
    store: Store,
    vault: Vault,
    /// Of the last event of each import that lives.
    sequences: Sequences,
    /// Why the store is not used any more.
    broken: Option<String>,
    /// Imports that were buried since the store was looked at.
    buried: u32,
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
    let mut store = Store::open(dir)?;
    // Not before nobody else has it open, who may be about to put it in the journal's place.
    store::compact::clear_leftovers(dir)?;
    store.compact(u64::MAX)
}

impl Journal {
    /// Opens the journal in `dir`, making it if it is missing, and reads all of it.
    ///
    /// # Errors
    /// Names the step of the path that is wrong; [`Error::Locked`] if another process has it open;
    /// [`Error::Newer`] if a newer version wrote it. Records that can't be read are no error.
    pub fn open(dir: &Path, vault: Vault) -> Result<(Self, Recovered), Error> {
        let store = Store::open(dir)?;
        let (recovered, sequences) = replay::replay(&store, &vault)?;
        Ok((Self { store, vault, sequences, broken: None, buried: 0 }, recovered))
    }

    /// Seals and keeps the events, all or none, with one sync.
    ///
    /// # Errors
    /// [`Error::Full`] if the disk is (nothing was kept, it may be tried again); [`Error::OutOfOrder`] if a
    /// sequence is not the next; [`Error::Buried`] after the import's end; [`Error::Broken`] if the store
    /// failed: stop the gateway.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), Error> {
        self.append_needing(Need::Space, entries)
    }

    /// As [`Self::append`], but also when the disk is nearly full, as long as what is set aside for that lasts: the
    /// few events without which no start succeeds. [`Self::bury`] and the `keep_` calls do so too.
    pub fn append_at_start(&mut self, entries: &[Entry]) -> Result<(), Error> {
        self.append_needing(Need::Reserve, entries)
    }

    fn append_needing(&mut self, need: Need, entries: &[Entry]) -> Result<(), Error> {
        let mut changes = Vec::new();
        let mut last = Sequences::new();
        for entry in entries {
            let import = entry.import;
            match last.get(&import).or_else(|| self.sequences.get(&import)).copied() {
                Some(before) if before.checked_add(1) != Some(entry.sequence) => {
                    let (found, expected) = (entry.sequence, before.saturating_add(1));
                    return Err(Error::OutOfOrder { import, found, expected });
                }
                Some(_) => {}
                None if self.is_buried(import)? => return Err(Error::Buried(import)),
                None if entry.sequence > 1 => {
                    let found = entry.sequence;
                    return Err(Error::OutOfOrder { import, found, expected: 0 });
                }
                None => {}
            }
            let key = self.vault.get(import)?;
            changes.extend(record::event(&key, entry)?);
            last.insert(import, entry.sequence);
        }
        self.commit(need, changes)?;
        self.sequences.extend(last);
        Ok(())
    }

    fn is_buried(&mut self, import: ImportId) -> Result<bool, Error> {
        let found = self.store()?.get(&record::tombstone_key(import));
        self.told(found).map(|tombstone| tombstone.is_some())
    }

    /// Replaces the records of an import by its tombstone.
    pub fn bury(&mut self, tombstone: &Tombstone) -> Result<(), Error> {
        let mut changes = Vec::new();
        let scanned = self.store()?.scan(&record::events_of(tombstone.id), |key, _| {
            changes.push((key.to_vec(), None));
            Ok(())
        });
        self.told(scanned)?;
        changes.push(record::tombstone(tombstone)?);
        self.commit(Need::Reserve, changes)?;
        self.sequences.remove(&tombstone.id);
        self.buried = self.buried.saturating_add(1);
        Ok(())
    }

    /// Forgets tombstones that ended before `before`, in running time; returns how many.
    pub fn forget(&mut self, before: Moment) -> Result<usize, Error> {
        let mut changes = Vec::new();
        let scanned = self.store()?.scan(TOMBSTONES, |key, value| {
            let found =
                record::parse_plain::<Tombstone>(value).and_then(|(_, tombstone)| tombstone);
            if found.is_some_and(|tombstone| tombstone.ended.running_ms < before.running_ms) {
                changes.push((key.to_vec(), None));
            }
            Ok(())
        });
        self.told(scanned)?;
        let count = changes.len();
        self.commit(Need::Reserve, changes)?;
        Ok(count)
    }

    /// Has every later start be told that records were lost, until [`Self::forget_loss`].
    pub fn keep_loss(&mut self) -> Result<(), Error> {
        let marked = self.store()?.mark();
        self.told(marked)
    }

    /// Nothing is left of what was lost.
    pub fn forget_loss(&mut self) -> Result<(), Error> {
        let unmarked = self.store()?.unmark();
        self.told(unmarked)
    }

    pub fn keep_reading(&mut self, reading: &Reading) -> Result<(), Error> {
        self.keep_one(READING, record::plain(reading)?)
    }

    /// Replaces the list of destinations that a person has paused.
    pub fn keep_paused(&mut self, paused: &BTreeSet<DestinationName>) -> Result<(), Error> {
        self.keep_one(PAUSED, record::plain(paused)?)
    }

    /// Which folder of keys later starts have to find.
    pub fn keep_keys(&mut self, folder: &FolderId) -> Result<(), Error> {
        self.keep_one(KEYS, record::plain(folder)?)
    }

    /// Makes the folder small again if many were buried and it holds far more than lives. Nothing is lost by it if it
    /// does not succeed, and that is logged.
    pub fn compact(&mut self) {
        if self.buried < BURIED || self.broken.is_some() {
            return;
        }
        self.buried = 0;
        let compacted = self.store.compact(LIVE_WHILE_RUNNING);
        match self.told(compacted) {
            Ok(None) => {}
            Ok(Some(Compacted { before, after })) => {
                tracing::info!(before, after, "the journal was made small again");
            }
            Err(error) => tracing::warn!(%error, "the journal could not be made small again"),
        }
    }

    /// One record in place of the one before.
    fn keep_one(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), Error> {
        self.commit(Need::Reserve, vec![(key.to_vec(), Some(value))])
    }

    fn commit(&mut self, need: Need, changes: Vec<Change>) -> Result<(), Error> {
        let kept = self.store()?.commit_needing(need, [changes]);
        self.told(kept).map_err(|error| match error {
            Error::Full | Error::Broken(_) => error,
            other => Error::Broken(other.to_string()),
        })
    }

    /// The store, as long as it may be used.
    fn store(&mut self) -> Result<&mut Store, Error> {
        match &self.broken {
            Some(reason) => Err(Error::Broken(reason.clone())),
            None => Ok(&mut self.store),
        }
    }

    /// What the store returned; notes an error after which it is not used any more.
    fn told<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Broken(reason)) = &result {
            self.broken.get_or_insert_with(|| reason.clone());
        }
        result
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

#[cfg(test)]
mod tests;
