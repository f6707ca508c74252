//! The thread that owns the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::record::{self, Change, KEYS, PAUSED, READING, TOMBSTONES};
use super::replay::Sequences;
use super::store::compact::{Compacted, LIVE_WHILE_RUNNING};
use super::store::{Need, Store};
use super::{Entry, Error};
use crate::clock::{Moment, Reading};
use crate::import::{DestinationName, ImportId, Tombstone};
use crate::seal::{FolderId, Vault};

/// So many requests share one sync at most.
const GROUP: usize = 256;
/// A group is closed when its sealed bytes reach this, so that memory stays bounded.
const GROUP_BYTES: usize = 16 << 20;

/// The store is looked at after so many burials: each leaves some kilobytes behind.
const BURIED: u32 = 64;

type Answer<T> = oneshot::Sender<Result<T, Error>>;

pub(super) enum Request {
    Append { entries: Arc<[Entry]>, need: Need, answer: Answer<()> },
    Bury { tombstone: Box<Tombstone>, answer: Answer<()> },
    Forget { before: Moment, answer: Answer<u64> },
    KeepReading { reading: Reading, answer: Answer<()> },
    KeepPaused { paused: BTreeSet<DestinationName>, answer: Answer<()> },
    KeepKeys { folder: FolderId, answer: Answer<()> },
    KeepLoss { answer: Answer<()> },
    ForgetLoss { answer: Answer<()> },
}

/// Who waits for the group, and what they hear if it is kept.
enum Waiting {
    Done(Answer<()>),
    Count(Answer<u64>, u64),
}

/// Requests that are kept together.
#[derive(Default)]
struct Group {
    /// One batch: what one request wants is kept as a whole.
    changes: Vec<Change>,
    bytes: usize,
    need: Need,
    waiting: Vec<Waiting>,
    /// Sequences as they will be; `None` for an import that is buried.
    sequences: HashMap<ImportId, Option<u64>>,
}

pub(super) struct Writer {
    store: Store,
    vault: Vault,
    sequences: Sequences,
    /// Why the store is not used any more.
    broken: Option<String>,
    /// Imports that were buried since the store was looked at.
    buried: u32,
}

impl Writer {
    pub(super) fn new(store: Store, vault: Vault, sequences: Sequences) -> Self {
        Self { store, vault, sequences, broken: None, buried: 0 }
    }

