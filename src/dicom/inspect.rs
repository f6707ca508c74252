//! From a scanned header to the facts that the gateway works with.
//!
//! Invariant: what is missing or unreadable is absent, never a guess; an object whose header can't be read to
//! the end is refused. UIDs of study, series and instance that are missing or none are derived from the header:
//! the same bytes give the same UIDs, so importing them again adds nothing.

mod derive;

#[cfg(test)]
mod tests;

use dicom_dictionary_std::tags;

use super::{
    AccessionNumber, BirthDate, CharacterSets, DataSet, Layout, Patient, PatientId, PersonName,
    Sex, StudyFacts, Tag, Uid, scan,
};

/// Other names of one patient that are looked at.
const OTHER_NAME_LIMIT: usize = 8;

/// One object as inspection found it, before it has a place in the spool's books.
pub struct Found {
    pub sop_class: Uid,
    pub sop_instance: Uid,
    pub series: Uid,
    pub layout: Layout,
    pub facts: StudyFacts,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the object has no valid {0}; ask the sender to export the study again")]
    NoUid(&'static str),
    #[error(transparent)]
    Scan(#[from] scan::Error),
}

/// Takes UIDs and study facts from the header. SOP class and instance may come from the file meta group.
pub fn inspect(scan: scan::Scan) -> Result<Found, Error> {
    let syntax = scan.layout.syntax();
    // The whole of it, so that nothing which passed here fails to be read when it is coerced.
    let data_set = DataSet::read(&scan.header, syntax)?;
    let (uids, derived) = derive::uids(&data_set, &scan.meta, &scan.header)?;
    let layout = Layout { derived, ..scan.layout };
    Ok(Found {
        sop_class: uids.sop_class,
        sop_instance: uids.sop_instance,
        series: uids.series,
        layout,
        facts: facts(&data_set, uids.study),
    })
}

fn facts(data_set: &DataSet, study_uid: Uid) -> StudyFacts {
    let sets = data_set.character_sets();
    let text = |tag| data_set.text_in(tag, &sets);
    StudyFacts {
        study_uid,
        patient: Patient {
            id: patient_id(data_set, &sets),
            name: text(tags::PATIENT_NAME).and_then(|name| PersonName::new(&name)),
            birth_date: text(tags::PATIENT_BIRTH_DATE).and_then(|date| BirthDate::parse(&date)),
            sex: text(tags::PATIENT_SEX).map_or(Sex::Unknown, |sex| Sex::parse(&sex)),
        },
        other_ids: data_set
            .items(tags::OTHER_PATIENT_I_DS_SEQUENCE)
            .iter()
            .filter_map(|item| patient_id(item, &item.character_sets_within(&sets)))
            .collect(),
        other_names: other_names(&text),
        accession_number: text(tags::ACCESSION_NUMBER).map(|number| AccessionNumber {
            number,
            issuer: data_set
                .items(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE)
                .first()
                .and_then(|item| issuer(item, &item.character_sets_within(&sets))),
        }),
        study_date: text(tags::STUDY_DATE),
        study_description: text(tags::STUDY_DESCRIPTION),
        modality: text(tags::MODALITY),
        body_part: text(tags::BODY_PART_EXAMINED),
        institution: text(tags::INSTITUTION_NAME),
        identity_removed: text(tags::PATIENT_IDENTITY_REMOVED).is_some_and(|text| text == "YES"),
    }
}

/// Patient's Birth Name and Other Patient Names, as `text` reads them; no more than a person has.
pub fn other_names(text: &impl Fn(Tag) -> Option<String>) -> Vec<PersonName> {
    let told = [tags::PATIENT_BIRTH_NAME, tags::OTHER_PATIENT_NAMES].into_iter().filter_map(text);
    let names =
        told.flat_map(|names| names.split('\\').filter_map(PersonName::new).collect::<Vec<_>>());
    names.take(OTHER_NAME_LIMIT).collect()
}

fn patient_id(data_set: &DataSet, sets: &CharacterSets) -> Option<PatientId> {
    Some(PatientId {
        id: data_set.text_in(tags::PATIENT_ID, sets)?,
        issuer: data_set.text_in(tags::ISSUER_OF_PATIENT_ID, sets),
    })
}

/// Of the HL7v2 hierarchic designator (PS3.3 table 10-17): the local name, or else the universal one.
fn issuer(item: &DataSet, sets: &CharacterSets) -> Option<String> {
    item.text_in(tags::LOCAL_NAMESPACE_ENTITY_ID, sets)
        .or_else(|| item.text_in(tags::UNIVERSAL_ENTITY_ID, sets))
}
