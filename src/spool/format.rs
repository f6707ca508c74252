//! What a pack looks like: blobs, one behind the other, each telling where it ends.
//!
//! ```text
//! blob     header  frame … frame  trailer
//! header   "LOTSEBLB"  version  reserved (7, zero)  salt (16)
//! frame    mark (1: 'c' a chunk, 'l' the last)  length of the plain bytes (3, big-endian)  sealed  tag (16)
//! trailer  mark (1: 't')  length (3)  sealed {length of the blob (8, big-endian), BLAKE3 (32)}  tag (16)
//! rest     zeros up to the end of the block of 4,096 bytes
//! ```
//!
//! Every frame but the last holds [`CHUNK`] plain bytes, so the place of a byte is arithmetic. There is always
//! a last frame; that of an empty blob is empty. The salt makes the blob's key, the mark and the frame's number
//! make the nonce, and the header is authenticated with every frame: cut, changed, swapped or repeated frames
//! are refused. The digest tells whether two objects are the same; BLAKE3, because SHA-256 would cost more than
//! sealing and writing together.

use crate::import::Blob;
use crate::seal::{Part, StreamKey, TAG_LEN};

/// Plain bytes in a frame. Large enough that tags and system calls don't weigh, small enough to be read for
/// the few bytes of a header.
pub(super) const CHUNK: usize = 64 << 10;
const CHUNK_U64: u64 = 64 << 10;

const MAGIC: [u8; 8] = *b"LOTSEBLB";
const VERSION: u8 = 1;
pub(super) const HEADER_LEN: usize = 32;
pub(super) const MARK_LEN: usize = 4;
pub(super) const OVERHEAD: usize = MARK_LEN + TAG_LEN;
const TRAILER_PLAIN_LEN: usize = 8 + 32;
pub(super) const TRAILER_LEN: usize = TRAILER_PLAIN_LEN + OVERHEAD;

const HEADER_U64: u64 = 32;
const FRAME_U64: u64 = CHUNK_U64 + 4 + 16;
const _: () = assert!(HEADER_LEN == 32 && OVERHEAD == 20 && CHUNK == 65536, "as the u64s say");

/// What every search for blobs looks for.
pub(super) const fn magic() -> &'static [u8; 8] {
    &MAGIC
}

/// The beginning of a blob, which is authenticated with each of its frames.
#[derive(Clone, Copy)]
pub(super) struct Header([u8; HEADER_LEN]);

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Other,
    Newer,
}

impl Header {
    pub(super) fn new(salt: [u8; StreamKey::SALT_LEN]) -> Self {
        let mut bytes = [0; HEADER_LEN];
        let parts = MAGIC.iter().chain(&[VERSION, 0, 0, 0, 0, 0, 0, 0]).chain(&salt);
        bytes.iter_mut().zip(parts).for_each(|(into, from)| *into = *from);
        Self(bytes)
    }

    pub(super) fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, NoHeader> {
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(NoHeader::Other);
        };
        match rest {
            _ if *magic != MAGIC => Err(NoHeader::Other),
            [VERSION, 0, 0, 0, 0, 0, 0, 0, ..] => Ok(Self(bytes)),
            // A torn header may end in zeros.
            [version, ..] if *version > VERSION => Err(NoHeader::Newer),
            _ => Err(NoHeader::Other),
        }
    }

    pub(super) fn bytes(&self) -> &[u8; HEADER_LEN] {
        &self.0
    }

    pub(super) fn salt(&self) -> [u8; StreamKey::SALT_LEN] {
        self.0.last_chunk().copied().unwrap_or_default()
    }
}

/// The four bytes before sealed ones.
pub(super) fn mark(part: Part, plain: usize) -> [u8; MARK_LEN] {
    let kind = match part {
        Part::Chunk => b'c',
        Part::Last => b'l',
        Part::Trailer => b't',
    };
    // Never longer than a chunk, which fits three bytes.
    let [_, high, middle, low] = u32::try_from(plain).unwrap_or(0).to_be_bytes();
    [kind, high, middle, low]
}

/// The part and its plain length, if `bytes` can stand before sealed ones.
pub(super) fn parse_mark(bytes: [u8; MARK_LEN]) -> Option<(Part, usize)> {
    let [kind, high, middle, low] = bytes;
    let plain = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
    match kind {
        b'c' if plain == CHUNK => Some((Part::Chunk, plain)),
        b'l' if plain <= CHUNK => Some((Part::Last, plain)),
        b't' if plain == TRAILER_PLAIN_LEN => Some((Part::Trailer, plain)),
        _ => None,
    }
}

pub(super) fn trailer(length: u64, digest: [u8; 32]) -> [u8; TRAILER_PLAIN_LEN] {
    let mut bytes = [0; TRAILER_PLAIN_LEN];
    let parts = length.to_be_bytes().into_iter().chain(digest);
    bytes.iter_mut().zip(parts).for_each(|(into, from)| *into = from);
    bytes
}

pub(super) fn parse_trailer(bytes: &[u8]) -> Option<(u64, [u8; 32])> {
    let (length, digest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*length), digest.try_into().ok()?))
}

/// Where the frames of a blob lie in its pack.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    at: u64,
    length: u64,
}

impl Frames {
    pub(super) fn new(blob: &Blob) -> Self {
        Self { at: blob.at, length: blob.length }
    }

    /// Number of the last frame.
    pub(super) fn last(self) -> u64 {
        self.length.saturating_sub(1) / CHUNK_U64
    }

    /// The frame that holds the plain byte at `position`, and where in it.
    pub(super) fn find(position: u64) -> (u64, usize) {
        (position / CHUNK_U64, usize::try_from(position % CHUNK_U64).unwrap_or(0))
    }

    /// Where frame `index` begins; `None` if no file is that long.
    pub(super) fn offset(self, index: u64) -> Option<u64> {
        index.checked_mul(FRAME_U64)?.checked_add(self.at)?.checked_add(HEADER_U64)
    }

    /// What frame `index` is and how many plain bytes it holds.
    pub(super) fn part(self, index: u64) -> (Part, usize) {
        if index == self.last() {
            let rest = self.length.saturating_sub(index.saturating_mul(CHUNK_U64));
            (Part::Last, usize::try_from(rest).unwrap_or(0))
        } else {
            (Part::Chunk, CHUNK)
        }
    }

    /// Where the trailer begins.
    pub(super) fn trailer(self) -> Option<u64> {
        let (_, plain) = self.part(self.last());
        let frame = u64::try_from(plain.checked_add(OVERHEAD)?).ok()?;
        self.offset(self.last())?.checked_add(frame)
    }
}
