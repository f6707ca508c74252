//! Why bytes could not be kept or read.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::seal::{self, place};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the disk is full: free space on the spool's file system")]
    Full,
    #[error(
        "{} are free on the spool's file system, and {} of them are reserved for what is under way: {} more \
         don't fit; free space, or wait until delivered imports have expired",
        size(*free), size(*reserve), size(*expected)
    )]
    Reserved { free: u64, expected: u64, reserve: u64 },
    #[error(
        "no more files fit on the spool's file system, although space is free: {left} of its inodes are left; remove \
         files there, or move the data folder to a file system with more of them"
    )]
    NoFiles { left: u64 },
    #[error(
        "another process uses the spool in {}; stop the other gateway, or give this one its own data folder",
        path.display()
    )]
    Locked { path: PathBuf },
    #[error(transparent)]
    Place(place::Error),
    #[error(
        "the spool does not hold these bytes any more: {} does not exist; bring the spool folder back",
        step.display()
    )]
    Absent { step: PathBuf },
    #[error(
        "nothing of the {imports} imports that it held is in the spool folder {}: bring the spool folder back (if it \
         lies on a disk of its own, mount it), or erase the imports; nothing new is taken before",
        folder.display()
    )]
    Away { folder: PathBuf, imports: usize },
    #[error(transparent)]
    Seal(seal::Error),
    #[error("spooled bytes are damaged ({0}); fetch the examination again")]
    Damaged(&'static str),
    #[error("spooled bytes were written by a newer version; install that version again")]
    Newer,
    #[error("there are more than {limit} bytes, which is more than is taken")]
    TooLong { limit: u64 },
    #[error("an import has at most 4294967295 packs")]
    TooManyPacks,
    #[error("the pack is not ready for that: {0}")]
    OutOfTurn(&'static str),
    #[error("the bytes to be spooled could not be read: {0}")]
    Source(io::Error),
    #[error("the spool can't be written or read: {0}; look at the disk")]
    Io(io::Error),
    #[error("the task that writes a pack ended early; look into the log")]
    Gone,
}

impl Error {
    pub(super) fn locked(folder: &Path, errno: Errno) -> Self {
        match errno {
            Errno::EWOULDBLOCK => Self::Locked { path: folder.to_owned() },
            other => place::explain(folder, other.into()).into(),
        }
    }

    /// Whether free space would help, or fewer files.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full | Self::Reserved { .. } | Self::NoFiles { .. } => true,
            Self::Place(error) => error.is_full(),
            _ => false,
        }
    }

    /// Whether the same may go well later, when somebody has looked after the disk; what lies there as something
    /// else than was written stays so.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Full
            | Self::Reserved { .. }
            | Self::NoFiles { .. }
            | Self::Away { .. }
            | Self::Locked { .. }
            | Self::Place(_)
            | Self::Absent { .. }
            | Self::Source(_)
            | Self::Io(_)
            | Self::Gone => true,
            Self::Seal(error) => error.is_passing(),
            Self::Damaged(_)
            | Self::Newer
            | Self::TooLong { .. }
            | Self::TooManyPacks
            | Self::OutOfTurn(_) => false,
        }
    }

    /// Why a pack that records name can't be opened.
    pub(super) fn unopened(pack: &Path, source: io::Error) -> Self {
        match place::explain(pack, source) {
            place::Error::Missing { step, .. } => Self::Absent { step },
            error => error.into(),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if place::is_full(&error) { Self::Full } else { Self::Io(error) }
    }
}

impl From<place::Error> for Error {
    fn from(error: place::Error) -> Self {
        match error {
            place::Error::Full { .. } => Self::Full,
            error => Self::Place(error),
        }
    }
}

impl From<seal::Error> for Error {
    fn from(error: seal::Error) -> Self {
        match error {
            seal::Error::Place(error) if error.is_full() => error.into(),
            error if error.is_full() => Self::Full,
            seal::Error::Forged => Self::Damaged("a chunk does not bear its seal"),
            error => Self::Seal(error),
        }
    }
}

/// Bytes in the unit that a person reads.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, name)| {
            let (whole, rest) = (bytes / unit, bytes % unit);
            format!("{whole}.{} {name}", rest.saturating_mul(10) / unit)
        },
    )
}
