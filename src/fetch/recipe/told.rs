//! What may be told of an answer where a recipe looks in vain.
//!
//! Invariant: no text, value or address of an answer is in it. Names are shown as far as they look like names
//! that a programmer gave; of everything else only its form is.

use serde_json::Value;

/// Enough to see what a page is.
const MOST_NAMES: usize = 8;

/// Programmers' names are shorter.
const LONGEST_NAME: usize = 40;

/// A number or token in a name has more digits.
const MOST_DIGITS: usize = 4;

/// A date or a code is shorter; of anything longer the beginning says enough.
const LONGEST_FORM: usize = 24;

/// The form of a text: `31.01.1970` is `99.99.9999`.
pub(super) fn form(text: &str) -> String {
    let form = text.chars().take(LONGEST_FORM).map(|c| match c {
        c if c.is_numeric() => '9',
        c if c.is_uppercase() => 'A',
        c if c.is_alphabetic() => 'a',
        c if c.is_control() => ' ',
        c => c,
    });
    let mut form: String = form.collect();
    if text.chars().nth(LONGEST_FORM).is_some() {
        form.push('…');
    }
    form
}

/// A name as it is, or `…` if it may be more than a name.
pub(super) fn name(text: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_name = !text.is_empty()
        && text.len() <= LONGEST_NAME
        && text.chars().all(plain)
        && digits <= MOST_DIGITS;
    if is_name { text } else { "…" }
}

/// Some of them, each once.
pub(super) fn names<T: AsRef<str>>(all: impl Iterator<Item = T>) -> String {
    let mut shown: Vec<String> = Vec::new();
    for one in all {
        let one = one.as_ref();
        if shown.iter().any(|known| known == one) {
            continue;
        }
        if shown.len() >= MOST_NAMES {
            shown.push("…".to_owned());
            break;
        }
        shown.push(one.to_owned());
    }
    shown.join(", ")
}

/// How far a JSON pointer leads, and what is there.
pub(super) fn json(pointer: &str, document: &Value) -> String {
    let (mut at, mut path) = (document, String::new());
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        let next = match at {
            Value::Object(fields) => fields.get(&key),
            Value::Array(list) => key.parse::<usize>().ok().and_then(|number| list.get(number)),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
        path.push('/');
        path.push_str(part);
    }
    let place = if path.is_empty() { "the document".to_owned() } else { format!("`{path}`") };
    let is = match at {
        Value::Object(fields) if fields.is_empty() => "is an empty object".to_owned(),
        Value::Object(fields) => format!("has {}", names(fields.keys().map(|key| name(key)))),
        Value::Array(list) => format!("is a list of {} entries", list.len()),
        Value::String(text) => format!("is a text of the form `{}`", form(text)),
        Value::Number(_) => "is a number".to_owned(),
        Value::Bool(truth) => format!("is {truth}"),
        Value::Null => "is null".to_owned(),
    };
    format!("{place} {is}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_names_hold_no_value() {
        assert_eq!(form("31.01.1970"), "99.99.9999");
        assert_eq!(form("Müller^Eva\n"), "Aaaaaa^Aaa ");
        assert_eq!(form(&"x".repeat(100)), format!("{}…", "a".repeat(24)));
        assert_eq!(
            (name("csrf-token_2"), name("0815471112"), name("Eva Muster")),
            ("csrf-token_2", "…", "…")
        );
        assert_eq!(names(["a", "b", "a"].into_iter()), "a, b");
        assert!(names((0..50).map(|n| n.to_string())).ends_with("7, …"));
    }

    #[test]
    fn a_pointer_is_followed_as_far_as_it_leads() {
        let document = serde_json::json!({ "result": { "state": "packing", "jobs": [1] } });
        assert_eq!(json("/result/id", &document), "`/result` has state, jobs");
        assert_eq!(json("/results", &document), "the document has result");
        assert_eq!(json("/result/jobs/3", &document), "`/result/jobs` is a list of 1 entries");
        assert_eq!(
            json("/result/state", &document),
            "`/result/state` is a text of the form `aaaaaaa`"
        );
    }
}
