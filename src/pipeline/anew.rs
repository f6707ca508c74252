//! Matching anew: a study that waits for a person looks again when an order comes by message that may be its own.
//!
//! Invariant: nothing is decided here. The study asks the whole worklist again, as when it came.

use tokio_util::sync::CancellationToken;

use super::Pipeline;
use super::stages::case;
use crate::dicom::{Item, Uid};
use crate::import::{Event, Import, ImportId, Study, StudyState};
use crate::matching::{Agreement, Candidate, Completeness, Index, Outcome, Policy};

impl Pipeline {
    /// Looks at every order that comes by message, until `stop`.
    pub async fn follow_orders(self, stop: CancellationToken) {
        let following = async {
            loop {
                let worklist = self.shared.settings().worklist.clone();
                self.orders_came(worklist.news().await).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = following => {}
        }
    }

    async fn orders_came(&self, items: Vec<Item>) {
        let waiting = self.waiting();
        if items.is_empty() || waiting.is_empty() {
            return;
        }
        let work = tokio::task::spawn_blocking(move || {
            let index = Index::new(items);
            waiting.into_iter().filter(|waits| waits.may_be_meant(&index)).collect::<Vec<_>>()
        });
        for Waiting { import, study, .. } in work.await.unwrap_or_default() {
            tracing::info!(%import, "an order came that a study may have waited for; it is matched anew");
            // A person who decided meanwhile was first.
            let event = Event::OrderCame { study };
            if let Err(refusal) = self.report(import, event).await {
                tracing::debug!(%import, %refusal, "it waits no more");
            }
        }
    }

    fn waiting(&self) -> Vec<Waiting> {
        let imports = self.shared.imports.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of = |import: &Import| -> Vec<Waiting> {
            let studies = import.studies.iter();
            studies.filter_map(|study| Waiting::new(import, study)).collect()
        };
        imports.values().flat_map(|import| of(import)).collect()
    }
}

/// A study that waits for a person.
struct Waiting {
    import: ImportId,
    study: Uid,
    case: crate::matching::Case,
    outcome: Box<Outcome>,
}

impl Waiting {
    fn new(import: &Import, study: &Study) -> Option<Self> {
        let StudyState::AwaitingDecision { outcome } = &study.state else { return None };
        let (outcome, case) = (outcome.clone(), case(import, study));
        Some(Self { import: import.id, study: study.uid.clone(), case, outcome })
    }

    /// Whether one of the orders is named by the request or fits, and is not in the list yet.
    fn may_be_meant(&self, orders: &Index<'_>) -> bool {
        // Which of them would be decided for is asked when all orders are known.
        let found = orders.decide(&self.case, Completeness::Incomplete, Policy::Confirm);
        let known = |item: &Item| self.outcome.candidates.iter().any(|known| known.item == *item);
        let named = |found: &Candidate| {
            let mut evidence = found.evidence.iter();
            evidence.any(|e| e.attribute == "requestedOrder" && e.agreement == Agreement::Equal)
        };
        found.candidates.iter().any(|found| {
            let fits = found.score > 0 && found.contradictions.is_empty();
            (fits || named(found)) && !known(&found.item)
        })
    }
}
