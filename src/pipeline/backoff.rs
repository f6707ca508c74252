//! How long to wait before something is tried again.

use std::time::Duration;

use crate::forward::Retry;

/// Waits one by one, then growing ones between two bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    listed: Vec<Duration>,
    first: Duration,
    longest: Duration,
    /// By which each wait is longer than the one before.
    factor: u32,
}

impl Backoff {
    /// Waits from `first`, doubled each time, up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { listed: Vec::new(), first, longest: longest.max(first), factor: 2 }
    }

    /// As a destination wants it.
    pub fn of(retry: Retry) -> Self {
        let Retry { listed, first, longest, factor, end: _ } = retry;
        Self { listed, first, longest: longest.max(first), factor }
    }

    /// The wait after `failures` failures in a row, counted from 1.
    pub fn after(&self, failures: u32) -> Duration {
        let listed = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(wait) = self.listed.get(listed) {
            return *wait;
        }
        let before = u32::try_from(self.listed.len()).unwrap_or(u32::MAX).saturating_add(1);
        let times = failures.saturating_sub(before).min(20);
        self.first.saturating_mul(self.factor.saturating_pow(times)).min(self.longest)
    }

    /// The same, up to a fifth shorter: what failed together is not tried together. The same `seed` gives the
    /// same wait.
    pub fn jittered(&self, failures: u32, seed: u64) -> Duration {
        let wait = self.after(failures);
        // The finalizer of MurmurHash3, which spreads neighbouring seeds.
        let mut mixed = seed ^ u64::from(failures).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for factor in [0xFF51_AFD7_ED55_8CCD, 0xC4CE_B9FE_1A85_EC53] {
            mixed = (mixed ^ (mixed >> 33)).wrapping_mul(factor);
        }
        let share = u32::try_from((mixed >> 33) % 1000).unwrap_or(0);
        wait.saturating_sub(wait / 5000 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_of_things_that_failed_together_differ_and_are_never_longer() {
        let backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(900));
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|seed| backoff.jittered(4, seed)).collect();
        assert!(waits.len() > 50, "{}", waits.len());
        let (least, most) = (Duration::from_secs(64), Duration::from_secs(80));
        assert!(waits.iter().all(|wait| (least..=most).contains(wait)), "{waits:?}");
        assert_eq!(backoff.jittered(4, 7), backoff.jittered(4, 7));
    }

    #[test]
    fn a_factor_of_its_own() {
        let retry = Retry::try_from("1m x3 up to 1h".to_owned()).unwrap();
        let waits: Vec<_> = (1..6).map(|n| Backoff::of(retry.clone()).after(n).as_secs()).collect();
        assert_eq!(waits, [60, 180, 540, 1620, 3600]);
    }

    #[test]
    fn waits_one_by_one_and_then_even_ones() {
        let retry = Retry::try_from("1m, 5m, 15m, then every 30m for 24h".to_owned()).unwrap();
        let waits: Vec<_> = (0..7).map(|n| Backoff::of(retry.clone()).after(n).as_secs()).collect();
        assert_eq!(waits, [60, 60, 300, 900, 1800, 1800, 1800]);
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60));
        let waits: Vec<_> = (1..6).map(|n| backoff.after(n).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 60, 60]);
        assert_eq!(backoff.after(u32::MAX), Duration::from_secs(60));
    }
}
