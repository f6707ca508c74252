//! What was committed since the store itself was brought to the device: a file of records, each synced at once.
//!
//! sled hands a commit through threads of its own and two waits for the device, and what it has not synced is in
//! an order that only it knows. So a commit goes here first, with one write and one sync, and into sled in
//! batches (see `store`). Invariant: after a crash the records up to the first that is not whole are exactly
//! those that were synced, and perhaps one that nobody was told of.
//!
//! ```text
//! file    record … record
//! record  "LOTSEAHD"  epoch (8)  number (8)  length of the changes (8)  BLAKE3 of all else (32)  changes
//! change  length of the key (4)  key  length of the value plus one, or 0 for none (4)  value
//! ```
//!
//! All numbers are big-endian. With every epoch the file is written from its beginning again. It has its length from
//! the start, so that a sync has only the record to write, and not the file's new size too: a third of the time. The
//! store keeps the number of the epoch that counts.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::record::Change;
use crate::seal::place;

const NAME: &str = "ahead";
const MAGIC: [u8; 8] = *b"LOTSEAHD";
const HEAD: usize = 8 + 8 + 8 + 8;
const DIGEST: usize = 32;
/// A file that one large record has made longer is cut.
const LONGEST: u64 = 8 << 20;
/// What an epoch takes as a rule: the changes that the store collects, what is written around each commit, and what may
/// come on top of that when the disk is full.
const PREPARED: u64 = 5 << 20;

pub(super) struct Ahead {
    file: File,
    epoch: u64,
    /// Of the next record.
    number: u64,
    /// Where it goes.
    at: u64,
    /// Kept for its memory.
    record: Vec<u8>,
}

