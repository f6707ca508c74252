//! Appending blobs to a pack file.

use std::fs;
use std::io::{self, Read};

use super::blocks::{self, BlockFile, Gathered};
use super::format::CHUNK;
use super::sealing::{Sealed, Sealing};
use super::{AsyncPack, Error, ImportSpool, room};
use crate::import::{Blob, Digest};

/// With the frame being filled, a trailer and the rest of a block there is never more than this beyond what is
/// gathered for one write.
const BEYOND: usize = 2 * CHUNK;

/// What of a blob lies behind this goes through the cache. It is longer than what a door holds in memory to look at it:
/// longer ones are read back when they are whole, which had better not be from the device.
const LONG: u64 = 4 << 20;

/// A group up to this length finds zeros to overwrite; of longer ones it is the bytes that take the time, and zeros are
/// bytes too.
const PREPARED: usize = 256 << 10;

/// What was sealed in memory and is at least so long is written from where it lies; of less, several are copied
/// together for one write.
const APART: usize = 2 * CHUNK;

/// A pack file open for appending; one owner. All methods block; an async caller uses [`Pack::into_async`].
///
/// After an error of `write` or `finish` the blob is lost: [`Pack::abandon`] it, then the pack goes on. After
/// an error of `sync` the pack is over, because the system may have dropped what it could not write.
pub struct Pack {
    spool: ImportSpool,
    number: u32,
    file: BlockFile,
    /// Where the next blob begins: at the first block behind everything finished.
    end: u64,
    state: State,
    /// Sealed bytes, then the frame being filled. Kept between blobs for its memory.
    gathered: Gathered,
    folder: Folder,
}

enum State {
    Between,
    Open(Box<Open>),
    /// The blob begun last can't be finished.
    Failed,
    Broken,
}

/// Whether the pack's name is on the device.
enum Folder {
    New,
    Synced,
}

/// A blob begun.
struct Open {
    sealing: Sealing,
    /// Where `gathered` goes.
    written: u64,
}

impl Pack {
    pub(super) fn new(spool: ImportSpool, number: u32, file: BlockFile) -> Self {
        let (state, folder) = (State::Between, Folder::New);
        let gathered = Gathered::new(file.at_once().saturating_add(BEYOND));
        Self { spool, number, file, end: 0, state, gathered, folder }
    }

