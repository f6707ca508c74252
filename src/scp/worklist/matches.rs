//! Whether an entry is what a query asks for (PS3.4 C.2.2.2, K.2.2.2). Pure.
//!
//! A value that the entry does not tell fits only a key that asks for anything.

use dicom_dictionary_std::tags;

use super::question::{Asks, Key, Question};
use super::span::{self, Span};
use crate::dicom::{DataSet, Tag, VR};

/// Whether `entry`, whose text is UTF-8, is a match.
pub(super) fn matches(question: &Question, entry: &DataSet) -> bool {
    let start = |span: &Span<span::Moment>| {
        let step = entry.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE).first();
        step.and_then(moment).is_some_and(|moment| span.holds(moment))
    };
    question.keys.iter().all(|key| fits(key, entry)) && question.start.as_ref().is_none_or(start)
}

/// When a step starts.
fn moment(step: &DataSet) -> Option<span::Moment> {
    let day = span::date(&step.text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE)?)?;
    let (time, _) = span::time(&step.text(tags::SCHEDULED_PROCEDURE_STEP_START_TIME)?)?;
    Some((day, time))
}

fn fits(key: &Key, set: &DataSet) -> bool {
    has(key, &key.asks, set)
}

fn has(key: &Key, asks: &Asks, set: &DataSet) -> bool {
    match asks {
        Asks::Anything => true,
        Asks::OneOf(each) => each.iter().any(|asks| has(key, asks, set)),
        Asks::Item(keys) => {
            asks_for_anything(keys)
                || set.items(key.tag).iter().any(|item| keys.iter().all(|key| fits(key, item)))
        }
        Asks::Bytes(asked) => {
            set.get(key.tag).and_then(|element| element.bytes()).is_some_and(|found| found == asked)
        }
        Asks::Text(pattern) => any(set, key, |value| pattern.fits(value)),
        Asks::Name(name) => any(set, key, |value| name.fits(value)),
        Asks::Dates(span) => {
            any(set, key, |value| span::date(value).is_some_and(|day| span.holds(day)))
        }
        Asks::Times(span) => {
            any(set, key, |value| span::time(value).is_some_and(|(first, _)| span.holds(first)))
        }
        Asks::Uids(uids) => any(set, key, |value| uids.iter().any(|uid| uid == value)),
        Asks::Number(asked) => any(set, key, |value| {
            value.parse().is_ok_and(|found: f64| (found - asked).abs() < f64::EPSILON)
        }),
    }
}

fn asks_for_anything(keys: &[Key]) -> bool {
    keys.iter().all(|key| match &key.asks {
        Asks::Anything => true,
        Asks::Item(keys) => asks_for_anything(keys),
        _ => false,
    })
}

/// Whether one value of an attribute fits.
fn any(set: &DataSet, key: &Key, fits: impl Fn(&str) -> bool) -> bool {
    let Some(text) = text(set, key.tag) else { return false };
    let fits = |value: &str| {
        let value = value.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        !value.is_empty() && fits(value)
    };
    if key.vr == VR::LT { fits(&text) } else { text.split('\\').any(fits) }
}

/// The text of an entry, which is UTF-8 in its items too.
fn text(set: &DataSet, tag: Tag) -> Option<String> {
    set.text_in(tag, &crate::dicom::CharacterSets::utf8())
}
