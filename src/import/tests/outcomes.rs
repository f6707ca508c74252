//! Refusals, failures and cancels: what counts, and what a retry does.

use super::*;

#[test]
fn a_refusal_waits_for_a_person_and_only_refused_ones_go_again() {
    let (mut import, _) = begun(Kind::Upload);
    import
        .apply(&Event::Received { files: vec![file()], portal: None }, Moment::default())
        .unwrap();
    let unpacked = Event::Unpacked {
        instances: vec![inspected(0), inspected(3)],
        documents: vec![],
        set_aside: vec![],
    };
    import.apply(&unpacked, Moment::default()).unwrap();
    let study = study_uid(0);
    import
        .apply(&Event::Decided { study: study.clone(), order: order() }, Moment::default())
        .unwrap();
    let sent = Event::Sent {
        study: study.clone(),
        destination: DestinationName("pacs".into()),
        outcomes: vec![
            (0, InstanceOutcome::Delivered { status: 0 }),
            (
                1,
                InstanceOutcome::Refused {
                    status: Some(0xA900),
                    sentence: "it does not match".into(),
                },
            ),
        ],
    };
    import.apply(&sent, Moment::default()).unwrap();
    let StudyState::Quarantined { sentence, .. } = &import.study(&study).unwrap().state else {
        panic!("a refusal holds the study")
    };
    assert!(sentence.contains("pacs refused 1 of 2"), "{sentence}");
    assert_eq!((import.counts().delivered, import.counts().quarantined), (1, 1));
    let actions = import.apply(&Event::Retried { actor: actor() }, Moment::default()).unwrap();
    assert_eq!(actions.len(), 1);
    let work = import.study(&study).unwrap().work().unwrap();
    assert_eq!(work.deliveries[0].outcomes.len(), 1, "what was delivered is not sent again");
}

#[test]
fn what_was_delivered_before_a_cancel_stays_counted_as_delivered() {
    let (mut import, study) = forwarding();
    import.apply(&delivered(&study, 0..1), Moment::default()).unwrap();
    import.apply(&Event::Cancelled { actor: actor() }, Moment::default()).unwrap();
    assert_eq!((import.counts().delivered, import.counts().cancelled), (1, 1));
}

#[test]
fn old_news_of_the_worklist_does_not_stop_a_study_that_a_person_decided() {
    let (mut import, study) = forwarding();
    let late = |stage| Event::Failed { stage, study: Some(study.clone()), sentence: "x".into() };
    assert!(import.apply(&late(Stage::Worklist), Moment::default()).is_err());
    assert_eq!(import.study(&study).unwrap().state.name(), "Forwarding");
    import.apply(&late(Stage::Forward), Moment::default()).unwrap();
    assert_eq!(import.study(&study).unwrap().state.name(), "Quarantined");
}

#[test]
fn outcomes_that_come_after_a_failure_count_and_a_retry_has_something_to_do() {
    let (mut import, study) = forwarding();
    let failed =
        Event::Failed { stage: Stage::Forward, study: Some(study.clone()), sentence: "x".into() };
    import.apply(&failed, Moment::default()).unwrap();
    import.apply(&delivered(&study, 0..2), Moment::default()).unwrap();
    assert_eq!(import.counts().delivered, 2);
    let actions = import.apply(&Event::Retried { actor: actor() }, Moment::default()).unwrap();
    let destination = pacs();
    assert_eq!(
        actions,
        [Action::Assure { study, destination }],
        "it would wait in Forwarding for ever"
    );
}

/// What a delivery waited for before everything was answered is due no more: nobody would take it off again.
#[test]
fn a_complete_delivery_waits_for_nothing() {
    let (mut import, study) = forwarding();
    let apply = |import: &mut Import, event: &Event| {
        import.apply(event, Moment::default()).unwrap();
    };
    let held = Event::Held { study: study.clone(), destination: pacs(), sentence: "x".into() };
    apply(&mut import, &held);
    let mut twice = order();
    twice.destinations.push(DestinationName("archive".into()));
    apply(&mut import, &Event::Decided { study: study.clone(), order: twice });
    let due = Moment::default();
    let postponed = Event::DeliveryPostponed {
        study: study.clone(),
        destination: pacs(),
        due,
        sentence: "busy".into(),
        unsent: true,
        unanswered: vec![],
    };
    let to_archive = Event::Sent {
        study: study.clone(),
        destination: DestinationName("archive".into()),
        outcomes: vec![
            (0, InstanceOutcome::Delivered { status: 0 }),
            (1, InstanceOutcome::Delivered { status: 0 }),
        ],
    };
    let mut other = import.clone();
    // A run beside the one that delivered everything.
    apply(&mut import, &delivered(&study, 0..2));
    apply(&mut import, &postponed);
    assert_eq!(import.what_is_due(&TIMES, due), None);
    apply(&mut import, &to_archive);
    // While the study was with a person.
    apply(&mut other, &postponed);
    let failed =
        Event::Failed { stage: Stage::Forward, study: Some(study.clone()), sentence: "x".into() };
    apply(&mut other, &failed);
    apply(&mut other, &delivered(&study, 0..2));
    apply(&mut other, &to_archive);
    for destination in [pacs(), DestinationName("archive".into())] {
        let (study, by) = (study.clone(), Assurance::Answered);
        apply(&mut other, &Event::Assured { study, destination, by, note: None });
    }
    for import in [import, other] {
        assert_eq!(import.study(&study).unwrap().state.name(), "Confirming");
        assert_eq!(import.what_is_due(&TIMES, due), None);
    }
}