    /// Serves requests until nobody can send any more.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut group = Group::default();
            self.add(&mut group, first);
            while group.waiting.len() < GROUP && group.bytes < GROUP_BYTES {
                let Ok(next) = requests.try_recv() else { break };
                self.add(&mut group, next);
            }
            self.commit(group);
            if self.buried >= BURIED && requests.is_empty() && self.broken.is_none() {
                self.buried = 0;
                self.compact();
            }
        }
    }

    /// Looks whether the store should be made small again, and does it. Whoever asks meanwhile waits.
    fn compact(&mut self) {
        match self.store.compact(LIVE_WHILE_RUNNING) {
            Ok(None) => {}
            Ok(Some(Compacted { before, after })) => {
                tracing::info!(before, after, "the journal was made small again");
            }
            Err(error) => {
                self.note(&error);
                tracing::warn!(%error, "the journal could not be made small again");
            }
        }
    }

    /// Adds what a request wants to the group, or refuses it at once.
    fn add(&mut self, group: &mut Group, request: Request) {
        let (changes, waiting) = match request {
            Request::Append { entries, need, answer } => {
                group.need = group.need.max(need);
                (self.append(group, &entries), Waiting::Done(answer))
            }
            Request::Bury { tombstone, answer } => {
                (self.bury(group, &tombstone), Waiting::Done(answer))
            }
            Request::Forget { before, answer } => {
                let changes = self.forget(group, before);
                let count = changes.as_ref().map_or(0, Vec::len);
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                (changes, Waiting::Count(answer, count))
            }
            // Once in the life of a journal, if at all: not worth a place in the group.
            Request::KeepLoss { answer } => {
                let marked = self.store().and_then(Store::mark);
                (marked.map(|()| Vec::new()), Waiting::Done(answer))
            }
            Request::ForgetLoss { answer } => {
                let unmarked = self.store().and_then(Store::unmark);
                (unmarked.map(|()| Vec::new()), Waiting::Done(answer))
            }
            Request::KeepReading { reading, answer } => {
                (one(READING, record::plain(&reading)), Waiting::Done(answer))
            }
            Request::KeepKeys { folder, answer } => {
                (one(KEYS, record::plain(&folder)), Waiting::Done(answer))
            }
            Request::KeepPaused { paused, answer } => {
                (one(PAUSED, record::plain(&paused)), Waiting::Done(answer))
            }
        };
        match changes {
            Ok(changes) => group.add(changes, waiting),
            Err(error) => {
                self.note(&error);
                waiting.refuse(error);
            }
        }
    }

    /// The store, as long as it may be used.
    fn store(&mut self) -> Result<&mut Store, Error> {
        match &self.broken {
            Some(reason) => Err(Error::Broken(reason.clone())),
            None => Ok(&mut self.store),
        }
    }

    /// Notes whether an error is one after which the store is not used any more.
    fn note(&mut self, error: &Error) {
        if let Error::Broken(reason) = error {
            self.broken.get_or_insert_with(|| reason.clone());
        }
    }

    fn append(&mut self, group: &mut Group, entries: &[Entry]) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let mut last: HashMap<ImportId, Option<u64>> = HashMap::new();
        for entry in entries {
            let import = entry.import;
            let before = match last.get(&import).or_else(|| group.sequences.get(&import)) {
                Some(Some(sequence)) => Some(*sequence),
                Some(None) => return Err(Error::Buried(import)),
                None => self.sequences.get(&import).copied(),
            };
            match before {
                Some(before) if before.checked_add(1) != Some(entry.sequence) => {
                    let (found, expected) = (entry.sequence, before.saturating_add(1));
                    return Err(Error::OutOfOrder { import, found, expected });
                }
                Some(_) => {}
                None if self.store()?.get(&record::tombstone_key(import))?.is_some() => {
                    return Err(Error::Buried(import));
                }
                None if entry.sequence > 1 => {
                    let found = entry.sequence;
                    return Err(Error::OutOfOrder { import, found, expected: 0 });
                }
                None => {}
            }
            let key = self.vault.get(import)?;
            changes.extend(record::event(&key, entry)?);
            last.insert(import, Some(entry.sequence));
        }
        group.sequences.extend(last);
        Ok(changes)
    }

    fn bury(&mut self, group: &mut Group, tombstone: &Tombstone) -> Result<Vec<Change>, Error> {
        let prefix = record::events_of(tombstone.id);
        // What is waiting in this group is not in the store yet.
        group.changes.retain(|(key, _)| !key.starts_with(&prefix));
        let mut changes = Vec::new();
        self.store()?.scan(&prefix, |key, _| {
            changes.push((key.to_vec(), None));
            Ok(())
        })?;
        changes.push(record::tombstone(tombstone)?);
        group.sequences.insert(tombstone.id, None);
        Ok(changes)
    }

    fn forget(&mut self, group: &mut Group, before: Moment) -> Result<Vec<Change>, Error> {
        let ended_before = |tombstone: &Tombstone| tombstone.ended.running_ms < before.running_ms;
        let mut changes = Vec::new();
        self.store()?.scan(TOMBSTONES, |key, value| {
            let found = record::parse_plain::<Tombstone>(value);
            let old = found.and_then(|(_, tombstone)| tombstone).is_some_and(|t| ended_before(&t));
            let stays = record::parse_tombstone_key(key)
                .is_none_or(|import| group.sequences.get(&import) == Some(&None));
            if old && !stays {
                changes.push((key.to_vec(), None));
            }
            Ok(())
        })?;
        Ok(changes)
    }

    /// Keeps a group and answers everybody in it.
    fn commit(&mut self, group: Group) {
        match self.store().and_then(|store| store.commit_needing(group.need, [group.changes])) {
            Ok(()) => {
                for (import, sequence) in group.sequences {
                    match sequence {
                        Some(sequence) => self.sequences.insert(import, sequence),
                        None => {
                            self.buried = self.buried.saturating_add(1);
                            self.sequences.remove(&import)
                        }
                    };
                }
                group.waiting.into_iter().for_each(Waiting::succeed);
            }
            Err(error) => {
                self.note(&error);
                group.waiting.into_iter().for_each(|waiting| waiting.fail(&error));
            }
        }
    }
}

impl Group {
    fn add(&mut self, changes: Vec<Change>, waiting: Waiting) {
        for (key, value) in &changes {
            let length = key.len().saturating_add(value.as_ref().map_or(0, Vec::len));
            self.bytes = self.bytes.saturating_add(length);
        }
        self.changes.extend(changes);
        self.waiting.push(waiting);
    }
}

/// One record in place of the one before.
fn one(key: &[u8], value: Result<Vec<u8>, Error>) -> Result<Vec<Change>, Error> {
    value.map(|value| vec![(key.to_vec(), Some(value))])
}

impl Waiting {
    // Whoever does not wait any more does not want the answer.
    fn succeed(self) {
        match self {
            Self::Done(answer) => drop(answer.send(Ok(()))),
            Self::Count(answer, count) => drop(answer.send(Ok(count))),
        }
    }

    fn fail(self, error: &Error) {
        self.refuse(match error {
            Error::Full => Error::Full,
            other => Error::Broken(match other {
                Error::Broken(reason) => reason.clone(),
                other => other.to_string(),
            }),
        });
    }

    fn refuse(self, error: Error) {
        match self {
            Self::Done(answer) => drop(answer.send(Err(error))),
            Self::Count(answer, _) => drop(answer.send(Err(error))),
        }
    }
}
