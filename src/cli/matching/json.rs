//! DICOM JSON (PS3.18 F) to a data set of ours, in UTF-8.

use dicom_core::header::Header;
use dicom_core::value::Value;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::dicom::{CharacterSets, DataSet, VR};

/// Text and sequences of a data set; numbers and binary values play no part in matching and are left out.
/// Depth is bounded by the JSON parser.
pub(super) fn data_set(json: serde_json::Value) -> Result<DataSet, serde_json::Error> {
    let object: InMemDicomObject = dicom_json::from_value(json)?;
    let sets = CharacterSets::utf8();
    let mut converted = convert(object, &sets);
    // JSON is UTF-8, whatever set the object named before.
    converted.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, b"ISO_IR 192".to_vec());
    Ok(converted)
}

fn convert(object: InMemDicomObject, sets: &CharacterSets) -> DataSet {
    let mut set = DataSet::default();
    for element in object {
        let (tag, vr) = (element.tag(), element.vr());
        if tag == tags::SPECIFIC_CHARACTER_SET {
            continue;
        }
        match element.into_value() {
            Value::Sequence(sequence) => {
                let items = sequence.into_items().into_iter().map(|item| convert(item, sets));
                set.put_items(tag, items.collect());
            }
            Value::Primitive(value) if is_text(vr) => {
                // A text that UTF-8 cannot hold does not exist.
                let _ = set.put_text(tag, vr, &value.to_str(), sets);
            }
            Value::Primitive(_) | Value::PixelSequence(_) => {}
        }
    }
    set
}

fn is_text(vr: VR) -> bool {
    matches!(
        vr,
        VR::AE
            | VR::AS
            | VR::CS
            | VR::DA
            | VR::DS
            | VR::DT
            | VR::IS
            | VR::LO
            | VR::LT
            | VR::PN
            | VR::SH
            | VR::ST
            | VR::TM
            | VR::UC
            | VR::UI
            | VR::UR
            | VR::UT
    )
}
