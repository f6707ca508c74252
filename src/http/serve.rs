//! The two doors: connections in, requests to the same router, a clean end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::Peer;
use super::stalled::Stalled;
use super::{Door, Error, secure};
use crate::tls;

/// Connections of one door at the same time; more wait in the listener's backlog. Far above a desk's
/// browsers, far below the usual limit of 1,024 file descriptors.
const CONNECTIONS: usize = 128;
/// From the first byte, or from the last answer, to the end of the request's header.
const HEADER_LIMIT: Duration = Duration::from_secs(15);
/// For the peer to take more of an answer. A browser in a sleeping laptop comes back with a new connection.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// Room for one request header, which holds a cookie and an address; also the read buffer of bodies.
const BUFFER: usize = 64 * 1024;
/// Answers under way may finish this long after a stop; uploads that take longer are given up.
const DRAIN: Duration = Duration::from_secs(10);
/// Accepting fails when file descriptors run out; then a pause lets some come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API and the console on a loopback address until `stop`, then lets answers finish.
pub async fn serve_tcp(
    listener: TcpListener,
    transport: tls::Transport,
    door: Door,
    stop: CancellationToken,
) {
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => {
            tracing::error!(%error, "the HTTP listener is unusable");
            return;
        }
    };
    let connections = Connections::new(&door, &stop);
    loop {
        let Some(permit) = connections.permit().await else {
            break;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                // Small answers should not wait for more; without it they are only later.
                let _ = stream.set_nodelay(true);
                match transport.get() {
                    None => connections.spawn(stream, Peer::Tcp(address), permit),
                    Some(acceptor) => {
                        let opening = secure::open(acceptor, stream, from, HEADER_LIMIT);
                        connections.spawn_opened(opening, Peer::Tls(address), permit);
                    }
                }
            }
            Err(error) => connections.pause(&error).await,
        }
    }
    drop(listener);
    connections.drain().await;
}

/// Serves the same on the control socket: the kernel tells who is there, root and our own user may.
pub async fn serve_unix(listener: UnixListener, door: Door, stop: CancellationToken) {
    let own = nix::unistd::geteuid().as_raw();
    let connections = Connections::new(&door, &stop);
    loop {
        let Some(permit) = connections.permit().await else {
            break;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let peer = match stream.peer_cred().map(|peer| peer.uid()) {
                    Ok(uid) if uid == 0 || uid == own => Peer::Control { uid },
                    Ok(_) | Err(_) => Peer::Stranger,
                };
                connections.spawn(stream, peer, permit);
            }
            Err(error) => connections.pause(&error).await,
        }
    }
    drop(listener);
    connections.drain().await;
}

/// Binds the control socket, mode 0660, in the place of one that nobody serves any more.
///
/// # Errors
/// If another daemon serves it, or the path cannot be used.
pub fn bind_control(path: &Path) -> Result<UnixListener, Error> {
    let failed = |cause| Error::Control { path: path.to_owned(), cause };
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(Error::ControlTaken { path: path.to_owned() });
        }
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        // Nothing there is the normal case; everything else the bind will tell.
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// The connections of one door.
struct Connections {
    service: TowerToHyperService<Router>,
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
    header_limit: Duration,
    write_limit: Duration,
    /// Work that outlives its request, such as giving up an upload.
    after: TaskTracker,
}

impl Connections {
    fn new(door: &Door, stop: &CancellationToken) -> Self {
        Self::of(door.router(stop.clone()), stop, door.after.clone())
    }

    fn of(router: Router, stop: &CancellationToken, after: TaskTracker) -> Self {
        Self {
            service: TowerToHyperService::new(router),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
            header_limit: HEADER_LIMIT,
            write_limit: WRITE_LIMIT,
            after,
        }
    }

    async fn permit(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            permit = Arc::clone(&self.permits).acquire_owned() => permit.ok(),
        }
    }

    async fn pause(&self, error: &std::io::Error) {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    fn spawn<S>(&self, stream: S, peer: Peer, permit: tokio::sync::OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.spawn_opened(std::future::ready(Some(stream)), peer, permit);
    }

    /// The same for a connection that has to be opened first, which may come to nothing.
    fn spawn_opened<S>(
        &self,
        opening: impl Future<Output = Option<S>> + Send + 'static,
        peer: Peer,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let inner = self.service.clone();
        let stop = self.stop.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            inner.call(request)
        });
        let (header_limit, write_limit) = (self.header_limit, self.write_limit);
        self.tasks.spawn(async move {
            let _permit = permit;
            let opened = tokio::select! {
                opened = opening => opened,
                () = stop.cancelled() => None,
            };
            let Some(stream) = opened else {
                return;
            };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(header_limit)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(Stalled::new(stream, write_limit)), service);
            let mut connection = std::pin::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => Some(served),
                () = stop.cancelled() => None,
            };
            let served = match served {
                Some(served) => served,
                None => {
                    connection.as_mut().graceful_shutdown();
                    let drained = tokio::time::timeout(DRAIN, connection).await;
                    drained.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = served {
                // Browsers and scanners cut connections all day.
                tracing::debug!(%error, "an HTTP connection ended early");
            }
        });
    }

    async fn drain(self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.after.close();
        if tokio::time::timeout(DRAIN, self.after.wait()).await.is_err() {
            tracing::warn!("uploads that were given up are cleared at the next start");
        }
    }
}

#[cfg(test)]
mod tests;
