//! What one destination means by its statuses, where that is not what the standard says.
//!
//! Invariant: only what the configuration names by its code is read otherwise; success stays success.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use crate::dicom::Uid;
use crate::dimse::Status;

/// Times that an object is sent which a destination fails to process.
pub(super) const FEW: u32 = 5;

/// Objects whose failures are counted; above it counting begins anew.
const COUNTED: usize = 100_000;

/// What a status is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// The object is there.
    Delivered,
    /// A person has to look.
    Refused,
    /// The object is sent again later.
    Retry,
}

/// Readings by code, as `"0111" = "delivered"` or `"C3xx" = "retry"`; an `x` stands for any digit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, Reading>")]
pub struct Readings(Vec<Pattern>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pattern {
    /// Of the digits that are given.
    mask: u16,
    code: u16,
    reading: Reading,
}

impl Readings {
    /// What the configuration says of a status; the pattern with the most digits counts.
    pub(super) fn of(&self, status: Status) -> Option<Reading> {
        let fits = |pattern: &&Pattern| status.0 & pattern.mask == pattern.code;
        let best = self.0.iter().filter(fits).max_by_key(|pattern| pattern.mask.count_ones());
        best.map(|pattern| pattern.reading)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, Reading>> for Readings {
    type Error = String;

    fn try_from(map: BTreeMap<String, Reading>) -> Result<Self, String> {
        let pattern = |(text, reading): (String, Reading)| {
            let mut pattern = Pattern { mask: 0, code: 0, reading };
            for digit in text.chars() {
                let (mask, value) = match digit {
                    'x' | 'X' => (0, 0),
                    digit => (0xF, digit.to_digit(16).and_then(|d| u16::try_from(d).ok())?),
                };
                pattern.mask = pattern.mask << 4 | mask;
                pattern.code = pattern.code << 4 | value;
            }
            // The first digit is given, so that nobody reads everything otherwise.
            let named = text.chars().count() == 4 && pattern.mask & 0xF000 != 0;
            let succeeds = pattern.mask == 0xFFFF && pattern.code == 0;
            (named && !succeeds).then_some(pattern)
        };
        let patterns = map.into_iter().map(|(text, reading)| {
            pattern((text.clone(), reading)).ok_or_else(|| {
                format!(
                    "`{text}` is no status; write four hexadecimal digits as \"0111\" or \"C3xx\""
                )
            })
        });
        patterns.collect::<Result<_, _>>().map(Self)
    }
}

/// How often objects failed at a destination, over all runs.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<Uid, u32>>);

impl Failures {
    /// Counts one; gives the failures of this object so far.
    pub(super) fn count(&self, instance: &Uid) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= COUNTED {
            counts.clear();
        }
        let times = counts.entry(instance.clone()).or_default();
        *times = times.saturating_add(1);
        *times
    }

    pub(super) fn forget(&self, instance: &Uid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(instance);
    }
}
