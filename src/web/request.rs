//! One request with its redirects, and its answer.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};
use url::Url;

use super::floor::Floor;
use super::resume::{self, Validator};
use super::{Client, Error, Way, date, host_of};

/// More hops than this is a loop or a maze.
const MAX_REDIRECTS: usize = 5;

/// The most of a JSON answer that is read: real ones have a few kilobytes.
const MAX_JSON: u64 = 1 << 20;

/// The waits and sizes one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the header of the answer is there, each hop anew.
    pub answer: Duration,
    /// Between two pieces of the body.
    pub stall: Duration,
    /// For everything, redirects and body included.
    pub total: Duration,
    /// Bytes of body.
    pub body: u64,
}

impl Limits {
    /// For a short exchange: a question, a login, a list.
    pub const SHORT: Self = Self {
        answer: Duration::from_secs(60),
        stall: Duration::from_secs(30),
        total: Duration::from_secs(120),
        body: MAX_JSON,
    };
}

/// A bearer token. It is a secret: never printed, and sent to the origin of the first URL only.
#[derive(Clone)]
pub struct Bearer(HeaderValue);

impl Bearer {
    /// Tokens are far below this; a header line that long would be refused anyway.
    const LONGEST: usize = 16 << 10;

    /// Basic credentials (RFC 7617) in place of a token. `None` if the user name has a colon, or they are too long.
    pub fn basic(user: &str, password: &str) -> Option<Self> {
        if user.contains(':') || user.len().saturating_add(password.len()) > Self::LONGEST / 2 {
            return None;
        }
        let plain = format!("{user}:{password}");
        let value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(plain)));
        let mut value = value.ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// `None` if the token has characters that a header cannot carry, or is empty or too long.
    pub fn new(token: &str) -> Option<Self> {
        let fits = !token.is_empty() && token.len() <= Self::LONGEST;
        let plain = fits && token.bytes().all(|b| b.is_ascii_graphic());
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| plain)?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    pub(super) fn value(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// A request being made.
pub struct Request<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    bearer: Option<Bearer>,
    body: Option<Bytes>,
    limits: Limits,
}

impl<'a> Request<'a> {
    pub(super) fn new(client: &'a Client, method: Method, mut url: Url) -> Self {
        url.set_fragment(None);
        let headers =
            HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        Self { client, method, url, headers, bearer: None, body: None, limits: Limits::SHORT }
    }

    pub(super) fn json(mut self, body: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(body);
        self
    }

    /// Adds a header that holds no secret: it goes along on every hop.
    /// `name` in lower case.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Adds the token; it is dropped when a redirect leads to another origin.
    pub fn bearer(mut self, bearer: &Bearer) -> Self {
        self.bearer = Some(bearer.clone());
        self
    }

