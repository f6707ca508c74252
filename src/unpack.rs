//! From files to instances: what is inside an archive is read, accounted for, or set aside with a reason.
//!
//! Owns the walk over uploads and downloads: recognising files by their content, the bounds of inflation, the
//! DICOMDIR as a completeness check. Invariants: names inside an archive are text for people and never
//! become a path; no declared size is believed, only bytes that were read count; every file ends as an
//! instance, a document or set aside; everything returned is on the device. Memory stays flat, whatever the
//! archive says.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod archive;
mod clamd;
mod container;
mod content;
mod document;
mod gzip;
mod inflate;
mod intake;
mod iso;
mod medium;
mod meter;
mod name;
mod tar;
mod whose;

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;

use self::clamd::Scanner;
pub use self::clamd::{ScanSection, objection};
use self::container::{Container, Desk, Level};
use self::content::Content;
use self::intake::Outcome;
use self::medium::Medium;
use self::meter::Budget;
use self::name::Name;
use self::whose::Whose;
use crate::dicom::Patient;
use crate::import::{Blob, File, FileKind, Inspected, SetAside};
use crate::spool::{self, ImportSpool, Pack};

/// Threads that inflate one archive at most. With more of them the device is what is waited for, and each
/// holds an object's header in memory.
const MOST_THREADS: usize = 4;

/// Bounds of one import. Each is a config key of `[unpack]`.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Files that one archive may list; of a disc image its folders too.
    pub entries: u64,
    /// Bytes that one file of an archive may inflate to.
    pub entry_bytes: u64,
    /// Bytes that all archives of one import may inflate to.
    pub total_bytes: u64,
    /// Inflated bytes for each compressed byte; deflate itself ends near 1032.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 100_000, entry_bytes: 8 << 30, total_bytes: 64 << 30, ratio: 1_000 }
    }
}

/// What an import is unpacked with.
pub struct Terms<'a> {
    pub limits: &'a Limits,
    pub scan: &'a ScanSection,
    /// Of encrypted archives; an empty one says that there is none and the files are left.
    pub password: Option<&'a str>,
}

/// What came out of the files of one import.
#[derive(Default)]
pub struct Unpacked {
    pub instances: Vec<Inspected>,
    /// Kind, title and bytes of documents that become instances of a study.
    pub documents: Vec<(FileKind, String, Blob)>,
    pub set_aside: Vec<SetAside>,
}

/// Why nothing was unpacked. The files themselves stay in the spool. No variant holds a file's name, since
/// that may hold a patient's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "archive {file} is incomplete or damaged: its table of contents at the end is missing; fetch or copy \
         it again and import it anew"
    )]
    Cut { file: usize },
    #[error("archive {file} is one part of several; join the parts to one archive and import that")]
    Split { file: usize },
    #[error(
        "archive {file} lists {entries} files, more than the limit of {limit}; raise unpack.entries if it is \
         genuine"
    )]
    TooManyEntries { file: usize, entries: u64, limit: u64 },
    #[error(
        "the archives hold more than the limit of {limit} bytes; raise unpack.total-bytes if they are genuine"
    )]
    TooLarge { limit: u64 },
    #[error(
        "archive {file} inflates to more than {ratio} times its size, as a deflate bomb does; raise \
         unpack.ratio if it is genuine"
    )]
    Bomb { file: usize, ratio: u64 },
    #[error(
        "archive {file} is encrypted and {}; answer with its password, or press retry to import what is not \
         encrypted", if *given { "the password does not fit" } else { "no password was given" }
    )]
    Password { file: usize, given: bool },
    #[error(
        "the virus scanner cannot be reached or gave no answer, and this site demands scanning; start \
         clamd, or correct scan.clamd-socket"
    )]
    Scanner,
    #[error("unpacking was stopped; retry it when the gateway is ready")]
    Cancelled,
    #[error("the received bytes could not be read back from the spool; check the disk")]
    Read(#[source] io::Error),
    #[error(transparent)]
    Spool(#[from] spool::Error),
}

/// What the scheduler does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself.
    Retry,
    /// A person has to give the password.
    Ask,
    /// A person has to look.
    Quarantine,
    /// The same, and these bytes will never be read.
    Useless,
}

