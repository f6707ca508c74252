//! Waiting for a disk that is slow: a normal state, with a message.
//!
//! Invariant: whoever waits here has told nobody yet that anything is kept.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Scheduler;
use crate::clock::Moment;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What takes longer is told of: arrivals wait for it, and their peers have timeouts.
const SLOW: Duration = Duration::from_secs(2);

/// A disk that has not answered by then hangs, and the watchdog may end us.
const HANGS: Duration = Duration::from_secs(300);

/// So long it has to answer in time before nobody needs to look at it any more.
const QUICK_AGAIN: Duration = Duration::from_secs(10 * 60);

const ALARM: &str = "the disk is slow";

impl Scheduler {
    /// Waits for work on the disk. It waits, it does not hang: the watchdog has no reason to end it.
    pub(super) async fn disk<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut waited = Duration::ZERO;
        loop {
            if let Ok(done) = tokio::time::timeout(LOOK, work.as_mut()).await {
                if waited >= SLOW {
                    tracing::warn!(seconds = waited.as_secs(), "the disk has answered");
                }
                return done;
            }
            waited += LOOK;
            if waited < HANGS {
                self.shared.beats.fetch_add(1, Ordering::Relaxed);
            }
            if waited == SLOW {
                tracing::warn!("{ALARM}, everything waits for it");
            }
            if waited >= SLOW {
                let alarm = format!(
                    "{ALARM}: everything waited {} s for it, peers may have given up; look at the disk",
                    waited.as_secs()
                );
                let now = self.shared.clock.now();
                self.shared.log(|log| {
                    log.alarm_instead(ALARM, alarm);
                    log.slow = Some(now);
                });
            }
        }
    }

    /// A disk that was slow once does not need a person for ever.
    pub(super) fn settle_slow(&self, now: Moment) {
        self.shared.log(|log| {
            if log.slow.is_some_and(|slow| now.since(slow) >= QUICK_AGAIN) {
                log.settle_alarm(ALARM);
                log.slow = None;
            }
        });
    }
}