    /// Asks for what comes from byte `from` on, if the file is still the same: the answer has status 206 then
    /// ([`Answer::rest`]), else it is the whole anew.
    pub fn resume(mut self, from: u64, validator: &Validator) -> Self {
        if let Ok(range) = HeaderValue::try_from(format!("bytes={from}-")) {
            self.headers.insert(RANGE, range);
            self.headers.insert(IF_RANGE, validator.condition.clone());
        }
        self
    }

    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sends it, and follows redirects of a GET. A POST is repeated only to its own origin (307, 308).
    pub async fn send(self) -> Result<Answer, Error> {
        let origin = self.url.origin();
        let deadline = Instant::now() + self.limits.total;
        let mut url = self.url;
        let mut from = None;
        for _ in 0..=MAX_REDIRECTS {
            let host = host_of(&url);
            let (index, site) = self.client.admit(&url, from)?;
            self.client.judge_proxied(&url, site).await?;
            let mut request =
                site.http.request(self.method.clone(), url.clone()).headers(self.headers.clone());
            if let Some(bearer) = self.bearer.as_ref().filter(|_| url.origin() == origin) {
                request = request.header(AUTHORIZATION, bearer.0.clone());
            }
            if let Some(body) = &self.body {
                request = request.body(body.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let response = timeout(self.limits.answer.min(left), request.send())
                .await
                .map_err(|_| Error::Timeout { host: host.clone() })?
                .map_err(|error| Error::of(&error, &host, site.way))?;
            site.answered(&host, &response)?;
            let Some(next) = next_hop(&url, &response)? else {
                return Ok(Answer::new(response, url, host, deadline, self.limits));
            };
            if self.body.is_some() {
                let repeats = matches!(
                    response.status(),
                    StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
                );
                if !repeats || next.origin() != origin {
                    return Err(Error::RedirectedPost { host });
                }
            }
            from = Some(index);
            url = next;
        }
        Err(Error::Redirects { host: host_of(&url) })
    }
}

/// Where a redirect leads; `None` if the answer is none.
pub(super) fn next_hop(url: &Url, response: &reqwest::Response) -> Result<Option<Url>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    let mut next = location
        .to_str()
        .ok()
        .and_then(|location| url.join(location).ok())
        .filter(|next| matches!(next.scheme(), "http" | "https") && next.has_host())
        .ok_or_else(|| Error::Redirects { host: host_of(url) })?;
    if url.scheme() == "https" && next.scheme() != "https" {
        return Err(Error::Downgrade { host: host_of(url) });
    }
    next.set_fragment(None);
    Ok(Some(next))
}

/// An answer whose header is there and whose body is still to come.
pub struct Answer {
    response: reqwest::Response,
    url: Url,
    host: String,
    deadline: Instant,
    limits: Limits,
    /// Read already by [`Answer::peek`], not handed out yet.
    front: BytesMut,
    received: u64,
    floor: Floor,
    /// As told at first; reqwest counts its own down.
    length: Option<u64>,
}

impl Answer {
    pub(super) fn new(
        response: reqwest::Response,
        url: Url,
        host: String,
        deadline: Instant,
        limits: Limits,
    ) -> Self {
        let (length, floor) = (response.content_length(), Floor::default());
        let (front, received) = (BytesMut::new(), 0);
        Self { response, url, host, deadline, limits, front, received, floor, length }
    }

    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    /// The URL that answered, after redirects. As secret as the first one.
    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// A header as text; bytes above ASCII are taken as UTF-8, or replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        let value = self.response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// How long the peer wants to be left alone (`Retry-After`, in seconds or as a date).
    pub fn retry_after(&self) -> Option<Duration> {
        date::wait(&self.header("retry-after")?, self.header("date").as_deref())
    }

    /// The peer's own clock, in seconds since 1970.
    pub fn date(&self) -> Option<i64> {
        date::parse(&self.header("date")?).map(|date| date.as_second())
    }

    /// What a cut body may be gone on with; `None` if the peer does not offer that.
    pub fn validator(&self) -> Option<Validator> {
        resume::validator(self.response.headers())
    }

    /// Of a `206`: the number of its first byte, and the length of the whole if that is told. `None` if it is not
    /// the rest of the file.
    pub fn rest(&self) -> Option<(u64, Option<u64>)> {
        (self.status() == 206).then(|| resume::rest(self.response.headers())).flatten()
    }

    /// Whether this is of another version of the file than the answer that `first` is of.
    pub fn contradicts(&self, first: &Validator) -> bool {
        resume::contradicts(self.response.headers(), first)
    }

    /// All headers as text, those above `longest` bytes left out.
    pub fn headers(&self, longest: usize) -> Vec<(String, String)> {
        let short = self.response.headers().iter().filter(|(_, value)| value.len() <= longest);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        short.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }

