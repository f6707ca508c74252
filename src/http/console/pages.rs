//! What the templates show: the API's view of an import, in words and side by side.

use askama::Template;

use crate::clock::Moment;
use crate::http::api::{Filter, Listed, PAGE};
use crate::http::view::{
    CandidateView, DeliveryView, ForeignView, ImportView, PatientView, StudyView, sentence,
};
use crate::import::{DestinationName, Source};
use crate::matching::Completeness;

use super::compare::{Compared, age, compare, decided_by, evidence, person};
use super::together::{Together, numbers, together};
use super::ways::{held, retry, waits_for_a_person};

/// States that the list can be narrowed to.
const STATES: [(&str, &str); 9] = [
    ("", "all"),
    ("Asking", "with a question"),
    ("Choosing", "with a choice"),
    ("AwaitingDecision", "waiting for a decision"),
    ("Quarantined", "in quarantine"),
    ("AwaitingWorklist", "waiting for the worklist"),
    ("Forwarding", "being sent"),
    ("Failed", "failed"),
    ("Closed", "done"),
];

#[derive(Template)]
#[template(path = "login.html", config = "src/http/templates/askama.toml")]
pub(super) struct Login {
    pub(super) fault: Option<String>,
}

#[derive(Template)]
#[template(path = "error.html", config = "src/http/templates/askama.toml")]
pub(super) struct ErrorPage {
    pub(super) title: &'static str,
    pub(super) detail: String,
}

/// The start page: forms for a link and for a file, and the list.
#[derive(Template)]
#[template(path = "start.html", config = "src/http/templates/askama.toml")]
pub(super) struct Start {
    pub(super) rows: Vec<Row>,
    pub(super) destinations: Vec<String>,
    /// Where studies can be fetched from; without any there is no form for it.
    pub(super) archives: Vec<Archive>,
    pub(super) states: Vec<Choice>,
    pub(super) query: String,
    pub(super) is_narrowed: bool,
    pub(super) total: usize,
    pub(super) page: usize,
    pub(super) pages: usize,
    pub(super) older: Option<String>,
    pub(super) newer: Option<String>,
}

pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) text: &'static str,
    pub(super) is_chosen: bool,
}

/// An archive to choose.
pub(super) struct Archive {
    /// As the form sends it.
    pub(super) value: String,
    pub(super) name: String,
}

impl Archive {
    pub(super) fn new(source: &Source) -> Self {
        let (kind, name) = match source {
            Source::Peer(name) => ("peer", name),
            Source::Dicomweb(name) => ("dicomweb", name),
        };
        let way = if kind == "peer" { "" } else { " (DICOMweb)" };
        Self { value: format!("{kind}:{name}"), name: format!("{name}{way}") }
    }
}

pub(super) struct Row {
    pub(super) id: String,
    pub(super) label: Label,
    pub(super) source: String,
    pub(super) patient: String,
    pub(super) birth_date: String,
    pub(super) age: String,
    pub(super) bar: Option<Bar>,
    pub(super) next_step: String,
}

/// A state in a word and a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) text: &'static str,
    /// `wait` needs a person, `run` goes on by itself, `good`, `bad`, `gone`.
    pub(super) tone: &'static str,
}

pub(super) struct Bar {
    pub(super) value: u64,
    pub(super) max: u64,
    pub(super) text: String,
}

/// One import with its studies.
#[derive(Template)]
#[template(path = "import.html", config = "src/http/templates/askama.toml")]
pub(super) struct ImportPage {
    pub(super) view: ImportView,
    pub(super) label: Label,
    /// Who it is about, else where it comes from.
    pub(super) title: String,
    pub(super) birth_date: String,
    pub(super) created: String,
    pub(super) from: String,
    pub(super) bar: Option<Bar>,
    pub(super) studies: Vec<Card>,
    /// No form is open, so that a page without script may reload itself.
    pub(super) reloads: bool,
    /// What trying again does; empty if there is nothing to try.
    pub(super) retry: &'static str,
    pub(super) can_cancel: bool,
    pub(super) can_erase: bool,
    /// Patients can be looked up.
    pub(super) has_index: bool,
}

