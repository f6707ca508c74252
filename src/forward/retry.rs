//! How long to wait before something is tried again, as a person writes it.

use std::time::Duration;

use serde::Deserialize;

/// The longest wait: after it the import may be dead.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Growing waits: `10s x2 up to 15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Retry {
    pub first: Duration,
    /// Each wait is so many times the one before.
    pub factor: u32,
    pub longest: Duration,
}

/// By what went wrong; what is not said is as at the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// The destination takes nothing.
    pub whole: Option<Retry>,
    /// It failed with some objects.
    pub objects: Option<Retry>,
}

impl TryFrom<String> for Retry {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = || {
            let (first, longest) = text.split_once(" up to ")?;
            let (first, factor) = match first.split_once(" x") {
                Some((first, factor)) => (first, factor.trim().parse().ok()?),
                None => (first, 1),
            };
            let time = |text: &str| humantime::parse_duration(text.trim()).ok();
            Some(Self { first: time(first)?, factor, longest: time(longest)? })
        };
        let fits = |retry: &Self| {
            let grows = (1..=10).contains(&retry.factor);
            !retry.first.is_zero()
                && grows
                && retry.first <= retry.longest
                && retry.longest <= LONGEST
        };
        parsed().filter(fits).ok_or_else(|| {
            format!("`{text}` tells no waits; write \"10s x2 up to 15m\": the first, by how much each is longer, the longest (at most 24h)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read() {
        let seconds = Duration::from_secs;
        let retry = |text: &str| Retry::try_from(text.to_owned());
        let doubled = Retry { first: seconds(10), factor: 2, longest: seconds(900) };
        assert_eq!(retry("10s x2 up to 15m"), Ok(doubled));
        let even = Retry { first: seconds(300), factor: 1, longest: seconds(300) };
        assert_eq!(retry("5m up to 5m"), Ok(even));
        for text in [
            "",
            "10s",
            "10s x2",
            "x2 up to 15m",
            "0s x2 up to 1m",
            "10s x0 up to 1m",
            "10s x99 up to 1h",
            "2m x2 up to 1m",
            "10s x2 up to 25h",
            "10s x-2 up to 1h",
            "ten up to 1h",
        ] {
            assert!(retry(text).unwrap_err().contains("10s x2 up to 15m"), "{text}");
        }
    }
}
