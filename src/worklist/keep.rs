//! Keeping the worklist: asking every source again and again, and telling what they told.

use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan as _;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clock::Moment;
use crate::dicom::Item;

use super::cache::Slot;
use super::query::{self, Query};
use super::{
    Answer, Ask, Entry, Error, Extent, Gathered, KeptHealth, Lack, Reached, Reading, Source,
    Worklist, filter, join,
};

/// A list on somebody's screen may be this old, so that a page that is loaded again and again does not become
/// the RIS's burden. A source that did not answer is not tried again within it either.
const LISTING_AGE: Duration = Duration::from_secs(30);

/// A source that did not answer is asked again after this, so that modalities soon have its worklist when it is
/// back.
const RETRY: Duration = Duration::from_secs(30);

/// After so many refreshes in vain a part is better than a whole of long ago.
const OVERDUE: u32 = 3;

/// Orders of one feed come in a row: they are told together.
const TOGETHER: Duration = Duration::from_millis(500);

/// Everything that is kept: what every source told last, and the local orders.
pub struct Kept {
    /// In the order of the sources, the local ones last.
    pub entries: Vec<Arc<[Entry]>>,
}

/// How old and large what is kept is. No patient data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub kept: Vec<KeptHealth>,
    /// Orders' steps in the local worklist.
    pub local_entries: usize,
}

impl Worklist {
    /// Asks every source for the whole window and keeps what it tells. One at a time; who comes meanwhile waits
    /// for the one under way.
    pub async fn refresh(&self) {
        let Ok(_one) = self.refreshing.acquire().await else { return };
        let queries = self.broad();
        let gathered = self.gather(&self.sources, &queries).await;
        self.keep(&self.sources, &gathered);
        let now = self.clock.now();
        self.cache.keep_only(&self.sources, now);
        let oldest = self.today().checked_sub(i32::from(self.options.window_days).days());
        let (cache, local) = (self.cache.clone(), self.local.clone());
        let saving = tokio::task::spawn_blocking(move || {
            if let Ok(oldest) = oldest {
                local.forget_before(oldest)?;
            }
            cache.save(now)
        });
        if let Ok(Err(error)) = saving.await {
            tracing::warn!(%error, "the worklist could not be kept; it is tried again");
        }
        let health = self.health();
        let entries: usize = health.kept.iter().map(|kept| kept.entries).sum();
        tracing::debug!(entries, local = health.local_entries, "worklist kept");
    }

    /// Refreshes until `stop`.
    pub async fn keep_fresh(self, stop: CancellationToken) {
        let refreshing = async {
            loop {
                self.refresh().await;
                let failed = self.sources.iter().any(|s| self.cache.failure(s).is_some());
                let pause = if failed { RETRY } else { self.options.refresh };
                tokio::time::sleep(pause.min(self.options.refresh)).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = refreshing => {}
        }
    }

    /// The worklist for a person to look at: folders as they are, the RIS as it was at most half a minute ago, or
    /// as it told last, with a note.
    ///
    /// # Errors
    /// `Unreachable` if nothing was ever told.
    pub async fn listing(&self) -> Result<Answer, Error> {
        let now = self.clock.now();
        let queries = self.broad();
        let look = self.sources.iter().map(|source| self.look(source, &queries, now));
        let gathered = futures_util::future::join_all(look).await;
        self.answer(gathered, &queries, true, Lack::UseKept).await
    }

    /// One source for a listing.
    async fn look(&self, source: &Source, queries: &[Query], now: Moment) -> Gathered {
        let is_recent = |at: Moment| now.since(at) < LISTING_AGE;
        if let Source::Peer { .. } = source {
            if let Some(failure) = self.cache.failure(source).filter(|f| is_recent(f.at)) {
                let notes = failure.notes;
                return Gathered { items: vec![], entries: vec![], reached: Reached::Not, notes };
            }
            if let Some(slot) = self.cache.slot(source).filter(|slot| is_recent(slot.filled)) {
                return self.gathered_before(&slot, queries).await;
            }
        }
        let gathered = self.ask_source(source, queries).await;
        self.keep(std::slice::from_ref(source), std::slice::from_ref(&gathered));
        gathered
    }

    /// What is kept; `None` if no source ever told anything, so that nobody takes that for an empty worklist.
    pub fn kept(&self) -> Option<Kept> {
        let mut entries: Vec<Arc<[Entry]>> =
            self.sources.iter().filter_map(|s| self.cache.slot(s)).map(|s| s.entries).collect();
        let local = self.local.entries();
        if entries.is_empty() && local.is_empty() && !self.is_fed {
            return None;
        }
        entries.push(local.into());
        Some(Kept { entries })
    }

    /// Waits until orders come by message, a moment longer for those that come with them, and tells them.
    pub async fn news(&self) -> Vec<Item> {
        let first = self.local.news().await;
        tokio::time::sleep(TOGETHER).await;
        // Those that came meanwhile, if there are any.
        let others = tokio::time::timeout(Duration::ZERO, self.local.news()).await;
        let reading = Reading::new(&self.options.fallback_character_set, &self.options.stations);
        let entries = first.iter().chain(others.iter().flatten());
        join(entries.filter_map(|entry| entry.item(&reading)).collect())
    }

    /// For `/status` and `/metrics`.
    pub fn health(&self) -> Health {
        Health { kept: self.cache.health(self.clock.now()), local_entries: self.local.len() }
    }

    /// Takes what sources gave into the cache.
    pub(super) fn keep(&self, sources: &[Source], gathered: &[Gathered]) {
        let now = self.clock.now();
        let overdue = self.options.refresh.saturating_mul(OVERDUE);
        for (source, gathered) in sources.iter().zip(gathered) {
            let extent = match gathered.reached {
                Reached::Whole => Extent::Whole,
                Reached::Partly => Extent::Part,
                Reached::Not => {
                    self.cache.fail(source, gathered.notes.clone(), now);
                    continue;
                }
            };
            self.cache.fill(source, extent, gathered.entries.clone(), now, overdue);
        }
    }

    async fn gathered_before(&self, slot: &Slot, queries: &[Query]) -> Gathered {
        let items = self.matching(vec![Arc::clone(&slot.entries)], queries).await;
        let (reached, notes) = match slot.extent {
            Extent::Whole => (Reached::Whole, vec![]),
            Extent::Part => {
                (Reached::Partly, vec![format!("{} told only a part of its orders", slot.source)])
            }
        };
        Gathered { items, entries: vec![], reached, notes }
    }

    /// The items of kept entries that answer one of the queries.
    pub(super) async fn matching(
        &self,
        entries: Vec<Arc<[Entry]>>,
        queries: &[Query],
    ) -> Vec<Item> {
        if entries.iter().all(|entries| entries.is_empty()) {
            return vec![];
        }
        let reading = Reading::new(&self.options.fallback_character_set, &self.options.stations);
        let queries = queries.to_vec();
        let answers = move |item: &Item| queries.iter().any(|query| filter::answers(item, query));
        let work = move || {
            let items = entries.iter().flat_map(|e| e.iter()).filter_map(|e| e.item(&reading));
            items.filter(answers).collect()
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    }

    pub(super) fn age_note(&self, source: &Source, slot: &Slot) -> String {
        let minutes = self.clock.now().since(slot.filled).as_secs() / 60;
        format!("{source} does not answer; its orders are those of {minutes} min ago")
    }

    fn broad(&self) -> Vec<Query> {
        let ask = Ask { broad: true, ..Ask::default() };
        query::of_ask(&ask, &self.options, self.today())
    }
}
