//! A study that a destination holds for another patient.

use super::*;

fn held(study: &Uid, destination: &str) -> Event {
    Event::Held {
        study: study.clone(),
        destination: DestinationName(destination.into()),
        sentence: format!("{destination} holds it"),
    }
}

fn apply(import: &mut Import, event: &Event) -> Vec<Action> {
    import.apply(event, Moment::default()).unwrap()
}

#[test]
fn a_study_held_before_anything_was_sent_may_be_decided_anew() {
    let (mut import, study) = forwarding();
    apply(&mut import, &held(&study, "pacs"));
    let state = &import.study(&study).unwrap().state;
    let StudyState::Quarantined { sentence, work: Some(work) } = state else { panic!() };
    assert_eq!((sentence.as_str(), work.held()), ("pacs holds it", vec!["pacs holds it".into()]));
    assert_eq!(import.counts().quarantined, 2);
    let decided = Event::Decided { study: study.clone(), order: order() };
    let destination = DestinationName("pacs".into());
    assert_eq!(apply(&mut import, &decided), [Action::Send { study: study.clone(), destination }]);
    let work = import.study(&study).unwrap().work().unwrap();
    assert!(work.held().is_empty(), "what is sent now is not held");
}

#[test]
fn a_retry_asks_again() {
    let (mut import, study) = forwarding();
    apply(&mut import, &held(&study, "pacs"));
    let actions = apply(&mut import, &Event::Retried { actor: actor() });
    assert!(matches!(actions.as_slice(), [Action::Send { .. }]));
    assert!(import.study(&study).unwrap().work().unwrap().held().is_empty());
}

#[test]
fn a_study_of_which_something_was_sent_keeps_its_decision() {
    let (mut import, study) = forwarding();
    apply(&mut import, &delivered(&study, 0..1));
    apply(&mut import, &held(&study, "pacs"));
    let decided = Event::Decided { study, order: order() };
    assert!(import.apply(&decided, Moment::default()).is_err());
}

fn began(study: &Uid, destination: &str) -> Event {
    let destination = Some(DestinationName(destination.into()));
    Event::Began { stage: Stage::Forward, study: Some(study.clone()), destination }
}

fn numbered(id: &str) -> Patient {
    Patient { id: Some(PatientId { id: id.into(), issuer: None }), ..Patient::default() }
}

fn order_for(id: &str) -> Box<Order> {
    let mut order = order();
    order.decision.target = Target::NoOrder(numbered(id));
    order
}

fn may_be_decided(import: &Import, study: &Uid) -> bool {
    import.may_decide(import.study(study).unwrap())
}

/// A study on its way to two destinations, and the decision that sent it.
fn decided_for_two() -> (Import, Uid, Event) {
    let (mut import, study) = forwarding();
    apply(&mut import, &held(&study, "pacs"));
    let mut twice = order();
    twice.destinations.push(DestinationName("archive".into()));
    let decided = Event::Decided { study: study.clone(), order: twice };
    apply(&mut import, &decided);
    (import, study, decided)
}

#[test]
fn it_is_decided_anew_while_another_destination_waits_for_its_turn() {
    let (mut import, study, decided) = decided_for_two();
    apply(&mut import, &held(&study, "pacs"));
    // Outside its window, say: it has not begun, and cannot while the study is held.
    assert!(import.apply(&began(&study, "archive"), Moment::default()).is_err());
    assert!(import.apply(&decided, Moment::default()).is_ok());
}

#[test]
fn it_is_not_decided_anew_while_another_destination_is_at_work() {
    let (mut import, study, decided) = decided_for_two();
    apply(&mut import, &began(&study, "archive"));
    apply(&mut import, &held(&study, "pacs"));
    assert!(import.apply(&decided, Moment::default()).is_err(), "archive may be storing it");
    apply(&mut import, &held(&study, "archive"));
    assert_eq!(import.study(&study).unwrap().work().unwrap().held().len(), 2);
    assert!(import.apply(&decided, Moment::default()).is_ok());
}

