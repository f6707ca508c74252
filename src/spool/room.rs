//! Room on the disk: what is promised to arrivals under way, and the floor below which nothing is written.
//!
//! Invariant: bytes of arrivals never take the space that the journal needs to finish what was accepted.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::statvfs::fstatvfs;

use super::{Error, LEAST_RESERVE, Spool, pack_numbers};
use crate::import::ImportId;
use crate::seal::place;

/// Bytes that are promised and have not come yet, of all arrivals.
pub(super) type Promised = Arc<Mutex<u64>>;

/// Imports whose packs are looked for; empty once one of them has been found.
pub(super) type Expected = BTreeSet<ImportId>;

/// Room for bytes that are on their way; what is left of it is given back when this is dropped.
pub struct Promise {
    promised: Promised,
    left: u64,
}

impl Promise {
    /// So many of the bytes lie on the disk now, and need no promise any more.
    pub fn came(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left = self.left.saturating_sub(bytes);
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        *promised = promised.saturating_sub(bytes);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.came(self.left);
    }
}

impl Spool {
    /// Promises room for `expected` bytes.
    ///
    /// # Errors
    /// [`Error::Reserved`] if they would touch the reserve or what is promised to others, [`Error::NoFiles`] if the
    /// file system has few files left.
    pub fn promise(&self, expected: u64) -> Result<Promise, Error> {
        let mut promised = self.0.promised.lock().unwrap_or_else(PoisonError::into_inner);
        self.fits(promised.saturating_add(expected))?;
        *promised = promised.saturating_add(expected);
        Ok(Promise { promised: Arc::clone(&self.0.promised), left: expected })
    }

    /// Whether `expected` more bytes may come without touching the reserve, or what is promised to others.
    ///
    /// # Errors
    /// [`Error::Reserved`] or [`Error::NoFiles`] if not, with the figures.
    pub fn admits(&self, expected: u64) -> Result<(), Error> {
        let promised = *self.0.promised.lock().unwrap_or_else(PoisonError::into_inner);
        self.fits(promised.saturating_add(expected))
    }

    /// Takes nothing new as long as all of these imports, which had packs, have none: their folder lies on a disk that
    /// is away, and what came now would lie below it, hidden, when it is back.
    pub fn expect_packs(&self, imports: Vec<ImportId>) {
        self.away().extend(imports);
    }

    /// Whether the spool folder is the one that holds what it held. Blocking.
    ///
    /// # Errors
    /// [`Error::Away`] if not.
    pub fn is_there(&self) -> Result<(), Error> {
        let mut away = self.away();
        let holds = |import: &ImportId| {
            pack_numbers(&self.folder_of(*import)).is_ok_and(|numbers| !numbers.is_empty())
        };
        if away.iter().any(holds) {
            away.clear();
        }
        match away.len() {
            0 => Ok(()),
            imports => Err(Error::Away { folder: self.0.folder.clone(), imports }),
        }
    }

    /// Nobody expects anything of an import that is destroyed.
    pub(super) fn expect_no_packs(&self, import: ImportId) {
        self.away().remove(&import);
    }

    fn away(&self) -> MutexGuard<'_, Expected> {
        self.0.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fits(&self, expected: u64) -> Result<(), Error> {
        self.is_there()?;
        let space = place::space(&self.0.folder)?;
        let reserve = self.0.reserve.bytes(space.total).max(LEAST_RESERVE);
        judge(space, reserve, expected)
    }
}

/// Whether `expected` bytes may come where `reserve` is to stay free.
pub(super) fn judge(space: place::Space, reserve: u64, expected: u64) -> Result<(), Error> {
    let free = space.free;
    if free < reserve.saturating_add(expected) {
        return Err(Error::Reserved { free, expected, reserve });
    }
    space.few_files().map_or(Ok(()), |left| Err(Error::NoFiles { left }))
}

/// Whether a pack may take so many bytes more: the reserve of the configuration is for arrivals to begin, the
/// least one is kept whatever they turn out to hold.
pub(super) fn check(pack: &File, more: usize) -> Result<(), Error> {
    let found = fstatvfs(pack).map_err(|errno| Error::from(std::io::Error::from(errno)))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    let more = u64::try_from(more).unwrap_or(u64::MAX);
    if free < LEAST_RESERVE.saturating_add(more) { Err(Error::Full) } else { Ok(()) }
}
