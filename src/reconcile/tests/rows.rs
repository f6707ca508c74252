//! The coercion table row by row: one object has a foreign value of every attribute of it, and is coerced with and
//! without an order.

use super::*;
use crate::dicom::{Element, Syntax, VR, Value};

/// What becomes of the foreign value.
#[derive(Clone, Copy)]
enum Then {
    /// It stays, byte for byte.
    Kept,
    Gone,
    Empty,
    Is(&'static str),
    /// A sequence of the local side: its last item has this value.
    Has(Tag, &'static str),
}

use Then::{Empty, Gone, Has, Is, Kept};

/// What an attribute is with an order, and without one.
type Row = (Tag, VR, &'static str, Then, Then);

const COERCED: Then = Is("20260304050607.089+0100");
const NAMESPACE: Tag = tags::LOCAL_NAMESPACE_ENTITY_ID;

/// What the local side decides: attribute, VR, foreign value, with an order, without one.
const LOCAL: [Row; 36] = [
    (tags::PATIENT_NAME, VR::PN, "Fremd^Eva", Is("Muster^Erika"), Is("Muster^Erika")),
    (tags::PATIENT_ID, VR::LO, "F-1", Is("4711"), Is("4711")),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO, "FREMD", Is("KLINIK"), Is("HAUS")),
    (
        tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE,
        VR::SQ,
        "x",
        Has(tags::UNIVERSAL_ENTITY_ID, "1.2.276.1"),
        Gone,
    ),
    (tags::PATIENT_BIRTH_DATE, VR::DA, "19700103", Is("19700102"), Is("19700102")),
    (tags::PATIENT_SEX, VR::CS, "O", Is("F"), Is("F")),
    (
        tags::OTHER_PATIENT_I_DS_SEQUENCE,
        VR::SQ,
        "x",
        Has(tags::PATIENT_ID, "F-1"),
        Has(tags::PATIENT_ID, "F-1"),
    ),
    (tags::REFERENCED_PATIENT_SEQUENCE, VR::SQ, "x", Gone, Gone),
    (tags::ACCESSION_NUMBER, VR::SH, "OLD", Is("A0815"), Empty),
    (tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, VR::SQ, "x", Has(NAMESPACE, "RIS"), Gone),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Fern^Fritz", Is("Hausarzt^Hanna"), Kept),
    (tags::REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE, VR::SQ, "x", Gone, Kept),
    (tags::REQUESTING_PHYSICIAN, VR::PN, "Fern^Fritz", Is("Station^Stefan"), Gone),
    (tags::REQUESTING_SERVICE, VR::LO, "x", Is("Chirurgie"), Gone),
    // What they belong to is another's now.
    (tags::REQUESTING_PHYSICIAN_IDENTIFICATION_SEQUENCE, VR::SQ, "x", Gone, Gone),
    (tags::REQUESTING_SERVICE_CODE_SEQUENCE, VR::SQ, "x", Gone, Gone),
    (tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, "x", Is("CT extern einlesen"), Gone),
    (tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, VR::SQ, "x", Has(tags::CODE_VALUE, "IMP"), Gone),
    (
        tags::REQUEST_ATTRIBUTES_SEQUENCE,
        VR::SQ,
        "x",
        Has(tags::STUDY_INSTANCE_UID, "1.2.3.99"),
        Gone,
    ),
    (tags::ADMISSION_ID, VR::LO, "F-77", Is("FALL-1"), Gone),
    (Tag(0x0038, 0x0011), VR::LO, "FERN", Gone, Gone),
    (tags::ISSUER_OF_ADMISSION_ID_SEQUENCE, VR::SQ, "x", Has(NAMESPACE, "KIS"), Gone),
    (tags::SERVICE_EPISODE_ID, VR::LO, "E-1", Gone, Gone),
    (Tag(0x0038, 0x0061), VR::LO, "FERN", Gone, Gone),
    (tags::SERVICE_EPISODE_DESCRIPTION, VR::LO, "x", Gone, Gone),
    (tags::ISSUER_OF_SERVICE_EPISODE_ID_SEQUENCE, VR::SQ, "x", Gone, Gone),
    (
        tags::REFERENCED_STUDY_SEQUENCE,
        VR::SQ,
        "x",
        Has(tags::REFERENCED_SOP_INSTANCE_UID, "1.2.3.99"),
        Kept,
    ),
    (tags::INSTANCE_COERCION_DATE_TIME, VR::DT, "20250101", COERCED, COERCED),
    (tags::INSTANCE_ORIGIN_STATUS, VR::CS, "LOCAL", Is("IMPORTED"), Is("IMPORTED")),
    (tags::REFERENCED_REQUEST_SEQUENCE, VR::SQ, "x", Has(tags::ACCESSION_NUMBER, "A0815"), Gone),
    // A choice of the site; what is here is the default.
    (tags::OTHER_PATIENT_NAMES, VR::PN, "Alt^Eva", Kept, Kept),
    (tags::PATIENT_COMMENTS, VR::LT, "x", Kept, Kept),
    (tags::PATIENT_ADDRESS, VR::LO, "Weg 1", Kept, Kept),
    (tags::STUDY_ID, VR::SH, "S1", Kept, Kept),
    (tags::STUDY_DESCRIPTION, VR::LO, "CT", Kept, Kept),
    (tags::PROCEDURE_CODE_SEQUENCE, VR::SQ, "x", Kept, Kept),
];

/// What stays whatever is decided.
const STAYS: [(Tag, VR, &str); 36] = [
    (tags::PATIENT_SIZE, VR::DS, "1.70"),
    (tags::PATIENT_WEIGHT, VR::DS, "70"),
    (tags::PATIENT_AGE, VR::AS, "050Y"),
    (tags::PREGNANCY_STATUS, VR::US, "\u{4}\u{0}"),
    (tags::PATIENT_SPECIES_DESCRIPTION, VR::LO, "x"),
    (tags::PATIENT_TELEPHONE_NUMBERS, VR::SH, "1"),
    (Tag(0x0010, 0x1000), VR::LO, "X1"),
    (tags::PATIENT_IDENTITY_REMOVED, VR::CS, "NO"),
    (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.4"),
    (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.5"),
    (tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.6"),
    (tags::STUDY_DATE, VR::DA, "20240101"),
    (tags::STUDY_TIME, VR::TM, "101112"),
    (tags::REASON_FOR_PERFORMED_PROCEDURE_CODE_SEQUENCE, VR::SQ, "x"),
    (tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, VR::SQ, "x"),
    (tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, "P1"),
    (tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, "20240101"),
    (tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, "101112"),
    (tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION, VR::LO, "x"),
    (tags::INSTITUTION_NAME, VR::LO, "Praxis Fern"),
    (tags::INSTITUTION_ADDRESS, VR::ST, "x"),
    (tags::INSTITUTIONAL_DEPARTMENT_NAME, VR::LO, "x"),
    (tags::MANUFACTURER, VR::LO, "x"),
    (tags::MANUFACTURER_MODEL_NAME, VR::LO, "x"),
    (tags::STATION_NAME, VR::SH, "x"),
    (tags::DEVICE_SERIAL_NUMBER, VR::LO, "x"),
    (tags::PERFORMING_PHYSICIAN_NAME, VR::PN, "x"),
    (tags::NAME_OF_PHYSICIANS_READING_STUDY, VR::PN, "x"),
    (tags::OPERATORS_NAME, VR::PN, "x"),
    (tags::INSTANCE_CREATION_DATE, VR::DA, "20240101"),
    (tags::INSTANCE_CREATION_TIME, VR::TM, "101112"),
    (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
    (tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
    (tags::MODALITY, VR::CS, "CT"),
    (Tag(0x0029, 0x0010), VR::LO, "HERSTELLER"),
    (Tag(0x0029, 0x1001), VR::LO, "x"),
];

fn rows() -> Vec<Row> {
    let stays = STAYS.iter().map(|&(tag, vr, value)| (tag, vr, value, Kept, Kept));
    LOCAL.into_iter().chain(stays).collect()
}

fn foreign() -> DataSet {
    let mut data = DataSet::default();
    for (tag, vr, value, ..) in rows() {
        if vr == VR::SQ {
            let mut item = DataSet::default();
            item.put_bytes(tags::CODE_MEANING, VR::LO, value.as_bytes().to_vec());
            data.put_items(tag, vec![item]);
        } else {
            data.put_bytes(tag, vr, value.as_bytes().to_vec());
        }
    }
    data
}

fn whole_order() -> Item {
    Item {
        issuer_universal: Some(("1.2.276.1".into(), "ISO".into())),
        requesting_physician: Some("Station^Stefan".into()),
        admission_id: Some("FALL-1".into()),
        admission_issuer: Some("KIS".into()),
        referenced_studies: vec![(
            Uid::new("1.2.840.10008.3.1.2.3.1").unwrap(),
            Uid::new("1.2.3.99").unwrap(),
        )],
        ..item("Muster^Erika")
    }
}

fn holds(row: Then, tag: Tag, before: &DataSet, after: &DataSet) -> bool {
    let is_empty = |one: &Element| matches!(&one.value, Value::Bytes(bytes) if bytes.is_empty());
    match row {
        Kept => after.get(tag).map(|e| &e.value) == before.get(tag).map(|e| &e.value),
        Gone => after.get(tag).is_none(),
        Empty => after.get(tag).is_some_and(is_empty),
        Is(value) => after.text(tag).as_deref() == Some(value),
        Has(inner, value) => {
            after.items(tag).last().is_some_and(|last| last.text(inner).as_deref() == Some(value))
        }
    }
}

#[test]
fn every_row_of_the_coercion_table_holds() {
    let mut site = site();
    site.issuer = Some("HAUS".into());
    let (order, walk_in) = (whole_order(), patient("4711", None, "Muster^Erika"));
    let header = foreign().write(Syntax::ExplicitLittle);
    let before = DataSet::read(&header, Syntax::ExplicitLittle).unwrap();
    let class = before.uid(tags::SOP_CLASS_UID).unwrap();
    for (scheduled, local) in [(true, Local::Order(&order)), (false, Local::NoOrder(&walk_in))] {
        let plan = plan(local, &facts(), &site, &at());
        let coerced = coerce(&plan, &header, Syntax::ExplicitLittle, &class).unwrap();
        let after = DataSet::read(&coerced.header, Syntax::ExplicitLittle).unwrap();
        for (tag, _, _, with, without) in rows() {
            let row = if scheduled { with } else { without };
            assert!(holds(row, tag, &before, &after), "{tag}, scheduled {scheduled}");
        }
        // Beside the rows there is the trace of them alone.
        let known: Vec<Tag> = rows().into_iter().map(|(tag, ..)| tag).collect();
        let added: Vec<Tag> =
            after.iter().map(|(tag, _)| tag).filter(|tag| !known.contains(tag)).collect();
        assert_eq!(
            added,
            [tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, tags::ORIGINAL_ATTRIBUTES_SEQUENCE]
        );
        assert!(crate::reconcile::before(&after, 1) == Some(before.clone()), "it is rebuilt");
    }
}
