//! Sealing one blob: plain bytes in, frames out.
//!
//! Owns the frames of a blob from its header to its trailer; where they go is the caller's. Invariant: what
//! [`Sealing::finish`] has ended is a whole blob of the form in `format`, wherever it is put.

use super::Error;
use super::blocks::{BLOCK, Gathered};
use super::format::{self, CHUNK, Header, MARK_LEN};
use crate::seal::{ImportKey, Part, StreamKey};

/// A blob begun. All its methods add to the same vector.
pub(super) struct Sealing {
    key: StreamKey,
    header: Header,
    /// Number of the frame being filled.
    index: u64,
    /// Where that frame begins in the vector.
    frame: usize,
    length: u64,
    hash: Box<blake3::Hasher>,
}

impl Sealing {
    pub(super) fn begin(key: &ImportKey, into: &mut Vec<u8>) -> Result<Self, Error> {
        let salt = StreamKey::salt()?;
        let key = key.stream(&salt)?;
        let header = Header::new(salt);
        into.extend_from_slice(header.bytes());
        let hash = Box::default();
        let mut sealing = Self { key, header, index: 0, frame: 0, length: 0, hash };
        sealing.begin_frame(into);
        Ok(sealing)
    }

    fn begin_frame(&mut self, into: &mut Vec<u8>) {
        self.frame = into.len();
        into.extend_from_slice(&[0; MARK_LEN]);
    }

    /// Plain bytes in the frame being filled.
    fn filled(&self, into: &[u8]) -> usize {
        into.len().saturating_sub(self.frame).saturating_sub(MARK_LEN)
    }

    /// `sealed` is called with whole frames only, and may take them out.
    pub(super) fn write(
        &mut self,
        into: &mut Vec<u8>,
        mut bytes: &[u8],
        mut sealed: impl FnMut(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(more);
        while !bytes.is_empty() {
            // A full frame is sealed only when more bytes come, since the last one is marked.
            if self.filled(into) == CHUNK {
                self.seal_frame(into, Part::Chunk)?;
                sealed(into)?;
                self.begin_frame(into);
            }
            let room = CHUNK.saturating_sub(self.filled(into)).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            into.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Returns the length of the plain bytes and their digest.
    pub(super) fn finish(mut self, into: &mut Vec<u8>) -> Result<(u64, [u8; 32]), Error> {
        self.seal_frame(into, Part::Last)?;
        let digest: [u8; 32] = self.hash.finalize().into();
        self.begin_frame(into);
        into.extend_from_slice(&format::trailer(self.length, digest));
        self.seal_frame(into, Part::Trailer)?;
        Ok((self.length, digest))
    }

    fn seal_frame(&mut self, into: &mut Vec<u8>, part: Part) -> Result<(), Error> {
        let plain = self.filled(into);
        let frame = into.get_mut(self.frame..).unwrap_or_default();
        let Some((mark, body)) = frame.split_first_chunk_mut::<MARK_LEN>() else {
            return Err(Error::OutOfTurn("no frame is begun"));
        };
        *mark = format::mark(part, plain);
        // A frame at a time, while it is warm.
        if part != Part::Trailer {
            self.hash.update(body);
        }
        let tag = self.key.seal(part, self.index, self.header.bytes(), body)?;
        into.extend_from_slice(&tag);
        self.index = self.index.saturating_add(1);
        Ok(())
    }
}

/// An object being sealed in memory, to be kept together with others in a [`super::GroupPack`].
pub struct Draft {
    sealing: Sealing,
    bytes: Gathered,
}

impl Draft {
    /// For about `length` bytes; more are no fault, but are copied once more.
    pub(super) fn new(key: &ImportKey, length: usize) -> Result<Self, Error> {
        // Header, trailer, the marks and tags of the frames, and the rest of a block.
        let around = (length / CHUNK).saturating_add(2).saturating_mul(64).saturating_add(BLOCK);
        let mut bytes = Gathered::new(length.saturating_add(around));
        Ok(Self { sealing: Sealing::begin(key, bytes.bytes())?, bytes })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sealing.write(self.bytes.bytes(), bytes, |_| Ok(()))
    }

    pub fn finish(mut self) -> Result<Sealed, Error> {
        let (length, digest) = self.sealing.finish(self.bytes.bytes())?;
        self.bytes.fill_block();
        Ok(Sealed { bytes: self.bytes, length, digest })
    }
}

/// A whole blob, in whole blocks, that has no place yet.
pub struct Sealed {
    pub(super) bytes: Gathered,
    pub(super) length: u64,
    pub(super) digest: [u8; 32],
}

impl Sealed {
    /// Bytes that it takes, in memory and on the device.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}
