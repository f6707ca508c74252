//! The plain bytes of one object, as they lie in the buffers that they were received in.
//!
//! Owns what is held in memory of an object under way, looking at it without reading it back, and sealing it while it
//! comes. Invariant: all associations together hold no more of large objects than the room they share.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::look::Looked;
use crate::dicom::scan::{self, Limits};
use crate::dicom::{Uid, inspect};
use crate::spool::{self, Draft, ImportSpool, Sealed};

/// Objects up to this length are sealed when they are whole, and take no room: 64 associations hold 16 MiB of them,
/// sealed ones included.
const SMALL: usize = 128 << 10;
/// Of one object no more is held: the largest CT and MR slices. Longer ones are written while they come.
pub(super) const MOST: usize = 1200 << 10;
/// The room for large objects of all associations together, in KiB: what came, and the same sealed.
pub(super) const ROOM: usize = 32 << 10;
/// Parts of an object: one that comes in many small fragments is not held, because each may keep a whole buffer.
const PARTS: usize = 64;

pub(super) struct Plain {
    parts: Vec<Bytes>,
    length: usize,
    /// How long the object may become.
    expected: usize,
    /// What is sealed already.
    draft: Option<Draft>,
    room: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Plain {
    /// `expected` as long as the last object; a wrong guess costs a copy.
    pub(super) fn new(room: Arc<Semaphore>, expected: usize) -> Self {
        let expected = expected.min(MOST);
        Self { parts: Vec::new(), length: 0, expected, draft: None, room, taken: None }
    }

    /// Whether it is sealed when it is whole.
    pub(super) fn is_small(&self) -> bool {
        self.draft.is_none()
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Holds and seals more of the object; gives it back if there is no room for all of the object so far.
    pub(super) fn hold(
        &mut self,
        bytes: Bytes,
        spool: &ImportSpool,
    ) -> Result<Option<Bytes>, spool::Error> {
        let length = self.length.saturating_add(bytes.len());
        let too_much = length > MOST || self.parts.len() >= PARTS;
        if too_much || (length > SMALL && !self.takes_room(bytes.len())) {
            self.draft = None;
            return Ok(Some(bytes));
        }
        if length > SMALL {
            let mut draft = match self.draft.take() {
                Some(draft) => draft,
                None => self.begin(spool, self.length.max(self.expected))?,
            };
            draft.write(&bytes)?;
            self.draft = Some(draft);
        }
        self.length = length;
        self.parts.push(bytes);
        Ok(None)
    }

    fn takes_room(&mut self, length: usize) -> bool {
        let wanted = u32::try_from(length.saturating_mul(2).div_ceil(1 << 10)).ok();
        let more = wanted.and_then(|n| Arc::clone(&self.room).try_acquire_many_owned(n).ok());
        match (more, &mut self.taken) {
            (None, _) => return false,
            (Some(more), Some(taken)) => taken.merge(more),
            (more, none) => *none = more,
        }
        true
    }

    /// A draft of about `length` bytes with what is held.
    fn begin(&self, spool: &ImportSpool, length: usize) -> Result<Draft, spool::Error> {
        let mut draft = spool.draft(length)?;
        self.parts.iter().try_for_each(|part| draft.write(part))?;
        Ok(draft)
    }

    pub(super) fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Walks the object.
    pub(super) fn look(&self, transfer_syntax: &Uid, limits: &Limits) -> Looked {
        let length = u64::try_from(self.length).unwrap_or(u64::MAX);
        look(&mut self.reader(), length, transfer_syntax, limits)
    }

    /// Reads the object, which takes no more memory by it.
    pub(super) fn reader(&self) -> impl Read + Send + 'static {
        Parts { rest: self.parts.clone().into_iter(), part: Bytes::new() }
    }

    /// All of the object, which is whole.
    pub(super) fn seal(&mut self, spool: &ImportSpool) -> Result<Sealed, spool::Error> {
        match self.draft.take() {
            Some(draft) => draft.finish(),
            None => self.begin(spool, self.length)?.finish(),
        }
    }
}

/// Walks a data set of so many bytes.
pub(super) fn look(
    reader: &mut dyn Read,
    length: u64,
    transfer_syntax: &Uid,
    limits: &Limits,
) -> Looked {
    let scanned = scan::scan_data_set(reader, length, transfer_syntax, limits);
    scanned.map_err(inspect::Error::from).and_then(inspect::inspect)
}

/// Reads one part behind the other.
struct Parts {
    rest: std::vec::IntoIter<Bytes>,
    part: Bytes,
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            let Some(next) = self.rest.next() else { return Ok(0) };
            self.part = next;
        }
        let length = self.part.len().min(into.len());
        self.part.copy_to_slice(into.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::ImportId;
    use crate::seal::Vault;
    use crate::spool::Spool;

    fn import(at: &std::path::Path) -> ImportSpool {
        let vault = Vault::open_or_create(&at.join("keys"), &at.join("master.key")).unwrap();
        Spool::open(&at.join("spool"), vault).unwrap().create(ImportId::new()).unwrap()
    }

    fn plain(room: usize) -> (Plain, Arc<Semaphore>) {
        let room = Arc::new(Semaphore::new(room));
        (Plain::new(Arc::clone(&room), 0), room)
    }

    /// Holds pieces of this length until one is given back; how many were held.
    fn held(plain: &mut Plain, spool: &ImportSpool, piece: usize) -> usize {
        let given_back = |plain: &mut Plain| plain.hold(vec![7; piece].into(), spool).unwrap();
        (0..10_000).take_while(|_| given_back(plain).is_none()).count()
    }

    #[tokio::test]
    async fn of_one_object_no_more_is_held_than_the_largest_slices() {
        let at = tempfile::tempdir().unwrap();
        let spool = import(at.path());
        let (mut plain, room) = plain(ROOM);
        assert_eq!(held(&mut plain, &spool, 100 << 10), 12);
        assert_eq!((plain.length(), plain.parts().len()), (MOST, 12));
        // What came beyond the small, and the same sealed.
        assert_eq!(ROOM - room.available_permits(), 2 * 1100);
        drop(plain);
        assert_eq!(room.available_permits(), ROOM);
    }

    #[tokio::test]
    async fn without_room_only_small_ones_are_held() {
        let at = tempfile::tempdir().unwrap();
        let spool = import(at.path());
        let (mut plain, _room) = plain(100);
        assert_eq!(held(&mut plain, &spool, 32 << 10), 5);
        // In many parts not even these: each may keep a whole buffer.
        let (mut plain, room) = self::plain(ROOM);
        assert_eq!(held(&mut plain, &spool, 10), PARTS);
        assert_eq!(room.available_permits(), ROOM);
    }

    #[tokio::test]
    async fn what_was_sealed_while_it_came_is_what_came() {
        let at = tempfile::tempdir().unwrap();
        let spool = import(at.path());
        for (length, expected) in
            [(10, 0), (SMALL, 0), (300_000, 0), (300_000, 300_000), (900_000, 10)]
        {
            let mut plain = Plain::new(Arc::new(Semaphore::new(ROOM)), expected);
            let bytes: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            for part in bytes.chunks(40_000) {
                assert!(plain.hold(part.to_vec().into(), &spool).unwrap().is_none());
            }
            assert_eq!(plain.is_small(), length <= SMALL);
            let sealed = plain.seal(&spool).unwrap();
            let blob = spool.committer().commit(sealed).await.unwrap();
            let mut found = Vec::new();
            spool.read(&blob).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{length} {expected}");
        }
    }
}