/// One study.
pub(super) struct Card {
    pub(super) study: StudyView,
    pub(super) label: Label,
    pub(super) title: String,
    pub(super) about: String,
    /// Foreign beside local, once decided.
    pub(super) decided: Option<(Vec<Compared>, String)>,
    pub(super) foreign: Vec<Compared>,
    /// The best one, and every other that nothing speaks against.
    pub(super) candidates: Vec<Choosable>,
    /// Those that something speaks against.
    pub(super) unlikely: Vec<Choosable>,
    /// Patients of whom several orders may be ticked.
    pub(super) together: Vec<Together>,
    pub(super) reason: String,
    pub(super) is_incomplete: bool,
    pub(super) can_decide: bool,
    pub(super) can_reject: bool,
    /// What else a person can do about a study that is held; empty if the forms say it.
    pub(super) held: &'static str,
    pub(super) deliveries: Vec<Delivered>,
}

pub(super) struct Choosable {
    pub(super) candidate: CandidateView,
    pub(super) rows: Vec<Compared>,
    pub(super) evidence: Vec<String>,
    pub(super) is_best: bool,
    /// Best, and nothing speaks against it.
    pub(super) is_clear: bool,
    pub(super) reason: &'static str,
}

pub(super) struct Delivered {
    pub(super) delivery: DeliveryView,
    pub(super) open: u64,
    pub(super) last_error: String,
    pub(super) tone: &'static str,
}

impl Start {
    pub(super) fn new(
        listed: &Listed,
        filter: &Filter,
        destinations: &[DestinationName],
        now: Moment,
    ) -> Self {
        let pages = listed.total.div_ceil(PAGE).max(1);
        let chosen = filter.state.as_deref().unwrap_or("");
        let query = filter.q.clone().unwrap_or_default();
        let link = |page: usize| {
            let mut link = url::form_urlencoded::Serializer::new("/?".to_owned());
            link.append_pair("page", &page.to_string());
            for (key, value) in [("state", chosen), ("q", &query)] {
                if !value.is_empty() {
                    link.append_pair(key, value);
                }
            }
            link.finish()
        };
        Self {
            older: (listed.page < pages).then(|| link(listed.page + 1)),
            newer: (listed.page > 1).then(|| link(listed.page - 1)),
            rows: listed.imports.iter().map(|view| Row::new(view, now)).collect(),
            destinations: destinations.iter().map(ToString::to_string).collect(),
            archives: vec![],
            states: STATES
                .iter()
                .map(|&(value, text)| Choice { value, text, is_chosen: value == chosen })
                .collect(),
            is_narrowed: !(chosen.is_empty() && query.is_empty()),
            query,
            total: listed.total,
            page: listed.page,
            pages,
        }
    }
}

impl Row {
    fn new(view: &ImportView, now: Moment) -> Self {
        let (name, birth_date) = patient(view);
        Self {
            id: view.id.clone(),
            label: label(view),
            source: view.source.clone(),
            patient: name,
            birth_date,
            age: age(now.since(view.since)),
            bar: bar(view),
            next_step: view.next_step.clone(),
        }
    }
}

/// Name and birth date of the first study's patient: the local one once it is decided.
fn patient(view: &ImportView) -> (String, String) {
    let patient = view.studies.first().map(|study| match &study.decision {
        Some(decision) => &decision.patient,
        None => &study.foreign.patient,
    });
    let name = patient.and_then(|patient| patient.name.as_deref()).map(person);
    let birth_date = patient.and_then(|patient| patient.birth_date.clone());
    (name.unwrap_or_default(), birth_date.unwrap_or_default())
}

