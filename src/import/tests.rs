//! Random event sequences reach no illegal state and lose no instance.

mod allowed;
mod bursts;
mod choosing;
mod held;
mod holding;
mod outcomes;
mod restarts;
mod same_uid;
mod sharing;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::Moment;
use crate::dicom::{AeTitle, Layout, Patient, PatientId, PersonName, StudyFacts, Uid};
use crate::matching::{Authority, Completeness, Decision, Outcome, Target, Tier, Verdict};
use crate::reconcile::Plan;

const TIMES: Times = Times {
    quiet: std::time::Duration::from_secs(30),
    longest: std::time::Duration::from_secs(600),
    limit: std::time::Duration::from_secs(168 * 3600),
    after_delivery: std::time::Duration::from_secs(24 * 3600),
};

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

pub(super) fn pacs() -> DestinationName {
    DestinationName("pacs".into())
}

fn blob(n: u32) -> Blob {
    Blob {
        pack: 1,
        at: u64::from(n) * 100,
        length: 100,
        digest: format!("{n:064x}").try_into().unwrap(),
    }
}

fn study_uid(n: u32) -> Uid {
    uid(&format!("1.2.3.{}", n % 3))
}

fn inspected(n: u32) -> Inspected {
    let patient = Patient {
        id: Some(PatientId { id: "F1".into(), issuer: None }),
        name: PersonName::new("Muster^Eva"),
        ..Patient::default()
    };
    Inspected {
        sop_class: uid("1.2.840.10008.5.1.4.1.1.2"),
        sop_instance: uid(&format!("1.2.3.4.{n}")),
        series: uid("1.2.3.5"),
        layout: Layout {
            transfer_syntax: uid("1.2.840.10008.1.2.1"),
            is_implicit: false,
            data_set_at: 0,
            pixel_data: None,
            ends_at: 100,
            derived: Vec::new(),
            bulk: Vec::new(),
        },
        blob: blob(n),
        facts: Arc::new(StudyFacts {
            study_uid: study_uid(n),
            patient,
            other_ids: vec![],
            other_names: vec![],
            accession_number: None,
            study_date: None,
            study_description: None,
            modality: Some("CT".into()),
            body_part: None,
            institution: None,
            identity_removed: false,
        }),
    }
}

fn order() -> Box<Order> {
    Box::new(Order {
        decision: Decision {
            target: Target::Order(Box::default()),
            authority: Authority::Rule { tier: Tier::RequestedOrder, version: 1 },
            evidence: vec![],
            overridden: vec![],
            rejected: vec![],
            at: Moment::default(),
        },
        plan: Plan::default(),
        plans: BTreeMap::new(),
        destinations: vec![DestinationName("pacs".into())],
        route: None,
        compressed: None,
        way: None,
        over: Over::Any,
    })
}

fn outcome() -> Box<Outcome> {
    Box::new(Outcome {
        verdict: Verdict::Person,
        tier: Tier::Weak,
        candidates: vec![],
        contradictions: vec![],
        reason: "nothing fits".into(),
        margin: 0,
        completeness: Completeness::Complete,
    })
}

fn actor() -> Actor {
    Actor("test".into())
}

fn file() -> File {
    File { name: "a.zip".into(), blob: blob(999) }
}

