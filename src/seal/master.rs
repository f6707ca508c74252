//! The master key file: read with suspicion, made once.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use super::{Error, KEY_LEN, hex, place};

/// A key file is never longer: 64 digits and the end of a line.
const MAX_FILE_LEN: u64 = 66;

/// Reads a key and refuses a file that others can read or change.
pub(super) fn read(path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>, Error> {
    // Non-blocking, so that a named pipe is refused instead of waited for.
    let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            let step = place::walk(path).1.unwrap_or_else(|| path.to_owned());
            Error::MasterMissing { path: path.to_owned(), step }
        }
        _ => Error::Place(place::explain(path, source)),
    })?;
    // Of the open file, not of the path: it can't be exchanged in between.
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    if !metadata.is_file() {
        return Err(Error::MasterNotAFile { path: path.to_owned() });
    }
    let (owner, uid) = (metadata.uid(), geteuid().as_raw());
    if owner != uid && owner != 0 {
        return Err(Error::MasterForeign { path: path.to_owned(), owner, uid });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 && !is_credential(path, &metadata) {
        return Err(Error::MasterOpen { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(128));
    file.take(MAX_FILE_LEN.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    parse(&bytes).ok_or_else(|| Error::MasterMalformed { path: path.to_owned() })
}

/// systemd gives a credential to a service by an access list, whose mask looks like a group's right to read.
/// The file belongs to root, the folder above it lets only the service in.
fn is_credential(path: &Path, metadata: &fs::Metadata) -> bool {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let below = folder.is_some_and(|folder| path.parent() == Some(folder.as_path()));
    below && metadata.uid() == 0 && metadata.gid() == 0 && metadata.mode() & 0o777 == 0o440
}

fn parse(bytes: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    if bytes.len() == KEY_LEN {
        key.copy_from_slice(bytes);
        return Some(key);
    }
    let mut decoded = Zeroizing::new(Vec::with_capacity(2 * KEY_LEN));
    hex::decode_into(bytes.trim_ascii_end(), &mut decoded)?;
    (decoded.len() == KEY_LEN).then(|| key.copy_from_slice(&decoded))?;
    Some(key)
}

/// Makes a key file; it is complete whenever it is there.
pub(super) fn create(path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>, Error> {
    let folder = place::above(path);
    if !folder.exists() {
        place::private_folder(folder)?;
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    SystemRandom::new().fill(key.as_mut()).map_err(|_| Error::Random)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    match fs::remove_file(&draft) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(place::explain(&draft, source).into());
        }
        _ => {}
    }
    let mut file = place::create_file(&draft).map_err(|source| place::explain(folder, source))?;
    let mut digits = hex::encode(key.as_ref());
    let written = writeln!(file, "{digits}").and_then(|()| file.sync_all());
    digits.zeroize();
    // A link, not a renaming: it fails if another process was quicker.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    linked.and(removed).map_err(|source| io_error(path, source))?;
    place::sync_folder(folder).map_err(|source| io_error(path, source))?;
    Ok(key)
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}
