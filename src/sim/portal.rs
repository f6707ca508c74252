//! A DLX portal over real HTTP, on loopback, that misbehaves on request.
//!
//! Owns the server side of the consumer calls (interface version 1) and a switch for what real portals get
//! wrong. Invariant: without faults it answers as the public prototype describes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod body;
mod document;
mod routes;

/// What the portal has behind its one link.
#[derive(Clone)]
pub struct Config {
    /// The token value in the link.
    pub token: String,
    pub questions: Vec<Question>,
    pub items: Vec<Item>,
    /// What `/downloadall` gives; the bytes of a ZIP.
    pub all: Content,
    pub faults: Faults,
}

/// A second factor and its right answer.
#[derive(Clone)]
pub struct Question {
    pub id: String,
    /// `PAT_BIRTH_DATE`, `STUDY_DATE`, `PASSWORD`, `CUSTOM`.
    pub kind: String,
    /// `DATE` or `STRING`.
    pub format: String,
    /// `(language, text)`
    pub texts: Vec<(String, String)>,
    pub answer: String,
}

impl Question {
    /// The usual one; `answer` as `YYYYMMDD`.
    pub fn birth_date(answer: &str) -> Self {
        let texts = [
            ("en", "What is the birth date of the patient?"),
            ("de", "Wann hat die Patientin oder der Patient Geburtstag?"),
        ];
        Self {
            id: "1".to_owned(),
            kind: "PAT_BIRTH_DATE".to_owned(),
            format: "DATE".to_owned(),
            texts: texts.map(|(language, text)| (language.to_owned(), text.to_owned())).to_vec(),
            answer: answer.to_owned(),
        }
    }
}

/// Where the bytes of an item come from.
#[derive(Clone)]
pub enum Content {
    Bytes(Bytes),
    /// Read piece by piece, so that it may be as large as it likes.
    File(PathBuf),
}

/// Which version of the interface is spoken.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// Base `/dlx`, header `X-DLX-API`, 404 for unknown tokens, one-language questions, `name` for `description`.
    Zero9,
    #[default]
    One,
    /// More fields, and capabilities.
    Two,
}

/// Whether a cut download can be gone on with.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Ranges {
    #[default]
    Never,
    ByTag,
    ByDate,
    /// Offered, but the file is another one by then.
    Changed,
    /// Offered, but it begins anew each time.
    Ignored,
    /// Offered, but the rest is said to begin elsewhere.
    Lying,
}

/// What the `Retry-After` of a 503 asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    Seconds(u64),
    /// As a date.
    Date(u64),
}

/// One entry of the list. Dates as `YYYYMMDD`, the name as the portal writes it (`Family, Given`).
#[derive(Clone)]
pub struct Item {
    pub id: String,
    pub mime: String,
    pub description: String,
    pub content: Content,
    pub study_uid: Option<String>,
    pub date: Option<String>,
    pub modalities: Option<String>,
    pub patient_name: Option<String>,
    pub birth_date: Option<String>,
    pub sex: Option<String>,
    pub file_count: Option<u64>,
    /// Version 2.
    pub patient_id: Option<String>,
    pub accession_number: Option<String>,
}

impl Item {
    /// An item with nothing but what is required.
    pub fn new(id: &str, mime: &str, description: &str, content: impl Into<Bytes>) -> Self {
        Self {
            id: id.to_owned(),
            mime: mime.to_owned(),
            description: description.to_owned(),
            content: Content::Bytes(content.into()),
            study_uid: None,
            date: None,
            modalities: None,
            patient_name: None,
            birth_date: None,
            sex: None,
            file_count: None,
            patient_id: None,
            accession_number: None,
        }
    }
}

/// How the link answers.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum AtLink {
    #[default]
    Questions,
    /// An HTML page even with the header.
    Page,
    /// A redirect to `/dlx/v1/token/{token}` of the same host.
    Forward,
    /// A redirect to this address.
    Redirect(String),
    /// A redirect to itself.
    Loop,
    Status(u16),
    /// These bytes, whatever they are.
    Raw(Bytes),
    /// White space without end, said to be JSON.
    Endless,
}

/// How the session token is written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenForm {
    #[default]
    Bare,
    Quoted,
    Wrapped,
}

/// How a download breaks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Cut {
    #[default]
    Never,
    /// The connection ends in the middle of the body.
    Connection,
    /// The body ends early and says that this is all.
    Silently,
}

