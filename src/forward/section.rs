//! The `[destinations.NAME]` section.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::Credentials;
use crate::import::Compressed;
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
    /// For `folder`: how files lie in it.
    #[serde(default)]
    pub layout: Option<FolderLayout>,
    /// The studies resource of a DICOMweb server.
    #[serde(default)]
    pub stow_url: Option<Url>,
    /// For `stow-url`: without TLS.
    #[serde(default)]
    pub allow_http: bool,
    /// For `stow-url`: PEM file of a certificate authority that is trusted beside the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// For `stow-url`: file with a bearer token, read before each run.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// For `stow-url`: user name, which needs `password-file`.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password_file: Option<PathBuf>,
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
    /// For `peer`: studies that came from it go back to it.
    #[serde(default)]
    pub send_back: bool,
    /// What becomes of compressed images.
    #[serde(default)]
    pub compressed: Compressed,
}

/// How the files of a folder lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FolderLayout {
    /// A folder a study, named by UIDs.
    #[default]
    ByUid,
    /// As on a medium: short names and a DICOMDIR.
    FileSet,
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
    /// With what lets us in.
    Stow(Url, Credentials),
}

/// What is wrong with a section; the key it is about stands in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Faulty {
    #[error("a destination needs exactly one of `peer`, `folder` and `stow-url`")]
    NotOneTarget,
    #[error(
        "`stow-url` is an https URL, or an http URL with `allow-http = true`, without user name"
    )]
    StowUrl,
    #[error(
        "`allow-http`, `ca-file`, `token-file`, `user` and `password-file` are for a `stow-url`; leave them out"
    )]
    StowKeys,
    #[error("give `token-file`, or `user` with `password-file`, or none of them")]
    Credentials,
    #[error("`associations` is between 1 and {MOST_ASSOCIATIONS}")]
    Associations,
    #[error("`send-back` is for a `peer`; leave it out")]
    SendBack,
    #[error("`layout` is for a `folder`; leave it out")]
    Layout,
    #[error("`associations` is for a `peer`; leave it out for a `folder`")]
    AssociationsToFolder,
    #[error("`existing-study` and `query-peer` are for a `peer`; leave them out")]
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
        if self.associations.is_some_and(|n| n == 0 || n > MOST_ASSOCIATIONS) {
            faults.push(Faulty::Associations);
        }
        let target = match (&self.peer, &self.folder, &self.stow_url) {
            (Some(peer), None, None) => Some(TargetSection::Peer(peer.clone())),
            (None, Some(folder), None) => Some(TargetSection::Folder(folder.clone())),
            (None, None, Some(url)) => self.stow(url, &mut faults),
            _ => {
                faults.push(Faulty::NotOneTarget);
                None
            }
        };
        let keys =
            [&self.ca_file, &self.token_file, &self.password_file].iter().any(|k| k.is_some());
        if self.stow_url.is_none() && (keys || self.allow_http || self.user.is_some()) {
            faults.push(Faulty::StowKeys);
        }
        if self.folder.is_some() && self.associations.is_some() {
            faults.push(Faulty::AssociationsToFolder);
        }
        if self.peer.is_none() && self.send_back {
            faults.push(Faulty::SendBack);
        }
        if self.folder.is_none() && self.layout.is_some() {
            faults.push(Faulty::Layout);
        }
        let asks = self.existing_study.is_some() || self.query_peer.is_some();
        if self.peer.is_none() && asks {
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

    fn stow(&self, url: &Url, faults: &mut Vec<Faulty>) -> Option<TargetSection> {
        let secure = url.scheme() == "https" || (url.scheme() == "http" && self.allow_http);
        let bare = url.username().is_empty() && url.password().is_none();
        if !(secure && bare && url.has_host()) {
            faults.push(Faulty::StowUrl);
            return None;
        }
        let credentials = match (&self.token_file, &self.user, &self.password_file) {
            (None, None, None) => Credentials::Nobody,
            (Some(file), None, None) => Credentials::Token(file.clone()),
            (None, Some(user), Some(file)) => {
                Credentials::Password { user: user.clone(), file: file.clone() }
            }
            _ => {
                faults.push(Faulty::Credentials);
                return None;
            }
        };
        Some(TargetSection::Stow(url.clone(), credentials))
    }

    /// Associations at once; files of a folder are written one after the other.
    pub fn associations(&self) -> usize {
        let default = if self.folder.is_some() { 1 } else { ASSOCIATIONS };
        self.associations.unwrap_or(default).clamp(1, MOST_ASSOCIATIONS)
    }
}
