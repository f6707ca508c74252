//! Made-up imports for tests: synthetic patients in the states that pages and JSON have to show.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::dicom::{
    AccessionNumber, BirthDate, Item, PatientId, PersonName, Sex, Step, StudyFacts, Uid,
};
use crate::import::{
    Delivery, DestinationName, Instance, InstanceOutcome, SetAside, Study, StudyState, Work,
};
use crate::matching::{
    Agreement, Authority, Candidate, Completeness, Decision, Evidence, Outcome, Target, Tier,
    Verdict,
};
use crate::reconcile::{Change, NewElement, NewValue, Plan};

pub(crate) const START: Moment = Moment { wall_ms: 1_764_000_000_000, running_ms: 1_000 };
pub(crate) const STUDY: &str = "1.2.276.0.99.1";

pub(crate) fn patient(id: &str, issuer: &str, name: &str, birth: &str, sex: &str) -> Patient {
    Patient {
        id: Some(PatientId { id: id.into(), issuer: Some(issuer.into()) }),
        name: PersonName::new(name),
        birth_date: BirthDate::parse(birth),
        sex: Sex::parse(sex),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
pub(crate) fn import(state: State, studies: Vec<Study>) -> Import {
    let id = "0198c0de000070008000000000000001";
    let kind = Kind::Link { host: "portal.example.org".into() };
    let instances: Vec<Value> =
        (0..4).map(|n| serde_json::to_value(instance(n)).unwrap()).collect();
    serde_json::from_value(json!({
        "id": id, "kind": kind, "created": START, "changed": START, "request": {}, "portal": null,
        "state": state, "studies": studies, "instances": instances, "duplicates": 1,
        "setAside": [SetAside { name: "AUTORUN.INF".into(), reason: "not DICOM".into() }],
    }))
    .unwrap()
}

fn instance(number: u32) -> Instance {
    let uid = |text: String| Uid::new(&text).unwrap();
    Instance {
        sop_class: uid("1.2.840.10008.5.1.4.1.1.2".into()),
        sop_instance: uid(format!("1.2.276.0.99.2.{number}")),
        series: uid("1.2.276.0.99.3".into()),
        blob: crate::import::Blob { pack: 0, at: 0, length: 1000, digest: Default::default() },
        origin: crate::import::Origin::Created {
            kind: crate::import::FileKind::Pdf,
            title: "stands in".into(),
        },
    }
}

pub(crate) fn study(state: StudyState) -> Study {
    let foreign = patient("EXT-77", "Praxis Nord", "Muster^Erika", "19801224", "F");
    let uid = Uid::new(STUDY).unwrap();
    let facts = StudyFacts {
        study_uid: uid.clone(),
        patient: foreign.clone(),
        other_ids: Vec::new(),
        other_names: Vec::new(),
        accession_number: Some(AccessionNumber { number: "EX1".into(), issuer: None }),
        study_date: Some("20251120".into()),
        study_description: Some("CT Thorax".into()),
        modality: Some("CT".into()),
        body_part: None,
        institution: Some("Praxis Nord".into()),
        identity_removed: false,
    };
    Study {
        uid,
        facts,
        identities: vec![foreign],
        modalities: vec!["CT".into()],
        instances: vec![0, 1, 2, 3].into(),
        state,
    }
}

pub(crate) fn item(accession: &str, name: &str, birth: &str) -> Item {
    Item {
        patient: patient("4711", "KB", name, birth, "F"),
        accession_number: Some(AccessionNumber { number: accession.into(), issuer: None }),
        requested_procedure_description: Some("Import CT Thorax".into()),
        steps: vec![Step {
            modality: Some("CT".into()),
            start_date: Some("20251124".into()),
            ..Step::default()
        }],
        ..Item::default()
    }
}

fn evidence(attribute: &str, agreement: Agreement, weight: i32) -> Evidence {
    Evidence { attribute: attribute.into(), agreement, weight }
}

pub(crate) fn awaiting_decision() -> Import {
    let candidate = |rank, item: Item, score, contradictions: &[&str]| Candidate {
        item_id: item.item_id(),
        item,
        rank,
        score,
        evidence: vec![
            evidence("name", Agreement::Normalised, 30),
            evidence("birthDate", Agreement::Equal, 30),
            evidence("sex", Agreement::Equal, 5),
        ],
        contradictions: contradictions.iter().map(|text| (*text).to_owned()).collect(),
    };
    let outcome = Outcome {
        verdict: Verdict::Person,
        tier: Tier::Weak,
        candidates: vec![
            candidate(1, item("A100", "MUSTER^ERIKA", "19801224"), 65, &[]),
            candidate(2, item("A200", "Muster^Erik", "19810102"), 20, &["birth date differs"]),
        ],
        contradictions: Vec::new(),
        reason: "Two orders fit; compare them.".into(),
        margin: 45,
        completeness: Completeness::Incomplete,
    };
    let state = StudyState::AwaitingDecision { outcome: Box::new(outcome) };
    import(State::Unpacked, vec![study(state)])
}

pub(crate) fn forwarding() -> Import {
    forwarding_to(Target::Order(Box::new(item("A100", "Muster^Erika", "19801224"))))
}

/// On its way under several orders.
pub(crate) fn answering_two() -> Import {
    let orders = ["A100", "A200"].map(|number| item(number, "Muster^Erika", "19801224"));
    forwarding_to(Target::of_orders(orders).unwrap())
}

fn forwarding_to(target: Target) -> Import {
    let set = |tag, vr: &str, value: &str| {
        Change::Set(NewElement { tag, vr: vr.into(), value: NewValue::Text(value.into()) })
    };
    let plan = Plan {
        changes: vec![
            set((0x0008, 0x0050), "SH", "A100"),
            set((0x0010, 0x0020), "LO", "4711"),
            Change::Remove((0x0010, 0x1040)),
        ],
        ..Plan::default()
    };
    let delivered = InstanceOutcome::Delivered { status: 0 };
    let refused = InstanceOutcome::Refused { status: Some(0xA900), sentence: "refused".into() };
    let work = Work {
        decision: Decision {
            target,
            authority: Authority::Rule { tier: Tier::RequestedOrder, version: 1 },
            evidence: vec![evidence("requestedOrder", Agreement::Equal, 100)],
            overridden: Vec::new(),
            rejected: Vec::new(),
            at: START,
        },
        plan,
        plans: BTreeMap::new(),
        route: None,
        compressed: None,
        way: None,
        deliveries: vec![Delivery {
            outcomes: [(0, delivered), (1, refused)].into_iter().collect(),
            attempts: 1,
            due: Some(START),
            last_error: Some("the PACS refused the association".into()),
            ..Delivery::new(DestinationName("pacs".into()))
        }],
    };
    import(State::Unpacked, vec![study(StudyState::Forwarding(Box::new(work)))])
}
