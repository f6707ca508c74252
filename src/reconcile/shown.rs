//! What a plan changes, as a table for people: before and after.

use std::collections::BTreeSet;
use std::fmt;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use serde::Serialize;

use super::{Change, NewElement, NewValue, Plan, values};
use crate::dicom::{CharacterSets, DataSet, Element, StudyFacts, Tag, VR, Value};

/// A value longer than this is cut for display, in characters.
const LONGEST: usize = 512;

/// How deep sequences are spelt out.
const DEPTH: usize = 3;

/// One attribute before and after. `None` is absent or empty.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// `(gggg,eeee)`.
    pub tag: String,
    /// The dictionary's keyword.
    pub name: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({}, redacted)", self.tag)
    }
}

/// Everything that `plan` changes in an object with this header; equal values are left out.
pub fn before_after(plan: &Plan, header: &DataSet) -> Vec<Shown> {
    let sets = header.character_sets();
    let row = |change: &Change| {
        let tag = change.tag();
        let before = header.get(tag).and_then(|old| element(tag, old, &sets, DEPTH));
        let after = match change {
            Change::Remove(_) => None,
            Change::Set(new) => planned(new, DEPTH),
            Change::Append(new) => match (before.clone(), planned(new, DEPTH)) {
                (Some(before), Some(new)) if before.contains(&new) => Some(before),
                (Some(before), Some(new)) => Some(format!("{before}; {new}")),
                (before, new) => new.or(before),
            },
            Change::Prefix(new) => match (before.as_deref(), planned(new, DEPTH)) {
                (Some(old), Some(prefix)) => values::prefixed(old, &prefix).or(before.clone()),
                (_, _) => before.clone(),
            },
        };
        row(tag, before, after)
    };
    let mut rows: Vec<Shown> = plan.changes.iter().filter_map(row).collect();
    let signed = tags::MAC_PARAMETERS_SEQUENCE;
    if !rows.is_empty() && !header.items(signed).is_empty() {
        let told = |text: &str| Some(text.to_owned());
        rows.extend(self::row(signed, told("signed"), told("what was signed has changed")));
    }
    rows
}

/// Everything in which two headers differ, the trace of changes aside.
pub fn differences(before: &DataSet, after: &DataSet) -> Vec<Shown> {
    let tags: BTreeSet<Tag> = before.iter().chain(after.iter()).map(|(tag, _)| tag).collect();
    let value = |header: &DataSet, tag| {
        header.get(tag).and_then(|value| element(tag, value, &header.character_sets(), DEPTH))
    };
    let differ = |tag: Tag| {
        (tag != tags::ORIGINAL_ATTRIBUTES_SEQUENCE)
            .then(|| row(tag, value(before, tag), value(after, tag)))?
    };
    tags.into_iter().filter_map(differ).collect()
}

/// The main attributes that `plan` changes, as far as the facts of the study know them.
pub fn shown(plan: &Plan, study: &StudyFacts) -> Vec<Shown> {
    let patient = &study.patient;
    let id = patient.id.as_ref();
    let row = |change: &Change| {
        let tag = change.tag();
        let before = if tag == tags::PATIENT_NAME {
            patient.name.as_ref().map(|name| name.as_str().to_owned())
        } else if tag == tags::PATIENT_ID {
            id.map(|id| id.id.clone())
        } else if tag == tags::ISSUER_OF_PATIENT_ID {
            id.and_then(|id| id.issuer.clone())
        } else if tag == tags::PATIENT_BIRTH_DATE {
            patient.birth_date.map(crate::dicom::BirthDate::to_dicom)
        } else if tag == tags::PATIENT_SEX {
            Some(patient.sex.as_str().to_owned())
        } else if tag == tags::ACCESSION_NUMBER {
            study.accession_number.as_ref().map(|accession| accession.number.clone())
        } else {
            return None;
        };
        let after = match change {
            Change::Remove(_) => None,
            Change::Set(new) | Change::Append(new) => planned(new, DEPTH),
            // Of none of the attributes above.
            Change::Prefix(_) => return None,
        };
        row(tag, before.filter(|before| !before.is_empty()), after)
    };
    plan.changes.iter().filter_map(row).collect()
}

fn row(tag: Tag, before: Option<String>, after: Option<String>) -> Option<Shown> {
    let differs = before != after;
    differs.then(|| Shown {
        tag: format!("({:04X},{:04X})", tag.0, tag.1),
        name: keyword(tag),
        before: before.map(cut),
        after: after.map(cut),
    })
}

fn keyword(tag: Tag) -> String {
    StandardDataDictionary
        .by_tag(tag)
        .map_or_else(|| tag.to_string(), |entry| entry.alias().to_owned())
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => text.get(..at).map(|text| format!("{text}…")).unwrap_or(text),
        None => text,
    }
}

fn planned(new: &NewElement, depth: usize) -> Option<String> {
    match &new.value {
        NewValue::Empty => None,
        NewValue::Text(text) => Some(text.clone()),
        NewValue::Items(items) => {
            let values = items.iter().map(|item| {
                item.iter().map(|new| (new.tag(), planned(new, depth.saturating_sub(1)))).collect()
            });
            sequence(values.collect(), depth)
        }
    }
}

fn element(tag: Tag, element: &Element, sets: &CharacterSets, depth: usize) -> Option<String> {
    match &element.value {
        Value::Items(items) => {
            let values = items.iter().map(|item| {
                let value =
                    |(tag, inner)| (tag, self::element(tag, inner, sets, depth.saturating_sub(1)));
                item.iter().map(value).collect()
            });
            sequence(if depth == 0 { Vec::new() } else { values.collect() }, depth)
        }
        Value::Bytes(_) if is_binary(element.vr) => None,
        Value::Bytes(_) => {
            let mut alone = DataSet::default();
            alone.insert(tag, element.clone());
            alone.text_in(tag, sets)
        }
        Value::Fragments(_) => None,
    }
}

fn is_binary(vr: VR) -> bool {
    matches!(
        vr,
        VR::AT
            | VR::FD
            | VR::FL
            | VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SL
            | VR::SS
            | VR::SV
            | VR::UL
            | VR::UN
            | VR::US
            | VR::UV
    )
}

fn sequence(items: Vec<Vec<(Tag, Option<String>)>>, depth: usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    let item = |values: Vec<(Tag, Option<String>)>| {
        let parts = values
            .into_iter()
            .filter_map(|(tag, value)| Some(format!("{} {}", keyword(tag), value?)));
        parts.collect::<Vec<_>>().join(", ")
    };
    let items: Vec<String> = items.into_iter().map(item).filter(|item| !item.is_empty()).collect();
    (!items.is_empty()).then(|| items.join("; "))
}
