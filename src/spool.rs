//! Bytes at rest: what arrived, sealed under the key of its import.
//!
//! Owns the spool folder: one folder an import, in it numbered pack files that one writer each appends blobs
//! to. Names hold nothing but identifiers and numbers. A pack describes itself (see `format`), so what was
//! synced can be found again without the journal. Invariants: nothing of an import is written before its key
//! is on the device; a blob that [`Pack::sync`] returned after is on the device; a reader never hands out a
//! byte that was not authenticated. One process at a time.
//!
//! Everything here blocks, except [`AsyncPack`], [`Draft`] and [`Committer`].

mod account;
mod blocks;
mod committer;
mod early;
mod error;
mod format;
mod pack;
mod reader;
mod recovery;
mod room;
mod sealing;
mod section;
mod stream;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use nix::fcntl::{Flock, FlockArg};

pub use account::Account;
pub use committer::{Committer, GroupPack};
pub use error::Error;
pub use pack::Pack;
pub use reader::BlobReader;
pub use recovery::{Damage, Recovery};
pub use room::Promise;
pub use sealing::{Draft, Sealed};
pub use section::{Malformed, Reserve, SpoolSection};
pub use stream::AsyncPack;

use blocks::BlockFile;

use crate::import::{Blob, ImportId};
use crate::seal::{FolderId, ImportKey, KeysFolder, Remains, Vault, place};

/// Held locked as long as the spool is open.
const LOCK: &str = "lock";

/// Kept free whatever is configured: the journal ends the gateway when it has less than 16 MiB left, so new
/// objects are refused before that.
const LEAST_RESERVE: u64 = 32 << 20;

/// All spooled bytes. Cheap to clone.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    vault: Vault,
    reserve: Reserve,
    promised: room::Promised,
    expected: Mutex<room::Expected>,
    _lock: Flock<File>,
}

/// Bytes used by the spool and bytes free on its file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub used: u64,
    pub free: u64,
}

/// What is left of an import whose key is destroyed.
#[derive(Debug)]
pub enum Left {
    Nothing,
    /// Files that could not be removed, and why. Nobody can read them any more, and the next start tries again.
    Files(Error),
}

impl Left {
    /// For those whom nobody waits for.
    pub fn log(&self, import: ImportId) {
        if let Self::Files(error) = self {
            tracing::warn!(%import, %error, "the files of an import without a key stay; the next start removes them");
        }
    }
}

/// The key of an import, as far as can be told without trying to destroy it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// It is there, or a fault in reading it says nothing.
    There,
    /// Noise: its destruction was begun, and may not have reached the device.
    Overwritten,
    Missing,
}

impl Spool {
    /// Opens the spool in `dir`, making the folder if it is missing, with the default reserve.
    ///
    /// # Errors
    /// Names the step of the path that is wrong; [`Error::Locked`] if another process has it open.
    pub fn open(dir: &Path, vault: Vault) -> Result<Self, Error> {
        Self::open_with(dir, vault, Reserve::default())
    }

