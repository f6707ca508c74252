//! The client of the daemon's control socket: the same HTTP API, over a Unix socket.
//!
//! The peer is our own daemon, so nothing is guarded here but waits and sizes: the socket's permissions say
//! who may speak, and the daemon knows us by our user.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio::time::timeout;

use super::roots;

/// The daemon listens or it does not; on one machine that shows at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The slowest plain answer waits for a worklist query.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);

/// An upload may rest while the daemon's disk syncs or the user's medium spins up, but not longer.
const STALL_TIMEOUT: Duration = Duration::from_secs(180);

/// A list of all imports of a week is far smaller.
const MAX_ANSWER: usize = 64 << 20;

/// One event is one import in JSON.
const MAX_EVENT: usize = 8 << 20;

/// Pieces in which a file is read.
const PIECE: usize = 256 << 10;

/// Why the daemon did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no daemon listens on {}; start it with `lotse serve`, or name its config file with --config", .path.display())]
    NoDaemon { path: PathBuf },
    #[error("only root and the daemon's own user may use {}; run it with sudo", .path.display())]
    Denied { path: PathBuf },
    /// The daemon's own words, from a problem document (RFC 9457).
    #[error("{}", .detail.as_deref().unwrap_or(.title))]
    Refused { status: u16, title: String, detail: Option<String> },
    #[error("the daemon did not answer in time; see its log")]
    Timeout,
    #[error("the connection to the daemon broke; see its log")]
    Broken,
    #[error("the daemon's answer cannot be understood; is it of the same version?")]
    Answer,
    #[error("the file could not be read to its end: {0}")]
    Read(io::Error),
    #[error("the HTTP client could not be set up")]
    Setup,
}

/// The way to a running daemon.
#[derive(Clone)]
pub struct Control {
    http: reqwest::Client,
    path: Arc<Path>,
}

impl Control {
    /// Tries the socket; [`Error::NoDaemon`] if nobody listens there.
    pub async fn connect(path: &Path) -> Result<Self, Error> {
        let fault = |error: &io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => Error::Denied { path: path.to_owned() },
            _ => Error::NoDaemon { path: path.to_owned() },
        };
        timeout(CONNECT_TIMEOUT, tokio::net::UnixStream::connect(path))
            .await
            .map_err(|_| Error::Timeout)?
            .map_err(|error| fault(&error))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(roots::no_tls().map_err(|_| Error::Setup)?)
            .unix_socket(path)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .http1_only()
            .build()
            .map_err(|_| Error::Setup)?;
        Ok(Self { http, path: path.into() })
    }

    /// GET. `path` begins with a slash and may have a query.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        read(self.send(self.request(Method::GET, path)).await?).await
    }

    /// GET of something that is no JSON, as text.
    pub async fn get_text(&self, path: &str) -> Result<String, Error> {
        let body = body(self.send(self.request(Method::GET, path)).await?).await?;
        String::from_utf8(body.into()).map_err(|_| Error::Answer)
    }

    /// POST of a JSON document.
    pub async fn post_json<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        document: &B,
    ) -> Result<T, Error> {
        read(self.send(self.request(Method::POST, path).json(document)).await?).await
    }

    /// DELETE. The answer may have no body; then it is JSON's `null`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        read(self.send(self.request(Method::DELETE, path)).await?).await
    }

    /// POST of `multipart/form-data` with the parts `request` (JSON) and `file`, which is streamed from
    /// `file` as it is read. `length` in bytes if it is known.
    pub async fn post_stream<B, R, T>(
        &self,
        path: &str,
        request: &B,
        name: &str,
        file: R,
        length: Option<u64>,
    ) -> Result<T, Error>
    where
        B: Serialize + Sync,
        R: AsyncRead + Send + 'static,
        T: DeserializeOwned,
    {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&read_bytes);
        let failed = Arc::new(std::sync::Mutex::new(None));
        let fault = Arc::clone(&failed);
        let pieces = tokio_util::io::ReaderStream::with_capacity(Box::pin(file), PIECE).map(
            move |piece: io::Result<Bytes>| {
                piece
                    .inspect(|piece| {
                        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
                        counted.fetch_add(length, Ordering::Relaxed);
                    })
                    .map_err(|error| {
                        let told = io::Error::from(error.kind());
                        *fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                            Some(error);
                        told
                    })
            },
        );
        let stream = reqwest::Body::wrap_stream(pieces);
        let part = match length {
            Some(length) => reqwest::multipart::Part::stream_with_length(stream, length),
            None => reqwest::multipart::Part::stream(stream),
        };
        let request = serde_json::to_string(request).map_err(|_| Error::Answer)?;
        let request = reqwest::multipart::Part::text(request)
            .mime_str("application/json")
            .map_err(|_| Error::Setup)?;
        let form = reqwest::multipart::Form::new()
            .part("request", request)
            .part("file", part.file_name(name.to_owned()));
        let sending = self.request(Method::POST, path).multipart(form).send();
        tokio::pin!(sending);
        let mut before = 0;
        let response = loop {
            match timeout(STALL_TIMEOUT, &mut sending).await {
                Ok(response) => break response,
                Err(_) => {
                    let now = read_bytes.load(Ordering::Relaxed);
                    if now == before {
                        return Err(Error::Timeout);
                    }
                    before = now;
                }
            }
        };
        if let Some(error) = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
        {
            return Err(Error::Read(error));
        }
        read(checked(response.map_err(|error| self.fault(&error))?).await?).await
    }

    /// Opens a stream of server-sent events.
    pub async fn events(&self, path: &str) -> Result<Events, Error> {
        let request = self.request(Method::GET, path).header(ACCEPT, "text/event-stream");
        let response = self.send(request).await?;
        Ok(Events { response, lines: BytesMut::new(), event: Event::default() })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://localhost{path}"))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = timeout(ANSWER_TIMEOUT, request.send()).await.map_err(|_| Error::Timeout)?;
        checked(response.map_err(|error| self.fault(&error))?).await
    }

    fn fault(&self, error: &reqwest::Error) -> Error {
        if error.is_connect() {
            Error::NoDaemon { path: self.path.to_path_buf() }
        } else {
            Error::Broken
        }
    }
}

