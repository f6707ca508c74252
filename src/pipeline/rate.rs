//! How fast bytes come over the last moments, and how long it will take at the rate of the last minutes.
//!
//! Two windows, because they answer two questions: a stall has to show at once, but a pause of some seconds every few
//! minutes must not double the time that is left.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What lies further back says nothing about how fast it is now.
const MOMENTS: Duration = Duration::from_secs(20);

/// And this far back it tells how it goes on.
const MINUTES: Duration = Duration::from_secs(120);

/// Samples of a window.
const SAMPLES: u32 = 40;

/// Less is chance.
const LEAST: Duration = Duration::from_secs(1);

/// A growing count of bytes over time.
#[derive(Debug)]
pub(super) struct Rate {
    moments: Window,
    minutes: Window,
}

impl Default for Rate {
    fn default() -> Self {
        Self { moments: Window::of(MOMENTS), minutes: Window::of(MINUTES) }
    }
}

impl Rate {
    /// So many bytes are here at `now`.
    pub(super) fn note(&mut self, bytes: u64, now: Instant) {
        self.moments.note(bytes, now);
        self.minutes.note(bytes, now);
    }

    /// Bytes a second with `bytes` here at `now`; `None` if it is too early to tell.
    pub(super) fn per_second(&self, bytes: u64, now: Instant) -> Option<u64> {
        self.moments.per_second(bytes, now)
    }

    /// Seconds until `left` more bytes are here; `None` if nothing comes, or it is too early to tell.
    pub(super) fn seconds_left(&self, left: u64, bytes: u64, now: Instant) -> Option<u64> {
        let comes = |rate: &u64| *rate > 0;
        self.per_second(bytes, now).filter(comes)?;
        self.minutes.per_second(bytes, now).filter(comes).map(|rate| left.div_ceil(rate))
    }
}

/// Samples of one stretch of time.
#[derive(Debug)]
struct Window {
    length: Duration,
    samples: VecDeque<(Instant, u64)>,
}

impl Window {
    fn of(length: Duration) -> Self {
        Self { length, samples: VecDeque::new() }
    }

    fn note(&mut self, bytes: u64, now: Instant) {
        let step = self.length / SAMPLES;
        if self.samples.back().is_some_and(|(last, _)| now.duration_since(*last) < step) {
            return;
        }
        self.samples.push_back((now, bytes));
        let is_old = |(at, _): &(Instant, u64)| now.duration_since(*at) > self.length;
        // The last one before the window is where it begins.
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    fn per_second(&self, bytes: u64, now: Instant) -> Option<u64> {
        let is_old = |at: &Instant| now.duration_since(*at) > self.length;
        let behind = self.samples.iter().rev().find(|(at, _)| is_old(at));
        let (from, then) = behind.or_else(|| self.samples.front())?;
        let took = now.duration_since(*from);
        if took < LEAST {
            return None;
        }
        let came = u128::from(bytes.saturating_sub(*then)).saturating_mul(1000);
        u64::try_from(came / took.as_millis().max(1)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_moments() {
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(0, begun), None);
        rate.note(0, begun);
        assert_eq!(rate.per_second(1 << 20, at(900)), None);
        // A megabyte a second for a minute.
        for ms in (0..=60_000).step_by(100) {
            rate.note(ms * 1000, at(ms));
        }
        assert!(rate.moments.samples.len() < 50 && rate.minutes.samples.len() < 50);
        let steady = rate.per_second(60_000_000, at(60_000)).unwrap();
        assert!((950_000..1_050_000).contains(&steady), "{steady}");
        let left = rate.seconds_left(30_000_000, 60_000_000, at(60_000)).unwrap();
        assert!((29..=32).contains(&left), "{left}");
        // Nothing for ten seconds: half of it. Nothing for half a minute: nothing.
        let stalled = rate.per_second(60_000_000, at(70_000)).unwrap();
        assert!((400_000..600_000).contains(&stalled), "{stalled}");
        assert_eq!(rate.per_second(60_000_000, at(90_000)), Some(0));
        assert_eq!(rate.seconds_left(1, 60_000_000, at(90_000)), None);
        // It goes on ten times as fast.
        for ms in (90_000..=120_000).step_by(100) {
            rate.note(60_000_000 + (ms - 90_000) * 10_000, at(ms));
        }
        let fast = rate.per_second(360_000_000, at(120_000)).unwrap();
        assert!((9_500_000..10_500_000).contains(&fast), "{fast}");
    }

    #[test]
    fn a_pause_now_and_then_does_not_change_the_time_left() {
        let begun = Instant::now();
        let (mut rate, mut bytes, mut ms) = (Rate::default(), 0, 0);
        // A megabyte a second, and nothing for eight seconds of every hundred.
        while ms < 1_000_000 {
            ms += 100;
            if ms % 100_000 >= 8_000 {
                bytes += 100_000;
                rate.note(bytes, begun + Duration::from_millis(ms));
            }
            if ms > 200_000 {
                let now = begun + Duration::from_millis(ms);
                let left = rate.seconds_left(92_000_000, bytes, now).unwrap();
                assert!((88..=115).contains(&left), "{left} s left after {ms} ms");
            }
        }
    }
}