    /// As [`Spool::open`], keeping `reserve` of the file system free.
    pub fn open_with(dir: &Path, vault: Vault, reserve: Reserve) -> Result<Self, Error> {
        place::private_folder(dir)?;
        let path = dir.join(LOCK);
        let file = match place::create_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::options().write(true).open(&path)
            }
            other => other,
        };
        let file = file.map_err(|source| place::explain(&path, source))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| Error::locked(dir, errno))?;
        Ok(Self(Arc::new(Inner {
            folder: dir.to_owned(),
            vault,
            reserve,
            promised: Default::default(),
            expected: Default::default(),
            _lock: lock,
        })))
    }

    /// A new import: its key and its folder are on the device before this returns.
    pub fn create(&self, import: ImportId) -> Result<ImportSpool, Error> {
        let key = self.0.vault.create(import)?;
        self.spool_of(key).inspect_err(|_| {
            // Nothing was sealed with it. If it stays, a start removes it with all that was never acknowledged.
            let _ = self.0.vault.destroy(import);
        })
    }

    /// An import that was created before.
    ///
    /// # Errors
    /// [`Error::Seal`] if its key is gone.
    pub fn import(&self, import: ImportId) -> Result<ImportSpool, Error> {
        let key = self.0.vault.get(import)?;
        self.spool_of(key)
    }

    fn spool_of(&self, key: ImportKey) -> Result<ImportSpool, Error> {
        let folder = self.folder_of(key.import());
        place::private_folder(&folder)?;
        let last = pack_numbers(&folder)?.last().copied().unwrap_or(0);
        Ok(ImportSpool(Arc::new(Room {
            spool: self.clone(),
            key,
            folder,
            last: AtomicU32::new(last),
            committer: Mutex::default(),
        })))
    }

    /// Destroys the key first, then removes the packs. Succeeds if they are gone already.
    ///
    /// # Errors
    /// If the device may still hold the key; it may be tried again.
    pub fn destroy(&self, import: ImportId) -> Result<Left, Error> {
        let remains = self.0.vault.destroy(import)?;
        self.expect_no_packs(import);
        Ok(match (self.remove_packs(import), remains) {
            (Err(error), _) => Left::Files(error.into()),
            (Ok(()), Remains::File(error)) => Left::Files(error.into()),
            (Ok(()), Remains::Nothing) => Left::Nothing,
        })
    }

    fn remove_packs(&self, import: ImportId) -> Result<(), place::Error> {
        let folder = self.folder_of(import);
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(place::explain(&folder, source));
            }
            _ => {}
        }
        place::sync_folder(&self.0.folder).map_err(|source| place::explain(&self.0.folder, source))
    }

    /// What the key file of an import says. Blocking.
    pub fn key_file(&self, import: ImportId) -> KeyFile {
        use crate::seal::Error::{Destroyed, Unknown};
        match self.0.vault.get(import) {
            Err(Unknown(_)) => KeyFile::Missing,
            Err(Destroyed(_)) => KeyFile::Overwritten,
            Ok(_) | Err(_) => KeyFile::There,
        }
    }

    /// The folder of keys as this start has found it.
    pub fn keys_folder(&self) -> &KeysFolder {
        self.0.vault.folder()
    }

    /// Gives the folder of keys a name. Blocking.
    pub fn name_keys(&self) -> Result<FolderId, Error> {
        Ok(self.0.vault.name_folder()?)
    }

    /// Imports that have a key or packs.
    pub fn list(&self) -> Result<Vec<ImportId>, Error> {
        let mut imports = self.0.vault.list()?;
        for name in names(&self.0.folder)? {
            imports.extend(place::import(name.as_os_str()));
        }
        imports.sort_unstable();
        imports.dedup();
        Ok(imports)
    }

    /// Bytes used by the packs, and bytes free on the spool's file system.
    pub fn usage(&self) -> Result<Usage, Error> {
        let mut used = 0_u64;
        for name in names(&self.0.folder)? {
            if let Some(import) = place::import(name.as_os_str()) {
                used = used.saturating_add(size(&self.folder_of(import)));
            }
        }
        Ok(Usage { used, free: place::space(&self.0.folder)?.free })
    }

    fn folder_of(&self, import: ImportId) -> PathBuf {
        self.0.folder.join(import.to_string())
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

/// The packs of one import. Cheap to clone.
#[derive(Clone)]
pub struct ImportSpool(Arc<Room>);

struct Room {
    /// Keeps the lock.
    spool: Spool,
    key: ImportKey,
    folder: PathBuf,
    /// The number given to a pack last.
    last: AtomicU32,
    committer: Mutex<committer::Shared>,
}

impl ImportSpool {
    pub fn id(&self) -> ImportId {
        self.0.key.import()
    }

    /// The spool that this is a part of.
    pub fn spool(&self) -> &Spool {
        &self.0.spool
    }

    /// Removes all packs of an import that names no blob: what an attempt left that was broken off. Blocking.
    pub fn clear(&self) -> Result<(), Error> {
        for number in pack_numbers(&self.0.folder)? {
            let path = pack_path(&self.0.folder, number);
            fs::remove_file(&path).map_err(|source| place::explain(&path, source))?;
        }
        Ok(())
    }

    /// A new pack file with one owner, for what is read soon. Blocking.
    pub fn pack(&self) -> Result<Pack, Error> {
        self.pack_of(BlockFile::cached)
    }

    /// A new pack file with one owner, for objects of which each is synced before the next. Blocking.
    pub fn pack_synced_often(&self) -> Result<Pack, Error> {
        self.pack_of(BlockFile::direct)
    }

    fn pack_of(&self, way: impl FnOnce(File) -> BlockFile) -> Result<Pack, Error> {
        self.0.spool.is_there()?;
        loop {
            let next = |last: u32| last.checked_add(1);
            let last = self.0.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
            let number = last.ok().and_then(next).ok_or(Error::TooManyPacks)?;
            let path = pack_path(&self.0.folder, number);
            match place::create_file(&path) {
                Ok(file) => return Ok(Pack::new(self.clone(), number, way(file))),
                // Another handle to the same import was quicker.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(place::explain(&path, source).into()),
            }
        }
    }

    /// A small object of about `length` bytes, sealed in memory.
    pub fn draft(&self, length: usize) -> Result<Draft, Error> {
        Draft::new(&self.0.key, length)
    }

    /// For drafts of this import that come one by one. Call it inside a tokio runtime.
    pub fn committer(&self) -> Committer {
        Committer::of(self)
    }

    /// For drafts of this import that come in groups.
    pub fn group_pack(&self) -> GroupPack {
        GroupPack::new(self.clone())
    }

    /// Opens a blob for reading: verifies, decrypts, seeks. Blocking.
    ///
    /// # Errors
    /// [`Error::Damaged`] if what lies there is not that blob.
    pub fn read(&self, blob: &Blob) -> Result<BlobReader, Error> {
        let path = pack_path(&self.0.folder, blob.pack);
        let file = File::open(&path).map_err(|source| Error::unopened(&path, source))?;
        BlobReader::open(file, &self.0.key, blob)
    }

    /// Goes through all packs after a crash: what is whole, what is damaged, and a torn tail, which is cut
    /// off. Reads every byte. No pack of this import may be open for writing. Blocking.
    pub fn recover(&self) -> Result<Recovery, Error> {
        let mut recovery = Recovery::default();
        for number in pack_numbers(&self.0.folder)? {
            let path = pack_path(&self.0.folder, number);
            recovery::recover_pack(&path, number, &self.0.key, &mut recovery)?;
        }
        Ok(recovery)
    }

    fn sync_folder(&self) -> io::Result<()> {
        place::sync_folder(&self.0.folder)
    }
}

impl fmt::Debug for ImportSpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportSpool({})", self.id())
    }
}

fn pack_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:04}.pack"))
}

/// Numbers of the packs in a folder, ascending.
fn pack_numbers(folder: &Path) -> Result<Vec<u32>, Error> {
    let mut numbers = Vec::new();
    for name in names(folder)? {
        let number = name.to_str().and_then(|name| name.strip_suffix(".pack"));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn names(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let explain = |source| Error::Place(place::explain(folder, source));
    let entries = fs::read_dir(folder).map_err(explain)?;
    entries.map(|entry| Ok(PathBuf::from(entry.map_err(explain)?.file_name()))).collect()
}

/// Bytes of the files in a folder; it may be on its way out.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).fold(0, |sum, m| m.len().saturating_add(sum))
}

#[cfg(test)]
mod tests;
