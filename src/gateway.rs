//! The composition root: builds every part from the configuration, opens the doors, and ends them in order.
//!
//! Owns the life of the daemon. Invariants: it is ready only after every door is bound; a door that ends
//! unasked ends the daemon; on the way out doors close first, then stages drain, then the journal.

mod check;
mod config;
mod faults;
mod notify;
mod parts;
mod secure;
mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use config::{Config, Environment, GatewaySection, MasterKey, RetrySection, data_dir};
pub use faults::{Fault, Faults};
pub use notify::Notify;
use parts::KeptWorklist;
pub use parts::{ClockSource, Unusable, asked, at_rest, inspect, proxy, worklist};
pub use secure::notes;
pub use serve::serve;

use crate::metrics::Metrics;
use crate::pipeline::{self, Pipeline, Running};
use crate::tls::{Expiries, Transport};
use crate::worklist::Worklist;
use crate::worklist::hl7::Book;
use crate::{http, mllp, scp};

/// The running gateway.
pub struct Gateway {
    pub pipeline: Pipeline,
    pub addresses: Addresses,
    /// For the API and the console on TCP.
    pub token: String,
    doors: JoinSet<&'static str>,
    stop: CancellationToken,
    running: Running,
    scp: Arc<scp::Door>,
    config: Config,
    kept: KeptWorklist,
    book: Arc<Book>,
    /// TLS of the DICOM listeners and of the HL7 ones, in their order, and of the web door.
    transports: Vec<Transport>,
    hl7_transports: Vec<Transport>,
    http_transport: Transport,
    certificates: Expiries,
    /// Asks the worklist again and again; made anew by a reload.
    keeping: (JoinHandle<()>, CancellationToken),
}

/// Where the doors are, as bound.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub http: SocketAddr,
    pub dicom: Vec<SocketAddr>,
    pub hl7: Vec<SocketAddr>,
    pub control: PathBuf,
}

