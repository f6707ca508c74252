//! A visit: requests to one portal that belong together, with the cookies it set.
//!
//! Owns the cookie jar and the list of hosts of one visit. Invariants: nothing is sent to a host that is not
//! on the list, redirects included; a body is never repeated to another origin; a header that the caller
//! gave goes to the origin of the first URL only; every hop passes the same guard as any other request.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE,
};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use super::cookies::Jar;
use super::request::next_hop;
use super::{Answer, Client, Error, Limits, host_of};

/// A recipe may ask for fewer redirects, never for more.
pub const MOST_REDIRECTS: usize = 10;

/// What a request carries.
#[derive(Clone, Default)]
pub enum Load {
    /// A GET.
    #[default]
    Nothing,
    /// A POST of these bytes, of this media type.
    Post { kind: String, bytes: Bytes },
}

/// One request of a visit. The headers may hold secrets.
#[derive(Clone)]
pub struct Call {
    pub url: Url,
    pub load: Load,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub limits: Limits,
}

/// What a recorded exchange answers.
pub struct Recorded {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Stands in for the network: everything but the wire itself stays as it is.
pub trait Recording: Send + Sync {
    /// `None` if nothing like this was recorded.
    fn answer(&self, method: &str, url: &Url, headers: &HeaderMap, body: &[u8])
    -> Option<Recorded>;
}

/// Requests that share cookies and a list of hosts.
pub struct Visit {
    client: Client,
    hosts: Vec<String>,
    redirects: usize,
    jar: Jar,
    recording: Option<Arc<dyn Recording>>,
    /// A hop of the last request was answered.
    answered: bool,
}

impl Visit {
    /// `hosts` are all that may be reached, without ports; `*.example.org` is every host below.
    pub fn new(client: &Client, hosts: &[String], redirects: usize, jar: Jar) -> Self {
        Self {
            client: client.clone(),
            hosts: hosts.iter().map(|host| super::normal_host(host)).collect(),
            redirects: redirects.min(MOST_REDIRECTS),
            jar,
            recording: None,
            answered: false,
        }
    }

    /// The same, answered by a recording instead of the network.
    pub fn replayed(mut self, recording: Arc<dyn Recording>) -> Self {
        self.recording = Some(recording);
        self
    }

    /// What has to be kept for the visit to go on later. A secret.
    pub fn jar(&self) -> &Jar {
        &self.jar
    }

    /// Whether `error`, with which the last request ended, means that nobody saw anything of it. The error alone
    /// speaks of the last hop only, and a redirect to it is an answer.
    pub fn sent_nothing(&self, error: &Error) -> bool {
        error.is_unsent() && !self.answered
    }

    /// Whether a URL's host is on the list.
    pub fn reaches(&self, url: &Url) -> bool {
        let host = host_of(url);
        self.hosts.iter().any(|named| match named.strip_prefix('*') {
            Some(end) => end.starts_with('.') && host.len() > end.len() && host.ends_with(end),
            None => *named == host,
        })
    }

    /// Sends it and follows redirects; a POST that is answered with 301, 302 or 303 goes on as a GET, as
    /// browsers do.
    pub async fn send(&mut self, call: Call) -> Result<Answer, Error> {
        self.answered = false;
        let origin = call.url.origin();
        let own = headers(&call)?;
        let deadline = Instant::now() + call.limits.total;
        let (mut url, mut load, mut from) = (call.url, call.load, None);
        url.set_fragment(None);
        for _ in 0..=self.redirects {
            let host = host_of(&url);
            if !self.reaches(&url) {
                return Err(Error::Stray { host });
            }
            let mut sent = if url.origin() == origin { own.clone() } else { HeaderMap::new() };
            sent.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if let Some(cookies) = self.jar.header(&url) {
                let mut value = HeaderValue::from_str(&cookies)
                    .map_err(|_| Error::Unsendable { host: host.clone() })?;
                value.set_sensitive(true);
                sent.insert(COOKIE, value);
            }
            let (index, response) =
                self.hop(&url, &load, sent, from, (call.limits, deadline)).await?;
            self.answered = true;
            for value in response.headers().get_all(SET_COOKIE) {
                self.jar.take(&url, &String::from_utf8_lossy(value.as_bytes()));
            }
            let Some(next) = next_hop(&url, &response)? else {
                return Ok(Answer::new(response, url, host, deadline, call.limits));
            };
            if matches!(load, Load::Post { .. }) {
                let repeats = matches!(
                    response.status(),
                    StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
                );
                if repeats && next.origin() != url.origin() {
                    return Err(Error::RedirectedPost { host });
                }
                if !repeats {
                    load = Load::Nothing;
                }
            }
            from = Some(index);
            url = next;
        }
        Err(Error::Redirects { host: host_of(&url) })
    }

    async fn hop(
        &self,
        url: &Url,
        load: &Load,
        headers: HeaderMap,
        from: Option<usize>,
        (limits, deadline): (Limits, Instant),
    ) -> Result<(usize, reqwest::Response), Error> {
        let host = host_of(url);
        let (index, site) = self.client.admit(url, from)?;
        if self.recording.is_none() {
            self.client.judge_proxied(url, site).await?;
        }
        let method = if matches!(load, Load::Nothing) { Method::GET } else { Method::POST };
        if let Some(recording) = &self.recording {
            let body: &[u8] = match load {
                Load::Nothing => &[],
                Load::Post { bytes, .. } => bytes,
            };
            let recorded = recording
                .answer(method.as_str(), url, &headers, body)
                .ok_or(Error::Unreachable { host })?;
            return Ok((index, recorded.into_response()));
        }
        let mut request = site.http.request(method, url.clone()).headers(headers);
        if let Load::Post { kind, bytes } = load {
            request = request.header(CONTENT_TYPE, kind).body(bytes.clone());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let response = timeout(limits.answer.min(left), request.send())
            .await
            .map_err(|_| Error::Timeout { host: host.clone() })?
            .map_err(|error| Error::of(&error, &host, site.way))?;
        site.answered(&host, &response)?;
        Ok((index, response))
    }
}

impl Recorded {
    fn into_response(self) -> reqwest::Response {
        let mut response = hyper::http::Response::new(reqwest::Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response.into()
    }
}

fn headers(call: &Call) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let unsendable = || Error::Unsendable { host: host_of(&call.url) };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unsendable())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
