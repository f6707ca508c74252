//! From an identifier to what it asks: keys to match, attributes to return, the character set to answer in.
//!
//! Invariant: a key that can't be understood refuses the query with the attribute's tag; it is never taken for one
//! that asks for everything.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use jiff::civil::Date;

use super::Refusal;
use super::attributes::{Level, supported};
use super::name::{NameKey, Pattern};
use super::span::{self, Micros, Moment, Span};
use crate::dicom::{CharacterSets, DataSet, Element, VR, Value};
use crate::dimse::{NameMatching, Status};

/// Characters of one key; the longest attribute of the table has 64 a component, free text ten thousand.
const KEY_LIMIT: usize = 10_240;

/// Sequences within sequences: the step, its codes, and one to spare.
const DEPTH_LIMIT: usize = 3;

/// Values of one key.
const VALUE_LIMIT: usize = 64;

/// UIDs of one list.
const UID_LIMIT: usize = 1_000;

/// What one query asks.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) keys: Vec<Key>,
    /// Start date and time of the step as one interval, if both were ranges (PS3.4 K.2.2.2).
    pub(super) start: Option<Span<Moment>>,
    pub(super) charset: Charset,
    unsupported: bool,
}

/// The character sets that the asker reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// It wrote its query in them.
    Of(CharacterSets),
    /// It did not say; and whether it wants to be told which one the answer is in.
    Unsaid { is_key: bool },
}

/// One attribute of an identifier.
pub(super) struct Key {
    pub(super) tag: Tag,
    pub(super) vr: VR,
    pub(super) asks: Asks,
}

/// What an attribute has to be.
pub(super) enum Asks {
    /// Anything, absent too: universal matching, and what we can't match.
    Anything,
    Text(Pattern),
    Name(NameKey),
    Dates(Span<Date>),
    Times(Span<Micros>),
    Uids(Vec<String>),
    Number(f64),
    Bytes(Vec<u8>),
    /// One of several. The standard has lists for UIDs alone; modalities send `CT\\MR` nevertheless, and mean this.
    OneOf(Vec<Asks>),
    /// One item has to fit all of these. Empty asks for whole items.
    Item(Vec<Key>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A key may be a patient's name.
        write!(f, "Key({})", self.tag)
    }
}

impl Question {
    pub(super) fn parse(identifier: &DataSet, names: NameMatching) -> Result<Self, Refusal> {
        Self::parse_at(identifier, names, Level::Top)
    }

    pub(super) fn parse_at(
        identifier: &DataSet,
        names: NameMatching,
        level: Level,
    ) -> Result<Self, Refusal> {
        if identifier.is_empty() {
            let status = Status::DOES_NOT_MATCH_CLASS;
            return Err(Refusal { status, comment: "the identifier asks for nothing", tag: None });
        }
        let declared = identifier.character_sets();
        let charset = match identifier.text(tags::SPECIFIC_CHARACTER_SET) {
            Some(_) if declared.is_known() => Charset::Of(declared.clone()),
            _ => Charset::Unsaid { is_key: identifier.get(tags::SPECIFIC_CHARACTER_SET).is_some() },
        };
        let mut reader = Reader { sets: &declared, names, unsupported: false };
        let mut keys = reader.keys(identifier, level, 0)?;
        let unsupported = reader.unsupported;
        let start = combine(&mut keys);
        check_times(&keys)?;
        Ok(Self { keys, start, charset, unsupported })
    }

    /// The status of its matches (PS3.4 K.4.1.1.4).
    pub(super) fn pending(&self) -> Status {
        if self.unsupported { Status::PENDING_WARNING } else { Status::PENDING }
    }

    /// Whether it names a value for Scheduled Procedure Step Status (0040,0020): steps that are over are wanted then.
    pub(super) fn asks_for_status(&self) -> bool {
        let is_named = |key: &Key| {
            key.tag == tags::SCHEDULED_PROCEDURE_STEP_STATUS && !matches!(key.asks, Asks::Anything)
        };
        self.keys.iter().filter_map(step_keys).flatten().any(is_named)
    }

    /// A quick look at the scheduled day alone.
    pub(super) fn may_match_day(&self, day: Option<Date>) -> bool {
        let step = self.keys.iter().find_map(step_keys);
        let dates = step.into_iter().flatten().find_map(|key| match (&key.asks, key.tag) {
            (Asks::Dates(span), tags::SCHEDULED_PROCEDURE_STEP_START_DATE) => Some(*span),
            _ => None,
        });
        // A day that could not be read is looked at closely.
        day.zip(dates).is_none_or(|(day, dates)| dates.holds(day))
    }
}

fn step_keys(key: &Key) -> Option<&Vec<Key>> {
    match (&key.asks, key.tag) {
        (Asks::Item(keys), tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE) => Some(keys),
        _ => None,
    }
}

/// Takes two ranges of the step's start out of its keys' matching and makes one of them.
fn combine(keys: &mut [Key]) -> Option<Span<Moment>> {
    let step = keys.iter_mut().find_map(|key| match (&mut key.asks, key.tag) {
        (Asks::Item(keys), tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE) => Some(keys),
        _ => None,
    })?;
    let dates = step.iter().find_map(|key| match (&key.asks, key.tag) {
        (Asks::Dates(span), tags::SCHEDULED_PROCEDURE_STEP_START_DATE) => Some(*span),
        _ => None,
    })?;
    let time = step.iter_mut().find_map(|key| match (&key.asks, key.tag) {
        (Asks::Times(span), tags::SCHEDULED_PROCEDURE_STEP_START_TIME) => Some((*span, key)),
        _ => None,
    });
    let (times, key) = time?;
    if (dates.form, times.form) != (span::Form::Range, span::Form::Range) {
        return None;
    }
    // The days stay a key of their own: the interval lies within them.
    key.asks = Asks::Anything;
    Some(span::combined(&dates, &times))
}

