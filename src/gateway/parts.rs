//! From the configuration to the parts that the scheduler works with.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::config::{Config, MasterKey};
use crate::clock::Clock;
use crate::dimse::Remote;
use crate::fetch::{PeerSource, Recipes, Sources};
use crate::forward::{
    Check, Destination, Destinations, Existing, Stow, Target, TargetSection, Way,
};
use crate::import::{DestinationName, Times};
use crate::journal::{self, Compacted, Journal, Recovered};
use crate::pipeline::{Backoff, Parts, Settings};
use crate::reconcile::Site;
use crate::scp::Promises;
use crate::seal::{Vault, place};
use crate::spool::Spool;
use crate::web::{Client, Proxy};
use crate::worklist::{Cache, Local, Manners, Source, Worklist};

/// Which clock a gateway goes by.
#[derive(Clone, Debug)]
pub enum ClockSource {
    /// The machine's, going on from the last reading in the journal.
    System,
    /// A simulated one, for tests.
    Given(Clock),
}

/// What is kept of the worklist; it outlives a reload.
#[derive(Clone)]
pub(super) struct KeptWorklist {
    cache: Cache,
    pub(super) local: Local,
    /// What peers asked us to commit to.
    pub(super) promises: Promises,
}

/// Opens what is at rest and builds what is configured.
pub(super) async fn build(
    config: &Config,
    clock: ClockSource,
) -> anyhow::Result<(Parts, KeptWorklist)> {
    crate::tls::install_provider();
    prepare(&config.data_dir)?;
    if config.file.is_none() {
        for folder in ["worklist", "delivered"] {
            prepare(&config.below(folder))?;
        }
    }
    let config = config.clone();
    let settled = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let vault = vault(&config)?;
        let (spool, journal, recovered) = open(&config, vault.clone(), make_small)?;
        if let Err(error) = vault.mark() {
            tracing::warn!(%error, "the master key is marked as the right one at a later start");
        }
        let folder = config.below("kept-worklist");
        place::private_folder(&folder)?;
        let kept = KeptWorklist {
            cache: Cache::open(vault.clone(), &folder.join("cache.sealed"))?,
            local: Local::open(vault.clone(), &folder.join("local.sealed"))?,
            promises: Promises::open(vault, config.below("commitments.sealed"))?,
        };
        anyhow::Ok((spool, journal, recovered, kept))
    });
    let (spool, journal, recovered, kept) = opened.await??;
    let clock = match clock {
        ClockSource::System => Clock::system(recovered.reading.as_ref()),
        ClockSource::Given(clock) => clock,
    };
    let settings = settings(&settled, clock.clone(), Some(&kept))?;
    Ok((Parts { clock, spool, journal, recovered, settings }, kept))
}

/// What a gateway that does not run has at rest: its spool, locked as long as it is held, and its records. Blocking.
///
/// # Errors
/// If it runs, or can't be opened.
pub fn at_rest(config: &Config) -> anyhow::Result<(Spool, Recovered)> {
    let (spool, _, recovered) = open(config, vault(config)?, |_| {})?;
    Ok((spool, recovered))
}

fn vault(config: &Config) -> anyhow::Result<Vault> {
    let keys = config.below("keys");
    Ok(match &config.master_key {
        MasterKey::File(file) => Vault::open(&keys, file)?,
        MasterKey::Created(file) => Vault::open_or_create(&keys, file)?,
    })
}

/// Gives back what the journal takes for imports that are no more.
fn make_small(folder: &Path) {
    match journal::compact(folder) {
        Ok(None) => {}
        Ok(Some(Compacted { before, after })) => {
            tracing::info!(before, after, "the journal was made small again");
        }
        // If it can't be opened at all, that is told next.
        Err(error) => tracing::warn!(%error, "the journal could not be made small again"),
    }
}

/// `before` sees the journal's folder once the spool is locked, and nobody else can use it.
fn open(
    config: &Config,
    vault: Vault,
    before: impl FnOnce(&Path),
) -> anyhow::Result<(Spool, Journal, Recovered)> {
    let spool = Spool::open_with(
        &config.below("spool"),
        vault.clone(),
        config.spool.reserve.unwrap_or_default(),
    )?;
    let folder = config.below("journal");
    before(&folder);
    let (journal, recovered) = Journal::open(&folder, vault)?;
    Ok((spool, journal, recovered))
}

