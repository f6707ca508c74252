//! Keys of imports, and the sealing of bytes with them.
//!
//! Owns the master key, the folder of wrapped keys (one small file an import) and every cipher call. A master
//! key never leaves this module, and an import's key leaves it only as a handle that seals and opens. Files with
//! secrets of others are read by [`secret`].
//! Invariants: a key is on the device before anybody can seal with it; once [`Vault::destroy`] returned,
//! nothing that was sealed with that key can be read again, by handles that are still held neither.
//!
//! Everything is AES-256-GCM. An import's random key seals nothing itself: HKDF-SHA-256 makes one sub-key for
//! its records (random nonces) and one for every blob from a random salt (counters as nonces).
//! Our copies of keys are wiped when dropped. The key schedules inside `ring` are not; those of records live
//! for one call, those of blobs as long as the blob is open.

mod error;
mod file;
mod folder;
pub(crate) mod hex;
mod key;
mod mark;
mod master;
pub mod place;
pub mod secret;
mod stream;
mod wrapped;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::aead::LessSafeKey;

pub use error::Error;
pub use file::FileKey;
pub use folder::{FolderId, KeysFolder};
pub use key::ImportKey;
pub use stream::{Part, StreamKey};

use self::mark::Mark;
use self::wrapped::Tried;
use crate::import::ImportId;

/// Length of every key here, in bytes: AES-256.
const KEY_LEN: usize = 32;
/// Length of a nonce of AES-GCM, in bytes.
const NONCE_LEN: usize = 12;
/// Length of the tag that AES-GCM adds, in bytes.
pub const TAG_LEN: usize = 16;

/// All keys of this installation: the master key, and a folder of one wrapped key an import. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    found: KeysFolder,
    /// Open, so that its disk is not taken away while it is in use.
    _held: File,
    master: LessSafeKey,
    proof: Proof,
    cache: Mutex<Cache>,
}

/// By what the master key is known to be the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Marked,
    /// It opens keys, or there are none.
    Keys,
    None,
}

/// What is left of a key that is destroyed.
#[derive(Debug)]
pub enum Remains {
    Nothing,
    /// A file of noise that could not be removed, and why.
    File(Error),
}

/// Keys in use. At most one for each key file, and a key file lives a week at most.
#[derive(Default)]
struct Cache {
    keys: HashMap<ImportId, ImportKey>,
    /// Grows with every destruction, so that a key read meanwhile is not taken for a living one.
    destructions: u64,
}

impl Vault {
    /// Opens the folder of keys, making it if it is missing, with the key in `master_key_file`: 32 bytes, raw
    /// or hexadecimal, mode 0600 or stricter, owned by us or root.
    ///
    /// # Errors
    /// Names the file, the step of its path that is wrong and what to do; also if the key is another one than
    /// the folder's keys were wrapped with.
    pub fn open(keys_dir: &Path, master_key_file: &Path) -> Result<Self, Error> {
        let master = master::read(master_key_file)?;
        Self::with_master(keys_dir, master_key_file, &master)
    }

    /// As [`Vault::open`], but creates the master key file (0600, synced) if there is none: the embedded
    /// default.
    ///
    /// # Errors
    /// As [`Vault::open`]; also if the file is missing although there are keys that were wrapped with it.
    pub fn open_or_create(keys_dir: &Path, master_key_file: &Path) -> Result<Self, Error> {
        let master = match master::read(master_key_file) {
            Err(Error::MasterMissing { .. }) => {
                if keys_dir.exists() && !wrapped::list(keys_dir)?.is_empty() {
                    return Err(Error::MasterLost {
                        path: master_key_file.to_owned(),
                        folder: keys_dir.to_owned(),
                    });
                }
                master::create(master_key_file)?
            }
            other => other?,
        };
        Self::with_master(keys_dir, master_key_file, &master)
    }

