//! Reading one blob.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use super::Error;
use super::format::{self, Frames, HEADER_LEN, Header, MARK_LEN, NoHeader, OVERHEAD, TRAILER_LEN};
use crate::import::{Blob, Digest};
use crate::seal::{ImportKey, Part, StreamKey};

/// Reads one blob from the beginning; seeking is cheap. One frame is in memory at a time.
///
/// # Errors
/// A frame that was changed, cut or exchanged gives `InvalidData`; nothing of it is handed out.
pub struct BlobReader {
    file: File,
    key: StreamKey,
    header: Header,
    frames: Frames,
    length: u64,
    position: u64,
    /// The frame in memory and how many plain bytes it holds.
    current: Option<(u64, usize)>,
    buffer: Vec<u8>,
}

impl BlobReader {
    /// Checks header and trailer, so that a blob which is not there as a whole is known before it is read.
    pub(super) fn open(file: File, key: &ImportKey, blob: &Blob) -> Result<Self, Error> {
        let mut bytes = [0; HEADER_LEN];
        read_at(&file, &mut bytes, blob.at)?;
        let header = Header::parse(bytes).map_err(|no| match no {
            NoHeader::Other => Error::Damaged("no blob begins there"),
            NoHeader::Newer => Error::Newer,
        })?;
        let key = key.stream(&header.salt())?;
        let frames = Frames::new(blob);

        let mut trailer = [0; TRAILER_LEN];
        let at = frames.trailer().ok_or(Error::Damaged(SHORT))?;
        read_at(&file, &mut trailer, at)?;
        let (mark, body) =
            trailer.split_first_chunk_mut::<MARK_LEN>().ok_or(Error::Damaged(SHORT))?;
        let told = match format::parse_mark(*mark) {
            Some((Part::Trailer, _)) => {
                let index = frames.last().saturating_add(1);
                let plain = key.open(Part::Trailer, index, header.bytes(), body)?;
                format::parse_trailer(body.get(..plain).unwrap_or_default())
            }
            _ => None,
        };
        let (length, digest) = told.ok_or(Error::Damaged("it does not end where it should"))?;
        if length != blob.length || Digest(digest) != blob.digest {
            return Err(Error::Damaged("it is another blob than was recorded"));
        }
        let buffer = Vec::new();
        Ok(Self { file, key, header, frames, length, position: 0, current: None, buffer })
    }

    /// Length of the blob in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads everything and compares the digest, whatever the position was.
    pub fn verify(mut self, blob: &Blob) -> Result<(), Error> {
        self.position = 0;
        let mut hash = blake3::Hasher::new();
        loop {
            let bytes = self.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            hash.update(bytes);
            let read = bytes.len();
            self.consume(read);
        }
        if Digest(hash.finalize().into()) != blob.digest {
            return Err(Error::Damaged("its digest is another one"));
        }
        Ok(())
    }

    fn load(&mut self, index: u64) -> Result<usize, Error> {
        let (part, plain) = self.frames.part(index);
        let at = self.frames.offset(index).ok_or(Error::Damaged(SHORT))?;
        self.current = None;
        self.buffer.resize(plain.saturating_add(OVERHEAD), 0);
        read_at(&self.file, &mut self.buffer, at)?;
        let Some((mark, body)) = self.buffer.split_first_chunk_mut::<MARK_LEN>() else {
            return Err(Error::Damaged(SHORT));
        };
        if *mark != format::mark(part, plain) {
            return Err(Error::Damaged("a chunk is not where it should be"));
        }
        let plain = self.key.open(part, index, self.header.bytes(), body)?;
        self.current = Some((index, plain));
        Ok(plain)
    }
}

const SHORT: &str = "the pack is too short";

fn read_at(file: &File, bytes: &mut [u8], at: u64) -> Result<(), Error> {
    // An offset that no file can have is not worth asking the system for.
    if i64::try_from(at).is_err() {
        return Err(Error::Damaged(SHORT));
    }
    file.read_exact_at(bytes, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Damaged(SHORT),
        _ => Error::Io(error),
    })
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            error @ (Error::Damaged(_) | Error::Newer) => {
                Self::new(io::ErrorKind::InvalidData, error)
            }
            Error::Full => Self::new(io::ErrorKind::StorageFull, error),
            other => Self::other(other),
        }
    }
}

impl BufRead for BlobReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.length {
            return Ok(&[]);
        }
        let (index, skip) = Frames::find(self.position);
        let plain = match self.current {
            Some((current, plain)) if current == index => plain,
            _ => self.load(index)?,
        };
        let end = plain.saturating_add(MARK_LEN);
        let from = skip.saturating_add(MARK_LEN);
        Ok(self.buffer.get(from..end).unwrap_or_default())
    }

    fn consume(&mut self, read: usize) {
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        // A position behind the end stays where it is.
        let rest = self.length.saturating_sub(self.position);
        self.position = self.position.saturating_add(read.min(rest));
    }
}

impl Read for BlobReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let mut bytes = self.fill_buf()?;
        let read = bytes.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for BlobReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a position before the beginning")
        })?;
        Ok(self.position)
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("length", &self.length)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
