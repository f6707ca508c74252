//! Appending blobs to a pack file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::early::Early;
use super::format::CHUNK;
use super::sealing::{Sealed, Sealing};
use super::{AsyncPack, Error, ImportSpool, room};
use crate::import::Blob;
use crate::seal::hex;

/// So many sealed bytes are gathered for one write.
const GATHERED: usize = 4 * CHUNK;

/// A pack file open for appending; one owner. All methods block; an async caller uses [`Pack::into_async`].
///
/// After an error of `write` or `finish` the blob is lost: [`Pack::abandon`] it, then the pack goes on. After
/// an error of `sync` the pack is over, because the system may have dropped what it could not write.
pub struct Pack {
    spool: ImportSpool,
    number: u32,
    file: File,
    /// Where the next blob begins: behind everything finished.
    end: u64,
    state: State,
    /// Sealed bytes, then the frame being filled. Kept between blobs for its memory.
    gathered: Vec<u8>,
    folder: Folder,
    early: Early,
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
    pub(super) fn new(spool: ImportSpool, number: u32, file: File) -> Self {
        let (state, folder) = (State::Between, Folder::New);
        let early = Early::default();
        Self { spool, number, file, end: 0, state, gathered: Vec::new(), folder, early }
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
        let sealing = Sealing::begin(&self.spool.0.key, &mut self.gathered)?;
        self.state = State::Open(Box::new(Open { sealing, written: self.end }));
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let State::Open(open) = &mut self.state else {
            return Err(self.not_open());
        };
        let Open { sealing, written } = open.as_mut();
        let result = sealing.write(&mut self.gathered, bytes, |gathered| {
            if gathered.len() >= GATHERED { flush(&self.file, gathered, written) } else { Ok(()) }
        });
        self.early.wrote(&self.file, *written);
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
        let (length, digest) = open.sealing.finish(&mut self.gathered)?;
        flush(&self.file, &mut self.gathered, &mut end)?;
        let blob = Blob { pack: self.number, at: self.end, length, digest: hex::encode(&digest) };
        self.end = end;
        self.early.wrote(&self.file, end);
        self.state = State::Between;
        Ok(blob)
    }

    /// Appends what was sealed in memory for the same import. It can be read now, but is not yet on the device.
    pub(super) fn place(&mut self, sealed: &Sealed) -> Result<Blob, Error> {
        if !matches!(self.state, State::Between) {
            return Err(Error::OutOfTurn("a blob is begun already"));
        }
        let Sealed { bytes, length, digest } = sealed;
        let placed = room::check(&self.file, bytes.len())
            .and_then(|()| Ok(self.file.write_all_at(bytes, self.end)?));
        if let Err(error) = placed {
            self.state = State::Failed;
            self.abandon()?;
            return Err(error);
        }
        let blob =
            Blob { pack: self.number, at: self.end, length: *length, digest: hex::encode(digest) };
        self.end = self.end.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(blob)
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
        self.file.set_len(self.end)?;
        self.state = State::Between;
        Ok(())
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
        let mut result = self.file.sync_data();
        self.early.synced(self.end);
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
    /// A blob that nobody will finish is not left lying, nor a pack without a blob.
    fn drop(&mut self) {
        if self.end == 0 {
            let _ = fs::remove_file(super::pack_path(&self.spool.0.folder, self.number));
            return;
        }
        if matches!(self.state, State::Open(_) | State::Failed) {
            // If this fails, recovery finds a torn tail.
            let _ = self.file.set_len(self.end);
        }
    }
}

fn flush(file: &File, gathered: &mut Vec<u8>, written: &mut u64) -> Result<(), Error> {
    room::check(file, gathered.len())?;
    file.write_all_at(gathered, *written)?;
    let length = u64::try_from(gathered.len()).unwrap_or(u64::MAX);
    *written = written.saturating_add(length);
    gathered.clear();
    Ok(())
}
