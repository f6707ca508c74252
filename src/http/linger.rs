//! A refusal reaches a client that is still sending: what it sends is read and thrown away for a while.
//!
//! Without this the connection is closed with bytes unread, the kernel resets it, and the sentence that says
//! what was wrong with an upload is lost on its way. Invariant: nothing is held in memory, and it ends in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;

/// Long enough for gigabytes on loopback; shorter than the doors wait for answers at a stop.
const LINGER: Duration = Duration::from_secs(5);

/// A request body that is given back when its reader is done with it before its end.
struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

/// What a reader left unread, once there is something.
pub(crate) struct Rest(oneshot::Receiver<Body>);

/// Lends the body to whoever answers the request.
pub(crate) fn lend(body: Body) -> (Body, Rest) {
    let (back, rest) = oneshot::channel();
    (Body::new(Lent { body, back: Some(back) }), Rest(rest))
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.back = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take()
            && !self.body.is_end_stream()
        {
            // Nobody waits for it behind a success.
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}

impl Rest {
    /// The same answer, which ends when the client has sent everything, or after a while.
    pub(crate) fn behind(mut self, response: Response) -> Response {
        let Ok(rest) = self.0.try_recv() else {
            return response;
        };
        let (mut parts, body) = response.into_parts();
        // With a length the answer would be over, and the connection closed, before the rest is read.
        parts.headers.remove(header::CONTENT_LENGTH);
        let unread = stream::once(async move {
            let mut pieces = rest.into_data_stream();
            let reading = async { while let Some(Ok(_)) = pieces.next().await {} };
            // Whoever sends longer than this is cut.
            let _ = tokio::time::timeout(LINGER, reading).await;
        });
        let nothing = unread.filter_map(|()| std::future::ready(None));
        Response::from_parts(parts, Body::from_stream(body.into_data_stream().chain(nothing)))
    }
}
