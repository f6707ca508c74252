//! The daemon: signals, systemd, watchdog.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::config::{Config, Environment};
use super::{ClockSource, Faults, Gateway, Notify};

/// How long a stop may take before the process ends anyway: below systemd's `TimeoutStopSec`.
const GRACE: Duration = Duration::from_secs(25);

/// How often the watchdog looks if systemd does not want to know.
const LOOK: Duration = Duration::from_secs(10);

/// Registered once, before the daemon is ready, so that none is missed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn register() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Runs the gateway until it is told to stop.
pub async fn serve(file: Option<&Path>, config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::register().context("signals cannot be registered")?;
    let notify = Notify;
    let mut gateway = Gateway::start(config, ClockSource::System).await?;
    announce(&gateway);
    notify.ready();
    // Not at once: the scheduler has to get a chance to turn.
    let every = notify.watchdog().unwrap_or(LOOK);
    let mut look = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let mut seen = gateway.pipeline.beats();
    let mut reading = Reading::default();
    let ended = loop {
        tokio::select! {
            _ = signals.terminate.recv() => break Ok(()),
            _ = signals.interrupt.recv() => break Ok(()),
            _ = signals.hangup.recv() => {
                notify.reloading();
                reading.begin(file);
            }
            loaded = reading.ended() => {
                reload(&mut gateway, loaded).await;
                if !reading.begin_again(file) {
                    notify.ready();
                }
            }
            _ = look.tick() => {
                let beats = gateway.pipeline.beats();
                if beats != seen {
                    notify.alive();
                } else {
                    tracing::error!("the scheduler does not turn");
                }
                seen = beats;
            }
            ended = gateway.failed() => break Err(ended),
        }
    };
    notify.stopping();
    if let Err(ended) = ended {
        tracing::error!(%ended, "the gateway ends");
        return Err(ended.into());
    }
    tracing::info!("stopping");
    tokio::time::timeout(GRACE, gateway.stop())
        .await
        .context("what was running did not end in time; it goes on at the next start")??;
    tracing::info!("stopped");
    Ok(())
}

fn announce(gateway: &Gateway) {
    let config = &gateway.config;
    match &config.file {
        Some(file) => tracing::info!(file = %file.display(), "configured"),
        None => tracing::info!(
            worklist = %config.below("worklist").display(),
            destination = %config.below("delivered").display(),
            "no configuration file: serving on loopback, with a folder of .wl files as worklist and a \
             folder as destination"
        ),
    }
    for address in &gateway.addresses.dicom {
        tracing::info!(%address, ae_title = %config.dicom.ae_title, "DICOM door open");
    }
    for address in &gateway.addresses.hl7 {
        tracing::info!(%address, "HL7 door open");
    }
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    tracing::info!(address = %gateway.addresses.http, "console open: {scheme}://{}/", gateway.addresses.http);
    tracing::info!(
        token_file = %config.below("api.token").display(),
        socket = %gateway.addresses.control.display(),
        "the console asks once for the token in this file; `lotse` commands use the socket"
    );
}

/// A configuration that is being read. Names of peers are looked up in it, which may take as long as a name server that
/// does not answer: nothing else waits for it, above all not the watchdog.
#[derive(Default)]
struct Reading {
    task: Option<JoinHandle<Result<Config, Faults>>>,
    /// It was asked for once more: what is being read may be the old one.
    again: bool,
}

impl Reading {
    fn begin(&mut self, file: Option<&Path>) {
        if self.task.is_some() {
            self.again = true;
            return;
        }
        let file = file.map(PathBuf::from);
        let load = move || Config::load(file.as_deref(), &Environment::of_process());
        self.task = Some(tokio::task::spawn_blocking(load));
    }

    /// Whether there is more to read.
    fn begin_again(&mut self, file: Option<&Path>) -> bool {
        if !std::mem::take(&mut self.again) {
            return false;
        }
        self.begin(file);
        true
    }

    /// Waits for what is being read; for ever if nothing is.
    async fn ended(&mut self) -> anyhow::Result<Config> {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        Ok(ended.context("reading the configuration broke off")??)
    }
}

/// All or nothing: a configuration with a fault changes nothing.
async fn reload(gateway: &mut Gateway, loaded: anyhow::Result<Config>) {
    let reloaded = match loaded {
        Ok(config) => gateway.reload(config).await,
        Err(fault) => Err(fault),
    };
    match reloaded {
        Ok(()) => tracing::info!("configuration reloaded"),
        Err(error) => tracing::error!("not reloaded, the old configuration stays: {error:#}"),
    }
}
