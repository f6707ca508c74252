use proptest::prelude::*;

use super::*;
use crate::reconcile::tests::{at, facts, item, scheduled, site};
use crate::reconcile::{Local, original, plan};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const SR: &str = "1.2.840.10008.5.1.4.1.1.88.11";

fn class(uid: &str) -> Uid {
    Uid::new(uid).unwrap()
}

fn put(data: &mut DataSet, tag: Tag, vr: VR, bytes: &[u8]) {
    data.put_bytes(tag, vr, bytes.to_vec());
}

/// A foreign CT header in Latin-1, or without any set declared.
fn foreign(term: Option<&str>, name: &[u8]) -> DataSet {
    let mut data = DataSet::default();
    if let Some(term) = term {
        put(&mut data, tags::SPECIFIC_CHARACTER_SET, VR::CS, term.as_bytes());
    }
    put(&mut data, tags::SOP_CLASS_UID, VR::UI, CT.as_bytes());
    put(&mut data, tags::SOP_INSTANCE_UID, VR::UI, b"1.2.3.4.5");
    put(&mut data, tags::STUDY_DATE, VR::DA, b"20240101");
    put(&mut data, tags::ACCESSION_NUMBER, VR::SH, b"OLD");
    put(&mut data, tags::REFERRING_PHYSICIAN_NAME, VR::PN, b"");
    put(&mut data, tags::INSTITUTION_NAME, VR::LO, b"Praxis Fern");
    put(&mut data, tags::PATIENT_NAME, VR::PN, name);
    put(&mut data, tags::PATIENT_ID, VR::LO, b"F-1");
    put(&mut data, tags::ISSUER_OF_PATIENT_ID, VR::LO, b"FREMD");
    put(&mut data, tags::PATIENT_BIRTH_DATE, VR::DA, b"19700102");
    put(&mut data, tags::PATIENT_SEX, VR::CS, b"F ");
    put(&mut data, tags::STUDY_INSTANCE_UID, VR::UI, b"1.2.3.4");
    let mut code = DataSet::default();
    put(&mut code, tags::CODE_MEANING, VR::LO, name);
    data.put_items(tags::PROCEDURE_CODE_SEQUENCE, vec![code]);
    put(&mut data, Tag(0x0009, 0x0010), VR::LO, b"ACME");
    put(&mut data, Tag(0x0009, 0x1001), VR::UN, &[0xFC, 0x01, 0xFF, 0x00]);
    data
}

fn latin_1() -> DataSet {
    foreign(Some("ISO_IR 100"), b"M\xFCller^J\xF6rg")
}

fn coerced(data: &DataSet, plan: &Plan, syntax: Syntax) -> (Coerced, DataSet) {
    let result = coerce(plan, &data.write(syntax), syntax, &class(CT)).unwrap();
    let read = DataSet::read(&result.header, syntax).unwrap();
    (result, read)
}

fn modified(data: &DataSet) -> &DataSet {
    let items = data.items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE);
    &items.last().unwrap().items(tags::MODIFIED_ATTRIBUTES_SEQUENCE)[0]
}

#[test]
fn identity_and_order_are_local_and_the_rest_is_as_it_came() {
    for syntax in [Syntax::ExplicitLittle, Syntax::ImplicitLittle] {
        let before = latin_1();
        let (result, after) = coerced(&before, &scheduled("Müller^Jörg"), syntax);
        assert_eq!(result.tail, Tail::Verbatim);
        assert_eq!(after.text(tags::PATIENT_ID).as_deref(), Some("4711"));
        assert_eq!(after.text(tags::ISSUER_OF_PATIENT_ID).as_deref(), Some("KLINIK"));
        assert_eq!(after.text(tags::ACCESSION_NUMBER).as_deref(), Some("A0815"));
        assert_eq!(after.text(tags::INSTANCE_ORIGIN_STATUS).as_deref(), Some("IMPORTED"));
        assert_eq!(after.text(tags::STUDY_INSTANCE_UID).as_deref(), Some("1.2.3.4"));
        let other = &after.items(tags::OTHER_PATIENT_I_DS_SEQUENCE)[0];
        assert_eq!(other.text(tags::PATIENT_ID).as_deref(), Some("F-1"));
        for (tag, element) in before.iter() {
            let changed = modified(&after).get(tag).is_some();
            assert!(
                changed || after.get(tag).is_some_and(|now| now.value == element.value),
                "{tag}"
            );
        }
        assert!(after.get(tags::REFERENCED_REQUEST_SEQUENCE).is_none());
        let equipment = &after.items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE)[0];
        let purpose = &equipment.items(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE)[0];
        assert_eq!(purpose.text(tags::CODE_VALUE).as_deref(), Some("109103"));
    }
}

