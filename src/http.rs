//! The web door: status and metrics, the API, uploads, and the console.
//!
//! One router behind two listeners: TCP, where a token or a session opens it, and the control socket, where
//! the kernel tells who is there. It admits, asks and answers; deciding and scheduling are the pipeline's.
//! Invariants: nothing but health, status and metrics answers without credentials; no request is held in
//! memory whole; every refusal is a sentence that says what to do next.

mod api;
mod console;
mod destinations;
mod events;
mod guard;
mod linger;
mod monitor;
mod problem;
mod request;
mod secure;
mod serve;
mod sessions;
mod sheet;
mod stalled;
mod token;
mod upload;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::tls::Expiries;
use guard::Guard;
pub use secure::TlsSection;
pub use serve::{bind_control, serve_tcp, serve_unix};
pub use token::ApiToken;
use upload::Uploads;

/// The `[http]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HttpSection {
    /// Where the API and the console listen. Loopback only, until accounts exist.
    pub listen: SocketAddr,
    /// A host name that browsers use for this gateway, beside its address and `localhost`; without a port.
    pub name: Option<String>,
    /// HTTPS instead of HTTP.
    pub tls: Option<TlsSection>,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), name: None, tls: None }
    }
}

impl HttpSection {
    /// Every fault of the section.
    pub fn faults(&self) -> Vec<Error> {
        let mut faults = Vec::new();
        if !self.listen.ip().is_loopback() {
            faults.push(Error::NotLoopback { listen: self.listen });
        }
        if let Some(name) = &self.name {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
            if name.is_empty() || name.len() > 253 || !name.chars().all(allowed) {
                faults.push(Error::Name);
            }
        }
        if let Some(Err(error)) = self.tls.as_ref().map(|tls| tls.listener().check()) {
            faults.push(Error::Tls(error));
        }
        faults
    }
}

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "http.listen is {listen}, which other machines can reach; that needs TLS and accounts, and accounts are \
         not built yet: use 127.0.0.1 or [::1], and a tunnel or a proxy with both in front"
    )]
    NotLoopback { listen: SocketAddr },
    #[error("{0}")]
    Tls(crate::tls::Error),
    #[error(
        "http.name is not a host name; write it without scheme and port, like lotse.example.org"
    )]
    Name,
    #[error(
        "the API token {path:?} has mode {mode:03o}, so others can use it; run chmod 600 on it"
    )]
    TokenReadable { path: PathBuf, mode: u32 },
    #[error(
        "the API token {path:?} is not 64 hexadecimal digits; remove the file, and the next start makes a new one"
    )]
    TokenMalformed { path: PathBuf },
    #[error("the API token {path:?} cannot be used: {cause}; check the folder and its owner")]
    Token { path: PathBuf, cause: std::io::Error },
    #[error("another daemon serves the control socket {path:?}; stop it first")]
    ControlTaken { path: PathBuf },
    #[error("the control socket {path:?} cannot be used: {cause}; check the folder and its owner")]
    Control { path: PathBuf, cause: std::io::Error },
}

/// Event streams of all doors at the same time: fewer than connections, so that they never take all.
const STREAMS: usize = 64;

/// What both doors lead to. Cheap to clone; clones share sessions and counters.
#[derive(Clone)]
pub struct Door {
    pipeline: Pipeline,
    guard: Guard,
    metrics: Metrics,
    zone: jiff::tz::TimeZone,
    streams: Arc<Semaphore>,
    certificates: Expiries,
    after: TaskTracker,
}

impl Door {
    /// `name` is `http.name`; `zone` is that of the hospital, for what people read.
    pub fn new(
        pipeline: Pipeline,
        token: ApiToken,
        name: Option<String>,
        clock: Clock,
        zone: jiff::tz::TimeZone,
        metrics: Metrics,
    ) -> Self {
        Self {
            pipeline,
            guard: Guard::new(token, name, clock, &metrics),
            metrics,
            zone,
            streams: Arc::new(Semaphore::new(STREAMS)),
            after: TaskTracker::new(),
            certificates: Expiries::default(),
        }
    }

    /// Shows when these certificates end.
    pub fn showing(self, certificates: Expiries) -> Self {
        Self { certificates, ..self }
    }

    fn router(&self, stop: CancellationToken) -> Router {
        let rooms = Rooms {
            pipeline: self.pipeline.clone(),
            uploads: Uploads { pipeline: self.pipeline.clone(), after: self.after.clone() },
            metrics: self.metrics.clone(),
            guard: self.guard.clone(),
            zone: self.zone.clone(),
            streams: Arc::clone(&self.streams),
            certificates: self.certificates.clone(),
            stop,
        };
        guarded(routes().with_state(rooms), self.guard.clone())
    }
}

/// Every route of the API, and the console.
fn routes() -> Router<Rooms> {
    let api = api::routes().into_iter();
    let router = api.fold(Router::new(), |router, (_, path, route)| router.route(path, route));
    router.merge(console::routes())
}

fn guarded(router: Router, guard: Guard) -> Router {
    router
        .layer(axum::middleware::from_fn_with_state(guard, guard::stand))
        .layer(DefaultBodyLimit::max(request::JSON_LIMIT))
}

/// What routes work with.
#[derive(Clone)]
struct Rooms {
    pipeline: Pipeline,
    uploads: Uploads,
    metrics: Metrics,
    guard: Guard,
    zone: jiff::tz::TimeZone,
    streams: Arc<Semaphore>,
    certificates: Expiries,
    stop: CancellationToken,
}

#[cfg(test)]
mod tests;
