//! Faults of a configuration: all of them at once, each with its key, its line and what to do.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Faults reported of one section at most, so that a file of something else does not fill the screen.
const MOST: usize = 50;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Dotted path of the key.
    pub key: String,
    /// Line in the file, counted from 1, if the key stands there.
    pub line: Option<usize>,
    pub sentence: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            match fault.line {
                Some(line) => write!(f, "line {line}: ")?,
                None if fault.key.is_empty() => {}
                None => write!(f, "not in the file: ")?,
            }
            if !fault.key.is_empty() {
                write!(f, "{}: ", fault.key)?;
            }
            f.write_str(&fault.sentence)?;
        }
        Ok(())
    }
}

impl Faults {
    pub fn add(&mut self, key: impl Into<String>, sentence: impl Into<String>) {
        self.0.push(Fault { key: key.into(), line: None, sentence: sentence.into() });
    }

    /// Finds the lines of the keys in the text of the file.
    pub fn locate(&mut self, text: &str) {
        for fault in &mut self.0 {
            fault.line = fault.line.or_else(|| line_of(text, &fault.key));
        }
        self.0.sort_by_key(|fault| (fault.line.is_none(), fault.line));
    }

    /// Reads one section; unknown keys are noted with a suggestion, values that do not fit with their key,
    /// and both are left out, so that what else is wrong is found in the same pass.
    pub fn section<T: DeserializeOwned>(&mut self, path: &str, mut value: Value) -> Option<T> {
        let before = self.0.len();
        for _ in 0..MOST {
            let error = match serde_json::from_value::<T>(value.clone()) {
                // What misfits is told already; the section without it is not what was meant.
                Ok(section) => return Some(section),
                Err(error) => error.to_string(),
            };
            let Some((unknown, known)) = unknown_field(&error) else {
                if let Some((at, without)) = misfit::<T>(&value, &error) {
                    self.add(join(path, &at), plain(&error));
                    value = without;
                    continue;
                }
                // A key that was left out here is missing for no other reason.
                let ours = self.0.iter().skip(before).any(|fault| {
                    let key = fault.key.rsplit('.').next().unwrap_or_default();
                    error.starts_with(&format!("missing field `{key}`"))
                });
                if !ours {
                    self.add(path, plain(&error));
                }
                return None;
            };
            let Some(at) = remove(&mut value, &unknown) else {
                self.add(path, plain(&error));
                return None;
            };
            self.add(join(path, &at), unknown_key(&known, &unknown));
        }
        None
    }
}

/// The sentence for a key that nobody knows.
pub(super) fn unknown_key(known: &[String], unknown: &str) -> String {
    let near = known.iter().max_by(|a, b| {
        strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown))
    });
    match near {
        Some(near) if strsim::jaro_winkler(near, unknown) > 0.75 => {
            format!("unknown key; did you mean `{near}`?")
        }
        _ if known.is_empty() => "unknown key".to_owned(),
        _ => format!("unknown key; known here: {}", known.join(", ")),
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The key whose value serde complains of: the one without which it does not complain so any more.
fn misfit<T: DeserializeOwned>(value: &Value, error: &str) -> Option<(String, Value)> {
    if error.starts_with("missing field") {
        return None;
    }
    let mut keys = vec![];
    leaves(value, String::new(), &mut keys);
    // In order, so without one behind the misfit it still complains; without one before it, perhaps not.
    keys.into_iter().rev().find_map(|key| {
        let mut without = value.clone();
        let (table, last) = match key.rsplit_once('/') {
            Some((table, last)) => (without.pointer_mut(table)?, last),
            None => return None,
        };
        table.as_object_mut()?.remove(last)?;
        let complains = serde_json::from_value::<T>(without.clone()).err();
        (complains.is_none_or(|other| other.to_string() != error))
            .then(|| (key.trim_start_matches('/').replace('/', "."), without))
    })
}

/// JSON pointers of all keys that hold no table.
fn leaves(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                leaves(value, format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (n, value) in items.iter().enumerate() {
                leaves(value, format!("{at}/{n}"), found);
            }
        }
        _ => found.push(at),
    }
}

/// serde's sentence for an unknown field, taken apart.
fn unknown_field(error: &str) -> Option<(String, Vec<String>)> {
    let rest = error.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((unknown.to_owned(), known))
}

/// serde's sentence without its position, which counts in the merged tree and not in the file.
fn plain(error: &str) -> String {
    let end = error.find(" at line ").unwrap_or(error.len());
    error.get(..end).unwrap_or(error).replace("field", "key")
}

/// Removes the first key of this name, at any depth, and tells where it was.
fn remove(value: &mut Value, key: &str) -> Option<String> {
    match value {
        Value::Object(map) => {
            if map.remove(key).is_some() {
                return Some(key.to_owned());
            }
            map.iter_mut().find_map(|(name, inner)| Some(join(name, &remove(inner, key)?)))
        }
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .find_map(|(n, inner)| Some(format!("{n}.{}", remove(inner, key)?))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The line on which the last part of a dotted key is set, below its table if that can be told.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (table, last) = key.rsplit_once('.').unwrap_or(("", key));
    let named = |line: &str, name: &str| {
        let line = line.trim_start().trim_start_matches('"');
        line.strip_prefix(name)
            .is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with('='))
    };
    let heads = |line: &str, name: &str| {
        let line = line.trim();
        line.trim_matches(['[', ']', ' ']) == name && line.starts_with('[')
    };
    let without_index = table
        .split('.')
        .filter(|part| part.parse::<usize>().is_err())
        .collect::<Vec<_>>()
        .join(".");
    let mut inside = without_index.is_empty();
    let mut head = None;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('[') {
            inside = heads(line, &without_index);
            if heads(line, key) {
                head = head.or(Some(n + 1));
            }
        } else if inside && named(line, last) {
            return Some(n + 1);
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Section {
        #[serde(default)]
        data_dir: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(default)]
        address: String,
    }

    #[test]
    fn every_unknown_key_is_told_with_a_suggestion_and_a_line() {
        let text =
            "[gateway]\ndata-dri = \"/x\"\n[[gateway.inner]]\nadress = \"y\"\nnonsense = 1\n";
        let value: Value = toml::from_str::<Value>(text).unwrap();
        let mut faults = Faults::default();
        let read: Section =
            faults.section("gateway", value.get("gateway").unwrap().clone()).unwrap();
        assert!(read.data_dir.is_empty() && read.inner.iter().all(|i| i.address.is_empty()));
        faults.locate(text);
        let told = faults.to_string();
        assert!(
            told.contains("line 2: gateway.data-dri: unknown key; did you mean `data-dir`?"),
            "{told}"
        );
        assert!(
            told.contains("line 4: gateway.inner.0.adress: unknown key; did you mean `address`?"),
            "{told}"
        );
        assert!(told.contains("nonsense: unknown key"), "{told}");
    }

    #[test]
    fn a_wrong_type_names_the_key() {
        let mut faults = Faults::default();
        let read: Option<Section> = faults.section("gateway", serde_json::json!({"data-dir": 5}));
        assert!(read.is_some(), "without the key, so that the rest is looked at too");
        assert!(faults.to_string().contains("gateway.data-dir: "), "{faults}");
        assert!(faults.to_string().contains("expected a string"), "{faults}");
    }
}
