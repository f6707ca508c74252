//! What the local worklist says: asks every source, filters the answers again, joins them into items.
//!
//! Owns the worklist side of PS3.4 annex K as its user, and folders of `.wl` files. Invariant: an answer is
//! `Complete` only if every source answered everything of a broad question; a source that failed, was cut, held
//! something unreadable, or was only asked about one order or one patient never proves that nobody else fits.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::dicom::Item;
use crate::matching::Completeness;

mod filter;
mod folder;
mod join;
mod peer;
mod query;
mod read;
mod section;
#[cfg(test)]
mod tests;

pub use read::{Reading, item_of};
pub use section::{Options, Source, SourceSection, WorklistSection};

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
    /// Sentences without patient data: which source failed or was cut.
    pub notes: Vec<String>,
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

/// What one source gave.
struct Gathered {
    items: Vec<Item>,
    reached: Reached,
    notes: Vec<String>,
}

impl Gathered {
    fn nothing(note: String) -> Self {
        Self { items: Vec::new(), reached: Reached::Not, notes: vec![note] }
    }
}

/// All configured sources. Cheap to clone.
#[derive(Clone)]
pub struct Worklist {
    sources: Arc<[Source]>,
    options: Arc<Options>,
    clock: Clock,
}

impl Worklist {
    /// Without sources every question is unreachable.
    pub fn new(sources: Vec<Source>, options: Options, clock: Clock) -> Self {
        Self { sources: sources.into(), options: Arc::new(options), clock }
    }

    /// Asks all sources at once. `Unreachable` if none answered.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Error> {
        let queries = query::of_ask(ask, &self.options, self.today());
        self.run(&queries, ask.broad).await
    }

    /// Reads one item again just before it is used: `None` if the worklist no longer holds it, the item as it
    /// is now otherwise (the caller compares: the patient may have been merged, the order closed).
    /// `Unreachable` if that cannot be known.
    pub async fn reread(&self, item: &Item) -> Result<Option<Item>, Error> {
        let patient_id = item.patient.id.as_ref().map(|id| id.id.clone());
        let number = item.accession_number.as_ref().map(|number| number.number.clone());
        let query = query::Query::one(number, patient_id);
        let answer = self.run(std::slice::from_ref(&query), true).await?;
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

    async fn run(&self, queries: &[query::Query], may_be_complete: bool) -> Result<Answer, Error> {
        let asked = self.sources.iter().map(|source| self.ask_source(source, queries));
        let gathered = futures_util::future::join_all(asked).await;
        let nobody = gathered.iter().all(|g| g.reached == Reached::Not);
        let whole = gathered.iter().all(|g| g.reached == Reached::Whole);
        let mut notes = Vec::new();
        let mut items = Vec::new();
        for source in gathered {
            notes.extend(source.notes);
            items.extend(source.items);
        }
        notes.truncate(NOTE_LIMIT);
        if nobody {
            let told = if notes.is_empty() {
                "none is configured; add a [[worklist.sources]] with a peer or a folder".to_owned()
            } else {
                notes.join("; ")
            };
            return Err(Error::Unreachable(told));
        }
        let mut items = join::join(items);
        let fits = items.len() <= ITEM_LIMIT;
        if !fits {
            items.truncate(ITEM_LIMIT);
            notes.push(format!(
                "more than {ITEM_LIMIT} orders; narrow worklist.modalities or worklist.window"
            ));
        }
        let completeness = if whole && fits && may_be_complete && !queries.is_empty() {
            Completeness::Complete
        } else {
            Completeness::Incomplete
        };
        Ok(Answer { items, completeness, notes })
    }

    async fn ask_source(&self, source: &Source, queries: &[query::Query]) -> Gathered {
        let work = async {
            match source {
                Source::Peer { name, remote } => {
                    peer::ask(name, remote, queries, &self.options).await
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
