//! Query and retrieval of what is still held (PS3.4 annex C): for a PACS, and for a look before anything is sent.
//!
//! Invariants: only studies that were decided are seen, and only as they would be delivered: coerced by their plan;
//! an answer that was cut ends with a failure; a C-MOVE goes to a peer of the configuration or nowhere.

mod choice;
mod hand_over;

use std::collections::BTreeSet;
use std::sync::Arc;

use dicom_dictionary_std::{tags, uids};

use super::worklist::Sieve;
use crate::dicom::{AeTitle, CharacterSets, DataSet, Uid, VR};
use crate::dimse::{self, Find, Flow, Remark, ServerAssociation, Status};
use crate::forward::HeldStudy;

pub(super) use hand_over::hand_over;

use choice::Level;

/// Matches of one query: a week's imports of a large site stay below.
const ANSWERS: usize = 10_000;

/// What is held, for the blocking pool.
pub(super) type Held = Box<dyn FnOnce() -> Vec<Arc<HeldStudy>> + Send>;

/// Whether a query is about studies that are held.
pub(super) fn is_about_held(find: &Find) -> bool {
    [
        uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
        uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
    ]
    .contains(&find.sop_class.as_str())
}

/// Answers one query, to its final status.
pub(super) async fn answer(
    association: &mut ServerAssociation,
    find: &Find,
    held: Held,
    us: &AeTitle,
) -> Result<(), dimse::Error> {
    let asked = Sieve::parse(find).and_then(|sieve| {
        let level = Level::of(&find.sop_class, &find.identifier)?;
        level.check_keys(&find.identifier)?;
        Ok((sieve, level))
    });
    let (sieve, level) = match asked {
        Ok(asked) => asked,
        Err(remark) => {
            tracing::warn!(tag = ?remark.offending, "query refused: {}", remark.comment);
            let status = Status::DOES_NOT_MATCH_CLASS;
            return association.refuse_find(find, status, remark).await;
        }
    };
    let us = us.clone();
    let work = move || {
        let found = select(&sieve, level, &held(), &us);
        (sieve.pending(), found.iter().map(|set| sieve.reply(set)).collect::<Vec<_>>())
    };
    let Ok((pending, matches)) = tokio::task::spawn_blocking(work).await else {
        let comment = "the query could not be processed".to_owned();
        let remark = Remark { comment, offending: None };
        return association.refuse_find(find, Status::CANNOT_UNDERSTAND, remark).await;
    };
    for set in matches.iter().take(ANSWERS) {
        if association.respond_match_as(find, set, pending).await? == Flow::Cancelled {
            return association.respond_find(find, Status::CANCELLED).await;
        }
    }
    tracing::info!(matches = matches.len().min(ANSWERS), "query of held studies answered");
    if matches.len() > ANSWERS {
        let comment = "too many matches, the rest is missing; narrow the query".to_owned();
        let remark = Remark { comment, offending: None };
        return association.refuse_find(find, Status::OUT_OF_RESOURCES, remark).await;
    }
    association.respond_find(find, Status::SUCCESS).await
}

/// What fits, at most one more than is answered. Blocking.
fn select(sieve: &Sieve, level: Level, held: &[Arc<HeldStudy>], us: &AeTitle) -> Vec<DataSet> {
    let named = |tag, uid: &Uid| {
        sieve.uids(tag).is_none_or(|uids| uids.iter().any(|known| known == uid.as_str()))
    };
    let mut found: Vec<DataSet> = Vec::new();
    let mut seen = BTreeSet::new();
    for study in held.iter().filter(|study| named(tags::STUDY_INSTANCE_UID, &study.study)) {
        for (at, (_, instance)) in study.instances.iter().enumerate() {
            if found.len() > ANSWERS {
                return found;
            }
            if !named(tags::SERIES_INSTANCE_UID, &instance.series)
                || !named(tags::SOP_INSTANCE_UID, &instance.sop_instance)
            {
                continue;
            }
            // One header stands for all that are the same at this level.
            let same = match level {
                Level::Patient | Level::Study => study.study.clone(),
                Level::Series => instance.series.clone(),
                Level::Image => instance.sop_instance.clone(),
            };
            if !seen.insert(same) {
                continue;
            }
            let Ok(mut set) = study.header(at) else {
                tracing::warn!("a held object could not be read for a query");
                continue;
            };
            set.re_encode(&CharacterSets::utf8());
            count(&mut set, level, &study.study, &instance.series, held, us);
            if sieve.fits(&set) && !(level == Level::Patient && is_known(&found, &set)) {
                found.push(set);
            }
        }
    }
    found
}

/// Whether the patient was found already.
fn is_known(found: &[DataSet], set: &DataSet) -> bool {
    let identity =
        |set: &DataSet| (set.text(tags::PATIENT_ID), set.text(tags::ISSUER_OF_PATIENT_ID));
    found.iter().any(|known| identity(known) == identity(set))
}

/// Adds what no object tells by itself.
fn count(
    set: &mut DataSet,
    level: Level,
    study: &Uid,
    series: &Uid,
    held: &[Arc<HeldStudy>],
    us: &AeTitle,
) {
    let instances = || {
        let of_study = held.iter().filter(|held| held.study == *study);
        of_study.flat_map(|held| held.instances.iter().map(|(_, instance)| instance))
    };
    let sets = CharacterSets::utf8();
    let mut put = |tag, vr, text: &str| {
        // Digits and titles have a place in every set.
        let _ = set.put_text(tag, vr, text, &sets);
    };
    put(tags::QUERY_RETRIEVE_LEVEL, VR::CS, level.name());
    put(tags::RETRIEVE_AE_TITLE, VR::AE, us.as_str());
    match level {
        Level::Patient | Level::Image => {}
        Level::Study => {
            let series: BTreeSet<&Uid> = instances().map(|instance| &instance.series).collect();
            let classes: BTreeSet<&str> =
                instances().map(|instance| instance.sop_class.as_str()).collect();
            let of_study = held.iter().filter(|held| held.study == *study);
            let modalities: BTreeSet<&str> =
                of_study.flat_map(|held| held.modalities.iter().map(String::as_str)).collect();
            let joined = |values: BTreeSet<&str>| values.into_iter().collect::<Vec<_>>().join("\\");
            let number = |count: usize| count.to_string();
            put(tags::NUMBER_OF_STUDY_RELATED_SERIES, VR::IS, &number(series.len()));
            put(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS, &number(instances().count()));
            put(tags::SOP_CLASSES_IN_STUDY, VR::UI, &joined(classes));
            put(tags::MODALITIES_IN_STUDY, VR::CS, &joined(modalities));
        }
        Level::Series => {
            let of_series = instances().filter(|instance| instance.series == *series).count();
            put(tags::NUMBER_OF_SERIES_RELATED_INSTANCES, VR::IS, &of_series.to_string());
        }
    }
}

#[cfg(test)]
mod tests;
