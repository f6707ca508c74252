//! A folder as file-set: names that media allow, and a DICOMDIR that lists every object (PS3.10 8, PS3.3 F).
//!
//! Invariants: the DICOMDIR is replaced as a whole, synced before and after, by one run at a time; it lists only files
//! that are there under their final names, each once and as it is there; a file-set whose DICOMDIR is lost or not
//! readable gets one from its files.

mod directory;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use self::directory::Directory;
use crate::dicom::{DataSet, Uid, scan};

const DICOMDIR: &str = "DICOMDIR";

/// The longest DICOMDIR that is read: some hundred bytes an object.
const LONGEST: u64 = 256 << 20;

/// Names that are tried for one object: each is taken by another one once in thousands of millions of objects.
pub(super) const TRIES: u32 = 8;

/// Folders and files of a file-set that are looked at.
const MOST_FILES: usize = 1_000_000;

/// Where an object lies below the root: study, series, object.
pub(super) fn place(study: &Uid, series: &Uid, instance: &Uid, tried: u32) -> [String; 3] {
    [name('S', study, 0), name('E', series, 0), name('I', instance, tried)]
}

/// Eight characters that follow from the UID, so that importing again finds what is there (PS3.10 8.2).
fn name(first: char, uid: &Uid, tried: u32) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut digest = Sha256::new();
    digest.update(uid.as_str());
    digest.update(tried.to_le_bytes());
    let digest = digest.finalize();
    let letter = |byte: &u8| LETTERS.get(usize::from(byte & 31)).map_or('A', |l| char::from(*l));
    std::iter::once(first).chain(digest.iter().take(7).map(letter)).collect()
}

/// Who brings the DICOMDIR of a folder up to date. A reload gives a destination new permits while runs of before go on,
/// and two destinations may name one folder.
static LISTING: LazyLock<Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>> = LazyLock::new(Mutex::default);

fn listing(root: &Path) -> io::Result<Arc<Mutex<()>>> {
    let root = std::fs::canonicalize(root)?;
    let mut folders = LISTING.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Arc::clone(folders.entry(root).or_default()))
}

/// Lists what lies in the folder of one study, beside what is listed already; gives the SOP Instance UIDs that are
/// listed of the study now. Blocking.
///
/// # Errors
/// If the folder cannot be read or written.
pub(super) fn list(root: &Path, study: &str) -> io::Result<BTreeSet<String>> {
    let folder = listing(root)?;
    let _alone = folder.lock().unwrap_or_else(PoisonError::into_inner);
    let mut listed = BTreeSet::new();
    let mut directory = match read(root)? {
        Some(mut directory) => {
            // What was moved away may have come again, for another patient.
            let ours = format!("{study}\\");
            let mut folders = BTreeMap::new();
            directory.retain(|file| !file.starts_with(&ours) && is_there(root, file, &mut folders));
            add(&mut directory, root, study, &mut listed)?;
            directory
        }
        None => {
            let mut directory = Directory::default();
            for folder in names(root)? {
                let mut others = BTreeSet::new();
                let found = if folder == study { &mut listed } else { &mut others };
                add(&mut directory, root, &folder, found)?;
            }
            directory
        }
    };
    let bytes = directory.write().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the DICOMDIR would be too long; use another folder",
        )
    })?;
    let part = root.join(".DICOMDIR.part");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o640).open(&part)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&part, root.join(DICOMDIR))?;
    File::open(root)?.sync_all()?;
    Ok(listed)
}

/// Whether a file that is listed is there; where that cannot be told, it is not taken for gone. Each folder is read
/// once, into `folders`: a file-set has far more files.
fn is_there(
    root: &Path,
    file: &str,
    folders: &mut BTreeMap<String, Option<BTreeSet<OsString>>>,
) -> bool {
    let (folder, name) = file.rsplit_once('\\').unwrap_or(("", file));
    let held = folders.entry(folder.to_owned()).or_insert_with(|| {
        let path = folder.split('\\').fold(root.to_owned(), |path, name| path.join(name.trim()));
        entries(&path).and_then(|held| held.collect()).ok()
    });
    held.as_ref().is_none_or(|held| held.contains(OsStr::new(name.trim())))
}

fn read(root: &Path) -> io::Result<Option<Directory>> {
    let path = root.join(DICOMDIR);
    let length = match std::fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > LONGEST {
        return Ok(None);
    }
    Ok(Directory::read(&std::fs::read(path)?))
}

fn add(
    directory: &mut Directory,
    root: &Path,
    study: &str,
    listed: &mut BTreeSet<String>,
) -> io::Result<()> {
    for series in names(&root.join(study))? {
        let folder = root.join(study).join(&series);
        for file in names(&folder)? {
            let path = folder.join(&file);
            let id = [study.to_owned(), series.clone(), file];
            // Somebody else's file is not listed.
            if let Some(object) = records::read(&path, &id) {
                let [.., (instance, _)] = &object.records;
                listed.insert(instance.clone());
                directory.add(object);
            }
        }
    }
    Ok(())
}

/// What lies in a folder under names that a file-set allows; nothing if it is none.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in entries(folder)?.take(MOST_FILES) {
        let allowed = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
        let name = entry?.into_string().unwrap_or_default();
        if (1..=8).contains(&name.len()) && name != DICOMDIR && name.bytes().all(allowed) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What lies in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
    let found = match std::fs::read_dir(folder) {
        Ok(found) => Some(found),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) =>
        {
            None
        }
        Err(error) => return Err(error),
    };
    Ok(found.into_iter().flatten().map(|entry| Ok(entry?.file_name())))
}

/// The header of a file that is there.
pub(super) fn header_of(path: &Path) -> Option<(DataSet, scan::Scan)> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let length = file.get_ref().metadata().ok()?.len();
    let scanned = scan::scan_file(&mut file, length, &scan::Limits::default()).ok()?;
    let header = DataSet::read(&scanned.header, scanned.layout.syntax()).ok()?;
    Some((header, scanned))
}

/// Of the root, the path of a file.
pub(super) fn path(root: &Path, place: &[String; 3]) -> PathBuf {
    place.iter().fold(root.to_owned(), |path, name| path.join(name))
}

#[cfg(test)]
mod tests;
