//! The instances of an import, by number and by SOP Instance UID.
//!
//! Whoever works for an import holds it as it was, for as long as a delivery takes, while events change it. So all
//! states of an import share what they have in common: a copy costs a pointer for every [`CHUNK`] instances, and an
//! instance that comes copies one chunk of pointers at most.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Blob;
use super::state::{Inspected, Instance, Origin};
use crate::dicom::{Uid, inspect};

/// Pointers that are copied for one change, against pointers that are copied with the import.
const CHUNK: usize = 256;

/// Instances that are looked at for the same series or class. The objects of several series come by turns when a
/// peer sends on several associations.
const ALIKE: usize = 16;

/// Instances in the order in which they came, each UID once.
#[derive(Clone, Default)]
pub struct Instances {
    /// All but the last have [`CHUNK`].
    chunks: Vec<Arc<Vec<Arc<Instance>>>>,
    /// The end of a UID's hash, and the number. Each run is sorted, and longer than the one behind it unless that
    /// is still being filled: there are few, and a number is moved seldom.
    runs: Vec<Arc<Vec<(u32, u32)>>>,
    /// Its keys are random, so that nobody makes UIDs of one hash.
    hasher: RandomState,
}

impl Instances {
    pub fn len(&self) -> usize {
        let last = self.chunks.last().map_or(0, |chunk| chunk.len());
        self.chunks.len().saturating_sub(1).saturating_mul(CHUNK).saturating_add(last)
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn get(&self, number: usize) -> Option<&Arc<Instance>> {
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Instance>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The instance with this SOP Instance UID, and its number.
    pub(super) fn find(&self, sop_instance: &Uid) -> Option<(u32, &Arc<Instance>)> {
        let hash = self.hash(sop_instance);
        self.runs.iter().find_map(|run| {
            let first = run.partition_point(|(other, _)| *other < hash);
            let alike = run.iter().skip(first).take_while(|(other, _)| *other == hash);
            alike.map(|(_, number)| *number).find_map(|number| {
                let instance = self.get(usize::try_from(number).ok()?)?;
                (instance.sop_instance == *sop_instance).then_some((number, instance))
            })
        })
    }

    /// Appends an instance and returns its number.
    pub(super) fn push(&mut self, mut instance: Instance) -> u32 {
        let known = || self.iter().rev().take(ALIKE);
        share(&mut instance.sop_class, known().map(|one| &one.sop_class));
        share(&mut instance.series, known().map(|one| &one.series));
        if let Origin::Received { layout } = &mut instance.origin {
            share(&mut layout.transfer_syntax, known().filter_map(|one| transfer_syntax(one)));
        }
        let number = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.index(self.hash(&instance.sop_instance), number);
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(Arc::new(instance)),
            None => self.chunks.push(Arc::new(vec![Arc::new(instance)])),
        }
        number
    }

    fn index(&mut self, hash: u32, number: u32) {
        match self.runs.last_mut().filter(|run| run.len() < CHUNK) {
            Some(run) => {
                let run = Arc::make_mut(run);
                run.insert(run.partition_point(|other| *other < (hash, number)), (hash, number));
            }
            None => self.runs.push(Arc::new(vec![(hash, number)])),
        }
        while let [.., one, two] = &*self.runs
            && two.len() >= CHUNK.max(one.len())
        {
            let mut both = [one.as_slice(), two].concat();
            both.sort();
            self.runs.truncate(self.runs.len().saturating_sub(2));
            self.runs.push(Arc::new(both));
        }
    }

    /// The lower half of the hash is as good as the whole one, since what it finds is compared.
    fn hash(&self, uid: &Uid) -> u32 {
        let [a, b, c, d, ..] = self.hasher.hash_one(uid).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// Takes the text of a known UID for an equal one, so that it is in memory once.
fn share<'a>(uid: &mut Uid, mut known: impl Iterator<Item = &'a Uid>) {
    if let Some(same) = known.find(|known| *known == uid) {
        uid.clone_from(same);
    }
}

fn transfer_syntax(instance: &Instance) -> Option<&Uid> {
    match &instance.origin {
        Origin::Received { layout } => Some(&layout.transfer_syntax),
        Origin::Created { .. } => None,
    }
}

impl Inspected {
    /// What was found in the object whose bytes are `blob`.
    pub fn new(found: inspect::Found, blob: Blob) -> Self {
        Self {
            sop_class: found.sop_class,
            sop_instance: found.sop_instance,
            series: found.series,
            layout: found.layout,
            blob,
            facts: found.facts.into(),
        }
    }

    /// Takes what both tell from the object that was found before, so that it is in memory once.
    pub fn share(&mut self, before: &Self) {
        let one = |uid: &mut Uid, other| share(uid, std::iter::once(other));
        one(&mut self.sop_class, &before.sop_class);
        one(&mut self.series, &before.series);
        one(&mut self.layout.transfer_syntax, &before.layout.transfer_syntax);
        if self.facts == before.facts {
            self.facts = Arc::clone(&before.facts);
        }
    }
}

/// Reads a list of which each shares what it can with the one before, while it is read: thousands that are first read
/// whole leave holes in memory.
pub(super) fn shared<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Inspected>, D::Error> {
    struct Sharing;
    impl<'de> Visitor<'de> for Sharing {
        type Value = Vec<Inspected>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of instances")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all: Vec<Inspected> = Vec::new();
            while let Some(mut instance) = list.next_element::<Inspected>()? {
                if let Some(before) = all.last() {
                    instance.share(before);
                }
                all.push(instance);
            }
            Ok(all)
        }
    }
    from.deserialize_seq(Sharing)
}

impl FromIterator<Instance> for Instances {
    fn from_iter<T: IntoIterator<Item = Instance>>(instances: T) -> Self {
        let mut all = Self::default();
        for instance in instances {
            all.push(instance);
        }
        all
    }
}

impl PartialEq for Instances {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Instances {}

impl Serialize for Instances {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Instance>::deserialize(deserializer).map(Self::from_iter)
    }
}