    /// Number of the pack, as in [`Blob::pack`].
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Begins a blob.
    pub fn begin(&mut self) -> Result<(), Error> {
        match self.state {
            State::Between => {}
            State::Open(_) | State::Failed => {
                return Err(Error::OutOfTurn("a blob is begun already"));
            }
            State::Broken => return Err(BROKEN),
        }
        self.gathered.clear();
        self.file.as_usual();
        let sealing = Sealing::begin(&self.spool.0.key, self.gathered.bytes())?;
        self.state = State::Open(Box::new(Open { sealing, written: self.end }));
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let State::Open(open) = &mut self.state else {
            return Err(self.not_open());
        };
        let Open { sealing, written } = open.as_mut();
        let (skip, file, begins) = (self.gathered.skip(), &mut self.file, self.end);
        let result = sealing.write(self.gathered.bytes(), bytes, |gathered| {
            if gathered.len().saturating_sub(skip) < file.at_once() {
                return Ok(());
            }
            if written.saturating_sub(begins) >= LONG {
                file.through_cache(*written)?;
            }
            flush(file, gathered, skip, written)
        });
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Ends the blob begun last. It can be read now, but is not yet on the device.
    pub fn finish(&mut self) -> Result<Blob, Error> {
        if !matches!(self.state, State::Open(_)) {
            return Err(self.not_open());
        }
        let State::Open(open) = std::mem::replace(&mut self.state, State::Failed) else {
            return Err(BROKEN);
        };
        let mut end = open.written;
        let (length, digest) = open.sealing.finish(self.gathered.bytes())?;
        self.gathered.fill_block();
        self.flush(&mut end)?;
        let blob = Blob { pack: self.number, at: self.end, length, digest: Digest(digest) };
        self.end = end;
        self.state = State::Between;
        Ok(blob)
    }

    fn flush(&mut self, written: &mut u64) -> Result<(), Error> {
        let skip = self.gathered.skip();
        flush(&mut self.file, self.gathered.bytes(), skip, written)
    }

    /// Appends what was sealed in memory for the same import: all of it, or nothing. It can be read now, but is
    /// not yet on the device.
    pub(super) fn place(&mut self, group: &[Sealed]) -> Result<Vec<Blob>, Error> {
        if !matches!(self.state, State::Between) {
            return Err(Error::OutOfTurn("a blob is begun already"));
        }
        self.gathered.clear();
        self.file.as_usual();
        self.prepare(group);
        let placed = self.gather(group);
        if placed.is_err() {
            self.state = State::Failed;
            self.abandon()?;
        }
        placed
    }

    /// Not for the first group, which may be the only one.
    fn prepare(&mut self, group: &[Sealed]) {
        let length = group.iter().fold(0_usize, |sum, one| sum.saturating_add(one.size()));
        let ahead = length.saturating_add(blocks::AHEAD);
        if self.end > 0 && length <= PREPARED && room::check(self.file.file(), ahead).is_ok() {
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            self.file.prepare(self.end.saturating_add(length));
        }
    }

    fn gather(&mut self, group: &[Sealed]) -> Result<Vec<Blob>, Error> {
        let (mut blobs, mut written, mut at) =
            (Vec::with_capacity(group.len()), self.end, self.end);
        for Sealed { bytes, length, digest } in group {
            let blocks = bytes.held();
            if blocks.len() >= APART && bytes.is_aligned() {
                self.flush(&mut written)?;
                write_blocks(&mut self.file, blocks, &mut written)?;
            } else {
                for piece in blocks.chunks(CHUNK) {
                    self.gathered.bytes().extend_from_slice(piece);
                    if self.gathered.len() >= self.file.at_once() {
                        self.flush(&mut written)?;
                    }
                }
            }
            let digest = Digest(*digest);
            blobs.push(Blob { pack: self.number, at, length: *length, digest });
            at = at.saturating_add(u64::try_from(blocks.len()).unwrap_or(u64::MAX));
        }
        self.flush(&mut written)?;
        self.end = written;
        Ok(blobs)
    }

    /// Gives the blob begun last up; the pack goes on behind the one before it. Without a blob begun this
    /// does nothing.
    pub fn abandon(&mut self) -> Result<(), Error> {
        match self.state {
            State::Between => return Ok(()),
            State::Open(_) | State::Failed => {}
            State::Broken => return Err(BROKEN),
        }
        self.gathered.clear();
        self.file.cut(self.end)?;
        self.state = State::Between;
        Ok(())
    }

    /// Gives up everything that was written: nobody has recorded any of it.
    pub fn discard(mut self) {
        self.end = 0;
    }

    /// Copies everything from `reader` into one blob, at most `limit` bytes. On an error the blob is given up.
    ///
    /// # Errors
    /// [`Error::TooLong`] if there is more; [`Error::Source`] if `reader` fails.
    pub fn append(&mut self, reader: &mut dyn Read, limit: u64) -> Result<Blob, Error> {
        self.begin()?;
        let result = self.copy(reader, limit).and_then(|()| self.finish());
        if result.is_err() {
            self.abandon()?;
        }
        result
    }

    fn copy(&mut self, reader: &mut dyn Read, limit: u64) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK];
        let mut rest = limit;
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Source(error)),
            };
            let too_long = Error::TooLong { limit };
            rest = u64::try_from(read).ok().and_then(|n| rest.checked_sub(n)).ok_or(too_long)?;
            self.write(buffer.get(..read).unwrap_or_default())?;
        }
    }

    /// Whether it can be written to.
    pub(super) fn is_sound(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Everything finished before is on the device when this returns.
    pub fn sync(&mut self) -> Result<(), Error> {
        if matches!(self.state, State::Broken) {
            return Err(BROKEN);
        }
        let mut result = self.file.sync(self.end);
        if result.is_ok() && matches!(self.folder, Folder::New) {
            result = self.spool.sync_folder();
            self.folder = Folder::Synced;
        }
        result.map_err(|error| {
            self.state = State::Broken;
            error.into()
        })
    }

    /// The same pack behind a blocking task, for async callers. Call it inside a tokio runtime.
    pub fn into_async(self) -> AsyncPack {
        AsyncPack::new(self)
    }

    fn not_open(&self) -> Error {
        match self.state {
            State::Between | State::Open(_) => Error::OutOfTurn("no blob is begun"),
            State::Failed => Error::OutOfTurn("the blob begun last failed; abandon it"),
            State::Broken => BROKEN,
        }
    }
}

const BROKEN: Error = Error::OutOfTurn("it could not be synced; use another one");

impl Drop for Pack {
    /// A blob that nobody will finish is not left lying, nor zeros, nor a pack without a blob or one that was discarded.
    fn drop(&mut self) {
        if self.end == 0 {
            let _ = fs::remove_file(super::pack_path(&self.spool.0.folder, self.number));
            return;
        }
        let is_torn = matches!(self.state, State::Open(_) | State::Failed);
        if is_torn || self.file.is_prepared(self.end) {
            // If this fails, recovery finds a torn tail.
            let _ = self.file.cut(self.end);
        }
    }
}

/// Writes the whole blocks of what was gathered.
fn flush(
    file: &mut BlockFile,
    gathered: &mut Vec<u8>,
    skip: usize,
    written: &mut u64,
) -> Result<(), Error> {
    blocks::take_blocks(gathered, skip, |blocks| write_blocks(file, blocks, written))
}

fn write_blocks(file: &mut BlockFile, blocks: &[u8], written: &mut u64) -> Result<(), Error> {
    if blocks.is_empty() {
        return Ok(());
    }
    room::check(file.file(), blocks.len())?;
    file.write(blocks, *written)?;
    *written = written.saturating_add(u64::try_from(blocks.len()).unwrap_or(u64::MAX));
    Ok(())
}
