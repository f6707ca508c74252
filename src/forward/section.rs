//! The `[destinations.NAME]` section.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::pace::{Bandwidth, Held, Pace, Window};
use super::readings::Readings;
use super::retry::{Retries, Retry};
use super::vouching::{ByQuery, Commitment, Vouching};
use crate::dimse::Remote;
use crate::import::Compressed;
use crate::reconcile::CoercionSection;
use crate::web::Credentials;

/// Associations at once to one destination if the section does not say: one association is lock-step, so
/// throughput comes from several; more than a few make small archives refuse.
const ASSOCIATIONS: usize = 4;

/// More than this only fills the destination's queue.
const MOST_ASSOCIATIONS: usize = 64;

/// Three times the longest, the times that a report is awaited, stays within the week that anything is kept.
const COMMITMENT_TIMES: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(48 * 3600);

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
    /// For `stow-url`: the server is outside, and reached through the proxy of `[fetch]`.
    #[serde(default)]
    pub through_proxy: bool,
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
    /// Whether the destination is asked to commit itself to what it has stored.
    #[serde(default)]
    pub commitment: Option<Commitment>,
    /// Name of a `[peers.NAME]` section that commits for `peer`.
    #[serde(default)]
    pub commitment_peer: Option<String>,
    /// How long its report may take.
    #[serde(default, deserialize_with = "time")]
    pub commitment_timeout: Option<Duration>,
    /// Whether a query confirms where no commitment does.
    #[serde(default)]
    pub confirm_by_query: Option<bool>,
    /// Nothing is sent while this is set; what is to be sent waits.
    #[serde(default)]
    pub paused: bool,
    /// When studies are begun, as `20:00-06:00`.
    #[serde(default)]
    pub window: Option<Window>,
    /// What leaves at most, as `20 Mbit/s`.
    #[serde(default)]
    pub bandwidth: Option<Bandwidth>,
    /// Statuses that this destination means otherwise than the standard says.
    #[serde(default)]
    pub status: Readings,
    /// Waits while it takes nothing, as `10s x2 up to 15m for 24h`.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Waits after it failed with some objects.
    #[serde(default)]
    pub retry_objects: Option<Retry>,
}

fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    crate::clock::duration(deserializer).map(Some)
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
    /// With what lets us in; https, unless the section allows http.
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
        "`allow-http`, `through-proxy`, `ca-file`, `token-file`, `user` and `password-file` are for a `stow-url`; leave them out"
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
    #[error(
        "`commitment` and `confirm-by-query` are for a `peer`; leave them out for a `folder` or a `stow-url`"
    )]
    VouchingFolder,
    #[error(
        "`commitment-peer` and `commitment-timeout` say whom to ask and how long to wait; leave them out if `commitment` is \"off\""
    )]
    AskedAndOff,
    #[error("`commitment-timeout` is between one minute and 48 hours")]
    CommitmentTimeout,
    #[error(
        "`bandwidth` and `status` are for a `peer`; leave them out for a `folder` or a `stow-url`"
    )]
    BandwidthToFolder,
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
        let way = self.allow_http || self.through_proxy;
        if self.stow_url.is_none() && (keys || way || self.user.is_some()) {
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
        faults.extend(self.vouching_faults());
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
        let (token, password) = (self.token_file.as_deref(), self.password_file.as_deref());
        let Some(credentials) = Credentials::of(token, self.user.as_deref(), password) else {
            faults.push(Faulty::Credentials);
            return None;
        };
        Some(TargetSection::Stow(url.clone(), credentials))
    }

    fn vouching_faults(&self) -> Vec<Faulty> {
        let mut faults = Vec::new();
        let waits = self.commitment_peer.is_some() || self.commitment_timeout.is_some();
        let vouches = self.commitment.is_some() || self.confirm_by_query.is_some() || waits;
        let is_peer = self.folder.is_none() && self.stow_url.is_none();
        if !is_peer && vouches {
            faults.push(Faulty::VouchingFolder);
        }
        if !is_peer && (self.bandwidth.is_some() || !self.status.is_empty()) {
            faults.push(Faulty::BandwidthToFolder);
        }
        if self.commitment == Some(Commitment::Off) && waits {
            faults.push(Faulty::AskedAndOff);
        }
        if self.commitment_timeout.is_some_and(|time| !COMMITMENT_TIMES.contains(&time)) {
            faults.push(Faulty::CommitmentTimeout);
        }
        faults
    }

    /// How long to wait before it is tried again.
    pub fn retries(&self) -> Retries {
        Retries { whole: self.retry.clone(), objects: self.retry_objects.clone() }
    }

    /// When and how fast it is sent to.
    pub fn pace(&self) -> Pace {
        let held = if self.paused { Held::Yes } else { Held::No };
        Pace { held, window: self.window, bandwidth: self.bandwidth }
    }

    /// What vouches for a delivery; `peer` is the one that commits, if it has its own section.
    pub fn vouching(&self, peer: Option<(String, Remote)>) -> Vouching {
        Vouching {
            commitment: self.commitment.unwrap_or_default(),
            peer,
            timeout: self.commitment_timeout.unwrap_or(Vouching::TIMEOUT),
            by_query: match self.confirm_by_query {
                Some(true) => ByQuery::Yes,
                Some(false) | None => ByQuery::No,
            },
        }
    }

    /// Associations at once; files of a folder are written one after the other.
    pub fn associations(&self) -> usize {
        let default = if self.folder.is_some() { 1 } else { ASSOCIATIONS };
        self.associations.unwrap_or(default).clamp(1, MOST_ASSOCIATIONS)
    }
}
