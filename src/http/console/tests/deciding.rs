//! What the forms of a study say and offer: nothing that hides a patient, and nothing that is refused.

use std::collections::BTreeMap;

use super::*;
use crate::dicom::BirthDate;
use crate::import::{
    Actor, Blob, Delivery, Event, File, InstanceOutcome, Listing, Study, StudyState, Work,
};
use crate::matching::{Candidate, Outcome};

const TRIED: [&str; 3] = ["Try again now", "Ask the worklist again", "Go on without the password"];

fn outcome(import: &mut Import) -> &mut Outcome {
    let state = &mut Arc::make_mut(&mut import.studies[0]).state;
    let StudyState::AwaitingDecision { outcome } = state else { panic!() };
    outcome
}

/// Two namesakes, each with two orders.
fn namesakes() -> Import {
    let mut import = awaiting_decision();
    let outcome = outcome(&mut import);
    let first = outcome.candidates[0].clone();
    let order = |rank, number, id: &str, birth| {
        let mut item = item(number, "Muster^Erika", birth);
        item.patient.id.as_mut().unwrap().id = id.into();
        Candidate { item_id: item.item_id(), item, rank, ..first.clone() }
    };
    outcome.candidates = vec![
        order(1, "A100", "4711", "19801224"),
        order(2, "A200", "4711", "19801224"),
        order(3, "B100", "4712", "19810102"),
        order(4, "B200", "4712", "19810102"),
    ];
    import
}

/// The forms that begin with these words, each to its end.
fn forms(html: &str, begin: &str) -> Vec<String> {
    html.split(begin).skip(1).map(|rest| rest.split("</form>").next().unwrap().to_owned()).collect()
}

const SEVERAL: &str = "File it under several orders of";
const READY: &str = "value=\"Patient and orders compared";

#[test]
fn namesakes_with_several_orders_are_told_apart() {
    let html = rendered(&namesakes());
    let forms = forms(&html, SEVERAL);
    assert_eq!(forms.len(), 2);
    let summary = |form: &String| form.split("</summary>").next().unwrap().to_owned();
    let (first, second) = (summary(&forms[0]), summary(&forms[1]));
    assert_ne!(first, second);
    assert!(first.contains("born 1980-12-24, F, ID 4711 (KB)"), "{first}");
    assert!(second.contains("born 1981-01-02, F, ID 4712 (KB)"), "{second}");
    for form in &forms {
        assert!(form.contains("From outside") && form.contains(READY), "{form}");
    }
    assert!(forms[1].contains("class=\"differs\""), "the other birth date");
}

#[test]
fn what_contradicts_stands_in_the_form_for_several_orders() {
    let mut import = namesakes();
    let candidates = &mut outcome(&mut import).candidates;
    candidates[0].contradictions = vec!["sex differs".into(), "modality differs".into()];
    candidates[1].contradictions = vec!["sex differs".into()];
    let forms = forms(&rendered(&import), SEVERAL);
    assert!(
        forms[0].contains("<bdi>sex differs</bdi>") && !forms[0].contains(READY),
        "{}",
        forms[0]
    );
    assert!(forms[0].contains("<bdi>A100: modality differs</bdi>"), "{}", forms[0]);
    assert!(forms[1].contains(READY), "the other patient's is not touched by it");
}

#[test]
fn what_speaks_against_the_study_needs_words_in_every_form() {
    let mut import = namesakes();
    let clear = rendered(&import);
    assert_eq!(clear.matches("value=\"Patient and order compared").count(), 4);
    assert!(clear.contains("<button class=\"primary\">File under this order"));
    outcome(&mut import).contradictions = vec!["the study carries several names".into()];
    let html = rendered(&import);
    assert!(!html.contains("value=\"Patient and order"), "no reason is filled in");
    assert!(!html.contains("<button class=\"primary\">File under this order"));
    for form in forms(&html, SEVERAL) {
        assert!(form.contains("the study carries several names"), "{form}");
    }
}

/// Decided, and held with this of its four images delivered and perhaps a run under way.
fn quarantined(delivered: u32, began: bool) -> Import {
    let mut import = forwarding();
    let study = Arc::make_mut(&mut import.studies[0]);
    let StudyState::Forwarding(work) = &mut study.state else { panic!() };
    let delivery = &mut work.deliveries[0];
    let outcome = InstanceOutcome::Delivered { status: 0 };
    delivery.outcomes = (0..delivered).map(|number| (number, outcome.clone())).collect();
    (delivery.due, delivery.began) = (None, began);
    let work = Some(work.clone());
    study.state = StudyState::Quarantined { sentence: "pacs holds it".into(), work };
    import
}

#[test]
fn a_study_in_quarantine_has_the_forms_that_are_taken() {
    let undecided = StudyState::Quarantined { sentence: "interrupted".into(), work: None };
    let undecided = import(State::Unpacked, vec![study(undecided)]);
    for (import, files, says) in [
        (undecided, true, ""),
        (quarantined(0, false), true, "lotse decide"),
        (quarantined(1, false), false, "cannot be filed elsewhere"),
        (quarantined(0, true), false, "cannot be filed elsewhere"),
    ] {
        let html = rendered(&import);
        assert_eq!(html.contains("File it without an order"), files, "{says}");
        assert!(html.contains("Reject it") && html.contains(says), "{says}");
    }
}