impl ImportPage {
    pub(super) fn new(view: ImportView, zone: &jiff::tz::TimeZone) -> Self {
        let ended = matches!(view.state, "Expired" | "Erased") || is_buried(&view);
        let over = ended || matches!(view.state, "Closed" | "Cancelled");
        let (name, birth_date) = patient(&view);
        let asks = matches!(view.state, "Asking" | "Choosing")
            || view.studies.iter().any(|study| waits_for_a_person(study.state));
        Self {
            label: label(&view),
            title: if name.is_empty() { view.source.clone() } else { name },
            birth_date,
            created: view
                .since
                .timestamp()
                .to_zoned(zone.clone())
                .strftime("%Y-%m-%d %H:%M")
                .to_string(),
            from: match view.kind {
                "link" => format!("link of {}", view.source),
                "association" => format!("sent by {}", view.source),
                _ => view.source.clone(),
            },
            bar: bar(&view),
            studies: view.studies.iter().map(Card::new).collect(),
            reloads: !over && !asks,
            retry: retry(&view),
            // What still goes on is cancelled, which destroys it as well.
            can_cancel: !over,
            can_erase: over && !ended,
            has_index: false,
            view,
        }
    }
}

/// A tombstone has no studies although instances came.
fn is_buried(view: &ImportView) -> bool {
    view.progress.stage == "ended"
}

impl ImportPage {
    /// For the template.
    fn person(&self, name: &Option<String>) -> String {
        name.as_deref().map(person).unwrap_or_default()
    }
}

impl Card {
    fn new(study: &StudyView) -> Self {
        let foreign = &study.foreign;
        let against: &[String] =
            study.matching.as_ref().map_or(&[][..], |matching| matching.contradictions.as_slice());
        let about = [
            foreign.modalities.join(", "),
            foreign.study_date.clone().unwrap_or_default(),
            foreign.institution.clone().unwrap_or_default(),
            instances(study.counts.received + study.counts.created),
        ];
        let about: Vec<_> = about.into_iter().filter(|part| !part.is_empty()).collect();
        let (candidates, unlikely) = study
            .candidates
            .iter()
            .flatten()
            .enumerate()
            .map(|(index, candidate)| Choosable::new(foreign, candidate, index, against))
            .partition(|choice| choice.is_best || choice.candidate.contradictions.is_empty());
        Self {
            label: if is_held_up(study) { HELD_UP } else { study_label(study.state) },
            title: foreign.description.clone().unwrap_or_else(|| "Study".to_owned()),
            about: about.join(" · "),
            decided: study.decision.as_ref().map(|decision| {
                let local = numbers(decision);
                let rows =
                    compare(foreign, &decision.patient, local.as_deref(), &decision.evidence);
                (rows, decided_by(decision))
            }),
            foreign: compare(foreign, &PatientView::default(), None, &[]),
            candidates,
            unlikely,
            together: together(foreign, study.candidates.as_deref().unwrap_or_default(), against),
            reason: study
                .matching
                .as_ref()
                .map(|matching| sentence(&matching.reason))
                .unwrap_or_default(),
            is_incomplete: study
                .matching
                .as_ref()
                .is_some_and(|matching| matching.completeness == Completeness::Incomplete),
            can_decide: waits_for_a_person(study.state) && study.may_decide,
            can_reject: waits_for_a_person(study.state) && study.may_reject,
            held: held(study),
            deliveries: study.deliveries.iter().map(Delivered::new).collect(),
            study: study.clone(),
        }
    }
}

impl Choosable {
    /// `against` is what speaks against the study itself, whatever it is filed under.
    fn new(
        foreign: &ForeignView,
        candidate: &CandidateView,
        index: usize,
        against: &[String],
    ) -> Self {
        let item = &candidate.item;
        let contradicted = !against.is_empty() || !candidate.contradictions.is_empty();
        Self {
            rows: compare(
                foreign,
                &item.patient,
                item.accession_number.as_deref(),
                &candidate.evidence,
            ),
            evidence: candidate.evidence.iter().map(evidence).collect(),
            is_best: index == 0,
            is_clear: index == 0 && !contradicted,
            // A contradiction needs words of one's own.
            reason: if contradicted {
                ""
            } else {
                "Patient and order compared, they belong together"
            },
            candidate: candidate.clone(),
        }
    }
}

