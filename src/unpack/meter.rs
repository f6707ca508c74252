//! Counting bytes as they are inflated, and stopping in time: declared sizes are never believed.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::clamd::{Scanner, Session, Verdict};
use super::intake::Outcome;
use super::{Error, Limits};
use crate::spool::{self, Pack};

/// Inflated bytes that the ratio does not count: a blank volume compresses as well as a bomb does, and so
/// much is written to the disk in a second.
pub(super) const RATIO_FREE: u64 = 64 << 20;

/// Bytes that move at a time.
pub(super) const CHUNK: usize = 64 << 10;

/// The bounds that all entries of one archive share. Entries may be read on several threads.
pub(super) struct Budget<'a> {
    pub(super) limits: &'a Limits,
    /// Cancelled with the import, or when one thread of several met a fault.
    cancel: CancellationToken,
    /// Held by who needs much memory.
    memory: Mutex<()>,
    /// Instances found, for progress.
    seen: &'a AtomicU64,
    /// Inflated from archives before this one.
    before: u64,
    spent: AtomicU64,
    listed: AtomicU64,
    archive: u64,
    /// Of the archive, counted from 1, for error texts.
    number: usize,
    pub(super) scanner: &'a Scanner<'a>,
}

impl<'a> Budget<'a> {
    /// For an archive of `archive` bytes, when `before` bytes were inflated from others.
    pub(super) fn new(
        limits: &'a Limits,
        cancel: &'a CancellationToken,
        before: u64,
        (number, archive): (usize, u64),
        scanner: &'a Scanner<'a>,
        seen: &'a AtomicU64,
    ) -> Self {
        let (cancel, memory) = (cancel.child_token(), Mutex::new(()));
        let (spent, listed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { limits, cancel, memory, seen, before, spent, listed, archive, number, scanner }
    }

    pub(super) fn spent_in_all(&self) -> u64 {
        self.before.saturating_add(self.spent.load(Ordering::Relaxed))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Stops everybody who reads within these bounds, because the import can't be unpacked any more.
    pub(super) fn stop(&self) {
        self.cancel.cancel();
    }

    /// Waits until nobody else does what takes much memory.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn found(&self, outcome: &Outcome) {
        outcome.count(self.seen);
    }

    /// Counts files that the archive and those inside of it list.
    pub(super) fn list(&self, files: u64) -> Result<(), Error> {
        let entries = self.listed.fetch_add(files, Ordering::Relaxed).saturating_add(files);
        let limit = self.limits.entries;
        if entries > limit {
            return Err(Error::TooManyEntries { file: self.number, entries, limit });
        }
        Ok(())
    }

    /// The bound of the whole import that was broken, or `None` if it is one of a file alone.
    pub(super) fn broken(&self, fault: Fault) -> Option<Error> {
        match fault {
            Fault::Cancelled => Some(Error::Cancelled),
            Fault::TotalTooLarge => Some(Error::TooLarge { limit: self.limits.total_bytes }),
            Fault::TotalRatio => Some(Error::Bomb { file: self.number, ratio: self.limits.ratio }),
            Fault::EntryTooLarge | Fault::EntryRatio => None,
        }
    }

    /// Counts bytes that came out.
    pub(super) fn count(&self, bytes: u64) -> Option<Fault> {
        let spent = self.spent.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if self.before.saturating_add(spent) > self.limits.total_bytes {
            return Some(Fault::TotalTooLarge);
        }
        let allowed = self.archive.saturating_mul(self.limits.ratio).saturating_add(RATIO_FREE);
        (spent > allowed).then_some(Fault::TotalRatio)
    }
}

/// Why reading was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Cancelled,
    EntryTooLarge,
    EntryRatio,
    TotalTooLarge,
    TotalRatio,
}

/// Counts what is read from an archive's file, and keeps the error if the spool cannot be read: the zip
/// reader would pass it on as damage of the archive.
pub(super) struct Source<R> {
    inner: R,
    record: Record,
}

