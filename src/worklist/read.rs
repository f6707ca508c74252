//! From the data set of one worklist entry to an item.
//!
//! Invariant: nothing is guessed; what is missing, too long or malformed is absent, and an entry without a
//! patient ID is refused, because nothing can be filed under it.

use dicom_dictionary_std::tags;

use crate::dicom::{
    AccessionNumber, AeTitle, BirthDate, CharacterSets, Code, DataSet, Item, Patient, PatientId,
    PersonName, Sex, Step, Tag, Uid, Value,
};

/// Characters of one text value: the longest of the worklist has 64 a component, some peers send more.
const TEXT_LIMIT: usize = 1024;

/// Steps of one entry. The standard has one; joined entries come from other paths.
const STEP_LIMIT: usize = 64;

/// Codes of one procedure or step.
const CODE_LIMIT: usize = 16;

/// Studies that one order refers to.
const STUDY_LIMIT: usize = 16;

/// How entries of one source are read.
#[derive(Clone, Debug)]
pub struct Reading {
    fallback: CharacterSets,
    stations: Vec<AeTitle>,
}

impl Reading {
    /// `fallback` is for entries that name no character set; of several stations of one step, one of
    /// `stations` is kept.
    pub fn new(fallback: &str, stations: &[AeTitle]) -> Self {
        Self {
            fallback: CharacterSets::parse(Some(fallback.as_bytes())),
            stations: stations.to_vec(),
        }
    }

    /// The sets that the text of an entry is read by.
    pub(super) fn sets(&self, entry: &DataSet) -> CharacterSets {
        if entry.text(tags::SPECIFIC_CHARACTER_SET).is_some() {
            return entry.character_sets();
        }
        // Servers that name no set answer in UTF-8 or in the site's own set.
        if is_utf8(entry) { CharacterSets::utf8() } else { self.fallback.clone() }
    }
}

/// The walk is no deeper than the scanner allowed the data set to be.
fn is_utf8(set: &DataSet) -> bool {
    set.iter().all(|(_, element)| match &element.value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes).is_ok(),
        Value::Items(items) => items.iter().all(is_utf8),
        Value::Fragments(_) => true,
    })
}

/// Reads a data set with the character sets that hold for it.
struct Texts<'a> {
    set: &'a DataSet,
    sets: &'a CharacterSets,
}

impl<'a> Texts<'a> {
    fn text(&self, tag: Tag) -> Option<String> {
        let text = self.set.text_in(tag, self.sets)?;
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty() && text.chars().count() <= TEXT_LIMIT).then(|| text.to_owned())
    }

    /// The first of several values.
    fn first(&self, tag: Tag) -> Option<String> {
        let text = self.text(tag)?;
        let first = text.split('\\').map(str::trim).find(|value| !value.is_empty());
        first.map(str::to_owned)
    }

    fn items(&self, tag: Tag, limit: usize) -> impl Iterator<Item = Texts<'a>> {
        let sets = self.sets;
        self.set.items(tag).iter().take(limit).map(move |set| Texts { set, sets })
    }

    fn codes(&self, tag: Tag) -> Vec<Code> {
        self.items(tag, CODE_LIMIT)
            .filter_map(|item| {
                Some(Code {
                    value: item.text(tags::CODE_VALUE)?,
                    scheme: item.text(tags::CODING_SCHEME_DESIGNATOR).unwrap_or_default(),
                    version: item.text(tags::CODING_SCHEME_VERSION),
                    meaning: item.text(tags::CODE_MEANING).unwrap_or_default(),
                })
            })
            .collect()
    }
}

