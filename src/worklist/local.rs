//! Orders that were put here instead of being asked for: the local worklist.
//!
//! Owns what is under a [`LocalKey`], in memory and in a sealed file. Invariants: a change is on the device before
//! it is told to be done; there are never more than 100,000 entries.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::civil::Date;
use tokio::sync::Notify;

use crate::seal::Vault;

use super::shelf::{self, Error, Shelf};
use super::{Entry, ITEM_LIMIT, LocalKey, Origin};

const PURPOSE: &str = "lotse local worklist 1";

/// Overtaken records that a file may hold before it is written anew, beside as many as it has living ones.
const OVERTAKEN_LIMIT: u64 = 1_000;

/// Orders that came and were not looked at yet. With more at once, who waits for the oldest is matched by hand.
const NEWS_LIMIT: usize = 1_000;

/// The local worklist. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Local(Arc<Inner>);

struct Inner {
    place: Option<(Vault, PathBuf)>,
    state: Mutex<State>,
    came: Notify,
}

#[derive(Default)]
struct State {
    orders: BTreeMap<LocalKey, Vec<Entry>>,
    entries: usize,
    shelf: Option<Shelf>,
    /// What was put since [`Local::news`] was told last.
    news: VecDeque<LocalKey>,
}

impl Local {
    /// What the file holds; an empty one if there is none. Blocking.
    ///
    /// # Errors
    /// If the file can't be read or written, or is damaged: it is left as it is then.
    pub fn open(vault: Vault, path: &Path) -> Result<Self, Error> {
        let mut state = State::default();
        let read = shelf::read(&vault, PURPOSE, path, |record| match Record::decode(record) {
            Some((key, entries)) => state.set(key, entries),
            None => tracing::warn!("a record of the local worklist is unreadable and was left out"),
        })?;
        if read.is_none() && path.exists() {
            return Err(Error::Sealed { path: path.to_owned() });
        }
        state.rewrite(&vault, path)?;
        Ok(Self(Arc::new(Inner {
            place: Some((vault, path.to_owned())),
            state: Mutex::new(state),
            came: Notify::new(),
        })))
    }

    /// One that is forgotten with the process, for commands and tests.
    pub fn in_memory() -> Self {
        Self(Arc::new(Inner { place: None, state: Mutex::default(), came: Notify::new() }))
    }

    /// Puts all steps of one order in place of what stood under its key. Durable when it returns. Blocking.
    ///
    /// # Errors
    /// [`Error::Full`] above 100,000 entries; else if it can't be written. Nothing has changed then.
    pub fn put(&self, key: &LocalKey, entries: Vec<Entry>) -> Result<(), Error> {
        let entries: Vec<Entry> =
            entries.into_iter().map(|e| e.of(Origin::Local(key.clone()))).collect();
        self.change(key, entries)
    }

    /// Takes an order away; whether there was one. Durable when it returns. Blocking.
    ///
    /// # Errors
    /// If it can't be written. Nothing has changed then.
    pub fn remove(&self, key: &LocalKey) -> Result<bool, Error> {
        if !self.state().orders.contains_key(key) {
            return Ok(false);
        }
        self.change(key, Vec::new())?;
        Ok(true)
    }

    /// The steps of one order.
    pub fn get(&self, key: &LocalKey) -> Vec<Entry> {
        self.state().orders.get(key).cloned().unwrap_or_default()
    }

    /// Every order with its key, in the order of the keys.
    pub fn orders(&self) -> Vec<(LocalKey, Vec<Entry>)> {
        let state = self.state();
        state.orders.iter().map(|(key, entries)| (key.clone(), entries.clone())).collect()
    }

    /// Every entry.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().orders.values().flatten().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.state().entries
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes away the orders of which every step was scheduled before `day`; how many there were. Blocking.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn forget_before(&self, day: Date) -> Result<usize, Error> {
        let is_old = |entries: &[Entry]| {
            entries.iter().all(|entry| entry.day().is_some_and(|found| found < day))
        };
        let mut state = self.state();
        let before = state.orders.len();
        let mut left = state.orders.clone();
        left.retain(|_, entries| !is_old(entries));
        let gone = before.saturating_sub(left.len());
        if gone > 0 {
            state.entries = left.values().map(Vec::len).sum();
            state.orders = left;
            if let Some((vault, path)) = &self.0.place {
                state.rewrite(vault, path)?;
            }
        }
        Ok(gone)
    }

