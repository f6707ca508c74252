use std::time::Duration;

use super::*;
use crate::import::tests::{delivered, forwarding, pacs};
use crate::import::{Event, Import, Stop, StudyState};

const HOUR: Duration = Duration::from_secs(3600);

fn at(hours: u32) -> Moment {
    Moment::default().after(HOUR * hours)
}

fn transaction(n: u32) -> Uid {
    Uid::new(&format!("2.25.{n}")).unwrap()
}

/// Two instances at the PACS, both answered with success.
fn stored() -> (Import, Uid, Vec<Action>) {
    let (mut import, study) = forwarding();
    let actions = import.apply(&delivered(&study, 0..2), at(0)).unwrap();
    (import, study, actions)
}

fn assure(study: &Uid) -> Action {
    Action::Assure { study: study.clone(), destination: pacs() }
}

fn asked(study: &Uid, n: u32, instances: &[u32], due: Moment) -> Event {
    let (study, transaction, instances) = (study.clone(), transaction(n), instances.to_vec());
    Event::CommitmentAsked { study, destination: pacs(), transaction, instances, due }
}

fn taken(study: &Uid, n: u32) -> Event {
    let (study, transaction) = (study.clone(), transaction(n));
    Event::CommitmentTaken { study, destination: pacs(), transaction }
}

fn reported(study: &Uid, n: u32, committed: &[u32], failed: &[(u32, u16)]) -> Event {
    Event::CommitmentReported {
        study: study.clone(),
        destination: pacs(),
        transaction: Some(transaction(n)),
        committed: committed.to_vec(),
        failed: failed.to_vec(),
        due: at(5),
    }
}

fn all(import: &mut Import, events: &[Event], now: Moment) -> Vec<Action> {
    events.iter().fold(vec![], |_, event| import.apply(event, now).unwrap())
}

fn commitment(import: &Import) -> &Commitment {
    &import.studies[0].work().unwrap().deliveries[0].commitment
}

fn sentence_of(import: &Import) -> &str {
    match &import.studies[0].state {
        StudyState::Quarantined { sentence, .. } => sentence,
        other => panic!("{}", other.name()),
    }
}

#[test]
fn a_study_is_confirmed_when_every_instance_is_committed() {
    let (mut import, study, actions) = stored();
    assert_eq!(actions, [assure(&study)]);
    assert_eq!(import.studies[0].state.name(), "Confirming");
    let actions = all(&mut import, &[asked(&study, 1, &[0, 1], at(24)), taken(&study, 1)], at(0));
    assert_eq!(actions, []);
    let actions = import.apply(&reported(&study, 1, &[0, 1], &[]), at(1)).unwrap();
    assert_eq!(actions, [Action::Confirm { study: study.clone() }]);
    assert_eq!(commitment(&import).assurance(), Some(Assurance::Committed));
    assert!(import.apply(&reported(&study, 1, &[0, 1], &[]), at(1)).is_err(), "it is finished");
    import.apply(&Event::Confirmed { study }, at(1)).unwrap();
    assert_eq!(import.state.name(), "Closed");
}

#[test]
fn what_was_not_kept_is_sent_again_and_asked_for_again_and_nothing_else() {
    let (mut import, study, _) = stored();
    all(&mut import, &[asked(&study, 1, &[0, 1], at(24)), taken(&study, 1)], at(0));
    let actions = import.apply(&reported(&study, 1, &[0], &[(1, 0x0112)]), at(1)).unwrap();
    assert_eq!(actions, [Action::Send { study: study.clone(), destination: pacs() }]);
    assert_eq!(import.studies[0].state.name(), "Forwarding");
    assert!(import.counts().is_conserved());
    assert_eq!((import.counts().delivered, import.counts().in_flight), (1, 1));
    let delivery = &import.studies[0].work().unwrap().deliveries[0];
    assert!(delivery.may_hold.iter().eq(&[1]), "it may be there after all");
    let actions = import.apply(&delivered(&study, 1..2), at(1)).unwrap();
    assert_eq!(actions, [assure(&study)]);
    all(&mut import, &[asked(&study, 2, &[1], at(25)), taken(&study, 2)], at(1));
    let actions = import.apply(&reported(&study, 2, &[1], &[]), at(1)).unwrap();
    assert_eq!(actions, [Action::Confirm { study }]);
}

#[test]
fn a_destination_that_never_keeps_it_ends_with_a_person() {
    let (mut import, study, _) = stored();
    for round in 0..=RESENDS {
        let n = round + 1;
        all(&mut import, &[asked(&study, n, &[0, 1], at(24)), taken(&study, n)], at(0));
        let actions =
            import.apply(&reported(&study, n, &[], &[(0, 0x0110), (1, 0x0112)]), at(0)).unwrap();
        if round < RESENDS {
            assert_eq!(actions.len(), 1, "sent again, round {round}");
            import.apply(&delivered(&study, 0..2), at(0)).unwrap();
        } else {
            assert_eq!(actions, []);
        }
    }
    let sentence = sentence_of(&import);
    assert!(
        sentence.contains("has not kept 2 of 2") && sentence.contains("press retry"),
        "{sentence}"
    );
}

