//! Orders of one patient that a person may file a study under together.

use super::compare::{Compared, compare, person};
use crate::http::view::{CandidateView, DecisionView, ForeignView, PatientView};

/// A patient with several orders.
pub(super) struct Together {
    pub(super) patient: String,
    /// Birth date, sex and ID: a name is not enough to tell patients apart.
    pub(super) about: String,
    /// The patient beside the study.
    pub(super) rows: Vec<Compared>,
    /// What speaks against the study, or against one of these orders.
    pub(super) against: Vec<String>,
    pub(super) orders: Vec<Tick>,
}

/// One check box.
pub(super) struct Tick {
    pub(super) item_id: String,
    pub(super) seen: String,
    pub(super) rank: u32,
    pub(super) title: String,
    pub(super) number: String,
    pub(super) about: String,
}

/// Every patient with two orders at least, the best first. Whom the worklist tells in two ways is no one patient here.
/// `against` is what speaks against the study itself.
pub(super) fn together(
    foreign: &ForeignView,
    candidates: &[CandidateView],
    against: &[String],
) -> Vec<Together> {
    let mut patients: Vec<(&PatientView, Vec<&CandidateView>)> = Vec::new();
    for candidate in candidates {
        let patient = &candidate.item.patient;
        if patient.patient_id.is_none() {
            continue;
        }
        match patients.iter_mut().find(|(known, _)| is_same(known, patient)) {
            Some((_, known)) => known.push(candidate),
            None => patients.push((patient, vec![candidate])),
        }
    }
    let several = patients.into_iter().filter(|(_, orders)| orders.len() > 1);
    several.map(|(patient, orders)| Together::new(foreign, patient, &orders, against)).collect()
}

fn is_same(a: &PatientView, b: &PatientView) -> bool {
    a.patient_id == b.patient_id
        && a.issuer == b.issuer
        && a.birth_date == b.birth_date
        && a.sex == b.sex
}

impl Together {
    fn new(
        foreign: &ForeignView,
        patient: &PatientView,
        orders: &[&CandidateView],
        against: &[String],
    ) -> Self {
        let id = match (&patient.patient_id, &patient.issuer) {
            (Some(id), Some(issuer)) => Some(format!("ID {id} ({issuer})")),
            (id, _) => id.as_ref().map(|id| format!("ID {id}")),
        };
        let born = patient.birth_date.as_ref().map(|date| format!("born {date}"));
        let about = [born, patient.sex.map(str::to_owned), id];
        let evidence = orders.first().map_or(&[][..], |order| &order.evidence);
        Self {
            patient: patient.name.as_deref().map(person).unwrap_or_default(),
            about: about.into_iter().flatten().collect::<Vec<_>>().join(", "),
            rows: compare(foreign, patient, None, evidence),
            against: spoken(orders, against),
            orders: orders.iter().map(|order| Tick::new(order)).collect(),
        }
    }

    /// A contradiction needs words of one's own.
    pub(super) fn reason(&self) -> &'static str {
        if self.against.is_empty() {
            "Patient and orders compared, the study answers them together"
        } else {
            ""
        }
    }
}

/// What speaks against the study or all of the orders, once; what speaks against some of them with their numbers.
fn spoken(orders: &[&CandidateView], against: &[String]) -> Vec<String> {
    let mut told = against.to_vec();
    for order in orders {
        for text in &order.contradictions {
            let of_all = orders.iter().all(|other| other.contradictions.contains(text));
            let number = order.item.accession_number.as_deref().filter(|_| !of_all);
            let text = number.map_or_else(|| text.clone(), |number| format!("{number}: {text}"));
            if !told.contains(&text) {
                told.push(text);
            }
        }
    }
    told
}

impl Tick {
    fn new(candidate: &CandidateView) -> Self {
        let item = &candidate.item;
        let about = [&item.modality, &item.start_date, &item.status];
        let about: Vec<&str> = about.into_iter().filter_map(|part| part.as_deref()).collect();
        let title = item.requested_procedure.as_deref().unwrap_or("Order without a description");
        Self {
            item_id: item.item_id.clone(),
            seen: candidate.seen.clone(),
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
