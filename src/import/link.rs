//! Where an import is fetched from: a link, and where a visit to it stands. Both are secrets.

use serde::{Deserialize, Serialize};

/// A portal link. It is a secret: no `Display`, redacted under `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Link(url::Url);

impl Link {
    /// Takes what a person pasted or scanned; surrounding space is dropped. `None` if it is not an
    /// `http` or `https` URL with a host.
    pub fn new(text: &str) -> Option<Self> {
        let url = url::Url::parse(text.trim()).ok()?;
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
        (usable && text.len() <= 4096).then_some(Self(url))
    }

    pub fn url(&self) -> &url::Url {
        &self.0
    }

    /// The host, which may be shown and logged.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or("")
    }
}

/// Where a visit to a portal stands, as the fetching of links wrote it. It holds cookies and tokens: a
/// secret, redacted under `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bookmark {
    pub state: String,
    /// A person answered since it was kept.
    #[serde(default)]
    pub answered: bool,
}