/// Why a gateway ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    #[error("the {0} door ended by itself")]
    Door(&'static str),
    #[error(transparent)]
    Scheduler(#[from] pipeline::Error),
}

impl Gateway {
    /// Builds everything, recovers what was left, binds every door.
    pub async fn start(config: Config, clock: ClockSource) -> anyhow::Result<Self> {
        crate::tls::install_provider();
        let secured = secure::load(&config).await?;
        let (parts, kept) = parts::build(&config, clock).await?;
        let worklist = parts.settings.worklist.clone();
        let zone = config.zone.clone();
        let http_listener = TcpListener::bind(config.http.listen)
            .await
            .with_context(|| format!("http.listen: {} cannot be bound", config.http.listen))?;
        let mut dicom_listeners = vec![];
        for listener in &config.dicom.listeners {
            let bound = TcpListener::bind(listener.address).await.with_context(|| {
                format!("dicom.listeners: {} cannot be bound", listener.address)
            })?;
            dicom_listeners.push(bound);
        }
        let mut hl7_listeners = vec![];
        for listener in &config.hl7.listeners {
            let bound = TcpListener::bind(listener.address)
                .await
                .with_context(|| format!("hl7.listeners: {} cannot be bound", listener.address))?;
            hl7_listeners.push((bound, listener.clone()));
        }
        let control = control_path(&config.data_dir);
        let unix: UnixListener = http::bind_control(&control)?;
        let token = http::ApiToken::load_or_create(&config.below("api.token"))?;
        let addresses = Addresses {
            http: http_listener.local_addr()?,
            dicom: dicom_listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?,
            hl7: hl7_listeners.iter().map(|(l, _)| l.local_addr()).collect::<Result<_, _>>()?,
            control,
        };
        let shown = token.reveal().to_owned();

        let (clock, metrics) = (parts.clock.clone(), Metrics::default());
        let (pipeline, running) = pipeline::start(parts).await?;
        let stop = CancellationToken::new();
        let mut doors = JoinSet::new();
        let name = config.http.name.clone();
        let book = Book::new(kept.local.clone(), config.hl7.rules());
        let mllp = mllp::Door::new(Arc::clone(&book), clock.clone(), zone.clone(), &metrics);
        let mut hl7_transports = vec![];
        for ((listener, section), acceptor) in hl7_listeners.into_iter().zip(secured.hl7) {
            let (door, until) = (Arc::clone(&mllp), stop.clone());
            let transport = Transport::new(acceptor);
            hl7_transports.push(transport.clone());
            doors.spawn(async move {
                mllp::serve(listener, section, transport, door, until).await;
                "HL7"
            });
        }
        let certificates = Expiries::default();
        certificates.set(secured.found);
        tokio::spawn(secure::watch(certificates.clone(), clock.clone(), stop.clone()));
        let door = http::Door::new(pipeline.clone(), token, name, clock, zone, metrics)
            .showing(certificates.clone());
        let (tcp, unix_door, until) = (door.clone(), door, stop.clone());
        let tcp_stop = stop.clone();
        let http_transport = Transport::new(secured.http);
        let transport = http_transport.clone();
        doors.spawn(async move {
            http::serve_tcp(http_listener, transport, tcp, tcp_stop).await;
            "HTTP"
        });
        doors.spawn(async move {
            http::serve_unix(unix, unix_door, until).await;
            "control"
        });
        let following = pipeline.clone().follow_orders(stop.clone());
        doors.spawn(async move {
            following.await;
            "order"
        });
        let scp = scp::Door::new(
            config.dicom.ae_title.clone(),
            config.peers.clone(),
            Arc::new(pipeline.clone()),
            scp::Limits { associations: config.dicom.associations.get(), ..scp::Limits::default() },
        );
        scp.set_storage(config.dicom.storage());
        scp.set_promises(kept.promises.clone());
        let (door, until) = (Arc::clone(&scp), stop.clone());
        doors.spawn(async move {
            scp::keep_promises(door, until).await;
            "commitment"
        });
        scp.set_worklist(worklist.clone());
        let mut transports = vec![];
        for (listener, acceptor) in dicom_listeners.into_iter().zip(secured.acceptors) {
            let (door, until) = (Arc::clone(&scp), stop.clone());
            let transport = Transport::new(acceptor);
            transports.push(transport.clone());
            doors.spawn(async move {
                scp::serve_over(listener, transport, door, until).await;
                "DICOM"
            });
        }
        let keeping = keep_fresh(worklist);
        let token = shown;
        Ok(Self {
            pipeline,
            addresses,
            token,
            doors,
            stop,
            running,
            scp,
            config,
            kept,
            book,
            transports,
            hl7_transports,
            http_transport,
            certificates,
            keeping,
        })
    }

    /// Waits until something ends that should not.
    pub async fn failed(&mut self) -> Ended {
        tokio::select! {
            door = self.doors.join_next() => Ended::Door(match door {
                Some(Ok(door)) => door,
                _ => "unknown",
            }),
            ended = self.running.ended() => match ended {
                Err(error) => error.into(),
                Ok(()) => Ended::Door("scheduler"),
            },
        }
    }

    /// Takes over what may change without a restart: all of it, or nothing.
    pub async fn reload(&mut self, config: Config) -> anyhow::Result<()> {
        let fixed = |c: &Config| {
            let dicom = c.dicom.listeners.iter().map(|listener| listener.address);
            let dicom = (dicom.collect::<Vec<_>>(), c.dicom.associations);
            let mut hl7 = c.hl7.listeners.clone();
            hl7.iter_mut().for_each(|listener| listener.tls = None);
            let listeners = (c.dicom.ae_title.clone(), dicom, hl7);
            let http = http::HttpSection { tls: None, ..c.http.clone() };
            let folders = (c.data_dir.clone(), c.master_key.clone(), c.spool.clone());
            // The console and the HL7 door keep the zone of the start.
            (folders, http, listeners, c.zone.clone())
        };
        anyhow::ensure!(
            fixed(&config) == fixed(&self.config),
            "data-dir, `timezone`, `spool`, addresses of listeners, `dicom.associations`, `http` (its TLS aside) and our \
             AE title change only with a restart; nothing was reloaded"
        );
        let secured = secure::load(&config).await?;
        let settings = parts::settings(&config, self.pipeline.clock(), Some(&self.kept))?;
        let worklist = settings.worklist.clone();
        self.pipeline.reload(settings).await?;
        self.scp.set_peers(config.peers.clone());
        self.scp.set_storage(config.dicom.storage());
        for (transport, acceptor) in self.transports.iter().zip(secured.acceptors) {
            transport.set(acceptor);
        }
        for (transport, acceptor) in self.hl7_transports.iter().zip(secured.hl7) {
            transport.set(acceptor);
        }
        self.http_transport.set(secured.http);
        self.certificates.set(secured.found);
        secure::tell(&self.certificates, &self.pipeline.clock());
        self.book.set_rules(config.hl7.rules());
        self.scp.set_worklist(worklist.clone());
        let (_, old) = std::mem::replace(&mut self.keeping, keep_fresh(worklist));
        old.cancel();
        self.config = config;
        Ok(())
    }

    /// Closes the doors, lets what runs end, and keeps what has to be kept.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while self.doors.join_next().await.is_some() {}
        let (keeping, until) = self.keeping;
        until.cancel();
        // A panic in it was told already; what is kept is whole in any case.
        let _ = keeping.await;
        self.pipeline.stop().await;
        self.running.ended().await?;
        // It names a socket that nobody serves any more.
        let _ = std::fs::remove_file(&self.addresses.control);
        Ok(())
    }
}

fn keep_fresh(worklist: Worklist) -> (JoinHandle<()>, CancellationToken) {
    let stop = CancellationToken::new();
    (tokio::spawn(worklist.keep_fresh(stop.clone())), stop)
}

/// Where a command finds its daemon: at the data folder that `file` or the environment names. Without a file,
/// and if nobody is there, it is the system's own, so that a person on its machine need not say which.
///
/// # Errors
/// If `file` cannot be read or is no TOML.
pub fn find_control(file: Option<&Path>, environment: &Environment) -> Result<PathBuf, Faults> {
    let path = control_path(&data_dir(file, environment)?);
    let system = Path::new(SYSTEM_SOCKET);
    let is_there = |path: &Path| is_there(&path.try_exists());
    let elsewhere = file.is_none() && !is_there(&path) && is_there(system);
    Ok(if elsewhere { system.to_owned() } else { path })
}

/// A socket that this user may not look at is there all the same: whoever connects hears that they may not.
fn is_there(found: &std::io::Result<bool>) -> bool {
    match found {
        Ok(exists) => *exists,
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    }
}

/// The control socket of the daemon that systemd runs.
const SYSTEM_SOCKET: &str = "/run/lotse/control.sock";

/// Where the control socket of a data folder is: systemd's runtime folder for the system's own.
pub fn control_path(data_dir: &Path) -> PathBuf {
    if data_dir == Path::new("/var/lib/lotse") && Path::new("/run/lotse").is_dir() {
        return PathBuf::from(SYSTEM_SOCKET);
    }
    data_dir.join("control.sock")
}

#[cfg(test)]
mod tests;
