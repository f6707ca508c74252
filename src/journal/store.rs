//! sled, what was committed ahead of it, and the syncing that it leaves out.
//!
//! A commit is synced in `ahead` and kept in memory beside sled; now and then all of it goes into sled. sled's `flush`
//! hands its bytes to the kernel with `sync_file_range`, which flushes neither a file's size nor the device's cache. So
//! it ends with an `fdatasync` of its log file, through a second handle, and new files of its `blobs` folder (there
//! should be none, see `record`) are synced before that. The number of the next epoch comes last: before it is there, the
//! records ahead count and are put over what sled has of them, all of it or some. sled also ends in panics where others
//! return errors; these are caught and told as errors.

pub(super) mod compact;
mod opening;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::Error;
use super::ahead::{Ahead, Failed};
use super::guard::Guard;
use super::migrate::{self, LAYOUT};
use super::record::{COMMITS, CUT, Change, EPOCH, STORE_VERSION};
use crate::seal::place;

/// sled stops working for good when it meets a full disk, so it is not let near one. It takes a few segments
/// of 512 KiB at a time.
const SPARE: u64 = 16 << 20;
/// Some file systems need new blocks for what is overwritten; without any, a sync fails that nothing can mend.
const LAST: u64 = 1 << 20;
/// sled writes a value more than once while its pages settle.
const AMPLIFICATION: u64 = 8;

/// Committed bytes go into sled when they come to this, which takes it some ten milliseconds.
const PENDING: u64 = 2 << 20;

/// The store, owned by one thread at a time.
pub(super) struct Store {
    folder: PathBuf,
    db: sled::Db,
    /// sled's log.
    log: File,
    /// Names in sled's `blobs` folder that are on the device.
    blobs: BTreeSet<OsString>,
    ahead: Ahead,
    /// What `ahead` holds and sled does not yet.
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pending_bytes: u64,
    health: Health,
    guard: Guard,
    /// Number of the last commit.
    commits: u64,
    /// Commits that were acknowledged once and were not found when the store was opened.
    cut: u64,
    mark: Mark,
}

/// Whether the store itself says that it lost records, so that later starts know it too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    /// With the next commit, which would hide that numbers are missing.
    Due,
    Kept,
}

/// What becomes of a commit when hardly any space is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It takes what was set aside for it, as long as that lasts: without it nothing dies, and no start succeeds.
    Reserve,
    /// It can wait.
    Space,
}

/// Whether the store may still be written to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Failed,
}

