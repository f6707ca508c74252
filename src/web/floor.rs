//! The slowest that a body may come: bytes that drip keep every other limit and hold a place for hours.

use std::time::Duration;

/// Over which the rate is averaged. Only what was waited for the peer counts, not what was done with its bytes.
const WINDOW: Duration = Duration::from_secs(300);

/// Bytes that have to come in it: 64 KiB a minute.
const LEAST: u64 = 5 * (64 << 10);

/// What came since the window began.
#[derive(Debug, Default)]
pub(super) struct Floor {
    waited: Duration,
    bytes: u64,
}

impl Floor {
    /// So many bytes came after such a wait. Whether that is fast enough.
    pub(super) fn holds(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited = self.waited.saturating_add(waited);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < WINDOW {
            return true;
        }
        let holds = self.bytes >= LEAST;
        *self = Self::default();
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a peer lasts that sends so many bytes every second.
    fn lasts(bytes: u64) -> Option<u64> {
        let mut floor = Floor::default();
        (1..=3600).find(|_| !floor.holds(Duration::from_secs(1), bytes))
    }

    #[test]
    fn who_drips_is_left_after_five_minutes() {
        assert_eq!(lasts(1), Some(300));
        assert_eq!(lasts(1000), Some(300));
        assert_eq!(lasts(1100), None);
        // A burst does not pay for an hour.
        let mut floor = Floor::default();
        assert!(floor.holds(Duration::from_secs(299), 1 << 30));
        assert!(floor.holds(Duration::from_secs(1), 0));
        assert!(!floor.holds(Duration::from_secs(300), 1));
        // Without waits nothing is slow.
        assert!((0..1_000_000).all(|_| floor.holds(Duration::ZERO, 1)));
    }
}