impl Delivered {
    fn new(delivery: &DeliveryView) -> Self {
        let answered = delivery.delivered.saturating_add(delivery.failed);
        Self {
            open: delivery.total.saturating_sub(answered),
            last_error: delivery
                .last_error
                .as_deref()
                .map(|error| error_of(delivery, error))
                .unwrap_or_default(),
            tone: match delivery.state {
                "Delivered" => "good",
                "Failed" => "bad",
                "Waiting" if delivery.last_error.is_some() => "wait",
                _ => "run",
            },
            delivery: delivery.clone(),
        }
    }
}

/// The destination is named beside it.
fn error_of(delivery: &DeliveryView, error: &str) -> String {
    let rest = error.strip_prefix(&delivery.destination).and_then(|rest| rest.strip_prefix(": "));
    sentence(rest.unwrap_or(error))
}

/// The state of an import as its most urgent study has it.
pub(super) fn label(view: &ImportView) -> Label {
    let any = |state: &str| view.studies.iter().any(|study| study.state == state);
    let (text, tone) = match view.state {
        "Requested" => ("asking the portal", "run"),
        "Asking" => ("has a question", "wait"),
        "Choosing" => ("has a choice", "wait"),
        "Preparing" => ("portal prepares", "run"),
        "Downloading" => ("downloading", "run"),
        "Receiving" => ("receiving", "run"),
        "Received" => ("unpacking", "run"),
        "Unpacked" if any("Quarantined") => ("in quarantine", "bad"),
        "Unpacked" if any("AwaitingDecision") => ("needs a decision", "wait"),
        "Unpacked" if any("AwaitingWorklist") => ("asking the worklist", "run"),
        "Unpacked" if view.studies.iter().any(is_held_up) => (HELD_UP.text, HELD_UP.tone),
        "Unpacked" => ("sending", "run"),
        "Closed" => ("done", "good"),
        "Failed" => ("failed", "bad"),
        "Cancelled" => ("cancelled", "gone"),
        "Erased" => ("erased", "gone"),
        _ => ("expired", "gone"),
    };
    Label { text, tone }
}

/// A destination cannot be reached or refuses; somebody should know before the desk calls.
const HELD_UP: Label = Label { text: "sending waits", tone: "wait" };

fn is_held_up(study: &StudyView) -> bool {
    study.state == "Forwarding"
        && study.deliveries.iter().any(|one| one.state == "Waiting" && one.last_error.is_some())
}

fn instances(number: u64) -> String {
    if number == 1 { "1 instance".to_owned() } else { format!("{number} instances") }
}

fn study_label(state: &str) -> Label {
    let (text, tone) = match state {
        "Inspected" => ("inspected", "run"),
        "AwaitingWorklist" => ("asking the worklist", "run"),
        "AwaitingDecision" => ("needs a decision", "wait"),
        "Forwarding" => ("sending", "run"),
        "Confirming" => ("confirming", "run"),
        "Confirmed" => ("delivered", "good"),
        "Quarantined" => ("in quarantine", "bad"),
        "Rejected" => ("rejected", "gone"),
        _ => ("cancelled", "gone"),
    };
    Label { text, tone }
}

/// How far it is, while it goes on by itself.
fn bar(view: &ImportView) -> Option<Bar> {
    if label(view).tone != "run" {
        return None;
    }
    let progress = &view.progress;
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let (value, max, unit) = match (progress.total_instances, progress.total_bytes) {
        (Some(max), _) if max > 0 => (progress.instances, max, "instances"),
        (_, Some(max)) if max > 0 => (megabytes(progress.bytes), megabytes(max), "MB"),
        _ => return None,
    };
    let mut text = format!("{value} of {max} {unit}");
    if let Some(rate) = progress.bytes_per_second {
        text.push_str(&format!(", {:.1} MB/s", rate as f64 / 1e6));
    }
    if let Some(left) = progress.seconds_left {
        text.push_str(&format!(", {} left", left_over(left)));
    }
    Some(Bar { value: value.min(max), max, text })
}

/// Nobody counts seconds of minutes.
fn left_over(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("{seconds} s"),
        91..=5400 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}
