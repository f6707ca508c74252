//! The part `from` of a request: a source instead of a link.

use serde::Deserialize;

use super::super::problem::Problem;
use super::{Fields, LO, optional, required};
use crate::dicom::Uid;
use crate::import::{From, Selection, Source};

/// SH, the value representation of an accession number (PS3.5 6.2).
const SH: usize = 16;

/// A source and what is wanted of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FromRequest {
    peer: Option<String>,
    dicomweb: Option<String>,
    study_instance_uid: Option<String>,
    accession_number: Option<String>,
    patient_id: Option<String>,
}

impl FromRequest {
    /// The same from the fields of a form; `None` if none names an archive.
    pub(super) fn from_form(fields: &Fields) -> Option<Self> {
        let text = |name: &str| fields.get(name).map(str::to_owned);
        let (kind, name) = fields.get("archive")?.split_once(':').unwrap_or_default();
        let named = |wanted: &str| (kind == wanted).then(|| name.to_owned());
        Some(Self {
            peer: named("peer"),
            dicomweb: named("dicomweb"),
            study_instance_uid: text("foreignStudy"),
            accession_number: text("foreignAccession"),
            patient_id: text("foreignPatient"),
        })
    }

    pub(super) fn checked(self) -> Result<From, Problem> {
        let name = |name: &str| required("from", name, LO);
        let source = match (&self.peer, &self.dicomweb) {
            (Some(peer), None) => Source::Peer(name(peer)?),
            (None, Some(service)) => Source::Dicomweb(name(service)?),
            (None, None) | (Some(_), Some(_)) => {
                return Err(Problem::invalid("`from` names one `peer` or one `dicomweb` source"));
            }
        };
        // What a source would take for a pattern fetches other people's studies.
        let plain = |field: &str, text: &Option<String>, limit| {
            let text = optional(field, text.as_deref(), limit)?;
            if text.as_ref().is_some_and(|text| text.contains(['*', '?'])) {
                let sentence = format!("{field} has a wildcard; write the whole number");
                return Err(Problem::invalid(sentence));
            }
            Ok(text)
        };
        let study = plain("studyInstanceUid", &self.study_instance_uid, LO)?;
        let study = study
            .map(|text| Uid::new(&text))
            .transpose()
            .map_err(|error| Problem::invalid(format!("studyInstanceUid is no UID: {error}")))?;
        let selection = Selection {
            study_instance_uid: study,
            accession_number: plain("accessionNumber", &self.accession_number, SH)?,
            patient_id: plain("patientId", &self.patient_id, LO)?,
        };
        if selection.is_empty() {
            return Err(Problem::invalid(
                "`from` names no study: give its accession number (accessionNumber), patient ID (patientId) or study UID \
                 (studyInstanceUid), as the archive knows them",
            ));
        }
        Ok(From { source, selection })
    }
}
