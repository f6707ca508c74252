//! The names of states, and the sentence that tells what happens next or what to do.

use super::left;
use crate::import::{Delivery, Import, State, Study, StudyState, Work};

/// The state's name as the design writes it.
pub(crate) fn import_state(state: &State) -> &'static str {
    match state {
        State::Requested { .. } => "Requested",
        State::Asking { .. } => "Asking",
        State::Choosing { .. } => "Choosing",
        State::Preparing { .. } => "Preparing",
        State::Downloading { .. } => "Downloading",
        State::Receiving { .. } => "Receiving",
        State::Received { .. } => "Received",
        State::Unpacked => "Unpacked",
        State::Closed { .. } => "Closed",
        State::Failed { .. } => "Failed",
        State::Cancelled { .. } => "Cancelled",
    }
}

/// The state's name as the design writes it.
pub(crate) fn study_state(state: &StudyState) -> &'static str {
    match state {
        StudyState::Inspected => "Inspected",
        StudyState::AwaitingWorklist { .. } => "AwaitingWorklist",
        StudyState::AwaitingDecision { .. } => "AwaitingDecision",
        StudyState::Forwarding(_) => "Forwarding",
        StudyState::Confirming(_) => "Confirming",
        StudyState::Confirmed { .. } => "Confirmed",
        StudyState::Quarantined { .. } => "Quarantined",
        StudyState::Rejected { .. } => "Rejected",
        StudyState::Cancelled { .. } => "Cancelled",
    }
}

/// What happens next, or what a person has to do.
pub(crate) fn import_next_step(import: &Import) -> String {
    match &import.state {
        State::Requested { note: Some(note), .. } => {
            format!("{} It is tried again by itself.", sentence(note))
        }
        State::Requested { .. } => "The portal is being asked.".to_owned(),
        State::Asking { note: Some(note), .. } => sentence(note),
        State::Asking { .. } => "Answer the portal's question.".to_owned(),
        State::Choosing { listing } => match &listing.note {
            Some(note) => sentence(note),
            None => "The portal has several examinations: choose which to fetch.".to_owned(),
        },
        State::Preparing { .. } => {
            "The portal is preparing the examination; it is asked again by itself.".to_owned()
        }
        State::Downloading { .. } => "The examination is being downloaded.".to_owned(),
        State::Receiving { .. } => {
            "Objects are arriving; the import goes on when the peer is quiet.".to_owned()
        }
        State::Received { note: Some(note), due: Some(_), .. } => {
            format!("{} It is tried again by itself.", sentence(note))
        }
        State::Received { .. } => "Everything is here and is being unpacked.".to_owned(),
        State::Unpacked => of_studies(import),
        State::Closed { .. } => closed(import),
        // Some tell by themselves what a retry is good for.
        State::Failed { sentence: text, again: Some(_) } if text.contains("press retry") => {
            sentence(text)
        }
        State::Failed { sentence: text, again: Some(_) } => {
            format!("{} When that is done, try again.", sentence(text))
        }
        State::Failed { sentence: text, again: None } => sentence(text),
        State::Cancelled { .. } => match left::behind(given_up(import)) {
            Some(left) => format!("Cancelled, but {left}; have them removed there."),
            None => "Cancelled; nothing more is sent. Nothing to do.".to_owned(),
        },
    }
}

/// Studies that a person turned away or stopped.
fn given_up(import: &Import) -> impl Iterator<Item = &Study> {
    import.studies.iter().map(|study| &**study).filter(|study| {
        matches!(study.state, StudyState::Rejected { .. } | StudyState::Cancelled { .. })
    })
}

/// The study that needs a person first speaks for all.
fn of_studies(import: &Import) -> String {
    let urgency = |study: &Study| match &study.state {
        StudyState::Quarantined { .. } => 0,
        StudyState::AwaitingDecision { .. } => 1,
        StudyState::AwaitingWorklist { .. } => 2,
        StudyState::Forwarding(_) => 3,
        StudyState::Inspected => 4,
        StudyState::Confirming(_) => 5,
        StudyState::Confirmed { .. }
        | StudyState::Rejected { .. }
        | StudyState::Cancelled { .. } => 6,
    };
    let Some(first) = import.studies.iter().min_by_key(|study| urgency(study)) else {
        return "There is no study in it; look at the files set aside, then erase it.".to_owned();
    };
    let next = study_next_step(first);
    if import.studies.len() == 1 {
        return next;
    }
    let same = import.studies.iter().filter(|study| urgency(study) == urgency(first)).count();
    format!("{same} of {} studies: {next}", import.studies.len())
}

