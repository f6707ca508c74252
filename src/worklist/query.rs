//! Questions, and the identifiers that carry them (PS3.4 table K.6-1).
//!
//! Never by name: character sets, umlauts and double names lose the right one.

use dicom_dictionary_std::tags;
use jiff::ToSpan;
use jiff::civil::Date;

use crate::dicom::{CharacterSets, DataSet, Tag, VR};

use super::attributes::{STEP, TOP};
use super::section::CharacterSetKey;
use super::{Ask, Options};

/// How a peer wants its queries.
#[derive(Clone, Copy, Default)]
pub(super) struct Written<'a> {
    pub(super) key: CharacterSetKey,
    /// Our time, if the peer agreed to adjust its own to it.
    pub(super) zone: Option<&'a jiff::Zoned>,
}

/// Queries that one question may take, since lists of modalities and stations are not allowed in one.
pub(super) const QUERY_LIMIT: usize = 16;

/// One C-FIND, and what its answers have to satisfy.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Query {
    /// One order, one patient, or one order of one patient.
    Named { accession_number: Option<String>, patient_id: Option<String> },
    /// Everything scheduled between two days, both included.
    Window { from: Date, to: Date, modality: Option<String>, station: Option<String> },
}

impl Query {
    pub(super) fn one(accession_number: Option<String>, patient_id: Option<String>) -> Self {
        Self::Named { accession_number, patient_id }
    }

    /// Whether its answers are the worklist as it is kept: one order that was asked for by its number may be of
    /// any day, and comes again with those of its day.
    pub(super) fn is_window(&self) -> bool {
        matches!(self, Self::Window { .. })
    }
}

/// The queries of a question, the narrow ones first.
pub(super) fn of_ask(ask: &Ask, options: &Options, today: Date) -> Vec<Query> {
    let asked = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim).filter(|text| is_single_value(text));
        text.map(str::to_owned)
    };
    let mut queries = Vec::new();
    if let Some(number) = asked(&ask.accession_number) {
        queries.push(Query::one(Some(number), None));
    }
    if let Some(id) = asked(&ask.patient_id) {
        queries.push(Query::one(None, Some(id)));
    }
    if ask.broad {
        let days = i32::from(options.window_days).days();
        let from = today.checked_sub(days).unwrap_or(today);
        let to = today.checked_add(days).unwrap_or(today);
        let each = |texts: Vec<String>| -> Vec<Option<String>> {
            if texts.is_empty() { vec![None] } else { texts.into_iter().map(Some).collect() }
        };
        let stations = each(options.stations.iter().map(|s| s.as_str().to_owned()).collect());
        for station in stations {
            for modality in each(options.modalities.clone()) {
                queries.push(Query::Window { from, to, modality, station: station.clone() });
            }
        }
    }
    queries.truncate(QUERY_LIMIT);
    queries
}

/// A value that the other side cannot take for a pattern or a list (PS3.4 C.2.2.2).
fn is_single_value(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && !text.contains(['*', '?', '\\'])
        && !text.contains(char::is_control)
}

/// The identifier of one query with every return key; the step item is built fully, since servers answer only
/// what was asked for. `None` if a value cannot be written.
pub(super) fn identifier(query: &Query, written: &Written<'_>) -> Option<DataSet> {
    let mut step = empty(&STEP);
    let mut identifier = empty(&TOP);
    match query {
        Query::Named { accession_number, patient_id } => {
            let number = accession_number.as_deref().unwrap_or("");
            let id = patient_id.as_deref().unwrap_or("");
            // Values beyond ASCII would need a character set that the other side may not know.
            if !(number.is_ascii() && id.is_ascii()) || (number.is_empty() && id.is_empty()) {
                return None;
            }
            put(&mut identifier, tags::ACCESSION_NUMBER, VR::SH, number)?;
            put(&mut identifier, tags::PATIENT_ID, VR::LO, id)?;
        }
        Query::Window { from, to, modality, station } => {
            let range = format!("{}-{}", from.strftime("%Y%m%d"), to.strftime("%Y%m%d"));
            put(&mut step, tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, &range)?;
            put(&mut step, tags::MODALITY, VR::CS, modality.as_deref().unwrap_or(""))?;
            let station = station.as_deref().unwrap_or("");
            put(&mut step, tags::SCHEDULED_STATION_AE_TITLE, VR::AE, station)?;
        }
    }
    identifier.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]);
    if written.key == CharacterSetKey::LeftOut {
        identifier.remove(tags::SPECIFIC_CHARACTER_SET);
    }
    if let Some(now) = written.zone {
        let offset = now.strftime("%z").to_string();
        put(&mut identifier, tags::TIMEZONE_OFFSET_FROM_UTC, VR::SH, &offset)?;
    }
    Some(identifier)
}

/// Sets a matching key; an empty value stays a return key.
fn put(set: &mut DataSet, tag: Tag, vr: VR, value: &str) -> Option<()> {
    (value.is_empty() || set.put_text(tag, vr, value, &CharacterSets::utf8())).then_some(())
}

fn empty(keys: &[(Tag, VR)]) -> DataSet {
    let mut set = DataSet::default();
    for (tag, vr) in keys {
        if *vr == VR::SQ {
            set.put_items(*tag, Vec::new());
        } else {
            set.put_bytes(*tag, *vr, Vec::new());
        }
    }
    set
}
