use dicom_dictionary_std::tags;
use proptest::prelude::*;

use super::*;
use crate::dicom::{DataSet, Element, Syntax, Tag, Uid, VR, Value, sample};
use crate::reconcile::tests::{at, facts, item, site};
use crate::reconcile::{Change, Local, Plan, Site, coerce, plan};

fn section(text: &str) -> Result<CoercionSection, serde_json::Error> {
    serde_json::from_str(text)
}

fn coercion(text: &str) -> Coercion {
    Coercion::default().with(&section(text).unwrap())
}

fn planned(text: &str) -> Plan {
    let site = Site { coercion: coercion(text), ..site() };
    let mut item = item("Muster^Erika");
    item.admission_id = Some("FALL-1".into());
    plan(Local::Order(&item), &facts(), &site, &at())
}

/// What becomes of an object that has every attribute that may be set.
fn coerced(plan: &Plan, description: &[u8]) -> DataSet {
    let mut data = DataSet::default();
    let mut put = |tag, vr, bytes: &[u8]| data.put_bytes(tag, vr, bytes.to_vec());
    put(tags::SPECIFIC_CHARACTER_SET, VR::CS, b"ISO_IR 100");
    put(tags::STUDY_DESCRIPTION, VR::LO, description);
    put(tags::REFERRING_PHYSICIAN_NAME, VR::PN, b"Fern^Fritz");
    put(tags::REFERRING_PHYSICIAN_ADDRESS, VR::ST, b"Weit weg");
    put(tags::PATIENT_NAME, VR::PN, b"M\xFCster^Eva");
    put(tags::OTHER_PATIENT_NAMES, VR::PN, b"Alt^Eva");
    put(tags::PATIENT_ADDRESS, VR::LO, b"Weg 1");
    put(tags::PATIENT_COMMENTS, VR::LT, b"privat");
    put(tags::ADMISSION_ID, VR::LO, b"F-77");
    put(tags::SERVICE_EPISODE_ID, VR::LO, b"E-1");
    put(tags::STUDY_ID, VR::SH, b"S-1");
    put(tags::ACCESSION_NUMBER, VR::SH, b"OLD");
    put(tags::PATIENT_ID, VR::LO, b"F-1");
    put(tags::PATIENT_BIRTH_DATE, VR::DA, b"");
    put(tags::PATIENT_SEX, VR::CS, b"");
    let bytes = data.write(Syntax::ExplicitLittle);
    let class = Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap();
    let once = coerce(plan, &bytes, Syntax::ExplicitLittle, &class).unwrap();
    let twice = coerce(plan, &once.header, Syntax::ExplicitLittle, &class).unwrap();
    assert!(once.header == twice.header, "coercing twice equals once");
    let read = DataSet::read(&once.header, Syntax::ExplicitLittle).unwrap();
    let before = DataSet::read(&bytes, Syntax::ExplicitLittle).unwrap();
    assert!(crate::reconcile::before(&read, 1) == Some(before), "what it was is rebuilt");
    read
}

fn text(data: &DataSet, tag: Tag) -> String {
    data.text(tag).unwrap_or_default()
}

