//! ZIP archives: every listed file, several at a time, whatever its name.
//!
//! Inflating is what takes the time, so each thread takes the next entry of the table of contents and writes
//! into a pack of its own. Invariant: bounds are counted over all threads, and what comes out is in the order
//! of the table of contents, as if one had read it all.
//!
//! The table of contents is walked and not indexed by name, so that files of equal names are all read and a
//! million entries take no memory. That walk is in the zip crate's unstable part: its stable reader keeps the
//! last of several files with one name and loses the others.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zip::read::{ArchiveOffset, Config, ZipFile, ZipFileEntry};
use zip::result::{ZipError, ZipResult};
use zip::unstable::read::ZipIterable;
use zip::{CompressionMethod, ZipReadOptions};

use super::container::{Container, Desk};
use super::content::is_zip;
use super::inflate::{self, Inflater};
use super::intake::{self, Entry, Outcome};
use super::medium::Medium;
use super::meter::{Budget, Meter, Record, Source};
use super::name::Name;
use super::{Error, LazyPack, Ledger};
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
    let medium = Medium::default();
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
    let files = list.files().map_err(|_| Error::Cut { file: number })?;
    let listing = Listing { files, given: 0, listed: 0, last: 0, whole: true };
    let table = Table { medium, ledger: desk.ledger, waiting: BTreeMap::new(), next: 0 };
    let shared = Shared {
        container,
        password,
        budget: desk.budget,
        listing: Mutex::new(listing),
        table: Mutex::new(table),
    };
    let wanted = usize::try_from(entries).unwrap_or(usize::MAX);
    let packs = std::iter::once(&mut *desk.pack).chain(desk.more.iter_mut()).take(wanted);
    shared.read_all(packs)?;
    let Shared { listing, table, .. } = shared;
    let Listing { listed, last, whole, .. } = unlocked(listing);
    let Table { mut medium, waiting, .. } = unlocked(table);
    for (name, outcome) in waiting.into_values() {
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

/// The table of contents, from which every thread takes the next entry.
struct Listing<I> {
    files: I,
    /// Files handed out.
    given: u64,
    /// Entries seen, folders too.
    listed: u64,
    /// Where the listing of the last one begins.
    last: u64,
    whole: bool,
}

impl<I: Iterator<Item = ZipResult<ZipFileEntry<'static>>>> Listing<I> {
    /// The next file and its place among the files.
    fn next(&mut self) -> Option<(u64, ZipFileEntry<'static>)> {
        while self.whole {
            let Ok(entry) = self.files.next()? else {
                self.whole = false;
                break;
            };
            self.listed = self.listed.saturating_add(1);
            self.last = entry.central_header_start();
            if entry.is_dir() && entry.size() == 0 && entry.compressed_size() <= EMPTY_DEFLATED {
                continue;
            }
            let place = self.given;
            self.given = place.saturating_add(1);
            return Some((place, entry));
        }
        None
    }
}

/// Where outcomes come together in the order of the table of contents, whichever thread was quicker.
struct Table<'a> {
    medium: Medium,
    ledger: &'a mut Ledger,
    /// Outcomes, by place, that wait for one listed before them, and everything behind a container: that has
    /// to be looked into first.
    waiting: BTreeMap<u64, (Name, Outcome)>,
    next: u64,
}

impl Table<'_> {
    fn enter(&mut self, place: u64, name: Name, outcome: Outcome) {
        self.medium.saw(&name);
        self.waiting.insert(place, (name, outcome));
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() != self.next || matches!(first.get(), (_, Outcome::Container(..))) {
                break;
            }
            let (name, outcome) = first.remove();
            self.ledger.enter(&mut self.medium, &name, outcome);
            self.next = self.next.saturating_add(1);
        }
    }
}

/// What the threads that read one archive share.
struct Shared<'a, I> {
    container: &'a Container<'a>,
    password: Option<&'a str>,
    budget: &'a Budget<'a>,
    listing: Mutex<Listing<I>>,
    table: Mutex<Table<'a>>,
}

