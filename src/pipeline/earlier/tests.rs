use std::sync::Arc;

use super::*;
use crate::clock::Moment;
use crate::dicom::{
    AccessionNumber, BirthDate, Item, Patient, PatientId, PersonName, StudyFacts, Uid, sample,
};
use crate::import::{Event, ImportId, Kind, Request, State, Work};
use crate::matching::{Authority, Candidate, Completeness, Decision, Tier};
use crate::reconcile::Plan;

fn patient(name: &str) -> Patient {
    Patient { name: PersonName::new(name), ..Patient::default() }
}

fn item(accession: &str, id: &str) -> Item {
    Item {
        patient: Patient {
            id: Some(PatientId { id: id.into(), issuer: None }),
            birth_date: BirthDate::parse("1970-01-31"),
            ..patient("Muster^Eva")
        },
        accession_number: Some(AccessionNumber { number: accession.into(), issuer: None }),
        ..Item::default()
    }
}

fn study(identity: &str, state: StudyState) -> Study {
    Study {
        uid: Uid::new("1.2.3").unwrap(),
        facts: StudyFacts { patient: patient(identity), ..sample::facts("1.2.3") },
        identities: vec![patient(identity)],
        modalities: vec![],
        instances: Default::default(),
        state,
    }
}

fn work() -> Box<Work> {
    filed_under(Target::Order(Box::new(item("A1", "P1"))))
}

fn filed_under(target: Target) -> Box<Work> {
    Box::new(Work {
        decision: Decision {
            target,
            authority: Authority::Earlier,
            evidence: vec![],
            overridden: vec![],
            rejected: vec![],
            at: Moment::default(),
        },
        plan: Plan::default(),
        plans: Default::default(),
        deliveries: vec![],
        route: None,
        compressed: None,
        way: None,
    })
}

fn import(number: u8, identity: &str, state: StudyState) -> Import {
    let requested = Event::Requested { kind: Kind::Upload, request: Request::default() };
    let id = ImportId::from_bytes([number; 16]);
    let (mut import, _) = Import::begin(id, &requested, Moment::default()).unwrap();
    import.state = State::Unpacked;
    import.studies.push(study(identity, state).into());
    import
}

fn waiting(identity: &str) -> Import {
    import(2, identity, StudyState::Inspected)
}

fn told(import: &Import, before: &Import) -> &'static str {
    match decision(import, &import.studies[0], [import, before].into_iter()) {
        None => "nothing",
        Some(Earlier::Agrees(_)) => "agrees",
        Some(Earlier::Differs(_)) => "differs",
    }
}

#[test]
fn the_same_study_of_the_same_patient_follows() {
    let before = import(1, "Muster^Eva", StudyState::Forwarding(work()));
    assert_eq!(told(&waiting("Muster^Eva"), &before), "agrees");
    let mut named = waiting("Muster^Eva");
    named.request.accession_number = Some("A1".into());
    named.request.patient = Some(PatientId { id: "P1".into(), issuer: Some("X".into()) });
    named.request.answers.insert(Request::BIRTH_DATE.into(), "1970-01-31".into());
    assert_eq!(told(&named, &before), "agrees");
}

#[test]
fn a_study_of_several_orders_follows_as_a_whole() {
    let orders = [item("A1", "P1"), item("A2", "P1")];
    let target = Target::of_orders(orders).unwrap();
    let before = import(1, "Muster^Eva", StudyState::Forwarding(filed_under(target.clone())));
    for asked in [None, Some("A1"), Some("A2")] {
        let mut again = waiting("Muster^Eva");
        again.request.accession_number = asked.map(str::to_owned);
        let told = decision(&again, &again.studies[0], [&before].into_iter());
        assert!(matches!(told, Some(Earlier::Agrees(same)) if same == target), "{asked:?}");
    }
    let mut other = waiting("Muster^Eva");
    other.request.accession_number = Some("A3".into());
    assert_eq!(told(&other, &before), "differs");
}

#[test]
fn another_identity_request_or_witness_binds_nobody() {
    let before = import(1, "Muster^Eva", StudyState::Forwarding(work()));
    assert_eq!(told(&waiting("Beispiel^Otto"), &before), "differs");
    let mut more = waiting("Muster^Eva");
    Arc::make_mut(&mut more.studies[0]).identities.push(patient("Beispiel^Otto"));
    assert_eq!(told(&more, &before), "differs");
    let mut order = waiting("Muster^Eva");
    order.request.accession_number = Some("A2".into());
    assert_eq!(told(&order, &before), "differs");
    let mut named = waiting("Muster^Eva");
    named.request.patient = Some(PatientId { id: "P2".into(), issuer: None });
    assert_eq!(told(&named, &before), "differs");
    let mut typed = waiting("Muster^Eva");
    typed.request.answers.insert(Request::BIRTH_DATE.into(), "1971-01-31".into());
    assert_eq!(told(&typed, &before), "differs");
    let mut portal = waiting("Muster^Eva");
    portal.portal = Some(patient("Beispiel^Otto"));
    assert_eq!(told(&portal, &before), "differs");
}

#[test]
fn what_was_rejected_cancelled_or_never_decided_says_nothing() {
    let at = Moment::default();
    for state in [
        StudyState::Inspected,
        StudyState::Rejected { reason: "wrong".into(), at, work: Some(work()) },
        StudyState::Cancelled { at, work: Some(work()) },
    ] {
        let before = import(1, "Muster^Eva", state);
        assert_eq!(told(&waiting("Muster^Eva"), &before), "nothing");
    }
}

#[test]
fn the_rules_may_not_file_elsewhere_what_is_filed() {
    let outcome = |item: Item| Outcome {
        verdict: Verdict::Automatic,
        tier: Tier::RequestedOrder,
        candidates: vec![Candidate {
            item_id: item.item_id(),
            item,
            rank: 1,
            score: 1,
            evidence: vec![],
            contradictions: vec![],
        }],
        contradictions: vec![],
        reason: String::new(),
        margin: 0,
        completeness: Completeness::Complete,
    };
    let several = Target::of_orders([item("A1", "P1"), item("A2", "P1")]).unwrap();
    assert_eq!(hold(outcome(item("A1", "P1")), &several).verdict, Verdict::Person);
    let filed = Target::Order(Box::new(item("A1", "P1")));
    assert_eq!(hold(outcome(item("A1", "P1")), &filed).verdict, Verdict::Automatic);
    for other in [item("A2", "P1"), item("A1", "P2")] {
        let held = hold(outcome(other), &filed);
        assert_eq!((held.verdict, held.contradictions.len()), (Verdict::Person, 1));
    }
}