#[test]
fn an_instance_in_both_lists_failed_and_one_in_neither_is_asked_for_again() {
    let (mut import, study, _) = stored();
    all(&mut import, &[asked(&study, 1, &[0, 1], at(24)), taken(&study, 1)], at(0));
    let actions = import.apply(&reported(&study, 1, &[0, 1], &[(1, 0x0112)]), at(0)).unwrap();
    assert_eq!(actions.len(), 1, "sent again");
    assert_eq!(*commitment(&import).committed, [0].into());

    let (mut import, study, _) = stored();
    all(&mut import, &[asked(&study, 1, &[0, 1], at(24)), taken(&study, 1)], at(0));
    assert_eq!(import.apply(&reported(&study, 1, &[0], &[]), at(0)).unwrap(), []);
    assert_eq!(commitment(&import).stand, Stand::Postponed { due: at(5) });
    assert_eq!(import.apply(&Event::CameDue, at(5)).unwrap(), [assure(&study)]);
    // A report on instances that were never asked for commits nothing.
    all(&mut import, &[asked(&study, 2, &[1], at(24)), taken(&study, 2)], at(5));
    import.apply(&reported(&study, 2, &[0, 7], &[(9, 0x0112)]), at(5)).unwrap();
    assert_eq!(*commitment(&import).committed, [0].into());
}

#[test]
fn a_lack_of_resources_is_waited_out_and_a_wrong_class_is_for_a_person() {
    let (mut import, study, _) = stored();
    all(&mut import, &[asked(&study, 1, &[0, 1], at(24)), taken(&study, 1)], at(0));
    assert_eq!(import.apply(&reported(&study, 1, &[0], &[(1, 0x0213)]), at(0)).unwrap(), []);
    assert!(matches!(commitment(&import).stand, Stand::Postponed { .. }));
    assert_eq!(import.apply(&Event::CameDue, at(5)).unwrap(), [assure(&study)]);
    all(&mut import, &[asked(&study, 2, &[1], at(24)), taken(&study, 2)], at(5));
    assert_eq!(import.apply(&reported(&study, 2, &[], &[(1, 0x0122)]), at(5)).unwrap(), []);
    let sentence = sentence_of(&import);
    assert!(sentence.contains("does not commit to 1 of 2 instances"), "{sentence}");
}

#[test]
fn silence_is_asked_again_under_a_new_uid_three_times_and_then_a_person_is() {
    let (mut import, study, _) = stored();
    for n in 1..=COMMITMENT_REQUESTS {
        let due = at(24 * n);
        all(&mut import, &[asked(&study, n, &[0, 1], due), taken(&study, n)], at(0));
        let actions = import.apply(&Event::CameDue, due).unwrap();
        match n {
            COMMITMENT_REQUESTS => assert_eq!(actions, []),
            _ => assert_eq!(actions, [assure(&study)], "request {n}"),
        }
    }
    let sentence = sentence_of(&import);
    assert!(sentence.contains("asked 3 times") && sentence.contains("AE title"), "{sentence}");
    // A report that comes after all, even on the first request, answers the question.
    let actions = import.apply(&reported(&study, 1, &[0, 1], &[]), at(80)).unwrap();
    assert_eq!(actions, [Action::Confirm { study: study.clone() }]);
}

#[test]
fn a_person_may_have_it_asked_again() {
    let (mut import, study, _) = stored();
    for n in 1..=COMMITMENT_REQUESTS {
        all(&mut import, &[asked(&study, n, &[0, 1], at(n)), taken(&study, n)], at(0));
        import.apply(&Event::CameDue, at(n)).unwrap();
    }
    let retried = Event::Retried { actor: crate::import::Actor("desk".into()) };
    assert_eq!(import.apply(&retried, at(9)).unwrap(), [assure(&study)]);
    assert_eq!(import.studies[0].state.name(), "Confirming");
    all(&mut import, &[asked(&study, 9, &[0, 1], at(33))], at(9));
    // Nor is it necessary to wait for the end of the time.
    assert_eq!(import.apply(&retried, at(10)).unwrap(), [assure(&study)]);
}

#[test]
fn a_restart_waits_on_for_what_was_taken_and_asks_anew_for_what_may_never_have_left() {
    let cut_off = Event::Resumed { after: Stop::CutOff };
    let (mut import, study, _) = stored();
    import.apply(&asked(&study, 1, &[0, 1], at(24)), at(0)).unwrap();
    assert_eq!(import.apply(&cut_off, at(1)).unwrap(), [assure(&study)]);
    all(&mut import, &[asked(&study, 2, &[0, 1], at(24)), taken(&study, 2)], at(1));
    assert_eq!(import.apply(&cut_off, at(2)).unwrap(), []);
    let actions = import.apply(&reported(&study, 2, &[0, 1], &[]), at(3)).unwrap();
    assert_eq!(actions, [Action::Confirm { study: study.clone() }]);
    assert_eq!(import.apply(&cut_off, at(3)).unwrap(), [Action::Confirm { study }]);
}

#[test]
fn refusals_are_tried_for_a_while_and_then_a_person_is_asked() {
    let (mut import, study, _) = stored();
    for n in 1..=COMMITMENT_REFUSALS {
        let postponed = Event::CommitmentPostponed {
            study: study.clone(),
            destination: pacs(),
            fault: CommitmentFault::Refused,
            due: at(n),
            sentence: "pacs refused the request".into(),
        };
        all(&mut import, &[asked(&study, n, &[0, 1], at(24)), postponed], at(0));
        assert!(commitment(&import).asked.is_empty(), "its transaction is dead");
        if n < COMMITMENT_REFUSALS {
            assert_eq!(import.apply(&Event::CameDue, at(n)).unwrap(), [assure(&study)]);
        }
    }
    assert!(sentence_of(&import).contains("commitment = \"off\""));
}

#[test]
fn batches_follow_one_another_without_waiting() {
    let (mut import, study, _) = stored();
    all(&mut import, &[asked(&study, 1, &[0], at(24)), taken(&study, 1)], at(0));
    let actions = import.apply(&reported(&study, 1, &[0], &[]), at(0)).unwrap();
    assert_eq!(actions, [assure(&study)]);
}
