use dicom_dictionary_std::tags;

use super::*;
use crate::dicom::{
    AccessionNumber, AeTitle, BirthDate, Code, DataSet, Item, Patient, PatientId, PersonName, Sex,
    Step, StudyFacts, Tag, Uid,
};

mod rows;

pub(super) fn patient(id: &str, issuer: Option<&str>, name: &str) -> Patient {
    Patient {
        id: Some(PatientId { id: id.into(), issuer: issuer.map(Into::into) }),
        name: PersonName::new(name),
        birth_date: BirthDate::parse("19700102"),
        sex: Sex::Female,
    }
}

pub(super) fn item(name: &str) -> Item {
    let code = |value: &str| Code {
        value: value.into(),
        scheme: "99HIS".into(),
        version: None,
        meaning: "Import CT".into(),
    };
    Item {
        patient: patient("4711", Some("KLINIK"), name),
        accession_number: Some(AccessionNumber { number: "A0815".into(), issuer: None }),
        requested_procedure_id: Some("RP1".into()),
        requested_procedure_description: Some("CT extern einlesen".into()),
        requested_procedure_codes: vec![code("IMP"), code("SECOND")],
        reason: Some("Vorbefund".into()),
        study_uid: Uid::new("1.2.3.99").ok(),
        referring_physician: Some("Hausarzt^Hanna".into()),
        requesting_service: Some("Chirurgie".into()),
        steps: vec![
            Step { id: Some("S1".into()), protocol_codes: vec![code("P")], ..Step::default() },
            Step { id: Some("S2".into()), status: Some("COMPLETED".into()), ..Step::default() },
        ],
        ..Item::default()
    }
}

pub(super) fn facts() -> StudyFacts {
    StudyFacts {
        study_uid: Uid::new("1.2.3.4").unwrap(),
        patient: patient("F-1", Some("FREMD"), "Muster^Erika"),
        other_ids: Vec::new(),
        other_names: Vec::new(),
        accession_number: Some(AccessionNumber { number: "OLD".into(), issuer: None }),
        study_date: Some("20240101".into()),
        study_description: None,
        modality: Some("CT".into()),
        body_part: None,
        institution: Some("Praxis Fern".into()),
        identity_removed: false,
    }
}

pub(super) fn site() -> Site {
    let mut site = Site::new(AeTitle::new("LOTSE").unwrap(), "Klinikum Beispiel");
    site.accession_issuer = Some("RIS".into());
    site
}

pub(super) fn at() -> jiff::Zoned {
    "2026-03-04T05:06:07.089+01:00[Europe/Berlin]".parse().unwrap()
}

pub(super) fn scheduled(name: &str) -> Plan {
    plan(Local::Order(&item(name)), &facts(), &site(), &at())
}

fn find(plan: &Plan, tag: Tag) -> Option<&Change> {
    plan.changes.iter().find(|change| change.tag() == tag)
}

fn text(plan: &Plan, tag: Tag) -> Option<&str> {
    match find(plan, tag) {
        Some(Change::Set(NewElement { value: NewValue::Text(text), .. })) => Some(text),
        _ => None,
    }
}

fn is_removed(plan: &Plan, tag: Tag) -> bool {
    matches!(find(plan, tag), Some(Change::Remove(_)))
}

#[test]
fn scheduled_import_takes_patient_and_order_from_the_worklist() {
    let plan = scheduled("Muster^Erika");
    for (tag, expected) in [
        (tags::PATIENT_NAME, "Muster^Erika"),
        (tags::PATIENT_ID, "4711"),
        (tags::ISSUER_OF_PATIENT_ID, "KLINIK"),
        (tags::PATIENT_BIRTH_DATE, "19700102"),
        (tags::PATIENT_SEX, "F"),
        (tags::ACCESSION_NUMBER, "A0815"),
        (tags::REFERRING_PHYSICIAN_NAME, "Hausarzt^Hanna"),
        (tags::REQUESTING_SERVICE, "Chirurgie"),
        (tags::REQUESTED_PROCEDURE_DESCRIPTION, "CT extern einlesen"),
        (tags::INSTANCE_ORIGIN_STATUS, "IMPORTED"),
        (tags::INSTANCE_COERCION_DATE_TIME, "20260304050607.089+0100"),
    ] {
        assert_eq!(text(&plan, tag), Some(expected), "{tag}");
    }
    for tag in [
        tags::REFERENCED_PATIENT_SEQUENCE,
        tags::REQUESTING_PHYSICIAN,
        tags::ADMISSION_ID,
        tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE,
    ] {
        assert!(is_removed(&plan, tag), "{tag}");
    }
    for kept in [
        tags::STUDY_INSTANCE_UID,
        tags::STUDY_DATE,
        tags::STUDY_ID,
        tags::INSTITUTION_NAME,
        tags::STUDY_DESCRIPTION,
        tags::PATIENT_WEIGHT,
    ] {
        assert!(find(&plan, kept).is_none(), "{kept}");
    }
    assert!(plan.changes.is_sorted_by_key(Change::tag));
    assert_eq!(plan.source_of_previous_values.as_deref(), Some("Praxis Fern"));
}

