//! An import as people and programs see it: the JSON of the contract, and what the console's pages show.
//!
//! Pure: a function of the import and its progress. The console renders the same values that the API tells.

mod choice;
mod left;
mod study;
mod words;

use serde::Serialize;

use crate::clock::Moment;
use crate::dicom::Patient;
use crate::import::{Counts, End, Import, Kind, Question, State, Tombstone};
use crate::pipeline::Progress;

use super::request::kind_name;
pub(crate) use choice::ChoiceView;
pub(crate) use study::{
    CandidateView, DecisionView, DeliveryView, ForeignView, ItemView, StudyView,
};
pub(crate) use words::{import_next_step, import_state, sentence, spaced, study_state};

/// How much of an import is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Everything.
    Full,
    /// For lists: without candidates, changes and files set aside.
    Brief,
}

/// `GET /api/v1/imports/{id}`.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportView {
    pub(crate) id: String,
    pub(crate) state: &'static str,
    pub(crate) kind: &'static str,
    /// RFC 3339 in UTC.
    pub(crate) created: String,
    pub(crate) changed: String,
    /// `created`, for pages.
    #[serde(skip)]
    pub(crate) since: Moment,
    pub(crate) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) questions: Option<Vec<QuestionView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) choices: Option<Vec<ChoiceView>>,
    /// Services of DICOMweb that the portal offers as well, while it is to be chosen from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dicomweb: Vec<&'static str>,
    /// Remarks on what came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    pub(crate) progress: Progress,
    pub(crate) next_step: String,
    /// Whether a retry does anything, for pages; lists do not ask.
    #[serde(skip)]
    pub(crate) may_retry: bool,
    pub(crate) counts: Counts,
    pub(crate) studies: Vec<StudyView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) set_aside: Option<Vec<SetAsideView>>,
}

#[derive(Clone, Serialize)]
pub(crate) struct QuestionView {
    pub(crate) key: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) format: String,
}

#[derive(Clone, Serialize)]
pub(crate) struct SetAsideView {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// A local or foreign identity.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PatientView {
    pub(crate) patient_id: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) name: Option<String>,
    /// `YYYY-MM-DD`
    pub(crate) birth_date: Option<String>,
    /// `M`, `F`, `O`; absent if unknown.
    pub(crate) sex: Option<&'static str>,
}

impl From<&Patient> for PatientView {
    fn from(patient: &Patient) -> Self {
        let id = patient.id.as_ref();
        Self {
            patient_id: id.map(|id| id.id.clone()),
            issuer: id.and_then(|id| id.issuer.clone()),
            name: patient.name.as_ref().map(|name| name.as_str().to_owned()),
            birth_date: patient.birth_date.map(|date| date.date().to_string()),
            sex: Some(patient.sex.as_str()).filter(|sex| !sex.is_empty()),
        }
    }
}

/// An import as it is, with its running progress if a stage reports one.
pub(crate) fn of_import(import: &Import, progress: Option<Progress>, detail: Detail) -> ImportView {
    let counts = import.counts();
    let questions = match &import.state {
        State::Asking { questions, .. } => Some(questions.iter().map(question).collect()),
        State::Requested { .. }
        | State::Choosing { .. }
        | State::Preparing { .. }
        | State::Downloading { .. }
        | State::Receiving { .. }
        | State::Received { .. }
        | State::Unpacked
        | State::Closed { .. }
        | State::Failed { .. }
        | State::Cancelled { .. } => None,
    };
    let studies = (0..import.studies.len()).filter_map(|i| study::of(import, i, detail)).collect();
    let set_aside = import
        .set_aside
        .iter()
        .map(|file| SetAsideView { name: file.name.clone(), reason: file.reason.clone() });
    ImportView {
        id: import.id.to_string(),
        state: import_state(&import.state),
        kind: kind(&import.kind),
        created: rfc3339(import.created),
        changed: rfc3339(import.changed),
        since: import.created,
        source: source(&import.kind),
        questions,
        choices: choice::choices(&import.state),
        dicomweb: choice::dicomweb(&import.state),
        notes: if detail == Detail::Full { import.notes.clone() } else { Vec::new() },
        progress: progress.unwrap_or_else(|| standing(import, &counts)),
        next_step: import_next_step(import),
        may_retry: detail == Detail::Full && import.may_retry(),
        counts,
        studies,
        set_aside: (detail == Detail::Full).then(|| set_aside.collect()),
    }
}

