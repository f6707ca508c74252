//! Which record an object gets, and the keys that it has to have (PS3.3 F.4 and F.5).

use std::path::Path;

use dicom_dictionary_std::tags;

use super::directory::copied;
use super::header_of;
use crate::dicom::{DataSet, Tag, VR};

/// Of a PRIVATE record, since there is no better one for classes that nobody knows (PS3.3 F.6.1).
const PRIVATE_RECORD: &str = "2.25.329800735698586629295641978511506172918";

/// An object with its records from the patient down, each with what tells it from others.
pub(super) struct Object {
    pub(super) records: [(String, DataSet); 4],
}

/// How a key has to be there.
#[derive(Clone, Copy)]
enum Key {
    /// Type 1: what is missing is made up, as it is for all who write media.
    Full(Tag, VR, &'static str),
    /// Type 2: empty if there is nothing.
    Known(Tag, VR),
    /// Types 1C and 3, sequences of type 1: if it is there.
    Given(Tag),
}

use Key::{Full, Given, Known};

const NUMBER: Key = Full(tags::INSTANCE_NUMBER, VR::IS, "1");
const DATE: Key = Full(tags::CONTENT_DATE, VR::DA, "19000101");
const TIME: Key = Full(tags::CONTENT_TIME, VR::TM, "000000");

const PATIENT: &[Key] =
    &[Known(tags::PATIENT_NAME, VR::PN), Full(tags::PATIENT_ID, VR::LO, "UNKNOWN")];
const STUDY: &[Key] = &[
    Full(tags::STUDY_DATE, VR::DA, "19000101"),
    Full(tags::STUDY_TIME, VR::TM, "000000"),
    Known(tags::ACCESSION_NUMBER, VR::SH),
    Known(tags::STUDY_DESCRIPTION, VR::LO),
    Given(tags::STUDY_INSTANCE_UID),
    Full(tags::STUDY_ID, VR::SH, "1"),
];
const SERIES: &[Key] = &[
    Full(tags::MODALITY, VR::CS, "OT"),
    Given(tags::SERIES_INSTANCE_UID),
    Full(tags::SERIES_NUMBER, VR::IS, "1"),
    Given(tags::SERIES_DESCRIPTION),
];
const IMAGE: &[Key] = &[NUMBER, Given(tags::IMAGE_TYPE), Given(tags::NUMBER_OF_FRAMES)];
const DOSE: &[Key] =
    &[NUMBER, Full(tags::DOSE_SUMMATION_TYPE, VR::CS, "PLAN"), Given(tags::DOSE_COMMENT)];
const STRUCTURES: &[Key] = &[
    NUMBER,
    Full(tags::STRUCTURE_SET_LABEL, VR::SH, "UNKNOWN"),
    Known(tags::STRUCTURE_SET_DATE, VR::DA),
    Known(tags::STRUCTURE_SET_TIME, VR::TM),
];
const RT_PLAN: &[Key] = &[
    NUMBER,
    Full(tags::RT_PLAN_LABEL, VR::SH, "UNKNOWN"),
    Known(tags::RT_PLAN_DATE, VR::DA),
    Known(tags::RT_PLAN_TIME, VR::TM),
];
const TREATMENT: &[Key] =
    &[NUMBER, Known(tags::TREATMENT_DATE, VR::DA), Known(tags::TREATMENT_TIME, VR::TM)];
const PRESENTATION: &[Key] = &[
    Full(tags::PRESENTATION_CREATION_DATE, VR::DA, "19000101"),
    Full(tags::PRESENTATION_CREATION_TIME, VR::TM, "000000"),
    NUMBER,
    Full(tags::CONTENT_LABEL, VR::CS, "UNKNOWN"),
    Known(tags::CONTENT_DESCRIPTION, VR::LO),
    Known(tags::CONTENT_CREATOR_NAME, VR::PN),
    Given(tags::REFERENCED_SERIES_SEQUENCE),
];
const WAVEFORM: &[Key] = &[NUMBER, DATE, TIME];
const REPORT: &[Key] = &[
    NUMBER,
    Full(tags::COMPLETION_FLAG, VR::CS, "PARTIAL"),
    Full(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED"),
    DATE,
    TIME,
    Given(tags::VERIFICATION_DATE_TIME),
    Given(tags::CONCEPT_NAME_CODE_SEQUENCE),
];
const SELECTION: &[Key] = &[NUMBER, DATE, TIME, Given(tags::CONCEPT_NAME_CODE_SEQUENCE)];
const SPECTROSCOPY: &[Key] = &[
    Given(tags::IMAGE_TYPE),
    DATE,
    TIME,
    NUMBER,
    Given(tags::REFERENCED_IMAGE_EVIDENCE_SEQUENCE),
    Given(tags::NUMBER_OF_FRAMES),
    Given(tags::ROWS),
    Given(tags::COLUMNS),
    Given(tags::DATA_POINT_ROWS),
    Given(tags::DATA_POINT_COLUMNS),
];
const RAW: &[Key] = &[DATE, TIME, Known(tags::INSTANCE_NUMBER, VR::IS)];
const LABELLED: &[Key] = &[
    DATE,
    TIME,
    NUMBER,
    Full(tags::CONTENT_LABEL, VR::CS, "UNKNOWN"),
    Known(tags::CONTENT_DESCRIPTION, VR::LO),
    Known(tags::CONTENT_CREATOR_NAME, VR::PN),
];
const DOCUMENT: &[Key] = &[
    Known(tags::CONTENT_DATE, VR::DA),
    Known(tags::CONTENT_TIME, VR::TM),
    NUMBER,
    Known(tags::DOCUMENT_TITLE, VR::ST),
    Known(tags::CONCEPT_NAME_CODE_SEQUENCE, VR::SQ),
    Full(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, VR::LO, "application/octet-stream"),
];

const CLINICAL_DOCUMENT: &[Key] = &[
    Known(tags::CONTENT_DATE, VR::DA),
    Known(tags::CONTENT_TIME, VR::TM),
    NUMBER,
    Known(tags::DOCUMENT_TITLE, VR::ST),
    Full(tags::HL7_INSTANCE_IDENTIFIER, VR::ST, "UNKNOWN"),
    Known(tags::CONCEPT_NAME_CODE_SEQUENCE, VR::SQ),
    Full(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, VR::LO, "text/XML"),
];

/// Type and keys of the record for an object of this class (PS3.3 table F.4-1, F.5).
fn kind(sop_class: &str, header: &DataSet, has_pixels: bool) -> (&'static str, &'static [Key]) {
    let under = |root: &str| {
        sop_class.strip_prefix("1.2.840.10008.5.1.4.1.1.").is_some_and(|rest| {
            rest == root || rest.strip_prefix(root).is_some_and(|more| more.starts_with('.'))
        })
    };
    let any = |roots: &[&str]| roots.iter().any(|root| under(root));
    match () {
        () if under("481.2") => ("RT DOSE", DOSE),
        () if under("481.3") => ("RT STRUCTURE SET", STRUCTURES),
        () if any(&["481.5", "481.8"]) => ("RT PLAN", RT_PLAN),
        () if any(&["481.4", "481.6", "481.7", "481.9"]) => ("RT TREAT RECORD", TREATMENT),
        () if under("11") => ("PRESENTATION", PRESENTATION),
        () if under("9") => ("WAVEFORM", WAVEFORM),
        () if under("88.59") => ("KEY OBJECT DOC", SELECTION),
        () if under("88") => ("SR DOCUMENT", REPORT),
        () if under("4.2") => ("SPECTROSCOPY", SPECTROSCOPY),
        // Segmentations: of pixels, label maps, height maps.
        () if any(&["66.4", "66.7", "66.8"]) => ("IMAGE", IMAGE),
        () if under("66.5") => ("SURFACE", LABELLED),
        () if under("66.6") => ("TRACT", LABELLED),
        () if any(&["66.1", "66.3"]) => ("REGISTRATION", LABELLED),
        () if under("66.2") => ("FIDUCIAL", LABELLED),
        () if under("66") => ("RAW DATA", RAW),
        () if under("67") => ("VALUE MAP", LABELLED),
        () if under("104.2") => ("ENCAP DOC", CLINICAL_DOCUMENT),
        () if under("104") => ("ENCAP DOC", DOCUMENT),
        () if under("77.1.5.3") => ("STEREOMETRIC", LABELLED),
        () if any(&["78", "79", "80"]) => ("MEASUREMENT", WAVEFORM),
        () if has_pixels || header.get(tags::ROWS).is_some() => ("IMAGE", IMAGE),
        () => ("PRIVATE", &[]),
    }
}

/// The records of a file; `None` if it is not an object that belongs into a file-set.
pub(super) fn read(path: &Path, id: &[String; 3]) -> Option<Object> {
    let (header, scanned) = header_of(path)?;
    let (class, instance) = (scanned.meta.sop_class?, scanned.meta.sop_instance?);
    let patient = header.text(tags::PATIENT_ID).unwrap_or_else(|| "UNKNOWN".to_owned());
    let study = header.uid(tags::STUDY_INSTANCE_UID)?.to_string();
    let series = header.uid(tags::SERIES_INSTANCE_UID)?.to_string();
    let has_pixels = scanned.layout.pixel_data.is_some();
    let (name, keys) = kind(class.as_str(), &header, has_pixels);
    let mut leaf = record(&header, name, keys);
    let syntax = scanned.layout.transfer_syntax;
    for (tag, vr, value) in [
        (tags::REFERENCED_FILE_ID, VR::CS, id.join("\\")),
        (tags::REFERENCED_SOP_CLASS_UID_IN_FILE, VR::UI, class.to_string()),
        (tags::REFERENCED_SOP_INSTANCE_UID_IN_FILE, VR::UI, instance.to_string()),
        (tags::REFERENCED_TRANSFER_SYNTAX_UID_IN_FILE, VR::UI, syntax.to_string()),
    ] {
        leaf.put_bytes(tag, vr, value.into_bytes());
    }
    if name == "PRIVATE" {
        leaf.put_bytes(tags::PRIVATE_RECORD_UID, VR::UI, PRIVATE_RECORD.as_bytes().to_vec());
    }
    Some(Object {
        records: [
            (patient, record(&header, "PATIENT", PATIENT)),
            (study, record(&header, "STUDY", STUDY)),
            (series, record(&header, "SERIES", SERIES)),
            (instance.to_string(), leaf),
        ],
    })
}

/// Values stand as they do in the object, under its character set.
fn record(header: &DataSet, name: &str, keys: &[Key]) -> DataSet {
    let mut data = DataSet::default();
    data.put_bytes(tags::DIRECTORY_RECORD_TYPE, VR::CS, name.as_bytes().to_vec());
    if let Some(sets) = copied(header, tags::SPECIFIC_CHARACTER_SET) {
        data.insert(tags::SPECIFIC_CHARACTER_SET, sets);
    }
    for key in keys {
        let (tag, missing) = match key {
            Full(tag, vr, value) => (*tag, Some((*vr, *value))),
            Known(tag, vr) => (*tag, Some((*vr, ""))),
            Given(tag) => (*tag, None),
        };
        if let Some(element) = copied(header, tag) {
            data.insert(tag, element);
        } else if let Some((vr, value)) = missing {
            match vr {
                VR::SQ => data.put_items(tag, vec![]),
                vr => data.put_bytes(tag, vr, value.as_bytes().to_vec()),
            }
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segmentations_are_images() {
        for (class, expected) in [
            ("66.4", "IMAGE"),
            ("66.7", "IMAGE"),
            ("66.8", "IMAGE"),
            ("66.5", "SURFACE"),
            ("66", "RAW DATA"),
        ] {
            let class = format!("1.2.840.10008.5.1.4.1.1.{class}");
            assert_eq!(kind(&class, &DataSet::default(), false).0, expected, "{class}");
        }
    }
}
