//! Which folder of keys this is.
//!
//! It may lie on a disk of its own, and an empty folder stands in its place when that disk is away. So it has a name:
//! random digits in a file. Who relies on the folder remembers the name, and sees that it is another one.

use std::fs;
use std::io;
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::{Error, hex, place, wrapped};

const FILE: &str = "lotse-keys";
/// Digits of a name.
const LENGTH: usize = 32;

/// The name of a folder of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderId(String);

/// A folder of keys as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysFolder {
    Named(FolderId),
    /// It holds keys and has no name: an earlier version made it, or it was restored without.
    Unnamed,
    /// It holds neither.
    Bare,
}

impl KeysFolder {
    pub(super) fn of(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) if is_name(text.trim_end()) => {
                return Ok(Self::Named(FolderId(text.trim_end().to_owned())));
            }
            // Not ours, so there is none.
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            }
            Err(source) => return Err(place::explain(&path, source).into()),
        }
        Ok(if wrapped::list(folder)?.is_empty() { Self::Bare } else { Self::Unnamed })
    }
}

impl FolderId {
    /// A new name.
    pub(super) fn give(folder: &Path) -> Result<Self, Error> {
        let mut random = [0; LENGTH / 2];
        SystemRandom::new().fill(&mut random).map_err(|_| Error::Random)?;
        let name = hex::encode(&random);
        let path = folder.join(FILE);
        let written = place::replace(&path, format!("{name}\n").as_bytes());
        written.map_err(|source| place::explain(&path, source))?;
        Ok(Self(name))
    }
}

fn is_name(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
