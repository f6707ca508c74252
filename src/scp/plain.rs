//! The plain bytes of one object, as they lie in the buffers that they were received in.
//!
//! Owns what is held in memory of an object under way, and looking at it without reading it back. Invariant: all
//! associations together hold no more of large objects than the room they share.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::dicom::{Uid, inspect, scan};
use crate::spool::{self, ImportSpool, Sealed};

/// Objects up to this length are sealed in memory and committed in groups; longer ones are written while they
/// come. 64 associations hold 16 MiB of them, sealed ones included.
const SMALL: usize = 128 << 10;
/// Of one object no more is held: the largest CT and MR slices.
const MOST: usize = 1200 << 10;
/// The room for large objects of all associations together, in KiB.
pub(super) const ROOM: usize = 16 << 10;
/// Parts of an object: one that comes in many small fragments is not held, because each may keep a whole buffer.
const PARTS: usize = 64;

pub(super) struct Plain {
    parts: Vec<Bytes>,
    length: usize,
    room: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Plain {
    pub(super) fn new(room: Arc<Semaphore>) -> Self {
        Self { parts: Vec::new(), length: 0, room, taken: None }
    }

    /// Whether it is, so far, to be sealed in memory.
    pub(super) fn is_small(&self) -> bool {
        self.length <= SMALL && self.parts.len() <= PARTS
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.length = self.length.saturating_add(bytes.len());
        self.parts.push(bytes);
    }

    /// Holds more of a large object, or gives all of it up.
    pub(super) fn hold(mut self, bytes: Bytes) -> Option<Self> {
        if self.length.saturating_add(bytes.len()) > MOST || self.parts.len() >= PARTS {
            return None;
        }
        let room = u32::try_from(bytes.len().div_ceil(1 << 10)).ok()?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(room).ok()?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        self.push(bytes);
        Some(self)
    }

    pub(super) fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Walks the object.
    pub(super) fn look(&self, transfer_syntax: &Uid) -> Result<inspect::Found, inspect::Error> {
        let mut reader = Parts { rest: self.parts.iter(), part: &[] };
        look(&mut reader, u64::try_from(self.length).unwrap_or(u64::MAX), transfer_syntax)
    }

    pub(super) fn seal(&self, spool: &ImportSpool) -> Result<Sealed, spool::Error> {
        let mut draft = spool.draft(self.length)?;
        self.parts.iter().try_for_each(|part| draft.write(part))?;
        draft.finish()
    }
}

/// Walks a data set of so many bytes.
pub(super) fn look(
    reader: &mut dyn Read,
    length: u64,
    transfer_syntax: &Uid,
) -> Result<inspect::Found, inspect::Error> {
    let scanned = scan::scan_data_set(reader, length, transfer_syntax, &scan::Limits::default());
    scanned.map_err(inspect::Error::from).and_then(inspect::inspect)
}

/// Reads one part behind the other.
struct Parts<'a> {
    rest: std::slice::Iter<'a, Bytes>,
    part: &'a [u8],
}

impl Read for Parts<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.part.has_remaining() {
            let Some(next) = self.rest.next() else { return Ok(0) };
            self.part = next;
        }
        self.part.read(into)
    }
}
