//! Work on the disk, which may be slow: a normal state, with a message.
//!
//! The scheduler does nothing else meanwhile, so somebody else looks how long it takes. Invariant: whom the scheduler
//! owes an answer nobody has told yet that anything is kept.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Scheduler, Shared};
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

/// Since when the disk is at work for the scheduler.
pub(super) struct Disk {
    shared: Arc<Shared>,
    since: Mutex<Option<Instant>>,
}

impl Disk {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, since: Mutex::default() }
    }

    /// Has the disk do something.
    pub(super) fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        self.set(Some(begun));
        let done = work();
        self.set(None);
        let waited = begun.elapsed();
        if waited >= SLOW {
            self.tell(waited);
            tracing::warn!(seconds = waited.as_secs(), "the disk has answered");
        }
        done
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn waits(&self) -> Option<Duration> {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }

    fn tell(&self, waited: Duration) {
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

    /// Looks at it as long as the scheduler lives, and gives it its life. Who waits for a disk does not hang: the
    /// watchdog has no reason to end us.
    pub(super) async fn watch(self: Arc<Self>, mut life: oneshot::Sender<Infallible>) {
        let mut is_told = false;
        while tokio::time::timeout(LOOK, life.closed()).await.is_err() {
            let waited = self.waits();
            if waited.is_some_and(|waited| waited < HANGS) {
                self.shared.beats.fetch_add(1, Ordering::Relaxed);
            }
            let slow = waited.filter(|waited| *waited >= SLOW);
            if let Some(waited) = slow {
                if !is_told {
                    tracing::warn!("{ALARM}, everything waits for it");
                }
                self.tell(waited);
            }
            is_told = slow.is_some();
        }
    }
}

impl Scheduler {
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
