//! Files of wrapped keys: `<import>.key` holds magic, version, nonce, and the key sealed with the master key.
//!
//! A file of its own for each key, because a store that keeps deleted bytes can't destroy one.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use ring::aead::{Aad, LessSafeKey, Nonce};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::key::{ImportKey, random_nonce};
use super::{Error, KEY_LEN, NONCE_LEN, Remains, TAG_LEN, place};
use crate::import::ImportId;

const MAGIC: &[u8; 8] = b"LOTSEKEY";
/// In its place once the key is overwritten.
const GONE: &[u8; 8] = b"LOTSEGON";
const VERSION: u8 = 1;
const EXTENSION: &str = "key";
const FILE_LEN: usize = MAGIC.len() + 1 + NONCE_LEN + KEY_LEN + TAG_LEN;
/// So many keys are tried at start to tell a wrong master key from damaged files.
const TRIED_AT_START: usize = 8;

pub(super) fn write(folder: &Path, master: &LessSafeKey, key: &ImportKey) -> Result<(), Error> {
    let import = key.import();
    let mut sealed = Zeroizing::new(key.secret()?.to_vec());
    let nonce = random_nonce()?;
    let mut bytes = Vec::with_capacity(FILE_LEN);
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&nonce);
    master
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context(import)),
            &mut *sealed,
        )
        .map_err(|_| Error::TooLong)?;
    bytes.extend_from_slice(&sealed);

    let path = path(folder, import);
    let mut file = place::create_file(&path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(import),
        _ => Error::Place(place::explain(&path, source)),
    })?;
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| place::sync_folder(folder))
        .map_err(|source| {
            // Nobody has sealed with this key yet; half a file would only be in the way.
            let _ = fs::remove_file(&path);
            Error::Io { path, source }
        })
}

pub(super) fn read(
    folder: &Path,
    master: &LessSafeKey,
    import: ImportId,
) -> Result<ImportKey, Error> {
    let path = path(folder, import);
    let file = match fs::File::open(&path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Unknown(import));
        }
        other => other.map_err(|source| place::explain(&path, source))?,
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_LEN + 1));
    file.take(u64::try_from(FILE_LEN + 1).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Io { path, source })?;
    unwrap(master, import, &mut bytes)
}

fn unwrap(master: &LessSafeKey, import: ImportId, bytes: &mut [u8]) -> Result<ImportKey, Error> {
    let damaged = || Error::Damaged(import);
    let (magic, rest) = bytes.split_at_mut_checked(MAGIC.len()).ok_or_else(damaged)?;
    let (version, rest) = rest.split_first_mut().ok_or_else(damaged)?;
    if magic == GONE {
        // Overwritten by `erase`, which did not come to the removal.
        return Err(Error::Destroyed(import));
    }
    // Nobody knows what wrote that; the file may come back from a backup.
    if magic != MAGIC {
        return Err(damaged());
    }
    if *version != VERSION {
        return Err(Error::Newer(import));
    }
    let (nonce, sealed) = rest.split_first_chunk_mut::<NONCE_LEN>().ok_or_else(damaged)?;
    let plain = master
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context(import)), sealed)
        .map_err(|_| damaged())?;
    let secret = Zeroizing::new(<[u8; KEY_LEN]>::try_from(&*plain).map_err(|_| damaged())?);
    Ok(ImportKey::new(import, secret))
}

/// What became of some of a folder's keys.
pub(super) enum Tried {
    Opened,
    NoKeys,
    /// They were cut or overwritten, or can't be read now.
    NoneWhole,
    /// All that are whole, as far as they were tried.
    Unopened(Vec<ImportId>),
}

/// Tries whether `master` is the key that the files of `folder` were wrapped with.
pub(super) fn try_some(folder: &Path, master: &LessSafeKey) -> Result<Tried, Error> {
    let imports = list(folder)?;
    if imports.is_empty() {
        return Ok(Tried::NoKeys);
    }
    let mut unopened = vec![];
    for import in imports.into_iter().take(TRIED_AT_START) {
        match read(folder, master, import) {
            Ok(_) => return Ok(Tried::Opened),
            Err(Error::Damaged(_)) if is_whole(folder, import) => unopened.push(import),
            Err(_) => {}
        }
    }
    Ok(if unopened.is_empty() { Tried::NoneWhole } else { Tried::Unopened(unopened) })
}

fn is_whole(folder: &Path, import: ImportId) -> bool {
    let whole = u64::try_from(FILE_LEN).unwrap_or(u64::MAX);
    fs::metadata(path(folder, import)).is_ok_and(|metadata| metadata.len() == whole)
}

