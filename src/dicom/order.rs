//! One order of the worklist with its patient.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AeTitle, Patient, Uid};

/// An accession number with its issuer (0008,0051).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccessionNumber {
    pub number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// A coded entry (PS3.3 8.8), as far as it is copied from the worklist.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Code {
    pub value: String,
    pub scheme: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub meaning: String,
}

/// One scheduled procedure step (0040,0100).
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Step {
    pub id: Option<String>,
    pub description: Option<String>,
    pub protocol_codes: Vec<Code>,
    pub modality: Option<String>,
    pub station: Option<AeTitle>,
    /// `YYYYMMDD` and `HHMM…` as the worklist wrote them.
    pub start_date: Option<String>,
    pub start_time: Option<String>,
    /// Scheduled Procedure Step Status (0040,0020); absent means `SCHEDULED`.
    pub status: Option<String>,
}

impl Step {
    /// Whether work may still be filed under this step. Unknown status values count as open.
    pub fn is_open(&self) -> bool {
        !matches!(
            self.status.as_deref(),
            Some("CANCELED" | "CANCELLED" | "DISCONTINUED" | "COMPLETED")
        )
    }
}

/// One order: the scheduled steps of one requested procedure, and the patient it is for.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Item {
    pub patient: Patient,
    /// Universal entity ID and type of Issuer of Patient ID Qualifiers (0010,0024), if returned.
    pub issuer_universal: Option<(String, String)>,
    pub accession_number: Option<AccessionNumber>,
    pub requested_procedure_id: Option<String>,
    pub requested_procedure_description: Option<String>,
    pub requested_procedure_codes: Vec<Code>,
    /// Reason for the Requested Procedure (0040,1002).
    pub reason: Option<String>,
    /// The Study Instance UID planned for the order; it never replaces the study's own.
    pub study_uid: Option<Uid>,
    pub referring_physician: Option<String>,
    pub requesting_physician: Option<String>,
    pub requesting_service: Option<String>,
    pub admission_id: Option<String>,
    /// Issuer of Admission ID Sequence (0038,0014), as its local namespace.
    pub admission_issuer: Option<String>,
    /// Referenced Study Sequence (0008,1110): SOP class and instance of each.
    pub referenced_studies: Vec<(Uid, Uid)>,
    pub steps: Vec<Step>,
}

impl Item {
    /// What names this item in the API: the same for the same patient, order and procedure, and not
    /// reversible to any of them by eye.
    pub fn item_id(&self) -> String {
        let mut hash = Sha256::new();
        let id = self.patient.id.as_ref();
        for part in [
            id.map(|p| p.id.as_str()),
            id.and_then(|p| p.issuer.as_deref()),
            self.accession_number.as_ref().map(|a| a.number.as_str()),
            self.requested_procedure_id.as_deref(),
            self.study_uid.as_ref().map(Uid::as_str),
        ] {
            hash.update(part.unwrap_or("\0"));
            hash.update([0x1f]);
        }
        hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
    }

    /// Whether any step of the order may still be filed under.
    pub fn is_open(&self) -> bool {
        self.steps.is_empty() || self.steps.iter().any(Step::is_open)
    }
}

crate::dicom::redacted!(AccessionNumber, Item, Step);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.value, self.scheme)
    }
}
