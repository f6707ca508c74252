//! What the header of an instance tells about the study it belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AccessionNumber, Patient, PatientId, PersonName, Uid};

/// The facts of a study as one of its instances carries them: input of matching and of the view that a
/// person sees beside the local identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StudyFacts {
    pub study_uid: Uid,
    pub patient: Patient,
    /// Other Patient IDs Sequence (0010,1002), items with an ID.
    #[serde(default)]
    pub other_ids: Vec<PatientId>,
    /// Patient's Birth Name (0010,1005) and Other Patient Names (0010,1001).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<PersonName>,
    #[serde(default)]
    pub accession_number: Option<AccessionNumber>,
    /// `YYYYMMDD` as written.
    #[serde(default)]
    pub study_date: Option<String>,
    #[serde(default)]
    pub study_description: Option<String>,
    #[serde(default)]
    pub modality: Option<String>,
    #[serde(default)]
    pub body_part: Option<String>,
    #[serde(default)]
    pub institution: Option<String>,
    /// Patient Identity Removed (0012,0062) is `YES`.
    #[serde(default)]
    pub identity_removed: bool,
}

impl fmt::Debug for StudyFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StudyFacts(redacted)")
    }
}
