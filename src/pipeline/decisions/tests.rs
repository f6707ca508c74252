use super::*;
use crate::dicom::{AccessionNumber, Patient, PatientId, PersonName, sample};
use crate::forward::Stow;
use crate::import::{Delivery, Work};
use crate::matching::{Completeness, Outcome, Tier, Verdict};
use crate::reconcile::Plan;
use crate::web::Credentials;

fn candidate(number: &str, name: &str) -> Candidate {
    let item = Item {
        patient: Patient { name: PersonName::new(name), ..Patient::default() },
        accession_number: Some(AccessionNumber { number: number.into(), issuer: None }),
        ..Item::default()
    };
    let item_id = item.item_id();
    let (evidence, contradictions) = (vec![], vec![]);
    Candidate { item_id, item, rank: 1, score: 1, evidence, contradictions }
}

#[test]
fn of_two_patients_under_one_order_nobody_is_meant() {
    let (eva, ida) = (candidate("A1", "Muster^Eva"), candidate("A1", "Muster^Ida"));
    let other = candidate("A2", "Muster^Ida");
    assert_eq!(eva.item_id, ida.item_id);
    let known = [eva.clone(), ida, other.clone(), other.clone()];
    assert!(matches!(the_one(&known, &eva.item_id), Err(Refusal::NotNow(_))));
    let found = the_one(&known, &other.item_id).unwrap().unwrap();
    assert_eq!(found.item.patient, other.item.patient);
    assert!(the_one(&known, "elsewhere").unwrap().is_none());
    // So it is with what is no candidate.
    let listed = known.map(|known| known.item);
    assert!(matches!(listed_as(&listed, &eva.item_id), Err(Refusal::NotNow(_))));
    assert_eq!(listed_as(&listed, &other.item_id).unwrap().unwrap().patient, other.item.patient);
    assert!(listed_as(&listed, "elsewhere").unwrap().is_none());
}

fn patient(id: &str, issuer: Option<&str>) -> Patient {
    let id = Some(PatientId { id: id.into(), issuer: issuer.map(str::to_owned) });
    Patient { id, name: PersonName::new("Muster^Eva"), ..Patient::default() }
}

/// A study that was decided for this patient, and that a destination holds for another one.
fn held_for(patient: Patient) -> Study {
    let uid = Uid::new("1.2.3").unwrap();
    let held = Some("pacs holds it".to_owned());
    let work = Work {
        decision: Decision {
            target: Target::NoOrder(patient),
            authority: Authority::Earlier,
            evidence: vec![],
            overridden: vec![],
            rejected: vec![],
            at: Default::default(),
        },
        plan: Plan::default(),
        plans: Default::default(),
        deliveries: vec![Delivery { held, ..Delivery::new(DestinationName("pacs".into())) }],
        route: None,
        compressed: None,
        way: None,
    };
    Study {
        uid,
        facts: sample::facts("1.2.3"),
        identities: vec![],
        modalities: vec![],
        instances: Default::default(),
        state: StudyState::Quarantined { sentence: "held".into(), work: Some(Box::new(work)) },
    }
}

#[test]
fn what_a_destination_holds_is_overridden_only_for_the_patient_it_was_told_of() {
    let study = held_for(patient("4711", Some("KB")));
    let overridden = |patient| held_by(&study, &Target::NoOrder(patient));
    assert_eq!(overridden(patient("4711", Some("KB"))), ["pacs holds it"]);
    for other in [patient("0815", Some("KB")), patient("4711", Some("PX")), patient("4711", None)] {
        assert!(overridden(other).is_empty(), "it is asked anew");
    }
    let nobody = held_for(Patient::default());
    assert!(held_by(&nobody, &Target::NoOrder(Patient::default())).is_empty());
}

#[test]
fn what_came_from_a_service_does_not_go_back_by_stow() {
    crate::tls::install_provider();
    let url = |text: &str| text.parse::<Url>().unwrap();
    let stow = |text: &str| {
        let way = forward::Way::default();
        forward::Target::Stow(Stow::new(url(text), way, Credentials::Nobody).unwrap())
    };
    let base = url("https://pacs.example/dicom-web");
    let from = Origin::Service(&base);
    assert!(from.is_behind(&stow("https://pacs.example/dicom-web/studies")));
    assert!(from.is_behind(&stow("https://pacs.example:443/other/studies")));
    for other in ["https://pacs.example:8443/dicom-web/studies", "https://other.example/studies"] {
        assert!(!from.is_behind(&stow(other)), "{other}");
    }
    assert!(!Origin::Peer("pacs").is_behind(&stow("https://pacs.example/studies")));
}

#[test]
fn what_changed_after_a_person_looked_is_not_filed() {
    let shown = vec![candidate("A1", "Muster^Eva"), candidate("A2", "Muster^Eva")];
    let outcome = |candidates: Vec<Candidate>| Outcome {
        verdict: Verdict::Person,
        tier: Tier::Weak,
        candidates,
        contradictions: vec![],
        reason: "compare".into(),
        margin: 0,
        completeness: Completeness::Complete,
    };
    let state = |outcome| StudyState::AwaitingDecision { outcome: Box::new(outcome) };
    let before = outcome(shown.clone());
    let seen: BTreeMap<String, String> =
        shown.iter().map(|one| (one.item_id.clone(), before.seen(one))).collect();
    let one = [shown[0].item_id.clone()];
    let both = [shown[0].item_id.clone(), shown[1].item_id.clone()];
    let refused = |state: &StudyState, items: &[String]| {
        matches!(as_seen(state, items, &seen), Err(Refusal::NotNow(_)))
    };
    let unchanged = state(before);
    assert!(!refused(&unchanged, &one) && !refused(&unchanged, &both));

    let mut renamed = shown.clone();
    renamed[1].item.patient.name = PersonName::new("Muster^Ida");
    let renamed = state(outcome(renamed));
    assert!(!refused(&renamed, &one), "the other order is not meant");
    assert!(refused(&renamed, &both));
    assert!(as_seen(&renamed, &both, &BTreeMap::new()).is_ok(), "programs need not say it");

    let mut against = shown.clone();
    against[0].contradictions = vec!["sex differs".into()];
    assert!(refused(&state(outcome(against)), &one));
    let mut of_study = outcome(shown.clone());
    of_study.contradictions = vec!["the study carries several names".into()];
    assert!(refused(&state(of_study), &one));
    assert!(refused(&state(outcome(vec![])), &one), "it is no candidate any more");
    assert!(refused(&StudyState::Inspected, &one));
}
