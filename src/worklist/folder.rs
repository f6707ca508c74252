//! A folder of `.wl` files as source, as DCMTK's wlmscpfs reads them: one entry a file, in the folder or in
//! subfolders named like application entities.
//!
//! File names are never told beyond their count; the content may hold patient data.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dicom::scan::{self, Limits};
use crate::dicom::{DataSet, Syntax};

use super::query::Query;
use super::{Entry, Gathered, Options, Origin, Reached, Reading, filter, item_of};

/// Entries of one folder; a site that keeps more has a RIS.
const FILE_LIMIT: usize = 10_000;

/// Names looked at in all folders together, whatever they are.
const NAME_LIMIT: usize = 50_000;

/// Bytes of one entry. Real ones have a few kilobytes.
const SIZE_LIMIT: u64 = 1 << 20;

/// A file that is being written is looked at again after this, and so often: a second in all, which no entry takes.
const WRITING_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const WRITING_LIMIT: usize = 10;

/// Reads the folder on a blocking thread. It is read anew for every question, so changes need no watching.
pub(super) async fn ask(path: PathBuf, queries: Vec<Query>, options: Arc<Options>) -> Gathered {
    let shown = path.display().to_string();
    let work = move || read_all(&path, &queries, &options);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(gathered)) => gathered,
        Ok(Err(error)) => Gathered::nothing(format!(
            "folder {shown} cannot be read: {}; create it, or let the gateway read it",
            error.kind()
        )),
        Err(_) => Gathered::nothing(format!("folder {shown} could not be read to its end")),
    }
}

fn read_all(path: &Path, queries: &[Query], options: &Options) -> io::Result<Gathered> {
    let reading = Reading::new(&options.fallback_character_set, &options.stations);
    let Listed { files, within_limit, closed } = entry_files(path)?;
    let shown = path.display();
    let origin = Origin::Folder(path.into());
    let (mut items, mut entries, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    if !within_limit {
        notes.push(format!("folder {shown} holds more than {FILE_LIMIT} entries; remove old ones"));
    }
    if closed > 0 {
        notes.push(format!(
            "folder {shown} has {closed} subfolders that cannot be read; let the gateway read them, or move them away"
        ));
    }
    let mut without_id = 0_usize;
    let mut take = |entry: &DataSet| match item_of(entry, &reading) {
        Some(item) if queries.iter().any(|query| filter::answers(&item, query)) => {
            if queries.iter().any(|query| query.is_window() && filter::answers(&item, query)) {
                entries.extend(Entry::read(entry, &reading, &origin).into_iter().flatten());
            }
            items.push(item);
        }
        Some(_) => {}
        None => without_id += 1,
    };
    // Removed between listing and reading: the order is gone, not unreadable.
    let is_gone = |why: &Unreadable| matches!(why, Unreadable::Io(error) if error.kind() == io::ErrorKind::NotFound);
    let mut unread = Vec::new();
    for file in files {
        let seen = stamp(&file);
        match read_entry(&file) {
            Ok(entry) => take(&entry),
            Err(why) if is_gone(&why) => {}
            Err(_) => unread.push((file, seen)),
        }
    }
    // What is unreadable and still changes is being written.
    for _ in 0..WRITING_LIMIT {
        if unread.is_empty() {
            break;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this is a blocking thread, never the runtime's"
        )]
        std::thread::sleep(WRITING_PAUSE);
        let mut is_written = false;
        unread.retain_mut(|(file, seen)| {
            let now = stamp(file);
            if now == *seen {
                return true;
            }
            (*seen, is_written) = (now, true);
            match read_entry(file) {
                Ok(entry) => take(&entry),
                Err(why) => return !is_gone(&why),
            }
            false
        });
        if !is_written {
            break;
        }
    }
    let unreadable = unread.len();
    if unreadable > 0 {
        notes.push(format!(
            "folder {shown} has {unreadable} .wl files that are no worklist entry of at most 1 MiB"
        ));
    }
    if without_id > 0 {
        notes.push(format!("folder {shown} has {without_id} .wl files without a patient ID"));
    }
    let reached = if notes.is_empty() { Reached::Whole } else { Reached::Partly };
    Ok(Gathered { items, entries, reached, notes })
}