/// A range of times that is no part of an interval can't cross midnight (PS3.4 C.2.2.2.5.2).
fn check_times(keys: &[Key]) -> Result<(), Refusal> {
    keys.iter().try_for_each(|key| match &key.asks {
        Asks::Times(span) if span.is_reversed() => Err(across_midnight(key.tag)),
        Asks::OneOf(each) if each.iter().any(is_reversed) => Err(across_midnight(key.tag)),
        Asks::Item(keys) => check_times(keys),
        _ => Ok(()),
    })
}

fn is_reversed(asks: &Asks) -> bool {
    matches!(asks, Asks::Times(span) if span.is_reversed())
}

fn across_midnight(tag: Tag) -> Refusal {
    Refusal::of(tag, "times across midnight need a range of days as well")
}

struct Reader<'a> {
    sets: &'a CharacterSets,
    names: NameMatching,
    unsupported: bool,
}

impl Reader<'_> {
    fn keys(&mut self, set: &DataSet, level: Level, depth: usize) -> Result<Vec<Key>, Refusal> {
        let mut keys = Vec::new();
        for (tag, element) in set.iter() {
            if tag == tags::SPECIFIC_CHARACTER_SET {
                continue;
            }
            let Some(vr) = supported(level, tag) else {
                self.unsupported = true;
                keys.push(Key { tag, vr: element.vr, asks: Asks::Anything });
                continue;
            };
            let asks = self.asks(tag, vr, element, level, depth)?;
            keys.push(Key { tag, vr, asks });
        }
        Ok(keys)
    }

    fn asks(
        &mut self,
        tag: Tag,
        vr: VR,
        element: &Element,
        level: Level,
        depth: usize,
    ) -> Result<Asks, Refusal> {
        let bytes = match (&element.value, vr) {
            (Value::Items(items), VR::SQ) => return self.item(tag, items, level, depth),
            (Value::Bytes(bytes), VR::SQ) if bytes.is_empty() => return Ok(Asks::Item(vec![])),
            (Value::Bytes(bytes), vr) if vr != VR::SQ => bytes,
            _ => return Err(Refusal::of(tag, "the attribute has another VR")),
        };
        if bytes.len() > KEY_LIMIT {
            return Err(Refusal::of(tag, "the key is too long"));
        }
        if vr == VR::US {
            return Ok(if bytes.is_empty() { Asks::Anything } else { Asks::Bytes(bytes.clone()) });
        }
        let text = self.sets.decode(bytes, vr);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        // A lone star asks for anything, whatever the VR: askers send it with dates as well.
        if text.is_empty() || text == "*" {
            return Ok(Asks::Anything);
        }
        self.value(tag, vr, text)
    }

    fn value(&self, tag: Tag, vr: VR, text: &str) -> Result<Asks, Refusal> {
        let wrong = |comment| Refusal::of(tag, comment);
        if vr == VR::UI {
            let uids: Vec<String> =
                text.split('\\').map(|uid| uid.trim_matches(['\0', ' ']).to_owned()).collect();
            let is_uid = |uid: &String| {
                (1..=64).contains(&uid.len())
                    && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            };
            return if uids.len() <= UID_LIMIT && uids.iter().all(is_uid) {
                Ok(Asks::Uids(uids))
            } else {
                Err(wrong("the key is no list of UIDs"))
            };
        }
        if text.contains('\\') && vr != VR::LT {
            let values: Vec<&str> = text.split('\\').map(str::trim).collect();
            if values.len() > VALUE_LIMIT || values.contains(&"") {
                return Err(wrong("too many values, or an empty one among them"));
            }
            let each = values.into_iter().map(|value| self.value(tag, vr, value));
            return each.collect::<Result<_, _>>().map(Asks::OneOf);
        }
        match vr {
            VR::DA => span::dates(text)
                .map(Asks::Dates)
                .ok_or(wrong("a day is YYYYMMDD, a range is from-to")),
            VR::TM => span::times(text)
                .map(Asks::Times)
                .ok_or(wrong("a time is HHMMSS, a range is from-to within a day")),
            VR::DS => text.parse().map(Asks::Number).map_err(|_| wrong("the key is no number")),
            VR::PN => Ok(Asks::Name(match self.names {
                NameMatching::Literal => NameKey::literal(text),
                NameMatching::Fuzzy => NameKey::fuzzy(text),
            })),
            _ => Ok(Asks::Text(Pattern::new(text))),
        }
    }

    fn item(
        &mut self,
        tag: Tag,
        items: &[DataSet],
        level: Level,
        depth: usize,
    ) -> Result<Asks, Refusal> {
        let item = match items {
            [] => return Ok(Asks::Item(vec![])),
            [item] => item,
            _ => return Err(Refusal::of(tag, "a sequence has one item in a query")),
        };
        if depth >= DEPTH_LIMIT {
            return Err(Refusal::of(tag, "sequences are nested too deeply"));
        }
        let within = match level {
            Level::Top if tag == tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE => Level::Step,
            _ => Level::Within,
        };
        Ok(Asks::Item(self.keys(item, within, depth + 1)?))
    }
}
