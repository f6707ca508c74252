//! UIDs for objects that lack them (PS3.5 9).

use dicom_dictionary_std::tags;

use super::Error;
use crate::dicom::scan::Meta;
use crate::dicom::{DataSet, DerivedUid, Tag, Uid};

/// What every object is known by.
pub(super) struct Uids {
    pub(super) sop_class: Uid,
    pub(super) sop_instance: Uid,
    pub(super) series: Uid,
    pub(super) study: Uid,
}

/// Takes the UIDs from the header, class and instance also from the meta group; the others are derived from
/// what tells one study, series or instance from another.
///
/// # Errors
/// If the class is missing, which nothing tells, or both the study and everything about its patient.
pub(super) fn uids(
    data_set: &DataSet,
    meta: &Meta,
    header: &[u8],
) -> Result<(Uids, Vec<DerivedUid>), Error> {
    let mut derived = Vec::new();
    let mut missing = |which| derived.push(which);
    let sop_class = match data_set.uid(tags::SOP_CLASS_UID) {
        Some(uid) => uid,
        None => {
            missing(DerivedUid::SopClass);
            meta.sop_class.clone().ok_or(Error::NoUid("SOP Class UID"))?
        }
    };
    let study = match data_set.uid(tags::STUDY_INSTANCE_UID) {
        Some(uid) => uid,
        None => {
            missing(DerivedUid::Study);
            study(data_set)?
        }
    };
    let series = match data_set.uid(tags::SERIES_INSTANCE_UID) {
        Some(uid) => uid,
        None => {
            missing(DerivedUid::Series);
            let told = [
                tags::SERIES_INSTANCE_UID,
                tags::MODALITY,
                tags::SERIES_NUMBER,
                tags::SERIES_DESCRIPTION,
            ];
            derive("series", study.as_str().as_bytes(), data_set, &told)
        }
    };
    let sop_instance = match (data_set.uid(tags::SOP_INSTANCE_UID), &meta.sop_instance) {
        (Some(uid), _) => uid,
        (None, of_meta) => {
            missing(DerivedUid::SopInstance);
            match of_meta {
                Some(uid) => uid.clone(),
                None => derive("instance", header, data_set, &[]),
            }
        }
    };
    Ok((Uids { sop_class, sop_instance, series, study }, derived))
}

fn study(data_set: &DataSet) -> Result<Uid, Error> {
    let patient = [tags::PATIENT_ID, tags::PATIENT_NAME, tags::PATIENT_BIRTH_DATE];
    if patient.iter().all(|tag| value(data_set, *tag).is_empty()) {
        return Err(Error::NoUid("Study Instance UID"));
    }
    let told = [
        tags::STUDY_INSTANCE_UID,
        tags::STUDY_DATE,
        tags::STUDY_TIME,
        tags::STUDY_ID,
        tags::ACCESSION_NUMBER,
        tags::STUDY_DESCRIPTION,
    ];
    Ok(derive("study", b"", data_set, &[&patient[..], &told[..]].concat()))
}

fn derive(what: &str, within: &[u8], data_set: &DataSet, told: &[Tag]) -> Uid {
    let mut name = format!("lotse/{what}/").into_bytes();
    name.extend_from_slice(within);
    for tag in told {
        let value = value(data_set, *tag);
        // The length keeps neighbours apart.
        name.extend_from_slice(&(value.len() as u64).to_le_bytes());
        name.extend_from_slice(value);
    }
    Uid::derived(&name)
}

fn value(data_set: &DataSet, tag: Tag) -> &[u8] {
    let bytes = data_set.get(tag).and_then(|element| element.bytes()).unwrap_or_default();
    bytes.trim_ascii_end().strip_suffix(b"\0").unwrap_or(bytes.trim_ascii_end())
}