#[test]
fn what_may_be_there_of_a_run_that_was_cut_off_keeps_its_decision() {
    let (mut import, study) = forwarding();
    apply(&mut import, &held(&study, "pacs"));
    apply(&mut import, &Event::Decided { study: study.clone(), order: order_for("1") });
    for _ in 1..=3 {
        apply(&mut import, &began(&study, "pacs"));
        apply(&mut import, &Event::Resumed { after: Stop::CutOff });
    }
    assert_eq!(import.study(&study).unwrap().state.name(), "Quarantined");
    assert!(!may_be_decided(&import, &study), "the archive may hold some of it");
    let reason = "not ours".into();
    let rejected = Event::Rejected { study: study.clone(), reason, actor: actor() };
    assert!(import.clone().apply(&rejected, Moment::default()).is_ok());
    let actions = apply(&mut import, &Event::Retried { actor: actor() });
    assert!(matches!(actions.as_slice(), [Action::Send { .. }]));
    // A retry would only be held again, so a person may insist, and on nobody else.
    apply(&mut import, &held(&study, "pacs"));
    assert!(may_be_decided(&import, &study));
    let may = |id| import.may_decide_for(import.study(&study).unwrap(), &numbered(id));
    assert!(may("1") && !may("2"), "it still may hold some of it");
    let again = Event::Decided { study: study.clone(), order: order_for("1") };
    apply(&mut import, &again);
    let work = import.study(&study).unwrap().work().unwrap();
    assert!(work.may_have_left(), "what left is not forgotten");
}

#[test]
fn what_left_without_an_answer_keeps_its_decision() {
    let (mut import, study, decided) = decided_for_two();
    apply(&mut import, &began(&study, "archive"));
    let postponed = |unanswered: &[u32]| Event::DeliveryPostponed {
        study: study.clone(),
        destination: DestinationName("archive".into()),
        due: Moment::default(),
        sentence: "it hung up".into(),
        unsent: unanswered.is_empty(),
        unanswered: unanswered.to_vec(),
    };
    let mut unsent = import.clone();
    for (import, numbers) in [(&mut unsent, &[][..]), (&mut import, &[1])] {
        apply(import, &postponed(numbers));
        apply(import, &held(&study, "pacs"));
    }
    let nobody = Patient::default();
    let may = |import: &Import| import.may_decide_for(import.study(&study).unwrap(), &nobody);
    assert!(may(&unsent) && !may(&import));
    assert!(unsent.apply(&decided, Moment::default()).is_ok());
}

/// A retry forgets that a run goes on, and what that one reports must not be booked on another decision.
#[test]
fn a_run_that_outlives_a_retry_keeps_its_decision() {
    let (mut import, study, _) = decided_for_two();
    apply(&mut import, &began(&study, "archive"));
    apply(&mut import, &held(&study, "pacs"));
    apply(&mut import, &Event::Retried { actor: actor() });
    apply(&mut import, &held(&study, "pacs"));
    let found = import.study(&study).unwrap();
    assert!(!import.may_decide_for(found, &numbered("2")), "archive may be storing it");
    let sent = |number| Event::Sent {
        study: study.clone(),
        destination: DestinationName("archive".into()),
        outcomes: vec![(number, InstanceOutcome::Delivered { status: 0 })],
    };
    apply(&mut import, &sent(0));
    assert_eq!(import.study(&study).unwrap().work().unwrap().deliveries[1].delivered(), 1);
}

/// A worklist that answers late, behind a person's decision that a destination holds.
#[test]
fn a_rule_that_comes_late_does_not_undo_what_a_person_decided() {
    let (mut import, _) = begun(Kind::Upload);
    let study = study_uid(0);
    let unpacked =
        Event::Unpacked { instances: vec![inspected(0)], documents: vec![], set_aside: vec![] };
    let ask =
        Event::Began { stage: Stage::Worklist, study: Some(study.clone()), destination: None };
    for event in [Event::Received { files: vec![file()], portal: None }, unpacked, ask] {
        apply(&mut import, &event);
    }
    let decided = |id: &str, authority: Authority| {
        let mut order = order_for(id);
        order.over = Over::of(&authority);
        order.decision.authority = authority;
        Event::Decided { study: study.clone(), order }
    };
    let rule = || Authority::Rule { tier: Tier::RequestedOrder, version: 1 };
    let person = || Authority::Person { actor: "eva".into(), reason: "asked".into() };
    for early in [rule(), Authority::Earlier] {
        assert!(import.clone().apply(&decided("Q", early), Moment::default()).is_ok());
    }
    apply(&mut import, &decided("P", person()));
    apply(&mut import, &held(&study, "pacs"));
    for late in [rule(), Authority::Earlier] {
        assert!(import.apply(&decided("Q", late), Moment::default()).is_err());
    }
    let work = import.study(&study).unwrap().work().unwrap();
    assert_eq!(*work.decision.target.patient(), numbered("P"));
    assert!(import.clone().apply(&decided("R", person()), Moment::default()).is_ok());

    // A journal of before has what it took, and is read as it was meant.
    let mut before = serde_json::to_value(decided("Q", rule())).unwrap();
    before["decided"]["order"].as_object_mut().unwrap().remove("over").unwrap();
    let before: Event = serde_json::from_value(before).unwrap();
    assert!(import.apply(&before, Moment::default()).is_ok());
}