/// What is left of an import whose key is gone.
pub(crate) fn of_tombstone(tombstone: &Tombstone) -> ImportView {
    let (state, next_step) = match tombstone.end {
        End::Expired if tombstone.counts.undelivered() > 0 => (
            "Expired",
            "The time to keep it was over before everything was delivered, and its data is destroyed. Fetch or \
             upload it again if it is needed.",
        ),
        End::Expired => {
            ("Expired", "The time to keep it is over: its data is destroyed. Nothing to do.")
        }
        // A start found it without its key: nothing is known of it any more.
        End::Erased if tombstone.kind.is_none() => (
            "Erased",
            "The gateway was cut off while its data was destroyed; nobody can tell whether everything was delivered \
             before. If no person erased it, look whether it is at its destination, and fetch it again if not.",
        ),
        End::Erased => ("Erased", "A person erased it: its data is destroyed. Nothing to do."),
        // Not known of each destination any more.
        End::Cancelled if tombstone.counts.received > 0 => (
            "Cancelled",
            "It was cancelled and its data is destroyed. Images that a destination got before are still there: have \
             them removed if they shall not stay.",
        ),
        End::Cancelled => {
            ("Cancelled", "It was cancelled and its data is destroyed. Nothing to do.")
        }
    };
    ImportView {
        id: tombstone.id.to_string(),
        state,
        kind: tombstone.kind.as_ref().map_or("unknown", kind),
        created: rfc3339(tombstone.created),
        changed: rfc3339(tombstone.ended),
        since: tombstone.created,
        source: tombstone.kind.as_ref().map_or_else(String::new, source),
        questions: None,
        choices: None,
        dicomweb: Vec::new(),
        notes: Vec::new(),
        progress: Progress {
            stage: "ended".to_owned(),
            instances: tombstone.counts.delivered + tombstone.counts.created_delivered,
            total_instances: Some(tombstone.counts.received + tombstone.counts.created),
            ..Progress::default()
        },
        next_step: next_step.to_owned(),
        may_retry: false,
        counts: tombstone.counts,
        studies: Vec::new(),
        set_aside: Some(Vec::new()),
    }
}

/// Progress of an import that no stage is busy with.
fn standing(import: &Import, counts: &Counts) -> Progress {
    let stage = match &import.state {
        State::Requested { .. }
        | State::Asking { .. }
        | State::Choosing { .. }
        | State::Preparing { .. } => "pull",
        State::Downloading { .. } => "download",
        State::Receiving { .. } => "receive",
        State::Received { .. } => "unpack",
        State::Unpacked => "forward",
        State::Closed { .. } => "done",
        State::Failed { .. } => "failed",
        State::Cancelled { .. } => "cancelled",
    };
    let arriving = matches!(import.state, State::Receiving { .. });
    let total = counts.received + counts.created;
    Progress {
        stage: stage.to_owned(),
        bytes: import.instances.iter().map(|instance| instance.blob.length).sum(),
        total_bytes: None,
        bytes_per_second: None,
        seconds_left: None,
        instances: if arriving { total } else { counts.delivered + counts.created_delivered },
        total_instances: (total > 0 && !arriving).then_some(total),
    }
}

fn question(question: &Question) -> QuestionView {
    QuestionView {
        key: question.key.clone(),
        kind: kind_name(question.kind),
        text: question.text.clone(),
        format: question.format.clone(),
    }
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Link { .. } => "link",
        Kind::Upload => "upload",
        Kind::Association { .. } => "association",
        Kind::Retrieval { .. } => "retrieval",
        Kind::Dicomweb { .. } => "dicomweb",
    }
}

/// The portal's host, the peer's name, or `upload`.
fn source(kind: &Kind) -> String {
    match kind {
        Kind::Link { host } => host.clone(),
        Kind::Upload => "upload".to_owned(),
        Kind::Association { peer, .. } | Kind::Retrieval { peer } => peer.clone(),
        Kind::Dicomweb { service } => service.clone(),
    }
}

fn rfc3339(moment: Moment) -> String {
    moment.timestamp().to_string()
}

/// `YYYY-MM-DD` if it is a day, else as it was written.
fn iso_date(written: &str) -> String {
    crate::dicom::patient::parse_date(written)
        .map_or_else(|| written.to_owned(), |date| date.to_string())
}

/// Whether every word of `query` (as [`plain`] gives it) is part of the identifier, the source, a foreign or a
/// local name or number.
pub(crate) fn is_found(import: &Import, query: &str) -> bool {
    let mut texts = vec![import.id.to_string(), source(&import.kind)];
    let mut of_patient = |patient: &Patient| {
        texts.extend(patient.name.iter().map(|name| name.as_str().to_owned()));
        texts.extend(patient.id.iter().map(|id| id.id.clone()));
    };
    for study in &import.studies {
        of_patient(&study.facts.patient);
        if let Some(work) = study.work() {
            of_patient(work.decision.target.patient());
        }
    }
    for study in &import.studies {
        texts.extend(study.facts.accession_number.iter().map(|number| number.number.clone()));
        let orders = study.work().into_iter().flat_map(|work| work.decision.target.orders());
        let numbers = orders.filter_map(|order| order.accession_number.as_ref());
        texts.extend(numbers.map(|number| number.number.clone()));
    }
    let texts: Vec<_> = texts.iter().map(|text| plain(text)).collect();
    query.split(' ').all(|word| texts.iter().any(|text| text.contains(word)))
}

/// A query or a value in the form in which they are compared: `Muster^Erika` is found by "muster erika".
pub(crate) fn plain(text: &str) -> String {
    let spaced = text.replace(['^', '=', ','], " ").to_lowercase();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;
