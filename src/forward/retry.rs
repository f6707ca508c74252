//! How long to wait before something is tried again, and for how long, as a person writes it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// The longest wait: after it the import may be dead.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The latest end: nothing is kept longer.
const LATEST: Duration = Duration::from_secs(168 * 3600);

/// Waits that are listed one by one; more say no more than a factor.
const LISTED: usize = 16;

/// Waits, and when a person is asked instead: `1m, 5m, 15m, then every 30m for 24h`, or growing ones,
/// `10s x2 up to 15m`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Retry {
    /// One after the other, before what follows.
    pub listed: Vec<Duration>,
    pub first: Duration,
    /// Each wait is so many times the one before.
    pub factor: u32,
    pub longest: Duration,
    /// So long after the first failure a person is asked; without it, it goes on as long as anything is kept.
    pub end: Option<Duration>,
}

/// By what went wrong; what is not said is as at the site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// The destination takes nothing.
    pub whole: Option<Retry>,
    /// It failed with some objects.
    pub objects: Option<Retry>,
}

impl TryFrom<String> for Retry {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parsed(&text).filter(Retry::fits).ok_or_else(|| {
            format!(
                "`{text}` tells no waits; write \"10s x2 up to 15m\": the first, by how much each is longer, the longest \
                 (at most 24h); or \"1m, 5m, 15m, then every 30m\"; and behind it, if it shall end, \"for 24h\" (at most 168h)"
            )
        })
    }
}

fn parsed(text: &str) -> Option<Retry> {
    let (waits, end) = match text.rsplit_once(" for ") {
        Some((waits, end)) => (waits, Some(time(end)?)),
        None => (text, None),
    };
    let (listed, rest) = match waits.split_once(", then ") {
        Some((listed, rest)) => (listed.split(',').map(time).collect::<Option<_>>()?, rest),
        None => (Vec::new(), waits),
    };
    let (first, factor, longest) = match rest.trim().strip_prefix("every ") {
        Some(every) => (time(every)?, 1, time(every)?),
        None => {
            let (first, longest) = rest.split_once(" up to ")?;
            let (first, factor) = match first.split_once(" x") {
                Some((first, factor)) => (first, factor.trim().parse().ok()?),
                None => (first, 1),
            };
            (time(first)?, factor, time(longest)?)
        }
    };
    Some(Retry { listed, first, factor, longest, end })
}

fn time(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

impl Retry {
    fn fits(&self) -> bool {
        let is_wait = |wait: &Duration| !wait.is_zero() && *wait <= LONGEST;
        let begin = self.listed.first().copied().unwrap_or(self.first);
        self.listed.len() <= LISTED
            && self.listed.iter().all(is_wait)
            && is_wait(&self.first)
            && (1..=10).contains(&self.factor)
            && self.first <= self.longest
            && self.longest <= LONGEST
            && self.end.is_none_or(|end| begin <= end && end <= LATEST)
    }
}

/// In words: `tried again after 1m, 5m, 15m, then every 30m; 24h after the first failure a person is asked`.
impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As people write them: a day of 24 hours is `24h`, not `1day`.
        let word = |wait: Duration| {
            let seconds = wait.as_secs();
            match (seconds % 3600, seconds % 60, wait.subsec_nanos()) {
                (0, _, 0) => format!("{}h", seconds / 3600),
                (_, 0, 0) => format!("{}m", seconds / 60),
                (_, _, 0) => format!("{seconds}s"),
                _ => humantime::format_duration(wait).to_string(),
            }
        };
        f.write_str("tried again ")?;
        if !self.listed.is_empty() {
            let listed: Vec<_> = self.listed.iter().copied().map(word).collect();
            write!(f, "after {}, then ", listed.join(", "))?;
        }
        let (first, longest) = (word(self.first), word(self.longest));
        match self.factor {
            1 => write!(f, "every {first}")?,
            factor => write!(
                f,
                "after {first}, each wait {factor} times the one before, up to {longest}"
            )?,
        }
        match self.end {
            Some(end) => write!(f, "; {} after the first failure a person is asked", word(end)),
            None => f.write_str("; it goes on as long as the study is kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(text: &str) -> Result<Retry, String> {
        Retry::try_from(text.to_owned())
    }

    #[test]
    fn waits_are_read() {
        let seconds = Duration::from_secs;
        let doubled = Retry {
            listed: vec![],
            first: seconds(10),
            factor: 2,
            longest: seconds(900),
            end: None,
        };
        assert_eq!(retry("10s x2 up to 15m"), Ok(doubled.clone()));
        let ends = Retry { end: Some(seconds(7200)), ..doubled };
        assert_eq!(retry("10s x2 up to 15m for 2h"), Ok(ends));
        let even = Retry {
            listed: vec![],
            first: seconds(300),
            factor: 1,
            longest: seconds(300),
            end: None,
        };
        assert_eq!(retry("5m up to 5m"), Ok(even.clone()));
        assert_eq!(retry("every 5m"), Ok(even.clone()));
        let listed = Retry { listed: vec![seconds(60), seconds(120)], ..even };
        assert_eq!(retry("1m, 2m, then every 5m"), Ok(listed.clone()));
        let listed = Retry { end: Some(seconds(86_400)), ..listed };
        assert_eq!(retry("1m,2m, then 5m up to 5m for 24h"), Ok(listed));
    }

    #[test]
    fn what_tells_no_waits_is_refused_with_an_example() {
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
            "1m, 5m, 15m",
            "1m, 5m, then",
            "1m, then then every 5m",
            "0s, then every 5m",
            "25h, then every 5m",
            "1m, , then every 5m",
            "every 0s",
            "every 5m for",
            "every 5m for ever",
            "every 5m for 1m",
            "every 5m for 169h",
            "for 24h",
            "1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, then every 5m",
        ] {
            let told = retry(text).unwrap_err();
            assert!(told.contains("10s x2 up to 15m") && told.contains("for 24h"), "{text}");
        }
    }

    #[test]
    fn a_person_reads_what_it_means() {
        for (text, words) in [
            (
                "10s x2 up to 15m",
                "tried again after 10s, each wait 2 times the one before, up to 15m; it goes on as long as the study is kept",
            ),
            (
                "1m, 5m, 15m, then every 30m for 24h",
                "tried again after 1m, 5m, 15m, then every 30m; 24h after the first failure a person is asked",
            ),
            (
                "every 90s for 2days",
                "tried again every 90s; 48h after the first failure a person is asked",
            ),
        ] {
            assert_eq!(retry(text).unwrap().to_string(), words);
        }
    }
}
