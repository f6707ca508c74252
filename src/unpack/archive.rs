//! ZIP archives: every listed file, one after the other, whatever its name.
//!
//! The table of contents is walked and not indexed by name, so that files of equal names are all read and a
//! million entries take no memory. That walk is in the zip crate's unstable part: its stable reader keeps the
//! last of several files with one name and loses the others.

use std::io::{Read, Seek, SeekFrom};

use zip::read::{ArchiveOffset, Config, ZipFileEntry};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;
use zip::{CompressionMethod, ZipReadOptions};

use super::content::is_zip;
use super::intake::{self, Entry, Outcome};
use super::medium::Medium;
use super::meter::{Budget, Meter, Record, Source};
use super::name::Name;
use super::{Error, LazyPack, Ledger};
use crate::import::File;
use crate::spool::{BlobReader, ImportSpool};

/// Some writers deflate the nothing that a folder holds.
const EMPTY_DEFLATED: u64 = 2;

/// One archive of the import.
pub(super) struct Archive<'a> {
    pub(super) spool: &'a ImportSpool,
    pub(super) file: &'a File,
    /// Counted from 1, for error texts.
    pub(super) number: usize,
    pub(super) head: &'a [u8],
}

/// Whether something that does not begin as an archive is one all the same: bytes in front of an archive
/// are allowed, and a download page may put some there. Programs that unpack themselves stay programs.
pub(super) fn is_listed(reader: &mut BlobReader, name: &Name) -> Result<bool, Error> {
    if name.extension() != "zip" {
        return Ok(false);
    }
    let (source, record) = Source::new(reader);
    let listed = ZipIterable::try_new(source, Config::default()).is_ok();
    match record.take_error() {
        Some(error) => Err(Error::Read(error)),
        None => Ok(listed),
    }
}

/// Reads every file that the archive lists.
pub(super) fn unpack(
    archive: &Archive<'_>,
    budget: &Budget<'_>,
    pack: &mut LazyPack<'_>,
    ledger: &mut Ledger<'_>,
) -> Result<(), Error> {
    let number = archive.number;
    let (list, list_record) = Source::new(archive.spool.read(&archive.file.blob)?);
    // Offsets count from where the archive begins. Searching for it would take the table of contents of an
    // archive that lies whole inside a cut one.
    let archive_offset =
        if is_zip(archive.head) { ArchiveOffset::Known(0) } else { ArchiveOffset::Detect };
    let mut list =
        ZipIterable::try_new(list, Config { archive_offset }).map_err(|error| {
            match (list_record.take_error(), error) {
                (Some(error), _) => Error::Read(error),
                (None, ZipError::UnsupportedArchive(_)) => Error::Split { file: number },
                (None, _) => Error::Cut { file: number },
            }
        })?;
    let entries = u64::try_from(list.len()).unwrap_or(u64::MAX);
    if entries > budget.limits.entries {
        let limit = budget.limits.entries;
        return Err(Error::TooManyEntries { file: number, entries, limit });
    }
    let shown = Name::new(&archive.file.name);
    if entries == 0 {
        ledger.set_aside(shown.shown().to_owned(), "the archive is empty");
        return Ok(());
    }
    let first = ledger.found.instances.len();
    let mut medium = Medium::default();
    let (mut contents, record) = Source::new(archive.spool.read(&archive.file.blob)?);
    let mut listed = 0_u64;
    let mut last = 0;
    let mut whole = true;
    for entry in list.files().map_err(|_| Error::Cut { file: number })? {
        if budget.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let Ok(entry) = entry else {
            whole = false;
            break;
        };
        listed = listed.saturating_add(1);
        last = entry.central_header_start();
        if entry.is_dir() && entry.size() == 0 && entry.compressed_size() <= EMPTY_DEFLATED {
            continue;
        }
        let name = match entry.name() {
            Ok(name) => Name::new(&name),
            Err(_) => Name::new(&String::from_utf8_lossy(entry.name_raw())),
        };
        medium.saw(&name);
        let outcome = one(entry, &name, &mut contents, &record, budget, pack)
            .map_err(|error| numbered(error, number))?;
        ledger.enter(&mut medium, &name, outcome);
    }
    if let Some(error) = list_record.take_error().or_else(|| record.take_error()) {
        // The end of the file is the archive's fault, everything else the spool's.
        if error.kind() != std::io::ErrorKind::UnexpectedEof {
            return Err(Error::Read(error));
        }
    }
    if !whole {
        let unread = entries.saturating_sub(listed);
        ledger.set_aside(
            shown.shown().to_owned(),
            format!("the archive's table of contents is damaged: {unread} of {entries} files were not read"),
        );
    } else if goes_on(&mut contents, last) {
        ledger.set_aside(
            shown.shown().to_owned(),
            format!("the archive holds more files than the {entries} it counts; the others were not read"),
        );
    }
    ledger.close(medium, first);
    Ok(())
}