    /// Whether [`Vault::open`] would find the right master key. Makes nothing: an empty folder that was made here would
    /// stand in the place of one that is not mounted.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn check(keys_dir: &Path, master_key_file: &Path) -> Result<(), Error> {
        let master = key::cipher(&*master::read(master_key_file)?)?;
        if !keys_dir.exists() {
            return Ok(());
        }
        place::private_folder(keys_dir)?;
        Self::fits(keys_dir, master_key_file, &master).map(drop)
    }

    fn fits(folder: &Path, file: &Path, master: &LessSafeKey) -> Result<Proof, Error> {
        let mark = mark::read(folder, master);
        if mark == Mark::Fits {
            return Ok(Proof::Marked);
        }
        let (path, folder) = (file.to_owned(), folder.to_owned());
        match (wrapped::try_some(&folder, master)?, mark) {
            (Tried::Opened | Tried::NoKeys, _) => Ok(Proof::Keys),
            (Tried::NoneWhole, _) => Ok(Proof::None),
            (Tried::Unopened(_), Mark::Foreign) => Err(Error::WrongMaster { path, folder }),
            (Tried::Unopened(imports), Mark::Fits | Mark::Silent) => {
                Err(Error::NoKeyOpens { path, folder, imports })
            }
        }
    }

    fn with_master(folder: &Path, file: &Path, key: &[u8; KEY_LEN]) -> Result<Self, Error> {
        place::private_folder(folder)?;
        let held = File::open(folder).map_err(|source| place::explain(folder, source))?;
        let found = KeysFolder::of(folder)?;
        let master = key::cipher(key)?;
        let proof = Self::fits(folder, file, &master)?;
        let (folder, cache) = (folder.to_owned(), Mutex::new(Cache::default()));
        Ok(Self(Arc::new(Inner { folder, found, _held: held, master, proof, cache })))
    }

    /// Has later starts tell a key file that is damaged from a master key that is the wrong one, if this one is known
    /// to be right. Blocking.
    pub fn mark(&self) -> Result<(), Error> {
        match self.0.proof {
            Proof::Keys => mark::write(&self.0.folder, &self.0.master),
            Proof::Marked | Proof::None => Ok(()),
        }
    }

    /// The folder as it was found when it was opened.
    pub fn folder(&self) -> &KeysFolder {
        &self.0.found
    }

    /// Gives the folder a new name, which is on the device when this returns. Blocking.
    pub fn name_folder(&self) -> Result<FolderId, Error> {
        FolderId::give(&self.0.folder)
    }

    /// A new key, its wrapped form on the device before this returns. Blocking.
    pub fn create(&self, import: ImportId) -> Result<ImportKey, Error> {
        let key = ImportKey::generate(import)?;
        wrapped::write(&self.0.folder, &self.0.master, &key)?;
        self.cache().keys.insert(import, key.clone());
        Ok(key)
    }

    /// The key of an import. Reads one small file the first time.
    ///
    /// # Errors
    /// [`Error::Unknown`] if there is none, which is so after it was destroyed.
    pub fn get(&self, import: ImportId) -> Result<ImportKey, Error> {
        loop {
            let before = {
                let cache = self.cache();
                if let Some(key) = cache.keys.get(&import) {
                    return Ok(key.clone());
                }
                cache.destructions
            };
            let key = wrapped::read(&self.0.folder, &self.0.master, import)?;
            let mut cache = self.cache();
            if cache.destructions == before {
                return Ok(cache.keys.entry(import).or_insert(key).clone());
            }
        }
    }

    /// Overwrites, syncs and removes the wrapped key, and makes every handle to it useless. Succeeds if it is
    /// gone already. Blocking.
    ///
    /// # Errors
    /// If the device may still hold the key. It has to be tried again; the handles are useless all the same.
    pub fn destroy(&self, import: ImportId) -> Result<Remains, Error> {
        self.forget(import);
        let result = wrapped::erase(&self.0.folder, import);
        // Once more: a handle may have been made from the file while it was being overwritten.
        self.forget(import);
        result
    }

    /// Imports that have a key. Blocking.
    pub fn list(&self) -> Result<Vec<ImportId>, Error> {
        wrapped::list(&self.0.folder)
    }

    fn forget(&self, import: ImportId) {
        let mut cache = self.cache();
        cache.destructions = cache.destructions.wrapping_add(1);
        if let Some(key) = cache.keys.remove(&import) {
            key.kill();
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