/// What may change by a reload.
pub(super) fn settings(
    config: &Config,
    clock: Clock,
    kept: Option<&KeptWorklist>,
) -> anyhow::Result<Settings> {
    let mut worklist = worklist(config, clock)?;
    if let Some(kept) = kept {
        worklist = worklist.keeping(kept.cache.clone(), kept.local.clone());
    }
    let proxy = proxy(config)?;
    let mut site = Site::new(config.dicom.ae_title.clone(), &config.gateway.institution);
    site.issuer.clone_from(&config.gateway.issuer_of_patient_id);
    site.accession_issuer.clone_from(&config.gateway.issuer_of_accession_number);
    site.coercion = site.coercion.with(&config.coercion);
    Ok(Settings {
        times: Times {
            quiet: config.dicom.quiet_time,
            longest: config.dicom.longest_burst,
            limit: config.retention.limit,
            after_delivery: config.retention.after_delivery,
        },
        matching: config.matching.clone(),
        site,
        zone: config.zone.clone(),
        backoff: Backoff::new(config.retry.first, config.retry.longest),
        limits: config.unpack,
        scan: config.scan.clone(),
        client: Client::through(&config.portals, proxy.as_ref()).context("portals")?,
        fetch: config.fetch.clone(),
        recipes: Recipes::load(config.fetch.recipes.as_deref(), &config.portals)?,
        sources: fetched(config, proxy.as_ref())?,
        worklist,
        destinations: Destinations::new(destinations(config, proxy.as_ref())?),
        routes: config.routes.clone(),
    })
}

/// The way out, where there is one. For `lotse portal try`, too.
pub fn proxy(config: &Config) -> anyhow::Result<Option<Proxy>> {
    config.fetch.proxy().map_err(|(key, why)| anyhow::anyhow!("fetch.{key}: {why}"))
}

/// What studies can be fetched from.
fn fetched(config: &Config, proxy: Option<&Proxy>) -> anyhow::Result<Sources> {
    let us = &config.dicom.ae_title;
    let peers = config.peers.iter().filter_map(|(name, peer)| {
        Some((name.clone(), PeerSource { remote: peer.remote(us), how: peer.retrieve? }))
    });
    let services = config.dicomweb.iter().map(|(name, section)| {
        let service = section.service(proxy);
        Ok((name.clone(), service.map_err(|fault| anyhow::anyhow!("dicomweb.{name}: {fault}"))?))
    });
    Ok(Sources {
        peers: Arc::new(peers.collect()),
        services: Arc::new(services.collect::<anyhow::Result<_>>()?),
        listener: (!config.dicom.listeners.is_empty()).then(|| us.clone()),
        ..Sources::default()
    })
}

/// The worklist as configured.
pub fn worklist(config: &Config, clock: Clock) -> anyhow::Result<Worklist> {
    let options = config.worklist.options(config.zone.clone());
    let options = options.map_err(|faults| anyhow::anyhow!(faults.join("; ")))?;
    let worklist = Worklist::new(sources(config), options, clock);
    // Orders that are sent to us are a source of their own, which nobody has to ask.
    Ok(if config.hl7.listeners.is_empty() { worklist } else { worklist.fed() })
}

fn sources(config: &Config) -> Vec<Source> {
    let sources = config.worklist.sources.iter().filter_map(|section| {
        if let Some(path) = &section.folder {
            return Some(Source::Folder { path: path.clone() });
        }
        let name = section.peer.clone()?;
        let remote = config.peers.get(&name)?.remote(&config.dicom.ae_title);
        let manners = Manners {
            fallback_character_set: section.fallback_character_set.clone(),
            character_set_key: section.character_set_key,
            times: section.times,
        };
        Some(Source::Peer { name, remote, manners })
    });
    sources.collect()
}

