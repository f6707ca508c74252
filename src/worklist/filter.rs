//! The second look at every answer: a server may ignore a key and answer with other patients
//! (PS3.4 K.2.2.1), so what was asked is checked here again.
//!
//! IDs and numbers exactly, days by meaning; what an entry does not tell cannot exclude it from a broad question.

use crate::dicom::{Item, Step};

use super::query::Query;

/// Whether an item is an answer to the query.
pub(super) fn answers(item: &Item, query: &Query) -> bool {
    match query {
        Query::Named { accession_number, patient_id } => {
            let number = item.accession_number.as_ref().map(|number| number.number.trim());
            let id = item.patient.id.as_ref().map(|id| id.id.trim());
            let same = |asked: &Option<String>, found: Option<&str>| {
                asked.as_deref().is_none_or(|asked| Some(asked.trim()) == found)
            };
            same(accession_number, number) && same(patient_id, id)
        }
        Query::Window { .. } => item.steps.is_empty() || item.steps.iter().any(|s| step(s, query)),
    }
}

fn step(step: &Step, query: &Query) -> bool {
    let Query::Window { from, to, modality, station } = query else {
        return true;
    };
    let same = |asked: &Option<String>, found: Option<&str>| match (asked, found) {
        (Some(asked), Some(found)) => asked == found,
        _ => true,
    };
    let day = step.start_date.as_deref().and_then(crate::dicom::patient::parse_date);
    same(modality, step.modality.as_deref())
        && same(station, step.station.as_ref().map(crate::dicom::AeTitle::as_str))
        && day.is_none_or(|day| (*from..=*to).contains(&day))
}
