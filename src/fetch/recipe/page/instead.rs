//! Where a recipe looks on a page, and what is there instead.

use super::{Listing, Page, Reading};
use crate::fetch::recipe::html::select::Selector;
use crate::fetch::recipe::template::{Pattern, Pointer};
use crate::fetch::recipe::told;

impl Page {
    /// Status and kind.
    pub(in crate::fetch::recipe) fn kind(&self) -> String {
        let told = self.header("content-type").unwrap_or_default();
        let kind = told.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let kind = if kind.is_empty() { "of no kind" } else { told::name(&kind) };
        format!("the answer has status {}, is {kind}, {} bytes", self.status, self.body.len())
    }

    fn without_css(&self, selector: &Selector) -> String {
        match self.html() {
            Ok(html) => format!("{}; {}", self.kind(), html.near(selector)),
            Err(_) => format!("{}, and too large to look at", self.kind()),
        }
    }

    pub(in crate::fetch::recipe) fn without_json(&self, pointer: &Pointer) -> String {
        match self.json() {
            Some(document) => told::json(pointer.as_str(), &document),
            None => format!("{}, and no JSON", self.kind()),
        }
    }

    pub(in crate::fetch::recipe) fn without_header(&self) -> String {
        format!(
            "the answer has the headers {}",
            told::names(self.headers.iter().map(|(name, _)| told::name(name)))
        )
    }

    /// What a selector finds does not fit, or nothing is found.
    pub(in crate::fetch::recipe) fn without_text(
        &self,
        selector: &Selector,
        wanted: Option<&Pattern>,
    ) -> String {
        let Ok(html) = self.html() else { return self.without_css(selector) };
        let found = html.select(selector);
        match wanted.filter(|_| !found.is_empty()) {
            Some(_) => {
                let texts = found.iter().map(|id| format!("`{}`", told::form(&html.text(*id))));
                format!("it has texts of the form {}", told::names(texts))
            }
            None => self.without_css(selector),
        }
    }
}

impl Reading {
    /// Where it looks, as the recipe says it.
    pub(in crate::fetch::recipe) fn place(&self) -> String {
        let mut place = if let Some(css) = &self.css {
            format!("css `{}`", css.as_str())
        } else if let Some(pointer) = &self.json {
            format!("json `{}`", pointer.as_str())
        } else if let Some(name) = &self.header {
            format!("header `{name}`")
        } else if let Some(name) = &self.cookie {
            format!("cookie `{name}`")
        } else if self.url {
            "the address of the answer".to_owned()
        } else {
            "the text of the answer".to_owned()
        };
        if let Some(name) = &self.attribute {
            place.push_str(&format!(", attribute `{name}`"));
        }
        if let Some(pattern) = &self.regex {
            place.push_str(&format!(", regex `{}`", pattern.as_str()));
        }
        place
    }

    /// What is there, after [`Reading::read`] found nothing.
    pub(in crate::fetch::recipe) fn instead(
        &self,
        page: &Page,
        cookie: &dyn Fn(&str) -> Option<String>,
    ) -> String {
        // What the pattern was to be cut out of.
        let whole = Self { regex: None, ..self.clone() }.read(page, cookie);
        if let (Some(whole), Some(_)) = (&whole, &self.regex) {
            let length = whole.chars().count();
            return format!(
                "the regex fits nothing in `{}` ({length} characters)",
                told::form(whole)
            );
        }
        if let Some(css) = &self.css {
            let html = page.html().ok();
            let found = html.as_ref().and_then(|html| html.select(css).first().copied());
            return match (html, found, &self.attribute) {
                (Some(html), Some(id), Some(_)) => {
                    format!("the element has the attributes {}", html.attributes(id))
                }
                (Some(_), Some(_), None) => "the element has no text".to_owned(),
                _ => page.without_css(css),
            };
        }
        if let Some(pointer) = &self.json {
            return page.without_json(pointer);
        }
        if self.header.is_some() {
            return page.without_header();
        }
        if self.cookie.is_some() {
            return "the portal set no such cookie for this address".to_owned();
        }
        page.kind()
    }
}

impl Listing {
    /// Where it looks, as the recipe says it.
    pub(in crate::fetch::recipe) fn place(&self) -> String {
        let fields = self.fields.iter().map(|(name, place)| format!("{name} = `{place}`"));
        let fields: Vec<String> = fields.collect();
        let place = match (&self.css, &self.json) {
            (Some(css), _) => format!("css `{}`", css.as_str()),
            (None, Some(pointer)) => format!("json `{}`", pointer.as_str()),
            (None, None) => String::new(),
        };
        format!("{place}, fields {}", fields.join(", "))
    }

    /// What is there, after [`Listing::read`] found no entry, or an entry that lacks a field.
    pub(in crate::fetch::recipe) fn instead(&self, page: &Page) -> String {
        if let Some(css) = &self.css {
            let Ok(html) = page.html() else { return page.without_css(css) };
            let found = html.select(css);
            let lacks = |id: &&usize| {
                self.fields
                    .values()
                    .any(|place| place != "text" && html.attribute(**id, place).is_none())
            };
            return match (found.len(), found.iter().find(lacks)) {
                (0, _) => page.without_css(css),
                (_, Some(id)) => format!("an entry has the attributes {}", html.attributes(*id)),
                (n, None) => format!("{n} entries, none that `only` lets through"),
            };
        }
        let (Some(pointer), Some(document)) = (&self.json, page.json()) else {
            return format!("{}, and no JSON", page.kind());
        };
        let Some(list) = pointer.find(&document).and_then(serde_json::Value::as_array) else {
            return told::json(pointer.as_str(), &document);
        };
        let lacking = list.iter().find_map(|entry| {
            let lacks = |place: &&String| {
                Pointer::try_from((*place).clone()).ok().and_then(|p| p.text(entry)).is_none()
            };
            Some((entry, self.fields.values().find(lacks)?))
        });
        match lacking {
            Some((entry, place)) => format!("in an entry {}", told::json(place, entry)),
            None => format!("{} entries, none that `only` lets through", list.len()),
        }
    }
}
