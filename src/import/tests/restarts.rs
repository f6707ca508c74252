//! What counts as cut off, and what only waited.

use super::*;

fn resumed(after: Stop) -> Event {
    Event::Resumed { after }
}

fn began(study: &Uid) -> Event {
    let (study, destination) = (Some(study.clone()), Some(pacs()));
    Event::Began { stage: Stage::Forward, study, destination }
}

#[test]
fn a_delivery_that_waits_for_its_turn_is_not_cut_off() {
    let (mut import, study) = forwarding();
    for _ in 0..5 {
        let actions = import.apply(&resumed(Stop::CutOff), Moment::default()).unwrap();
        assert_eq!(actions, [Action::Send { study: study.clone(), destination: pacs() }]);
    }
}

#[test]
fn a_delivery_that_began_is_held_on_the_third_crash_and_never_by_orderly_stops() {
    let (mut import, study) = forwarding();
    for _ in 0..5 {
        import.apply(&began(&study), Moment::default()).unwrap();
        assert_eq!(import.apply(&resumed(Stop::InOrder), Moment::default()).unwrap().len(), 1);
    }
    for crash in 1..=3 {
        import.apply(&began(&study), Moment::default()).unwrap();
        let actions = import.apply(&resumed(Stop::CutOff), Moment::default()).unwrap();
        assert_eq!(actions.len(), usize::from(crash < 3), "crash {crash}");
    }
    let StudyState::Quarantined { sentence, .. } = &import.study(&study).unwrap().state else {
        panic!("held")
    };
    assert!(sentence.contains("while sending it"), "{sentence}");
}

#[test]
fn one_run_of_a_delivery_at_a_time() {
    let (mut import, study) = forwarding();
    import.apply(&began(&study), Moment::default()).unwrap();
    assert!(import.apply(&began(&study), Moment::default()).is_err(), "it is being sent");
    import.apply(&delivered(&study, 0..1), Moment::default()).unwrap();
    assert!(import.apply(&began(&study), Moment::default()).is_err(), "it still is");
    let (destination, due) = (pacs(), Moment::default());
    let postponed = Event::DeliveryPostponed {
        study: study.clone(),
        destination,
        due,
        sentence: "busy".into(),
        unsent: false,
        unanswered: vec![],
    };
    import.apply(&postponed, Moment::default()).unwrap();
    assert!(import.apply(&began(&study), Moment::default()).is_err(), "it waits");
    import.apply(&Event::CameDue, Moment::default()).unwrap();
    import.apply(&began(&study), Moment::default()).unwrap();
}

/// An archive that says "I have it already" is believed only of what it may have from us.
#[test]
fn a_run_that_sent_nothing_leaves_nothing_there() {
    let (mut import, study) = forwarding();
    let may_hold = |import: &Import| {
        let work = import.study(&study).unwrap().work().unwrap();
        work.deliveries[0].may_hold.iter().copied().collect::<Vec<u32>>()
    };
    let due = Moment::default();
    let postponed = |unsent, unanswered: &[u32]| Event::DeliveryPostponed {
        study: study.clone(),
        destination: pacs(),
        due,
        sentence: "busy".into(),
        unsent,
        unanswered: unanswered.to_vec(),
    };
    let again = |import: &mut Import| {
        import.apply(&Event::CameDue, due).unwrap();
        import.apply(&began(&study), due).unwrap();
    };
    import.apply(&began(&study), due).unwrap();
    import.apply(&postponed(true, &[]), due).unwrap();
    assert!(may_hold(&import).is_empty(), "nobody was reached");
    again(&mut import);
    let mut cut = import.clone();
    cut.apply(&Event::Resumed { after: Stop::CutOff }, due).unwrap();
    assert_eq!(may_hold(&cut), [0, 1], "a kill may have come between an object and its answer");
    import.apply(&postponed(false, &[1, 99]), due).unwrap();
    assert_eq!(may_hold(&import), [1], "the other has not left");
    again(&mut import);
    import.apply(&postponed(true, &[]), due).unwrap();
    assert_eq!(may_hold(&import), [1], "what an earlier run left stays there");
    again(&mut import);
    import.apply(&delivered(&study, 0..1), due).unwrap();
    // As it was written before.
    let old = serde_json::to_value(postponed(false, &[])).unwrap();
    let old: Event = serde_json::from_value(old).unwrap();
    import.apply(&old, due).unwrap();
    assert_eq!(may_hold(&import), [1], "of all that is not answered");
}

#[test]
fn journals_of_earlier_releases_replay_as_they_were_written() {
    let (mut import, study) = forwarding();
    for start in 1..=3 {
        let actions = import.apply(&Event::Restarted, Moment::default()).unwrap();
        assert_eq!(actions.len(), usize::from(start < 3), "start {start}");
    }
    assert_eq!(import.study(&study).unwrap().state.name(), "Quarantined");
    // And states without what was added since are read.
    let delivery = serde_json::json!({"destination": "pacs", "outcomes": {}, "attempts": 0, "interrupted": 0,
        "due": null, "last_error": null, "lastError": null});
    let delivery: Delivery = serde_json::from_value(delivery).unwrap();
    assert!(delivery == Delivery::new(pacs()));
}

#[test]
fn work_that_keeps_killing_the_process_is_held_on_the_third_start() {
    let (mut import, _) = begun(Kind::Link { host: "portal.example.org".into() });
    import
        .apply(&Event::Received { files: vec![file()], portal: None }, Moment::default())
        .unwrap();
    let began = Event::Began { stage: Stage::Unpack, study: None, destination: None };
    let cut_off = Event::Resumed { after: Stop::CutOff };
    for start in 1..=2 {
        import.apply(&began, Moment::default()).unwrap();
        let actions = import.apply(&cut_off, Moment::default()).unwrap();
        assert_eq!(actions, [Action::Unpack], "start {start}");
    }
    import.apply(&began, Moment::default()).unwrap();
    assert_eq!(import.apply(&cut_off, Moment::default()).unwrap(), []);
    assert_eq!(import.state.name(), "Failed");
    let actions = import.apply(&Event::Retried { actor: actor() }, Moment::default()).unwrap();
    assert_eq!(actions, [Action::Unpack], "a person may try once more");
}

#[test]
fn the_time_that_the_gateway_was_not_there_is_no_time_of_a_retry() {
    let (import, study) = forwarding();
    let destination = pacs();
    let postponed = Event::DeliveryPostponed {
        study: study.clone(),
        destination,
        due: Moment::default(),
        sentence: "busy".into(),
        unsent: true,
        unanswered: vec![],
    };
    let since =
        |import: &Import| import.study(&study).unwrap().work().unwrap().deliveries[0].fails_since;
    for stop in [Stop::InOrder, Stop::CutOff] {
        let mut import = import.clone();
        import.apply(&postponed, Moment::default()).unwrap();
        assert_eq!(since(&import), Some(Moment::default()));
        import.apply(&resumed(stop), Moment::default()).unwrap();
        assert_eq!(since(&import), None, "{stop:?}");
    }
}

#[test]
fn a_retry_of_what_waits_for_its_turn_sends_nothing_twice() {
    let (mut import, study) = forwarding();
    let retried = Event::Retried { actor: actor() };
    assert_eq!(import.apply(&retried, Moment::default()).unwrap(), []);
    import.apply(&began(&study), Moment::default()).unwrap();
    assert!(import.apply(&retried, Moment::default()).is_err(), "it is being sent");
}
