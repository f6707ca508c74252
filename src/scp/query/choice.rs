//! Levels of the query/retrieve models, and what a request names (PS3.4 C.2.2, C.4.1.2, C.4.2.2).
//!
//! Invariant: a retrieval that does not name what it wants at its level is refused; it never means everything.

use std::sync::Arc;

use dicom_dictionary_std::{tags, uids};

use crate::dicom::{DataSet, Tag, Uid};
use crate::dimse::Remark;
use crate::forward::HeldStudy;

/// UIDs of one key.
const UIDS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Patient,
    Study,
    Series,
    Image,
}

impl Level {
    /// The level that an identifier names, if its model has it.
    pub(super) fn of(class: &Uid, identifier: &DataSet) -> Result<Self, Remark> {
        let told = identifier.text(tags::QUERY_RETRIEVE_LEVEL).unwrap_or_default();
        let patient_root = [
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET,
            uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE,
        ];
        match told.trim() {
            "PATIENT" if patient_root.contains(&class.as_str()) => Ok(Self::Patient),
            "STUDY" => Ok(Self::Study),
            "SERIES" => Ok(Self::Series),
            "IMAGE" => Ok(Self::Image),
            _ => Err(wrong(tags::QUERY_RETRIEVE_LEVEL, "this is no level of the model")),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Patient => "PATIENT",
            Self::Study => "STUDY",
            Self::Series => "SERIES",
            Self::Image => "IMAGE",
        }
    }

    /// The unique keys above the level are single values (PS3.4 C.4.1.2.1).
    pub(super) fn check_keys(self, identifier: &DataSet) -> Result<(), Remark> {
        let above: &[Tag] = match self {
            Self::Patient | Self::Study => &[],
            Self::Series => &[tags::STUDY_INSTANCE_UID],
            Self::Image => &[tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID],
        };
        above.iter().try_for_each(|tag| match uids_of(identifier, *tag)?.as_slice() {
            [_] => Ok(()),
            _ => Err(wrong(*tag, "a query below the study names what is above it")),
        })
    }
}

fn wrong(tag: Tag, comment: &str) -> Remark {
    Remark { comment: comment.to_owned(), offending: Some(tag) }
}

fn uids_of(identifier: &DataSet, tag: Tag) -> Result<Vec<Uid>, Remark> {
    let text = identifier.text(tag).unwrap_or_default();
    let values = text.split('\\').map(str::trim).filter(|value| !value.is_empty());
    let uids: Result<Vec<Uid>, _> = values.take(UIDS + 1).map(Uid::new).collect();
    let uids = uids.map_err(|_| wrong(tag, "the key is no list of UIDs"))?;
    if uids.len() > UIDS {
        return Err(wrong(tag, "too many UIDs"));
    }
    Ok(uids)
}

/// Instances of one held study, by their places.
pub(super) type Chosen = (Arc<HeldStudy>, Vec<usize>);

/// What a retrieval names. Blocking.
pub(super) fn chosen(
    class: &Uid,
    identifier: &DataSet,
    held: Vec<Arc<HeldStudy>>,
) -> Result<Vec<Chosen>, Remark> {
    let level = Level::of(class, identifier)?;
    let named = |tag| {
        let uids = uids_of(identifier, tag)?;
        if uids.is_empty() { Err(wrong(tag, "a retrieval names what it wants")) } else { Ok(uids) }
    };
    let patient = identifier.text(tags::PATIENT_ID).filter(|id| !id.trim().is_empty());
    let (mut studies, mut series, mut instances) = (None, None, None);
    match level {
        Level::Patient if patient.is_none() => {
            return Err(wrong(tags::PATIENT_ID, "a retrieval names what it wants"));
        }
        Level::Patient => {}
        Level::Study => studies = Some(named(tags::STUDY_INSTANCE_UID)?),
        Level::Series => {
            studies = Some(named(tags::STUDY_INSTANCE_UID)?);
            series = Some(named(tags::SERIES_INSTANCE_UID)?);
        }
        Level::Image => {
            studies = Some(named(tags::STUDY_INSTANCE_UID)?);
            series = Some(uids_of(identifier, tags::SERIES_INSTANCE_UID)?);
            series = series.filter(|uids| !uids.is_empty());
            instances = Some(named(tags::SOP_INSTANCE_UID)?);
        }
    }
    let has = |uids: &Option<Vec<Uid>>, uid: &Uid| uids.as_ref().is_none_or(|u| u.contains(uid));
    let mut chosen = Vec::new();
    for study in held {
        if !has(&studies, &study.study) {
            continue;
        }
        if level == Level::Patient && !is_of(&study, patient.as_deref()) {
            continue;
        }
        let places: Vec<usize> = (0..study.instances.len())
            .filter(|at| {
                study.instances.get(*at).is_some_and(|(_, instance)| {
                    has(&series, &instance.series) && has(&instances, &instance.sop_instance)
                })
            })
            .collect();
        if !places.is_empty() {
            chosen.push((study, places));
        }
    }
    Ok(chosen)
}

/// Whether a study is filed under this patient ID.
fn is_of(study: &HeldStudy, patient: Option<&str>) -> bool {
    let Ok(header) = study.header(0) else { return false };
    let id = header.text_in(tags::PATIENT_ID, &header.character_sets());
    id.as_deref().map(str::trim) == patient.map(str::trim)
}
