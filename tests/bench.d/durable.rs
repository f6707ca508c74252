//! The least that anybody does who answers only for what is on the device: each object is appended past the cache to a
//! file of its association and synced, then a record of it to a file of all, where those who wait share a sync.
//! Everything happens in the thread of the association. Nothing is looked at, sealed or summed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

const BLOCK: usize = 4096;
#[cfg(target_arch = "x86_64")]
const O_DIRECT: i32 = 0o40_000;
#[cfg(not(target_arch = "x86_64"))]
const O_DIRECT: i32 = 0o200_000;

/// The largest object; longer ones are no case for this floor.
const LARGEST: usize = 16 << 20;
/// About as long as Lotse's record of one instance.
const RECORD: usize = 970;
/// The file of records has its length from the start and is written round.
const RECORDS: usize = 3 << 20;

pub struct Durable {
    folder: PathBuf,
    records: File,
    state: Mutex<State>,
    turned: Condvar,
}

#[derive(Default)]
struct State {
    /// Where the next records go.
    at: usize,
    asked: usize,
    synced: usize,
    /// Somebody writes for all who have asked.
    writing: bool,
}

impl Durable {
    pub fn new(folder: &Path) -> io::Result<Self> {
        let records = File::options().write(true).create_new(true).open(folder.join("records"))?;
        records.write_all_at(&vec![0; RECORDS], 0)?;
        records.sync_all()?;
        let (state, turned) = (Mutex::default(), Condvar::new());
        Ok(Self { folder: folder.to_owned(), records, state, turned })
    }

    pub fn objects(&self, association: u64) -> io::Result<Objects> {
        let path = self.folder.join(association.to_string());
        let mut options = File::options();
        let file = options.write(true).create_new(true).custom_flags(O_DIRECT).open(path)?;
        let mut bytes: Vec<u8> = Vec::with_capacity(BLOCK);
        let skip = bytes.as_ptr().align_offset(BLOCK);
        bytes.resize(skip, 0);
        Ok(Objects { file, at: 0, bytes, skip })
    }

    /// Returns when a record more is on the device.
    pub fn record(&self) -> io::Result<()> {
        let mut state = self.state();
        state.asked += 1;
        let mine = state.asked;
        while state.synced < mine {
            if state.writing {
                state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (until, length) = (state.asked, RECORD * (state.asked - state.synced));
            let at = if state.at + length > RECORDS { 0 } else { state.at };
            (state.at, state.writing) = (at + length, true);
            drop(state);
            let written = self.records.write_all_at(&vec![1; length], at as u64);
            let synced = written.and_then(|()| self.records.sync_data());
            state = self.state();
            state.writing = false;
            self.turned.notify_all();
            synced?;
            state.synced = until;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The objects of one association.
pub struct Objects {
    file: File,
    at: u64,
    /// From `skip` on at an address that the device takes.
    bytes: Vec<u8>,
    skip: usize,
}

impl Objects {
    pub fn write(&mut self, more: &[u8]) -> io::Result<()> {
        let wanted = self.bytes.len() + more.len() + BLOCK;
        if wanted > LARGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if wanted > self.bytes.capacity() {
            let mut larger: Vec<u8> = Vec::with_capacity(wanted * 2);
            let skip = larger.as_ptr().align_offset(BLOCK);
            larger.resize(skip, 0);
            larger.extend_from_slice(self.bytes.get(self.skip..).unwrap_or_default());
            (self.bytes, self.skip) = (larger, skip);
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    /// Returns when the object is on the device.
    pub fn end(&mut self) -> io::Result<()> {
        let length = (self.bytes.len() - self.skip).next_multiple_of(BLOCK);
        self.bytes.resize(self.skip + length, 0);
        self.file.write_all_at(self.bytes.get(self.skip..).unwrap_or_default(), self.at)?;
        self.file.sync_data()?;
        self.at += length as u64;
        self.bytes.truncate(self.skip);
        Ok(())
    }
}
