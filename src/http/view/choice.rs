//! What a portal lists, for a person to choose from.

use serde::Serialize;

use super::PatientView;
use crate::import::{Offer, State};

/// One entry of a portal's list.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChoiceView {
    pub(crate) key: String,
    pub(crate) description: Option<String>,
    pub(crate) study_instance_uid: Option<String>,
    /// `YYYY-MM-DD`
    pub(crate) date: Option<String>,
    pub(crate) modalities: Option<String>,
    pub(crate) patient: PatientView,
    pub(crate) accession_number: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) files: Option<u64>,
}

impl From<&Offer> for ChoiceView {
    fn from(offer: &Offer) -> Self {
        Self {
            key: offer.key.clone(),
            description: offer.description.clone(),
            study_instance_uid: offer.study_uid.clone(),
            date: offer.date.map(|date| date.to_string()),
            modalities: offer.modalities.clone(),
            patient: PatientView::from(&offer.patient),
            accession_number: offer.accession_number.clone(),
            media_type: offer.media_type.clone(),
            files: offer.files,
        }
    }
}

/// The list that stands to be chosen from.
pub(super) fn choices(state: &State) -> Option<Vec<ChoiceView>> {
    match state {
        State::Choosing { listing } => Some(listing.offers.iter().map(ChoiceView::from).collect()),
        _ => None,
    }
}

pub(super) fn dicomweb(state: &State) -> Vec<&'static str> {
    let State::Choosing { listing } = state else { return Vec::new() };
    let Some(offered) = &listing.dicomweb else { return Vec::new() };
    let services = [("QIDO-RS", &offered.qido_rs), ("WADO-RS", &offered.wado_rs)];
    services.into_iter().filter_map(|(name, at)| at.as_ref().map(|_| name)).collect()
}
