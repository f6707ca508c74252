//! Forms: what a browser would send if a person filled them in.

use std::borrow::Cow;

use encoding_rs::Encoding as Charset;

use super::select::Selector;
use super::{Child, Fields, Page};

/// Forms of portals have a handful of fields.
const MOST_FIELDS: usize = 200;

/// A form that was found, filled in.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::fetch::recipe) struct Form {
    /// As written, to be resolved against the page; empty means the page itself.
    pub(in crate::fetch::recipe) action: String,
    pub(in crate::fetch::recipe) method: Method,
    pub(in crate::fetch::recipe) encoding: Encoding,
    /// What its text is written in, if it says so itself.
    pub(in crate::fetch::recipe) charset: Option<&'static Charset>,
    pub(in crate::fetch::recipe) fields: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fetch::recipe) enum Method {
    Get,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fetch::recipe) enum Encoding {
    Urlencoded,
    Multipart,
}

/// Why a form cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::fetch::recipe) enum Missing {
    Form,
    /// The page has the form, but not this field of it.
    Field(String),
    Button,
    TooMany,
}

impl Page {
    /// Fills in the first form that `selector` finds, or that holds what it finds. Hidden fields, chosen
    /// options and ticked boxes go along as the page has them; every name in `filled` has to be in the form.
    pub(in crate::fetch::recipe) fn fill(
        &self,
        selector: &Selector,
        filled: &Fields,
        button: Option<&Selector>,
    ) -> Result<Form, Missing> {
        let found = self.select(selector);
        let form = found.iter().find_map(|id| self.form_of(*id)).ok_or(Missing::Form)?;
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut left = filled.clone();
        for control in self.controls(form) {
            let Some(name) = self.attribute(control, "name").filter(|name| !name.is_empty()) else {
                continue;
            };
            if self.attribute(control, "disabled").is_some() {
                continue;
            }
            if let Some(value) = left.remove(name) {
                fields.push((name.to_owned(), value));
            } else if !filled.contains_key(name) {
                fields.extend(self.values(control).map(|value| (name.to_owned(), value)));
            }
            if fields.len() > MOST_FIELDS {
                return Err(Missing::TooMany);
            }
        }
        if let Some(name) = left.into_keys().next() {
            return Err(Missing::Field(name));
        }
        if let Some(button) = button {
            let pressed =
                self.select(button).into_iter().find(|id| self.form_of(*id) == Some(form));
            let pressed = pressed.ok_or(Missing::Button)?;
            if let Some(name) = self.attribute(pressed, "name").filter(|name| !name.is_empty()) {
                let value = self.attribute(pressed, "value").unwrap_or("");
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
        let is = |name: &str, wanted: &str| {
            self.attribute(form, name)
                .is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
        };
        Ok(Form {
            action: self.attribute(form, "action").unwrap_or("").trim().to_owned(),
            method: if is("method", "post") { Method::Post } else { Method::Get },
            encoding: match is("enctype", "multipart/form-data") {
                true => Encoding::Multipart,
                false => Encoding::Urlencoded,
            },
            charset: {
                let told = self.attribute(form, "accept-charset").unwrap_or("");
                told.split_whitespace().find_map(|label| Charset::for_label(label.as_bytes()))
            },
            fields,
        })
    }

    /// The form that an element is, stands in, or belongs to.
    fn form_of(&self, id: usize) -> Option<usize> {
        if let Some(tied) = self.attribute(id, "form") {
            let is_it =
                |id: &usize| self.tag(*id) == "form" && self.attribute(*id, "id") == Some(tied);
            return self.below(super::ROOT).into_iter().find(is_it);
        }
        if let Some(form) = self.node(id)?.form {
            return Some(form);
        }
        let mut at = Some(id);
        // Steps are bounded by the depth of the page.
        for _ in 0..=super::DEEPEST {
            match at {
                Some(id) if self.tag(id) == "form" => return Some(id),
                Some(id) => at = self.node(id)?.parent,
                None => return None,
            }
        }
        None
    }

    pub(super) fn controls(&self, form: usize) -> Vec<usize> {
        let is_control = |id: &usize| matches!(self.tag(*id), "input" | "select" | "textarea");
        let all = self.below(super::ROOT).into_iter().filter(is_control);
        let own = self.attribute(form, "id");
        let belongs = |id: &usize| match self.attribute(*id, "form") {
            Some(tied) => own == Some(tied),
            None => self.form_of(*id) == Some(form),
        };
        all.filter(belongs).collect()
    }

    /// What an untouched control sends.
    fn values(&self, control: usize) -> impl Iterator<Item = String> {
        let own = || self.attribute(control, "value").map(str::to_owned);
        let kind = self.attribute(control, "type").unwrap_or("").trim().to_ascii_lowercase();
        let values: Vec<String> = match self.tag(control) {
            "textarea" => {
                let children = self.node(control).map_or(&[][..], |node| node.children.as_slice());
                let text = children.iter().filter_map(|child| match child {
                    Child::Text(text) => Some(text.as_str()),
                    Child::Node(_) => None,
                });
                vec![text.collect()]
            }
            "select" => self.chosen(control),
            _ => match kind.as_str() {
                "submit" | "button" | "reset" | "image" | "file" => vec![],
                "checkbox" | "radio" if self.attribute(control, "checked").is_none() => vec![],
                "checkbox" | "radio" => vec![own().unwrap_or_else(|| "on".to_owned())],
                _ => vec![own().unwrap_or_default()],
            },
        };
        values.into_iter()
    }

    fn chosen(&self, select: usize) -> Vec<String> {
        let options: Vec<usize> =
            self.below(select).into_iter().filter(|id| self.tag(*id) == "option").collect();
        let value =
            |id: &usize| self.attribute(*id, "value").map_or_else(|| self.text(*id), str::to_owned);
        let selected: Vec<String> = options
            .iter()
            .filter(|id| self.attribute(**id, "selected").is_some())
            .map(value)
            .collect();
        if self.attribute(select, "multiple").is_some() || !selected.is_empty() {
            return selected;
        }
        options.first().map(value).into_iter().collect()
    }
}

impl Form {
    /// A text as it is sent. What the page's encoding has not goes as browsers send it, `&#252;`.
    fn text<'a>(&self, text: &'a str, page: &'static Charset) -> Cow<'a, [u8]> {
        self.charset.unwrap_or(page).encode(text).0
    }

    /// `name=value&…` (application/x-www-form-urlencoded); `page` is what its page is written in.
    pub(in crate::fetch::recipe) fn urlencoded(&self, page: &'static Charset) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .encoding_override(Some(&|text| self.text(text, page)))
            .extend_pairs(&self.fields)
            .finish()
    }

    /// Media type and body of a multipart form (RFC 7578).
    pub(in crate::fetch::recipe) fn multipart(&self, page: &'static Charset) -> (String, Vec<u8>) {
        let mut boundary = "lotse-form-boundary".to_owned();
        // A boundary that is in no value; each round makes it longer, so there is one.
        while self.fields.iter().any(|(name, value)| {
            value.contains(boundary.as_str()) || name.contains(boundary.as_str())
        }) {
            boundary.push_str("-x");
        }
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
            let head =
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(&self.text(&head, page));
            body.extend_from_slice(&self.text(value, page));
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }
}
