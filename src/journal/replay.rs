//! Reading all of a journal at start.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::body::Form;
use super::record::{self, EVENTS, First, KEYS, PAUSED, READING, TOMBSTONES, Unreadable, VERSION};
use super::store::Store;
use super::{Entry, Error, Recovered};
use crate::import::ImportId;
use crate::seal::{ImportKey, Vault};

/// The last sequence of each import.
pub(super) type Sequences = HashMap<ImportId, u64>;

/// Reads everything; records that can't be read are reported with their import.
///
/// # Errors
/// If the store fails, or a newer version wrote a record.
pub(super) fn replay(store: &Store, vault: &Vault) -> Result<(Recovered, Sequences), Error> {
    let mut replay =
        Replay { vault, recovered: Recovered::default(), sequences: Sequences::new(), open: None };
    replay.recovered.cut = store.cut();
    replay.recovered.keeps_orphans = store.is_marked();
    store.scan(EVENTS, |key, value| {
        let Some((import, sequence, part)) = record::parse_event_key(key) else {
            return Err(damaged(store, "a key is not of a form that this version knows"));
        };
        replay.take(import, sequence, part, value).map_err(|found| newer(store, found))
    })?;
    replay.close();
    store.scan(TOMBSTONES, |_, value| {
        match record::parse_plain(value) {
            Some((_, Some(tombstone))) => replay.recovered.tombstones.push(tombstone),
            Some((found, None)) if found > VERSION => return Err(newer(store, found)),
            _ => return Err(damaged(store, "a tombstone can't be read")),
        }
        Ok(())
    })?;
    let recovered = &mut replay.recovered;
    // Without it running time goes on from zero credit, which the caller has to decide.
    recovered.reading = plain(store, READING, "the clock's reading can't be read")?;
    let paused = plain(store, PAUSED, "the list of paused destinations can't be read")?;
    recovered.paused = paused.unwrap_or_default();
    recovered.keys = plain(store, KEYS, "the name of the folder of keys can't be read")?;
    Ok((replay.recovered, replay.sequences))
}

/// A record of which there is one.
fn plain<T: DeserializeOwned>(store: &Store, key: &[u8], fault: &str) -> Result<Option<T>, Error> {
    let Some(value) = store.get(key)? else { return Ok(None) };
    match record::parse_plain(&value) {
        Some((_, Some(found))) => Ok(Some(found)),
        Some((found, None)) if found > VERSION => Err(newer(store, found)),
        _ => Err(damaged(store, fault)),
    }
}

fn newer(store: &Store, found: u8) -> Error {
    Error::Newer { path: store.folder().to_owned(), found }
}

fn damaged(store: &Store, reason: &str) -> Error {
    Error::Damaged { path: store.folder().to_owned(), reason: reason.to_owned() }
}

struct Replay<'a> {
    vault: &'a Vault,
    recovered: Recovered,
    sequences: Sequences,
    open: Option<Open>,
}

/// The import whose keys are coming.
struct Open {
    import: ImportId,
    key: Result<ImportKey, Unreadable>,
    entries: Vec<Entry>,
    event: Option<Parts>,
    /// The last sequence seen, readable or not.
    last: u64,
}

/// An event whose parts are coming.
struct Parts {
    sequence: u64,
    expected: u32,
    found: u32,
    form: Form,
    sealed: Vec<u8>,
}

impl Replay<'_> {
    /// Takes the next value of the store. Returns the version of a record that is newer than this code.
    fn take(&mut self, import: ImportId, sequence: u64, part: u32, value: &[u8]) -> Result<(), u8> {
        if self.open.as_ref().is_none_or(|open| open.import != import) {
            self.close();
            let key = self.vault.get(import).map_err(Unreadable::Sealed);
            self.open = Some(Open { import, key, entries: Vec::new(), event: None, last: 0 });
        }
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.last = open.last.max(sequence);
        if part == 0 {
            open.end_event();
            match record::parse_first(value)? {
                Some(First { form, parts: expected, piece }) => {
                    let sealed = piece.to_vec();
                    open.event = Some(Parts { sequence, expected, found: 1, form, sealed });
                }
                None => open.fail(Unreadable::Torn(sequence)),
            }
            return Ok(());
        }
        match &mut open.event {
            Some(event) if event.sequence == sequence && event.found == part => {
                event.found = event.found.saturating_add(1);
                event.sealed.extend_from_slice(value);
            }
            _ => open.fail(Unreadable::Torn(sequence)),
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        open.end_event();
        self.sequences.insert(open.import, open.last);
        match open.key {
            Ok(_) => self.recovered.imports.push((open.import, open.entries)),
            Err(reason) => self.recovered.unreadable.push((open.import, reason.to_string())),
        }
    }
}

impl Open {
    fn end_event(&mut self) {
        let Some(event) = self.event.take() else {
            return;
        };
        let Ok(key) = &self.key else { return };
        let expected = self.entries.last().map(|entry| entry.sequence.saturating_add(1));
        let result = match expected {
            _ if event.found != event.expected => Err(Unreadable::Torn(event.sequence)),
            Some(expected) if expected != event.sequence => {
                Err(Unreadable::Gap { expected, found: event.sequence })
            }
            None if event.sequence > 1 => {
                Err(Unreadable::Gap { expected: 0, found: event.sequence })
            }
            _ => record::open_event(key, self.import, event.sequence, (event.form, &event.sealed)),
        };
        match result {
            Ok(entry) => self.entries.push(entry),
            Err(reason) => self.fail(reason),
        }
    }

    /// An import is used as a whole or not at all: what was decided must not be forgotten.
    fn fail(&mut self, reason: Unreadable) {
        self.event = None;
        if self.key.is_ok() {
            self.key = Err(reason);
        }
    }
}