fn destinations(
    config: &Config,
    proxy: Option<&Proxy>,
) -> anyhow::Result<BTreeMap<DestinationName, Destination>> {
    let mut destinations = BTreeMap::new();
    for (name, section) in &config.destinations {
        let remote = |peer: &String| Some(config.peers.get(peer)?.remote(&config.dicom.ae_title));
        let target = match section.target() {
            Ok(TargetSection::Folder(folder)) => Target::Folder(folder),
            Ok(TargetSection::Peer(peer)) => match remote(&peer) {
                Some(remote) => Target::Peer { name: peer, remote },
                None => continue,
            },
            Ok(TargetSection::Stow(url, credentials)) => {
                let proxy = proxy.filter(|_| section.through_proxy);
                let way = Way { ca_file: section.ca_file.clone(), proxy };
                let stow = Stow::new(url, way, credentials)
                    .map_err(|why| anyhow::anyhow!("destinations.{name}: {why}"))?;
                Target::Stow(stow)
            }
            // Told by the check of the configuration.
            Err(_) => continue,
        };
        let named = |peer: &String| {
            Some((peer.clone(), config.peers.get(peer)?.remote(&config.dicom.ae_title)))
        };
        let query = section.query_peer.as_ref().and_then(named);
        let destination = Destination {
            target,
            associations: section.associations(),
            check: Check { existing: section.existing_study.unwrap_or_default(), query },
            coercion: section.coercion.clone(),
            compressed: section.compressed,
            layout: section.layout.unwrap_or_default(),
            send_back: section.send_back,
            pace: section.pace(),
            readings: section.status.clone(),
            retries: section.retries(),
            vouching: section.vouching(section.commitment_peer.as_ref().and_then(named)),
        };
        destinations.insert(DestinationName(name.clone()), destination);
    }
    Ok(destinations)
}

/// The destinations that are asked what they hold, with whom to ask.
pub fn asked(config: &Config) -> Vec<(String, Remote)> {
    let asked = |(name, destination): (DestinationName, Destination)| {
        let Target::Peer { remote, .. } = destination.target else {
            return None;
        };
        let Check { existing, query } = destination.check;
        (existing != Existing::Ignore).then(|| (name.0, query.map_or(remote, |(_, peer)| peer)))
    };
    destinations(config, None).unwrap_or_default().into_iter().filter_map(asked).collect()
}

/// A folder of the configuration that cannot be worked in.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}: {cause}")]
pub struct Unusable {
    sentence: String,
    cause: std::io::Error,
}

impl Unusable {
    /// Whether the same may go well later: its disk is full, or not mounted yet.
    pub fn is_passing(&self) -> bool {
        use std::io::ErrorKind::{
            PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle,
            StorageFull, TimedOut,
        };
        matches!(
            self.cause.kind(),
            PermissionDenied
                | QuotaExceeded
                | ReadOnlyFilesystem
                | StaleNetworkFileHandle
                | StorageFull
                | TimedOut
        )
    }
}

/// Makes a folder that only we may enter, and proves that it can be written.
fn prepare(dir: &Path) -> Result<(), Unusable> {
    let unusable = |cause| Unusable { sentence: diagnose(dir), cause };
    if !dir.exists() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    }
    let probe = dir.join(".probe");
    std::fs::write(&probe, b"").map_err(unusable)?;
    std::fs::remove_file(&probe).map_err(unusable)?;
    let mode = std::fs::metadata(dir).map_err(unusable)?.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let closed = std::fs::Permissions::from_mode(mode & 0o770);
        std::fs::set_permissions(dir, closed).map_err(|cause| Unusable {
            sentence: format!(
                "{} is open to others and cannot be closed; give it to the user that Lotse runs as",
                dir.display()
            ),
            cause,
        })?;
    }
    Ok(())
}

/// Says which step of a path is in the way.
fn diagnose(dir: &Path) -> String {
    let steps: Vec<_> = dir.ancestors().collect();
    for step in steps.iter().rev() {
        match std::fs::metadata(step) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return format!(
                    "the folder {} cannot be used: {} does not exist and cannot be made; create it and give \
                     it to the user that Lotse runs as",
                    dir.display(),
                    step.display()
                );
            }
            Err(error) => {
                return format!(
                    "the folder {} cannot be used: {}: {error}",
                    dir.display(),
                    step.display()
                );
            }
            Ok(found) if !found.is_dir() => {
                return format!(
                    "the folder {} cannot be used: {} is not a folder",
                    dir.display(),
                    step.display()
                );
            }
            Ok(_) => {}
        }
    }
    format!(
        "the folder {} cannot be written; give it to the user that Lotse runs as, or free space on its disk",
        dir.display()
    )
}

/// For `lotse check`: what can be said of files and folders without opening them.
pub fn inspect(config: &Config) -> Vec<String> {
    let mut faults = vec![];
    if let Err(error) = prepare(&config.data_dir) {
        // Nothing below it can be looked at.
        return vec![error.to_string()];
    }
    if let MasterKey::File(file) = &config.master_key
        && let Err(error) = Vault::check(&config.below("keys"), file)
    {
        faults.push(error.to_string());
    }
    let clock = Clock::system(None);
    faults.extend(super::secure::faults(config, clock.now().timestamp()));
    if let Err(error) = settings(config, clock, None) {
        faults.push(format!("{error:#}"));
    }
    faults
}
