//! The only place that reads a clock.
//!
//! Retention must neither be stretched nor cut short by somebody setting the wall clock, so every moment
//! carries two readings: the wall time, which people read, and the running time, which only grows. Running
//! time is what `CLOCK_BOOTTIME` counted while this installation existed, continued over restarts, plus the
//! time the machine was off as far as it can be believed. Invariant: running time never goes back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A machine that was off longer than this is credited no more, because a wall clock that jumped looks the
/// same. Retention then ends later in wall time, never later than its limit in running time.
pub const DOWNTIME_CREDIT_LIMIT: Duration = Duration::from_secs(72 * 3600);

/// A moment: wall time in milliseconds since 1970 (UTC) and running time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    pub wall_ms: i64,
    pub running_ms: u64,
}

impl Moment {
    /// Running time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.running_ms.saturating_sub(earlier.running_ms))
    }

    /// This moment shifted by `by` on both clocks.
    pub fn after(self, by: Duration) -> Self {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self {
            wall_ms: self.wall_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)),
            running_ms: self.running_ms.saturating_add(ms),
        }
    }

    /// Whether `self` has reached `due`, counted in running time.
    pub fn reached(self, due: Self) -> bool {
        self.running_ms >= due.running_ms
    }

    /// The one of both that comes first in running time.
    pub fn earlier(self, other: Self) -> Self {
        if other.running_ms < self.running_ms { other } else { self }
    }

    /// The one of both that comes last in running time.
    pub fn later(self, other: Self) -> Self {
        if other.running_ms > self.running_ms { other } else { self }
    }

    /// The wall time as a timestamp, for display and for DICOM date-times.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.wall_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// What has to survive a restart so that running time can go on: written by the scheduler, read at start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub moment: Moment,
    /// `CLOCK_BOOTTIME` in milliseconds when the moment was read.
    pub boot_ms: u64,
    /// The kernel's identifier of this boot; empty if it could not be read.
    pub boot_id: String,
    /// Whether it is the last one of a gateway that was told to stop.
    #[serde(default)]
    pub is_last: bool,
}

impl Reading {
    /// The one that a gateway leaves behind which ends in order.
    pub fn last(self) -> Self {
        Self { is_last: true, ..self }
    }

    /// Running time at a start with these readings. A boot that is not known is another one.
    fn going_on(&self, wall_ms: i64, boot_ms: u64, boot_id: &str) -> u64 {
        let off = if !boot_id.is_empty() && self.boot_id == boot_id {
            boot_ms.saturating_sub(self.boot_ms)
        } else {
            let wall = wall_ms.saturating_sub(self.moment.wall_ms);
            let limit = u64::try_from(DOWNTIME_CREDIT_LIMIT.as_millis()).unwrap_or(u64::MAX);
            u64::try_from(wall).unwrap_or(0).min(limit)
        };
        self.moment.running_ms.saturating_add(off)
    }
}

#[derive(Clone, Debug)]
enum Source {
    System { base: Reading },
    Simulated(Arc<Mutex<Moment>>),
}

/// Reads moments. Cheap to clone; every clone tells the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

impl Clock {
    /// The machine's clocks, going on from the last reading that was kept (`None` at the first start).
    pub fn system(last: Option<&Reading>) -> Self {
        let (wall_ms, boot_ms, boot_id) = (wall_ms(), boot_ms(), boot_id());
        let running_ms = last.map_or(0, |last| last.going_on(wall_ms, boot_ms, &boot_id));
        Self(Source::System {
            base: Reading {
                moment: Moment { wall_ms, running_ms },
                boot_ms,
                boot_id,
                is_last: false,
            },
        })
    }

    /// A clock that stands still until [`Clock::advance`] moves it; for tests and simulations.
    pub fn simulated(start: Moment) -> Self {
        Self(Source::Simulated(Arc::new(Mutex::new(start))))
    }

    /// Moves a simulated clock on both hands. The machine's clock does not listen.
    pub fn advance(&self, by: Duration) {
        if let Source::Simulated(moment) = &self.0 {
            let mut moment = moment.lock().unwrap_or_else(PoisonError::into_inner);
            *moment = moment.after(by);
        }
    }

    pub fn now(&self) -> Moment {
        match &self.0 {
            Source::System { base } => Moment {
                wall_ms: wall_ms(),
                running_ms: base
                    .moment
                    .running_ms
                    .saturating_add(boot_ms().saturating_sub(base.boot_ms)),
            },
            Source::Simulated(moment) => *moment.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The reading to keep for the next start.
    pub fn reading(&self) -> Reading {
        match &self.0 {
            Source::System { base } => {
                let (moment, boot_id) = (self.now(), base.boot_id.clone());
                Reading { moment, boot_ms: boot_ms(), boot_id, is_last: false }
            }
            Source::Simulated(_) => Reading { moment: self.now(), ..Reading::default() },
        }
    }
}

/// A duration as configuration writes it, for `deserialize_with`.
///
/// # Errors
/// If it is no text such as `30s`, `15m` or `24h`.
pub fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|_| {
        serde::de::Error::custom(format!("`{text}` is no duration; write `30s`, `15m` or `24h`"))
    })
}

/// Time that this thread has computed: a measure that other programs on the machine do not change. Zero where
/// the system does not count it.
pub fn computing_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

fn wall_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn boot_ms() -> u64 {
    let Ok(now) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME) else {
        return 0;
    };
    u64::try_from(Duration::from(now).as_millis()).unwrap_or(u64::MAX)
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn boot_id() -> String {
    boot_id_in(std::path::Path::new(BOOT_ID)).unwrap_or_else(|error| {
        tracing::warn!(
            %error,
            "{BOOT_ID} cannot be read, so the wall clock counts over a restart and retention may end too early \
             after it was set; take out of the unit what hides it (ProcSubset=pid)"
        );
        String::new()
    })
}

fn boot_id_in(path: &std::path::Path) -> std::io::Result<String> {
    let id = std::fs::read_to_string(path)?.trim().to_owned();
    if id.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(id) }
}

#[cfg(test)]
mod tests;
