//! One file: judged by its content, scanned while it is written, or set aside.

use std::io::{BufReader, Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use super::clamd::Scanner;
use super::container::{Kind, Level, TOO_DEEP};
use super::content::{Content, HEAD};
use super::document::{self, Titles};
use super::medium::Directory;
use super::meter::{CHUNK, Fault, Meter, Tee};
use super::name::Name;
use super::{Error, LazyPack};
use crate::dicom::{Patient, inspect, scan};
use crate::import::{Blob, FileKind, Inspected};
use crate::spool::{ImportSpool, Pack};

/// A DICOMDIR is held in memory; this one has about 50,000 records.
const DIRECTORY_BYTES: u64 = 16 << 20;

/// Objects longer than this are read one at a time: as much of an object's header may be held in memory as it
/// is long, up to the scanner's own bound, and all threads together may not hold much more than one alone.
const WITH_OTHERS: u64 = (48 << 20) / 3;

pub(super) const DAMAGED: &str = "damaged in the archive: its bytes do not fit its length or checksum; fetch the archive again if it is needed";
const LOCKED: &str = "an encrypted PDF, which is sent as it came; if it asks for a password, ask its sender for that or for an open copy";
const DIRECTORY_UNREADABLE: &str =
    "the DICOMDIR cannot be read, so completeness was not checked; the files were read without it";

/// What a document says of itself.
#[derive(Default)]
pub(super) struct Told {
    pub(super) title: Option<String>,
    pub(super) patient: Option<Patient>,
    /// What people should know of it, although it is taken.
    pub(super) remark: Option<&'static str>,
}

/// What became of a file.
pub(super) enum Outcome {
    Instance(Box<Inspected>),
    Document(FileKind, Told, Blob),
    /// What a medium says its documents are called.
    Titles(Titles),
    Directory(Directory),
    /// Spooled, to be looked into.
    Container(Kind, Blob),
    Aside(String),
}

impl Outcome {
    fn aside(reason: impl Into<String>) -> Self {
        Self::Aside(reason.into())
    }

    /// Counts an instance.
    pub(super) fn count(&self, seen: &AtomicU64) {
        if matches!(self, Self::Instance(_)) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One entry of an archive as its table of contents tells it.
pub(super) struct Entry<'a> {
    pub(super) name: &'a Name,
    /// Length after inflation, as declared; checked against what comes.
    pub(super) declared: u64,
    /// Where the archive itself lies.
    pub(super) level: Level,
}

/// Takes one entry of an archive in. What is kept lies in `pack`, not synced yet.
pub(super) fn take_in(
    entry: &Entry<'_>,
    meter: &mut Meter<'_>,
    spool: &ImportSpool,
    pack: &mut Pack,
) -> Result<Outcome, Error> {
    let outcome = sort(entry, meter, spool, pack)?;
    let outcome = scanned(meter, outcome)?;
    meter.budget().found(&outcome);
    Ok(outcome)
}

/// What the virus scanner makes of it.
fn scanned(meter: &mut Meter<'_>, outcome: Outcome) -> Result<Outcome, Error> {
    if !meter.is_scanned() {
        return Ok(outcome);
    }
    if meter.fault().is_none() {
        // What is not used is scanned too, so that people know what came; damage has been told.
        let _ = std::io::copy(meter, &mut std::io::sink());
    }
    let verdict = meter.verdict()?;
    Ok(match (meter.budget().scanner.refusal(&verdict), outcome) {
        // The files inside are scanned one by one.
        (_, outcome @ Outcome::Container(..)) | (None, outcome) => outcome,
        (Some(reason), _) => Outcome::Aside(reason),
    })
}

fn sort(
    entry: &Entry<'_>,
    meter: &mut Meter<'_>,
    spool: &ImportSpool,
    pack: &mut Pack,
) -> Result<Outcome, Error> {
    let mut head = Vec::new();
    if meter.by_ref().take(HEAD).read_to_end(&mut head).is_err() {
        return stopped(meter);
    }
    // Who is told that such a file is empty does not fetch it again.
    if head.is_empty() && entry.declared > 0 {
        return Ok(Outcome::aside(DAMAGED));
    }
    let content = match Content::of(&head, entry.declared, entry.name) {
        // Where a disc image has its mark cannot be seen yet.
        Content::Aside(_) if entry.name.extension() == "iso" => Content::Container(Kind::Iso),
        content => content,
    };
    match content {
        Content::Dicom => instance(entry, head, meter, pack),
        Content::Directory => directory(entry, head, meter),
        Content::Pdf => Ok(match kept(entry, head, meter, pack)? {
            Ok(blob) => pdf(spool, blob)?,
            Err(outcome) => outcome,
        }),
        Content::Document(form) => match kept(entry, head, meter, pack)? {
            Ok(blob) => {
                let _alone = meter.budget().alone();
                document::form(spool, &blob, entry.name, form, pack)
            }
            Err(outcome) => Ok(outcome),
        },
        Content::Container(_) if entry.level == Level::Inner => Ok(Outcome::aside(TOO_DEEP)),
        Content::Container(kind) => Ok(match kept(entry, head, meter, pack)? {
            Ok(blob) => Outcome::Container(kind, blob),
            Err(outcome) => outcome,
        }),
        Content::Aside(reason) => Ok(Outcome::aside(reason)),
    }
}

fn pdf(spool: &ImportSpool, blob: Blob) -> Result<Outcome, Error> {
    let locked = document::pdf::is_encrypted(&mut spool.read(&blob)?, blob.length);
    let remark = locked.map_err(Error::Read)?.then_some(LOCKED);
    Ok(Outcome::Document(FileKind::Pdf, Told { remark, ..Told::default() }, blob))
}

/// Why reading an entry ended early: a bound of the import, a bound of the entry, or damage.
fn stopped(meter: &Meter<'_>) -> Result<Outcome, Error> {
    let Some(fault) = meter.fault() else {
        return Ok(Outcome::aside(DAMAGED));
    };
    let limits = meter.budget().limits;
    match meter.budget().broken(fault) {
        Some(error) => Err(error),
        None if fault == Fault::EntryTooLarge => Ok(Outcome::aside(format!(
            "larger than the limit of {} bytes (unpack.entry-bytes)",
            limits.entry_bytes
        ))),
        None => Ok(Outcome::aside(format!(
            "inflates to more than {} times its size, as a deflate bomb does (unpack.ratio)",
            limits.ratio
        ))),
    }
}

fn instance(
    entry: &Entry<'_>,
    head: Vec<u8>,
    meter: &mut Meter<'_>,
    pack: &mut Pack,
) -> Result<Outcome, Error> {
    let _alone = (entry.declared > WITH_OTHERS).then(|| meter.budget().alone());
    pack.begin()?;
    let mut tee = Tee::new(Cursor::new(head).chain(meter.by_ref()), pack);
    let mut reader = BufReader::with_capacity(CHUNK, tee.by_ref());
    let scanned = scan::scan_file(&mut reader, entry.declared, &scan::Limits::default());
    // To the end even if the scan failed: whether the archive or the object is at fault shows there.
    let drained = std::io::copy(&mut reader, &mut std::io::sink());
    drop(reader);
    let (written, refused) = tee.finish();
    if let Some(error) = refused {
        return Err(error.into());
    }
    let outcome = match (drained, scanned) {
        (Err(_), _) => Err(stopped(meter)?),
        (Ok(_), _) if written != entry.declared => Err(Outcome::aside(DAMAGED)),
        (Ok(_), Ok(scanned)) => {
            inspect::inspect(scanned).map_err(|error| Outcome::aside(unusable(&error)))
        }
        (Ok(_), Err(error)) => Err(Outcome::aside(unusable(&error.into()))),
    };
    match outcome {
        Ok(found) => Ok(Outcome::Instance(Box::new(Inspected::new(found, pack.finish()?)))),
        Err(outcome) => {
            pack.abandon()?;
            Ok(outcome)
        }
    }
}

/// Spools an entry as it is.
fn kept(
    entry: &Entry<'_>,
    head: Vec<u8>,
    meter: &mut Meter<'_>,
    pack: &mut Pack,
) -> Result<Result<Blob, Outcome>, Error> {
    spool_chain(head, Some(entry.declared), meter, pack)
}

/// Spools everything that comes.
pub(super) fn spool(
    meter: &mut Meter<'_>,
    pack: &mut Pack,
) -> Result<Result<Blob, Outcome>, Error> {
    spool_chain(Vec::new(), None, meter, pack)
}

fn spool_chain(
    head: Vec<u8>,
    declared: Option<u64>,
    meter: &mut Meter<'_>,
    pack: &mut Pack,
) -> Result<Result<Blob, Outcome>, Error> {
    pack.begin()?;
    let mut tee = Tee::new(Cursor::new(head).chain(meter.by_ref()), pack);
    let drained =
        std::io::copy(&mut BufReader::with_capacity(CHUNK, tee.by_ref()), &mut std::io::sink());
    let (written, refused) = tee.finish();
    if let Some(error) = refused {
        return Err(error.into());
    }
    let outcome = match drained {
        Err(_) => stopped(meter)?,
        Ok(_) if declared.is_some_and(|declared| declared != written) => Outcome::aside(DAMAGED),
        Ok(_) => return Ok(Ok(pack.finish()?)),
    };
    pack.abandon()?;
    Ok(Err(outcome))
}

fn directory(entry: &Entry<'_>, head: Vec<u8>, meter: &mut Meter<'_>) -> Result<Outcome, Error> {
    let _alone = meter.budget().alone();
    let mut bytes = head;
    let read = meter.by_ref().take(DIRECTORY_BYTES).read_to_end(&mut bytes);
    if read.is_err() {
        return stopped(meter);
    }
    Ok(read_directory(&bytes, entry.name))
}

fn read_directory(bytes: &[u8], name: &Name) -> Outcome {
    match Directory::read(bytes, name) {
        Some(directory) => Outcome::Directory(directory),
        None => Outcome::aside(DIRECTORY_UNREADABLE),
    }
}

/// Judges a file that is spooled as it came, so that nothing has to be written but decoded pictures.
pub(super) fn judge_stored(
    spool: &ImportSpool,
    blob: &Blob,
    name: &Name,
    content: Content,
    scanner: &Scanner<'_>,
    pack: &mut LazyPack<'_>,
) -> Result<Outcome, Error> {
    let verdict = scanner.scan(&mut spool.read(blob)?)?;
    if let Some(reason) = scanner.refusal(&verdict) {
        return Ok(Outcome::Aside(reason));
    }
    match content {
        Content::Dicom => {
            let mut reader = BufReader::with_capacity(CHUNK, spool.read(blob)?);
            let scanned = scan::scan_file(&mut reader, blob.length, &scan::Limits::default());
            Ok(match scanned.map_err(inspect::Error::from).and_then(inspect::inspect) {
                Ok(found) => Outcome::Instance(Box::new(Inspected::new(found, blob.clone()))),
                Err(inspect::Error::Scan(scan::Error::Io(error)))
                    if error.kind() != std::io::ErrorKind::UnexpectedEof =>
                {
                    return Err(Error::Read(error));
                }
                Err(error) => Outcome::aside(unusable(&error)),
            })
        }
        Content::Directory => {
            let mut bytes = Vec::new();
            spool.read(blob)?.take(DIRECTORY_BYTES).read_to_end(&mut bytes).map_err(Error::Read)?;
            Ok(read_directory(&bytes, name))
        }
        Content::Pdf => pdf(spool, blob.clone()),
        Content::Document(form) => document::form_stored(blob, name, form, pack),
        Content::Container(_) => Ok(Outcome::aside(DAMAGED)),
        Content::Aside(reason) => Ok(Outcome::aside(reason)),
    }
}

/// The scanner's errors name tags and bounds, never values.
fn unusable(error: &inspect::Error) -> String {
    format!("looks like DICOM but cannot be used: {error}")
}
