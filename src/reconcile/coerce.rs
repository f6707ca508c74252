//! Applying a plan to the header of one object.
//!
//! Invariant: an element that the plan does not change keeps its bytes, unless the character set of the
//! whole data set has to change. A value that is there already is no change, so coercing twice with one plan
//! equals coercing once.

use std::collections::BTreeMap;

use dicom_dictionary_std::tags;

use super::{Change, NewElement, NewValue, Plan};
use super::{originals, values};
use crate::dicom::{CharacterSets, DataSet, Element, Syntax, Tag, Uid, VR, Value, patch, scan};

/// Why an object could not be coerced. No message holds a value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the header cannot be read: {0}")]
    Header(#[from] scan::Error),
    #[error(
        "attribute {0} is no sequence although it has to be one; ask the sender to export the study again"
    )]
    NoSequence(Tag),
    #[error("the new value of {0} cannot be written; correct it in the worklist")]
    Unwritable(Tag),
}

/// The header of one object under its local identity.
pub struct Coerced {
    pub header: Vec<u8>,
    pub tail: Tail,
}

/// What has to be done to the elements behind the pixel data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Copied byte for byte.
    Verbatim,
    /// Passed through [`coerce_tail`], because the character set of the data set changed.
    Convert { from: CharacterSets, to: CharacterSets },
}

/// What is to be written (or removed, `None`) at the top level.
pub(super) type Edits = BTreeMap<Tag, Option<Element>>;

/// Applies `plan` to `header`: the bytes of a data set before its pixel data, in `syntax`.
///
/// The object's character set is kept if it can hold every new value; otherwise every text value of the
/// data set is converted to ISO_IR 192, nested ones too (private ones of VR UN cannot be and stay).
pub fn coerce(
    plan: &Plan,
    header: &[u8],
    syntax: Syntax,
    sop_class: &Uid,
) -> Result<Coerced, Error> {
    let mut data = DataSet::read(header, syntax)?;
    let own = data.character_sets();
    if let Some(edits) = edits(plan, &data, &own, sop_class)? {
        let header =
            if edits.is_empty() { header.to_vec() } else { patch::patch(header, syntax, &edits)? };
        return Ok(Coerced { header, tail: Tail::Verbatim });
    }
    let utf8 = CharacterSets::utf8();
    data.re_encode(&utf8);
    let edits = edits(plan, &data, &utf8, sop_class)?;
    for (tag, element) in edits.ok_or(Error::Unwritable(tags::SPECIFIC_CHARACTER_SET))? {
        match element {
            Some(element) => data.insert(tag, element),
            None => data.remove(tag),
        };
    }
    Ok(Coerced { header: data.write(syntax), tail: Tail::Convert { from: own, to: utf8 } })
}

/// Converts the elements behind the pixel data, which have no character set of their own.
pub fn coerce_tail(
    tail: &[u8],
    syntax: Syntax,
    from: &CharacterSets,
    to: &CharacterSets,
) -> Result<Vec<u8>, Error> {
    let mut data = DataSet::read(tail, syntax)?;
    data.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, from.term().into_bytes());
    data.re_encode(to);
    data.remove(tags::SPECIFIC_CHARACTER_SET);
    Ok(data.write(syntax))
}

/// What the plan changes in this object, the trace of it included; empty if it is coerced already. `None` if
/// `sets` cannot hold a new value.
fn edits(
    plan: &Plan,
    data: &DataSet,
    sets: &CharacterSets,
    sop_class: &Uid,
) -> Result<Option<Edits>, Error> {
    let mut edits = Edits::new();
    for change in plan.changes.iter().filter(|change| concerns(change, data, sop_class)) {
        let tag = change.tag();
        let old = data.get(tag);
        match change {
            Change::Remove(_) => {
                if old.is_some() {
                    edits.insert(tag, None);
                }
            }
            Change::Set(new) => {
                let Some(new) = element(new, sets)? else {
                    return Ok(None);
                };
                if !old.is_some_and(|old| same(old, &new)) {
                    edits.insert(tag, Some(new));
                }
            }
            Change::Append(NewElement { value: NewValue::Text(text), vr, .. }) => {
                let before = data.text_in(tag, sets);
                let all = values::appended(before.as_deref(), text);
                if let Some(all) = all {
                    let Some(all) = text_element(tag, representation(vr, tag)?, &all, sets)? else {
                        return Ok(None);
                    };
                    edits.insert(tag, Some(all));
                }
            }
            Change::Append(new) => {
                let Some(new) = element(new, sets)? else {
                    return Ok(None);
                };
                if let Some(longer) = appended(tag, old, new)? {
                    edits.insert(tag, Some(longer));
                }
            }
            Change::Prefix(new) => {
                let before = data.text_in(tag, sets);
                if let (Some(before), NewValue::Text(prefix)) = (before, &new.value)
                    && let Some(longer) = values::prefixed(&before, prefix)
                {
                    let vr = representation(&new.vr, tag)?;
                    let Some(longer) = text_element(tag, vr, &longer, sets)? else {
                        return Ok(None);
                    };
                    edits.insert(tag, Some(longer));
                }
            }
        }
    }
    if edits.is_empty() {
        return Ok(Some(edits));
    }
    let Some(item) = originals::item(plan, data, &edits, sets) else {
        return Ok(None);
    };
    let trace = Element { vr: VR::SQ, value: Value::Items(vec![item]) };
    let tag = tags::ORIGINAL_ATTRIBUTES_SEQUENCE;
    if let Some(longer) = appended(tag, data.get(tag), trace)? {
        edits.insert(tag, Some(longer));
    }
    Ok(Some(edits))
}

