//! Why a candidate was not taken, in words without patient data.

use super::{Agreement, Candidate, Rejected};

/// Rejected candidates that are kept with a decision: those that came near.
const KEPT_LIMIT: usize = 8;

/// What kept this candidate from being taken instead of `taken`; `None` for that one itself.
pub fn objection(candidate: &Candidate, taken: &Candidate) -> Option<String> {
    if candidate.rank == taken.rank {
        return None;
    }
    let said = |attribute: &str| {
        candidate.evidence.iter().find(|e| e.attribute == attribute).map(|e| e.agreement)
    };
    let mut reasons: Vec<String> = candidate.contradictions.clone();
    for (attribute, word) in [("name", "name"), ("birthDate", "birth date")] {
        match said(attribute) {
            Some(Agreement::Similar) => reasons.push(format!("{word} is only similar")),
            Some(Agreement::Missing) => reasons.push(format!("{word} is missing")),
            Some(Agreement::Equal | Agreement::Normalised | Agreement::Different) | None => {}
        }
    }
    for (attribute, words) in [
        ("status", "the order is closed"),
        ("modality", "the order is for another modality"),
        ("bodyPart", "the order is for another body part"),
        ("laterality", "the order is for another side"),
    ] {
        if said(attribute) == Some(Agreement::Different) {
            reasons.push(words.to_owned());
        }
    }
    if reasons.is_empty() {
        let patients = (&candidate.item.patient.id, &taken.item.patient.id);
        reasons.push(match patients {
            (Some(a), Some(b)) if a == b => "another order of the same patient".to_owned(),
            _ if candidate.score == taken.score => "fits just as well".to_owned(),
            _ => format!("weighs less by {}", taken.score.saturating_sub(candidate.score)),
        });
    }
    Some(reasons.join("; "))
}

/// The candidates beside the one with this item, each with its objection.
pub fn rejected(candidates: &[Candidate], item_id: &str) -> Vec<Rejected> {
    let Some(taken) = candidates.iter().find(|candidate| candidate.item_id == item_id) else {
        return Vec::new();
    };
    let others = candidates.iter().filter_map(|candidate| {
        Some(Rejected {
            item_id: candidate.item_id.clone(),
            score: candidate.score,
            why: objection(candidate, taken)?,
            evidence: candidate.evidence.clone(),
        })
    });
    others.take(KEPT_LIMIT).collect()
}