    /// What the peer said the body has, in bytes.
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// The beginning of the body, at least `length` bytes unless it is shorter. Nothing is lost: the body
    /// still comes whole.
    pub async fn peek(&mut self, length: usize) -> Result<&[u8], Error> {
        while self.front.len() < length {
            let Some(piece) = self.pull().await? else {
                break;
            };
            self.front.extend_from_slice(&piece);
        }
        Ok(&self.front)
    }

    /// The next piece of the body, `None` at its end. A body that is cut is an error, never an end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.front.is_empty() {
            return self.pull().await;
        }
        Ok(Some(self.front.split().freeze()))
    }

    /// The whole body, at most `limit` bytes.
    pub async fn bytes(&mut self, limit: u64) -> Result<Bytes, Error> {
        let too_large = || Error::TooLarge { host: self.host.clone(), limit };
        if self.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            body.extend_from_slice(&piece);
            if u64::try_from(body.len()).unwrap_or(u64::MAX) > limit {
                return Err(Error::TooLarge { host: self.host.clone(), limit });
            }
        }
        Ok(body.freeze())
    }

    /// The body as JSON, at most 1 MiB of it.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let body = self.bytes(MAX_JSON).await?;
        let text = body.strip_prefix(b"\xEF\xBB\xBF".as_slice()).unwrap_or(&body);
        serde_json::from_slice(text).map_err(|_| Error::NotJson { host: self.host.clone() })
    }

    async fn pull(&mut self) -> Result<Option<Bytes>, Error> {
        let host = || self.host.clone();
        let limit = self.limits.body;
        if self.received == 0 {
            if self.content_length().is_some_and(|length| length > limit) {
                return Err(Error::TooLarge { host: host(), limit });
            }
            let encoding = self.response.headers().get(CONTENT_ENCODING);
            if encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
                return Err(Error::Encoded { host: host() });
            }
        }
        let asked = Instant::now();
        let left = self.deadline.saturating_duration_since(asked);
        if left.is_zero() {
            return Err(Error::Deadline { host: host() });
        }
        let piece = match timeout(self.limits.stall.min(left), self.response.chunk()).await {
            Ok(Ok(piece)) => piece,
            // The connection stands, so the way to it is no cause any more.
            Ok(Err(error)) => return Err(Error::of(&error, &self.host, Way::Direct)),
            Err(_) if left <= self.limits.stall => return Err(Error::Deadline { host: host() }),
            Err(_) => return Err(Error::Stalled { host: host() }),
        };
        let Some(piece) = piece else { return Ok(None) };
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if !self.floor.holds(asked.elapsed(), length) {
            return Err(Error::Stalled { host: host() });
        }
        self.received = self.received.saturating_add(length);
        if self.received > limit {
            return Err(Error::TooLarge { host: self.host.clone(), limit });
        }
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, location: &str) -> Result<Option<Url>, Error> {
        let response = axum::http::Response::builder()
            .status(302)
            .header("location", location)
            .body(Vec::new())
            .unwrap();
        next_hop(&Url::parse(from).unwrap(), &response.into())
    }

    #[test]
    fn names_and_passwords_are_written_as_rfc_7617_shows() {
        let basic = Bearer::basic("Aladdin", "open sesame").unwrap();
        assert_eq!(basic.value().to_str().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(Bearer::basic("a:b", "c").is_none());
    }

    #[test]
    fn https_never_becomes_http() {
        assert!(matches!(
            hop("https://p.example/a", "http://p.example/b"),
            Err(Error::Downgrade { .. })
        ));
        assert!(
            matches!(hop("https://p.example/a", "//q.example/b#x"), Ok(Some(next)) if next.as_str() == "https://q.example/b")
        );
        assert!(matches!(hop("http://p.example/a", "https://p.example/b"), Ok(Some(_))));
        for bad in
            ["file:///etc/passwd", "data:text/html,x", "http://", "javascript:alert(1)", "\u{e9}"]
        {
            assert!(hop("https://p.example/a", bad).is_err() || bad == "\u{e9}", "{bad}");
        }
    }
}
