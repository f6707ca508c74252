//! Keys and values as the store holds them.
//!
//! ```text
//! e/ import (16) sequence (8, big-endian)            form (1)  parts (4, big-endian)  first part
//! e/ import (16) sequence (8) part (4, from 1)       part
//! t/ import (16)                                     version (1)  JSON of the tombstone
//! c/reading                                          version (1)  JSON of the reading
//! c/paused                                           version (1)  JSON of the destinations that a person paused
//! c/keys                                             version (1)  JSON of the name of the folder of keys
//! c/version                                          layout (1), see `migrate`
//! c/commits                                          number of the last commit (8, big-endian), see `guard`
//! c/cut                                              commits that were lost (8, big-endian), until nothing is left of them
//! c/epoch                                            epoch (8, big-endian), see `ahead`
//! ```
//!
//! The parts of an event, joined, are the sealed JSON of `{at, event}`, which is deflated if it is long (form 2, and
//! 1 if it is not; see `body`); form, import and sequence are authenticated with it. An event is split because sled puts a page that has grown beyond 128 KiB into a file of its own,
//! which it neither syncs nor treats well in recovery; sixteen values of [`PART`] stay below that.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::body::{self, Form};
use super::{Entry, Error};
use crate::clock::Moment;
use crate::import::{Event, ImportId, Tombstone};
use crate::seal::ImportKey;

/// The version of a record.
pub(super) const VERSION: u8 = 1;
/// That of an event that is deflated.
const DEFLATED: u8 = 2;
/// An event of 64 MiB tells of more than a hundred thousand instances; more is a mistake.
pub(super) const MAX_EVENT: usize = 64 << 20;
/// Sealed bytes in one value of the store.
pub(super) const PART: usize = 6 << 10;

pub(super) const EVENTS: &[u8] = b"e/";
pub(super) const TOMBSTONES: &[u8] = b"t/";
pub(super) const READING: &[u8] = b"c/reading";
pub(super) const PAUSED: &[u8] = b"c/paused";
pub(super) const KEYS: &[u8] = b"c/keys";
/// Which records ahead of the store count; not part of what the journal holds.
pub(super) const EPOCH: &[u8] = b"c/epoch";
pub(super) const STORE_VERSION: &[u8] = b"c/version";
pub(super) const COMMITS: &[u8] = b"c/commits";
pub(super) const CUT: &[u8] = b"c/cut";

/// Whether a key is the store's own affair, and not a record.
pub(super) fn is_housekeeping(key: &[u8]) -> bool {
    [STORE_VERSION, COMMITS, EPOCH, CUT].contains(&key)
}

/// One change of the store: a key with its new value, or none.
pub(super) type Change = (Vec<u8>, Option<Vec<u8>>);

#[derive(Serialize)]
struct Written<'a> {
    at: Moment,
    event: &'a Event,
}

#[derive(Deserialize)]
struct Read {
    at: Moment,
    event: Event,
}

/// The changes that keep an event.
pub(super) fn event(key: &ImportKey, entry: &Entry) -> Result<Vec<Change>, Error> {
    let (form, body) = body::write(&Written { at: entry.at, event: &entry.event }, MAX_EVENT)?;
    let sealed = key.seal(&context(form, entry.import, entry.sequence), &body)?;
    let parts = u32::try_from(sealed.len().div_ceil(PART)).map_err(|_| Error::Unwritable)?;
    let pieces = sealed.chunks(PART).zip(0_u32..);
    Ok(pieces
        .map(|(piece, part)| {
            let key = event_key(entry.import, entry.sequence, part);
            if part > 0 {
                return (key, Some(piece.to_vec()));
            }
            let mut value = vec![number_of(form)];
            value.extend_from_slice(&parts.to_be_bytes());
            value.extend_from_slice(piece);
            (key, Some(value))
        })
        .collect())
}

/// The event that was sealed as `sealed`.
pub(super) fn open_event(
    key: &ImportKey,
    import: ImportId,
    sequence: u64,
    (form, sealed): (Form, &[u8]),
) -> Result<Entry, Unreadable> {
    let context = context(form, import, sequence);
    let body = key.open(&context, sealed).map_err(Unreadable::Sealed)?;
    let read: Option<Read> = body::read(form, &body, MAX_EVENT);
    let Read { at, event } = read.ok_or(Unreadable::Form(sequence))?;
    Ok(Entry { import, sequence, at, event })
}

fn number_of(form: Form) -> u8 {
    match form {
        Form::Json => VERSION,
        Form::Deflated => DEFLATED,
    }
}

/// Why an import's records can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0}")]
    Sealed(crate::seal::Error),
    #[error("event {0} is not of a form that this version knows")]
    Form(u64),
    #[error("event {found} follows where event {expected} should be")]
    Gap { expected: u64, found: u64 },
    #[error("event {0} is not whole")]
    Torn(u64),
}