impl Ahead {
    /// Opens the file in the store's folder, or makes it, and reads the changes of this epoch in their order.
    pub(super) fn open(folder: &Path, epoch: u64) -> io::Result<(Self, Vec<Change>)> {
        let path = folder.join(NAME);
        let file = match place::create_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::options().read(true).write(true).open(&path)
            }
            other => other,
        }?;
        let length = file.metadata()?.len();
        let mut ahead = Self { file, epoch, number: 0, at: 0, record: Vec::new() };
        let mut changes = Vec::new();
        while let Some(more) = ahead.read(length)? {
            changes.extend(more);
        }
        // Without it a sync takes longer, and that is all.
        if let Err(error) = ahead.prepare(length) {
            tracing::debug!(%error, "the journal's file of records ahead stays short");
        }
        Ok((ahead, changes))
    }

    /// Makes the file as long as an epoch is, with zeros behind `length`.
    fn prepare(&self, length: u64) -> io::Result<()> {
        let lacking = usize::try_from(PREPARED.saturating_sub(length)).unwrap_or(0);
        if lacking == 0 {
            return Ok(());
        }
        self.file.write_all_at(&vec![0; lacking], length)?;
        self.file.sync_all()
    }

    /// The next record, if it is one of this epoch and whole.
    fn read(&mut self, length: u64) -> io::Result<Option<Vec<Change>>> {
        let mut head = [0; HEAD + DIGEST];
        if !self.fill(&mut head, self.at, length)? {
            return Ok(None);
        }
        let Some((told, digest)) = head.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let body = told.last_chunk::<8>().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
        let body_at = self.at.saturating_add((HEAD + DIGEST) as u64);
        // No more is taken into memory than the file holds.
        let fits = body <= length.saturating_sub(body_at);
        let (Ok(wanted), true) = (usize::try_from(body), fits) else {
            return Ok(None);
        };
        if *told != self.head(body) {
            return Ok(None);
        }
        let mut bytes = vec![0; wanted];
        if !self.fill(&mut bytes, body_at, length)? || seal(told, &bytes) != *digest {
            return Ok(None);
        }
        let changes = decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        self.number = self.number.saturating_add(1);
        self.at = body_at.saturating_add(body);
        Ok(Some(changes))
    }

    fn fill(&self, bytes: &mut [u8], at: u64, length: u64) -> io::Result<bool> {
        let wanted = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length.saturating_sub(at) < wanted {
            return Ok(false);
        }
        self.file.read_exact_at(bytes, at).map(|()| true)
    }

    fn head(&self, length: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let parts =
            [MAGIC, self.epoch.to_be_bytes(), self.number.to_be_bytes(), length.to_be_bytes()];
        head.iter_mut().zip(parts.into_iter().flatten()).for_each(|(into, from)| *into = from);
        head
    }

    /// Adds one record, which is on the device when this returns.
    ///
    /// # Errors
    /// [`Failed::Write`]: as if nothing had been added. [`Failed::Sync`]: nobody knows.
    pub(super) fn append(&mut self, changes: &[Change]) -> Result<(), Failed> {
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        record.resize(HEAD + DIGEST, 0);
        encode(changes, &mut record);
        let length = u64::try_from(record.len().saturating_sub(HEAD + DIGEST)).unwrap_or(u64::MAX);
        let head = self.head(length);
        if let Some((front, body)) = record.split_at_mut_checked(HEAD + DIGEST) {
            let digest = seal(&head, body);
            let parts = head.iter().chain(&digest);
            front.iter_mut().zip(parts).for_each(|(into, from)| *into = *from);
        }
        let written = self.file.write_all_at(&record, self.at).map_err(Failed::Write);
        let end = self.at.saturating_add(u64::try_from(record.len()).unwrap_or(u64::MAX));
        if record.capacity() <= 1 << 20 {
            self.record = record;
        }
        written?;
        self.file.sync_data().map_err(Failed::Sync)?;
        self.at = end;
        self.number = self.number.saturating_add(1);
        Ok(())
    }

    /// Whether a record of these changes fits into what the file has already, so that it takes no more of the disk.
    pub(super) fn has_room(&self, changes: &[Change]) -> bool {
        let mut body = Vec::new();
        encode(changes, &mut body);
        let record = u64::try_from(body.len().saturating_add(HEAD + DIGEST)).unwrap_or(u64::MAX);
        let end = self.at.saturating_add(record);
        self.file.metadata().is_ok_and(|metadata| end <= metadata.len())
    }

    /// The epoch that [`Self::turn`] begins.
    pub(super) fn next_epoch(&self) -> u64 {
        self.epoch.wrapping_add(1)
    }

    /// Begins the next epoch: what was added before does not count any more.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        if self.at > LONGEST {
            self.file.set_len(PREPARED)?;
        }
        (self.epoch, self.number, self.at) = (self.next_epoch(), 0, 0);
        Ok(())
    }
}

/// Why a record was not added.
pub(super) enum Failed {
    Write(io::Error),
    Sync(io::Error),
}

fn seal(head: &[u8], body: &[u8]) -> [u8; DIGEST] {
    let mut hash = blake3::Hasher::new();
    hash.update(head).update(body);
    hash.finalize().into()
}

fn encode(changes: &[Change], into: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1);
    for (key, value) in changes {
        into.extend_from_slice(&length(key).to_be_bytes());
        into.extend_from_slice(key);
        let value_length = value.as_ref().map_or(0, |value| length(value).saturating_add(1));
        into.extend_from_slice(&value_length.to_be_bytes());
        into.extend_from_slice(value.as_deref().unwrap_or_default());
    }
}

fn decode(mut bytes: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while !bytes.is_empty() {
        let key = take(&mut bytes, 0)??.to_vec();
        let value = take(&mut bytes, 1)?.map(<[u8]>::to_vec);
        changes.push((key, value));
    }
    Some(changes)
}

