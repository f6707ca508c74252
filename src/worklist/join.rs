//! Entries of one requested procedure become one item: a worklist has an entry for every step.

use std::collections::HashMap;

use crate::dicom::{Item, Step};

/// Steps of one order; a server that sends more repeats itself.
const STEP_LIMIT: usize = 64;

/// Joins entries with the same patient, order and procedure, and drops repetitions; steps of one ID are one. Entries that share the
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
        // Some systems give every step of an order the same ID.
        let is_same = |mine: &&mut Step| {
            mine.id.is_some()
                && mine.id == step.id
                && !contradict(mine.modality.as_ref(), step.modality.as_ref())
                && !contradict(mine.start_date.as_ref(), step.start_date.as_ref())
        };
        if let Some(mine) = item.steps.iter_mut().find(is_same) {
            absorb_step(mine, step);
        } else if item.steps.len() < STEP_LIMIT && !item.steps.contains(&step) {
            item.steps.push(step);
        }
    }
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
    fill(&mut item.issuer_universal, entry.issuer_universal);
}

/// Two sources tell one step, one of them perhaps from before: what was closed stays closed, so that nothing is filed
/// under a cancelled order.
fn absorb_step(mine: &mut Step, theirs: Step) {
    if mine.is_open() && !theirs.is_open() {
        mine.status = theirs.status;
    } else {
        fill(&mut mine.status, theirs.status);
    }
    fill(&mut mine.description, theirs.description);
    if mine.protocol_codes.is_empty() {
        mine.protocol_codes = theirs.protocol_codes;
    }
    fill(&mut mine.modality, theirs.modality);
    fill(&mut mine.station, theirs.station);
    // A time belongs to its day.
    if mine.start_date.is_none() || mine.start_date == theirs.start_date {
        fill(&mut mine.start_time, theirs.start_time);
    }
    fill(&mut mine.start_date, theirs.start_date);
}

fn contradict<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a != b)
}

/// A second source may tell what the first left out; what the first told stays.
fn fill<T>(mine: &mut Option<T>, theirs: Option<T>) {
    if mine.is_none() {
        *mine = theirs;
    }
}