/// Switches for the rows of table 1.4 (`reference/dlx-and-portals.md`) and for plain failure.
#[derive(Clone, Default)]
pub struct Faults {
    pub link: AtLink,
    pub version: Version,
    /// With DICOMweb addresses on this host.
    pub dicomweb: Option<String>,
    pub ranges: Ranges,
    /// Seconds that a session token says it is good for; a negative number says that it has ended long ago.
    pub token_lifetime: Option<i64>,
    /// Without the time of issue in the token.
    pub token_without_iat: bool,
    /// 404 on the download of everything.
    pub no_download_all: bool,
    /// `apiInfo` as an object instead of an array.
    pub api_info_object: bool,
    /// Without `apiInfo`.
    pub api_info_missing: bool,
    /// Another `apiBasePath` than the true one.
    pub base: Option<String>,
    /// Numbers where the schema says string.
    pub numbers: bool,
    /// `YYYY-MM-DD` instead of `YYYYMMDD`, with a time part on the study date.
    pub iso_dates: bool,
    pub wrong_media_types: bool,
    /// What the list says of every item, whatever it is sent as.
    pub listed_as: Option<&'static str>,
    pub token_form: TokenForm,
    /// 403 on right answers.
    pub expired: bool,
    /// Any answer to the login instead of the right one.
    pub login_status: Option<u16>,
    /// The login is taken, then the connection is cut.
    pub login_cut: bool,
    /// A session is good for so many requests.
    pub session_requests: Option<u32>,
    /// An ended session gets 200 with nothing instead of 401.
    pub empty_when_ended: bool,
    /// 503 for so many downloads.
    pub preparing: u32,
    /// What the body of a 503 asks for.
    pub preparing_seconds: Option<u64>,
    /// What the `Retry-After` of a 503 asks for.
    pub retry_after: Option<RetryAfter>,
    /// 404 on the list.
    pub no_list: bool,
    /// HTML with 200 instead of a file.
    pub login_page: bool,
    pub cut: Cut,
    /// So many downloads are cut; all if none is given.
    pub cut_times: Option<u32>,
    /// Rest between two pieces of a download.
    pub slow: Option<Duration>,
    /// Compressed though nobody asked.
    pub content_encoding: Option<&'static str>,
    /// 400 for every item.
    pub unknown_items: bool,
}

/// How often the portal was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub links: u32,
    /// Posts of answers.
    pub logins: u32,
    pub lists: u32,
    pub downloads: u32,
    pub download_alls: u32,
}

pub(super) struct Inner {
    config: Config,
    counts: Counts,
    /// When the newest session began, in seconds since 1970, if its token has to tell.
    issued: Option<i64>,
    /// Requests left for the newest session.
    session: Option<u32>,
    /// The last answers posted, for tests.
    posted: Option<serde_json::Value>,
}

/// What the routes share.
#[derive(Clone)]
pub(super) struct Shared {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A running portal. It stops when this is dropped.
pub struct Portal {
    shared: Shared,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Portal {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(config: Config) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let inner =
            Inner { config, counts: Counts::default(), issued: None, session: None, posted: None };
        let shared = Shared { address, inner: Arc::new(Mutex::new(inner)) };
        let stop = CancellationToken::new();
        let (routes, stopped) = (routes::routes(shared.clone()), stop.clone());
        let server = tokio::spawn(async move {
            // Running requests end with the task: a portal that goes down does not say goodbye.
            tokio::select! {
                () = stopped.cancelled() => {}
                _ = axum::serve(listener, routes) => {}
            }
        });
        Ok(Self { shared, stop, server: Some(server) })
    }

    /// The link as it would stand on a patient's sheet.
    pub fn link(&self) -> String {
        let token = self.shared.lock().config.token.clone();
        let mut link = format!("{}/portal?token=", self.shared.origin());
        link.extend(url::form_urlencoded::byte_serialize(token.as_bytes()));
        link
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// The answers posted last.
    pub fn posted(&self) -> Option<serde_json::Value> {
        self.shared.lock().posted.clone()
    }

    /// Changes what is wrong from now on.
    pub fn misbehave(&self, faults: Faults) {
        self.shared.lock().config.faults = faults;
    }

    /// Stops listening and drops every connection.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            server.await.unwrap_or_default();
        }
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
