//! An import that waits with everything it received: for a password, for the virus scanner, for a retry.

use std::time::Duration;

use super::*;

fn received() -> Import {
    let requested = Event::Requested { kind: Kind::Upload, request: Request::default() };
    let (mut import, _) = Import::begin(ImportId::new(), &requested, Moment::default()).unwrap();
    let event = Event::Received { files: vec![file()], portal: None };
    assert_eq!(import.apply(&event, Moment::default()).unwrap(), [Action::Unpack]);
    import
}

fn asked() -> Import {
    let mut import = received();
    let question = Question {
        key: Request::ARCHIVE_PASSWORD.into(),
        kind: QuestionKind::Password,
        text: "Password".into(),
        format: "STRING".into(),
    };
    let event = Event::Asked { questions: vec![question], note: Some("encrypted".into()) };
    assert!(import.apply(&event, Moment::default()).unwrap().is_empty());
    assert_eq!(import.state.name(), "Asking");
    import
}

#[test]
fn a_password_unpacks_what_is_here_already() {
    let mut import = asked();
    let answers = BTreeMap::from([(Request::ARCHIVE_PASSWORD.to_owned(), "secret".to_owned())]);
    let event = Event::Answered { answers, actor: actor() };
    assert_eq!(import.apply(&event, Moment::default()).unwrap(), [Action::Unpack]);
    assert_eq!(import.request.password.as_deref(), Some("secret"));
    assert!(matches!(&import.state, State::Received { files, .. } if files.len() == 1));
    assert!(!format!("{:?}", import.request).contains("secret"));
}

#[test]
fn a_retry_goes_on_without_the_password() {
    let mut import = asked();
    let actions = import.apply(&Event::Retried { actor: actor() }, Moment::default()).unwrap();
    assert_eq!(actions, [Action::Unpack]);
    assert_eq!(import.request.password.as_deref(), Some(""));
}

#[test]
fn an_import_waits_for_the_scanner_or_the_spool() {
    let mut import = received();
    let at = |ms: u64| Moment::default().after(Duration::from_millis(ms));
    let (first, due) = (at(1), at(5_000));
    let postponed =
        Event::Postponed { stage: Stage::Unpack, study: None, due, sentence: "no scanner".into() };
    assert!(import.apply(&postponed, first).unwrap().is_empty());
    assert!(import.apply(&Event::CameDue, at(4_999)).unwrap().is_empty());
    assert_eq!(import.apply(&Event::CameDue, due).unwrap(), [Action::Unpack]);
    assert!(matches!(import.state, State::Received { waits: 1, due: None, .. }));
    import.apply(&postponed, at(4_000)).unwrap();
    let since = |import: &Import| match &import.state {
        State::Received { fails_since, .. } => *fails_since,
        _ => None,
    };
    assert_eq!(since(&import), Some(first), "all of them in a row count");
    let retried = Event::Retried { actor: actor() };
    assert_eq!(import.apply(&retried, at(4_500)).unwrap(), [Action::Unpack]);
    assert_eq!(since(&import), None, "a person says that it is mended");
}

#[test]
fn a_start_tries_at_once_what_waits_for_the_spool() {
    let at = |ms: u64| Moment::default().after(Duration::from_millis(ms));
    for stop in [Stop::InOrder, Stop::CutOff] {
        let mut import = received();
        let dues = [at(900_000), at(30), at(900_000), at(900_000), at(30)];
        for (now, due) in std::iter::repeat(at(20)).zip(dues) {
            let sentence = "the disk is away".into();
            let postponed = Event::Postponed { stage: Stage::Unpack, study: None, due, sentence };
            import.apply(&postponed, now).unwrap();
            // No interrupted work, however often it happens.
            assert!(import.apply(&Event::Resumed { after: stop }, at(40)).unwrap().is_empty());
            assert_eq!(import.next_due(&TIMES), due.earlier(at(40)));
            assert_eq!(import.apply(&Event::CameDue, at(40)).unwrap(), [Action::Unpack]);
        }
    }
}

#[test]
fn a_download_that_cannot_be_unpacked_is_fetched_anew() {
    let failed =
        |stage| Event::Failed { stage, study: None, sentence: "the archive is cut".into() };
    for (kind, again) in [
        (Kind::Link { host: "portal.example.org".into() }, Action::Pull),
        (Kind::Upload, Action::Unpack),
    ] {
        let (mut import, _) = begun(kind);
        let received = Event::Received { files: vec![file()], portal: None };
        import.apply(&received, Moment::default()).unwrap();
        import.apply(&failed(Stage::Unpack), Moment::default()).unwrap();
        let retried = Event::Retried { actor: actor() };
        assert_eq!(import.apply(&retried, Moment::default()).unwrap(), [again]);
    }
}

#[test]
fn nobody_is_told_to_try_bytes_again_that_can_never_be_read() {
    for (kind, again) in [
        (Kind::Link { host: "portal.example.org".into() }, Some(Action::Pull)),
        (Kind::Upload, None),
    ] {
        let (mut import, _) = begun(kind);
        let unreadable = Event::Unreadable { sentence: "the archive is cut".into() };
        assert!(import.apply(&unreadable, Moment::default()).is_err(), "nothing came yet");
        let received = Event::Received { files: vec![file()], portal: None };
        import.apply(&received, Moment::default()).unwrap();
        import.apply(&unreadable, Moment::default()).unwrap();
        let retried = import.apply(&Event::Retried { actor: actor() }, Moment::default());
        assert_eq!(retried.ok().and_then(|actions| actions.first().cloned()), again);
    }
}

#[test]
fn an_order_that_came_is_asked_for_by_whoever_waits_for_a_person() {
    let mut import = received();
    let unpacked =
        Event::Unpacked { instances: vec![inspected(0)], documents: vec![], set_aside: vec![] };
    import.apply(&unpacked, Moment::default()).unwrap();
    let study = study_uid(0);
    let came = Event::OrderCame { study: study.clone() };
    assert!(import.apply(&came, Moment::default()).is_err(), "it is being asked for already");
    let ranked = Event::Ranked { study: study.clone(), outcome: outcome() };
    import.apply(&ranked, Moment::default()).unwrap();
    let actions = import.apply(&came, Moment::default()).unwrap();
    assert_eq!(actions, [Action::AskWorklist { study: study.clone() }]);
    let decided = Event::Decided { study, order: order() };
    import.apply(&ranked, Moment::default()).unwrap();
    import.apply(&decided, Moment::default()).unwrap();
    assert!(import.apply(&came, Moment::default()).is_err(), "a decision stands");
}