/// SR documents and key object selections name their orders in Referenced Request Sequence, where the others
/// have Request Attributes Sequence (PS3.3 C.17.2); neither is added to an object that does not use it.
fn concerns(change: &Change, data: &DataSet, sop_class: &Uid) -> bool {
    let tag = change.tag();
    let document = sop_class.as_str().starts_with("1.2.840.10008.5.1.4.1.1.88.");
    if tag == tags::REFERENCED_REQUEST_SEQUENCE {
        return data.get(tag).is_some();
    }
    tag != tags::REQUEST_ATTRIBUTES_SEQUENCE || !document || data.get(tag).is_some()
}

/// `old` with the items of `new` behind its own; `None` if they are there already.
fn appended(tag: Tag, old: Option<&Element>, new: Element) -> Result<Option<Element>, Error> {
    let mut all = match old.map(|old| &old.value) {
        None => Vec::new(),
        Some(Value::Items(items)) => items.clone(),
        Some(Value::Bytes(bytes)) if bytes.is_empty() => Vec::new(),
        Some(Value::Bytes(_) | Value::Fragments(_)) => return Err(Error::NoSequence(tag)),
    };
    let before = all.len();
    if let Value::Items(new) = new.value {
        for item in new {
            if !all.iter().any(|there| same_item(there, &item)) {
                all.push(item);
            }
        }
    }
    let longer = all.len() > before;
    Ok(longer.then_some(Element { vr: VR::SQ, value: Value::Items(all) }))
}

/// Encodes one element of the plan; `Ok(None)` if `sets` cannot hold it.
fn element(new: &NewElement, sets: &CharacterSets) -> Result<Option<Element>, Error> {
    let tag = new.tag();
    let vr = representation(&new.vr, tag)?;
    let value = match &new.value {
        NewValue::Empty if vr == VR::SQ => Value::Items(Vec::new()),
        NewValue::Empty => Value::Bytes(Vec::new()),
        NewValue::Text(text) => return text_element(tag, vr, text, sets),
        NewValue::Items(items) => {
            let mut written = Vec::with_capacity(items.len());
            for item in items {
                let mut data = DataSet::default();
                for new in item {
                    let Some(element) = element(new, sets)? else {
                        return Ok(None);
                    };
                    data.insert(new.tag(), element);
                }
                written.push(data);
            }
            Value::Items(written)
        }
    };
    Ok(Some(Element { vr, value }))
}

fn representation(vr: &str, tag: Tag) -> Result<VR, Error> {
    let vr = <[u8; 2]>::try_from(vr.as_bytes()).ok().and_then(VR::from_binary);
    vr.ok_or(Error::Unwritable(tag))
}

fn text_element(
    tag: Tag,
    vr: VR,
    text: &str,
    sets: &CharacterSets,
) -> Result<Option<Element>, Error> {
    if !takes_character_sets(vr) && !text.is_ascii() {
        return Err(Error::Unwritable(tag));
    }
    let mut data = DataSet::default();
    if !data.put_text(tag, vr, text, sets) {
        return Ok(None);
    }
    data.remove(tag).ok_or(Error::Unwritable(tag)).map(Some)
}

/// The representations that Specific Character Set (0008,0005) rules (PS3.5 6.1.2.3).
fn takes_character_sets(vr: VR) -> bool {
    matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT)
}

/// Whether two elements say the same: padding and the length form of sequences aside.
fn same(a: &Element, b: &Element) -> bool {
    match (&a.value, &b.value) {
        (Value::Bytes(a), Value::Bytes(b)) => trimmed(a) == trimmed(b),
        (Value::Items(a), Value::Items(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_item(a, b))
        }
        (Value::Items(items), Value::Bytes(bytes)) | (Value::Bytes(bytes), Value::Items(items)) => {
            items.is_empty() && bytes.is_empty()
        }
        (Value::Fragments(a), Value::Fragments(b)) => a == b,
        (Value::Fragments(_), Value::Bytes(_) | Value::Items(_))
        | (Value::Bytes(_) | Value::Items(_), Value::Fragments(_)) => false,
    }
}

fn same_item(a: &DataSet, b: &DataSet) -> bool {
    a.iter().count() == b.iter().count()
        && a.iter().zip(b.iter()).all(|((a, x), (b, y))| a == b && same(x, y))
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let end =
        bytes.iter().rposition(|b| !matches!(b, b' ' | 0)).map_or(0, |last| last.saturating_add(1));
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests;