#[test]
fn every_choice_has_its_effect_and_the_default_is_the_table() {
    let given = |section: &str, tag| text(&coerced(&planned(section), b"CT Sch\xE4del"), tag);
    for (section, tag, expected) in [
        ("{}", tags::STUDY_DESCRIPTION, "CT Schädel"),
        (r#"{"study-description": "replace"}"#, tags::STUDY_DESCRIPTION, "CT extern einlesen"),
        (r#"{"study-description": "prefix"}"#, tags::STUDY_DESCRIPTION, "Import: CT Schädel"),
        ("{}", tags::REFERRING_PHYSICIAN_NAME, "Hausarzt^Hanna"),
        ("{}", tags::REFERRING_PHYSICIAN_ADDRESS, ""),
        (r#"{"referring-physician": "keep"}"#, tags::REFERRING_PHYSICIAN_NAME, "Fern^Fritz"),
        (r#"{"referring-physician": "keep"}"#, tags::REFERRING_PHYSICIAN_ADDRESS, "Weit weg"),
        (r#"{"referring-physician": "remove"}"#, tags::REFERRING_PHYSICIAN_NAME, ""),
        ("{}", tags::OTHER_PATIENT_NAMES, "Alt^Eva"),
        (r#"{"other-patient-names": "append"}"#, tags::OTHER_PATIENT_NAMES, "Alt^Eva"),
        ("{}", tags::PATIENT_ADDRESS, "Weg 1"),
        (r#"{"patient-address": "remove"}"#, tags::PATIENT_ADDRESS, ""),
        ("{}", tags::PATIENT_COMMENTS, "privat"),
        (r#"{"patient-comments": "remove"}"#, tags::PATIENT_COMMENTS, ""),
        ("{}", tags::ADMISSION_ID, "FALL-1"),
        (r#"{"admission-id": "keep"}"#, tags::ADMISSION_ID, "F-77"),
        (r#"{"admission-id": "remove"}"#, tags::ADMISSION_ID, ""),
        ("{}", tags::SERVICE_EPISODE_ID, ""),
        (r#"{"admission-id": "keep"}"#, tags::SERVICE_EPISODE_ID, "E-1"),
        (r#"{"admission-id": "remove"}"#, tags::SERVICE_EPISODE_ID, ""),
        ("{}", tags::STUDY_ID, "S-1"),
        (r#"{"study-id": "replace"}"#, tags::STUDY_ID, "RP1"),
    ] {
        assert_eq!(given(section, tag), expected, "{section} {tag}");
    }
    let codes = planned(r#"{"procedure-code": "replace"}"#);
    assert_eq!(coerced(&codes, b"CT").items(tags::PROCEDURE_CODE_SEQUENCE).len(), 2);
    let silent = coerced(&planned(r#"{"other-patient-ids": "keep"}"#), b"CT");
    assert!(silent.get(tags::OTHER_PATIENT_I_DS_SEQUENCE).is_none());
}

#[test]
fn a_foreign_name_goes_behind_the_others_if_it_is_another() {
    let mut facts = facts();
    facts.patient.name = crate::dicom::PersonName::new("Früher^Eva");
    let site = Site { coercion: coercion(r#"{"other-patient-names": "append"}"#), ..site() };
    let plan = plan(Local::Order(&item("Muster^Erika")), &facts, &site, &at());
    assert_eq!(text(&coerced(&plan, b"CT"), tags::OTHER_PATIENT_NAMES), "Alt^Eva\\Früher^Eva");
}

#[test]
fn a_prefix_is_put_once_and_the_value_stays_within_its_length() {
    let plan = planned(r#"{"study-description": "prefix", "study-description-prefix": "Extern "}"#);
    for (before, after) in [
        ("Extern CT", "Extern CT".to_owned()),
        ("", String::new()),
        (&"x".repeat(64), format!("Extern {}", "x".repeat(57))),
    ] {
        assert_eq!(text(&coerced(&plan, before.as_bytes()), tags::STUDY_DESCRIPTION), after);
    }
}

#[test]
fn a_destination_changes_only_what_it_names() {
    let site = coercion(r#"{"study-id": "replace", "study-description": "prefix"}"#);
    let there = site.with(&section(r#"{"study-description": "keep"}"#).unwrap());
    assert_eq!((there.study_id, there.study_description), (Kept::Replace, Wording::Keep));
    assert_eq!(site.with(&CoercionSection::default()), site);
}

#[test]
fn identity_cannot_be_set() {
    for key in
        ["patient-name", "patient-id", "patient-birth-date", "accession-number", "institution"]
    {
        assert!(section(&format!(r#"{{"{key}": "keep"}}"#)).is_err(), "{key}");
    }
    let everything =
        r#"{"other-patient-ids": "keep", "patient-address": "remove", "study-id": "replace"}"#;
    let plan = planned(everything);
    let sets = |tag| plan.changes.iter().any(|c| matches!(c, Change::Set(_)) && c.tag() == tag);
    assert!([tags::PATIENT_NAME, tags::PATIENT_ID, tags::ACCESSION_NUMBER].into_iter().all(sets));
    assert_eq!(plan.patient().unwrap().id, "4711");
}

#[test]
fn an_unusable_prefix_is_named() {
    for (prefix, good) in [("Extern: ", true), ("", false), ("  ", false), ("a\\\\b", false)] {
        let section = section(&format!(r#"{{"study-description-prefix": "{prefix}"}}"#)).unwrap();
        assert_eq!(section.faults().is_none(), good, "{prefix:?}");
    }
    let long = CoercionSection {
        study_description_prefix: Some("x".repeat(33)),
        ..CoercionSection::default()
    };
    assert!(long.faults().is_some());
}

/// Every combination of choices that does not make a new value of the old one.
fn sections() -> impl Strategy<Value = CoercionSection> {
    let either = |a: &'static str, b: &'static str| prop_oneof![Just(a), Just(b)];
    let of_order = || prop_oneof![Just("replace"), Just("keep"), Just("remove")];
    let choices = (
        either("append", "keep"),
        either("keep", "remove"),
        of_order(),
        of_order(),
        either("keep", "replace"),
        either("keep", "replace"),
    );
    choices.prop_map(|(ids, contact, physician, admission, study, wording)| {
        let text = format!(
            r#"{{"other-patient-ids": "{ids}", "patient-address": "{contact}",
                "patient-comments": "{contact}", "referring-physician": "{physician}",
                "admission-id": "{admission}", "study-id": "{study}", "procedure-code": "{study}",
                "study-description": "{wording}"}}"#
        );
        section(&text).unwrap()
    })
}

/// Without what is empty: a trace lists absent and empty attributes alike (PS3.3 C.12.1.1.9).
fn told(data: &DataSet) -> DataSet {
    let mut told = data.clone();
    for (tag, element) in data.iter() {
        let Element { value, .. } = element;
        if matches!(value, Value::Bytes(bytes) if bytes.is_empty())
            || matches!(value, Value::Items(items) if items.is_empty())
        {
            told.remove(tag);
        }
    }
    told
}

proptest! {
    /// Whatever an object holds, broken text and nested sequences too, and whatever a site chose.
    #[test]
    fn whatever_an_object_holds_its_originals_are_rebuilt(
        data in sample::data_sets(),
        section in sections(),
        syntax in prop_oneof![Just(Syntax::ExplicitLittle), Just(Syntax::ImplicitLittle)],
    ) {
        let site = Site { coercion: Coercion::default().with(&section), ..site() };
        let plan = plan(Local::Order(&item("Muster^Erika")), &facts(), &site, &at());
        let bytes = data.write(syntax);
        let class = Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap();
        let once = coerce(&plan, &bytes, syntax, &class).unwrap();
        let twice = coerce(&plan, &once.header, syntax, &class).unwrap();
        prop_assert!(once.header == twice.header);
        let after = DataSet::read(&once.header, syntax).unwrap();
        let before = DataSet::read(&bytes, syntax).unwrap();
        prop_assert!(told(&crate::reconcile::before(&after, 1).unwrap()) == told(&before));
    }
}
