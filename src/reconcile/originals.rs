//! The trace of a coercion inside the object: Original Attributes Sequence (PS3.3 C.12.1.1.9), written and
//! read back.
//!
//! Invariant: an item holds the complete previous value of every attribute that changed. Absent and empty
//! are both listed with zero length, as the standard wants it.

use dicom_dictionary_std::tags;

use super::Plan;
use super::coerce::Edits;
use crate::dicom::{CharacterSets, DataSet, Element, Tag, VR, Value};

/// Why attributes were modified (PS3.3 C.12.1.1.9): to fit local values.
const COERCE: &str = "COERCE";

/// Attributes that are type 2 in every composite object: what a zero length in the trace means for them is
/// "empty", for all others "absent".
const TYPE_2: [Tag; 6] = [
    tags::ACCESSION_NUMBER,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
];

/// The item for `edits` to `data`; `None` if `sets` cannot hold one of its texts.
pub(super) fn item(
    plan: &Plan,
    data: &DataSet,
    edits: &Edits,
    sets: &CharacterSets,
) -> Option<DataSet> {
    let mut before = DataSet::default();
    for (&tag, edit) in edits {
        before.insert(tag, previous(data, tag, edit.as_ref()));
    }
    // An ID means nothing without its issuer, so both are listed even if only one changed.
    let pair = [tags::PATIENT_ID, tags::ISSUER_OF_PATIENT_ID];
    if pair.iter().any(|tag| edits.contains_key(tag)) {
        for tag in pair {
            before.insert(tag, previous(data, tag, None));
        }
    }
    let mut item = DataSet::default();
    let source = plan.source_of_previous_values.as_deref().unwrap_or("");
    let mut fits = true;
    for (tag, vr, text) in [
        (tags::SOURCE_OF_PREVIOUS_VALUES, VR::LO, source),
        (tags::ATTRIBUTE_MODIFICATION_DATE_TIME, VR::DT, plan.date_time.as_str()),
        (tags::MODIFYING_SYSTEM, VR::LO, plan.modifying_system.as_str()),
        (tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION, VR::CS, COERCE),
    ] {
        fits &= item.put_text(tag, vr, text, sets);
    }
    item.put_items(tags::MODIFIED_ATTRIBUTES_SEQUENCE, vec![before]);
    fits.then_some(item)
}

fn previous(data: &DataSet, tag: Tag, new: Option<&Element>) -> Element {
    if let Some(old) = data.get(tag) {
        return old.clone();
    }
    let vr = new.map_or(VR::LO, |new| new.vr);
    let value = if vr == VR::SQ { Value::Items(Vec::new()) } else { Value::Bytes(Vec::new()) };
    Element { vr, value }
}

/// The header as it was before `modifying_system` coerced it last: the values of its newest item are put
/// back and the item is taken out. `None` if there is no such item.
///
/// Equal to what was received, except that text stays in the character set the object has now and that of
/// absent and empty attributes the more likely one is restored.
pub fn original(header: &DataSet, modifying_system: &str) -> Option<DataSet> {
    let sets = header.character_sets();
    let items = header.items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE);
    let text = |item: &DataSet, tag| item.text_in(tag, &sets).unwrap_or_default();
    // The order of the items is not to be relied on; the newest date-time counts, the last of equal ones.
    let (place, item) = items
        .iter()
        .enumerate()
        .filter(|(_, item)| text(item, tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION) == COERCE)
        .filter(|(_, item)| text(item, tags::MODIFYING_SYSTEM) == modifying_system)
        .max_by_key(|(_, item)| text(item, tags::ATTRIBUTE_MODIFICATION_DATE_TIME))?;
    let mut restored = header.clone();
    for (tag, old) in item.items(tags::MODIFIED_ATTRIBUTES_SEQUENCE).iter().flat_map(DataSet::iter)
    {
        if is_empty(old) && !TYPE_2.contains(&tag) {
            restored.remove(tag);
        } else {
            restored.insert(tag, old.clone());
        }
    }
    let others: Vec<DataSet> =
        items.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, i)| i.clone()).collect();
    if others.is_empty() {
        restored.remove(tags::ORIGINAL_ATTRIBUTES_SEQUENCE);
    } else {
        restored.put_items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE, others);
    }
    Some(restored)
}

fn is_empty(element: &Element) -> bool {
    match &element.value {
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Items(items) => items.is_empty(),
        Value::Fragments(fragments) => fragments.is_empty(),
    }
}