impl Store {
    /// Opens or makes the store and brings all that opening changed to the device.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        place::private_folder(folder)?;
        let db = opening::open(folder)?;
        let open = |name: &str| {
            let path = folder.join(name);
            File::open(&path).map_err(|source| place::explain(&path, source))
        };
        let log = open("db")?;
        let epoch = guarded(|| db.get(EPOCH)).map_err(|fault| fault.at_opening(folder))?;
        let epoch =
            epoch.and_then(|bytes| Some(u64::from_be_bytes(bytes.as_ref().try_into().ok()?)));
        let (ahead, changes) = Ahead::open(folder, epoch.unwrap_or_default())
            .map_err(|source| place::explain(&folder.join("ahead"), source))?;
        let mut store = Self {
            folder: folder.to_owned(),
            db,
            log,
            blobs: BTreeSet::new(),
            ahead,
            pending: BTreeMap::new(),
            pending_bytes: length_of(&changes),
            health: Health::Sound,
            guard: Guard::open(folder)?,
            commits: 0,
            cut: 0,
            mark: Mark::None,
        };
        store.pending.extend(changes);
        store.count().map_err(|fault| fault.at_opening(folder))?;
        store.check_layout()?;
        open("conf")?.sync_all().map_err(|source| place::explain(folder, source))?;
        store.sync().map_err(|fault| fault.at_opening(folder))?;
        place::sync_folder(folder).map_err(|source| place::explain(folder, source))?;
        Ok(store)
    }

    /// Holds the number of the last commit against what the guard knows of.
    fn count(&mut self) -> Result<(), Fault> {
        let found = self.look_up(COMMITS)?;
        let number = found.as_deref().and_then(|bytes| bytes.try_into().ok());
        let (found, known) = (number.map_or(0, u64::from_be_bytes), self.guard.number());
        let missing = known.saturating_sub(found);
        let marked = self
            .look_up(CUT)?
            .map(|bytes| bytes.as_slice().try_into().map_or(0, u64::from_be_bytes));
        self.cut = missing.saturating_add(marked.unwrap_or(0));
        self.mark = match marked {
            _ if missing > 0 => Mark::Due,
            Some(_) => Mark::Kept,
            None => Mark::None,
        };
        // A number is given once, so that a cut that was told is not hidden by what comes after it.
        self.commits = found.max(known);
        Ok(())
    }

    fn check_layout(&mut self) -> Result<(), Error> {
        let found = self.look_up(STORE_VERSION).map_err(|fault| fault.at_opening(&self.folder))?;
        match found.as_deref() {
            None => self.commit([vec![(STORE_VERSION.to_vec(), Some(vec![LAYOUT]))]]),
            Some([LAYOUT]) => Ok(()),
            Some([found]) if (1..LAYOUT).contains(found) => migrate::migrate(self, *found),
            Some([found, ..]) if *found > LAYOUT => {
                Err(Error::Newer { path: self.folder.clone(), found: *found })
            }
            Some(_) => Err(Error::Damaged {
                path: self.folder.clone(),
                reason: "its version is not a number".to_owned(),
            }),
        }
    }

    /// How many commits that were acknowledged were not there when the store was opened.
    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    /// Whether the store, or a store before it, lost records.
    pub(super) fn is_marked(&self) -> bool {
        self.mark != Mark::None
    }

    /// Has every start from now on be told that records were lost.
    pub(super) fn mark(&mut self) -> Result<(), Error> {
        let mark = vec![(CUT.to_vec(), Some(self.cut.to_be_bytes().to_vec()))];
        self.commit_needing(Need::Reserve, [mark])?;
        self.mark = Mark::Kept;
        Ok(())
    }

    /// Nothing is left of what was lost.
    pub(super) fn unmark(&mut self) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.mark, Mark::None);
        let done = self.commit_needing(Need::Reserve, [vec![(CUT.to_vec(), None)]]);
        match done {
            Ok(()) => self.cut = 0,
            Err(_) => self.mark = before,
        }
        done
    }

    /// Makes groups of changes, all or none; they are on the device afterwards.
    ///
    /// # Errors
    /// [`Error::Full`] before anything was changed; [`Error::Broken`] with the store in an unknown state.
    pub(super) fn commit(
        &mut self,
        groups: impl IntoIterator<Item = Vec<Change>>,
    ) -> Result<(), Error> {
        self.commit_needing(Need::Space, groups)
    }

    /// As [`Self::commit`], but with [`Need::Reserve`] also when the disk is full: it goes into the file of records
    /// ahead, as far as that has its length already, and sled, which needs space, is left alone.
    pub(super) fn commit_needing(
        &mut self,
        need: Need,
        groups: impl IntoIterator<Item = Vec<Change>>,
    ) -> Result<(), Error> {
        let mut changes: Vec<Change> = groups.into_iter().flatten().collect();
        if changes.is_empty() {
            return Ok(());
        }
        let number = self.commits.saturating_add(1);
        changes.push((COMMITS.to_vec(), Some(number.to_be_bytes().to_vec())));
        if self.mark == Mark::Due {
            changes.push((CUT.to_vec(), Some(self.cut.to_be_bytes().to_vec())));
        }
        let bytes = length_of(&changes);
        let all = self.pending_bytes.saturating_add(bytes);
        let free = place::space(&self.folder)?.free;
        let is_full = free < wanted(all);
        let has_reserve = need == Need::Reserve && free >= LAST && self.ahead.has_room(&changes);
        if is_full && !has_reserve {
            return Err(Error::Full);
        }
        let settled = if all > PENDING && !is_full { self.settle() } else { Ok(()) };
        let settled = settled.map_err(Fault::while_running);
        let done = settled.and_then(|()| self.try_commit(changes, bytes));
        if matches!(done, Err(Error::Broken(_))) {
            self.health = Health::Failed;
        }
        done?;
        self.commits = number;
        self.guard.note(number);
        if self.mark == Mark::Due {
            self.mark = Mark::Kept;
        }
        Ok(())
    }

    fn try_commit(&mut self, changes: Vec<Change>, bytes: u64) -> Result<(), Error> {
        self.ahead.append(&changes).map_err(|failed| match failed {
            Failed::Write(error) if place::is_full(&error) => Error::Full,
            Failed::Write(error) | Failed::Sync(error) => Fault::from(error).while_running(),
        })?;
        self.pending.extend(changes);
        self.pending_bytes = self.pending_bytes.saturating_add(bytes);
        Ok(())
    }

    /// Brings what is pending into sled and to the device; the records ahead don't count from then on.
    fn settle(&mut self) -> Result<(), Fault> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // Records one by one: what a batch makes of its pages is all in memory until its end, fifty times the batch.
        // What tells how much is there comes behind them, with the epoch.
        let mut batch = sled::Batch::default();
        for (key, value) in &self.pending {
            let (key, counts) = (key.as_slice(), [COMMITS, CUT].contains(&key.as_slice()));
            match value {
                Some(value) if counts => batch.insert(key, value.as_slice()),
                None if counts => batch.remove(key),
                Some(value) => drop(guarded(|| self.db.insert(key, value.as_slice()))?),
                None => drop(guarded(|| self.db.remove(key))?),
            }
        }
        batch.insert(EPOCH, &self.ahead.next_epoch().to_be_bytes());
        guarded(|| self.db.apply_batch(batch))?;
        self.sync()?;
        self.ahead.turn()?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Fault> {
        guarded(|| self.db.flush())?;
        self.sync_blobs()?;
        self.log.sync_data()?;
        Ok(())
    }

    fn sync_blobs(&mut self) -> Result<(), Fault> {
        let folder = self.folder.join("blobs");
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(&folder)? {
            found.insert(entry?.file_name());
        }
        if found == self.blobs {
            return Ok(());
        }
        for name in found.difference(&self.blobs) {
            match File::open(folder.join(name)) {
                Ok(file) => file.sync_all()?,
                // sled was done with it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        place::sync_folder(&folder)?;
        self.blobs = found;
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.look_up(key).map_err(Fault::while_running)
    }

    fn look_up(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(value) = self.pending.get(key) {
            return Ok(value.clone());
        }
        Ok(guarded(|| self.db.get(key))?.map(|value| value.to_vec()))
    }

    /// Calls `each` with every key that begins with `prefix`, in order, and its value.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let mut pending = self.pending.range::<[u8], _>(from).peekable();
        let mut entries = self.db.scan_prefix(prefix);
        loop {
            let next = guarded(|| entries.next().transpose()).map_err(Fault::while_running)?;
            let Some((key, value)) = next else { break };
            while let Some((newer, value)) =
                pending.next_if(|(found, _)| found.as_slice() < key.as_ref())
            {
                value.as_ref().map_or(Ok(()), |value| each(newer, value))?;
            }
            match pending.next_if(|(found, _)| found.as_slice() == key.as_ref()) {
                Some((_, Some(newer))) => each(&key, newer)?,
                Some((_, None)) => {}
                None => each(&key, &value)?,
            }
        }
        for (key, value) in pending.take_while(|(key, _)| key.starts_with(prefix)) {
            value.as_ref().map_or(Ok(()), |value| each(key, value))?;
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Store {
    /// So that the next start has nothing to catch up on. What does not succeed here, it does.
    fn drop(&mut self) {
        let wanted = wanted(self.pending_bytes);
        let space = place::space(&self.folder).is_ok_and(|space| space.free >= wanted);
        if self.health == Health::Sound && space {
            let _ = self.settle();
        }
    }
}

/// What has to be free before sled may take so many bytes.
fn wanted(bytes: u64) -> u64 {
    bytes.saturating_mul(AMPLIFICATION).max(SPARE)
}

/// Bytes of keys and values.
fn length_of(changes: &[Change]) -> u64 {
    changes.iter().fold(0, |sum: u64, (key, value)| {
        let length = key.len().saturating_add(value.as_ref().map_or(0, Vec::len));
        sum.saturating_add(u64::try_from(length).unwrap_or(u64::MAX))
    })
}

/// What sled or the system said.
enum Fault {
    Io(io::Error),
    Store(String),
}

impl Fault {
    fn while_running(self) -> Error {
        Error::Broken(match self {
            Self::Io(error) => error.to_string(),
            Self::Store(reason) => reason,
        })
    }

    fn at_opening(self, folder: &Path) -> Error {
        match self {
            Self::Io(error) if error.to_string().contains("could not acquire lock") => {
                Error::Locked { path: folder.to_owned() }
            }
            // The disk's doing: what the folder holds may be sound.
            Self::Io(error) => Error::Place(place::explain(folder, error)),
            Self::Store(reason) => Error::Damaged { path: folder.to_owned(), reason },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Calls sled, whose panics become errors. Nothing of it is used again after one but to be dropped.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(Fault::Io(error)),
        Ok(Err(error)) => Err(Fault::Store(error.to_string())),
        Err(_) => Err(Fault::Store("the store panicked".to_owned())),
    }
}