#[test]
fn bytes_of_unchanged_elements_stay() {
    let header = latin_1().write(Syntax::ExplicitLittle);
    let plan = scheduled("Müller^Jörg");
    let result = coerce(&plan, &header, Syntax::ExplicitLittle, &class(CT)).unwrap();
    let private = [0x09, 0x00, 0x01, 0x10, b'U', b'N', 0, 0, 4, 0, 0, 0, 0xFC, 0x01, 0xFF, 0x00];
    assert!(result.header.windows(private.len()).any(|window| window == private));
    let name = b"M\xFCller^J\xF6rg";
    assert!(result.header.windows(name.len()).any(|window| window == name));
}

#[test]
fn originals_are_listed_complete_and_the_id_with_its_issuer() {
    let (_, after) = coerced(&latin_1(), &scheduled("Müller^Jörg"), Syntax::ExplicitLittle);
    let item = &after.items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE)[0];
    assert_eq!(item.text(tags::MODIFYING_SYSTEM).as_deref(), Some("LOTSE"));
    assert_eq!(item.text(tags::SOURCE_OF_PREVIOUS_VALUES).as_deref(), Some("Praxis Fern"));
    assert_eq!(item.text(tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION).as_deref(), Some("COERCE"));
    assert_eq!(
        item.text(tags::ATTRIBUTE_MODIFICATION_DATE_TIME).as_deref(),
        Some("20260304050607.089+0100")
    );
    let old = modified(&after);
    assert_eq!(old.text(tags::PATIENT_ID).as_deref(), Some("F-1"));
    assert_eq!(old.text(tags::ISSUER_OF_PATIENT_ID).as_deref(), Some("FREMD"));
    assert!(old.get(tags::PATIENT_NAME).is_none(), "an equal name is no change");
    assert!(old.get(tags::REQUEST_ATTRIBUTES_SEQUENCE).is_some(), "absent ones are listed, empty");
    assert!(old.items(tags::REQUEST_ATTRIBUTES_SEQUENCE).is_empty());

    let mut same_issuer = latin_1();
    put(&mut same_issuer, tags::ISSUER_OF_PATIENT_ID, VR::LO, b"KLINIK");
    let (_, after) = coerced(&same_issuer, &scheduled("Müller^Jörg"), Syntax::ExplicitLittle);
    assert_eq!(modified(&after).text(tags::ISSUER_OF_PATIENT_ID).as_deref(), Some("KLINIK"));
}

#[test]
fn a_name_that_the_character_set_cannot_hold_turns_everything_to_utf_8() {
    for (name, term, raw) in [
        ("Müller^Łucja", Some("ISO_IR 100"), b"M\xFCller^J\xF6rg".as_slice()),
        ("Иванов^Иван", Some("ISO_IR 100"), b"M\xFCller^J\xF6rg"),
        ("Müller^Jörg", None, b"Mueller^Joerg"),
    ] {
        let mut item = item(name);
        item.requested_procedure_description = Some("Größe".into());
        let plan = plan(Local::Order(&item), &facts(), &site(), &at());
        let before = foreign(term, raw);
        for syntax in [Syntax::ExplicitLittle, Syntax::ImplicitLittle] {
            let (result, after) = coerced(&before, &plan, syntax);
            assert_eq!(
                result.tail,
                Tail::Convert { from: before.character_sets(), to: CharacterSets::utf8() }
            );
            assert_eq!(after.text(tags::SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));
            assert_eq!(after.text(tags::PATIENT_NAME).as_deref(), Some(name));
            let sets = after.character_sets();
            assert_eq!(
                modified(&after).text_in(tags::PATIENT_NAME, &sets),
                before.text(tags::PATIENT_NAME)
            );
            let nested = &after.items(tags::PROCEDURE_CODE_SEQUENCE)[0];
            assert_eq!(nested.text_in(tags::CODE_MEANING, &sets), before.text(tags::PATIENT_NAME));
            let private = after.get(Tag(0x0009, 0x1001)).unwrap();
            assert_eq!(private.bytes(), Some([0xFC, 0x01, 0xFF, 0x00].as_slice()));
        }
    }
}

