//! The accept loop that the DICOM door and the simulators share.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// When accepting fails (no file descriptors), trying again at once would only burn the processor.
const BACKOFF: Duration = Duration::from_millis(100);

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