/// The beginning of all event keys of an import.
pub(super) fn events_of(import: ImportId) -> Vec<u8> {
    [EVENTS, import.as_bytes()].concat()
}

fn event_key(import: ImportId, sequence: u64, part: u32) -> Vec<u8> {
    let mut key = events_of(import);
    key.extend_from_slice(&sequence.to_be_bytes());
    if part > 0 {
        key.extend_from_slice(&part.to_be_bytes());
    }
    key
}

/// Import, sequence and part of an event's key.
pub(super) fn parse_event_key(key: &[u8]) -> Option<(ImportId, u64, u32)> {
    let (import, rest) = key.strip_prefix(EVENTS)?.split_first_chunk::<16>()?;
    let (sequence, part) = rest.split_first_chunk::<8>()?;
    let part = match part {
        [] => 0,
        part => u32::from_be_bytes(part.try_into().ok()?),
    };
    Some((ImportId::from_bytes(*import), u64::from_be_bytes(*sequence), part))
}

/// What the first part's value tells.
pub(super) struct First<'a> {
    pub(super) form: Form,
    pub(super) parts: u32,
    pub(super) piece: &'a [u8],
}

/// `None` if it is not whole.
///
/// # Errors
/// The number of the form, if it is a newer version's.
pub(super) fn parse_first(value: &[u8]) -> Result<Option<First<'_>>, u8> {
    let form = match value.first() {
        None | Some(0) => return Ok(None),
        Some(&VERSION) => Form::Json,
        Some(&DEFLATED) => Form::Deflated,
        Some(newer) => return Err(*newer),
    };
    let rest = value.get(1..).and_then(<[u8]>::split_first_chunk::<4>);
    Ok(rest.map(|(parts, piece)| First { form, parts: u32::from_be_bytes(*parts), piece }))
}

pub(super) fn tombstone_key(import: ImportId) -> Vec<u8> {
    [TOMBSTONES, import.as_bytes()].concat()
}

pub(super) fn tombstone(tombstone: &Tombstone) -> Result<Change, Error> {
    Ok((tombstone_key(tombstone.id), Some(plain(tombstone)?)))
}

/// The value of something that is not sealed, because it holds nothing of a patient.
pub(super) fn plain<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|_| Error::Unwritable)?;
    Ok(bytes)
}

/// Version and value of something that is not sealed.
pub(super) fn parse_plain<T: DeserializeOwned>(bytes: &[u8]) -> Option<(u8, Option<T>)> {
    let (version, json) = bytes.split_first()?;
    let known = *version == VERSION;
    Some((*version, known.then(|| serde_json::from_slice(json).ok()).flatten()))
}

fn context(form: Form, import: ImportId, sequence: u64) -> Vec<u8> {
    [&[number_of(form)][..], import.as_bytes(), &sequence.to_be_bytes()].concat()
}

/// Whether an event is small enough to be kept, without keeping its bytes in memory.
pub(super) fn fits(event: &Event) -> bool {
    let at = Moment { wall_ms: i64::MIN, running_ms: u64::MAX };
    let mut counted = Counted { left: MAX_EVENT };
    serde_json::to_writer(&mut counted, &Written { at, event }).is_ok()
}

/// Counts bytes and forgets them.
struct Counted {
    left: usize,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{Kind, Request};
    use crate::seal::Vault;

    #[test]
    fn a_long_event_is_read_as_earlier_versions_wrote_it_too() {
        let at = tempfile::tempdir().unwrap();
        let vault =
            Vault::open_or_create(&at.path().join("keys"), &at.path().join("master.key")).unwrap();
        let (import, sequence) = (ImportId::new(), 7);
        let key = vault.create(import).unwrap();
        let request = Request { accession_number: Some("A".repeat(50_000)), ..Request::default() };
        let (at, event) = (Moment::default(), Event::Requested { kind: Kind::Upload, request });
        let json = serde_json::to_vec(&Written { at, event: &event }).unwrap();
        let before = key.seal(&context(Form::Json, import, sequence), &json).unwrap();

        let changes = super::event(&key, &Entry { import, sequence, at, event: event.clone() });
        let [(_, Some(now))] = &changes.unwrap()[..] else { panic!("more than one part") };
        let First { form, parts: 1, piece } = parse_first(now).unwrap().unwrap() else { panic!() };
        assert_eq!(form, Form::Deflated);
        for (form, sealed) in [(Form::Json, before.as_slice()), (form, piece)] {
            let entry = open_event(&key, import, sequence, (form, sealed)).unwrap();
            assert!(entry.event == event && entry.at == at, "{form:?}");
        }
        // The form is authenticated.
        assert!(open_event(&key, import, sequence, (Form::Json, piece)).is_err());
        assert_eq!(parse_first(&[3, 0, 0, 0, 1]).err(), Some(3));
    }
}
