//! What a site may set about the coercion table, and one destination otherwise than the site.
//!
//! Invariant: who the patient is and which order it is filed under cannot be set: a local ID never goes with a
//! foreign name, birth date, sex or issuer because somebody wrote a line into a file.

use serde::Deserialize;

/// `[coercion]`, or `[destinations.NAME.coercion]` over it. A key that is not given is as the site has it,
/// and at the site as the coercion table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CoercionSection {
    /// The foreign ID among Other Patient IDs Sequence (0010,1002).
    pub other_patient_ids: Option<Trace>,
    /// The foreign name among Other Patient Names (0010,1001).
    pub other_patient_names: Option<Trace>,
    /// Patient's Address (0010,1040) and telephone (0010,2154).
    pub patient_address: Option<Foreign>,
    /// Patient Comments (0010,4000).
    pub patient_comments: Option<Foreign>,
    /// Referring Physician (0008,0090) with what describes them.
    pub referring_physician: Option<OfOrder>,
    /// Admission ID (0038,0010).
    pub admission_id: Option<OfOrder>,
    /// Study ID (0020,0010).
    pub study_id: Option<Kept>,
    /// Procedure Code Sequence (0008,1032).
    pub procedure_code: Option<Kept>,
    /// Study Description (0008,1030).
    pub study_description: Option<Wording>,
    /// What stands before a description that is prefixed.
    pub study_description_prefix: Option<String>,
    /// Single values of the order where a study answers several, Accession Number (0008,0050) among them.
    pub several_orders: Option<Several>,
}

/// Whether a foreign value goes on beside the local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trace {
    /// Added to what the object lists already.
    Append,
    /// The list stays as it came.
    Keep,
}

/// What becomes of a foreign value that no order has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    Keep,
    Remove,
}

/// What becomes of a value that the order may have too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfOrder {
    /// By the order's.
    Replace,
    Keep,
    Remove,
}

/// What becomes of a value that describes the examination, where the order has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    Keep,
    Replace,
}

/// What becomes of the study's description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wording {
    Keep,
    /// By Requested Procedure Description (0032,1060).
    Replace,
    /// A text before it that tells readers that the study is not from here.
    Prefix,
}

/// What the top level tells of several orders; each is told in Request Attributes Sequence (0040,0275).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Several {
    /// What all of them tell; what they differ in is told of none.
    Common,
    /// What the first of them tells.
    First,
}

/// The coercion table as it holds: every choice is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coercion {
    pub other_patient_ids: Trace,
    pub other_patient_names: Trace,
    pub patient_address: Foreign,
    pub patient_comments: Foreign,
    pub referring_physician: OfOrder,
    pub admission_id: OfOrder,
    pub study_id: Kept,
    pub procedure_code: Kept,
    pub study_description: Wording,
    pub study_description_prefix: String,
    pub several_orders: Several,
}

impl Default for Coercion {
    fn default() -> Self {
        Self {
            other_patient_ids: Trace::Append,
            other_patient_names: Trace::Keep,
            patient_address: Foreign::Keep,
            patient_comments: Foreign::Keep,
            referring_physician: OfOrder::Replace,
            admission_id: OfOrder::Replace,
            study_id: Kept::Keep,
            procedure_code: Kept::Keep,
            study_description: Wording::Keep,
            study_description_prefix: "Import: ".to_owned(),
            several_orders: Several::Common,
        }
    }
}

impl Coercion {
    /// This with what `section` sets otherwise.
    #[must_use]
    pub fn with(&self, section: &CoercionSection) -> Self {
        let prefix = section.study_description_prefix.as_ref();
        Self {
            other_patient_ids: section.other_patient_ids.unwrap_or(self.other_patient_ids),
            other_patient_names: section.other_patient_names.unwrap_or(self.other_patient_names),
            patient_address: section.patient_address.unwrap_or(self.patient_address),
            patient_comments: section.patient_comments.unwrap_or(self.patient_comments),
            referring_physician: section.referring_physician.unwrap_or(self.referring_physician),
            admission_id: section.admission_id.unwrap_or(self.admission_id),
            study_id: section.study_id.unwrap_or(self.study_id),
            procedure_code: section.procedure_code.unwrap_or(self.procedure_code),
            study_description: section.study_description.unwrap_or(self.study_description),
            study_description_prefix: prefix.unwrap_or(&self.study_description_prefix).clone(),
            several_orders: section.several_orders.unwrap_or(self.several_orders),
        }
    }
}

/// A prefix longer than this leaves no room for the description of 64 characters.
const LONGEST_PREFIX: usize = 32;

impl CoercionSection {
    /// What is wrong with it, with the key.
    pub fn faults(&self) -> Option<(&'static str, &'static str)> {
        let prefix = self.study_description_prefix.as_deref()?;
        let unusable = prefix.trim().is_empty()
            || prefix.chars().count() > LONGEST_PREFIX
            || prefix.chars().any(|c| c.is_control() || c == '\\');
        unusable.then_some((
            "study-description-prefix",
            "write 1 to 32 characters, without a backslash or a line break",
        ))
    }
}

#[cfg(test)]
mod tests;