/// Bytes behind their length, which was told with `more` added; none if it is less than that.
fn take<'a>(bytes: &mut &'a [u8], more: u32) -> Option<Option<&'a [u8]>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let Some(length) = u32::from_be_bytes(*length).checked_sub(more) else {
        *bytes = rest;
        return Some(None);
    };
    let (taken, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Change {
        (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    fn gone(key: &str) -> Change {
        (key.as_bytes().to_vec(), None)
    }

    fn add(ahead: &mut Ahead, changes: &[Change]) {
        assert!(ahead.append(changes).is_ok());
    }

    #[test]
    fn what_was_added_is_read_in_order() {
        let at = tempfile::tempdir().unwrap();
        let (mut ahead, found) = Ahead::open(at.path(), 7).unwrap();
        assert!(found.is_empty());
        add(&mut ahead, &[put("a", "1"), gone("b")]);
        add(&mut ahead, &[put("", "")]);
        drop(ahead);
        let (mut ahead, found) = Ahead::open(at.path(), 7).unwrap();
        assert_eq!(found, [put("a", "1"), gone("b"), put("", "")]);
        // It goes on where it was.
        add(&mut ahead, &[put("c", "3")]);
        let (_, found) = Ahead::open(at.path(), 7).unwrap();
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn only_the_epoch_that_counts_is_read() {
        let at = tempfile::tempdir().unwrap();
        let (mut ahead, _) = Ahead::open(at.path(), 1).unwrap();
        for value in ["1", "2", "3"] {
            add(&mut ahead, &[put("a", value)]);
        }
        ahead.turn().unwrap();
        assert!(Ahead::open(at.path(), 2).unwrap().1.is_empty());
        // Of the same length, so that what follows in the file are whole records of before.
        add(&mut ahead, &[put("a", "4")]);
        assert_eq!(Ahead::open(at.path(), 2).unwrap().1, [put("a", "4")]);
        assert!(Ahead::open(at.path(), 1).unwrap().1.is_empty());
    }

    #[test]
    fn it_has_its_length_from_the_start_and_after_a_large_record() {
        let at = tempfile::tempdir().unwrap();
        let length = || std::fs::metadata(at.path().join(NAME)).unwrap().len();
        let (mut ahead, _) = Ahead::open(at.path(), 1).unwrap();
        assert_eq!(length(), PREPARED);
        let large = "1".repeat(usize::try_from(LONGEST).unwrap());
        assert!(ahead.has_room(&[put("a", "1")]));
        assert!(!ahead.has_room(&[put("a", &large)]));
        add(&mut ahead, &[put("a", &large)]);
        assert!(!ahead.has_room(&[put("a", "1")]));
        assert!(length() > LONGEST);
        ahead.turn().unwrap();
        assert_eq!(length(), PREPARED);
        assert!(Ahead::open(at.path(), 2).unwrap().1.is_empty());
    }

    #[test]
    fn a_torn_record_ends_it_wherever_it_is_torn() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join(NAME);
        let (mut ahead, _) = Ahead::open(at.path(), 1).unwrap();
        add(&mut ahead, &[put("a", "1")]);
        let first = ahead.at;
        add(&mut ahead, &[put("b", "22")]);
        let mut whole = std::fs::read(&path).unwrap();
        // What follows is zeros.
        assert_eq!(whole.len() as u64, PREPARED);
        whole.truncate(usize::try_from(ahead.at).unwrap());
        for cut in usize::try_from(first).unwrap()..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(Ahead::open(at.path(), 1).unwrap().1, [put("a", "1")], "cut at {cut}");
            let mut torn = whole.clone();
            torn[cut] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(Ahead::open(at.path(), 1).unwrap().1, [put("a", "1")], "torn at {cut}");
        }
    }

    #[test]
    fn a_length_that_lies_takes_no_memory() {
        let at = tempfile::tempdir().unwrap();
        let (mut ahead, _) = Ahead::open(at.path(), 1).unwrap();
        add(&mut ahead, &[put("a", "1")]);
        let path = at.path().join(NAME);
        let mut lying = std::fs::read(&path).unwrap();
        lying[24..32].copy_from_slice(&u64::MAX.to_be_bytes());
        std::fs::write(&path, &lying).unwrap();
        assert!(Ahead::open(at.path(), 1).unwrap().1.is_empty());
    }
}
