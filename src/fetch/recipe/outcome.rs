//! What a portal can mean by its answers, as a recipe names it, and what a person reads.

use serde::Deserialize;

use super::html::select::Selector;
use super::page::Page;
use super::template::{Pattern, Pointer};
use super::told;

/// How a portal may end a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    WrongFactor,
    Expired,
    Locked,
    Unknown,
    Preparing,
    NeedsPerson,
    PortalChanged,
    PortalDown,
}

impl Outcome {
    /// The word of the recipe.
    pub fn word(self) -> &'static str {
        match self {
            Self::WrongFactor => "wrong-factor",
            Self::Expired => "expired",
            Self::Locked => "locked",
            Self::Unknown => "unknown",
            Self::Preparing => "preparing",
            Self::NeedsPerson => "needs-person",
            Self::PortalChanged => "portal-changed",
            Self::PortalDown => "portal-down",
        }
    }

    /// What happened and what to do next.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::WrongFactor => {
                "the portal did not accept the answer: check it, then answer again; several wrong answers may lock the link"
            }
            Self::Expired => {
                "the link has expired; ask the sender to prolong it or for a new one, then press retry or import the new link"
            }
            Self::Locked => {
                "the portal has locked the link after wrong answers; ask the sender to unlock it or for a new one, then press retry"
            }
            Self::Unknown => {
                "the portal does not know this link; check that it was copied whole, or ask the sender for a new one"
            }
            Self::Preparing => "the portal is preparing the examination; it is asked again",
            Self::NeedsPerson => {
                "the portal wants something that only a person can do; open the link in a browser, do it there, then press retry, or download the examination there and upload the file here"
            }
            Self::PortalChanged => {
                "the portal does not look as its recipe says; open the link in a browser and upload the file here, and have the recipe mended (lotse portal try shows where it ends)"
            }
            Self::PortalDown => "the portal has a fault of its own; it is tried again",
        }
    }
}

/// `[[outcomes]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) outcome: Outcome,
    pub(super) when: Condition,
    /// Names of steps; all of them if absent.
    #[serde(default)]
    pub(super) steps: Vec<String>,
    /// What the site wants to tell a person beside the usual sentence.
    #[serde(default)]
    pub(super) say: Option<String>,
}

/// What has to hold of an answer: everything that is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Condition {
    status: Vec<u16>,
    /// Found on the page; with `matches`, one of those found has such a text.
    css: Option<Selector>,
    json: Option<Pointer>,
    header: Option<String>,
    /// The URL that answered.
    url: Option<Pattern>,
    /// The body as text.
    body: Option<Pattern>,
    /// For what `css`, `json` or `header` found.
    matches: Option<Pattern>,
}

impl Condition {
    pub(super) fn is_empty(&self) -> bool {
        let none = self.css.is_none() && self.json.is_none() && self.header.is_none();
        none && self.status.is_empty() && self.url.is_none() && self.body.is_none()
    }

    /// `matches` needs something to look at.
    pub(super) fn is_stray(&self) -> bool {
        let none = self.css.is_none() && self.json.is_none() && self.header.is_none();
        self.matches.is_some() && none
    }

    pub(super) fn holds(&self, page: &Page) -> bool {
        let fits = |text: &str| self.matches.as_ref().is_none_or(|wanted| wanted.is_match(text));
        let status = self.status.is_empty() || self.status.contains(&page.status);
        let url = self.url.as_ref().is_none_or(|wanted| wanted.is_match(page.url.as_str()));
        let body = self.body.as_ref().is_none_or(|wanted| wanted.is_match(&page.body));
        let header = self
            .header
            .as_ref()
            .is_none_or(|name| page.header(name).is_some_and(|value| fits(&value)));
        if !(status && url && body && header) {
            return false;
        }
        let json = self.json.as_ref().is_none_or(|pointer| {
            page.json().is_some_and(|document| match pointer.text(&document) {
                Some(text) => fits(&text),
                // A list or an object has no text to look at, but it is there.
                None => {
                    self.matches.is_none() && pointer.find(&document).is_some_and(|v| !v.is_null())
                }
            })
        });
        json && self.css.as_ref().is_none_or(|css| {
            page.html()
                .is_ok_and(|html| html.select(css).into_iter().any(|id| fits(&html.text(id))))
        })
    }

    /// What it looks at, as the recipe says it.
    pub(super) fn place(&self) -> String {
        let pattern = |key: &str, of: &Option<Pattern>| {
            of.as_ref().map(|pattern| format!("{key} `{}`", pattern.as_str()))
        };
        let places = [
            (!self.status.is_empty()).then(|| format!("status {:?}", self.status)),
            self.css.as_ref().map(|css| format!("css `{}`", css.as_str())),
            self.json.as_ref().map(|pointer| format!("json `{}`", pointer.as_str())),
            self.header.as_ref().map(|name| format!("header `{name}`")),
            pattern("url", &self.url),
            pattern("body", &self.body),
            pattern("matches", &self.matches),
        ];
        places.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Of an answer that it does not hold for: what is there instead.
    pub(super) fn instead(&self, page: &Page) -> String {
        if !self.status.is_empty() && !self.status.contains(&page.status) {
            return page.kind();
        }
        if self.url.as_ref().is_some_and(|wanted| !wanted.is_match(page.url.as_str())) {
            return "the address of the answer does not fit".to_owned();
        }
        if self.body.as_ref().is_some_and(|wanted| !wanted.is_match(&page.body)) {
            return format!("{}, and its text does not fit", page.kind());
        }
        if let Some(name) = &self.header {
            match page.header(name) {
                None => return page.without_header(),
                Some(value) if self.matches.as_ref().is_some_and(|m| !m.is_match(&value)) => {
                    return format!("the header is of the form `{}`", told::form(&value));
                }
                Some(_) => {}
            }
        }
        match (&self.json, &self.css) {
            (Some(pointer), _) => page.without_json(pointer),
            (None, Some(css)) => page.without_text(css, self.matches.as_ref()),
            (None, None) => page.kind(),
        }
    }
}
