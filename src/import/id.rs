//! The name of an import.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names an import everywhere: API, key file, spool folder, log. Random but for the time, so it tells
/// nothing of the patient.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImportId(uuid::Uuid);

impl ImportId {
    /// A new identifier. Its order is the order of creation.
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The wall time at which it was made, in milliseconds since 1970; `None` if it does not tell.
    pub fn created_ms(&self) -> Option<i64> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        i64::try_from(seconds.saturating_mul(1000) + u64::from(nanoseconds / 1_000_000)).ok()
    }
}

impl Default for ImportId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ImportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for ImportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ImportId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}
