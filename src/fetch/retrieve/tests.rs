//! Sources that misbehave: each attempt ends in a named fault within its time, and takes nothing that was not asked
//! for.

mod counts;
mod evil;
mod hostile;

use super::query::{advice, identifier};
use super::*;
use crate::dimse::StatusClass;

#[test]
fn every_constant_uid_is_one() {
    for uid in get::SYNTAXES.iter().chain(&get::CLASSES) {
        assert_eq!(known(uid).as_str(), *uid);
    }
}

#[test]
fn keys_are_written_in_a_set_that_has_their_characters() {
    use crate::dicom::VR;
    use dicom_dictionary_std::tags;
    let plain = identifier("STUDY", &[(tags::PATIENT_ID, VR::LO, "P-1")]);
    assert!(plain.get(tags::SPECIFIC_CHARACTER_SET).is_none());
    let named = identifier("STUDY", &[(tags::PATIENT_ID, VR::LO, "Ä-1")]);
    assert_eq!(named.text(tags::SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));
    let sets = named.character_sets();
    assert_eq!(named.text_in(tags::PATIENT_ID, &sets).as_deref(), Some("Ä-1"));
}

#[test]
fn every_refusal_has_an_advice() {
    for status in [0xA701, 0xA702, 0xA801, 0xA900, 0xC000, 0x0122, 0x0124, 0xFE00, 0x0110] {
        let status = Status(status);
        assert!(!advice(status).is_empty());
        assert_ne!(status.class(), StatusClass::Success);
    }
}
