//! The file of open requests: sealed, written anew as a whole, and put in place by its name.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Promise;
use crate::seal::{self, Vault, place};

const PURPOSE: &str = "lotse commitment requests 1";

/// More than any number of requests that is taken.
const LARGEST: u64 = 512 << 20;

/// Why open requests could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} cannot be used: {source}; check its disk and its owner")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Seal(#[from] seal::Error),
    #[error(
        "{path} is damaged or belongs to another master key; move it away, the peers ask again"
    )]
    Damaged { path: PathBuf },
}

pub(super) fn read(vault: &Vault, path: &Path) -> Result<Vec<Arc<Promise>>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let damaged = || Error::Damaged { path: path.to_owned() };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).map_err(io)?;
    let (wrapped, sealed) =
        bytes.split_at_checked(seal::FileKey::WRAPPED_LEN).ok_or_else(damaged)?;
    let key = vault.open_file_key(PURPOSE, wrapped).map_err(|_| damaged())?;
    let plain = key.open(0, sealed).map_err(|_| damaged())?;
    serde_json::from_slice(&plain).map_err(|_| damaged())
}

pub(super) fn write(vault: &Vault, path: &Path, open: &[Arc<Promise>]) -> Result<(), Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let (key, wrapped) = vault.file_key(PURPOSE)?;
    let plain = serde_json::to_vec(open).map_err(|error| io(error.into()))?;
    let sealed = key.seal(0, &plain)?;
    place::replace(path, &[wrapped, sealed].concat()).map_err(io)
}