#[test]
fn request_attributes_have_one_item_for_each_open_step() {
    let plan = scheduled("Muster^Erika");
    let Some(Change::Set(NewElement { value: NewValue::Items(items), .. })) =
        find(&plan, tags::REQUEST_ATTRIBUTES_SEQUENCE)
    else {
        panic!("no request attributes")
    };
    assert_eq!(items.len(), 1);
    let value =
        |tag: Tag| items[0].iter().find(|new| new.tag() == tag).map(|new| new.value.clone());
    assert!(value(tags::SCHEDULED_PROCEDURE_STEP_ID) == Some(NewValue::Text("S1".into())));
    assert!(value(tags::STUDY_INSTANCE_UID) == Some(NewValue::Text("1.2.3.99".into())));
    let Some(NewValue::Items(codes)) = value(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE) else {
        panic!()
    };
    assert_eq!(codes.len(), 1, "PS3.3 table 10-9 allows one");
}

/// The items of a sequence that a plan sets.
fn sequence(plan: &Plan, tag: Tag) -> &[Vec<NewElement>] {
    match find(plan, tag) {
        Some(Change::Set(NewElement { value: NewValue::Items(items), .. })) => items,
        _ => &[],
    }
}

fn inner(item: &[NewElement], tag: Tag) -> Option<&str> {
    item.iter().find(|new| new.tag() == tag).and_then(|new| match &new.value {
        NewValue::Text(text) => Some(text.as_str()),
        NewValue::Items(_) | NewValue::Empty => None,
    })
}

/// A second order of the same patient: another number, procedure and physician.
fn second() -> Item {
    let mut second = item("Muster^Erika");
    second.accession_number = Some(AccessionNumber { number: "A0816".into(), issuer: None });
    second.requested_procedure_id = Some("RP2".into());
    second.requested_procedure_description = Some("MR extern einlesen".into());
    second.study_uid = Uid::new("1.2.3.98").ok();
    second.referring_physician = Some("Andere^Anna".into());
    second.steps.truncate(1);
    second
}

fn answering(several: Several, orders: [&Item; 2]) -> Plan {
    let site =
        Site { coercion: Coercion { several_orders: several, ..Coercion::default() }, ..site() };
    let [first, second] = orders;
    let further = [second.clone()];
    plan(Local::Orders { first, further: &further }, &facts(), &site, &at())
}

