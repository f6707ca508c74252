//! Unique identifiers and application entity titles.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a UID or an application entity title was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a UID has 1 to 64 digits and dots")]
    Uid,
    #[error("an AE title has 1 to 16 printable ASCII characters without a backslash")]
    AeTitle,
}

/// A unique identifier (PS3.5 section 9): 1 to 64 digits and dots, without the padding peers send.
///
/// Leading zeros in a component are accepted, because valid references depend on them being kept. A copy shares the
/// text: thousands of instances tell of one series and one class.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uid(Arc<str>);

impl Uid {
    /// Parses a UID, without the NUL and space padding that surrounds it on the wire.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text = text.trim_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
        let allowed = |b: u8| b.is_ascii_digit() || b == b'.';
        let dots = text.starts_with('.') || text.ends_with('.') || text.contains("..");
        if text.is_empty() || text.len() > 64 || dots || !text.bytes().all(allowed) {
            return Err(Malformed::Uid);
        }
        Ok(Self(text.into()))
    }

    /// A UID of our own that is the same for the same name: `2.25.` and a name-based UUID (PS3.5 B.2).
    pub fn derived(name: &[u8]) -> Self {
        let uuid = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name);
        Self(format!("2.25.{}", uuid.as_u128()).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Uid {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::new(text)
    }
}

impl TryFrom<String> for Uid {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        Self::new(&text)
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> Self {
        uid.as_str().to_owned()
    }
}

/// An application entity title (PS3.5 table 6.2-1, AE): 1 to 16 characters, without padding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AeTitle(String);

impl AeTitle {
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let text = text.trim_matches(|c: char| c == '\0' || c == ' ');
        let allowed = |b: u8| (b.is_ascii_graphic() || b == b' ') && b != b'\\';
        if text.is_empty() || text.len() > 16 || !text.bytes().all(allowed) {
            return Err(Malformed::AeTitle);
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AeTitle {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::new(text)
    }
}

impl TryFrom<String> for AeTitle {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        Self::new(&text)
    }
}

impl From<AeTitle> for String {
    fn from(title: AeTitle) -> Self {
        title.0
    }
}
