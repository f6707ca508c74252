//! Which links a recipe is for, and which hosts it may reach.
//!
//! Invariant: a recipe whose own samples leave the hosts that it allows is refused when it is read.

use serde::Deserialize;
use url::Url;

use super::file::File;
use super::template::{Pattern, Template};
use crate::import::Link;

/// `[match]`: what the recipe is for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Match {
    /// Without port; `*.example.org` is every host below.
    pub(super) hosts: Vec<Host>,
    /// Found in path and query of the link; named groups become values.
    pub(super) link: Option<Pattern>,
    /// Codes that are typed instead of a link: compared without spaces and dashes, in capitals.
    pub(super) codes: Vec<Made>,
    /// What a QR code says, if that is no link.
    pub(super) payloads: Vec<Made>,
}

/// A link that is made of something else.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Made {
    /// Of the whole text; its named groups are values of `link`, the whole is `{code}`.
    pub(super) pattern: Pattern,
    pub(super) link: Template,
}

/// A host name, or `*.` and one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Host(String);

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let name = text.strip_prefix("*.").unwrap_or(&text);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if name.is_empty() || !name.chars().all(plain) || (name != text && !name.contains('.')) {
            return Err(
                "a host is a name without scheme, port and path, as in portal.example.org".into()
            );
        }
        Ok(Self(text))
    }
}

impl Host {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    pub(super) fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(end) => host.len() > end.len() && host.ends_with(end),
            None => host == self.0,
        }
    }
}

impl Match {
    /// A link made of a typed code or of what a QR code says.
    pub(super) fn made(&self, text: &str) -> Option<Link> {
        let text = text.trim();
        let dashes = |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}');
        let code: String = text.chars().filter(|c| !dashes(*c)).collect::<String>().to_uppercase();
        let codes = self.codes.iter().map(|made| (made, code.as_str()));
        let payloads = self.payloads.iter().map(|made| (made, text));
        codes.chain(payloads).find_map(|(made, text)| {
            let groups = made.pattern.groups(text)?;
            let value = |name: &str| match name {
                "code" => Some(text.to_owned()),
                name => groups.get(name).cloned(),
            };
            Link::new(&made.link.url(&value).ok()?)
        })
    }

    /// Whether the recipe is for links of this host; one that names none is bound by `[portals.NAME]`.
    pub(super) fn names(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|named| named.covers(host))
    }
}

/// What is wrong with the links of the samples: where, the key, a sentence.
pub(super) fn of_samples(file: &File) -> Result<(), (usize, String, String)> {
    for sample in &file.samples {
        let wrong = |at: usize, key: &str, why: String| {
            Err((at, key.to_owned(), format!("sample \"{}\": {why}", sample.get_ref().name)))
        };
        let (at, sample) = (sample.span().start, sample.get_ref());
        let link = Link::new(&sample.link).or_else(|| file.rules.made(&sample.link));
        let Some(link) = link else {
            return wrong(
                at,
                "link",
                "this is no link, and no code that [match] makes one of".into(),
            );
        };
        let host = super::host_of(link.url());
        if !file.rules.names(&host) {
            let why = format!(
                "its link goes to {host}, which is not among hosts under [match]; correct one of both"
            );
            return wrong(at, "link", why);
        }
        let allowed = |host: &str| {
            let mut own = file.rules.hosts.iter().chain(&file.limits.hosts);
            own.any(|named| named.covers(host))
        };
        for exchange in &sample.exchanges {
            let (at, request) = (exchange.span().start, exchange.get_ref().request.as_str());
            let url =
                request.split_once(' ').filter(|(method, _)| matches!(*method, "GET" | "POST"));
            let url = url.and_then(|(_, url)| Url::parse(url.trim()).ok());
            let Some(url) = url.filter(Url::has_host) else {
                let why = "write a request as `GET https://host/path` or `POST https://host/path`";
                return wrong(at, "request", why.to_owned());
            };
            let other = super::host_of(&url);
            if other != host && !allowed(&other) {
                let why = format!(
                    "it sends a request to {other}, which the recipe does not allow; add it to hosts under \
                     [limits], or correct the sample"
                );
                return wrong(at, "request", why);
            }
        }
    }
    Ok(())
}