#[test]
fn several_orders_have_an_item_each_and_only_what_all_tell_stands_at_the_top() {
    let (first, mut second) = (item("Muster^Erika"), second());
    second.referenced_studies =
        vec![(Uid::new("1.2.840.10008.3.1.2.3.1").unwrap(), Uid::new("1.2.3.98").unwrap())];
    let plan = answering(Several::Common, [&first, &second]);
    let empty = |tag| {
        matches!(find(&plan, tag), Some(Change::Set(NewElement { value: NewValue::Empty, .. })))
    };
    assert!(empty(tags::ACCESSION_NUMBER));
    for tag in [
        tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
        tags::REQUESTED_PROCEDURE_DESCRIPTION,
        tags::ADMISSION_ID,
    ] {
        assert!(is_removed(&plan, tag), "{tag}");
    }
    assert!(find(&plan, tags::REFERRING_PHYSICIAN_NAME).is_none(), "as if no order told one");
    assert_eq!(text(&plan, tags::REQUESTING_SERVICE), Some("Chirurgie"), "both tell it");
    assert_eq!(sequence(&plan, tags::REQUESTED_PROCEDURE_CODE_SEQUENCE).len(), 1);
    assert_eq!(sequence(&plan, tags::REFERENCED_STUDY_SEQUENCE).len(), 1);
    assert_eq!(text(&plan, tags::PATIENT_ID), Some("4711"));

    let requests = sequence(&plan, tags::REQUEST_ATTRIBUTES_SEQUENCE);
    let told: Vec<_> = requests
        .iter()
        .map(|one| {
            let value = |tag| inner(one, tag).unwrap();
            (
                value(tags::ACCESSION_NUMBER),
                value(tags::REQUESTED_PROCEDURE_ID),
                value(tags::STUDY_INSTANCE_UID),
                value(tags::SCHEDULED_PROCEDURE_STEP_ID),
            )
        })
        .collect();
    assert_eq!(told, [("A0815", "RP1", "1.2.3.99", "S1"), ("A0816", "RP2", "1.2.3.98", "S1")]);
    let issuer = |one: &Vec<NewElement>| {
        one.iter().any(|new| new.tag() == tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE)
    };
    assert!(requests.iter().all(issuer));
    let documents = sequence(&plan, tags::REFERENCED_REQUEST_SEQUENCE);
    let told: Vec<_> =
        documents.iter().map(|one| inner(one, tags::ACCESSION_NUMBER).unwrap()).collect();
    assert_eq!(told, ["A0815", "A0816"]);
}

#[test]
fn several_orders_of_one_number_keep_it_and_the_first_may_stand_for_all() {
    let (first, mut other) = (item("Muster^Erika"), second());
    other.accession_number.clone_from(&first.accession_number);
    let plan = answering(Several::Common, [&first, &other]);
    assert_eq!(text(&plan, tags::ACCESSION_NUMBER), Some("A0815"));
    assert_eq!(sequence(&plan, tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE).len(), 1);

    let plan = answering(Several::First, [&second(), &first]);
    assert_eq!(text(&plan, tags::ACCESSION_NUMBER), Some("A0816"));
    assert_eq!(text(&plan, tags::REFERRING_PHYSICIAN_NAME), Some("Andere^Anna"));
    assert_eq!(text(&plan, tags::REQUESTED_PROCEDURE_DESCRIPTION), Some("MR extern einlesen"));
    assert_eq!(sequence(&plan, tags::REQUEST_ATTRIBUTES_SEQUENCE).len(), 2);
}

#[test]
fn the_admission_goes_with_its_issuer_and_studies_of_the_order_are_referred_to() {
    let mut item = item("Muster^Erika");
    (item.admission_id, item.admission_issuer) = (Some("FALL-1".into()), Some("KIS".into()));
    item.referenced_studies =
        vec![(Uid::new("1.2.840.10008.3.1.2.3.1").unwrap(), Uid::new("1.2.3.99").unwrap())];
    let plan_of = |item: &Item| plan(Local::Order(item), &facts(), &site(), &at());
    let with = plan_of(&item);
    assert_eq!(text(&with, tags::ADMISSION_ID), Some("FALL-1"));
    let issuer = &sequence(&with, tags::ISSUER_OF_ADMISSION_ID_SEQUENCE)[0];
    assert_eq!(inner(issuer, tags::LOCAL_NAMESPACE_ENTITY_ID), Some("KIS"));
    let reference = &sequence(&with, tags::REFERENCED_STUDY_SEQUENCE)[0];
    assert_eq!(inner(reference, tags::REFERENCED_SOP_INSTANCE_UID), Some("1.2.3.99"));
    item.admission_id = None;
    assert!(is_removed(&plan_of(&item), tags::ISSUER_OF_ADMISSION_ID_SEQUENCE));
    item.referenced_studies.clear();
    assert!(find(&plan_of(&item), tags::REFERENCED_STUDY_SEQUENCE).is_none(), "it stays");
}

#[test]
fn unscheduled_import_empties_the_order() {
    let local = patient("4711", None, "Muster^Erika");
    let mut site = site();
    site.issuer = Some("HAUS".into());
    let plan = plan(Local::NoOrder(&local), &facts(), &site, &at());
    assert_eq!(text(&plan, tags::ISSUER_OF_PATIENT_ID), Some("HAUS"));
    assert!(matches!(
        find(&plan, tags::ACCESSION_NUMBER),
        Some(Change::Set(NewElement { value: NewValue::Empty, .. }))
    ));
    for tag in
        [tags::REQUEST_ATTRIBUTES_SEQUENCE, tags::REFERENCED_REQUEST_SEQUENCE, tags::ADMISSION_ID]
    {
        assert!(is_removed(&plan, tag), "{tag}");
    }
    assert!(find(&plan, tags::REFERRING_PHYSICIAN_NAME).is_none());
}

