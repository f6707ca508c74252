//! From where studies are to be fetched that no link points to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dicom::Uid;

/// A source of the configuration, and what is wanted of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct From {
    pub source: Source,
    pub selection: Selection,
}

/// A source by its name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// `[peers.NAME]`: C-FIND, then C-GET or C-MOVE.
    Peer(String),
    /// `[dicomweb.NAME]`.
    Dicomweb(String),
}

impl Source {
    pub fn name(&self) -> &str {
        match self {
            Self::Peer(name) | Self::Dicomweb(name) => name,
        }
    }
}

/// Which studies are meant. At least one is there, and a study has to fit all of them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selection {
    pub study_instance_uid: Option<Uid>,
    pub accession_number: Option<String>,
    pub patient_id: Option<String>,
}

impl Selection {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a study that a source tells of is meant: sources ignore keys that they do not know, and answer
    /// with what was not asked for.
    pub fn fits(
        &self,
        study: &Uid,
        patient_id: Option<String>,
        accession_number: Option<String>,
    ) -> bool {
        let same = |wanted: &Option<String>, told: Option<String>| {
            wanted.as_ref().is_none_or(|wanted| told.is_some_and(|told| told.trim() == wanted))
        };
        self.study_instance_uid.as_ref().is_none_or(|wanted| wanted == study)
            && same(&self.patient_id, patient_id)
            && same(&self.accession_number, accession_number)
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Selection(redacted)")
    }
}

impl fmt::Debug for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("From").field("source", &self.source).finish_non_exhaustive()
    }
}
