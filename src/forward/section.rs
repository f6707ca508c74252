//! The `[destinations.NAME]` section.

use std::path::PathBuf;

use serde::Deserialize;

use crate::reconcile::CoercionSection;

/// Associations at once to one destination if the section does not say: one association is lock-step, so
/// throughput comes from several; more than a few make small archives refuse (peers.md 4.6).
const ASSOCIATIONS: usize = 3;

/// More than this only fills the destination's queue.
const MOST_ASSOCIATIONS: usize = 64;

/// One destination as it is configured. Exactly one of `peer`, `folder` and `stow-url` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DestinationSection {
    /// Name of a `[peers.NAME]` section, reached by C-STORE.
    #[serde(default)]
    pub peer: Option<String>,
    #[serde(default)]
    pub folder: Option<PathBuf>,
    #[serde(default)]
    pub stow_url: Option<String>,
    /// Associations at once, 1 to 64.
    #[serde(default)]
    pub associations: Option<usize>,
    /// Whether the destination is asked if it holds a study for another patient.
    #[serde(default)]
    pub existing_study: Option<Existing>,
    /// Name of a `[peers.NAME]` section that answers queries for `peer`.
    #[serde(default)]
    pub query_peer: Option<String>,
    /// What is coerced otherwise than at the site.
    #[serde(default)]
    pub coercion: CoercionSection,
}

/// What a PACS that holds a study already, for another patient, is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// It is asked before the first object; one that takes no queries gets the study all the same.
    #[default]
    Ask,
    /// It is asked, and gets nothing before it answers.
    Require,
    /// It is not asked, and its duplicates count as delivered.
    Ignore,
}

/// Where the section points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetSection {
    Peer(String),
    Folder(PathBuf),
}

/// What is wrong with a section; the key it is about stands in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Faulty {
    #[error("a destination needs exactly one of `peer` and `folder`")]
    NotOneTarget,
    #[error("`stow-url` is not built yet; use `peer` or `folder`")]
    StowUrl,
    #[error("`associations` is between 1 and {MOST_ASSOCIATIONS}")]
    Associations,
    #[error("`associations` is for a `peer`; leave it out for a `folder`")]
    AssociationsToFolder,
    #[error("`existing-study` and `query-peer` are for a `peer`; leave them out for a `folder`")]
    AskedFolder,
    #[error("`query-peer` names whom to ask; leave it out if `existing-study` is \"ignore\"")]
    AskedAndIgnored,
    #[error("`coercion.{0}`: {1}")]
    Coercion(&'static str, &'static str),
}

impl DestinationSection {
    /// A folder destination with everything else at its default.
    pub fn folder(folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }

    /// Checks the section; all faults are reported together.
    pub fn target(&self) -> Result<TargetSection, Vec<Faulty>> {
        let mut faults = Vec::new();
        if self.stow_url.is_some() {
            faults.push(Faulty::StowUrl);
        }
        if self.associations.is_some_and(|n| n == 0 || n > MOST_ASSOCIATIONS) {
            faults.push(Faulty::Associations);
        }
        let target = match (&self.peer, &self.folder) {
            (Some(peer), None) => Some(TargetSection::Peer(peer.clone())),
            (None, Some(folder)) => Some(TargetSection::Folder(folder.clone())),
            (None, None) if self.stow_url.is_some() => None,
            (None, None) | (Some(_), Some(_)) => {
                faults.push(Faulty::NotOneTarget);
                None
            }
        };
        if self.folder.is_some() && self.associations.is_some() {
            faults.push(Faulty::AssociationsToFolder);
        }
        let asks = self.existing_study.is_some() || self.query_peer.is_some();
        if self.folder.is_some() && asks {
            faults.push(Faulty::AskedFolder);
        }
        if self.existing_study == Some(Existing::Ignore) && self.query_peer.is_some() {
            faults.push(Faulty::AskedAndIgnored);
        }
        faults.extend(self.coercion.faults().map(|(key, why)| Faulty::Coercion(key, why)));
        match target {
            Some(target) if faults.is_empty() => Ok(target),
            Some(_) | None => Err(faults),
        }
    }

    /// Associations at once; files of a folder are written one after the other.
    pub fn associations(&self) -> usize {
        let default = if self.folder.is_some() { 1 } else { ASSOCIATIONS };
        self.associations.unwrap_or(default).clamp(1, MOST_ASSOCIATIONS)
    }
}