#[test]
fn a_local_id_without_issuer_never_keeps_a_foreign_one() {
    let local = patient("4711", None, "Muster^Erika");
    let plan = plan(Local::NoOrder(&local), &facts(), &site(), &at());
    assert!(is_removed(&plan, tags::ISSUER_OF_PATIENT_ID));
}

#[test]
fn missing_birth_date_sex_and_name_leave_those_of_the_object() {
    let mut item = item("Muster^Erika");
    item.patient.birth_date = None;
    item.patient.sex = Sex::Unknown;
    item.patient.name = None;
    let plan = plan(Local::Order(&item), &facts(), &site(), &at());
    for tag in [tags::PATIENT_BIRTH_DATE, tags::PATIENT_SEX, tags::PATIENT_NAME] {
        assert!(find(&plan, tag).is_none(), "{tag}");
    }
}

#[test]
fn the_foreign_id_is_kept_only_if_asked_for_and_different() {
    let plan_with = |site: &Site, facts: &StudyFacts| {
        plan(Local::Order(&item("Muster^Erika")), facts, site, &at())
    };
    assert!(find(&plan_with(&site(), &facts()), tags::OTHER_PATIENT_I_DS_SEQUENCE).is_some());
    let silent = Site {
        coercion: Coercion { other_patient_ids: Trace::Keep, ..Coercion::default() },
        ..site()
    };
    assert!(find(&plan_with(&silent, &facts()), tags::OTHER_PATIENT_I_DS_SEQUENCE).is_none());
    let mut same = facts();
    same.patient.id = Some(PatientId { id: "4711".into(), issuer: Some("KLINIK".into()) });
    assert!(find(&plan_with(&site(), &same), tags::OTHER_PATIENT_I_DS_SEQUENCE).is_none());
}

#[test]
fn control_characters_of_the_worklist_do_not_get_into_values() {
    let plan = scheduled("Mu\u{1b}$Bster^\r\nErika\0");
    assert_eq!(text(&plan, tags::PATIENT_NAME), Some("Mu$Bster^Erika"));
    let mut item = item("Muster^Erika");
    item.issuer_universal = Some(("1.2.3".into(), "iso\\X".into()));
    let plan = super::plan(Local::Order(&item), &facts(), &site(), &at());
    assert!(is_removed(&plan, tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE));
}

#[test]
fn a_plan_survives_the_journal() {
    let plan = scheduled("Muster^Erika");
    let json = serde_json::to_vec(&plan).unwrap();
    assert!(serde_json::from_slice::<Plan>(&json).unwrap() == plan);
    assert_eq!(format!("{plan:?}"), "Plan(redacted)");
}

#[test]
fn the_table_shows_main_attributes_from_facts_and_all_from_a_header() {
    let plan = scheduled("Muster^Erika");
    let rows = shown(&plan, &facts());
    let row = |tag: &str| rows.iter().find(|row| row.tag == tag);
    assert!(row("(0010,0010)").is_none(), "equal values are left out");
    let id = row("(0010,0020)").unwrap();
    assert_eq!(
        (id.name.as_str(), id.before.as_deref(), id.after.as_deref()),
        ("PatientID", Some("F-1"), Some("4711"))
    );
    assert!(!format!("{rows:?}").contains("4711"));

    let mut header = DataSet::default();
    let sets = header.character_sets();
    assert!(header.put_text(tags::PATIENT_ID, crate::dicom::VR::LO, "F-1", &sets));
    let rows = before_after(&plan, &header);
    let codes = rows.iter().find(|row| row.tag == "(0032,1064)").unwrap();
    assert_eq!(codes.before, None);
    assert!(codes.after.as_deref().unwrap().contains("CodeValue IMP"));
    assert!(rows.iter().any(|row| row.tag == "(0040,0275)"));

    let signature = |rows: &[Shown]| rows.iter().any(|row| row.name == "MACParametersSequence");
    assert!(!signature(&rows));
    header.put_items(tags::MAC_PARAMETERS_SEQUENCE, vec![DataSet::default()]);
    assert!(signature(&before_after(&plan, &header)), "what was signed has changed");
}