/// The item that one entry tells; `None` if it has no patient ID.
pub fn item_of(entry: &DataSet, reading: &Reading) -> Option<Item> {
    let sets = reading.sets(entry);
    let top = Texts { set: entry, sets: &sets };
    let id =
        PatientId { id: top.text(tags::PATIENT_ID)?, issuer: top.text(tags::ISSUER_OF_PATIENT_ID) };
    let patient = Patient {
        id: Some(id),
        name: top.text(tags::PATIENT_NAME).and_then(|name| PersonName::new(&name)),
        birth_date: top.first(tags::PATIENT_BIRTH_DATE).and_then(|d| BirthDate::parse(&d)),
        sex: top.first(tags::PATIENT_SEX).map_or(Sex::Unknown, |sex| Sex::parse(&sex)),
    };
    let qualifiers = top.items(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, 1).next();
    let issuer_universal = qualifiers.and_then(|item| {
        let kind = item.text(tags::UNIVERSAL_ENTITY_ID_TYPE).unwrap_or_default();
        Some((item.text(tags::UNIVERSAL_ENTITY_ID)?, kind))
    });
    let issuer = |item: Texts<'_>| {
        item.text(tags::LOCAL_NAMESPACE_ENTITY_ID).or_else(|| item.text(tags::UNIVERSAL_ENTITY_ID))
    };
    let number_issuer =
        top.items(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, 1).next().and_then(issuer);
    Some(Item {
        patient,
        issuer_universal,
        accession_number: top
            .text(tags::ACCESSION_NUMBER)
            .map(|number| AccessionNumber { number, issuer: number_issuer }),
        requested_procedure_id: top.text(tags::REQUESTED_PROCEDURE_ID),
        requested_procedure_description: top.text(tags::REQUESTED_PROCEDURE_DESCRIPTION),
        requested_procedure_codes: top.codes(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE),
        reason: top.text(tags::REASON_FOR_THE_REQUESTED_PROCEDURE),
        study_uid: entry.uid(tags::STUDY_INSTANCE_UID),
        referring_physician: top.text(tags::REFERRING_PHYSICIAN_NAME),
        requesting_physician: top.text(tags::REQUESTING_PHYSICIAN),
        requesting_service: top.text(tags::REQUESTING_SERVICE),
        admission_id: top.text(tags::ADMISSION_ID),
        admission_issuer: top
            .items(tags::ISSUER_OF_ADMISSION_ID_SEQUENCE, 1)
            .next()
            .and_then(issuer),
        referenced_studies: referenced_studies(entry),
        steps: top
            .items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, STEP_LIMIT)
            .filter_map(|item| step(&item, reading))
            .collect(),
    })
}

/// A reference without a valid class and instance is left out.
fn referenced_studies(entry: &DataSet) -> Vec<(Uid, Uid)> {
    let items = entry.items(tags::REFERENCED_STUDY_SEQUENCE).iter().take(STUDY_LIMIT);
    let uids = |item: &DataSet| {
        Some((
            item.uid(tags::REFERENCED_SOP_CLASS_UID)?,
            item.uid(tags::REFERENCED_SOP_INSTANCE_UID)?,
        ))
    };
    items.filter_map(uids).collect()
}

/// One step; `None` for an item that holds nothing.
fn step(item: &Texts<'_>, reading: &Reading) -> Option<Step> {
    let stations: Vec<AeTitle> = item
        .text(tags::SCHEDULED_STATION_AE_TITLE)
        .map(|text| text.split('\\').filter_map(|title| AeTitle::new(title).ok()).collect())
        .unwrap_or_default();
    let ours = stations.iter().find(|title| reading.stations.contains(title)).cloned();
    let step = Step {
        id: item.text(tags::SCHEDULED_PROCEDURE_STEP_ID),
        description: item.text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION),
        protocol_codes: item.codes(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE),
        modality: item.first(tags::MODALITY),
        station: ours.or_else(|| stations.into_iter().next()),
        start_date: item.first(tags::SCHEDULED_PROCEDURE_STEP_START_DATE),
        start_time: item.first(tags::SCHEDULED_PROCEDURE_STEP_START_TIME),
        status: item.first(tags::SCHEDULED_PROCEDURE_STEP_STATUS).map(|s| s.to_ascii_uppercase()),
    };
    (step != Step::default()).then_some(step)
}
