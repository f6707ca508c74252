//! Folders and files that only we can read, and what is wrong with a path that can't be used.
//!
//! Invariant: what is made here has mode 0700 (folders) or 0600 (files), and is on the device, its name in the
//! folder above included, when the call returns.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::{AccessFlags, access, geteuid};

use crate::import::ImportId;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "can't use {}: {} does not exist; create it, or correct the path",
        path.display(), step.display()
    )]
    Missing { path: PathBuf, step: PathBuf },
    #[error(
        "can't use {}: {} is not a folder; move it away, or correct the path",
        path.display(), step.display()
    )]
    NotAFolder { path: PathBuf, step: PathBuf },
    #[error(
        "can't use {}: uid {uid} may not write in {}; give it the folder with `chown {uid} {}`",
        path.display(), step.display(), step.display()
    )]
    Denied { path: PathBuf, step: PathBuf, uid: u32 },
    #[error(
        "can't use {}: {} may be read by others and belongs to uid {owner}; run `chown {uid} {}`",
        path.display(), path.display(), path.display()
    )]
    Foreign { path: PathBuf, owner: u32, uid: u32 },
    #[error(
        "can't use {}: {} is on a read-only file system; mount it writable, or choose another folder",
        path.display(), step.display()
    )]
    ReadOnly { path: PathBuf, step: PathBuf },
    #[error("can't use {}: the disk is full; free space on its file system", path.display())]
    Full { path: PathBuf },
    #[error(
        "can't use {}: no more files fit on its file system, although space is free (its inodes are used up); remove \
         files there, or move this folder to a file system with more of them",
        path.display()
    )]
    NoFiles { path: PathBuf },
    #[error("can't use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Error {
    /// Whether free space would help, or fewer files.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::NoFiles { .. })
    }
}

/// Whether an error of the system means that there is no space.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes `path` a folder that only we can enter, with the folders above it as far as they are missing, and
/// checks that we can write in it. A folder of ours that others may enter is closed to them.
pub fn private_folder(path: &Path) -> Result<(), Error> {
    if !path.exists() {
        create_folders(path).map_err(|source| explain(path, source))?;
    }
    let metadata = fs::metadata(path).map_err(|source| explain(path, source))?;
    if !metadata.is_dir() {
        return Err(Error::NotAFolder { path: path.to_owned(), step: path.to_owned() });
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|source| match source
            .kind()
        {
            io::ErrorKind::PermissionDenied => Error::Foreign {
                path: path.to_owned(),
                owner: metadata.uid(),
                uid: geteuid().as_raw(),
            },
            _ => explain(path, source),
        })?;
    }
    access(path, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|errno| explain(path, errno.into()))
}

fn create_folders(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|step| is_missing(step)).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.iter().rev().try_for_each(|step| sync_folder(above(step)))
}

fn is_missing(step: &Path) -> bool {
    !step.as_os_str().is_empty() && !step.exists()
}

/// The folder that holds `path`.
pub fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Brings names that were added to or removed from a folder to the device.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Gives two files or folders of one file system each other's name, at once. It is on the device when the folder
/// above is synced.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

/// A new file for writing that only we can read. Fails if there is one already.
pub fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Puts a file of these bytes that only we can read in the place of the one that is there, as a whole or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    // One that was broken off.
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = create_file(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_folder(above(path))
}

/// The import that a file or folder of ours is named for; `None` for any other name.
pub fn import(name: &OsStr) -> Option<ImportId> {
    let name = name.to_str()?;
    let import: ImportId = name.parse().ok()?;
    // Other spellings of the same identifier are not ours.
    (import.to_string() == name).then_some(import)
}

/// Size of a file system and what is free on it for us, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
    /// Files that may still be made; `None` where they are not counted.
    pub files: Option<u64>,
}

/// So many files are left for what is under way: keys, packs, the journal's own.
const LEAST_FILES: u64 = 512;

impl Space {
    /// The files that may still be made, if they are too few.
    pub fn few_files(&self) -> Option<u64> {
        self.files.filter(|files| *files < LEAST_FILES)
    }
}

/// The space of the file system that holds `path`.
pub fn space(path: &Path) -> Result<Space, Error> {
    let found = nix::sys::statvfs::statvfs(path).map_err(|errno| explain(path, errno.into()))?;
    let unit = found.fragment_size();
    Ok(Space {
        total: found.blocks().saturating_mul(unit),
        free: found.blocks_available().saturating_mul(unit),
        files: counted(found.files(), found.files_available()),
    })
}

/// File systems that make room for files as they come tell 0 of 0.
fn counted(total: u64, available: u64) -> Option<u64> {
    (total > 0).then_some(available)
}

/// Why there is no space. A few blocks are free on a full disk too.
fn full(path: PathBuf, space: Space) -> Error {
    const SOME: u64 = 1 << 20;
    let few = space.few_files().is_some() && space.free > SOME;
    if few { Error::NoFiles { path } } else { Error::Full { path } }
}

/// Turns an error of the system into one that names the step of `path` that is wrong.
pub fn explain(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    let (existing, missing) = walk(&path);
    let uid = geteuid().as_raw();
    match source.kind() {
        _ if is_full(&source) => full(path, space(&existing).unwrap_or_default()),
        io::ErrorKind::NotFound => {
            let step = missing.unwrap_or_else(|| path.clone());
            Error::Missing { path, step }
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            Error::NotAFolder { step: existing, path }
        }
        io::ErrorKind::PermissionDenied => Error::Denied { step: existing, path, uid },
        io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { step: existing, path },
        _ => Error::Io { path, source },
    }
}

/// The last step of a path that is there, and the first that is not.
pub(super) fn walk(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let mut existing = PathBuf::new();
    let mut steps: Vec<&Path> = path.ancestors().filter(|s| !s.as_os_str().is_empty()).collect();
    steps.reverse();
    for step in steps {
        match fs::metadata(step) {
            Ok(_) => step.clone_into(&mut existing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return (existing, Some(step.to_owned()));
            }
            Err(_) => return (existing, None),
        }
    }
    (existing, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_files_is_not_one_without_space() {
        let space = |free, files| Space { total: 1 << 40, free, files };
        let told = |free, files| full("/k".into(), space(free, files)).to_string();
        for (free, files) in [(1 << 30, Some(0)), (1 << 30, Some(LEAST_FILES - 1))] {
            assert!(told(free, files).contains("inodes"), "{free} {files:?}");
        }
        for (free, files) in [(0, Some(0)), (1 << 30, None), (0, Some(1 << 20)), (0, None)] {
            assert!(told(free, files).contains("free space"), "{free} {files:?}");
        }
        assert_eq!((counted(0, 0), counted(10, 0), counted(10, 7)), (None, Some(0), Some(7)));
    }
}
