//! When our certificates end: for `/status`, `/metrics`, the log and `lotse check`.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

use super::Certificate;

/// A certificate that ends in so many days is warned of: an authority may take weeks.
const WARNED: i64 = 30;

/// Certificates by their files.
pub type Files = Vec<(PathBuf, Vec<Certificate>)>;

/// One certificate that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiry {
    /// Where in the configuration it is named.
    pub place: String,
    pub file: PathBuf,
    pub subject: String,
    pub not_after: jiff::Timestamp,
    /// Whole days; negative when it has ended.
    pub days_left: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Expiry {
    /// Seconds until it ends, 0 when it has.
    pub fn seconds_left(&self, now: jiff::Timestamp) -> u64 {
        u64::try_from(self.not_after.as_second().saturating_sub(now.as_second())).unwrap_or(0)
    }
}

/// The certificates in use, as of the last reload. Cheap to clone; every clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Expiries(Arc<RwLock<Vec<(String, PathBuf, Certificate)>>>);

impl Expiries {
    /// `found` by their place in the configuration.
    pub fn set(&self, found: Vec<(String, Files)>) {
        let each = found.into_iter().flat_map(|(place, files)| {
            files.into_iter().flat_map(move |(file, certificates)| {
                let place = place.clone();
                certificates.into_iter().map(move |one| (place.clone(), file.clone(), one))
            })
        });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = each.collect();
    }

    /// All of them, those that end first in front.
    pub fn all(&self, now: jiff::Timestamp) -> Vec<Expiry> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known
            .iter()
            .map(|(place, file, one)| {
                let days_left = one.days_left(now);
                let name =
                    format!("{place}: the certificate \"{}\" in {}", one.subject, file.display());
                let warning = match days_left {
                    ..0 => {
                        Some(format!("{name} has expired on {}; renew it and reload", one.end()))
                    }
                    0..=WARNED => Some(format!(
                        "{name} expires on {}, in {days_left} days; renew it and reload",
                        one.end()
                    )),
                    _ => None,
                };
                Expiry {
                    place: place.clone(),
                    file: file.clone(),
                    subject: one.subject.clone(),
                    not_after: one.not_after,
                    days_left,
                    warning,
                }
            })
            .collect();
        all.sort_by_key(|one| one.not_after);
        all
    }
}

/// What can be read of these files; who needs them tells what can't.
pub(super) fn read_all<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Files {
    let of = |path: &PathBuf| {
        let found = super::certificates(path).unwrap_or_default();
        (path.clone(), found.iter().filter_map(|der| Certificate::read(der)).collect())
    };
    paths.map(of).collect()
}
