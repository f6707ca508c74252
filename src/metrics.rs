//! Counters and gauges, and the Prometheus text they are told in.
//!
//! Names are `lotse_<noun>_<unit>[_total]`. Labels come from enums and from the configuration, never from a
//! patient, a link or a peer's text. Invariant: what is written is well-formed whatever a label holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Whether a value only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Counter,
    Gauge,
}

/// One number of a family. Cheap to clone; every clone is the same number.
#[derive(Clone, Debug, Default)]
pub struct Value(Arc<AtomicU64>);

impl Value {
    pub fn add(&self, by: u64) {
        // Wraps after 2^64, which Prometheus reads as a restart.
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// For gauges; a counter is only added to.
    pub fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: Kind,
    /// By label name and label value.
    values: BTreeMap<Option<(&'static str, &'static str)>, Value>,
}

/// All numbers that the rooms keep. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

impl Metrics {
    /// The number of this name and label, made at the first call. Names and labels are literals, so there
    /// are never more of them than the code has.
    pub fn value(
        &self,
        kind: Kind,
        name: &'static str,
        label: Option<(&'static str, &'static str)>,
        help: &'static str,
    ) -> Value {
        debug_assert!(is_name(name), "{name}");
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family =
            families.entry(name).or_insert_with(|| Family { help, kind, values: BTreeMap::new() });
        family.values.entry(label).or_default().clone()
    }

    /// Writes every number.
    pub fn write(&self, text: &mut Text) {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, family) in families.iter() {
            text.family(family.kind, name, family.help);
            for (label, value) in &family.values {
                match label {
                    Some((key, label)) => text.sample(name, &[(key, label)], value.get()),
                    None => text.sample(name, &[], value.get()),
                }
            }
        }
    }
}

/// Writes the text format of Prometheus, version 0.0.4.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// What `Content-Type` says of it.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family; its samples follow.
    pub fn family(&mut self, kind: Kind, name: &str, help: &str) {
        debug_assert!(is_name(name), "{name}");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (index, (key, label)) in labels.iter().enumerate() {
            let label = label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{key}=\"{label}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one number without a label.
    pub fn single(&mut self, kind: Kind, name: &str, help: &str, value: u64) {
        self.family(kind, name, help);
        self.sample(name, &[], value);
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

fn is_name(name: &str) -> bool {
    name.strip_prefix("lotse_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    })
}

#[cfg(test)]
mod tests;
