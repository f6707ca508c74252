//! How a request differs from the one that was recorded, without the values in either.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;
use url::form_urlencoded::parse;

use super::{Exchange, pair};
use crate::fetch::recipe::told;
use crate::web::HeaderMap;

/// A segment of a path that may be a share or a token.
const LONG_SEGMENT: usize = 16;

/// Method and address; shares, tokens and answers in it by their form.
pub(super) fn request(method: &str, url: &Url) -> String {
    let origin = url.origin().ascii_serialization();
    let segment = |segment: &str| {
        let is_plain =
            segment.len() < LONG_SEGMENT && !segment.contains(|c: char| c.is_ascii_digit());
        if is_plain { segment.to_owned() } else { told::form(segment) }
    };
    let path: Vec<String> = url.path().split('/').map(segment).collect();
    let query: Vec<String> = url
        .query_pairs()
        .map(|(name, value)| format!("{}={}", told::name(&name), told::form(&value)))
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("{method} {origin}{}{query}", path.join("/"))
}

impl Exchange {
    /// In words, to follow "request 2"; `None` if it is the request that was recorded.
    pub(super) fn differs(
        &self,
        method: &str,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<String> {
        let sent = request(method, url);
        if self.request.trim() != format!("{method} {url}") {
            let (recorded, at) = self.request.trim().split_once(' ').unwrap_or(("", ""));
            let recorded =
                Url::parse(at.trim()).map(|url| request(recorded, &url)).unwrap_or_default();
            return Some(match recorded == sent {
                true => format!("is {sent}, recorded is one of the same form with other values"),
                false => format!("is {sent}, recorded is {recorded}"),
            });
        }
        if let Some(wanted) = self.body.as_ref().filter(|wanted| wanted.as_bytes() != body) {
            return Some(format!("({sent}) {}", bodies(wanted, &String::from_utf8_lossy(body))));
        }
        self.headers.iter().find_map(|line| {
            let (name, wanted) = pair(line);
            match headers.get(name.as_str()).map(|value| value.to_str().unwrap_or("")) {
                Some(value) if value == wanted => None,
                Some(value) => {
                    Some(format!("({sent}) has {}", values("header", &name, &wanted, value)))
                }
                None => Some(format!("({sent}) lacks the header `{name}`")),
            }
        })
    }
}

/// One value that is not as recorded.
fn values(what: &str, name: &str, wanted: &str, sent: &str) -> String {
    let (wanted, sent) = (told::form(wanted), told::form(sent));
    match wanted == sent {
        true => format!(
            "the {what} `{name}` with another value than recorded, of the same form `{sent}`"
        ),
        false => format!("the {what} `{name}` as `{sent}`, recorded is `{wanted}`"),
    }
}

fn bodies(wanted: &str, sent: &str) -> String {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let (what, recorded, sent_fields) = match (json(wanted), json(sent)) {
        (Some(recorded), Some(sent)) => ("value", flat(&recorded), flat(&sent)),
        (None, None) if !wanted.contains("\r\n") => {
            let fields = |text: &str| -> Vec<(String, String)> {
                parse(text.as_bytes()).into_owned().collect()
            };
            ("field", fields(wanted), fields(sent))
        }
        _ => {
            return format!(
                "sends another body ({} bytes) than recorded ({} bytes)",
                sent.len(),
                wanted.len()
            );
        }
    };
    let of = |fields: &[(String, String)]| -> BTreeMap<String, String> {
        fields.iter().cloned().collect()
    };
    let (known, came) = (of(&recorded), of(&sent_fields));
    for (name, value) in &known {
        match came.get(name) {
            None => return format!("lacks the {what} `{name}`"),
            Some(other) if other != value => {
                return format!("has {}", values(what, name, value, other));
            }
            Some(_) => {}
        }
    }
    if let Some(name) = came.keys().find(|name| !known.contains_key(*name)) {
        return format!("has the {what} `{name}`, which was not recorded");
    }
    let order =
        |fields: &[(String, String)]| told::names(fields.iter().map(|(name, _)| name.clone()));
    let (sent, recorded) = (order(&sent_fields), order(&recorded));
    format!("has the {what}s {sent}, recorded is the order {recorded}")
}

/// The values of a document by their pointers.
fn flat(document: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), document)];
    while let Some((at, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                open.extend(fields.iter().map(|(key, value)| (format!("{at}/{key}"), value)));
            }
            Value::Array(list) => {
                open.extend(list.iter().enumerate().map(|(n, value)| (format!("{at}/{n}"), value)));
            }
            Value::String(text) => found.push((at, text.clone())),
            other => found.push((at, other.to_string())),
        }
    }
    found.sort();
    found
}
