//! What the configuration names of certificates, keys and passwords: read at start and reload, and watched.

use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use crate::clock::Clock;
use crate::http::TlsSection;
use crate::tls::{Acceptor, Client, Dialer, Expiries, Expiry, Files, ServerSection};
use crate::worklist::pdq::PdqSection;

/// How often the log tells of certificates that end soon.
const TOLD: Duration = Duration::from_secs(86_400);

/// Certificates by their place in the configuration.
type Found = Vec<(String, Files)>;

/// Everything that was named, read.
pub(super) struct Secured {
    /// By listener.
    pub(super) acceptors: Vec<Option<Acceptor>>,
    pub(super) hl7: Vec<Option<Acceptor>>,
    pub(super) http: Option<Acceptor>,
    pub(super) found: Found,
}

/// Reads all of it, off the runtime's threads.
///
/// # Errors
/// The first that can't be used, with its place in the configuration.
pub(super) async fn load(config: &Config) -> anyhow::Result<Secured> {
    let config = config.clone();
    let loaded = tokio::task::spawn_blocking(move || {
        let (secured, faults) = read(&config);
        match faults.into_iter().next() {
            None => Ok(secured),
            Some(fault) => Err(anyhow::anyhow!(fault)),
        }
    });
    loaded.await.context("the certificates can't be read")?
}

/// Reads all of it, and tells everything that can't be used. Blocking.
pub(super) fn read(config: &Config) -> (Secured, Vec<String>) {
    let (mut found, mut faults) = (vec![], vec![]);
    let mut load = |place: String, section: Option<&ServerSection>| {
        let acceptor = section.map(Acceptor::load).transpose().unwrap_or_else(|error| {
            faults.push(format!("{place}: {error}"));
            None
        });
        if let Some(acceptor) = &acceptor {
            found.push((place, acceptor.certificates()));
        }
        acceptor
    };
    let dicom = config.dicom.listeners.iter().enumerate();
    let acceptors =
        dicom.map(|(n, one)| load(format!("dicom.listeners.{n}.tls"), one.tls.as_ref())).collect();
    let hl7 = config.hl7.listeners.iter().enumerate();
    let hl7 =
        hl7.map(|(n, one)| load(format!("hl7.listeners.{n}.tls"), one.tls.as_ref())).collect();
    let http = config.http.tls.as_ref().map(TlsSection::listener);
    let http = load("http.tls".to_owned(), http.as_ref());
    let mut secured = Secured { acceptors, hl7, http, found };
    if let Some(dialer) = config.worklist.pdq.as_ref().and_then(PdqSection::dialer) {
        match dialer.load() {
            Ok(()) => secured.found.push(("worklist.pdq.tls".to_owned(), dialer.certificates())),
            Err(error) => faults.push(format!("worklist.pdq.tls: {error}")),
        }
    }
    for (name, peer) in &config.peers {
        if let Some(section) = &peer.tls {
            let (place, dialer) = (format!("peers.{name}.tls"), Dialer::new(section.clone()));
            match dialer.load() {
                Ok(()) => secured.found.push((place, dialer.certificates())),
                Err(error) => faults.push(format!("{place}: {error}")),
            }
        }
        if let Some(identity) = &peer.identity
            && let Err(error) = identity.read()
        {
            faults.push(format!("peers.{name}.identity: {error}"));
        }
        if let Some(demands) = &peer.demands
            && let Err(error) = demands.read()
        {
            faults.push(format!("peers.{name}.demands: {error}"));
        }
    }
    (secured, faults)
}

/// What is wrong with it, ended certificates too. Blocking.
pub(super) fn faults(config: &Config, now: jiff::Timestamp) -> Vec<String> {
    let (secured, mut faults) = read(config);
    let ended = expiries(secured.found, now).into_iter().filter(|one| one.days_left < 0);
    faults.extend(ended.filter_map(|one| one.warning));
    faults
}

/// What is not wrong and should be known: certificates that end soon, and doors without TLS. Blocking.
pub fn notes(config: &Config, now: jiff::Timestamp) -> Vec<String> {
    let soon = expiries(read(config).0.found, now).into_iter().filter(|one| one.days_left >= 0);
    let mut notes: Vec<String> = soon.filter_map(|one| one.warning).collect();
    for listener in &config.dicom.listeners {
        let address = listener.address;
        match &listener.tls {
            None if !address.ip().is_loopback() => notes.push(format!(
                "the listener {address} takes DICOM without TLS: whoever can read the network reads the patients' data"
            )),
            Some(tls) if tls.client == Client::None => notes.push(format!(
                "the listener {address} asks callers for no certificate; only their AE title and address tell who they are"
            )),
            _ => {}
        }
    }
    notes
}

fn expiries(found: Found, now: jiff::Timestamp) -> Vec<Expiry> {
    let expiries = Expiries::default();
    expiries.set(found);
    expiries.all(now)
}

/// Tells the log of certificates that end soon, now and every day, until `stop`.
pub(super) async fn watch(expiries: Expiries, clock: Clock, stop: CancellationToken) {
    let mut day = tokio::time::interval(TOLD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = day.tick() => tell(&expiries, &clock),
        }
    }
}

pub(super) fn tell(expiries: &Expiries, clock: &Clock) {
    for warning in expiries.all(clock.now().timestamp()).into_iter().filter_map(|one| one.warning) {
        tracing::warn!("{warning}");
    }
}