#[test]
fn rejecting_does_not_promise_what_is_too_late() {
    let html = rendered(&quarantined(0, false));
    assert!(html.contains("Reject, do not send") && !html.contains("takes nothing back"));
    let html = rendered(&quarantined(1, false));
    assert!(html.contains("Reject, send no more") && !html.contains("Reject, do not send"));
    assert!(html.contains("1 of 4 images are already at pacs"), "{html}");
}

/// Every state that pages show.
fn every_state() -> Vec<Import> {
    let due = Some(START);
    let requested = |due| State::Requested { attempts: 0, due, note: None };
    let file = || File {
        name: "a.zip".into(),
        blob: Blob { pack: 0, at: 0, length: 1, digest: Default::default() },
    };
    let received = |due| State::Received {
        files: vec![file()],
        interrupted: 0,
        waits: 0,
        fails_since: None,
        due,
        note: None,
        began: false,
    };
    let failed = |again: Option<State>| State::Failed {
        sentence: "it failed".into(),
        again: again.map(Box::new),
    };
    let asking = |files| State::Asking { questions: Vec::new(), note: None, files };
    let listing = Listing { offers: Vec::new(), dicomweb: None, note: None };
    let states = [
        requested(None),
        requested(due),
        asking(Vec::new()),
        asking(vec![file()]),
        State::Choosing { listing },
        State::Preparing { due: START, attempts: 1 },
        State::Downloading { interrupted: 0 },
        State::Receiving { last: START },
        received(None),
        received(due),
        State::Unpacked,
        State::Closed { at: START },
        failed(None),
        failed(Some(requested(None))),
        State::Cancelled { at: START },
    ];
    let mut all: Vec<Import> = states.map(|state| import(state, Vec::new())).into();
    let awaiting = |due| StudyState::AwaitingWorklist {
        interrupted: 0,
        attempts: 1,
        due,
        note: None,
        began: false,
    };
    let work = || match &Study::clone(&forwarding().studies[0]).state {
        StudyState::Forwarding(work) => Work::clone(work),
        _ => panic!(),
    };
    let with = |change: fn(&mut Delivery)| {
        let mut work = work();
        change(&mut work.deliveries[0]);
        Box::new(work)
    };
    let sentence = || "it is held".to_owned();
    let studies = [
        StudyState::Inspected,
        awaiting(None),
        awaiting(due),
        StudyState::Forwarding(with(|_| ())),
        StudyState::Forwarding(with(|delivery| delivery.due = None)),
        StudyState::Confirming(with(|_| ())),
        StudyState::Confirming(with(|delivery| delivery.due = None)),
        StudyState::Quarantined { sentence: sentence(), work: None },
        StudyState::Quarantined { sentence: sentence(), work: Some(Box::new(work())) },
        StudyState::Rejected { reason: sentence(), at: START, work: None },
        StudyState::Cancelled { at: START, work: None },
    ];
    all.extend(studies.map(|state| import(State::Unpacked, vec![study(state)])));
    all.push(awaiting_decision());
    all
}

#[test]
fn trying_again_is_offered_exactly_where_it_does_something() {
    let mut offered = 0;
    for import in every_state() {
        let retried = Event::Retried { actor: Actor("test".into()) };
        let taken = import.clone().apply(&retried, START).is_ok();
        let html = rendered(&import);
        let name = import.studies.first().map(|study| study.state.name());
        let name = format!("{} {}", import.state.name(), name.unwrap_or_default());
        assert_eq!(html.contains("/retry\""), taken, "{name}");
        assert_eq!(TRIED.iter().any(|words| html.contains(words)), taken, "{name}");
        offered += usize::from(taken);
    }
    assert!(offered > 8, "{offered}");
}

#[test]
fn an_encrypted_archive_goes_on_without_its_password() {
    let asking = |import: &&Import| match &import.state {
        State::Asking { files, .. } => !files.is_empty(),
        _ => false,
    };
    let all = every_state();
    let html = rendered(all.iter().find(asking).unwrap());
    assert!(html.contains("Go on without the password"), "{html}");
}

#[test]
fn a_form_says_what_was_seen() {
    let seen = |import: &Import| {
        let html = rendered(import);
        let forms = forms(&html, "name=\"choice\" value=\"item\"");
        assert_eq!(forms.len(), 4);
        let of = |form: &String| {
            let mut said = form.split("name=\"seen.").nth(1).unwrap().split('"');
            let (item, seen) = (said.next().unwrap().to_owned(), said.nth(1).unwrap().to_owned());
            (item, seen)
        };
        let by_item: BTreeMap<String, String> = forms.iter().map(of).collect();
        let shown = import.studies[0].state.clone();
        let StudyState::AwaitingDecision { outcome } = shown else { panic!() };
        let each = outcome.candidates.iter().map(|candidate| by_item[&candidate.item_id].clone());
        each.collect::<Vec<_>>()
    };
    let mut import = namesakes();
    let before = seen(&import);
    assert_eq!(seen(&import), before);
    let candidates = &mut outcome(&mut import).candidates;
    candidates[0].item.patient.birth_date = BirthDate::parse("19801225");
    candidates[1].contradictions.push("sex differs".into());
    candidates[2].rank = 7;
    let after = seen(&import);
    assert!(before[0] != after[0] && before[1] != after[1], "{before:?} {after:?}");
    assert_eq!(before[2..], after[2..], "the rank is not what is compared");
    outcome(&mut import).contradictions.push("the study carries several names".into());
    assert_ne!(seen(&import)[3], after[3], "what speaks against the study was not seen either");
}
