use super::compare::agrees;
use super::lexicon::Lexicon;
use super::normalise::Name;
use super::*;
use crate::dicom::{AccessionNumber, PersonName, Sex, Step, Uid};

mod adversary;
mod fits;
mod indexed;
mod ladder;
mod names;
mod orders;
mod properties;
mod rungs;

fn person(name: &str, birth_date: &str, sex: Sex) -> Patient {
    Patient { id: None, name: PersonName::new(name), birth_date: BirthDate::parse(birth_date), sex }
}

fn case(name: &str, birth_date: &str, sex: Sex) -> Case {
    let patient = person(name, birth_date, sex);
    Case {
        facts: StudyFacts {
            study_uid: Uid::new("1.2.3").unwrap(),
            patient: patient.clone(),
            other_ids: Vec::new(),
            other_names: Vec::new(),
            accession_number: None,
            study_date: None,
            study_description: None,
            modality: Some("CT".into()),
            body_part: None,
            institution: None,
            identity_removed: false,
        },
        modalities: vec!["CT".into()],
        witnesses: Witnesses { identities: vec![patient], ..Witnesses::default() },
    }
}

fn requested(mut case: Case, number: &str) -> Case {
    case.witnesses.requested_accession_number = Some(number.into());
    case
}

fn item(id: &str, number: &str, name: &str, birth_date: &str, sex: Sex) -> Item {
    let mut patient = person(name, birth_date, sex);
    patient.id = Some(PatientId { id: id.into(), issuer: Some("HOUSE".into()) });
    Item {
        patient,
        accession_number: Some(AccessionNumber { number: number.into(), issuer: None }),
        requested_procedure_id: Some(format!("RP{number}")),
        steps: vec![Step { modality: Some("OT".into()), ..Step::default() }],
        ..Item::default()
    }
}

fn run(case: &Case, items: &[Item], policy: Policy) -> Outcome {
    decide(case, items, Completeness::Complete, policy)
}

fn name(a: &str, b: &str) -> Agreement {
    let parsed =
        |text: &str| PersonName::new(text).map(|name| Name::new(&name, &mut Lexicon::default()));
    let (left, right) = (parsed(a), parsed(b));
    let there = compare::names(left.as_ref(), right.as_ref()).agreement;
    let back = compare::names(right.as_ref(), left.as_ref()).agreement;
    assert_eq!(there, back, "{a} and {b} compare differently from the other side");
    there
}

const BORN: &str = "19700305";
