//! What a portal lists, and what a person takes of it.
//!
//! Invariant: a choice stands. It is asked once, and a retry or a restart goes on with it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Question;
use super::apply::requested;
use super::event::Action;
use super::link::Link;
use super::question::QuestionKind;
use super::state::{Import, Request, State};
use crate::dicom::{Patient, Uid};

/// One entry of a portal's list, as the portal tells it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The portal's ID of it.
    pub key: String,
    pub description: Option<String>,
    pub study_uid: Option<String>,
    pub date: Option<jiff::civil::Date>,
    pub modalities: Option<String>,
    pub patient: Patient,
    pub accession_number: Option<String>,
    pub media_type: Option<String>,
    /// Files in it.
    pub files: Option<u64>,
}

/// Where a portal also speaks DICOMweb; the session's token is good there too. Addresses are secrets like the link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DicomWeb {
    pub qido_rs: Option<Link>,
    pub wado_rs: Option<Link>,
}

/// What the list of a portal holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    pub offers: Vec<Offer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dicomweb: Option<DicomWeb>,
    /// What is wrong with an earlier choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A session at a portal that stays open while a person chooses, so that no credential goes out twice.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Base of the calls.
    pub base: Link,
    pub token: String,
    /// Behind it is a password that may be good for one login only.
    pub one_time: bool,
}

/// A study that the list of a portal has and that was downloaded.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promised {
    pub study: Uid,
    /// As a person knows it, without the patient.
    pub shown: String,
}

/// What is wanted of a list: everything, or the entries with these keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Chosen {
    All,
    Only(BTreeSet<String>),
}

impl Chosen {
    pub fn takes(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.contains(key),
        }
    }
}

impl Request {
    /// The key of a password among the answers: the portal's question type.
    pub const PASSWORD: &str = "PASSWORD";
}

impl Import {
    /// The portal was asked for its list, and a person has to choose.
    pub(super) fn listed(
        &mut self,
        listing: &Listing,
        session: Option<&Session>,
    ) -> Option<Vec<Action>> {
        if !matches!(self.state, State::Requested { .. } | State::Downloading { .. }) {
            return None;
        }
        self.spend();
        self.session = session.cloned();
        self.state = State::Choosing { listing: listing.clone() };
        Some(vec![])
    }

    pub(super) fn chosen(&mut self, chosen: &Chosen) -> Option<Vec<Action>> {
        let State::Choosing { listing } = &self.state else {
            return None;
        };
        if let Chosen::Only(keys) = chosen {
            let known = |key: &String| listing.offers.iter().any(|offer| offer.key == *key);
            if keys.is_empty() || !keys.iter().all(known) {
                return None;
            }
        }
        self.request.choices = Some(chosen.clone());
        self.state = requested();
        Some(vec![Action::Pull])
    }

    /// Remarks on what a portal gave, such as that it is less than was announced.
    pub(super) fn noted(&mut self, notes: &[String]) -> Vec<Action> {
        for note in notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
        Vec::new()
    }

    /// What was promised and is not in what came is a remark: it may be under other UIDs, or nowhere.
    pub(super) fn hold_promises(&mut self) {
        let promised = std::mem::take(&mut self.promised);
        let missing = promised
            .into_iter()
            .filter(|promised| !self.studies.iter().any(|study| study.uid == promised.study));
        let notes: Vec<String> = missing
            .map(|Promised { shown, .. }| {
                format!(
                    "the portal lists {shown}, and no image of it came; ask the sender whether it is missing"
                )
            })
            .collect();
        self.noted(&notes);
    }

    /// A login succeeded: a one-time password is used up, whatever comes, and must not be posted again. Remarks of
    /// an earlier attempt are over.
    pub(super) fn spend(&mut self) {
        self.notes.clear();
        let spent = std::mem::take(&mut self.request.one_time);
        self.request.answers.retain(|key, _| key != Request::PASSWORD && !spent.contains(key));
    }

    /// Answers to these questions came: which of them are good for one login only.
    pub(super) fn note_one_time(&mut self, questions: &[Question]) {
        let passwords = questions.iter().filter(|question| question.kind == QuestionKind::Password);
        self.request.one_time.extend(passwords.map(|question| question.key.clone()));
    }
}

crate::dicom::redacted!(Offer, DicomWeb, Listing, Session, Promised, Chosen);
