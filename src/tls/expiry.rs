//! When certificates and revocation lists end: for `/status`, `/metrics`, the log and `lotse check`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

use super::Certificate;
use super::revocation::{self, List};

/// A certificate that ends in so many days is warned of: an authority may take weeks.
const WARNED: i64 = 30;

/// What ends, by its file.
pub type Files = Vec<(PathBuf, Vec<Dated>)>;

/// What a file holds that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    kind: Ends,
    /// Whose it is.
    subject: String,
    pub(super) end: jiff::Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ends {
    Certificate,
    /// Its end is when its authority brings out the next.
    RevocationList,
}

/// One that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiry {
    pub kind: Ends,
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
    fn of(place: &str, file: &Path, one: &Dated, now: jiff::Timestamp) -> Self {
        let Dated { kind, subject, end } = one;
        let days_left = end.as_second().saturating_sub(now.as_second()).div_euclid(86_400);
        let (day, file_name) = (end.strftime("%Y-%m-%d"), file.display());
        let warning = match (kind, days_left) {
            (Ends::Certificate, ..0) => Some(format!(
                "{place}: the certificate \"{subject}\" in {file_name} has expired on {day}; renew it and reload"
            )),
            (Ends::Certificate, 0..=WARNED) => Some(format!(
                "{place}: the certificate \"{subject}\" in {file_name} expires on {day}, in {days_left} days; renew it and reload"
            )),
            // They live for days only, so nobody is warned before.
            (Ends::RevocationList, ..0) => Some(format!(
                "{place}: the revocation list of \"{subject}\" in {file_name} is out of date since {day}; fetch the new one and reload"
            )),
            (Ends::Certificate | Ends::RevocationList, _) => None,
        };
        Self {
            kind: *kind,
            place: place.to_owned(),
            file: file.to_owned(),
            subject: subject.clone(),
            not_after: *end,
            days_left,
            warning,
        }
    }

    /// Seconds until it ends, 0 when it has.
    pub fn seconds_left(&self, now: jiff::Timestamp) -> u64 {
        u64::try_from(self.not_after.as_second().saturating_sub(now.as_second())).unwrap_or(0)
    }
}

/// What is in use, as of the last reload. Cheap to clone; every clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Expiries(Arc<RwLock<Vec<(String, PathBuf, Dated)>>>);

impl Expiries {
    /// `found` by their place in the configuration.
    pub fn set(&self, found: Vec<(String, Files)>) {
        let each = found.into_iter().flat_map(|(place, files)| {
            files.into_iter().flat_map(move |(file, held)| {
                let place = place.clone();
                held.into_iter().map(move |one| (place.clone(), file.clone(), one))
            })
        });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = each.collect();
    }

    /// All of them, those that end first in front.
    pub fn all(&self, now: jiff::Timestamp) -> Vec<Expiry> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let all = known.iter().map(|(place, file, one)| Expiry::of(place, file, one, now));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|one| one.not_after);
        all
    }
}

/// What can be read of these files; who needs them tells what can't. A list that names no end has none.
pub(super) fn read_all<'a>(
    certificates: impl Iterator<Item = &'a PathBuf>,
    lists: &[PathBuf],
) -> Files {
    let certificates = certificates.map(|path| {
        let found = super::certificates(path).unwrap_or_default();
        let found = found.iter().filter_map(|der| Certificate::read(der));
        let dated = |one: Certificate| {
            let (subject, end) = (one.subject, one.not_after);
            Dated { kind: Ends::Certificate, subject, end }
        };
        (path.clone(), found.map(dated).collect())
    });
    let lists = lists.iter().map(|path| {
        let dated = |list: List| {
            Some(Dated { kind: Ends::RevocationList, subject: list.issuer, end: list.next? })
        };
        (path.clone(), revocation::shown(path).into_iter().filter_map(dated).collect())
    });
    certificates.chain(lists).collect()
}