impl Error {
    pub fn class(&self) -> Class {
        match self {
            Self::Cut { .. } | Self::Split { .. } => Class::Useless,
            Self::TooManyEntries { .. } | Self::TooLarge { .. } | Self::Bomb { .. } => {
                Class::Quarantine
            }
            Self::Password { .. } => Class::Ask,
            Self::Read(error) if is_damage(error) => Class::Quarantine,
            Self::Spool(error) if !error.is_passing() => Class::Quarantine,
            Self::Scanner | Self::Cancelled | Self::Read(_) | Self::Spool(_) => Class::Retry,
        }
    }

    /// What a person reads: what happened and what to do next; no file name in it.
    pub fn sentence(&self) -> String {
        self.to_string()
    }
}

/// Whether the bytes will never be whole again, as against a disk that fails for the moment.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Unpacks and inspects. Blocking; everything it returns is synced. `seen` counts instances for progress.
///
/// # Errors
/// An archive that cannot be read at all or breaks a bound of the whole import; faults of single files are
/// in [`Unpacked::set_aside`] instead. Nothing that was written stays then: who tries again and again would fill the
/// disk.
pub fn unpack(
    spool: &ImportSpool,
    files: &[File],
    terms: &Terms<'_>,
    cancel: &CancellationToken,
    seen: &AtomicU64,
) -> Result<Unpacked, Error> {
    let mut pack = LazyPack { spool, pack: None };
    let mut more = (1..threads()).map(|_| LazyPack { spool, pack: None }).collect::<Vec<_>>();
    let unpacked = unpack_into(&mut pack, &mut more, files, terms, cancel, seen);
    if unpacked.is_err() {
        std::iter::once(pack).chain(more).for_each(LazyPack::discard);
    }
    unpacked
}

fn unpack_into<'a>(
    pack: &mut LazyPack<'a>,
    more: &mut [LazyPack<'a>],
    files: &[File],
    terms: &Terms<'_>,
    cancel: &CancellationToken,
    seen: &AtomicU64,
) -> Result<Unpacked, Error> {
    let spool = pack.spool;
    let scanner = Scanner::new(terms.scan);
    let mut ledger = Ledger { found: Unpacked::default(), unlisted: 0, patients: vec![] };
    let mut loose = Medium::default();
    let mut inflated = 0;
    for (number, file) in (1_usize..).zip(files) {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let name = Name::new(&file.name);
        let mut reader = spool.read(&file.blob)?;
        let mut head = Vec::new();
        reader.by_ref().take(content::HEAD).read_to_end(&mut head).map_err(Error::Read)?;
        let content = Content::of(&head, file.blob.length, &name);
        let content = container::recognise(content, &mut reader, &name)?;
        if let Content::Container(kind) = content {
            let size = (number, file.blob.length);
            let budget = Budget::new(terms.limits, cancel, inflated, size, &scanner, seen);
            let (name, blob, password) = (file.name.as_str(), &file.blob, terms.password);
            let container = Container { spool, name, blob, number, level: Level::Outer, password };
            let ledger = &mut ledger;
            let mut desk = Desk { budget: &budget, pack, more, ledger };
            container.open(kind, &mut desk)?;
            inflated = budget.spent_in_all();
            continue;
        }
        drop(reader);
        loose.saw(&name);
        let outcome = intake::judge_stored(spool, &file.blob, &name, content, &scanner, pack)?;
        outcome.count(seen);
        ledger.enter(&mut loose, &name, outcome);
    }
    ledger.close(loose, 0);
    if scanner.was_missed() {
        ledger.set_aside(
            "(virus scan)".to_owned(),
            "the virus scanner could not be reached; the files were taken unscanned, as \
             scan.clamd-required = false allows",
        );
    }
    sync(std::iter::once(pack).chain(more))?;
    Ok(ledger.finish())
}

/// Threads that read one archive, each into a pack of its own.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
}

