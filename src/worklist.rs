//! What the local worklist says: asks every source, filters the answers again, joins them into items.
//!
//! Owns the worklist side of PS3.4 annex K as its user, folders of `.wl` files, orders that were put here, and what
//! is kept of all of them. Invariant: an answer is `Complete` only if every source answered everything of a broad
//! question now; a source that failed, was cut, held something unreadable, was only asked about one order or one
//! patient, or is only known from before never proves that nobody else fits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::dicom::Item;
use crate::matching::Completeness;

pub mod attributes;
mod cache;
mod entry;
mod filter;
mod folder;
pub mod hl7;
mod join;
mod keep;
mod local;
pub mod pdq;
mod peer;
mod query;
mod read;
mod section;
mod shelf;
#[cfg(test)]
mod tests;

pub use cache::{Cache, Extent, KeptHealth};
pub use entry::{Entry, LocalKey, NoEntry, Origin};
pub use join::join;
pub use keep::{Health, Kept};
pub use local::Local;
pub use read::{Reading, item_of};
pub use section::{
    CharacterSetKey, Manners, Options, Source, SourceSection, Times, WorklistSection,
};
pub use shelf::Error as StoreError;

/// Items of all sources together. A broad question of a large site gives hundreds.
const ITEM_LIMIT: usize = 100_000;

/// Notes of one answer: a few for each source, and no more than a person reads.
const NOTE_LIMIT: usize = 50;

/// One source may take this long for all its queries; a server that sends one answer a minute would otherwise
/// hold the study for hours.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(180);

/// What is looked for. All that is known; each source asks what it can.
#[derive(Clone, Default)]
pub struct Ask {
    pub accession_number: Option<String>,
    pub patient_id: Option<String>,
    /// Modalities of the study. They do not narrow the question: an order to import is often `OT`.
    pub modalities: Vec<String>,
    /// Everything in the configured window. Only such an answer can be complete.
    pub broad: bool,
}

/// Items of all sources, without repetition, steps of one requested procedure joined.
pub struct Answer {
    pub items: Vec<Item>,
    pub completeness: Completeness,
    /// Sentences without patient data: which source failed or was cut, and how old what it told before is.
    pub notes: Vec<String>,
    pub freshness: Freshness,
}

/// When the items were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Every source answered now, or what it told before is not needed.
    Live,
    /// Some did; of another one the items are what was kept.
    Mixed,
    /// None did: the items are what was kept. Nothing that they do not show is proved by that.
    Kept,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No source could be asked at all.
    #[error("no worklist source answered: {0}")]
    Unreachable(String),
}

/// How one source answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// Everything that was asked.
    Whole,
    /// Some of it: cut, capped, failed on the way, or partly unreadable.
    Partly,
    /// Nothing.
    Not,
}

/// What to do for a source that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// Only what is true now is wanted.
    LeaveOut,
    /// What it told last is better than nothing.
    UseKept,
}

/// What one source gave.
struct Gathered {
    items: Vec<Item>,
    /// Those of the whole window, as they are kept.
    entries: Vec<Entry>,
    reached: Reached,
    notes: Vec<String>,
}

impl Gathered {
    fn nothing(note: String) -> Self {
        Self { items: Vec::new(), entries: Vec::new(), reached: Reached::Not, notes: vec![note] }
    }
}

/// All configured sources, and what is kept of them. Cheap to clone.
#[derive(Clone)]
pub struct Worklist {
    sources: Arc<[Source]>,
    options: Arc<Options>,
    clock: Clock,
    cache: Cache,
    local: Local,
    /// Orders come by message, whether there are any yet or not.
    is_fed: bool,
    /// One refresh at a time.
    refreshing: Arc<Semaphore>,
}

impl Worklist {
    /// Without sources every question is unreachable. Nothing is kept until [`Worklist::keeping`].
    pub fn new(sources: Vec<Source>, options: Options, clock: Clock) -> Self {
        Self {
            sources: sources.into(),
            options: Arc::new(options),
            clock,
            cache: Cache::in_memory(),
            local: Local::in_memory(),
            is_fed: false,
            refreshing: Arc::new(Semaphore::new(1)),
        }
    }

    /// The same with what is kept elsewhere: it outlives a change of the configuration.
    pub fn keeping(self, cache: Cache, local: Local) -> Self {
        Self { cache, local, ..self }
    }

    /// The same if orders come by message: an empty local worklist is an answer then.
    pub fn fed(self) -> Self {
        Self { is_fed: true, ..self }
    }

    /// Orders that were put here from outside.
    pub fn local(&self) -> &Local {
        &self.local
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Asks all sources at once. For one that does not answer, what it told last is told with a note, and the
    /// answer is incomplete. `Unreachable` if there is not even that.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Error> {
        let queries = query::of_ask(ask, &self.options, self.today());
        let gathered = self.gather(&self.sources, &queries).await;
        if ask.broad {
            self.keep(&self.sources, &gathered);
        }
        self.answer(gathered, &queries, ask.broad, Lack::UseKept).await
    }

