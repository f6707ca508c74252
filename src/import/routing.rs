//! Which way a study takes: what is recorded of it with its decision.

use serde::{Deserialize, Serialize};

/// What becomes of compressed images on the way to a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compressed {
    /// They go as they are, or not at all.
    AsIs,
    /// They are decoded where the destination does not take them as they are.
    #[default]
    NativeIfNeeded,
    /// They are decoded always.
    Native,
}
