//! Retention: how long local copies live, and how they end.
//!
//! Bytes die by the destruction of their key; the files go after it. Invariant: when [`purge`] returns, nothing
//! of the import is readable any more, whatever is still on the disk.

use std::time::Duration;

use serde::Deserialize;

use crate::clock;
use crate::import::ImportId;
pub use crate::spool::Left;
use crate::spool::{self, Spool};

/// Nothing is kept longer than a week: the maximum of `retention.limit`, and its default.
pub const LONGEST: Duration = Duration::from_secs(168 * 3600);

/// `[retention]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetentionSection {
    /// Counted from the arrival of an import, whatever its state.
    #[serde(deserialize_with = "clock::duration")]
    pub limit: Duration,
    /// Counted from the end of its last study; a minute is the least.
    #[serde(deserialize_with = "clock::duration")]
    pub after_delivery: Duration,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self { limit: LONGEST, after_delivery: Duration::from_secs(24 * 3600) }
    }
}

impl RetentionSection {
    /// What is wrong with the section, each as key and sentence.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = vec![];
        if self.limit > LONGEST || self.limit.is_zero() {
            faults.push(("limit", "the limit lies between 1s and 168h, a week".to_owned()));
        }
        if self.after_delivery > self.limit {
            faults.push(("after-delivery", "this is not longer than `limit`".to_owned()));
        }
        faults
    }
}

/// Destroys the key of an import, then removes its bytes. Blocking; succeeds if they are gone already.
///
/// # Errors
/// If its key may still live, on the device at least; it may be tried again.
pub fn purge(spool: &Spool, import: ImportId) -> Result<Left, spool::Error> {
    spool.destroy(import)
}
