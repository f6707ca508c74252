//! The `[destinations.NAME]` section.

use std::path::PathBuf;

use serde::Deserialize;

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
