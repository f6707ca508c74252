//! Both sides in words: identities attribute by attribute, evidence, names and ages for people.

use std::time::Duration;

use crate::http::view::{DecisionView, ForeignView, PatientView, plain, spaced};
use crate::matching::{Agreement, Evidence};

/// One attribute of both sides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) label: &'static str,
    pub(super) foreign: String,
    pub(super) local: String,
    /// `same`, `other spelling`, `similar`, `differs`, `replaced` or `missing`; empty if there is nothing to
    /// compare.
    pub(super) mark: &'static str,
    /// How it is coloured: `same`, `differs` or nothing.
    pub(super) tone: &'static str,
}

/// Both sides by attribute. What was not given contradicts nothing; numbers are replaced on purpose. What is
/// written differently is judged as the rules judged it, so that the page never contradicts its own evidence.
pub(super) fn compare(
    foreign: &ForeignView,
    local: &PatientView,
    accession_number: Option<&str>,
    evidence: &[Evidence],
) -> Vec<Compared> {
    let judged = |attribute: &str| {
        let found = evidence.iter().find(|evidence| evidence.attribute == attribute);
        match found.map(|evidence| evidence.agreement) {
            Some(Agreement::Normalised) => "other spelling",
            Some(Agreement::Similar) => "similar",
            Some(Agreement::Equal | Agreement::Missing | Agreement::Different) | None => "differs",
        }
    };
    let row = |label, foreign: Option<&str>, local: Option<&str>, other| {
        let (foreign, local) = (foreign.unwrap_or(""), local.unwrap_or(""));
        let mark = match (foreign, local) {
            (_, "") => "",
            ("", _) => "missing",
            _ if plain(foreign) == plain(local) => "same",
            _ => other,
        };
        let tone = match mark {
            "same" | "other spelling" => "same",
            "differs" | "similar" => "differs",
            _ => "",
        };
        Compared { label, foreign: foreign.to_owned(), local: local.to_owned(), mark, tone }
    };
    let theirs = &foreign.patient;
    let (their_name, our_name) =
        (theirs.name.as_deref().map(person), local.name.as_deref().map(person));
    vec![
        row("Name", their_name.as_deref(), our_name.as_deref(), judged("name")),
        row(
            "Birth date",
            theirs.birth_date.as_deref(),
            local.birth_date.as_deref(),
            judged("birthDate"),
        ),
        row("Sex", theirs.sex, local.sex, judged("sex")),
        row("Patient ID", theirs.patient_id.as_deref(), local.patient_id.as_deref(), "replaced"),
        row("Issuer", theirs.issuer.as_deref(), local.issuer.as_deref(), "replaced"),
        row("Accession number", foreign.accession_number.as_deref(), accession_number, "replaced"),
    ]
}

pub(super) fn decided_by(decision: &DecisionView) -> String {
    let reason = decision.reason.as_deref().unwrap_or("");
    match (decision.by, &decision.actor) {
        ("person", Some(actor)) => format!("Decided by {actor}: {reason}"),
        ("earlier", _) => "Decided as an earlier import of the same study.".to_owned(),
        _ => "Decided by rule.".to_owned(),
    }
}

pub(super) fn evidence(evidence: &Evidence) -> String {
    let agreement = match evidence.agreement {
        Agreement::Equal => "agrees",
        Agreement::Normalised => "agrees in other writing",
        Agreement::Similar => "is similar",
        Agreement::Missing => "is missing",
        Agreement::Different => "differs",
    };
    format!("{} {agreement} ({:+})", spaced(&evidence.attribute), evidence.weight)
}

/// `Muster^Erika^^Dr.` as "Muster, Erika, Dr."; further groups follow in brackets.
pub(super) fn person(name: &str) -> String {
    let group = |group: &str| {
        let parts = group.split('^').map(str::trim).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(", ")
    };
    let mut groups = name.split('=').map(group).filter(|group| !group.is_empty());
    let first = groups.next().unwrap_or_default();
    groups.fold(first, |shown, group| format!("{shown} ({group})"))
}

/// How long ago, to the unit that matters.
pub(super) fn age(since: Duration) -> String {
    let minutes = since.as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..60 => format!("{minutes} min"),
        60..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}
