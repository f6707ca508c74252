//! The worklist as modalities ask for it (PS3.4 annex K): C-FIND over what is kept of the RIS and the local orders.
//!
//! It answers from what is kept, so a modality has its worklist while the RIS is down. Invariants: an empty answer
//! means that nothing of what is kept matches, never that nothing was ever read; an answer that was cut here ends
//! with a failure; text that the asker can't read is replaced visibly; a step that is over is told only to who asks
//! for its status.

mod attributes;
mod matches;
mod name;
mod question;
mod reply;
mod span;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use dicom_dictionary_std::tags;

use crate::dicom::{DataSet, Step, Tag};
use crate::dimse::{self, Find, Flow, Remark, ServerAssociation, Status};
use crate::worklist::{Entry, Kept, Worklist};

use question::Question;

pub use attributes::{Key, keys};

/// Why a query is not answered: a status, a sentence of at most 64 characters, the attribute it is about.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: Status,
    comment: &'static str,
    tag: Option<Tag>,
}

impl Refusal {
    fn of(tag: Tag, comment: &'static str) -> Self {
        Self { status: Status::DOES_NOT_MATCH_CLASS, comment, tag: Some(tag) }
    }
}

/// A query of studies that are held, by the same rules of matching.
pub(super) struct Sieve(Question);

impl Sieve {
    pub(super) fn parse(find: &Find) -> Result<Self, Remark> {
        let parsed = Question::parse_at(&find.identifier, find.names, attributes::Level::Held);
        let question = parsed.map_err(|refusal| Remark {
            comment: refusal.comment.to_owned(),
            offending: refusal.tag,
        })?;
        Ok(Self(question))
    }

    #[cfg(test)]
    pub(super) fn of(identifier: &DataSet) -> Self {
        let (names, level) = (dimse::NameMatching::Literal, attributes::Level::Held);
        Self(Question::parse_at(identifier, names, level).unwrap())
    }

    pub(super) fn pending(&self) -> Status {
        self.0.pending()
    }

    /// Whether `set`, whose text is UTF-8, is a match.
    pub(super) fn fits(&self, set: &DataSet) -> bool {
        matches::matches(&self.0, set)
    }

    /// The match as the asker gets it.
    pub(super) fn reply(&self, set: &DataSet) -> DataSet {
        reply::reply(&self.0, set)
    }

    /// The UIDs that an attribute has to be one of, if any are named.
    pub(super) fn uids(&self, tag: Tag) -> Option<&[String]> {
        self.0.keys.iter().find(|key| key.tag == tag).and_then(|key| match &key.asks {
            question::Asks::Uids(uids) => Some(uids.as_slice()),
            _ => None,
        })
    }
}

/// What a query gives.
struct Found {
    question: Question,
    entries: Vec<Entry>,
    /// There are more, which are not here.
    cut: bool,
}

/// Answers one query, to its final status.
pub(super) async fn answer(
    association: &mut ServerAssociation,
    find: &Find,
    worklist: Option<Worklist>,
) -> Result<(), dimse::Error> {
    let found = match search(find, worklist).await {
        Ok(found) => found,
        Err(refusal) => {
            let (status, comment) = (refusal.status, refusal.comment);
            tracing::warn!(%status, tag = ?refusal.tag, "worklist query refused: {comment}");
            let remark = Remark { comment: comment.to_owned(), offending: refusal.tag };
            return association.refuse_find(find, status, remark).await;
        }
    };
    let pending = found.question.pending();
    let mut told = 0_usize;
    for entry in &found.entries {
        let match_ = reply::reply(&found.question, &entry.data_set());
        if association.respond_match_as(find, &match_, pending).await? == Flow::Cancelled {
            tracing::info!(matches = told, "worklist query cancelled");
            return association.respond_find(find, Status::CANCELLED).await;
        }
        told += 1;
    }
    tracing::info!(matches = told, cut = found.cut, "worklist query answered");
    if found.cut {
        // A modality must not take a part for the whole.
        let comment = "too many matches, the rest is missing; narrow the query".to_owned();
        let remark = Remark { comment, offending: None };
        return association.refuse_find(find, Status::OUT_OF_RESOURCES, remark).await;
    }
    association.respond_find(find, Status::SUCCESS).await
}

async fn search(find: &Find, worklist: Option<Worklist>) -> Result<Found, Refusal> {
    let question = Question::parse(&find.identifier, find.names)?;
    let limit = worklist.as_ref().map_or(0, |worklist| worklist.options().answer_limit);
    let work = move || {
        let kept = worklist.and_then(|worklist| worklist.kept()).ok_or(Refusal {
            status: Status::OUT_OF_RESOURCES,
            comment: "no worklist was read yet; the RIS has not answered",
            tag: None,
        })?;
        let (entries, cut) = select(&question, &kept, limit);
        Ok(Found { question, entries, cut })
    };
    let failed = |_| Refusal {
        status: Status::CANNOT_UNDERSTAND,
        comment: "the query could not be processed",
        tag: None,
    };
    // A hundred thousand entries take a while to be looked through.
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// At most `limit` entries that match, by their day, and whether there are more.
fn select(question: &Question, kept: &Kept, limit: usize) -> (Vec<Entry>, bool) {
    let several = kept.entries.iter().filter(|entries| !entries.is_empty()).count() > 1;
    let tells_closed = question.asks_for_status();
    // What one source calls done is not told as open because another lags.
    let all = || kept.entries.iter().flat_map(|entries| entries.iter());
    let closed: HashSet<_> = match several {
        true => all()
            .map(Entry::data_set)
            .filter(|set| !is_open(set))
            .filter_map(|set| identity(&set))
            .collect(),
        false => HashSet::new(),
    };
    let mut known = HashSet::new();
    let mut found: Vec<Entry> = Vec::new();
    let mut cut = false;
    for entry in all() {
        if !question.may_match_day(entry.day()) {
            continue;
        }
        let set = entry.data_set();
        if !matches::matches(question, &set) {
            continue;
        }
        let is_open = is_open(&set);
        if !tells_closed && !is_open {
            continue;
        }
        // The same step from two sources is one step.
        if several
            && let Some(identity) = identity(&set)
            && ((is_open && closed.contains(&identity)) || !known.insert(identity))
        {
            continue;
        }
        if found.len() == limit {
            cut = true;
            break;
        }
        found.push(entry.clone());
    }
    found.sort_by_key(Entry::day);
    (found, cut)
}

/// Whether the step may still be acquired. What has no step, or tells no status, may.
fn is_open(set: &DataSet) -> bool {
    let step = set.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).first();
    let status = step.and_then(|step| step.text(tags::SCHEDULED_PROCEDURE_STEP_STATUS));
    let first = status.as_deref().and_then(|text| text.split('\\').next());
    let status = first.map(|text| text.trim().to_ascii_uppercase());
    Step { status, ..Step::default() }.is_open()
}

/// What names one step; `None` if it has no name.
fn identity(set: &DataSet) -> Option<[Option<String>; 4]> {
    let step = set.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).first()?;
    let id = step.text(tags::SCHEDULED_PROCEDURE_STEP_ID)?;
    let number = set.text(tags::ACCESSION_NUMBER);
    let study = set.text(tags::STUDY_INSTANCE_UID);
    (number.is_some() || study.is_some())
        .then(|| [Some(id), number, study, set.text(tags::PATIENT_ID)])
}