#[derive(serde::Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

async fn checked(response: Response) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.contains("json"));
    let body = refusal(response).await;
    let problem = is_json.then(|| serde_json::from_slice::<Problem>(&body).ok()).flatten();
    let (title, detail) = problem.map_or((None, None), |problem| (problem.title, problem.detail));
    let title =
        title.unwrap_or_else(|| format!("the daemon answered with status {}", status.as_u16()));
    Err(Error::Refused { status: status.as_u16(), title, detail })
}

/// What came of a refusal: while we still send a large file, the daemon may cut the end of its answer.
async fn refusal(mut response: Response) -> Bytes {
    let mut body = BytesMut::new();
    while let Ok(Some(piece)) = piece(&mut response).await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ANSWER {
            break;
        }
    }
    body.freeze()
}

async fn body(mut response: Response) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(piece) = piece(&mut response).await? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ANSWER {
            return Err(Error::Answer);
        }
    }
    Ok(body.freeze())
}

async fn piece(response: &mut Response) -> Result<Option<Bytes>, Error> {
    timeout(STALL_TIMEOUT, response.chunk())
        .await
        .map_err(|_| Error::Timeout)?
        .map_err(|_| Error::Broken)
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    let body = body(response).await?;
    let text: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(text).map_err(|_| Error::Answer)
}

/// One server-sent event. It may hold an import as JSON, so it prints redacted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Empty means `message`.
    pub name: String,
    pub id: Option<String>,
    pub text: String,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Event(redacted)")
    }
}

/// A stream of events. Ends with [`Error::Timeout`] if not even a comment comes for three minutes.
pub struct Events {
    response: Response,
    lines: BytesMut,
    event: Event,
}

impl Events {
    /// The next event; `None` when the daemon closed the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            while let Some(line) = self.line()? {
                if let Some(event) = self.take(&line) {
                    return Ok(Some(event));
                }
            }
            match piece(&mut self.response).await? {
                Some(piece) => self.lines.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }

    /// Takes one whole line out of what has come.
    fn line(&mut self) -> Result<Option<String>, Error> {
        if self.lines.len() > MAX_EVENT || self.event.text.len() > MAX_EVENT {
            return Err(Error::Answer);
        }
        let Some(end) = self.lines.iter().position(|b| *b == b'\n') else {
            return Ok(None);
        };
        let line = self.lines.split_to(end.saturating_add(1));
        let line = String::from_utf8_lossy(&line);
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Takes one line in; an empty one completes the event.
    fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            event.text.pop();
            return (!event.text.is_empty() || !event.name.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                self.event.text.push_str(value);
                self.event.text.push('\n');
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests;
