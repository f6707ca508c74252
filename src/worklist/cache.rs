//! What the sources told last: one slot a source, in memory and in a sealed file.
//!
//! Invariants: a slot always knows how old it is, and nothing older than a week is kept; never more than 100,000
//! entries, none of a slot twice; nothing here is ever told without its age, so that nobody takes it for what the RIS says now.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::seal::Vault;

use super::shelf::{self, Error, Shelf};
use super::{Entry, ITEM_LIMIT, Origin, Source};

const PURPOSE: &str = "lotse worklist cache 1";

/// What is older tells nothing about today, and nothing is kept longer than a week anywhere.
const AGE_LIMIT: Duration = Duration::from_secs(168 * 3600);

/// An unchanged worklist is not written again before this: its age then looks greater after a restart than it
/// was, never less.
const REWRITE_AFTER: Duration = Duration::from_secs(600);

/// How much of its worklist a source had told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    Whole,
    /// It was cut, or told something unreadable.
    Part,
}

/// What one source told, and when.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) source: String,
    pub(super) filled: Moment,
    pub(super) extent: Extent,
    pub(super) entries: Arc<[Entry]>,
}

/// How old and large the kept worklist of one source is. No patient data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptHealth {
    /// `peer NAME` or `folder PATH`.
    pub source: String,
    pub entries: usize,
    pub age_seconds: u64,
    pub extent: Extent,
}

/// That a source did not answer, when, and what it is about.
#[derive(Clone)]
pub(super) struct Failure {
    source: String,
    pub(super) at: Moment,
    pub(super) notes: Vec<String>,
}

/// Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    place: Option<(Vault, PathBuf)>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    /// Sources that did not answer when they were asked last.
    failures: Vec<Failure>,
    /// When the file was written; `None` if it does not hold what the slots hold.
    written: Option<Moment>,
}

/// What stands before the entries of a slot in the file.
#[derive(Serialize, Deserialize)]
struct Head {
    source: String,
    filled: Moment,
    extent: Extent,
    entries: usize,
}

const HEAD: u8 = b'S';
const ENTRY: u8 = b'E';
const END: u8 = b'Z';