#[test]
fn the_part_behind_the_pixel_data_is_converted_with_the_rest() {
    let from = CharacterSets::parse(Some(b"ISO_IR 100"));
    let mut tail = DataSet::default();
    put(&mut tail, Tag(0x7FE1, 0x0010), VR::LO, b"M\xFCller");
    let bytes = coerce_tail(
        &tail.write(Syntax::ExplicitLittle),
        Syntax::ExplicitLittle,
        &from,
        &CharacterSets::utf8(),
    );
    let read = DataSet::read(&bytes.unwrap(), Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.iter().count(), 1);
    assert_eq!(
        read.text_in(Tag(0x7FE1, 0x0010), &CharacterSets::utf8()).as_deref(),
        Some("Müller")
    );
}

#[test]
fn coercing_twice_equals_coercing_once() {
    for name in ["Müller^Jörg", "Иванов^Иван", "Muster^Erika"] {
        let plan = scheduled(name);
        for syntax in [Syntax::ExplicitLittle, Syntax::ImplicitLittle] {
            let once = coerced(&latin_1(), &plan, syntax).0.header;
            let twice = coerce(&plan, &once, syntax, &class(CT)).unwrap();
            assert_eq!(twice.tail, Tail::Verbatim);
            assert!(twice.header == once);
        }
    }
}

#[test]
fn items_of_others_are_kept_and_ours_is_appended() {
    let mut data = latin_1();
    let mut old = DataSet::default();
    put(&mut old, tags::ATTRIBUTE_MODIFICATION_DATE_TIME, VR::DT, b"20200101000000");
    put(&mut old, tags::MODIFYING_SYSTEM, VR::LO, b"OTHER");
    put(&mut old, tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION, VR::CS, b"COERCE");
    let mut values = DataSet::default();
    put(&mut values, tags::PATIENT_ID, VR::LO, b"BEFORE");
    old.put_items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, vec![values]);
    data.put_items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE, vec![old.clone()]);
    data.put_items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, vec![DataSet::default()]);
    let (_, after) = coerced(&data, &scheduled("Müller^Jörg"), Syntax::ExplicitLittle);
    let items = after.items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE);
    assert_eq!(items.len(), 2);
    assert!(items[0] == old);
    assert_eq!(after.items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE).len(), 2);
    assert!(
        original(&after, "LOTSE").unwrap()
            == DataSet::read(&data.write(Syntax::ExplicitLittle), Syntax::ExplicitLittle).unwrap()
    );
}

#[test]
fn documents_name_their_order_in_the_referenced_request_sequence() {
    let plan = scheduled("Müller^Jörg");
    let mut data = latin_1();
    let sent = |data: &DataSet| {
        let bytes = data.write(Syntax::ExplicitLittle);
        let result = coerce(&plan, &bytes, Syntax::ExplicitLittle, &class(SR)).unwrap();
        DataSet::read(&result.header, Syntax::ExplicitLittle).unwrap()
    };
    let after = sent(&data);
    assert!(after.get(tags::REQUEST_ATTRIBUTES_SEQUENCE).is_none());
    assert!(after.get(tags::REFERENCED_REQUEST_SEQUENCE).is_none());
    data.put_items(tags::REFERENCED_REQUEST_SEQUENCE, vec![DataSet::default()]);
    let after = sent(&data);
    let request = &after.items(tags::REFERENCED_REQUEST_SEQUENCE)[0];
    assert_eq!(request.text(tags::ACCESSION_NUMBER).as_deref(), Some("A0815"));
    assert!(request.get(tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST).is_some());
    assert!(original(&after, "LOTSE").is_some());
}

#[test]
fn a_sequence_under_un_is_taken_for_what_it_is() {
    // An item of Implicit VR with a description.
    let item = b"\xFE\xFF\x00\xE0\x0C\0\0\0\x18\x00\x03\xA0\x04\0\0\0Fern";
    for name in ["Müller^Jörg", "Иванов^Иван"] {
        let mut data = latin_1();
        put(&mut data, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, VR::UN, item);
        put(&mut data, tags::OTHER_PATIENT_I_DS_SEQUENCE, VR::UN, item);
        let (_, after) = coerced(&data, &scheduled(name), Syntax::ExplicitLittle);
        for (tag, ours, value) in [
            (tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, tags::MANUFACTURER, "Lotse"),
            (tags::OTHER_PATIENT_I_DS_SEQUENCE, tags::PATIENT_ID, "F-1"),
        ] {
            let [theirs, added] = after.items(tag) else { panic!("two items expected") };
            assert_eq!(theirs.text(tags::CONTRIBUTION_DESCRIPTION).as_deref(), Some("Fern"));
            assert_eq!(added.text(ours).as_deref(), Some(value));
            let before = original(&after, "LOTSE").unwrap();
            assert!(before.items(tag) == std::slice::from_ref(theirs));
        }
    }
}

