//! Entries of one requested procedure become one item: a worklist has an entry for every step.

use std::collections::HashMap;

use crate::dicom::Item;

/// Steps of one order; a server that sends more repeats itself.
const STEP_LIMIT: usize = 64;

/// Joins entries with the same patient, order and procedure, and drops repetitions. Entries that share the
/// numbers but tell another patient stay apart: matching has to see that they disagree.
pub fn join(entries: Vec<Item>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::with_capacity(entries.len());
    let mut known: HashMap<String, Vec<usize>> = HashMap::new();
    for entry in entries {
        let places = known.entry(entry.item_id()).or_default();
        let same = places
            .iter()
            .copied()
            .find(|place| items.get(*place).is_some_and(|item| item.patient == entry.patient));
        match same.and_then(|place| items.get_mut(place)) {
            Some(item) => absorb(item, entry),
            None => {
                places.push(items.len());
                items.push(entry);
            }
        }
    }
    items
}

fn absorb(item: &mut Item, entry: Item) {
    for step in entry.steps {
        if item.steps.len() < STEP_LIMIT && !item.steps.contains(&step) {
            item.steps.push(step);
        }
    }
    // A second source may tell what the first left out; what the first told stays.
    let fill = |mine: &mut Option<String>, theirs: Option<String>| {
        if mine.is_none() {
            *mine = theirs;
        }
    };
    fill(&mut item.requested_procedure_description, entry.requested_procedure_description);
    fill(&mut item.reason, entry.reason);
    fill(&mut item.referring_physician, entry.referring_physician);
    fill(&mut item.requesting_physician, entry.requesting_physician);
    fill(&mut item.requesting_service, entry.requesting_service);
    // An issuer goes with its number.
    if item.admission_id.is_none() || item.admission_id == entry.admission_id {
        fill(&mut item.admission_issuer, entry.admission_issuer);
    }
    fill(&mut item.admission_id, entry.admission_id);
    if item.requested_procedure_codes.is_empty() {
        item.requested_procedure_codes = entry.requested_procedure_codes;
    }
    if item.referenced_studies.is_empty() {
        item.referenced_studies = entry.referenced_studies;
    }
    if item.issuer_universal.is_none() {
        item.issuer_universal = entry.issuer_universal;
    }
}
