//! A list, a choice, and passwords that are good once.

use std::collections::BTreeSet;

use super::*;
use crate::import::{Chosen, Listing, Offer, Promised, Question, QuestionKind, Session};

fn at(ms: u64) -> Moment {
    Moment { wall_ms: 1_700_000_000_000, running_ms: ms }
}

fn link(answers: &[(&str, &str)]) -> Import {
    let request = Request {
        link: Link::new("https://portal.example.org/?token=x"),
        answers: answers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Request::default()
    };
    let kind = Kind::Link { host: "portal.example.org".to_owned() };
    Import::begin(ImportId::new(), &Event::Requested { kind, request }, at(0)).unwrap().0
}

fn listing() -> Listing {
    let offer = |key: &str| Offer {
        key: key.to_owned(),
        description: None,
        study_uid: None,
        date: None,
        modalities: None,
        patient: Patient::default(),
        accession_number: None,
        media_type: None,
        files: None,
    };
    Listing { offers: vec![offer("one"), offer("two")], dicomweb: None, note: None }
}

fn session() -> Option<Session> {
    let base = Link::new("https://portal.example.org/dlx/v1").unwrap();
    Some(Session { base, token: "a.b.c".to_owned(), one_time: true })
}

fn chosen(keys: &[&str]) -> Event {
    let keys: BTreeSet<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    Event::Chosen { chosen: Chosen::Only(keys), actor: Actor("token".to_owned()) }
}

#[test]
fn a_list_waits_for_a_choice_and_the_choice_stands() {
    let mut import = link(&[("PAT_BIRTH_DATE", "1970-01-31")]);
    assert!(import.apply(&chosen(&["one"]), at(1)).is_err());
    let listed = Event::Listed { listing: listing(), session: session() };
    assert_eq!(import.apply(&listed, at(1)).unwrap(), []);
    assert_eq!(import.state.name(), "Choosing");
    // It waits for a person, whatever happens around it.
    assert_eq!(import.apply(&Event::Restarted, at(2)).unwrap(), []);
    assert!(import.apply(&Event::Retried { actor: Actor("x".to_owned()) }, at(2)).is_err());
    assert!(import.apply(&chosen(&[]), at(2)).is_err());
    assert!(import.apply(&chosen(&["one", "three"]), at(2)).is_err());
    assert_eq!(import.apply(&chosen(&["two"]), at(3)).unwrap(), [Action::Pull]);
    let stands = |import: &Import| {
        import.request.choices.as_ref().is_some_and(|c| c.takes("two") && !c.takes("one"))
    };
    assert!(stands(&import) && import.session == session());
    // A retry goes on with the choice.
    let failed = Event::Failed { stage: Stage::Pull, study: None, sentence: "x".to_owned() };
    import.apply(&failed, at(4)).unwrap();
    import.apply(&Event::Retried { actor: Actor("x".to_owned()) }, at(5)).unwrap();
    assert!(stands(&import));
    import.apply(&Event::Received { files: vec![], portal: None }, at(6)).unwrap();
    assert!(import.session.is_none(), "a session is not kept longer than it is of use");
}

#[test]
fn a_password_is_posted_once_and_other_answers_stay() {
    let question = |key: &str, kind| Question {
        key: key.to_owned(),
        kind,
        text: String::new(),
        format: "STRING".to_owned(),
    };
    let questions =
        vec![question("1", QuestionKind::PatBirthDate), question("otp", QuestionKind::Password)];
    for used in [Event::Downloading, Event::Listed { listing: listing(), session: session() }] {
        let mut import = link(&[("PASSWORD", "early")]);
        import.apply(&Event::Asked { questions: questions.clone(), note: None }, at(1)).unwrap();
        let answers = [("1", "1970-01-31"), ("otp", "s3cret")];
        let answers = answers.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let actor = Actor("token".to_owned());
        import.apply(&Event::Answered { answers, actor }, at(2)).unwrap();
        assert!(import.request.answers.contains_key("otp"), "until a login succeeded it is kept");
        import.apply(&used, at(3)).unwrap();
        let left: Vec<_> = import.request.answers.keys().map(String::as_str).collect();
        assert_eq!(left, ["1", "PAT_BIRTH_DATE"]);
    }
}

#[test]
fn remarks_are_kept_once() {
    let mut import = link(&[]);
    for _ in 0..3 {
        import.apply(&Event::Noted { notes: vec!["less came".to_owned()] }, at(1)).unwrap();
    }
    assert_eq!(import.notes, ["less came"]);
}

#[test]
fn a_study_that_was_listed_and_did_not_come_is_a_remark() {
    let mut import = link(&[]);
    let came = inspected(1);
    let promised =
        |study: &Uid, shown: &str| Promised { study: study.clone(), shown: shown.into() };
    let studies = vec![
        promised(&came.facts.study_uid, "CT of 2024-04-19"),
        promised(&Uid::new("2.25.77").unwrap(), "MR Schaedel of 2023-10-01"),
    ];
    let events = [
        Event::Promised { studies },
        Event::Received { files: vec![file()], portal: None },
        Event::Unpacked { instances: vec![came], documents: vec![], set_aside: vec![] },
    ];
    for event in &events {
        import.apply(event, at(1)).unwrap();
    }
    let [note] = import.notes.as_slice() else { panic!("{:?}", import.notes) };
    assert!(note.contains("lists MR Schaedel of 2023-10-01, and no image of it came"), "{note}");
    assert!(import.promised.is_empty());
}

#[test]
fn a_person_who_tries_again_tries_with_a_new_session() {
    let kept = |one_time| {
        let mut import = link(&[("PAT_BIRTH_DATE", "1970-01-31")]);
        let session = session().map(|session| Session { one_time, ..session });
        let stage = Stage::Pull;
        for event in [
            Event::Preparing { due: at(2), session },
            Event::Failed { stage, study: None, sentence: "HTTP 410".into() },
            Event::Retried { actor: Actor("x".to_owned()) },
        ] {
            import.apply(&event, at(1)).unwrap();
        }
        import.session.is_some()
    };
    assert!(!kept(false));
    // Its password opens no other one.
    assert!(kept(true));
}

#[test]
fn records_of_earlier_versions_are_read() {
    let old = r#"{"link":"https://p.example/","answers":{},"patient":null,"accession_number":null,"destination":null}"#;
    let request: Request = serde_json::from_str(old).unwrap();
    assert!(request.choices.is_none() && request.one_time.is_empty());
    let old = r#"{"preparing":{"due":{"wall_ms":1,"running_ms":2}}}"#;
    let event: Event = serde_json::from_str(old).unwrap();
    assert!(matches!(event, Event::Preparing { session: None, .. }));
    let listed = Event::Listed { listing: listing(), session: session() };
    let text = serde_json::to_string(&listed).unwrap();
    assert!(serde_json::from_str::<Event>(&text).unwrap() == listed);
    assert!(!format!("{listed:?} {:?}", session()).contains("a.b.c"));
}