#[test]
fn text_in_utf_8_under_another_declaration_is_kept_among_the_originals() {
    for name in ["Kučera^Jan", "Müller^Jan"] {
        let before = foreign(Some("ISO_IR 100"), name.as_bytes());
        let (_, after) = coerced(&before, &scheduled("Иванов^Иван"), Syntax::ExplicitLittle);
        let sets = after.character_sets();
        let kept = modified(&after).text_in(tags::PATIENT_NAME, &sets);
        assert_eq!(kept, before.text(tags::PATIENT_NAME));
        let code = &after.items(tags::PROCEDURE_CODE_SEQUENCE)[0];
        assert_eq!(code.text_in(tags::CODE_MEANING, &sets), kept);
        assert_eq!(kept.as_deref() == Some(name), name == "Kučera^Jan");
    }
}

#[test]
fn a_trace_that_is_no_sequence_is_not_written_over() {
    let mut data = latin_1();
    put(&mut data, tags::ORIGINAL_ATTRIBUTES_SEQUENCE, VR::UN, b"rubbish!");
    let bytes = data.write(Syntax::ExplicitLittle);
    let result = coerce(&scheduled("M"), &bytes, Syntax::ExplicitLittle, &class(CT));
    assert!(matches!(result, Err(Error::NoSequence(tags::ORIGINAL_ATTRIBUTES_SEQUENCE))));
}

#[test]
fn a_broken_header_is_an_error_without_values() {
    let bytes = latin_1().write(Syntax::ExplicitLittle);
    let cut = &bytes[..bytes.len() - 3];
    let error = coerce(&scheduled("M"), cut, Syntax::ExplicitLittle, &class(CT)).err().unwrap();
    assert!(!error.to_string().contains("ller"));
}

proptest! {
    /// What was received can be rebuilt from what was delivered, whatever of it was there before.
    #[test]
    fn originals_are_recoverable(
        name in "[A-Za-zÄÖÜäöüß]{1,20}\\^[A-Za-z]{0,8}",
        local in "[A-Za-zäöüЖŁ]{1,20}\\^[A-Za-z]{0,8}",
        id in "[0-9A-Z]{1,12}",
        absent in proptest::collection::vec(0_usize..8, 0..6),
        implicit in any::<bool>(),
    ) {
        let syntax = if implicit { Syntax::ImplicitLittle } else { Syntax::ExplicitLittle };
        let mut data = foreign(Some("ISO_IR 192"), name.as_bytes());
        put(&mut data, tags::PATIENT_ID, VR::LO, id.as_bytes());
        put(&mut data, tags::REQUESTING_SERVICE, VR::LO, b"Fern");
        put(&mut data, tags::ADMISSION_ID, VR::LO, b"F77");
        let optional = [
            tags::ISSUER_OF_PATIENT_ID, tags::REQUESTING_SERVICE, tags::ADMISSION_ID,
            tags::INSTITUTION_NAME, tags::PROCEDURE_CODE_SEQUENCE, Tag(0x0009, 0x1001),
            tags::STUDY_DATE, tags::SOP_CLASS_UID,
        ];
        for index in absent {
            data.remove(optional[index]);
        }
        let header = data.write(syntax);
        let coerced = coerce(&scheduled(&local), &header, syntax, &class(CT)).unwrap();
        let read = DataSet::read(&coerced.header, syntax).unwrap();
        let restored = original(&read, "LOTSE").unwrap();
        prop_assert_eq!(restored.write(syntax), header);
    }

    #[test]
    fn hostile_headers_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = coerce(&scheduled("M^E"), &bytes, Syntax::ExplicitLittle, &class(CT));
        let _ = coerce(&scheduled("M^E"), &bytes, Syntax::ImplicitLittle, &class(CT));
    }
}