fn events() -> impl Strategy<Value = Event> {
    let study = 0..4u32;
    prop_oneof![
        Just(Event::Asked { questions: vec![], note: None }),
        Just(Event::Answered { answers: BTreeMap::new(), actor: actor() }),
        any::<u16>().prop_map(|ms| Event::Preparing {
            due: Moment { wall_ms: ms.into(), running_ms: ms.into() },
            session: None,
        }),
        Just(Event::Downloading),
        Just(Event::Received { files: vec![file()], portal: None }),
        (0..12u32).prop_map(|n| Event::Stored { instance: Box::new(inspected(n)) }),
        Just(Event::BecameQuiet),
        prop::collection::vec(0..12u32, 0..12).prop_map(|numbers| Event::Unpacked {
            instances: numbers.into_iter().map(inspected).collect(),
            documents: vec![(FileKind::Pdf, "report".into(), blob(500))],
            set_aside: vec![],
        }),
        (0..3u8, study.clone()).prop_map(|(stage, n)| Event::Postponed {
            stage: [Stage::Pull, Stage::Unpack, Stage::Worklist][usize::from(stage)],
            study: (stage > 1).then(|| study_uid(n)),
            due: Moment::default(),
            sentence: "later".into(),
        }),
        (0..4u8, study.clone()).prop_map(|(stage, n)| Event::Failed {
            stage: [Stage::Pull, Stage::Unpack, Stage::Worklist, Stage::Forward]
                [usize::from(stage)],
            study: (stage > 1).then(|| study_uid(n)),
            sentence: "broken".into(),
        }),
        Just(Event::Unreadable { sentence: "cut".into() }),
        study.clone().prop_map(|n| Event::Ranked { study: study_uid(n), outcome: outcome() }),
        study.clone().prop_map(|n| Event::Decided { study: study_uid(n), order: order() }),
        study.clone().prop_map(|n| Event::Rejected {
            study: study_uid(n),
            reason: "not ours".into(),
            actor: actor()
        }),
        (study.clone(), prop::collection::vec((0..14u32, any::<bool>()), 0..14)).prop_map(
            move |(n, outcomes)| Event::Sent {
                study: study_uid(n),
                destination: pacs(),
                outcomes: outcomes
                    .into_iter()
                    .map(|(number, good)| {
                        let outcome = if good {
                            InstanceOutcome::Delivered { status: 0 }
                        } else {
                            InstanceOutcome::Refused { status: Some(0xA900), sentence: "no".into() }
                        };
                        (number, outcome)
                    })
                    .collect(),
            }
        ),
        study.clone().prop_map(move |n| Event::DeliveryPostponed {
            study: study_uid(n),
            destination: pacs(),
            due: Moment::default(),
            sentence: "busy".into(),
            unsent: n % 2 == 0,
            unanswered: if n == 1 { vec![1, 99] } else { vec![] },
        }),
        study.clone().prop_map(move |n| Event::Held {
            study: study_uid(n),
            destination: pacs(),
            sentence: "somebody else's".into(),
        }),
        study.clone().prop_map(|n| Event::OrderCame { study: study_uid(n) }),
        study.prop_map(|n| Event::Confirmed { study: study_uid(n) }),
        Just(Event::Retried { actor: actor() }),
        Just(Event::Cancelled { actor: actor() }),
        Just(Event::Restarted),
        Just(Event::Resumed { after: Stop::CutOff }),
        Just(Event::Resumed { after: Stop::InOrder }),
        commitments(),
        Just(Event::CameDue),
    ]
}

fn commitments() -> impl Strategy<Value = Event> {
    let transaction = |n: u32| uid(&format!("1.9.{n}"));
    let study = 0..3u32;
    let due = Moment::default();
    prop_oneof![
        study.clone().prop_map(|n| Event::Assured {
            study: study_uid(n),
            destination: pacs(),
            by: Assurance::Answered,
            note: None,
        }),
        (study.clone(), 0..4u32, prop::collection::vec(0..14u32, 0..8)).prop_map(
            move |(n, t, instances)| Event::CommitmentAsked {
                study: study_uid(n),
                destination: pacs(),
                transaction: transaction(t),
                instances,
                due,
            }
        ),
        (study.clone(), 0..4u32).prop_map(move |(n, t)| Event::CommitmentTaken {
            study: study_uid(n),
            destination: pacs(),
            transaction: transaction(t),
        }),
        (study.clone(), any::<bool>()).prop_map(move |(n, refused)| Event::CommitmentPostponed {
            study: study_uid(n),
            destination: pacs(),
            fault: if refused { CommitmentFault::Refused } else { CommitmentFault::Unreachable },
            due,
            sentence: "busy".into(),
        }),
        (
            study.clone(),
            prop::option::of(0..4u32),
            prop::collection::vec(0..14u32, 0..8),
            prop::collection::vec(
                (0..14u32, prop::sample::select(vec![0x0112, 0x0213, 0x0122])),
                0..3
            ),
        )
            .prop_map(move |(n, t, committed, failed)| Event::CommitmentReported {
                study: study_uid(n),
                destination: pacs(),
                transaction: t.map(transaction),
                committed,
                failed,
                due,
            }),
        (study, any::<bool>()).prop_map(|(n, forward)| Event::Began {
            stage: if forward { Stage::Forward } else { Stage::Worklist },
            study: Some(study_uid(n)),
            destination: Some(pacs()),
        }),
    ]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Link { host: "portal.example.org".into() }),
        Just(Kind::Upload),
        Just(Kind::Association { peer: "ct".into(), ae_title: AeTitle::new("CT1").unwrap() }),
    ]
}

