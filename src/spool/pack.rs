//! Appending blobs to a pack file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use super::early::Early;
use super::format::{self, CHUNK, Header, MARK_LEN};
use super::{AsyncPack, Error, ImportSpool, room};
use crate::import::Blob;
use crate::seal::{Part, StreamKey, hex};

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
    key: StreamKey,
    header: Header,
    /// Number of the frame being filled.
    index: u64,
    /// Where that frame begins in `gathered`.
    frame: usize,
    /// Where `gathered` goes.
    written: u64,
    length: u64,
    hash: Sha256,
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
        let salt = StreamKey::salt()?;
        let key = self.spool.0.key.stream(&salt)?;
        let header = Header::new(salt);
        self.gathered.clear();
        self.gathered.extend_from_slice(header.bytes());
        let mut open = Open {
            key,
            header,
            index: 0,
            frame: 0,
            written: self.end,
            length: 0,
            hash: Sha256::new(),
        };
        open.begin_frame(&mut self.gathered);
        self.state = State::Open(Box::new(open));
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let State::Open(open) = &mut self.state else {
            return Err(self.not_open());
        };
        let result = open.write(&self.file, &mut self.gathered, bytes);
        self.early.wrote(&self.file, open.written);
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
        let length = open.length;
        let (end, sha256) = open.finish(&self.file, &mut self.gathered)?;
        let blob = Blob { pack: self.number, at: self.end, length, sha256: hex::encode(&sha256) };
        self.end = end;
        self.early.wrote(&self.file, end);
        self.state = State::Between;
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

impl Open {
    fn begin_frame(&mut self, gathered: &mut Vec<u8>) {
        self.frame = gathered.len();
        gathered.extend_from_slice(&[0; MARK_LEN]);
    }

    /// Plain bytes in the frame being filled.
    fn filled(&self, gathered: &[u8]) -> usize {
        gathered.len().saturating_sub(self.frame).saturating_sub(MARK_LEN)
    }

    fn write(&mut self, file: &File, into: &mut Vec<u8>, mut bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(more);
        while !bytes.is_empty() {
            // A full frame is sealed only when more bytes come, since the last one is marked.
            if self.filled(into) == CHUNK {
                self.seal_frame(into, Part::Chunk)?;
                if into.len() >= GATHERED {
                    self.flush(file, into)?;
                }
                self.begin_frame(into);
            }
            let room = CHUNK.saturating_sub(self.filled(into)).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            into.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Returns where the blob ends, and its SHA-256.
    fn finish(mut self, file: &File, into: &mut Vec<u8>) -> Result<(u64, [u8; 32]), Error> {
        self.seal_frame(into, Part::Last)?;
        let sha256: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        self.begin_frame(into);
        into.extend_from_slice(&format::trailer(self.length, sha256));
        self.seal_frame(into, Part::Trailer)?;
        self.flush(file, into)?;
        Ok((self.written, sha256))
    }

    fn seal_frame(&mut self, into: &mut Vec<u8>, part: Part) -> Result<(), Error> {
        let plain = self.filled(into);
        let frame = into.get_mut(self.frame..).unwrap_or_default();
        let Some((mark, body)) = frame.split_first_chunk_mut::<MARK_LEN>() else {
            return Err(Error::OutOfTurn("no frame is begun"));
        };
        *mark = format::mark(part, plain);
        let tag = self.key.seal(part, self.index, self.header.bytes(), body)?;
        into.extend_from_slice(&tag);
        self.index = self.index.saturating_add(1);
        Ok(())
    }

    fn flush(&mut self, file: &File, into: &mut Vec<u8>) -> Result<(), Error> {
        room::check(file, into.len())?;
        file.write_all_at(into, self.written)?;
        let written = u64::try_from(into.len()).unwrap_or(u64::MAX);
        self.written = self.written.saturating_add(written);
        into.clear();
        Ok(())
    }
}