impl Cache {
    /// What the file holds; an empty one if there is none, or none that is whole. Blocking.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn open(vault: Vault, path: &Path) -> Result<Self, Error> {
        let mut reading = Reading::default();
        match shelf::read(&vault, PURPOSE, path, |record| reading.take(record)) {
            Ok(_) => {}
            Err(Error::Damaged { .. }) => reading.broken = true,
            Err(error) => return Err(error),
        }
        let slots = reading.end().unwrap_or_else(|| {
            if path.exists() {
                tracing::warn!("the kept worklist can't be read; it is asked for anew");
            }
            Vec::new()
        });
        let state = RwLock::new(State { slots, ..State::default() });
        Ok(Self(Arc::new(Inner { place: Some((vault, path.to_owned())), state })))
    }

    /// One that is forgotten with the process, for commands and tests.
    pub fn in_memory() -> Self {
        Self(Arc::new(Inner { place: None, state: RwLock::default() }))
    }

    /// Takes what a source told. A part never drives out more than it brings, unless that is `overdue`.
    pub(super) fn fill(
        &self,
        source: &Source,
        extent: Extent,
        entries: Vec<Entry>,
        now: Moment,
        overdue: Duration,
    ) {
        let source = source.to_string();
        let mut entries = entries;
        // Queries that overlap give a step once each, and so do some servers.
        let mut known = HashSet::new();
        entries.retain(|entry| known.insert(entry.shared()));
        let mut state = self.write();
        state.failures.retain(|failure| failure.source != source);
        let others: usize =
            state.slots.iter().filter(|s| s.source != source).map(|s| s.entries.len()).sum();
        let place = state.slots.iter().position(|slot| slot.source == source);
        let old = place.and_then(|place| state.slots.get(place));
        let is_loss = |old: &Slot| {
            extent == Extent::Part
                && old.entries.len() > entries.len()
                && now.since(old.filled) < overdue
        };
        if old.is_some_and(is_loss) {
            return;
        }
        let room = ITEM_LIMIT.saturating_sub(others);
        let extent = if entries.len() > room { Extent::Part } else { extent };
        entries.truncate(room);
        let same = old.is_some_and(|old| *old.entries == *entries && old.extent == extent);
        let slot = Slot { source, filled: now, extent, entries: entries.into() };
        match place.and_then(|place| state.slots.get_mut(place)) {
            Some(there) => *there = slot,
            None => state.slots.push(slot),
        }
        let recent = state.written.is_some_and(|at| now.since(at) < REWRITE_AFTER);
        if !(same && recent) {
            state.written = None;
        }
    }

    /// Remembers that a source did not answer.
    pub(super) fn fail(&self, source: &Source, notes: Vec<String>, now: Moment) {
        let source = source.to_string();
        let mut state = self.write();
        state.failures.retain(|failure| failure.source != source);
        state.failures.push(Failure { source, at: now, notes });
    }

    /// Whether a source did not answer when it was asked last.
    pub(super) fn failure(&self, source: &Source) -> Option<Failure> {
        let source = source.to_string();
        self.read().failures.iter().find(|failure| failure.source == source).cloned()
    }

    /// Forgets sources that are configured no more, and what is too old.
    pub(super) fn keep_only(&self, sources: &[Source], now: Moment) {
        let known: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let mut state = self.write();
        state.failures.retain(|failure| known.contains(&failure.source));
        let before = state.slots.len();
        state
            .slots
            .retain(|slot| known.contains(&slot.source) && now.since(slot.filled) < AGE_LIMIT);
        if state.slots.len() != before {
            state.written = None;
        }
    }

    /// What a source told last.
    pub(super) fn slot(&self, source: &Source) -> Option<Slot> {
        let source = source.to_string();
        self.read().slots.iter().find(|slot| slot.source == source).cloned()
    }

    pub(super) fn health(&self, now: Moment) -> Vec<KeptHealth> {
        let health = |slot: &Slot| KeptHealth {
            source: slot.source.clone(),
            entries: slot.entries.len(),
            age_seconds: now.since(slot.filled).as_secs(),
            extent: slot.extent,
        };
        self.read().slots.iter().map(health).collect()
    }

    /// Brings the slots to the device, unless the file holds them already. Blocking.
    ///
    /// # Errors
    /// If the file can't be written; it is tried again the next time.
    pub(super) fn save(&self, now: Moment) -> Result<(), Error> {
        let Some((vault, path)) = &self.0.place else { return Ok(()) };
        let slots = {
            let mut state = self.write();
            if state.written.is_some() {
                return Ok(());
            }
            state.written = Some(now);
            state.slots.clone()
        };
        let written = Shelf::replace(vault, PURPOSE, path, records(&slots));
        if written.is_err() {
            self.write().written = None;
        }
        written.map(|_| ())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn records(slots: &[Slot]) -> impl Iterator<Item = Vec<u8>> {
    let of_slot = |slot: &Slot| {
        let head = Head {
            source: slot.source.clone(),
            filled: slot.filled,
            extent: slot.extent,
            entries: slot.entries.len(),
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let entries = Arc::clone(&slot.entries);
        let count = entries.len();
        let entry = move |index: usize| {
            entries.get(index).map(|entry: &Entry| tagged(ENTRY, entry.encoded()))
        };
        std::iter::once(tagged(HEAD, &head)).chain((0..count).filter_map(entry))
    };
    slots.iter().flat_map(of_slot).chain(std::iter::once(tagged(END, &[])))
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(bytes.len().saturating_add(1));
    record.push(tag);
    record.extend_from_slice(bytes);
    record
}

/// A file under way.
#[derive(Default)]
struct Reading {
    slots: Vec<(Head, Vec<Entry>)>,
    total: usize,
    ended: bool,
    broken: bool,
}

impl Reading {
    fn take(&mut self, record: &[u8]) {
        let taken = match record.split_first() {
            Some((&HEAD, head)) => {
                serde_json::from_slice(head).map(|head| self.slots.push((head, Vec::new()))).is_ok()
            }
            Some((&ENTRY, encoded)) if self.total < ITEM_LIMIT => self.entry(encoded).is_some(),
            Some((&END, _)) => {
                self.ended = true;
                true
            }
            _ => false,
        };
        self.broken |= !taken;
    }

    fn entry(&mut self, encoded: &[u8]) -> Option<()> {
        let (head, entries) = self.slots.last_mut()?;
        entries.push(Entry::decode(encoded, origin(&head.source)?)?);
        self.total += 1;
        Some(())
    }

    /// `None` if it was not whole.
    fn end(self) -> Option<Vec<Slot>> {
        let whole = |(head, entries): &(Head, Vec<Entry>)| head.entries == entries.len();
        if self.broken || !self.ended || !self.slots.iter().all(whole) {
            return None;
        }
        let slot = |(head, entries): (Head, Vec<Entry>)| Slot {
            source: head.source,
            filled: head.filled,
            extent: head.extent,
            entries: entries.into(),
        };
        Some(self.slots.into_iter().map(slot).collect())
    }
}

/// The origin that a source's name stands for.
fn origin(source: &str) -> Option<Origin> {
    match source.split_once(' ')? {
        ("peer", name) => Some(Origin::Peer(name.into())),
        ("folder", path) => Some(Origin::Folder(Path::new(path).into())),
        _ => None,
    }
}
