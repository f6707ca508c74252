//! Bodies that come slowly, break, or never end.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};

use super::Content;

/// Time for what was written to go out.
const FLUSH: Duration = Duration::from_millis(50);

/// Pieces in which a body is sent.
const PIECE: usize = 64 << 10;

/// A body with what its header should say of its length.
pub(super) struct Sent {
    pub(super) body: Body,
    pub(super) length: u64,
}

/// Which bytes come: from the first, up to `length` of the whole, or until the connection breaks.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) length: u64,
    pub(super) breaks_at: Option<u64>,
}

/// The bytes of `content` that `part` says, with a rest between two pieces.
pub(super) async fn send(content: Content, part: Part, slow: Option<Duration>) -> io::Result<Sent> {
    let end = part.breaks_at.unwrap_or(part.length).min(part.length);
    let left = end.saturating_sub(part.from);
    let bytes: Reader = match content {
        Content::Bytes(bytes) => {
            let from = usize::try_from(part.from).unwrap_or(usize::MAX).min(bytes.len());
            Box::pin(io::Cursor::new(bytes.slice(from..)))
        }
        Content::File(path) => {
            let mut file = tokio::fs::File::open(path).await?;
            file.seek(io::SeekFrom::Start(part.from)).await?;
            Box::pin(file)
        }
    };
    let breaks = part.breaks_at.is_some();
    let pieces = stream::unfold((bytes, left, false), move |(mut bytes, left, over)| async move {
        if over {
            return None;
        }
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
        if left == 0 && breaks {
            // What was given so far goes out first; a break at once would take it along.
            tokio::time::sleep(FLUSH).await;
        }
        if left == 0 {
            let broken = || io::Error::from(io::ErrorKind::ConnectionAborted);
            return breaks.then(|| (Err(broken()), (bytes, 0, true)));
        }
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        match bytes.read(&mut piece).await {
            Ok(0) => None,
            Ok(n) => {
                piece.truncate(n);
                let left = left.saturating_sub(u64::try_from(n).unwrap_or(left));
                Some((Ok(Bytes::from(piece)), (bytes, left, false)))
            }
            Err(error) => Some((Err(error), (bytes, 0, true))),
        }
    });
    let length = part.length.saturating_sub(part.from);
    Ok(Sent { body: Body::from_stream(pieces), length })
}

type Reader = std::pin::Pin<Box<dyn AsyncRead + Send>>;

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
