//! The token that opens the API and the console until accounts exist, and random secrets in general.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Error;
use crate::seal::place;

/// 256 bits: guessing is hopeless at any rate.
const BYTES: usize = 32;
/// The token and a line break; a longer file is not a token file.
const FILE_LIMIT: u64 = 256;

/// The secret in `<data-dir>/api.token`. Never printed; cheap to clone.
#[derive(Clone)]
pub struct ApiToken(Arc<Zeroizing<String>>);

impl ApiToken {
    /// Reads the token, or makes one (mode 0600, synced) if there is no file. Blocking: for the start.
    ///
    /// # Errors
    /// If the file can be read by others, is not a token, or cannot be read or written.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        match open_plain(path) {
            Ok(file) => Self::read(path, &file),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(cause) => Err(unusable(path, cause)),
        }
    }

    /// The token itself, for the one who owns this process: the demo prints it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this is the token; takes the same time for every text of the same length.
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }

    fn read(path: &Path, file: &File) -> Result<Self, Error> {
        let metadata = file.metadata().map_err(|cause| unusable(path, cause))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::TokenReadable { path: path.to_owned(), mode });
        }
        let malformed = || Error::TokenMalformed { path: path.to_owned() };
        if !metadata.is_file() || metadata.len() > FILE_LIMIT {
            return Err(malformed());
        }
        let mut text = Zeroizing::new(String::new());
        std::io::Read::take(file, FILE_LIMIT)
            .read_to_string(&mut text)
            .map_err(|cause| unusable(path, cause))?;
        let token = text.trim();
        if token.len() != 2 * BYTES || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        Ok(Self(Arc::new(Zeroizing::new(token.to_owned()))))
    }

    /// Written beside and renamed, so that a crash never leaves half a token.
    fn create(path: &Path) -> Result<Self, Error> {
        let failed = |cause| unusable(path, cause);
        let token = random_hex().map_err(failed)?;
        let line = Zeroizing::new(format!("{}\n", *token));
        place::replace(path, line.as_bytes()).map_err(failed)?;
        Ok(Self(Arc::new(token)))
    }
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiToken(redacted)")
    }
}

/// 32 bytes of the kernel's randomness as hexadecimal digits. Takes microseconds.
pub(crate) fn random_hex() -> std::io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0_u8; BYTES]);
    File::open("/dev/urandom")?.read_exact(bytes.as_mut())?;
    // Reserved in full, so that no partial copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(2 * BYTES));
    for byte in bytes.iter() {
        for digit in [byte >> 4, byte & 0x0f] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    Ok(text)
}

/// A symbolic link in the place of the token is refused: it could point at a file of somebody else.
fn open_plain(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags((nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits())
        .open(path)
}

fn unusable(path: &Path, cause: std::io::Error) -> Error {
    Error::Token { path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests;
