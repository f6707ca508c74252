//! When and how fast a destination may be sent to.
//!
//! Invariants: a study is begun only within the window and while the destination is not paused; over any stretch
//! of time no more leaves than the bandwidth allows and one [`BURST`].

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::civil::Time;
use serde::Deserialize;

/// What may leave at once after a pause, as time at full bandwidth.
const BURST: Duration = Duration::from_millis(250);

/// The slowest bandwidth, in bytes a second: below it one piece of an object takes longer than a peer waits.
const SLOWEST: u64 = 8_000;

/// What the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    pub held: Held,
    pub window: Option<Window>,
    pub bandwidth: Option<Bandwidth>,
}

/// Whether the configuration stops a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    #[default]
    No,
    Yes,
}

impl Pace {
    /// Whether a study may be begun at this local time of day.
    pub fn is_open(&self, now: Time) -> bool {
        self.held == Held::No && self.window.is_none_or(|window| window.contains(now))
    }
}

/// A stretch of every day, as `20:00-06:00`; the end is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Window {
    from: Time,
    to: Time,
}

impl Window {
    fn contains(self, time: Time) -> bool {
        if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        }
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let parsed = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
        match parsed {
            Some((from, to)) if from != to => Ok(Self { from, to }),
            Some(_) | None => Err(format!("`{text}` is no stretch of a day; write `20:00-06:00`")),
        }
    }
}

/// Bytes a second, written as `20 Mbit/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bandwidth(u64);

impl TryFrom<String> for Bandwidth {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = || {
            let number = text.trim().strip_suffix("bit/s")?.trim_end();
            let (number, factor) = match number.strip_suffix(['k', 'M', 'G']) {
                Some(bare) if number.ends_with('k') => (bare, 1_000),
                Some(bare) if number.ends_with('M') => (bare, 1_000_000),
                Some(bare) => (bare, 1_000_000_000_u64),
                None => (number, 1),
            };
            number.trim_end().parse::<u64>().ok()?.checked_mul(factor)
        };
        match parsed().map(|bits| bits / 8) {
            Some(bytes) if bytes >= SLOWEST => Ok(Self(bytes)),
            Some(_) => Err(format!("`{text}` is too slow; write at least `64 kbit/s`")),
            None => Err(format!("`{text}` is no bandwidth; write `20 Mbit/s` or `500 kbit/s`")),
        }
    }
}

/// A token bucket that all associations to a destination draw from.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    limit: Option<Bandwidth>,
    /// Until when what was drawn is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Bucket {
    pub(super) fn new(limit: Option<Bandwidth>) -> Self {
        Self { limit, paid: Mutex::default() }
    }

    /// How long whoever sends so many bytes at `now` has to wait first.
    pub(super) fn draw(&self, bytes: u64, now: Instant) -> Duration {
        let Some(Bandwidth(rate)) = self.limit else { return Duration::ZERO };
        let micros = bytes.saturating_mul(1_000_000).checked_div(rate).unwrap_or(0);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = paid.map_or(earliest, |until| until.max(earliest));
        *paid = Some(from + Duration::from_micros(micros));
        from.saturating_duration_since(now)
    }

    /// Waits as long as [`Bucket::draw`] says. For the threads of the blocking pool only.
    pub(super) fn wait(&self, bytes: u64) {
        let wait = self.draw(bytes, Instant::now());
        if !wait.is_zero() {
            tokio::runtime::Handle::current().block_on(tokio::time::sleep(wait));
        }
    }
}

#[cfg(test)]
mod tests;
