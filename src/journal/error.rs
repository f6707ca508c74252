//! Why records could not be kept or read.

use std::io;
use std::path::PathBuf;

use crate::import::ImportId;
use crate::seal::{self, place};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "another process uses the journal in {}; stop the other gateway, or give this one its own data \
         folder",
        path.display()
    )]
    Locked { path: PathBuf },
    #[error(
        "the journal in {} was written by a newer version ({found}); install that version again",
        path.display()
    )]
    Newer { path: PathBuf, found: u8 },
    #[error("the disk is full: free space on the journal's file system, then retry")]
    Full,
    #[error(transparent)]
    Place(#[from] place::Error),
    #[error(transparent)]
    Seal(#[from] seal::Error),
    #[error("event {found} of import {import} is out of order: {expected} is the next one")]
    OutOfOrder { import: ImportId, found: u64, expected: u64 },
    #[error("import {0} has ended: it takes no more events")]
    Buried(ImportId),
    #[error("an event is larger than {limit} bytes, which is more than is kept")]
    TooLong { limit: usize },
    #[error("a record could not be written as JSON")]
    Unwritable,
    #[error(
        "the journal can't be written any more ({0}); look at the disk, then restart the gateway"
    )]
    Broken(String),
    #[error(
        "the journal in {} can't be opened ({reason}); restore it from your backup, or move the folder away",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    /// Of a folder that was to take the journal's place, and did not.
    #[error(
        "{} can't be filled ({reason}), and the journal is as it was; look at the disk, then try again",
        path.display()
    )]
    Apart { path: PathBuf, reason: String },
    #[error(
        "{} belongs to uid {owner}; run this as that user: `sudo -u '#{owner}' lotse journal …`",
        path.display()
    )]
    NotOurs { path: PathBuf, owner: u32 },
    #[error(
        "line {line} is not of a journal's dump, and nothing was loaded; dump the journal again, then load that"
    )]
    NotADump { line: u64 },
    #[error(
        "the dump was written by a newer version ({found}), and nothing was loaded; load it with that version"
    )]
    NewerDump { found: u8 },
    #[error("the dump is cut off, and nothing was loaded; dump the journal again, then load that")]
    CutOff,
    #[error(
        "the journal in {} has records already; move that folder away, then load into an empty folder",
        path.display()
    )]
    NotEmpty { path: PathBuf },
    #[error("the dump can't be read or written: {0}")]
    Io(io::Error),
}

impl Error {
    /// Whether free space would help.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Place(error) => error.is_full(),
            Self::Seal(error) => error.is_full(),
            _ => false,
        }
    }
}