fn begun(kind: Kind) -> (Import, Vec<Action>) {
    let event = Event::Requested { kind, request: Request::default() };
    Import::begin(ImportId::from_bytes([7; 16]), &event, Moment::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_events_conserve_instances(kind in kinds(), events in prop::collection::vec(events(), 0..80)) {
        let (mut import, _) = begun(kind);
        let mut seen = std::collections::HashSet::new();
        for (n, event) in events.iter().enumerate() {
            let now = Moment::default().after(std::time::Duration::from_secs(u64::try_from(n).unwrap()));
            let before = import.clone();
            match import.apply(event, now) {
                Err(illegal) => prop_assert!(import == before, "a refused event changes nothing: {illegal}"),
                Ok(actions) => {
                    match event {
                        Event::Stored { instance } => { seen.insert(instance.sop_instance.clone()); }
                        Event::Unpacked { instances, .. } => {
                            seen.extend(instances.iter().map(|i| i.sop_instance.clone()));
                        }
                        _ => {}
                    }
                    for action in actions {
                        if let Action::Send { study, .. } = action {
                            let work = import.study(&study).and_then(Study::work);
                            prop_assert!(work.is_some(), "nothing is sent without a decision and a plan");
                        }
                    }
                }
            }
            let counts = import.counts();
            prop_assert!(counts.is_conserved(), "{counts:?}");
            prop_assert_eq!(counts.received, u64::try_from(seen.len()).unwrap());
            prop_assert!(import.next_due(&TIMES).running_ms <= u64::try_from(TIMES.limit.as_millis()).unwrap());
        }
    }

    /// What a journal does: keep the events, replay them.
    #[test]
    fn replay_gives_the_same_state(kind in kinds(), events in prop::collection::vec(events(), 0..60)) {
        let (mut import, _) = begun(kind.clone());
        let kept: Vec<_> = events
            .into_iter()
            .filter(|event| import.apply(event, Moment::default()).is_ok())
            .collect();
        let text = serde_json::to_string(&kept).unwrap();
        let kept: Vec<Event> = serde_json::from_str(&text).unwrap();
        let (mut again, _) = begun(kind);
        for event in &kept {
            again.apply(event, Moment::default()).unwrap();
        }
        prop_assert!(again == import);
    }
}

/// Drives an import the way the scheduler does, answering every action well.
fn finish(import: &mut Import, mut actions: Vec<Action>) {
    let mut now = Moment { wall_ms: 1, running_ms: 1 };
    for _ in 0..200 {
        now = now.after(std::time::Duration::from_secs(1));
        let Some(action) = actions.pop() else {
            match import.what_is_due(&TIMES, now.after(std::time::Duration::from_secs(3600))) {
                Some(Due::Work) => {
                    let later = now.after(std::time::Duration::from_secs(3600));
                    actions = import.apply(&Event::CameDue, later).unwrap();
                    continue;
                }
                _ => return,
            }
        };
        let event = match action {
            Action::Pull => Event::Received { files: vec![file()], portal: None },
            Action::Unpack => Event::Unpacked {
                instances: (0..6).map(inspected).collect(),
                documents: vec![],
                set_aside: vec![],
            },
            Action::AskWorklist { study } => Event::Decided { study, order: order() },
            Action::Send { study, destination } => {
                let numbers = import.study(&study).unwrap().instances.clone();
                let outcomes = numbers
                    .iter()
                    .map(|number| (*number, InstanceOutcome::Delivered { status: 0 }))
                    .collect();
                Event::Sent { study, destination, outcomes }
            }
            Action::Assure { study, destination } => {
                Event::Assured { study, destination, by: Assurance::Answered, note: None }
            }
            Action::Confirm { study } => Event::Confirmed { study },
            Action::Stop => continue,
        };
        actions.extend(import.apply(&event, now).unwrap());
    }
    panic!("the import does not come to an end");
}

#[test]
fn stopped_after_each_event_it_reaches_the_same_end() {
    let kind = Kind::Link { host: "portal.example.org".into() };
    // The events of an undisturbed run.
    let (mut whole, actions) = begun(kind.clone());
    finish(&mut whole, actions);
    assert_eq!(whole.state.name(), "Closed");
    assert_eq!(whole.counts().delivered, 6);
    let script = |import: &Import| -> Vec<Event> {
        let mut events = vec![
            Event::Downloading,
            Event::Received { files: vec![file()], portal: None },
            Event::Unpacked {
                instances: (0..6).map(inspected).collect(),
                documents: vec![],
                set_aside: vec![],
            },
        ];
        for study in &import.studies {
            events.push(Event::Decided { study: study.uid.clone(), order: order() });
            for number in study.instances.iter() {
                events.push(Event::Sent {
                    study: study.uid.clone(),
                    destination: DestinationName("pacs".into()),
                    outcomes: vec![(*number, InstanceOutcome::Delivered { status: 0 })],
                });
            }
            events.push(Event::Confirmed { study: study.uid.clone() });
        }
        events
    };
    let events = script(&whole);
    for stop in 0..=events.len() {
        let (mut import, _) = begun(kind.clone());
        for event in &events[..stop] {
            import.apply(event, Moment::default()).unwrap();
        }
        let resumed = Event::Resumed { after: Stop::CutOff };
        let actions = import.apply(&resumed, Moment::default()).unwrap();
        finish(&mut import, actions);
        assert_eq!(import.state.name(), "Closed", "stopped after event {stop}");
        assert_eq!(import.counts().delivered, 6, "stopped after event {stop}");
    }
}

#[test]
fn a_document_rides_only_with_one_patient() {
    let document = vec![(FileKind::Pdf, "Befund".to_owned(), blob(500))];
    let with = |instances: Vec<Inspected>| {
        let (mut import, _) = begun(Kind::Upload);
        let received = Event::Received { files: vec![file()], portal: None };
        import.apply(&received, Moment::default()).unwrap();
        let unpacked =
            Event::Unpacked { instances, documents: document.clone(), set_aside: vec![] };
        import.apply(&unpacked, Moment::default()).unwrap();
        import
    };
    let one = with(vec![inspected(0), inspected(3), inspected(1)]);
    assert_eq!((one.counts().created, one.set_aside.len()), (1, 0));
    assert_eq!(one.study(&study_uid(0)).unwrap().instances.len(), 3, "with the largest study");
    let mut other = inspected(1);
    Arc::make_mut(&mut other.facts).patient.name = PersonName::new("Beispiel^Otto");
    let two = with(vec![inspected(0), other]);
    assert_eq!((two.counts().created, two.set_aside.len()), (0, 1));
    let none = with(vec![]);
    assert_eq!((none.state.name(), none.set_aside.len()), ("Failed", 1));
}

#[test]
fn a_finished_import_dies_after_the_grace_and_any_other_at_the_limit() {
    let (mut import, actions) = begun(Kind::Link { host: "portal.example.org".into() });
    let limit = Moment::default().after(TIMES.limit);
    assert_eq!(import.death(&TIMES), (limit, End::Expired));
    finish(&mut import, actions);
    let (death, _) = import.death(&TIMES);
    assert!(death.running_ms < limit.running_ms);
    assert_eq!(import.what_is_due(&TIMES, death), Some(Due::Death(End::Expired)));
    // It is looked at once more by who has to tell what became of it.
    let at_once = Times { after_delivery: std::time::Duration::ZERO, ..TIMES };
    let State::Closed { at } = import.state else { panic!("it is closed") };
    assert_eq!(import.death(&at_once).0.since(at).as_secs(), 60);
    let short = Times { limit: std::time::Duration::from_secs(1), ..at_once };
    assert_eq!(import.death(&short).0, import.created.after(short.limit), "the limit holds");
}

#[test]
fn debug_output_tells_nothing_of_the_patient() {
    let (mut import, _) = begun(Kind::Upload);
    import.request.accession_number = Some("ACC4711".into());
    let text = format!("{import:?} {:?} {:?}", inspected(1), import.request);
    for secret in ["ACC4711", "Muster", "Eva", "F1"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// An upload of two instances of one study, decided.
pub(super) fn forwarding() -> (Import, Uid) {
    let (mut import, _) = begun(Kind::Upload);
    let unpacked = Event::Unpacked {
        instances: vec![inspected(0), inspected(3)],
        documents: vec![],
        set_aside: vec![],
    };
    let study = study_uid(0);
    for event in [
        Event::Received { files: vec![file()], portal: None },
        unpacked,
        Event::Decided { study: study.clone(), order: order() },
    ] {
        import.apply(&event, Moment::default()).unwrap();
    }
    (import, study)
}

pub(super) fn delivered(study: &Uid, numbers: std::ops::Range<u32>) -> Event {
    let outcome = InstanceOutcome::Delivered { status: 0 };
    Event::Sent {
        study: study.clone(),
        destination: DestinationName("pacs".into()),
        outcomes: numbers.map(|number| (number, outcome.clone())).collect(),
    }
}

#[test]
fn an_import_tells_when_it_was_named() {
    let now = jiff::Timestamp::now().as_millisecond();
    let age = now - ImportId::new().created_ms().unwrap();
    assert!((-1000..1000).contains(&age), "{age}");
    assert_eq!(ImportId::from_bytes([7; 16]).created_ms(), None);
}
