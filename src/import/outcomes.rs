//! What a destination answered, instance by instance.
//!
//! Shared by all states of an import as [`super::Instances`] are: an answer copies the answers for its neighbours,
//! not those for all the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::delivery::InstanceOutcome;

/// Numbers of instances whose answers are copied together.
const CHUNK: u32 = 256;

/// Answers by instance number; an absent one has not been answered yet.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// By number divided by [`CHUNK`]; none is empty.
    chunks: BTreeMap<u32, Arc<BTreeMap<u32, InstanceOutcome>>>,
}

impl Outcomes {
    pub fn len(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn get(&self, number: u32) -> Option<&InstanceOutcome> {
        self.chunks.get(&(number / CHUNK))?.get(&number)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &InstanceOutcome)> {
        let chunks = self.chunks.values().flat_map(|chunk| chunk.iter());
        chunks.map(|(number, outcome)| (*number, outcome))
    }

    pub fn values(&self) -> impl Iterator<Item = &InstanceOutcome> {
        self.iter().map(|(_, outcome)| outcome)
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(u32, &InstanceOutcome) -> bool) {
        self.chunks.retain(|_, chunk| {
            if !chunk.iter().all(|(number, outcome)| keeps(*number, outcome)) {
                Arc::make_mut(chunk).retain(|number, outcome| keeps(*number, outcome));
            }
            !chunk.is_empty()
        });
    }
}

impl Extend<(u32, InstanceOutcome)> for Outcomes {
    fn extend<T: IntoIterator<Item = (u32, InstanceOutcome)>>(&mut self, outcomes: T) {
        for (number, outcome) in outcomes {
            let chunk = self.chunks.entry(number / CHUNK).or_default();
            Arc::make_mut(chunk).insert(number, outcome);
        }
    }
}

impl FromIterator<(u32, InstanceOutcome)> for Outcomes {
    fn from_iter<T: IntoIterator<Item = (u32, InstanceOutcome)>>(outcomes: T) -> Self {
        let mut all = Self::default();
        all.extend(outcomes);
        all
    }
}

impl Serialize for Outcomes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Outcomes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from_iter)
    }
}
