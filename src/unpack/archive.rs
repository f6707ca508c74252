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

use super::Error;
use super::container::{Container, Desk};
use super::content::is_zip;
use super::intake::{self, Entry, Outcome};
use super::medium::Medium;
use super::meter::{Budget, Meter, Record, Source};
use super::name::Name;
use crate::spool::BlobReader;

/// Some writers deflate the nothing that a folder holds.
const EMPTY_DEFLATED: u64 = 2;

/// Encrypted files that a password is tried on before anything is read: the legacy way checks one byte, which
/// a wrong password passes once in 256 times.
const TRIED: usize = 8;

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
pub(super) fn unpack(container: &Container<'_>, desk: &mut Desk<'_, '_>) -> Result<(), Error> {
    let number = container.number;
    let (list, list_record) = Source::new(container.reader()?);
    // Offsets count from where the archive begins. Searching for it would take the table of contents of an
    // archive that lies whole inside a cut one.
    let archive_offset =
        if is_zip(&container.head()?) { ArchiveOffset::Known(0) } else { ArchiveOffset::Detect };
    let mut list =
        ZipIterable::try_new(list, Config { archive_offset }).map_err(|error| {
            match (list_record.take_error(), error) {
                (Some(error), _) => Error::Read(error),
                (None, ZipError::UnsupportedArchive(_)) => Error::Split { file: number },
                (None, _) => Error::Cut { file: number },
            }
        })?;
    let entries = u64::try_from(list.len()).unwrap_or(u64::MAX);
    desk.budget.list(entries)?;
    if entries == 0 {
        container.remark(desk.ledger, "the archive is empty");
        return Ok(());
    }
    let first = desk.ledger.found.instances.len();
    let mut medium = Medium::default();
    let (mut contents, record) = Source::new(container.reader()?);
    let password = container.password.filter(|password| !password.is_empty());
    let Ok(encrypted) = list.files() else { return Err(Error::Cut { file: number }) };
    let encrypted = encrypted.map_while(Result::ok).filter(|entry| entry.encrypted());
    if container.password.is_none_or(|password| !password.is_empty()) {
        for entry in encrypted.take(TRIED) {
            let options = ZipReadOptions::new().password(password.map(str::as_bytes));
            let refused = entry.with_reader(&mut contents, options).is_err_and(|error| {
                password.is_none() || matches!(error, ZipError::InvalidPassword)
            });
            record.check()?;
            if refused {
                return Err(Error::Password { file: number, given: password.is_some() });
            }
        }
    }
    let mut listed = 0_u64;
    let mut last = 0;
    let mut whole = true;
    for entry in list.files().map_err(|_| Error::Cut { file: number })? {
        if desk.budget.is_cancelled() {
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
            Ok(name) => container.name_of(&name),
            Err(_) => container.name_of(&String::from_utf8_lossy(entry.name_raw())),
        };
        medium.saw(&name);
        let reader = One { container, password, contents: &mut contents, record: &record };
        let outcome = reader.take_in(entry, &name, desk)?;
        container.enter(&name, outcome, &mut medium, desk)?;
    }
    if let Some(error) = list_record.take_error().or_else(|| record.take_error()) {
        // The end of the file is the archive's fault, everything else the spool's.
        if error.kind() != std::io::ErrorKind::UnexpectedEof {
            return Err(Error::Read(error));
        }
    }
    if !whole {
        let unread = entries.saturating_sub(listed);
        container.remark(
            desk.ledger,
            format!("the archive's table of contents is damaged: {unread} of {entries} files were not read"),
        );
    } else if goes_on(&mut contents, last) {
        container.remark(
            desk.ledger,
            format!("the archive holds more files than the {entries} it counts; the others were not read"),
        );
    }
    desk.ledger.close(medium, first);
    Ok(())
}

/// One entry. Nothing here depends on the entries before, so that several can be read at a time.
struct One<'a> {
    container: &'a Container<'a>,
    password: Option<&'a str>,
    contents: &'a mut Source<BlobReader>,
    record: &'a Record,
}

impl One<'_> {
    fn take_in(
        self,
        entry: ZipFileEntry<'_>,
        name: &Name,
        desk: &mut Desk<'_, '_>,
    ) -> Result<Outcome, Error> {
        if let Some(reason) = refused(&entry, desk.budget, self.password) {
            return Ok(Outcome::Aside(reason));
        }
        let declared = entry.size();
        let options = ZipReadOptions::new().password(self.password.map(str::as_bytes));
        let mut reader = match entry.with_reader(self.contents, options) {
            Ok(reader) => reader,
            Err(error) => {
                self.record.check()?;
                return Ok(Outcome::Aside(unreadable(&error).to_owned()));
            }
        };
        let mut meter = Meter::new(&mut reader, desk.budget, self.record);
        let entry = Entry { name, declared, level: self.container.level };
        let outcome = intake::take_in(&entry, &mut meter, desk.pack.spool, desk.pack.open()?)?;
        self.record.check()?;
        Ok(outcome)
    }
}

/// What the table of contents alone says against reading an entry.
fn refused(
    entry: &ZipFileEntry<'_>,
    budget: &Budget<'_>,
    password: Option<&str>,
) -> Option<String> {
    let limit = budget.limits.entry_bytes;
    if entry.is_symlink() {
        Some("a link to another file; links are not followed".to_owned())
    } else if entry.encrypted() && password.is_none() {
        Some("encrypted, and no password was given; import it again with the password".to_owned())
    } else if !matches!(
        entry.compression(),
        CompressionMethod::Stored | CompressionMethod::Deflated | CompressionMethod::Aes
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
        ZipError::InvalidPassword => {
            "encrypted with another password than the one that was given; import it by itself"
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            "stored in a way that is not supported; unpack it by hand and import the files"
        }
        _ => {
            "damaged in the archive: its place cannot be found; fetch the archive again if it is needed"
        }
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
