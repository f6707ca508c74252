//! Patients without an order: who a person means, looked up in the patient index, and the second look before a
//! study is filed under what a person typed.

use super::handle::Pipeline;
use super::refusal::Refusal;
use super::stages::case;
use crate::dicom::{Item, Patient, Uid};
use crate::import::{Import, ImportId, Study};
use crate::matching::{self, Agreement, Completeness, Evidence, Policy};
use crate::worklist::pdq::{self, Found, Wanted};

/// What the patient index says of a patient who was typed.
#[derive(Clone, PartialEq, Eq)]
pub enum Registered {
    /// There is no index.
    NotAsked,
    /// It knows this patient so.
    Known(Box<Patient>),
    /// It knows nobody of this ID.
    Unknown,
    /// It could not be asked; the sentence holds no patient data.
    Unreachable(String),
}

/// A typed patient beside the study and beside the index.
pub struct Look {
    pub registered: Registered,
    /// What does not agree, in words without patient data. Empty if everything that is known agrees.
    pub doubts: Vec<String>,
    pub evidence: Vec<Evidence>,
}

crate::dicom::redacted!(Registered, Look);

impl Pipeline {
    /// Whether there is an index to ask.
    pub fn has_patient_index(&self) -> bool {
        self.shared.settings().worklist.options().pdq.is_some()
    }

    /// Asks the patient index.
    pub async fn patients(&self, wanted: &Wanted) -> Result<Found, Refusal> {
        let settings = self.shared.settings();
        let Some(index) = &settings.worklist.options().pdq else {
            return Err(Refusal::Invalid(
                "no patient index is configured; type the patient, or add [worklist.pdq]".into(),
            ));
        };
        let now = self.shared.clock.now().timestamp().to_zoned(settings.zone.clone());
        pdq::ask(index, wanted, &now).await.map_err(|error| match error {
            pdq::Error::TooLittle => Refusal::Invalid(error.to_string()),
            _ => Refusal::NotNow(error.to_string()),
        })
    }

    /// Holds a typed patient against the study and against the index.
    pub async fn look(
        &self,
        id: ImportId,
        study: &Uid,
        patient: &Patient,
    ) -> Result<Look, Refusal> {
        let import = self.import(id).ok_or(Refusal::Unknown)?;
        let Some(found) = import.study(study) else {
            return Err(Refusal::Invalid(
                "this import holds no such study; look at it with `lotse show`".into(),
            ));
        };
        Ok(self.look_at(&import, found, patient).await)
    }

    pub(super) async fn look_at(&self, import: &Import, study: &Study, patient: &Patient) -> Look {
        let item = Item { patient: patient.clone(), ..Item::default() };
        let (mut doubts, evidence) = beside_the_study(import, study, item);
        let registered = self.registered(patient).await;
        match &registered {
            Registered::NotAsked => {}
            Registered::Unknown => {
                doubts.push("the patient index knows nobody of this patient ID".to_owned());
            }
            Registered::Unreachable(why) => doubts.push(format!("nobody could look it up: {why}")),
            Registered::Known(known) => {
                let differs = [
                    ("name", !same_name(known, patient)),
                    ("birth date", known.birth_date != patient.birth_date),
                    ("sex", known.sex != patient.sex),
                ];
                let told = differs.iter().filter(|(_, differs)| *differs);
                doubts.extend(told.map(|(what, _)| {
                    format!("the patient index has another {what} for this patient ID")
                }));
            }
        }
        Look { registered, doubts, evidence }
    }

    async fn registered(&self, patient: &Patient) -> Registered {
        if !self.has_patient_index() {
            return Registered::NotAsked;
        }
        let patient_id = patient.id.as_ref().map(|id| id.id.clone());
        match self.patients(&Wanted { patient_id, ..Wanted::default() }).await {
            Ok(found) => match found.patients.into_iter().next() {
                Some(known) => Registered::Known(Box::new(known)),
                None => Registered::Unknown,
            },
            Err(refusal) => Registered::Unreachable(refusal.to_string()),
        }
    }
}

/// Family and given name, whatever their case.
fn same_name(a: &Patient, b: &Patient) -> bool {
    let parts = |patient: &Patient| {
        let name = patient.name.as_ref();
        name.map(|name| (name.family().to_lowercase(), name.given().to_lowercase()))
    };
    parts(a) == parts(b)
}

/// The patient, with an order or without, as the rules see him beside everything that is known of the study: what does
/// not agree, and the evidence.
pub(super) fn beside_the_study(
    import: &Import,
    study: &Study,
    item: Item,
) -> (Vec<String>, Vec<Evidence>) {
    let case = case(import, study);
    let outcome = matching::decide(&case, &[item], Completeness::Incomplete, Policy::Confirm);
    let Some(candidate) = outcome.candidates.into_iter().next() else {
        return (vec!["name and birth date do not fit the study".to_owned()], Vec::new());
    };
    let mut doubts = candidate.contradictions;
    for one in &candidate.evidence {
        let what = match one.attribute.as_str() {
            "name" => "name",
            "birthDate" => "birth date",
            "sex" => "sex",
            _ => continue,
        };
        let doubt = match one.agreement {
            Agreement::Different => format!("{what} differs from the study"),
            Agreement::Similar => format!("{what} is only similar to the study"),
            Agreement::Equal | Agreement::Normalised | Agreement::Missing => continue,
        };
        let is_told = doubts.iter().any(|told| told.contains(what));
        if !is_told {
            doubts.push(doubt);
        }
    }
    (doubts, candidate.evidence)
}
