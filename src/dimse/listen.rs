//! The accept loop that the DICOM door and the simulators share.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// When accepting fails (no file descriptors), trying again at once would only burn the processor.
const BACKOFF: Duration = Duration::from_millis(100);

/// A connection that says nothing is asked for a sign of life after this, and so often, so far apart: who vanished
/// behind a firewall, or without power, is let go within some minutes.
const SILENCE: u32 = 60;
const SIGNS: u32 = 6;
const BETWEEN: u32 = 15;

/// Accepts until `stop`, at most `limit` connections at once (more are closed unheard). Then waits for the open
/// ones, which should look at `stop` themselves, at most `grace`; the rest is dropped, which aborts them.
pub async fn listen<F, Fut>(
    listener: TcpListener,
    stop: CancellationToken,
    grace: Duration,
    limit: usize,
    connection: F,
) where
    F: Fn(TcpStream, SocketAddr) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = open.join_next(), if !open.is_empty() => {
                if ended.is_err_and(|error| error.is_panic()) {
                    tracing::error!("an association ended by a fault of ours");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) if open.len() < limit => {
                    watch(&stream);
                    open.spawn(connection(stream, address));
                }
                Ok((_, address)) => {
                    tracing::warn!(%address, limit, "connection refused, too many are open");
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, async { while open.join_next().await.is_some() {} }).await;
    open.shutdown().await;
}

/// Lets the system notice that the other side is gone. Without it the deadlines of the service have to do.
fn watch(stream: &TcpStream) {
    let watched = setsockopt(stream, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepIdle, &SILENCE))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepInterval, &BETWEEN))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepCount, &SIGNS));
    if let Err(error) = watched {
        tracing::debug!(%error, "a connection could not be watched");
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;

    #[tokio::test]
    async fn connections_are_watched() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, mut told) = tokio::sync::mpsc::channel(1);
        let stop = CancellationToken::new();
        let connection = move |stream: TcpStream, _| {
            let seen = seen.clone();
            async move {
                let alive = getsockopt(&stream, sockopt::KeepAlive).unwrap();
                let idle = getsockopt(&stream, sockopt::TcpKeepIdle).unwrap();
                seen.send((alive, idle)).await.unwrap();
            }
        };
        let listening = listen(listener, stop.clone(), Duration::ZERO, 1, connection);
        let asking = async {
            let _stream = TcpStream::connect(address).await.unwrap();
            assert_eq!(told.recv().await, Some((true, SILENCE)));
            stop.cancel();
        };
        tokio::join!(listening, asking);
    }
}
