//! Places by key, as one sorted run: small, and quick to search.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Which places a key has.
#[derive(Debug, Default)]
pub(super) struct Postings {
    entries: Vec<(u64, u32)>,
}

impl Postings {
    pub(super) fn new(mut entries: Vec<(u64, u32)>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        entries.shrink_to_fit();
        Self { entries }
    }

    pub(super) fn get(&self, key: u64) -> impl Iterator<Item = u32> + '_ {
        self.range(key, key)
    }

    /// Places of all keys from `first` to `last`, both included.
    pub(super) fn range(&self, first: u64, last: u64) -> impl Iterator<Item = u32> + '_ {
        let start = self.entries.partition_point(|(key, _)| *key < first);
        let found = self.entries.get(start..).unwrap_or(&[]).iter();
        found.take_while(move |(key, _)| *key <= last).map(|(_, place)| *place)
    }
}

/// A text as a key. `kind` keeps an ID apart from an order of the same number.
pub(super) fn hash(kind: &str, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, text).hash(&mut hasher);
    hasher.finish()
}
