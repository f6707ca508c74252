//! Bodies that come slowly, break, or never end.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::Content;

/// Pieces in which a body is sent.
const PIECE: usize = 64 << 10;

/// A body with what its header should say of its length.
pub(super) struct Sent {
    pub(super) body: Body,
    pub(super) length: u64,
}

/// The bytes of `content`. `stop_after` bytes come at most, then the connection breaks.
pub(super) async fn send(
    content: Content,
    keep: Option<u64>,
    stop_after: Option<u64>,
    slow: Option<Duration>,
) -> io::Result<Sent> {
    let bytes = match content {
        Content::Bytes(bytes) => bytes,
        Content::File(path) => tokio::fs::read(path).await?.into(),
    };
    let whole = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let length = keep.unwrap_or(whole).min(whole);
    let end = usize::try_from(stop_after.unwrap_or(length).min(length)).unwrap_or(usize::MAX);
    let rest = bytes.slice(..end.min(bytes.len()));
    let breaks = stop_after.is_some();
    let pieces = stream::unfold((rest, false), move |(mut rest, over)| async move {
        if over {
            return None;
        }
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
        if rest.is_empty() {
            let broken = || io::Error::from(io::ErrorKind::ConnectionAborted);
            return breaks.then(|| (Err(broken()), (rest, true)));
        }
        let piece = rest.split_to(PIECE.min(rest.len()));
        Some((Ok::<_, io::Error>(piece), (rest, false)))
    });
    Ok(Sent { body: Body::from_stream(pieces), length })
}

/// White space without end.
pub(super) fn endless() -> Body {
    let piece = Bytes::from(vec![b' '; PIECE]);
    Body::from_stream(stream::repeat_with(move || Ok::<_, io::Error>(piece.clone())))
}

/// A body that breaks before its first byte.
pub(super) fn broken() -> Body {
    Body::from_stream(stream::once(async {
        Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionAborted))
    }))
}