/// All packs at once, because each waits for the same device.
fn sync<'a, 'b: 'a>(packs: impl Iterator<Item = &'a mut LazyPack<'b>>) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let syncs: Vec<_> = packs
            .filter(|pack| pack.pack.is_some())
            .map(|pack| scope.spawn(|| pack.sync()))
            .collect();
        syncs.into_iter().try_for_each(|sync| {
            sync.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// What was found so far.
struct Ledger {
    found: Unpacked,
    /// Files set aside beyond those that are listed.
    unlisted: u64,
    /// Of documents that name one: their places, their names, and the patient.
    patients: Vec<(usize, String, Patient)>,
}

impl Ledger {
    fn enter(&mut self, medium: &mut Medium, name: &Name, outcome: Outcome) {
        match outcome {
            Outcome::Instance(mut instance) => {
                if let Some(before) = self.found.instances.last() {
                    instance.share(before);
                }
                self.found.instances.push(*instance);
            }
            Outcome::Document(kind, told, blob) => {
                let place = self.found.documents.len();
                medium.holds(place, name);
                if let Some(patient) = told.patient {
                    self.patients.push((place, name.shown().to_owned(), patient));
                }
                if let Some(remark) = told.remark {
                    self.set_aside(name.shown().to_owned(), remark);
                }
                let title = told.title.unwrap_or_else(|| name.title());
                self.found.documents.push((kind, title, blob));
            }
            Outcome::Titles(titles) => {
                medium.calls(titles);
                self.set_aside(
                    name.shown().to_owned(),
                    "XML of the medium that tells what its documents are called; used for their titles",
                );
            }
            Outcome::Directory(directory) => medium.lists(directory),
            // Looked into by whoever found it.
            Outcome::Container(..) => {}
            Outcome::Aside(reason) => self.set_aside(name.shown().to_owned(), reason),
        }
    }

    fn set_aside(&mut self, name: String, reason: impl Into<String>) {
        if self.found.set_aside.len() < SetAside::LISTED {
            self.found.set_aside.push(SetAside { name, reason: reason.into() });
        } else {
            self.unlisted = self.unlisted.saturating_add(1);
        }
    }

    /// A medium was read to its end: `first` is the number of its first instance.
    fn close(&mut self, medium: Medium, first: usize) {
        for (place, title) in medium.titles() {
            if let Some((_, shown, _)) = self.found.documents.get_mut(place) {
                title.clone_into(shown);
            }
        }
        let instances = self.found.instances.get(first..).unwrap_or_default();
        for missing in medium.missing(instances) {
            self.set_aside(missing.name, missing.reason);
        }
    }

    /// Documents that name their patient do not ride with images of another.
    fn part(&mut self) {
        let Some(facts) = self.found.instances.first().map(|first| Arc::clone(&first.facts)) else {
            return;
        };
        // From behind, so that places stay.
        for (place, name, patient) in std::mem::take(&mut self.patients).into_iter().rev() {
            match Whose::of(&patient, &facts.patient) {
                Whose::Theirs => {}
                Whose::Doubtful(remark) => self.set_aside(name, remark),
                Whose::Anothers(reason) => {
                    self.found.documents.remove(place);
                    self.set_aside(name, reason);
                }
            }
        }
    }

    fn finish(mut self) -> Unpacked {
        self.part();
        if self.unlisted > 0 {
            self.found.set_aside.push(SetAside::end(format!("{} more files", self.unlisted)));
        }
        self.found
    }
}

/// A pack that is made when the first byte has to be written: a bare object is spooled already.
struct LazyPack<'a> {
    spool: &'a ImportSpool,
    pack: Option<Pack>,
}

impl LazyPack<'_> {
    fn open(&mut self) -> Result<&mut Pack, Error> {
        let pack = match self.pack.take() {
            Some(pack) => pack,
            None => self.spool.pack()?,
        };
        Ok(self.pack.insert(pack))
    }

    fn sync(&mut self) -> Result<(), Error> {
        match &mut self.pack {
            Some(pack) => Ok(pack.sync()?),
            None => Ok(()),
        }
    }

    fn discard(self) {
        self.pack.into_iter().for_each(Pack::discard);
    }
}

#[cfg(test)]
mod tests;