/// Overwrites with random bytes, syncs, removes, syncs the folder.
///
/// # Errors
/// If the noise may not be on the device: what a file says that was written and not synced is no proof, and the
/// device may hold the key still.
pub(super) fn erase(folder: &Path, import: ImportId) -> Result<Remains, Error> {
    erase_by(folder, import, |path| fs::remove_file(path))
}

fn erase_by(
    folder: &Path,
    import: ImportId,
    remove: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<Remains, Error> {
    let path = path(folder, import);
    let failed = |source| Error::Io { path: path.clone(), source };
    let mut file = match OpenOptions::new().write(true).open(&path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            // It may have been removed a moment ago, and come back with the power.
            place::sync_folder(folder).map_err(failed)?;
            return Ok(Remains::Nothing);
        }
        Err(source) => return Err(place::explain(&path, source).into()),
    };
    let mut noise = [0; FILE_LEN];
    SystemRandom::new().fill(&mut noise).map_err(|_| Error::Random)?;
    // So that a start can tell it from a file that something else has spoiled.
    noise.iter_mut().zip(GONE).for_each(|(byte, gone)| *byte = *gone);
    file.rewind()
        .and_then(|()| file.write_all(&noise))
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    // The key is gone, whatever becomes of the file.
    let removed = remove(&path).and_then(|()| place::sync_folder(folder));
    Ok(removed.map_or_else(|source| Remains::File(failed(source)), |()| Remains::Nothing))
}

/// Imports with a key file; files of other names are not ours to judge.
pub(super) fn list(folder: &Path) -> Result<Vec<ImportId>, Error> {
    let entries = fs::read_dir(folder).map_err(|source| place::explain(folder, source))?;
    let mut imports = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| Error::Io { path: folder.to_owned(), source })?;
        let name = PathBuf::from(entry.file_name());
        if name.extension().is_some_and(|found| found == EXTENSION) {
            imports.extend(name.file_stem().and_then(place::import));
        }
    }
    imports.sort_unstable();
    Ok(imports)
}

fn path(folder: &Path, import: ImportId) -> PathBuf {
    folder.join(format!("{import}.{EXTENSION}"))
}

/// The files of these imports, for a person.
pub(super) fn names(imports: &[ImportId]) -> String {
    let names = imports.iter().map(|import| format!("{import}.{EXTENSION}"));
    names.collect::<Vec<_>>().join(", ")
}

/// What is authenticated with a wrapped key: a file renamed to another import is refused.
fn context(import: ImportId) -> [u8; MAGIC.len() + 1 + 16] {
    let mut bytes = [0; MAGIC.len() + 1 + 16];
    let parts = MAGIC.iter().chain(&[VERSION]).chain(import.as_bytes());
    bytes.iter_mut().zip(parts).for_each(|(into, from)| *into = *from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::key;

    #[test]
    fn a_key_is_destroyed_once_its_noise_is_on_the_device() {
        let at = tempfile::tempdir().unwrap();
        let (folder, import) = (at.path(), ImportId::new());
        let master = key::cipher(&[1; KEY_LEN]).unwrap();
        write(folder, &master, &ImportKey::generate(import).unwrap()).unwrap();
        // The file stays.
        let refused = |_: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(erase_by(folder, import, refused), Ok(Remains::File(_))));
        assert!(matches!(read(folder, &master, import), Err(Error::Destroyed(_))));
        assert!(matches!(erase(folder, import), Ok(Remains::Nothing)));
        assert!(matches!(erase(folder, import), Ok(Remains::Nothing)));
        // What something else has spoiled may come back from a backup.
        for spoiled in [[0x5a; FILE_LEN], [0; FILE_LEN], [0xff; FILE_LEN]] {
            fs::write(path(folder, import), spoiled).unwrap();
            assert!(matches!(read(folder, &master, import), Err(Error::Damaged(_))));
        }
        assert!(matches!(erase(folder, import), Ok(Remains::Nothing)));
        // What takes noise and cannot be synced.
        std::os::unix::fs::symlink("/dev/urandom", path(folder, import)).unwrap();
        assert!(matches!(erase(folder, import), Err(Error::Io { .. })));
        assert_eq!(list(folder).unwrap(), [import], "it can be tried again");
        // Nor is it gone for what is not there, with its folder.
        let away = folder.join("away");
        assert!(matches!(erase(&away, import), Err(Error::Io { .. })));
        // What a file system lost was not destroyed by us.
        fs::remove_file(path(folder, import)).unwrap();
        fs::write(path(folder, import), [0; FILE_LEN]).unwrap();
        assert!(matches!(read(folder, &master, import), Err(Error::Damaged(_))));
    }
}
