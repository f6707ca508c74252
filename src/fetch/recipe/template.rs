//! Texts with values in them: `{link.origin}/api/{share}`.
//!
//! Invariant: a value that stands inside of a URL is encoded, so foreign text stays one segment or one
//! parameter; only at the very beginning it is taken as it is, which is where an address stands.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Longer texts are none of a recipe.
const LONGEST: usize = 8192;

/// What a rendered text may come to.
const LONGEST_RENDERED: usize = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
}

/// A text with the names of values in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template {
    /// As written: it holds no secret.
    text: String,
    pieces: Vec<Piece>,
}

/// A value that is not there, or a text that grew beyond reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfilled {
    Value(String),
    TooLong,
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("this text is longer than {LONGEST} bytes"));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
            plain.push_str(before);
            if let Some(after) = after.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = after.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let inner = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
                let (name, after) = inner.filter(|(name, _)| is_name(name)).ok_or(
                    "a value stands in braces, as in {link} or {item.href}; write {{ for a brace",
                )?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Value(name.to_owned()));
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { text, pieces })
    }
}

/// Letters, digits, `_`, `-` and dots.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    name.len() <= 100 && name.split('.').all(part)
}

impl Template {
    /// As written in the recipe.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The values it needs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// With every value as it is.
    pub(super) fn plain(&self, value: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
        self.fill(value, &|value, _| value)
    }

    /// As a URL.
    pub(super) fn url(&self, value: &dyn Fn(&str) -> Option<String>) -> Result<String, Unfilled> {
        self.fill(value, &|value, at| if at == 0 { value } else { encoded(&value) })
    }

    fn fill(
        &self,
        value: &dyn Fn(&str) -> Option<String>,
        write: &dyn Fn(String, usize) -> String,
    ) -> Result<String, Unfilled> {
        let mut text = String::new();
        for (at, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Value(name) => {
                    let value = value(name).ok_or_else(|| Unfilled::Value(name.clone()))?;
                    text.push_str(&write(value, at));
                }
            }
            if text.len() > LONGEST_RENDERED {
                return Err(Unfilled::TooLong);
            }
        }
        Ok(text)
    }
}

/// Everything but letters, digits and `-._~` (RFC 3986 2.3).
pub(super) fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    // A segment of dots would be taken out of the path.
    if !text.is_empty() && text.bytes().all(|byte| byte == b'.') {
        return text.replace('.', "%2E");
    }
    text
}

/// JSON whose strings are templates.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum Shape {
    Text(Template),
    List(Vec<Shape>),
    Object(BTreeMap<String, Shape>),
    /// A number or a truth value.
    Other(Value),
}

impl TryFrom<Value> for Shape {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::try_from(text)?),
            Value::Array(list) => {
                Self::List(list.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
            }
            Value::Object(map) => Self::Object(
                map.into_iter()
                    .map(|(key, value)| Ok::<_, String>((key, Self::try_from(value)?)))
                    .collect::<Result<_, _>>()?,
            ),
            other => Self::Other(other),
        })
    }
}

impl Shape {
    pub(super) fn fill(&self, value: &dyn Fn(&str) -> Option<String>) -> Result<Value, Unfilled> {
        Ok(match self {
            Self::Text(text) => Value::String(text.plain(value)?),
            Self::List(list) => {
                Value::Array(list.iter().map(|shape| shape.fill(value)).collect::<Result<_, _>>()?)
            }
            Self::Object(map) => {
                let filled = map.iter().map(|(key, shape)| Ok((key.clone(), shape.fill(value)?)));
                Value::Object(filled.collect::<Result<_, _>>()?)
            }
            Self::Other(other) => other.clone(),
        })
    }

    pub(super) fn names<'a>(&'a self, into: &mut Vec<&'a str>) {
        match self {
            Self::Text(text) => into.extend(text.names()),
            Self::List(list) => list.iter().for_each(|shape| shape.names(into)),
            Self::Object(map) => map.values().for_each(|shape| shape.names(into)),
            Self::Other(_) => {}
        }
    }
}

/// A regular expression of linear time, small enough to be made by anybody.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pattern(regex::Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        /// Patterns of portals have some dozens of characters.
        const LONGEST_PATTERN: usize = 1000;
        /// Memory of a compiled pattern, in bytes.
        const SIZE: usize = 1 << 20;
        if text.len() > LONGEST_PATTERN {
            return Err(format!("this pattern is longer than {LONGEST_PATTERN} bytes"));
        }
        let built = regex::RegexBuilder::new(&text).size_limit(SIZE).dfa_size_limit(SIZE).build();
        built.map(Self).map_err(|error| {
            let error = error.to_string();
            format!("this pattern cannot be read: {}", error.lines().last().unwrap_or(""))
        })
    }
}

impl Pattern {
    /// As written in the recipe.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The first group, or the whole match if there is none.
    pub(super) fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        let found = self.0.captures(text)?;
        found.get(1).or_else(|| found.get(0)).map(|part| part.as_str())
    }

    /// The named groups of a match; `None` if there is no match.
    pub(super) fn groups(&self, text: &str) -> Option<BTreeMap<String, String>> {
        let found = self.0.captures(text)?;
        let named = self.0.capture_names().flatten();
        let groups =
            named.filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().to_owned())));
        Some(groups.collect())
    }

    pub(super) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.0.capture_names().flatten()
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pointer(String);

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.starts_with('/') {
            Ok(Self(text))
        } else {
            Err(format!("a JSON pointer begins with a slash, as in /{text}"))
        }
    }
}

impl Pointer {
    /// As written in the recipe.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        document.pointer(&self.0)
    }

    /// What is there as text: a string, a number or a truth value.
    pub(super) fn text(&self, document: &Value) -> Option<String> {
        match self.find(document)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<String> {
        match name {
            "link" => Some("https://p.example/a?b=c".to_owned()),
            "id" => Some("../x y&z".to_owned()),
            "dots" => Some("..".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn values_are_encoded_but_for_the_beginning() {
        let template = |text: &str| Template::try_from(text.to_owned()).unwrap();
        assert_eq!(template("{link}").url(&values).unwrap(), "https://p.example/a?b=c");
        assert_eq!(
            template("/d/{id}?q={id}").url(&values).unwrap(),
            "/d/..%2Fx%20y%26z?q=..%2Fx%20y%26z"
        );
        assert_eq!(template("/d/{dots}/e").url(&values).unwrap(), "/d/%2E%2E/e");
        assert_eq!(template("a{{{id}}}").plain(&values).unwrap(), "a{../x y&z}");
        assert_eq!(template("{no}").plain(&values), Err(Unfilled::Value("no".into())));
        for bad in ["{", "{}", "{a b}", "}", "{a..b}", &"x".repeat(9000)] {
            assert!(Template::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_and_pointers_are_bounded() {
        for bad in ["(", "a{1000}{1000}{1000}", &"x".repeat(2000), "(?=a)"] {
            assert!(Pattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        let pattern = Pattern::try_from("^/s/(?<share>[a-z]+)$".to_owned()).unwrap();
        assert_eq!(pattern.find("/s/abc"), Some("abc"));
        assert_eq!(pattern.groups("/s/abc").unwrap().get("share").map(String::as_str), Some("abc"));
        let pointer = Pointer::try_from("/a/0".to_owned()).unwrap();
        assert_eq!(pointer.text(&serde_json::json!({ "a": [7] })).as_deref(), Some("7"));
        assert!(Pointer::try_from("a".to_owned()).is_err());
    }
}
