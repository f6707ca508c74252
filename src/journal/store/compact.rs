//! Making the store small again, and putting another in its place.
//!
//! sled's log keeps some kilobytes of every import that ever was, and never gives a segment back. So all that lives
//! is copied into a fresh folder beside it, read back, and the two folders change names at once. A dump is loaded in
//! the same way. Invariant: at every instant the journal's name leads to a folder that is whole and on the device, and
//! nothing is committed meanwhile; what stands under the other name never counts and is removed wherever it is met by
//! whoever has the store open.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Error, Fault, Health, Store, wanted};
use crate::journal::record::{Change, is_housekeeping};
use crate::seal::place;

/// A smaller folder is not worth the work; sled itself begins with a megabyte, and what goes ahead of it has three.
const LEAST: u64 = 8 << 20;
/// What is dead has to be so many times what lives.
const DEAD: u64 = 3;
/// While the gateway runs everything waits for it, so there may not be more to copy than a moment's work. A start
/// has time.
pub(in crate::journal) const LIVE_WHILE_RUNNING: u64 = 16 << 20;
/// Changes and bytes of one commit in the fresh folder.
const GROUP: usize = 256;
const GROUP_BYTES: u64 = 1 << 20;

/// How far it is. Tests stop after each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::journal) enum Step {
    Begun,
    Made,
    Filled,
    ReadBack,
    Exchanged,
    Opened,
    Removed,
}

/// Bytes of the folder on the disk, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub before: u64,
    pub after: u64,
}

impl Store {
    /// Compacts the store if it is worthwhile and not more than `most` bytes live.
    ///
    /// # Errors
    /// The store is as sound as it was, unless [`Error::Broken`] says otherwise.
    pub(in crate::journal) fn compact(&mut self, most: u64) -> Result<Option<Compacted>, Error> {
        // Records that were cut off may still be in the old log, and somebody may be able to bring them back. Nor does
        // the mark of a loss go along.
        if self.is_marked() || self.health == Health::Failed {
            return Ok(None);
        }
        let before = size(&self.folder)?;
        if before < LEAST {
            return Ok(None);
        }
        // The copy is smaller than what it is made of.
        let wanted = wanted(self.pending_bytes).saturating_add(before);
        if place::space(&self.folder)?.free < wanted || !self.is_mostly_dead(before, most)? {
            return Ok(None);
        }
        self.compact_watched(&mut |_| {})?;
        Ok(Some(Compacted { before, after: size(&self.folder)? }))
    }

    /// The work itself; `watch` hears of every step.
    pub(in crate::journal) fn compact_watched(
        &mut self,
        watch: &mut dyn FnMut(Step),
    ) -> Result<(), Error> {
        self.settle().map_err(|fault| {
            self.health = Health::Failed;
            fault.while_running()
        })?;
        self.replace(watch, Self::copy)
    }

    /// Puts a folder that `fill` makes in the place of this one.
    ///
    /// # Errors
    /// The store is as sound as it was, unless [`Error::Broken`] says otherwise.
    pub(in crate::journal) fn replace<T>(
        &mut self,
        watch: &mut dyn FnMut(Step),
        fill: impl FnOnce(&Self, &Path, &mut dyn FnMut(Step)) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let next = beside(&self.folder)?;
        clear(&next)?;
        watch(Step::Begun);
        let filled = fill(self, &next, watch);
        let exchanged = filled.and_then(|filled| {
            let exchanged = place::exchange(&self.folder, &next);
            exchanged.map(|()| filled).map_err(|source| explain(&self.folder, source))
        });
        let filled = exchanged.inspect_err(|_| {
            // Nothing has changed names. What could not be cleared away is cleared at the next try or start.
            let _ = clear(&next);
        })?;
        // From here on the old handle writes to a folder that has no name.
        self.health = Health::Failed;
        let above = place::above(&self.folder).to_owned();
        place::sync_folder(&above).map_err(|source| Fault::from(source).while_running())?;
        watch(Step::Exchanged);
        let opened = Self::open(&self.folder).map_err(|error| Error::Broken(error.to_string()))?;
        watch(Step::Opened);
        drop(std::mem::replace(self, opened));
        clear(&next)?;
        watch(Step::Removed);
        Ok(filled)
    }

    /// Makes the fresh folder, which goes on counting commits, has it filled and brings it to the device.
    pub(in crate::journal) fn fresh<T>(
        &self,
        next: &Path,
        fill: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut fresh = Self::open(next).map_err(|error| apart(next, error))?;
        fresh.commits = fresh.commits.max(self.commits);
        if self.is_marked() {
            fresh.cut = self.cut;
            fresh.mark().map_err(|error| apart(next, error))?;
        }
        let filled = fill(&mut fresh)?;
        fresh.settle().map_err(|fault| {
            fresh.health = Health::Failed;
            apart(next, fault.while_running())
        })?;
        fresh.guard.sync().map_err(|source| explain(next, source))?;
        Ok(filled)
    }

