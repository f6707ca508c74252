//! One answer of a portal as a recipe looks at it, and what is read from it.

mod charset;
mod instead;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::html::select::Selector;
use super::html::{self, TooComplex};
use super::template::{Pattern, Pointer};

/// Pages and API answers have some kilobytes.
pub(super) const MOST_BODY: u64 = 1 << 20;

/// More entries no patient has behind one link.
const MOST_ENTRIES: usize = 2000;

/// Tokens and addresses are shorter.
const LONGEST_VALUE: usize = 16 << 10;

/// An answer whose body is here. All of it is secret.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) url: Url,
    headers: Vec<(String, String)>,
    pub(super) body: String,
    /// What the body was written in, by its label; a form goes back so.
    #[serde(default)]
    charset: Option<String>,
    /// Made once.
    #[serde(skip)]
    html: OnceLock<Result<Arc<html::Page>, TooComplex>>,
}

impl Page {
    pub(super) fn new(status: u16, url: Url, headers: Vec<(String, String)>, body: &[u8]) -> Self {
        let header = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let kind = header("content-type").map(|(_, value)| value.as_str());
        let (body, encoding) = charset::decoded(kind.unwrap_or(""), body);
        let (charset, html) = (Some(encoding.name().to_owned()), OnceLock::new());
        Self { status, url, headers, body, charset, html }
    }

    /// What a form of it is sent in.
    pub(super) fn charset(&self) -> &'static Encoding {
        let told = self.charset.as_deref().and_then(|label| Encoding::for_label(label.as_bytes()));
        told.unwrap_or(encoding_rs::UTF_8)
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    pub(super) fn html(&self) -> Result<Arc<html::Page>, TooComplex> {
        self.html.get_or_init(|| html::Page::parse(&self.body).map(Arc::new)).clone()
    }

    /// Whether it may be looked at as HTML, which takes a while.
    pub(super) fn may_be_html(&self) -> bool {
        self.body.trim_start().starts_with('<')
    }

    /// An address on this page, made whole as browsers do: by the page's own base if it names one.
    pub(super) fn join(&self, address: &str) -> Option<Url> {
        let base = self.html().ok().and_then(|html| self.url.join(html.base()?.trim()).ok());
        let base = base.filter(|base| matches!(base.scheme(), "http" | "https"));
        base.as_ref().unwrap_or(&self.url).join(address.trim()).ok()
    }
}

/// `extract`: where a value comes from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Reading {
    css: Option<Selector>,
    /// Of what `css` found, instead of its text; addresses are made whole.
    attribute: Option<String>,
    json: Option<Pointer>,
    header: Option<String>,
    cookie: Option<String>,
    /// The URL that answered.
    url: bool,
    /// The body as text.
    body: bool,
    /// Cuts a part out of what was found: its first group, else the whole match.
    regex: Option<Pattern>,
    /// Empty instead of "the portal has changed" if it is not there.
    pub(super) optional: bool,
}

/// `list`: where several entries come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Listing {
    #[serde(default)]
    css: Option<Selector>,
    #[serde(default)]
    json: Option<Pointer>,
    /// Only entries that hold this.
    #[serde(default)]
    only: BTreeMap<String, Pattern>,
    /// Values of each entry: with `css` an attribute's name, or `text`; with `json` a pointer into it.
    pub(super) fields: BTreeMap<String, String>,
    /// An empty list is no fault.
    #[serde(default)]
    pub(super) optional: bool,
}

/// Values of one entry.
pub(super) type Entry = BTreeMap<String, String>;

impl Reading {
    /// What is wrong with the combination of keys.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let places = [
            self.css.is_some(),
            self.json.is_some(),
            self.header.is_some(),
            self.cookie.is_some(),
            self.url,
            self.body,
        ];
        if places.into_iter().filter(|given| *given).count() != 1 {
            return Some("name one place: css, json, header, cookie, url = true or body = true");
        }
        (self.attribute.is_some() && self.css.is_none()).then_some("attribute goes with css")
    }

    /// The value; `cookie` looks one up.
    pub(super) fn read(
        &self,
        page: &Page,
        cookie: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String> {
        let whole = if let Some(css) = &self.css {
            let html = page.html().ok()?;
            let id = *html.select(css).first()?;
            match &self.attribute {
                Some(name) => attribute(page, &html, id, name),
                None => Some(html.text(id)),
            }
        } else if let Some(pointer) = &self.json {
            pointer.text(&page.json()?)
        } else if let Some(name) = &self.header {
            page.header(name)
        } else if let Some(name) = &self.cookie {
            cookie(name)
        } else if self.url {
            Some(page.url.to_string())
        } else {
            Some(page.body.clone())
        }?;
        let value = match &self.regex {
            Some(pattern) => pattern.find(&whole)?.to_owned(),
            None => whole,
        };
        (!value.is_empty() && value.len() <= LONGEST_VALUE).then_some(value)
    }
}

/// Addresses are told relative to the page, so they are made whole.
fn attribute(page: &Page, html: &html::Page, id: usize, name: &str) -> Option<String> {
    let value = html.attribute(id, name)?;
    match name {
        "href" | "src" | "action" => page.join(value).map(String::from),
        _ => Some(value.to_owned()),
    }
}

impl Listing {
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.css.is_some() == self.json.is_some() {
            return Some("a list has either css or json");
        }
        if self.fields.is_empty() {
            return Some("a list has fields");
        }
        let known = |name: &String| self.fields.contains_key(name);
        if !self.only.keys().all(known) {
            return Some("`only` looks at fields of the list");
        }
        let pointer = |field: &String| field.is_empty() || field.starts_with('/');
        (self.json.is_some() && !self.fields.values().all(pointer))
            .then_some("the fields of a json list are pointers, as in /id")
    }

    /// The entries; `None` if the place is not there, or there are too many, or one lacks a field.
    pub(super) fn read(&self, page: &Page) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        if let Some(css) = &self.css {
            let html = page.html().ok()?;
            for id in html.select(css) {
                let field = |(name, place): (&String, &String)| {
                    let value = match place.as_str() {
                        "text" => Some(html.text(id)),
                        name => attribute(page, &html, id, name),
                    };
                    Some((name.clone(), value?))
                };
                entries.push(self.fields.iter().map(field).collect::<Option<Entry>>()?);
            }
        } else if let Some(pointer) = &self.json {
            let document = page.json()?;
            for entry in pointer.find(&document)?.as_array()? {
                let field = |(name, place): (&String, &String)| {
                    let pointer = Pointer::try_from(place.clone()).ok()?;
                    Some((name.clone(), pointer.text(entry)?))
                };
                entries.push(self.fields.iter().map(field).collect::<Option<Entry>>()?);
            }
        }
        entries.retain(|entry| {
            let wanted = |(name, pattern): (&String, &Pattern)| {
                entry.get(name).is_some_and(|value| pattern.is_match(value))
            };
            self.only.iter().all(wanted)
        });
        let bounded = entries.len() <= MOST_ENTRIES
            && entries.iter().flat_map(Entry::values).all(|value| value.len() <= LONGEST_VALUE);
        bounded.then_some(entries)
    }
}
