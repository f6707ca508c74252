//! How fast bytes come: over the last moments, so that a stall shows and an old rate does not.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What lies further back says nothing about how it goes on.
const WINDOW: Duration = Duration::from_secs(20);

/// Between two samples.
const STEP: Duration = Duration::from_millis(500);

/// Less is chance.
const LEAST: Duration = Duration::from_secs(1);

/// Samples of a growing count of bytes.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// So many bytes are here at `now`.
    pub(super) fn note(&mut self, bytes: u64, now: Instant) {
        if self.0.back().is_some_and(|(last, _)| now.duration_since(*last) < STEP) {
            return;
        }
        self.0.push_back((now, bytes));
        let is_old = |(at, _): &(Instant, u64)| now.duration_since(*at) > WINDOW;
        // The last one before the window is where it begins.
        while self.0.get(1).is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    /// Bytes a second with `bytes` here at `now`; `None` if it is too early to tell.
    pub(super) fn per_second(&self, bytes: u64, now: Instant) -> Option<u64> {
        let is_old = |at: &Instant| now.duration_since(*at) > WINDOW;
        let behind = self.0.iter().rev().find(|(at, _)| is_old(at));
        let (from, then) = behind.or_else(|| self.0.front())?;
        let took = now.duration_since(*from);
        if took < LEAST {
            return None;
        }
        let came = u128::from(bytes.saturating_sub(*then)).saturating_mul(1000);
        u64::try_from(came / took.as_millis().max(1)).ok()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Seconds until `left` more bytes are here at this rate; `None` if nothing comes.
pub(super) fn seconds_left(left: u64, per_second: u64) -> Option<u64> {
    (per_second > 0).then(|| left.div_ceil(per_second))
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
        assert!(rate.0.len() < 50);
        let steady = rate.per_second(60_000_000, at(60_000)).unwrap();
        assert!((950_000..1_050_000).contains(&steady), "{steady}");
        assert_eq!(seconds_left(30_000_000, 1_000_000), Some(30));
        // Nothing for ten seconds: half of it. Nothing for half a minute: nothing.
        let stalled = rate.per_second(60_000_000, at(70_000)).unwrap();
        assert!((400_000..600_000).contains(&stalled), "{stalled}");
        assert_eq!(rate.per_second(60_000_000, at(90_000)), Some(0));
        assert_eq!(seconds_left(1, 0), None);
        // It goes on ten times as fast.
        for ms in (90_000..=120_000).step_by(100) {
            rate.note(60_000_000 + (ms - 90_000) * 10_000, at(ms));
        }
        let fast = rate.per_second(360_000_000, at(120_000)).unwrap();
        assert!((9_500_000..10_500_000).contains(&fast), "{fast}");
    }
}