    /// A commit of a fresh folder, whose faults are none of the journal's.
    pub(in crate::journal) fn commit_apart(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        self.commit([changes]).map_err(|error| apart(&self.folder, error))
    }

    /// Copies everything that lives into a folder of its own, and reads it back.
    fn copy(&self, next: &Path, watch: &mut dyn FnMut(Step)) -> Result<(), Error> {
        self.fresh(next, |fresh| {
            watch(Step::Made);
            self.copy_into(fresh)
        })?;
        watch(Step::Filled);
        let read_back = Self::open(next).and_then(|fresh| fresh.digest());
        if read_back.map_err(|error| apart(next, error))? != self.digest()? {
            return Err(Error::Apart {
                path: next.to_owned(),
                reason: "what was copied is not what was read back".to_owned(),
            });
        }
        watch(Step::ReadBack);
        Ok(())
    }

    fn copy_into(&self, fresh: &mut Self) -> Result<(), Error> {
        let (mut group, mut bytes): (Vec<Change>, u64) = (Vec::new(), 0);
        self.scan(b"", |key, value| {
            if is_housekeeping(key) {
                return Ok(());
            }
            bytes = bytes.saturating_add(length(key, value));
            group.push((key.to_vec(), Some(value.to_vec())));
            if group.len() >= GROUP || bytes >= GROUP_BYTES {
                bytes = 0;
                fresh.commit_apart(std::mem::take(&mut group))?;
            }
            Ok(())
        })?;
        fresh.commit_apart(group)
    }

    /// Of every record, in order.
    fn digest(&self) -> Result<blake3::Hash, Error> {
        let mut hash = blake3::Hasher::new();
        self.scan(b"", |key, value| {
            if !is_housekeeping(key) {
                for part in [key, value] {
                    let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
                    hash.update(&length.to_be_bytes()).update(part);
                }
            }
            Ok(())
        })?;
        Ok(hash.finalize())
    }

    /// Whether a folder of `before` bytes holds at least [`DEAD`] times of what lives, and not more than `most` lives.
    fn is_mostly_dead(&self, before: u64, most: u64) -> Result<bool, Error> {
        let (limit, mut live) = (most.min(before / DEAD.saturating_add(1)), 0_u64);
        let counted = self.scan(b"", |key, value| {
            live = live.saturating_add(length(key, value));
            // Ends the look: what is looked at is read into memory.
            if live > limit { Err(Error::Full) } else { Ok(()) }
        });
        match counted {
            Err(Error::Full) => Ok(false),
            other => other.map(|()| true),
        }
    }
}

/// Removes what a compaction or a load left that was broken off: half of a new folder, or an old one.
pub(in crate::journal) fn clear_leftovers(folder: &Path) -> Result<(), Error> {
    clear(&beside(folder)?)
}

/// Where the fresh folder is made: on the same file system, so that names can be exchanged.
fn beside(folder: &Path) -> Result<PathBuf, Error> {
    let Some(name) = folder.file_name() else {
        return Err(explain(folder, io::ErrorKind::InvalidInput.into()));
    };
    let mut name = name.to_owned();
    name.push(".new");
    Ok(folder.with_file_name(name))
}

fn clear(next: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(explain(next, source)),
        Ok(()) => place::sync_folder(place::above(next)).map_err(|source| explain(next, source)),
    }
}

/// What the files of a folder take on the disk, in bytes.
fn size(folder: &Path) -> Result<u64, Error> {
    let mut sum = 0_u64;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(|source| explain(&next, source))? {
            let entry = entry.map_err(|source| explain(&next, source))?;
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => sum = sum.saturating_add(found.blocks().saturating_mul(512)),
                // sled was done with it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(explain(&next, source)),
            }
        }
    }
    Ok(sum)
}

/// What a fresh folder says of itself: nothing of it is said of the journal, which goes on.
fn apart(next: &Path, error: Error) -> Error {
    match error {
        Error::Broken(reason) | Error::Damaged { reason, .. } => {
            Error::Apart { path: next.to_owned(), reason }
        }
        other => other,
    }
}

fn length(key: &[u8], value: &[u8]) -> u64 {
    u64::try_from(key.len().saturating_add(value.len())).unwrap_or(u64::MAX)
}

fn explain(path: &Path, source: io::Error) -> Error {
    place::explain(path, source).into()
}
