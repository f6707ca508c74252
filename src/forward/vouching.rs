//! How a destination vouches for what it was sent: what the configuration says of it.

use std::time::Duration;

use serde::Deserialize;

use crate::dimse::Remote;

/// Whether a destination is asked to commit itself to what it has stored (PS3.4 annex J).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Commitment {
    /// Where it takes such requests; else its answers count.
    #[default]
    Ask,
    /// Nothing is confirmed without.
    Require,
    Off,
}

/// Whether a query confirms what no commitment does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByQuery {
    #[default]
    No,
    Yes,
}

/// What vouches for a delivery, and whom to ask.
#[derive(Clone, Debug)]
pub struct Vouching {
    pub commitment: Commitment,
    /// Who commits, if it is not the one that objects are sent to: name and address.
    pub peer: Option<(String, Remote)>,
    /// How long a report may take.
    pub timeout: Duration,
    pub by_query: ByQuery,
}

impl Vouching {
    /// PS3.4 sets no time; archives that write to tape first need hours.
    pub const TIMEOUT: Duration = Duration::from_secs(24 * 3600);
}

impl Default for Vouching {
    fn default() -> Self {
        let (commitment, by_query) = (Commitment::default(), ByQuery::default());
        Self { commitment, peer: None, timeout: Self::TIMEOUT, by_query }
    }
}