    /// Waits until an order is put or changed, then tells it and all others that were since. For one listener.
    pub(super) async fn news(&self) -> Vec<Entry> {
        loop {
            {
                let mut state = self.state();
                let keys = std::mem::take(&mut state.news);
                let entries = keys.iter().filter_map(|key| state.orders.get(key));
                let entries: Vec<Entry> = entries.flatten().cloned().collect();
                if !entries.is_empty() {
                    return entries;
                }
            }
            self.0.came.notified().await;
        }
    }

    fn change(&self, key: &LocalKey, entries: Vec<Entry>) -> Result<(), Error> {
        let mut state = self.state();
        let replaced = state.orders.get(key).map_or(0, Vec::len);
        let after = state.entries.saturating_sub(replaced).saturating_add(entries.len());
        if !entries.is_empty() && after > ITEM_LIMIT {
            return Err(Error::Full(ITEM_LIMIT));
        }
        if let Some((vault, path)) = &self.0.place {
            if state.shelf.is_none() {
                state.rewrite(vault, path)?;
            }
            let record = Record::encode(key, &entries);
            let appended = state.shelf.as_mut().map_or(Ok(()), |shelf| shelf.append(&record));
            if let Err(error) = appended {
                // What was written half would hide everything behind it.
                state.shelf = None;
                return Err(error);
            }
        }
        if !entries.is_empty() {
            state.news.retain(|known| known != key);
            state.news.push_back(key.clone());
            if state.news.len() > NEWS_LIMIT {
                state.news.pop_front();
            }
            self.0.came.notify_one();
        }
        state.set(key.clone(), entries);
        if let Some((vault, path)) = &self.0.place
            && state.is_wasteful()
            && let Err(error) = state.rewrite(vault, path)
        {
            // The change is durable already.
            tracing::warn!(%error, "the local worklist could not be tidied up");
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, key: LocalKey, entries: Vec<Entry>) {
        self.entries = self.entries.saturating_add(entries.len());
        let replaced = if entries.is_empty() {
            self.orders.remove(&key)
        } else {
            self.orders.insert(key, entries)
        };
        self.entries = self.entries.saturating_sub(replaced.map_or(0, |old| old.len()));
    }

    fn is_wasteful(&self) -> bool {
        let living = u64::try_from(self.orders.len()).unwrap_or(u64::MAX);
        let records = self.shelf.as_ref().map_or(0, Shelf::records);
        records > living.saturating_mul(2).saturating_add(OVERTAKEN_LIMIT)
    }

    fn rewrite(&mut self, vault: &Vault, path: &Path) -> Result<(), Error> {
        let records = self.orders.iter().map(|(key, entries)| Record::encode(key, entries));
        match Shelf::replace(vault, PURPOSE, path, records) {
            Ok(shelf) => self.shelf = Some(shelf),
            Err(error) => {
                // It may have failed with the new file in place: the one that is open has no name then.
                self.shelf = self.shelf.take().filter(Shelf::is_named);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// One change: a key and what stands under it from then on.
struct Record;

impl Record {
    fn encode(key: &LocalKey, entries: &[Entry]) -> Vec<u8> {
        let mut record = Vec::new();
        piece(key.as_str().as_bytes(), &mut record);
        for entry in entries {
            piece(entry.encoded(), &mut record);
        }
        record
    }

    fn decode(record: &[u8]) -> Option<(LocalKey, Vec<Entry>)> {
        let (key, mut rest) = split(record)?;
        let key = LocalKey::new(std::str::from_utf8(key).ok()?)?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (encoded, behind) = split(rest)?;
            entries.push(Entry::decode(encoded, Origin::Local(key.clone()))?);
            rest = behind;
        }
        Some((key, entries))
    }
}

fn piece(bytes: &[u8], out: &mut Vec<u8>) {
    // Keys and entries are bounded far below.
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = record.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}
