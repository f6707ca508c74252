//! What a person saw of a candidate when they decided.

use sha2::{Digest as _, Sha256};

use super::{Candidate, Outcome};

impl Outcome {
    /// Names what a person compares: the candidate's patient, and all that speaks against filing the study there.
    /// Another name means that it has changed since they looked. Nobody reads a patient from it by eye.
    pub fn seen(&self, candidate: &Candidate) -> String {
        let patient = &candidate.item.patient;
        let id = patient.id.as_ref();
        let birth_date = patient.birth_date.map(|date| date.to_dicom());
        let told = [
            id.map(|id| id.id.as_str()),
            id.and_then(|id| id.issuer.as_deref()),
            patient.name.as_ref().map(|name| name.as_str()),
            birth_date.as_deref(),
            Some(patient.sex.as_str()),
        ];
        let against = self.contradictions.iter().chain(&candidate.contradictions);
        let mut hash = Sha256::new();
        for part in
            told.into_iter().map(Option::unwrap_or_default).chain(against.map(String::as_str))
        {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
