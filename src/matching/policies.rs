//! How far the rules go, for the site and for each source.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Policy;

/// The name that uploads and the command line go by.
const UPLOAD: &str = "upload";

/// `[matching]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MatchingSection {
    pub policy: Policy,
    /// By source: a name of `[peers]`, the host of a portal, or `upload`.
    pub sources: BTreeMap<String, Policy>,
}

impl MatchingSection {
    /// What holds for imports from this source; `None` is an upload.
    pub fn of(&self, source: Option<&str>) -> Policy {
        self.sources.get(source.unwrap_or(UPLOAD)).copied().unwrap_or(self.policy)
    }

    /// Sources that can never give an import: no peer, no host, not `upload`.
    pub fn strangers<'a>(
        &'a self,
        is_peer: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a str> {
        let known = move |name: &str| name == UPLOAD || name.contains('.') || is_peer(name);
        self.sources.keys().map(String::as_str).filter(move |name| !known(name))
    }
}
