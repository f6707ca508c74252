//! A POST whose body is made while it is sent, for DICOMweb servers of the site.
//!
//! Invariants: it goes to the address that was given or nowhere, since what was streamed once cannot be sent
//! to another; a body that ends with a fault never looks whole to the peer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use url::Url;

use super::request::Answer;
use super::{Bearer, Client, Error, Limits, host_of};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What one upload may cost.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    /// Without the peer taking anything of the body.
    pub stall: Duration,
    /// From the end of the body to the answer.
    pub answer: Duration,
    /// Bytes of the answer's body.
    pub body: u64,
}

/// One POST.
pub struct Upload<'a> {
    pub url: Url,
    pub content_type: &'a str,
    pub accept: &'static str,
    pub credentials: Option<&'a Bearer>,
    /// Pieces of the body; the sender's end is the end of the body, an error breaks the connection.
    pub body: mpsc::Receiver<io::Result<Bytes>>,
    pub limits: UploadLimits,
}

impl Client {
    /// Sends it, and waits for the answer. Redirects are refused.
    ///
    /// # Errors
    /// As any request, [`Error::RedirectedPost`] for a redirect, [`Error::Stalled`] if the peer takes nothing.
    pub async fn upload(&self, upload: Upload<'_>) -> Result<Answer, Error> {
        let host = host_of(&upload.url);
        let (_, site) = self.admit(&upload.url, None)?;
        self.judge_proxied(&upload.url, site).await?;
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::from_str(upload.content_type).map_err(|_| Error::Setup)?;
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(ACCEPT, HeaderValue::from_static(upload.accept));
        headers.insert(
            HeaderName::from_static("accept-encoding"),
            HeaderValue::from_static("identity"),
        );
        if let Some(credentials) = upload.credentials {
            headers.insert(AUTHORIZATION, credentials.value());
        }
        let pieces = Arc::new(AtomicU64::new(0));
        let taken = Arc::clone(&pieces);
        let body = ReceiverStream::new(upload.body).inspect(move |_| {
            taken.fetch_add(1, Ordering::Relaxed);
        });
        let ended = Arc::new(AtomicU64::new(0));
        let end = Arc::clone(&ended);
        let body = body.chain(futures_util::stream::poll_fn(move |_| {
            end.store(1, Ordering::Relaxed);
            std::task::Poll::Ready(None)
        }));
        let request = site.http.post(upload.url.clone()).headers(headers);
        let sending = request.body(reqwest::Body::wrap_stream(body)).send();
        tokio::pin!(sending);
        let (mut seen, mut since) = (0, Instant::now());
        let response = loop {
            tokio::select! {
                biased;
                response = &mut sending => break response.map_err(|error| Error::of(&error, &host, site.way))?,
                () = sleep(LOOK) => {}
            }
            let now = pieces.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            let is_sent = ended.load(Ordering::Relaxed) > 0;
            let most = if is_sent { upload.limits.answer } else { upload.limits.stall };
            if since.elapsed() > most {
                return Err(if is_sent {
                    Error::Timeout { host }
                } else {
                    Error::Stalled { host }
                });
            }
        };
        site.answered(&host, &response)?;
        if response.status().is_redirection() {
            return Err(Error::RedirectedPost { host });
        }
        let limits = Limits { body: upload.limits.body, ..Limits::SHORT };
        Ok(Answer::new(response, upload.url, host, Instant::now() + limits.total, limits))
    }
}