fn closed(import: &Import) -> String {
    let confirmed = |study: &Study| matches!(study.state, StudyState::Confirmed { .. });
    let stored = import.studies.iter().filter(|study| confirmed(study)).count();
    let left = left::behind(given_up(import));
    match (stored, import.studies.len()) {
        (_, 0) => "There was no study in it. Nothing to do.".to_owned(),
        (stored, all) if stored == all => {
            "Done: everything is delivered. Nothing to do.".to_owned()
        }
        (0, _) => match left {
            Some(left) => {
                format!("Done: everything was turned away, but {left}; have them removed there.")
            }
            None => "Done: everything was turned away, nothing is sent. Nothing to do.".to_owned(),
        },
        (stored, all) => {
            let told = format!(
                "Done: {stored} of {all} studies are delivered, the others were turned away"
            );
            match left {
                Some(left) => format!("{told}; of these {left}: have them removed there."),
                None => format!("{told}."),
            }
        }
    }
}

/// What happens next, or what a person has to do.
pub(crate) fn study_next_step(study: &Study) -> String {
    match &study.state {
        StudyState::Inspected => "The local worklist is asked next.".to_owned(),
        StudyState::AwaitingWorklist { note: Some(note), .. } => {
            format!("{} The worklist is asked again by itself.", sentence(note))
        }
        StudyState::AwaitingWorklist { .. } => "The local worklist is being asked.".to_owned(),
        StudyState::AwaitingDecision { outcome } if outcome.candidates.is_empty() => {
            "No order fits: try again when the order is in the worklist, file the study without an \
             order, or reject it."
                .to_owned()
        }
        StudyState::AwaitingDecision { .. } => "Choose the order it belongs to.".to_owned(),
        StudyState::Forwarding(work) => forwarding(work, study.instances.len()),
        StudyState::Confirming(work) => confirming(work),
        StudyState::Confirmed { .. } => {
            "Delivered under the local patient. Nothing to do.".to_owned()
        }
        StudyState::Quarantined { sentence: text, .. } => sentence(text),
        StudyState::Rejected { .. } => match left::behind([study]) {
            Some(left) => format!("Rejected, but {left}; have them removed there."),
            None => "Rejected by a person; it is not sent. Nothing to do.".to_owned(),
        },
        StudyState::Cancelled { .. } => match left::behind([study]) {
            Some(left) => format!("Cancelled, but {left}; have them removed there."),
            None => "Cancelled; it is not sent. Nothing to do.".to_owned(),
        },
    }
}

fn forwarding(work: &Work, instances: usize) -> String {
    let waiting = work
        .deliveries
        .iter()
        .find_map(|delivery| delivery.due.and(delivery.last_error.as_ref()).map(|e| (delivery, e)));
    match waiting {
        Some((delivery, error)) => format!(
            "Delivery to {} waits: {} It is tried again by itself.",
            delivery.destination,
            without_name(error, &delivery.destination.0)
        ),
        None => match turn(work, instances) {
            Some((delivery, Some(error))) => format!(
                "It waits for its turn at {}; the last time: {}",
                delivery.destination,
                without_name(error, &delivery.destination.0)
            ),
            Some((delivery, None)) => {
                format!("It waits for its turn at {}.", delivery.destination)
            }
            None => "It is being sent.".to_owned(),
        },
    }
}

/// The delivery whose turn is awaited, if nothing is sent meanwhile; with what went wrong before.
fn turn(work: &Work, instances: usize) -> Option<(&Delivery, Option<&String>)> {
    let mut open = work.deliveries.iter().filter(|delivery| delivery.outcomes.len() < instances);
    if open.clone().any(|delivery| delivery.began) {
        return None;
    }
    open.next().map(|delivery| (delivery, delivery.last_error.as_ref()))
}

fn confirming(work: &Work) -> String {
    let open = work.deliveries.iter().find(|d| d.commitment.assurance().is_none());
    let told = open.map(|delivery| (delivery, delivery.commitment.note.as_ref()));
    match told {
        Some((_, Some(note))) => format!("Sent; {}", full_stop(note)),
        Some((delivery, None)) => {
            format!("Sent; {} has yet to vouch for it.", delivery.destination)
        }
        None => "Sent; every destination vouches for it.".to_owned(),
    }
}

fn full_stop(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

/// Errors of a destination begin with its name, which was said already.
fn without_name(error: &str, name: &str) -> String {
    let rest = error.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
    full_stop(rest.unwrap_or(error).trim())
}

/// A message as a sentence: a capital letter first and a full stop last.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let mut sentence: String = first.to_uppercase().chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// `AwaitingDecision` as "awaiting decision", `birthDate` as "birth date".
pub(crate) fn spaced(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}
