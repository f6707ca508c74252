//! Runs the matching rules beside the scheduler's threads.
//!
//! Invariant: an outcome depends on the case, the items and the policy alone. What is kept from one study to the
//! next is the normalised form of the same items, never a result.

use std::sync::{Arc, Mutex, PoisonError};

use crate::dicom::Item;
use crate::matching::{Case, Completeness, Index, Outcome, Policy};

/// A worklist of this size is normalised in a few milliseconds; a larger one is kept for the next study.
const LARGE: usize = 1000;

/// The rules, with the last large worklist made ready. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Judge {
    last: Arc<Mutex<Option<Arc<Index<'static>>>>>,
}

impl Judge {
    /// What the rules say.
    pub(super) async fn decide(
        &self,
        case: Case,
        items: Vec<Item>,
        completeness: Completeness,
        policy: Policy,
    ) -> Outcome {
        let this = self.clone();
        let judged = tokio::task::spawn_blocking(move || {
            this.index(items).decide(&case, completeness, policy)
        });
        match judged.await {
            Ok(outcome) => outcome,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn index(&self, items: Vec<Item>) -> Arc<Index<'static>> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last().clone();
        if let Some(known) = known.filter(|known| known.items() == items) {
            return known;
        }
        let index = Arc::new(Index::new(items));
        // Two at once make two; the last one stays.
        if index.items().len() >= LARGE {
            *last() = Some(Arc::clone(&index));
        }
        index
    }
}
