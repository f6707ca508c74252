//! What is said of a study that was sent in part, or waits for its turn.

use super::*;
use crate::import::{Delivery, DestinationName, Study, Work};

fn work(change: impl FnOnce(&mut Delivery)) -> Box<Work> {
    let import = forwarding();
    let StudyState::Forwarding(work) = &import.studies[0].state else { panic!() };
    let mut work = work.clone();
    change(&mut work.deliveries[0]);
    work
}

fn delivered(number: u32) -> Box<Work> {
    let ok = InstanceOutcome::Delivered { status: 0 };
    work(|delivery| {
        (delivery.due, delivery.last_error) = (None, None);
        delivery.outcomes = (0..number).map(|number| (number, ok.clone())).collect();
    })
}

fn given_up(work: Option<Box<Work>>) -> [StudyState; 2] {
    let reason = "wrong patient".to_owned();
    [
        StudyState::Rejected { reason, at: START, work: work.clone() },
        StudyState::Cancelled { at: START, work },
    ]
}

/// All sentences of an import with these studies, in these states of the import.
fn told(state: State, studies: Vec<Study>) -> Vec<String> {
    let view = of_import(&import(state, studies), None, Detail::Brief);
    let of_studies = view.studies.iter().map(|study| study.next_step.clone());
    of_studies.chain([view.next_step.clone()]).collect()
}

#[test]
fn what_is_at_a_destination_is_not_called_unsent() {
    for state in given_up(Some(delivered(1))) {
        for import in [State::Unpacked, State::Closed { at: START }, State::Cancelled { at: START }]
        {
            for sentence in told(import, vec![study(state.clone())]) {
                assert!(sentence.contains("1 of 4 images are already at pacs"), "{sentence}");
                assert!(sentence.contains("have them removed there"), "{sentence}");
                for wrong in ["not sent", "Nothing to do", "nothing"] {
                    assert!(!sentence.contains(wrong), "{sentence}");
                }
            }
        }
    }
}

#[test]
fn what_no_destination_has_is_done_with() {
    for work in [None, Some(delivered(0))] {
        for state in given_up(work) {
            for sentence in told(State::Closed { at: START }, vec![study(state)]) {
                assert!(sentence.contains("Nothing to do"), "{sentence}");
            }
        }
    }
}

#[test]
fn an_object_without_an_answer_may_be_there() {
    let unanswered = || {
        let mut work = delivered(0);
        work.deliveries[0].may_hold = Arc::new([0].into());
        Some(work)
    };
    for state in given_up(unanswered()) {
        for sentence in told(State::Closed { at: START }, vec![study(state)]) {
            assert!(sentence.contains("pacs may have some of its images"), "{sentence}");
        }
    }
}

#[test]
fn of_several_destinations_each_is_named() {
    let mut both = delivered(1);
    let mut second = delivered(4).deliveries.remove(0);
    second.destination = DestinationName("archive".into());
    both.deliveries.push(second);
    let [rejected, _] = given_up(Some(both));
    let confirmed = StudyState::Confirmed { work: delivered(4), at: START };
    let sentences = told(State::Closed { at: START }, vec![study(rejected), study(confirmed)]);
    let left = "4 of 4 images are already at archive and 1 of 4 images are already at pacs";
    assert_eq!(sentences[0], format!("Rejected, but {left}; have them removed there."));
    assert!(sentences[2].starts_with("Done: 1 of 2 studies are delivered"), "{sentences:?}");
    assert!(sentences[2].contains(left), "{sentences:?}");
}

#[test]
fn a_cancelled_import_that_is_gone_promises_nothing() {
    let gone = |received| {
        of_tombstone(&Tombstone {
            id: "0198c0de000070008000000000000001".parse().unwrap(),
            kind: Some(Kind::Upload),
            created: START,
            ended: START,
            end: End::Cancelled,
            counts: Counts { received, cancelled: received, ..Counts::default() },
        })
    };
    assert!(gone(0).next_step.contains("Nothing to do"));
    assert!(!gone(4).next_step.contains("Nothing to do"), "{}", gone(4).next_step);
}

#[test]
fn of_a_death_that_was_cut_short_nothing_is_promised() {
    let gone = |kind| {
        of_tombstone(&Tombstone {
            id: "0198c0de000070008000000000000001".parse().unwrap(),
            kind,
            created: START,
            ended: START,
            end: End::Erased,
            counts: Counts::default(),
        })
    };
    assert!(gone(Some(Kind::Upload)).next_step.contains("Nothing to do"));
    let unknown = gone(None).next_step;
    assert!(unknown.contains("nobody can tell") && !unknown.contains("Nothing to do"), "{unknown}");
}

/// State of the delivery and what is said of the study on its way.
fn on_its_way(work: Box<Work>) -> (&'static str, String) {
    let import = import(State::Unpacked, vec![study(StudyState::Forwarding(work))]);
    let mut view = of_import(&import, None, Detail::Brief);
    let study = view.studies.remove(0);
    (study.deliveries[0].state, study.next_step)
}

#[test]
fn what_waits_for_its_turn_is_not_being_sent() {
    let waits = on_its_way(delivered(0));
    assert_eq!(waits, ("Waiting", "It waits for its turn at pacs.".to_owned()));
    let again = work(|delivery| delivery.due = None);
    let sentence =
        "It waits for its turn at pacs; the last time: the PACS refused the association.";
    assert_eq!(on_its_way(again), ("Waiting", sentence.to_owned()));
    let mut sending = delivered(1);
    sending.deliveries[0].began = true;
    assert_eq!(on_its_way(sending), ("Sending", "It is being sent.".to_owned()));
}

#[test]
fn one_destination_that_waits_does_not_hide_another_that_gets_it() {
    let mut both = delivered(0);
    let mut second = delivered(1).deliveries.remove(0);
    (second.destination, second.began) = (DestinationName("archive".into()), true);
    both.deliveries.push(second);
    assert_eq!(on_its_way(both), ("Waiting", "It is being sent.".to_owned()));
}