/// One entry. Nothing here depends on the entries before, so that several can be read at a time.
fn one(
    entry: ZipFileEntry<'_>,
    name: &Name,
    contents: &mut Source<BlobReader>,
    record: &Record,
    budget: &Budget<'_>,
    pack: &mut LazyPack<'_>,
) -> Result<Outcome, Error> {
    if let Some(reason) = refused(&entry, budget) {
        return Ok(Outcome::Aside(reason));
    }
    let declared = entry.size();
    let mut reader = match entry.with_reader(contents, ZipReadOptions::new()) {
        Ok(reader) => reader,
        Err(error) => {
            return match record.take_error() {
                Some(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                    Err(Error::Read(error))
                }
                _ => Ok(Outcome::Aside(unreadable(&error).to_owned())),
            };
        }
    };
    let meter = Meter::new(&mut reader, budget, record);
    let outcome = intake::take_in(&Entry { name, declared }, meter, pack.spool, pack.open()?)?;
    match record.take_error() {
        Some(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(Error::Read(error)),
        _ => Ok(outcome),
    }
}

/// What the table of contents alone says against reading an entry.
fn refused(entry: &ZipFileEntry<'_>, budget: &Budget<'_>) -> Option<String> {
    let limit = budget.limits.entry_bytes;
    if entry.is_symlink() {
        Some("a link to another file; links are not followed".to_owned())
    } else if entry.encrypted() {
        Some("encrypted with a password; unpack it by hand and import the files".to_owned())
    } else if !matches!(
        entry.compression(),
        CompressionMethod::Stored | CompressionMethod::Deflated
    ) {
        Some(format!(
            "compressed by a method that is not supported ({}); unpack it by hand and import the files",
            entry.compression()
        ))
    } else if entry.size() > limit {
        Some(format!("larger than the limit of {limit} bytes (unpack.entry-bytes)"))
    } else {
        None
    }
}

fn unreadable(error: &ZipError) -> &'static str {
    match error {
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            "stored in a way that is not supported; unpack it by hand and import the files"
        }
        _ => {
            "damaged in the archive: its place cannot be found; fetch the archive again if it is needed"
        }
    }
}

/// Entries do not know the number of their archive.
fn numbered(error: Error, number: usize) -> Error {
    match error {
        Error::Bomb { ratio, .. } => Error::Bomb { file: number, ratio },
        error => error,
    }
}

/// Whether another entry follows the one whose listing begins at `last`: some writers count files modulo
/// 65536 (PKWARE APPNOTE 4.4.22).
fn goes_on(reader: &mut (impl Read + Seek), last: u64) -> bool {
    let mut header = [0; 46];
    if reader.seek(SeekFrom::Start(last)).is_err() || reader.read_exact(&mut header).is_err() {
        return false;
    }
    let lengths = header.get(28..34).unwrap_or_default();
    let variable: i64 = lengths
        .chunks_exact(2)
        .map(|pair| pair.try_into().map_or(0, u16::from_le_bytes))
        .map(i64::from)
        .sum();
    let mut magic = [0; 4];
    reader.seek(SeekFrom::Current(variable)).is_ok()
        && reader.read_exact(&mut magic).is_ok()
        && magic == *b"PK\x01\x02"
}
