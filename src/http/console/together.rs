//! Orders of one patient that a person may file a study under together.

use super::compare::person;
use crate::http::view::{CandidateView, DecisionView, PatientView};

/// A patient with several orders.
pub(super) struct Together {
    pub(super) patient: String,
    pub(super) orders: Vec<Tick>,
}

/// One check box.
pub(super) struct Tick {
    pub(super) item_id: String,
    pub(super) rank: u32,
    pub(super) title: String,
    pub(super) number: String,
    pub(super) about: String,
}

/// Every patient with two orders at least, the best first. Whom the worklist tells in two ways is no one patient here.
pub(super) fn together(candidates: &[CandidateView]) -> Vec<Together> {
    let mut patients: Vec<(&PatientView, Together)> = Vec::new();
    for candidate in candidates {
        let patient = &candidate.item.patient;
        if patient.patient_id.is_none() {
            continue;
        }
        match patients.iter_mut().find(|(known, _)| is_same(known, patient)) {
            Some((_, known)) => known.orders.push(Tick::new(candidate)),
            None => {
                let name = patient.name.as_deref().map(person).unwrap_or_default();
                let orders = vec![Tick::new(candidate)];
                patients.push((patient, Together { patient: name, orders }));
            }
        }
    }
    patients.into_iter().map(|(_, known)| known).filter(|known| known.orders.len() > 1).collect()
}

fn is_same(a: &PatientView, b: &PatientView) -> bool {
    a.patient_id == b.patient_id
        && a.issuer == b.issuer
        && a.birth_date == b.birth_date
        && a.sex == b.sex
}

impl Tick {
    fn new(candidate: &CandidateView) -> Self {
        let item = &candidate.item;
        let about = [&item.modality, &item.start_date, &item.status];
        let about: Vec<&str> = about.into_iter().filter_map(|part| part.as_deref()).collect();
        let title = item.requested_procedure.as_deref().unwrap_or("Order without a description");
        Self {
            item_id: item.item_id.clone(),
            rank: candidate.rank,
            title: title.to_owned(),
            number: item.accession_number.clone().unwrap_or_default(),
            about: about.join(" "),
        }
    }
}

/// The numbers that a study was filed under.
pub(super) fn numbers(decision: &DecisionView) -> Option<String> {
    if decision.items.is_empty() {
        return decision.accession_number.clone();
    }
    let numbers = decision.items.iter().filter_map(|item| item.accession_number.as_deref());
    Some(numbers.collect::<Vec<_>>().join(", "))
}
