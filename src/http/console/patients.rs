//! A patient without an order: those that the patient index found, and the second look at the one that is meant.

use askama::Template;

use super::compare::{Compared, compare, person};
use crate::dicom::Patient;
use crate::http::view::{ForeignView, ImportView, PatientView, sentence};
use crate::pipeline::{self, Registered};
use crate::worklist::pdq::Found;

/// The typed or picked patient beside the study, to be confirmed.
#[derive(Template)]
#[template(path = "look.html", config = "src/http/templates/askama.toml")]
pub(super) struct Look {
    pub(super) id: String,
    pub(super) study: String,
    pub(super) patient: PatientView,
    pub(super) rows: Vec<Compared>,
    /// What the patient index has for this ID, beside what was typed.
    pub(super) known: Option<Vec<Compared>>,
    pub(super) told: String,
    pub(super) doubts: Vec<String>,
    pub(super) reason: String,
}

impl Look {
    pub(super) fn new(
        view: &ImportView,
        study: &str,
        patient: &Patient,
        look: &pipeline::Look,
        reason: String,
    ) -> Self {
        let shown = PatientView::from(patient);
        let known = match &look.registered {
            Registered::Known(known) => {
                let told = ForeignView { patient: shown.clone(), ..ForeignView::default() };
                Some(compare(&told, &PatientView::from(known.as_ref()), None, &[]))
            }
            Registered::NotAsked | Registered::Unknown | Registered::Unreachable(_) => None,
        };
        let told = match &look.registered {
            Registered::NotAsked => "Nobody but you has looked at it: there is no patient index.",
            Registered::Known(_) => "The patient index knows this patient ID.",
            Registered::Unknown => "The patient index does not know this patient ID.",
            Registered::Unreachable(_) => "The patient index could not be asked.",
        };
        Self {
            id: view.id.clone(),
            study: study.to_owned(),
            rows: compare(&foreign(view, study), &shown, None, &look.evidence),
            known,
            told: told.to_owned(),
            doubts: look.doubts.iter().map(|doubt| sentence(doubt)).collect(),
            patient: shown,
            reason,
        }
    }
}

/// Those that the index found, each beside the study.
#[derive(Template)]
#[template(path = "patients.html", config = "src/http/templates/askama.toml")]
pub(super) struct Patients {
    pub(super) id: String,
    pub(super) study: String,
    pub(super) found: Vec<One>,
    pub(super) is_cut: bool,
}

pub(super) struct One {
    pub(super) patient: PatientView,
    pub(super) title: String,
    pub(super) rows: Vec<Compared>,
}

impl Patients {
    pub(super) fn new(view: &ImportView, study: &str, found: &Found) -> Self {
        let foreign = foreign(view, study);
        let one = |patient: &Patient| {
            let patient = PatientView::from(patient);
            One {
                title: patient.name.as_deref().map(person).unwrap_or_default(),
                rows: compare(&foreign, &patient, None, &[]),
                patient,
            }
        };
        Self {
            id: view.id.clone(),
            study: study.to_owned(),
            found: found.patients.iter().map(one).collect(),
            is_cut: found.is_cut,
        }
    }
}

fn foreign(view: &ImportView, study: &str) -> ForeignView {
    let found = view.studies.iter().find(|one| one.study_instance_uid == study);
    found.map(|study| study.foreign.clone()).unwrap_or_default()
}