/// The `.wl` files of a folder and its subfolders, sorted.
pub(super) struct Listed {
    pub(super) files: Vec<PathBuf>,
    pub(super) within_limit: bool,
    /// Subfolders that we may not read.
    pub(super) closed: usize,
}

/// What a file system puts into its topmost folder for itself; no application entity is called so.
const OF_THE_SYSTEM: &str = "lost+found";

pub(super) fn entry_files(folder: &Path) -> io::Result<Listed> {
    let mut files = Vec::new();
    let mut closed = 0_usize;
    let mut folders = Vec::new();
    let mut names = 0_usize;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        names += 1;
        if names > NAME_LIMIT || files.len() >= FILE_LIMIT {
            return Ok(Listed { files, within_limit: false, closed });
        }
        // Follows links: sites link the folder of an AE title to another one.
        match fs::metadata(&path) {
            Ok(what) if what.is_dir() => folders.push(path),
            Ok(what) if what.is_file() && is_entry(&path) => files.push(path),
            _ => {}
        }
    }
    folders.sort();
    for folder in folders {
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(_) if folder.ends_with(OF_THE_SYSTEM) => continue,
            // Removed since it was listed: its orders are gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => {
                closed += 1;
                continue;
            }
        };
        for entry in listed {
            let path = entry?.path();
            names += 1;
            if names > NAME_LIMIT || files.len() >= FILE_LIMIT {
                return Ok(Listed { files, within_limit: false, closed });
            }
            if is_entry(&path) && fs::metadata(&path).is_ok_and(|what| what.is_file()) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(Listed { files, within_limit: true, closed })
}

fn stamp(path: &Path) -> Option<(u64, std::time::SystemTime)> {
    let found = fs::metadata(path).ok()?;
    Some((found.len(), found.modified().ok()?))
}

/// Everything else, `lockfile` among it, is none of ours.
fn is_entry(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("wl"))
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("reading failed")]
    Io(#[from] io::Error),
    #[error("larger than 1 MiB")]
    TooLarge,
    #[error(transparent)]
    Scan(#[from] scan::Error),
    #[error("empty")]
    Empty,
}

/// Reads a Part 10 file (PS3.10 section 7) or a bare data set.
pub(super) fn read_entry(path: &Path) -> Result<DataSet, Unreadable> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    parse_entry(&bytes)
}

pub(super) fn parse_entry(bytes: &[u8]) -> Result<DataSet, Unreadable> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > SIZE_LIMIT {
        return Err(Unreadable::TooLarge);
    }
    let with_meta = bytes.get(128..132) == Some(b"DICM") || bytes.starts_with(&[2, 0]);
    let entry = if with_meta {
        let limits = Limits { header: SIZE_LIMIT, inflated: 4 * SIZE_LIMIT, ..Limits::default() };
        let scan = scan::scan_file(&mut io::Cursor::new(bytes), length, &limits)?;
        DataSet::read(&scan.header, scan.layout.syntax())?
    } else {
        DataSet::read(bytes, guess(bytes))?
    };
    if entry.is_empty() { Err(Unreadable::Empty) } else { Ok(entry) }
}

/// The syntax of a bare data set by its first element: groups of an entry are below 0x0100, and only explicit
/// elements have two capital letters behind the tag.
fn guess(bytes: &[u8]) -> Syntax {
    let explicit = bytes.get(4..6).is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
    match (explicit, bytes.first()) {
        (true, Some(0)) => Syntax::ExplicitBig,
        (true, _) => Syntax::ExplicitLittle,
        (false, _) => Syntax::ImplicitLittle,
    }
}
