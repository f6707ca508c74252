//! What a PACS holds already: the study for somebody else, or an instance that it calls a duplicate (PS3.4 C.4.1).
//!
//! Invariants: an answer that is not about the study asked for counts for nothing, since peers ignore keys; a
//! patient without ID, or with another one, is another patient; no sentence names a patient or a study.

use dicom_dictionary_std::{tags, uids};

use super::Existing;
use crate::dicom::{CharacterSets, DataSet, PatientId, Uid, VR};
use crate::dimse::{self, Client, Proposed, Remote, StatusClass};

/// A PACS holds a study once; one that has it under several patients has few.
const LIMIT: usize = 64;

/// Whom to ask, and what follows if it cannot be asked.
#[derive(Clone, Debug, Default)]
pub struct Check {
    pub existing: Existing,
    /// Who answers queries, if it is not the one that objects are sent to: name and address.
    pub query: Option<(String, Remote)>,
}

/// What a PACS says of a study or an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    Not,
    /// For this patient.
    Ours,
    /// For another patient, or for nobody.
    Foreign,
    /// It could answer, but not now; why, as a sentence.
    Busy(String),
    /// It does not answer such questions; why, as a sentence.
    Unknown(String),
}

/// What is asked for: a study, or one instance of it by series and instance.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) study: &'a Uid,
    pub(super) instance: Option<(&'a Uid, &'a Uid)>,
}

/// Asks one peer about a study on an association of its own.
///
/// # Errors
/// [`dimse::Error`] if the association did not come to be or broke.
pub async fn ask(
    remote: &Remote,
    study: &Uid,
    patient: Option<&PatientId>,
) -> Result<Held, dimse::Error> {
    dimse::call(remote, &contexts(), async |client: &mut Client| {
        of_subject(client, Subject { study, instance: None }, patient).await
    })
    .await
}

/// Study Root Query. Verification beside it, since some peers abort an association of which they take nothing.
pub(super) fn contexts() -> Vec<Proposed> {
    let known = |uid: &str| Uid::new(uid).ok();
    let syntaxes = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let classes = [FIND, uids::VERIFICATION];
    let proposed = |class| {
        let transfer_syntaxes = syntaxes.iter().filter_map(|uid| known(uid)).collect();
        Some(Proposed { sop_class: known(class)?, transfer_syntaxes })
    };
    classes.into_iter().filter_map(proposed).collect()
}

const FIND: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;

const NOT_TAKEN: &str = "it takes no study queries (C-FIND, study root)";

/// The same on an association that stands.
pub(super) async fn of_subject(
    client: &mut Client,
    subject: Subject<'_>,
    patient: Option<&PatientId>,
) -> Result<Held, dimse::Error> {
    let Ok(class) = Uid::new(FIND) else {
        return Ok(Held::Unknown(NOT_TAKEN.to_owned()));
    };
    let found = match client.find(&class, &identifier(subject), LIMIT).await {
        Ok(found) => found,
        Err(dimse::Error::ContextRefused { .. }) => {
            return Ok(Held::Unknown(NOT_TAKEN.to_owned()));
        }
        // Some accept every class they are offered and hang up when it is used. Waiting for them would be for ever.
        Err(
            error @ (dimse::Error::Closed(_)
            | dimse::Error::Released(_)
            | dimse::Error::Aborted(_)
            | dimse::Error::Protocol { .. }),
        ) => return Ok(Held::Unknown(format!("it accepted the query, but {error}"))),
        Err(error) => return Err(error),
    };
    let held = judge(&found.identifiers, subject, patient);
    match found.status.class() {
        // Somebody else's is somebody else's, however the answer ended.
        _ if held == Held::Foreign => Ok(Held::Foreign),
        StatusClass::Success | StatusClass::Warning if !found.cut => Ok(held),
        StatusClass::Success | StatusClass::Warning | StatusClass::Cancelled => {
            Ok(Held::Unknown("its answer was not whole".to_owned()))
        }
        StatusClass::Retry | StatusClass::RetryFewTimes => Ok(Held::Busy(found.status.sentence())),
        StatusClass::Pending | StatusClass::Duplicate | StatusClass::Permanent => {
            Ok(Held::Unknown(found.status.sentence()))
        }
    }
}

/// Every unique key above and at the level, and what is wanted back (PS3.4 C.6.2.1).
fn identifier(subject: Subject<'_>) -> DataSet {
    let mut asked = DataSet::default();
    let mut put = |tag, vr, text: &str| asked.put_bytes(tag, vr, text.as_bytes().to_vec());
    let level = if subject.instance.is_some() { "IMAGE" } else { "STUDY" };
    put(tags::QUERY_RETRIEVE_LEVEL, VR::CS, level);
    put(tags::STUDY_INSTANCE_UID, VR::UI, subject.study.as_str());
    match subject.instance {
        Some((series, instance)) => {
            put(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str());
            put(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str());
        }
        None => {
            put(tags::PATIENT_ID, VR::LO, "");
            put(tags::ISSUER_OF_PATIENT_ID, VR::LO, "");
        }
    }
    asked
}

/// What the matches amount to. An instance is judged by being there; its patient is that of the study.
fn judge(matches: &[DataSet], subject: Subject<'_>, patient: Option<&PatientId>) -> Held {
    let tag =
        if subject.instance.is_some() { tags::SOP_INSTANCE_UID } else { tags::STUDY_INSTANCE_UID };
    let wanted = subject.instance.map_or(subject.study, |(_, instance)| instance);
    let mut about =
        matches.iter().filter(|found| found.uid(tag).as_ref() == Some(wanted)).peekable();
    if about.peek().is_none() {
        return Held::Not;
    }
    let ours = |found: &DataSet| subject.instance.is_some() || is_patient(found, patient);
    if about.all(ours) { Held::Ours } else { Held::Foreign }
}

fn is_patient(found: &DataSet, patient: Option<&PatientId>) -> bool {
    let sets: CharacterSets = found.character_sets();
    let text = |tag| found.text_in(tag, &sets).map(|text| text.trim().to_owned());
    let (Some(id), Some(patient)) = (text(tags::PATIENT_ID), patient) else {
        return false;
    };
    let issuers = (text(tags::ISSUER_OF_PATIENT_ID), patient.issuer.as_deref().map(str::trim));
    let differ = matches!(&issuers, (Some(theirs), Some(ours)) if theirs != ours);
    id == patient.id.trim() && !differ
}

/// What a person reads of a study that is held.
pub(super) fn sentence(destination: &str) -> String {
    format!(
        "{destination} holds this study for another patient; compare both there, then decide the study for \
         the patient that is right, or correct {destination} and press retry"
    )
}

#[cfg(test)]
mod tests;
