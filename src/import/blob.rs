//! Where the bytes of an import are, and what tells them from others.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of one object or file in the spool of its import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Number of the pack file.
    pub pack: u32,
    /// Where the sealed record begins in the pack.
    pub at: u64,
    /// Length of the bytes before sealing.
    pub length: u64,
    /// BLAKE3 of the bytes before sealing.
    pub digest: Digest,
}

/// A digest; hexadecimal where it is written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// A digest is 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct Malformed;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let pair = |[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
        let (pairs, rest) = text.as_bytes().as_chunks();
        let bytes: Option<Vec<u8>> = pairs.iter().map(pair).collect();
        let digest = bytes.filter(|_| rest.is_empty()).and_then(|bytes| bytes.try_into().ok());
        digest.map(Self).ok_or(Malformed)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}
