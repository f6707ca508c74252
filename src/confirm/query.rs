//! Looking for instances at a destination, as the weaker proof where nobody commits (PS3.4 C.4.1).
//!
//! Invariant: only an answer that is whole says that something is missing.

use std::collections::{BTreeMap, BTreeSet};

use dicom_dictionary_std::{tags, uids};

use crate::dicom::{DataSet, Uid, VR};
use crate::dimse::{self, Client, Proposed, Remote, StatusClass};

/// Instances of one series: a perfusion CT has some ten thousand.
const LIMIT: usize = 100_000;

/// What a query told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    All,
    /// These are not there.
    Missing(Vec<u32>),
    /// It could answer, but not now; why, as a sentence.
    Busy(String),
    /// It does not answer such questions; why, as a sentence.
    Unknown(String),
}

/// An instance that is looked for.
#[derive(Clone, Debug)]
pub struct Sought {
    pub number: u32,
    pub series: Uid,
    pub sop_instance: Uid,
}

/// Asks for the instances of each series, on one association.
///
/// # Errors
/// [`dimse::Error`] if the association did not come to be or broke.
pub async fn look(remote: &Remote, study: &Uid, sought: &[Sought]) -> Result<Found, dimse::Error> {
    let Ok(class) = Uid::new(FIND) else {
        return Ok(Found::Unknown(NOT_TAKEN.to_owned()));
    };
    let mut series: BTreeMap<&Uid, Vec<&Sought>> = BTreeMap::new();
    sought.iter().for_each(|one| series.entry(&one.series).or_default().push(one));
    dimse::call(remote, &contexts(), async |client: &mut Client| {
        let mut missing = Vec::new();
        for (uid, sought) in series {
            let found = match client.find(&class, &identifier(study, uid), LIMIT).await {
                Ok(found) => found,
                Err(dimse::Error::ContextRefused { .. }) => {
                    return Ok(Found::Unknown(NOT_TAKEN.to_owned()));
                }
                Err(error) => return Err(error),
            };
            match found.status.class() {
                StatusClass::Success | StatusClass::Warning if !found.cut => {}
                StatusClass::Success | StatusClass::Warning | StatusClass::Cancelled => {
                    return Ok(Found::Unknown("its answer was not whole".to_owned()));
                }
                StatusClass::Retry | StatusClass::RetryFewTimes => {
                    return Ok(Found::Busy(found.status.sentence()));
                }
                StatusClass::Pending | StatusClass::Duplicate | StatusClass::Permanent => {
                    return Ok(Found::Unknown(found.status.sentence()));
                }
            }
            let there: BTreeSet<Uid> = found
                .identifiers
                .iter()
                .filter_map(|one| one.uid(tags::SOP_INSTANCE_UID))
                .collect();
            let absent = sought.iter().filter(|one| !there.contains(&one.sop_instance));
            missing.extend(absent.map(|one| one.number));
        }
        Ok(if missing.is_empty() { Found::All } else { Found::Missing(missing) })
    })
    .await
}

const FIND: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;

const NOT_TAKEN: &str = "it takes no queries (C-FIND, study root)";

fn contexts() -> Vec<Proposed> {
    let known = |uid: &str| Uid::new(uid).ok();
    let syntaxes = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let proposed = |class| {
        let transfer_syntaxes = syntaxes.iter().filter_map(|uid| known(uid)).collect();
        Some(Proposed { sop_class: known(class)?, transfer_syntaxes })
    };
    [FIND, uids::VERIFICATION].into_iter().filter_map(proposed).collect()
}

/// Every unique key above the level (PS3.4 C.6.2.1).
fn identifier(study: &Uid, series: &Uid) -> DataSet {
    let mut asked = DataSet::default();
    let mut put = |tag, vr, text: &str| asked.put_bytes(tag, vr, text.as_bytes().to_vec());
    put(tags::QUERY_RETRIEVE_LEVEL, VR::CS, "IMAGE");
    put(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str());
    put(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str());
    put(tags::SOP_INSTANCE_UID, VR::UI, "");
    asked
}
