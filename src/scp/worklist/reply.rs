//! One match as the asker gets it (PS3.4 K.2.2.1): what it asked for, in a character set that it reads.
//!
//! Invariant: a character that the asker's set can't hold becomes `?`, so that no name turns into another one.

use std::borrow::Cow;

use dicom_dictionary_std::tags;

use super::question::{Asks, Charset, Key, Question};
use crate::dicom::{CharacterSets, DataSet, Element, VR, Value};

/// What stands for a character that can't be written.
const REPLACEMENT: char = '?';

/// The answer of one entry, whose text is UTF-8.
pub(super) fn reply(question: &Question, entry: &DataSet) -> DataSet {
    let mut reply = asked(&question.keys, entry);
    let sets = match &question.charset {
        Charset::Of(sets) => sets.clone(),
        Charset::Unsaid { .. } => least(&reply),
    };
    let mut reply = {
        replace_unwritable(&mut reply, &sets);
        reply
    };
    reply.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, b"ISO_IR 192".to_vec());
    reply.re_encode(&sets);
    let is_key = match &question.charset {
        Charset::Of(_) => true,
        Charset::Unsaid { is_key } => *is_key,
    };
    if is_key && reply.get(tags::SPECIFIC_CHARACTER_SET).is_none() {
        reply.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, Vec::new());
    }
    reply
}

/// The attributes asked for, those that the entry does not tell with zero length.
fn asked(keys: &[Key], set: &DataSet) -> DataSet {
    let mut reply = DataSet::default();
    for key in keys {
        let element = match (&key.asks, set.get(key.tag)) {
            (Asks::Item(keys), Some(Element { vr, value: Value::Items(items) })) => {
                let cut =
                    |item: &DataSet| if keys.is_empty() { item.clone() } else { asked(keys, item) };
                Element { vr: *vr, value: Value::Items(items.iter().map(cut).collect()) }
            }
            (_, Some(found)) => found.clone(),
            (_, None) if key.vr == VR::SQ => Element { vr: VR::SQ, value: Value::Items(vec![]) },
            (_, None) => Element { vr: key.vr, value: Value::Bytes(vec![]) },
        };
        reply.insert(key.tag, element);
    }
    reply
}

/// The smallest set that holds everything, for an asker that did not say what it reads: most read ISO_IR 100.
fn least(reply: &DataSet) -> CharacterSets {
    let latin = CharacterSets::parse(Some(b"ISO_IR 100"));
    for sets in [CharacterSets::parse(None), latin] {
        if holds(reply, &sets) {
            return sets;
        }
    }
    CharacterSets::utf8()
}

fn holds(set: &DataSet, sets: &CharacterSets) -> bool {
    set.iter().all(|(_, element)| match &element.value {
        Value::Bytes(bytes) if is_text(element.vr) => {
            sets.encode(&String::from_utf8_lossy(bytes), element.vr).is_some()
        }
        Value::Items(items) => items.iter().all(|item| holds(item, sets)),
        Value::Bytes(_) | Value::Fragments(_) => true,
    })
}

fn replace_unwritable(set: &mut DataSet, sets: &CharacterSets) {
    let mut changed = Vec::new();
    for (tag, element) in set.iter() {
        let value = match &element.value {
            Value::Bytes(bytes) if is_text(element.vr) => {
                let text = String::from_utf8_lossy(bytes);
                match writable(&text, element.vr, sets) {
                    Cow::Borrowed(_) => continue,
                    Cow::Owned(text) => Value::Bytes(text.into_bytes()),
                }
            }
            Value::Items(items) => {
                let mut items = items.clone();
                items.iter_mut().for_each(|item| replace_unwritable(item, sets));
                Value::Items(items)
            }
            Value::Bytes(_) | Value::Fragments(_) => continue,
        };
        changed.push((tag, Element { vr: element.vr, value }));
    }
    for (tag, element) in changed {
        set.insert(tag, element);
    }
}

fn writable<'a>(text: &'a str, vr: VR, sets: &CharacterSets) -> Cow<'a, str> {
    if sets.encode(text, vr).is_some() {
        return Cow::Borrowed(text);
    }
    let mut buffer = [0; 4];
    let one = |c: char| match sets.encode(c.encode_utf8(&mut buffer), vr) {
        Some(_) => c,
        None => REPLACEMENT,
    };
    Cow::Owned(text.chars().map(one).collect())
}

/// Whether Specific Character Set governs the value (PS3.5 6.1.2.2).
fn is_text(vr: VR) -> bool {
    matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT)
}
