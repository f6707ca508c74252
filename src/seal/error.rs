//! Why a key or sealed bytes could not be used.

use std::io;
use std::path::PathBuf;

use super::{place, wrapped};
use crate::import::ImportId;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Place(#[from] place::Error),
    #[error(
        "the master key file {} is missing: {} does not exist; make one with \
         `(umask 077; openssl rand -hex 32 > {})`, or restore it if this installation had one",
        path.display(), step.display(), path.display()
    )]
    MasterMissing { path: PathBuf, step: PathBuf },
    #[error(
        "the master key file {} is missing, but the keys in {} were wrapped with it; restore it from your \
         backup, or move the data folder away to start anew",
        path.display(), folder.display()
    )]
    MasterLost { path: PathBuf, folder: PathBuf },
    #[error("the master key file {} is not a regular file; name a file of 32 bytes", path.display())]
    MasterNotAFile { path: PathBuf },
    #[error(
        "the master key file {} can be read or written by others (mode {mode:04o}); run `chmod 0600 {}`",
        path.display(), path.display()
    )]
    MasterOpen { path: PathBuf, mode: u32 },
    #[error(
        "the master key file {} belongs to uid {owner}; run `chown {uid} {}`",
        path.display(), path.display()
    )]
    MasterForeign { path: PathBuf, owner: u32, uid: u32 },
    #[error(
        "the master key file {} does not hold a key: it must be 32 bytes, or 64 hexadecimal digits as \
         `openssl rand -hex 32` prints them",
        path.display()
    )]
    MasterMalformed { path: PathBuf },
    #[error(
        "the master key in {} is not the one that the keys in {} were wrapped with; restore the right file \
         from your backup",
        path.display(), folder.display()
    )]
    WrongMaster { path: PathBuf, folder: PathBuf },
    #[error(
        "the master key in {} opens none of the keys in {}; if it is not the one that they were wrapped with, restore \
         the right file from your backup; if it is, these files are damaged: {}; restore them from your backup, or \
         move them away, which gives up what their imports hold",
        path.display(), folder.display(), wrapped::names(imports)
    )]
    NoKeyOpens { path: PathBuf, folder: PathBuf, imports: Vec<ImportId> },
    #[error("import {0} has no key: its bytes can't be read any more")]
    Unknown(ImportId),
    #[error("the key of import {0} was destroyed: its bytes can't be read any more")]
    Destroyed(ImportId),
    #[error("import {0} has a key already")]
    Exists(ImportId),
    #[error(
        "the key file of import {0} is damaged; restore it from your backup, or erase the import"
    )]
    Damaged(ImportId),
    #[error(
        "the key file of import {0} was written by a newer version; install that version again"
    )]
    Newer(ImportId),
    #[error("sealed bytes are damaged, or belong to another place")]
    Forged,
    #[error("the system gives no random numbers")]
    Random,
    #[error("too many bytes to be sealed at once")]
    TooLong,
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Error {
    /// Whether free space would help.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Place(error) if error.is_full())
            || matches!(self, Self::Io { source, .. } if place::is_full(source))
    }

    /// Whether the same may go well later, when somebody has looked after the place or the device.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Place(_) | Self::Io { .. } | Self::Random => true,
            Self::MasterMissing { .. }
            | Self::MasterLost { .. }
            | Self::MasterNotAFile { .. }
            | Self::MasterOpen { .. }
            | Self::MasterForeign { .. }
            | Self::MasterMalformed { .. }
            | Self::WrongMaster { .. }
            | Self::NoKeyOpens { .. }
            | Self::Unknown(_)
            | Self::Destroyed(_)
            | Self::Exists(_)
            | Self::Damaged(_)
            | Self::Newer(_)
            | Self::Forged
            | Self::TooLong => false,
        }
    }
}