/// What a [`Source`] noticed.
#[derive(Clone, Default)]
pub(super) struct Record {
    consumed: Arc<AtomicU64>,
    error: Arc<Mutex<Option<io::Error>>>,
}

impl Record {
    pub(super) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// The spool's fault, if there was one: the end of the file is the archive's.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.take_error() {
            Some(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(Error::Read(error)),
            _ => Ok(()),
        }
    }

    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let copy = io::Error::new(error.kind(), error.to_string());
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            copy
        })
    }
}

impl<R> Source<R> {
    pub(super) fn new(inner: R) -> (Self, Record) {
        let record = Record::default();
        (Self::with(inner, &record), record)
    }

    /// Another one with the same record.
    pub(super) fn with(inner: R, record: &Record) -> Self {
        Self { inner, record: record.clone() }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.record.keep(self.inner.read(buf))?;
        self.record.consumed.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // A seek to before the start is the archive's lie, not a fault of the spool.
        self.inner.seek(to)
    }
}

/// Reads one entry within its bounds.
pub(super) struct Meter<'a> {
    inner: &'a mut dyn Read,
    budget: &'a Budget<'a>,
    record: &'a Record,
    consumed_before: u64,
    read: u64,
    fault: Option<Fault>,
    session: Option<Session<'a>>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(inner: &'a mut dyn Read, budget: &'a Budget<'a>, record: &'a Record) -> Self {
        let consumed_before = record.consumed();
        let session = budget.scanner.is_on().then(|| budget.scanner.begin());
        Self { inner, budget, record, consumed_before, read: 0, fault: None, session }
    }

    /// Whether the virus scanner sees what is read.
    pub(super) fn is_scanned(&self) -> bool {
        self.session.is_some()
    }

    /// What the virus scanner says of everything that was read.
    pub(super) fn verdict(&mut self) -> Result<Verdict, Error> {
        self.session.take().map_or(Ok(Verdict::Unscanned), Session::verdict)
    }

    pub(super) fn budget(&self) -> &'a Budget<'a> {
        self.budget
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn check(&self, count: u64) -> Option<Fault> {
        if self.budget.is_cancelled() {
            return Some(Fault::Cancelled);
        }
        if self.read > self.budget.limits.entry_bytes {
            return Some(Fault::EntryTooLarge);
        }
        let consumed = self.record.consumed().saturating_sub(self.consumed_before);
        let allowed = consumed.saturating_mul(self.budget.limits.ratio).saturating_add(RATIO_FREE);
        if self.read > allowed {
            return Some(Fault::EntryRatio);
        }
        self.budget.count(count)
    }
}

impl Read for Meter<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(io::Error::other("stopped at a limit"));
        }
        let count = self.inner.read(buf)?;
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        self.read = self.read.saturating_add(bytes);
        self.fault = self.check(bytes);
        if let Some(session) = &mut self.session {
            session.take(buf.get(..count).unwrap_or_default());
        }
        match self.fault {
            None => Ok(count),
            Some(_) => Err(io::Error::other("stopped at a limit")),
        }
    }
}

/// Writes into a blob what is read through it.
pub(super) struct Tee<'a, R> {
    inner: R,
    pack: &'a mut Pack,
    written: u64,
    error: Option<spool::Error>,
}

impl<'a, R: Read> Tee<'a, R> {
    /// The blob has been begun.
    pub(super) fn new(inner: R, pack: &'a mut Pack) -> Self {
        Self { inner, pack, written: 0, error: None }
    }

    /// Bytes that went into the blob, and the error that stopped them from going there.
    pub(super) fn finish(self) -> (u64, Option<spool::Error>) {
        (self.written, self.error)
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.error.is_some() {
            return Err(io::Error::other("the spool refused a write"));
        }
        let count = self.inner.read(buf)?;
        if let Err(error) = self.pack.write(buf.get(..count).unwrap_or_default()) {
            self.error = Some(error);
            return Err(io::Error::other("the spool refused a write"));
        }
        self.written = self.written.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}