impl<I: Iterator<Item = ZipResult<ZipFileEntry<'static>>> + Send> Shared<'_, I> {
    /// Reads all entries, with a thread for each pack. What is told of several faults is that of the entry
    /// which is listed first.
    fn read_all<'p, 'b: 'p>(
        &self,
        packs: impl Iterator<Item = &'p mut LazyPack<'b>>,
    ) -> Result<(), Error> {
        let mut packs = packs.collect::<Vec<_>>();
        let own = packs.pop();
        let mut faults = std::thread::scope(|scope| {
            let others: Vec<_> =
                packs.into_iter().map(|pack| scope.spawn(|| self.read(pack))).collect();
            let own = own.map_or(Ok(()), |pack| self.read(pack));
            let others = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            std::iter::once(own).chain(others).filter_map(Result::err).collect::<Vec<_>>()
        });
        // Those that a fault stopped say that they were cancelled.
        faults.sort_by_key(|(place, error)| (matches!(error, Error::Cancelled), *place));
        faults.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    fn read(&self, pack: &mut LazyPack<'_>) -> Result<(), (u64, Error)> {
        let read = catch_unwind(AssertUnwindSafe(|| self.read_some(pack)));
        if !matches!(read, Ok(Ok(()))) {
            // The others need not go on.
            self.budget.stop();
        }
        read.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Takes one entry after the other until there are none.
    fn read_some(&self, pack: &mut LazyPack<'_>) -> Result<(), (u64, Error)> {
        let mut at = 0;
        let mut reading = Reading::new(self.container).map_err(|error| (at, error))?;
        loop {
            if self.budget.is_cancelled() {
                return Err((at, Error::Cancelled));
            }
            let Some((place, entry)) = locked(&self.listing).next() else {
                return Ok(());
            };
            at = place;
            let name = match entry.name() {
                Ok(name) => self.container.name_of(&name),
                Err(_) => self.container.name_of(&String::from_utf8_lossy(entry.name_raw())),
            };
            let outcome = self.take_in(entry, &name, &mut reading, pack);
            let outcome = outcome.map_err(|error| (place, error))?;
            locked(&self.table).enter(place, name, outcome);
        }
    }

    /// One entry. Nothing here depends on the entries before.
    fn take_in(
        &self,
        entry: ZipFileEntry<'_>,
        name: &Name,
        reading: &mut Reading,
        pack: &mut LazyPack<'_>,
    ) -> Result<Outcome, Error> {
        if let Some(reason) = refused(&entry, self.budget, self.password) {
            return Ok(Outcome::Aside(reason));
        }
        let Reading { contents, bytes, input, inflater, record } = reading;
        let declared = entry.size();
        let options = ZipReadOptions::new().password(self.password.map(str::as_bytes));
        let mut stream = match entry.with_reader(contents, options) {
            Ok(reader) => reader,
            Err(error) => {
                record.check()?;
                return Ok(Outcome::Aside(unreadable(&error).to_owned()));
            }
        };
        let whole = inflated(&stream, bytes, input, inflater);
        record.check()?;
        let mut whole = whole.map(Cursor::new);
        let reader: &mut dyn Read = match &mut whole {
            Some(whole) => whole,
            None => &mut stream,
        };
        let mut meter = Meter::new(reader, self.budget, record);
        let entry = Entry { name, declared, level: self.container.level };
        let outcome = intake::take_in(&entry, &mut meter, pack.spool, pack.open()?)?;
        record.check()?;
        Ok(outcome)
    }
}

/// What one thread reads with.
struct Reading {
    contents: Source<BlobReader>,
    /// The same again, for entries that are inflated in one piece.
    bytes: Source<BlobReader>,
    /// Kept for its memory.
    input: Vec<u8>,
    inflater: Inflater,
    record: Record,
}

impl Reading {
    fn new(container: &Container<'_>) -> Result<Self, Error> {
        let (contents, record) = Source::new(container.reader()?);
        let bytes = Source::with(container.reader()?, &record);
        Ok(Self { contents, bytes, input: Vec::new(), inflater: Inflater::new(), record })
    }
}

/// The content of an entry that is short and what it was declared; all others are streamed.
fn inflated<'a>(
    entry: &ZipFile<'_, Source<BlobReader>>,
    bytes: &mut Source<BlobReader>,
    input: &mut Vec<u8>,
    inflater: &'a mut Inflater,
) -> Option<&'a [u8]> {
    let (compressed, declared) = (entry.compressed_size(), entry.size());
    let is_plain = entry.compression() == CompressionMethod::Deflated && !entry.encrypted();
    if !is_plain || compressed.max(declared) > inflate::LONGEST {
        return None;
    }
    bytes.seek(SeekFrom::Start(entry.data_start()?)).ok()?;
    input.resize(usize::try_from(compressed).ok()?, 0);
    bytes.read_exact(input).ok()?;
    inflater.whole(input, usize::try_from(declared).ok()?, entry.crc32())
}

/// What another thread left half done when it panicked is not looked at: its panic goes on.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unlocked<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
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
