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
const TYPE_2: [Tag; 7] = [
    tags::STUDY_ID,
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

/// One item of Original Attributes Sequence: what somebody changed, and when.
#[derive(Clone, PartialEq)]
pub struct Generation {
    /// Attribute Modification DateTime (0400,0562) as written.
    pub at: String,
    /// Modifying System (0400,0563).
    pub by: String,
    /// Source of Previous Values (0400,0564).
    pub source: String,
    /// Reason for the Attribute Modification (0400,0565).
    pub reason: String,
    /// The values before, an absent or empty attribute with zero length.
    pub before: DataSet,
    /// Its place in the sequence.
    place: usize,
}

crate::dicom::redacted!(Generation);

/// Who changed attributes of an object, the newest first.
///
/// The order of the items is not to be relied on, so their date-times count; of equal ones, the later item.
pub fn generations(header: &DataSet) -> Vec<Generation> {
    let sets = header.character_sets();
    let read = |(place, item): (usize, &DataSet)| {
        let within = item.character_sets_within(&sets);
        let text = |tag| item.text_in(tag, &within).unwrap_or_default();
        let before = item.items(tags::MODIFIED_ATTRIBUTES_SEQUENCE).first();
        Generation {
            at: text(tags::ATTRIBUTE_MODIFICATION_DATE_TIME),
            by: text(tags::MODIFYING_SYSTEM),
            source: text(tags::SOURCE_OF_PREVIOUS_VALUES),
            reason: text(tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION),
            before: before.map(|before| in_sets(before, &within, &sets)).unwrap_or_default(),
            place,
        }
    };
    let mut all: Vec<_> =
        header.items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE).iter().enumerate().map(read).collect();
    all.sort_by_key(|one| std::cmp::Reverse((instant(&one.at), one.place)));
    all
}

/// The values of an item in the character set of the object, so that they may stand there. An item that has
/// a set of its own tells by it both what it is written in and what the object was.
fn in_sets(before: &DataSet, within: &CharacterSets, sets: &CharacterSets) -> DataSet {
    let own = before.character_sets_within(within);
    let mut values = before.clone();
    if own != *sets {
        values.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, own.term().into_bytes());
        values.re_encode(sets);
    }
    values.remove(tags::SPECIFIC_CHARACTER_SET);
    values
}

/// A DT value as something that sorts by time: second and fraction, the offset taken off (PS3.5 6.2).
fn instant(text: &str) -> (i64, String) {
    let (local, offset) = text.find(['+', '-']).map_or((text, ""), |at| text.split_at(at));
    let two = |text: &str, at: usize| text.get(at..at.checked_add(2)?)?.parse::<i8>().ok();
    let part = |at, missing| two(local, at).unwrap_or(missing);
    let year = local.get(..4).and_then(|year| year.parse().ok()).unwrap_or(1);
    let (month, day) = (part(4, 1), part(6, 1));
    let when =
        jiff::civil::DateTime::new(year, month, day, part(8, 0), part(10, 0), part(12, 0), 0);
    let when = when.ok().and_then(|when| when.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let seconds = when.map_or(0, |when| when.timestamp().as_second());
    let east = i64::from(two(offset, 1).unwrap_or(0))
        .saturating_mul(3600)
        .saturating_add(i64::from(two(offset, 3).unwrap_or(0)).saturating_mul(60));
    let east = if offset.starts_with('-') { -east } else { east };
    (seconds.saturating_sub(east), local.get(14..).unwrap_or("").to_owned())
}

/// The header as it was before its newest `back` changes; `None` if there are not so many.
///
/// Equal to what was received, except that text stays in the character set the object has now and that of
/// absent and empty attributes, which the standard lists alike, the more likely one is restored.
pub fn before(header: &DataSet, back: usize) -> Option<DataSet> {
    let all = generations(header);
    let undone = all.get(..back)?;
    let mut restored = header.clone();
    for generation in undone {
        undo(&mut restored, generation);
    }
    let gone = |place| undone.iter().any(|generation| generation.place == place);
    let items = header.items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE).iter().enumerate();
    let left: Vec<_> = items.filter(|(at, _)| !gone(*at)).map(|(_, item)| item.clone()).collect();
    if left.is_empty() {
        restored.remove(tags::ORIGINAL_ATTRIBUTES_SEQUENCE);
    } else {
        restored.put_items(tags::ORIGINAL_ATTRIBUTES_SEQUENCE, left);
    }
    Some(restored)
}

/// The header as it was before `modifying_system` coerced it last, whatever others changed after that.
/// `None` if it did not.
pub fn original(header: &DataSet, modifying_system: &str) -> Option<DataSet> {
    let ours =
        |generation: &Generation| generation.reason == COERCE && generation.by == modifying_system;
    let back = generations(header).iter().position(ours)?;
    before(header, back.saturating_add(1))
}

fn undo(header: &mut DataSet, generation: &Generation) {
    for (tag, old) in generation.before.iter() {
        if is_empty(old) && !TYPE_2.contains(&tag) {
            header.remove(tag);
        } else {
            header.insert(tag, old.clone());
        }
    }
}

fn is_empty(element: &Element) -> bool {
    match &element.value {
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Items(items) => items.is_empty(),
        Value::Fragments(fragments) => fragments.is_empty(),
    }
}
