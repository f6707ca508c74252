//! Telling systemd: ready, reloading, stopping, alive.

use std::time::Duration;

use sd_notify::NotifyState;

/// The notify socket of systemd, if it gave us one; else every call does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notify;

impl Notify {
    pub fn ready(self) {
        tell(&[NotifyState::Ready]);
    }

    pub fn reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    pub fn stopping(self) {
        tell(&[NotifyState::Stopping]);
    }

    /// The scheduler has turned since the last time.
    pub fn alive(self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// How often systemd wants to hear that we are alive: half of what it waits.
    pub fn watchdog(self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