    /// Reads one item again just before it is used: `None` if the worklist no longer holds it, the item as it
    /// is now otherwise (the caller compares: the patient may have been merged, the order closed).
    /// `Unreachable` if that cannot be known; what is only kept is not asked.
    pub async fn reread(&self, item: &Item) -> Result<Option<Item>, Error> {
        let patient_id = item.patient.id.as_ref().map(|id| id.id.clone());
        let number = item.accession_number.as_ref().map(|number| number.number.clone());
        let query = query::Query::one(number, patient_id);
        let queries = std::slice::from_ref(&query);
        let gathered = self.gather(&self.sources, queries).await;
        let answer = self.answer(gathered, queries, true, Lack::LeaveOut).await?;
        let id = item.item_id();
        // The same content is preferred: a second entry under the same numbers does not hide it.
        let mut same: Vec<Item> =
            answer.items.into_iter().filter(|found| found.item_id() == id).collect();
        if let Some(at) = same.iter().position(|found| found.patient == item.patient) {
            return Ok(Some(same.swap_remove(at)));
        }
        match (same.pop(), answer.completeness) {
            (Some(found), _) => Ok(Some(found)),
            (None, Completeness::Complete) => Ok(None),
            (None, Completeness::Incomplete) => Err(Error::Unreachable(
                "the order was not found, but the answer is incomplete; it is asked again"
                    .to_owned(),
            )),
        }
    }

    async fn gather(&self, sources: &[Source], queries: &[query::Query]) -> Vec<Gathered> {
        let asked = sources.iter().map(|source| self.ask_source(source, queries));
        futures_util::future::join_all(asked).await
    }

    /// One answer of what every source gave, the local orders with it.
    async fn answer(
        &self,
        gathered: Vec<Gathered>,
        queries: &[query::Query],
        may_be_complete: bool,
        lack: Lack,
    ) -> Result<Answer, Error> {
        let nobody = gathered.iter().all(|g| g.reached == Reached::Not);
        let whole = gathered.iter().all(|g| g.reached == Reached::Whole);
        let (mut notes, mut items, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for (source, gathered) in self.sources.iter().zip(gathered) {
            notes.extend(gathered.notes);
            items.extend(gathered.items);
            let slot = match (gathered.reached, lack) {
                (Reached::Not, Lack::UseKept) => self.cache.slot(source),
                _ => None,
            };
            if let Some(slot) = slot {
                notes.push(self.age_note(source, &slot));
                kept.push(slot.entries);
            }
        }
        notes.truncate(NOTE_LIMIT);
        let of_local = self.matching(vec![self.local.entries().into()], queries).await;
        let is_local_only = self.sources.is_empty() && (self.is_fed || !self.local.is_empty());
        if nobody && kept.is_empty() && of_local.is_empty() && !is_local_only {
            let told = if notes.is_empty() {
                "none is configured; add a [[worklist.sources]] with a peer or a folder".to_owned()
            } else {
                notes.join("; ")
            };
            return Err(Error::Unreachable(told));
        }
        items.extend(of_local);
        let of_kept = self.matching(kept, queries).await;
        let uses_kept = !of_kept.is_empty();
        items.extend(of_kept);
        let mut items = join(items);
        let fits = items.len() <= ITEM_LIMIT;
        if !fits {
            items.truncate(ITEM_LIMIT);
            notes.push(format!(
                "more than {ITEM_LIMIT} orders; narrow worklist.modalities or worklist.window"
            ));
        }
        // What is sent to us tells of the orders that were sent, never that there are no others.
        let is_broad = queries.iter().any(query::Query::is_window);
        let whole = whole && !(self.sources.is_empty() && is_broad);
        let completeness = if whole && fits && may_be_complete && !queries.is_empty() {
            Completeness::Complete
        } else {
            Completeness::Incomplete
        };
        let freshness = match (nobody && !is_local_only, uses_kept) {
            (true, _) => Freshness::Kept,
            (false, true) => Freshness::Mixed,
            (false, false) => Freshness::Live,
        };
        Ok(Answer { items, completeness, notes, freshness })
    }

    async fn ask_source(&self, source: &Source, queries: &[query::Query]) -> Gathered {
        let work = async {
            match source {
                Source::Peer { name, remote, manners } => {
                    let now = self.clock.now().timestamp().to_zoned(self.options.timezone.clone());
                    peer::ask(name, remote, manners, queries, &self.options, &now).await
                }
                Source::Folder { path } => {
                    folder::ask(path.clone(), queries.to_vec(), Arc::clone(&self.options)).await
                }
            }
        };
        match tokio::time::timeout(SOURCE_TIMEOUT, work).await {
            Ok(gathered) => gathered,
            Err(_) => Gathered::nothing(format!(
                "{source} did not finish within {} s; check it, or narrow the question",
                SOURCE_TIMEOUT.as_secs()
            )),
        }
    }

    fn today(&self) -> jiff::civil::Date {
        self.clock.now().timestamp().to_zoned(self.options.timezone.clone()).date()
    }
}
