//! What every request passes before a route sees it: the peer, Host and Origin, the token or the session.
//!
//! Invariant: nothing but the open addresses answers without credentials, and no page of another site can
//! make a browser act here (DNS rebinding is stopped by Host, forged forms by Origin and SameSite).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::console::error_page;
use super::linger;
use super::problem::Problem;
use super::sessions::Sessions;
use super::token::ApiToken;
use crate::clock::Clock;
use crate::import::Actor;
use crate::metrics::{Kind, Metrics, Value};

/// These answer anybody: they hold no patient data.
const OPEN: [&str; 5] = ["/healthz", "/readyz", "/status", "/metrics", "/login"];
/// Style and script of the login page.
const OPEN_BELOW: &str = "/assets/";
/// A wrong token is answered this late.
const WRONG_TOKEN_DELAY: Duration = Duration::from_secs(1);
/// Wrong tokens that wait at the same time; more are turned away at once.
const WRONG_TOKEN_WAITERS: usize = 8;
/// Browsers come back by TLS only, for half a year (RFC 6797).
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=15552000");

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The TCP listener at this address.
    Tcp(SocketAddr),
    /// The same, behind a TLS handshake.
    Tls(SocketAddr),
    /// The control socket; the kernel told who it is.
    Control { uid: u32 },
    /// The control socket, and neither root nor we ourselves.
    Stranger,
}

impl Peer {
    pub(crate) fn channel(self) -> Channel {
        match self {
            Self::Tls(_) => Channel::Tls,
            Self::Tcp(_) | Self::Control { .. } | Self::Stranger => Channel::Plain,
        }
    }
}

/// Whether our own TLS protects what is said. A proxy's may do so too, which is its to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Plain,
    Tls,
}

/// What is known of a request before its token is looked at.
enum Admitted {
    Openly,
    As(Actor),
    IfToken(Zeroizing<String>),
}

/// Who may come in, and how it is counted. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) token: ApiToken,
    pub(crate) sessions: Arc<Sessions>,
    /// The configured name of this gateway, beside its address and `localhost`.
    pub(crate) name: Option<String>,
    pub(crate) clock: Clock,
    waiters: Arc<Semaphore>,
    delay: Duration,
    requests: [Value; 4],
    wrong_tokens: Value,
}

impl Guard {
    pub(crate) fn new(
        token: ApiToken,
        name: Option<String>,
        clock: Clock,
        metrics: &Metrics,
    ) -> Self {
        let requests = ["2xx", "3xx", "4xx", "5xx"].map(|class| {
            metrics.value(
                Kind::Counter,
                "lotse_http_requests_total",
                Some(("class", class)),
                "HTTP requests answered, by class of status.",
            )
        });
        let wrong_tokens = metrics.value(
            Kind::Counter,
            "lotse_http_wrong_tokens_total",
            None,
            "Requests with a token that is not ours.",
        );
        Self {
            token,
            sessions: Arc::default(),
            name,
            clock,
            waiters: Arc::new(Semaphore::new(WRONG_TOKEN_WAITERS)),
            delay: WRONG_TOKEN_DELAY,
            requests,
            wrong_tokens,
        }
    }

    /// Whether `text` is the token. A wrong one waits, so that trying many takes long.
    pub(crate) async fn check_token(&self, text: &str) -> Result<(), Problem> {
        if self.token.matches(text) {
            return Ok(());
        }
        self.wrong_tokens.add(1);
        let Ok(_waiting) = self.waiters.try_acquire() else {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens at the same time; wait a little, then send the one in api.token",
            ));
        };
        tokio::time::sleep(self.delay).await;
        Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "this is not the token; it is in api.token in the data folder of the gateway",
        ))
    }

    fn admit(&self, request: &Request) -> Result<Admitted, Problem> {
        let path = request.uri().path();
        let peer = request.extensions().get::<Peer>();
        let (listener, channel) = match peer {
            Some(Peer::Control { uid }) => {
                return Ok(Admitted::As(Actor(format!("uid:{uid}"))));
            }
            Some(peer @ (Peer::Tcp(listener) | Peer::Tls(listener))) => (*listener, peer.channel()),
            Some(Peer::Stranger) | None => {
                return Err(Problem::forbidden(
                    "the control socket is for root and the user of the gateway; \
                     run the command with sudo, or as that user",
                ));
            }
        };
        check_host(request, listener, self.name.as_deref())?;
        let origin = check_origin(request.headers(), channel)?;
        if OPEN.contains(&path) || path.starts_with(OPEN_BELOW) {
            return Ok(Admitted::Openly);
        }
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer).unwrap_or("");
            return Ok(Admitted::IfToken(Zeroizing::new(token.to_owned())));
        }
        let now = self.clock.now();
        let alive = text(request.headers(), header::COOKIE)
            .is_some_and(|cookies| self.sessions.is_alive(cookies, now, channel));
        if !alive {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "send the token of api.token as `Authorization: Bearer …`, or log in at /login",
            ));
        }
        if origin == Origin::Absent && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::forbidden(
                "a browser session changes something only from the console itself; \
                 programs send the token instead of the cookie",
            ));
        }
        Ok(Admitted::As(Actor("console".to_owned())))
    }

    /// Puts the actor into the request.
    async fn pass(&self, request: &mut Request) -> Result<(), Problem> {
        let actor = match self.admit(request)? {
            Admitted::Openly => return Ok(()),
            Admitted::As(actor) => actor,
            Admitted::IfToken(token) => {
                self.check_token(&token).await?;
                Actor("token".to_owned())
            }
        };
        request.extensions_mut().insert(actor);
        Ok(())
    }

    /// Whether a browser is told to come back by TLS only: under our configured name. `localhost` and addresses belong
    /// to every other service of the machine too.
    fn keeps_to_tls(&self, request: &Request) -> bool {
        let by_tls = matches!(request.extensions().get(), Some(Peer::Tls(_)));
        let host = text(request.headers(), header::HOST).and_then(host_of);
        let named = host.zip(self.name.as_deref());
        by_tls && named.is_some_and(|(host, name)| host.eq_ignore_ascii_case(name))
    }

    fn count(&self, status: StatusCode) {
        let [ok, elsewhere, refused, failed] = &self.requests;
        match status.as_u16() / 100 {
            2 => ok.add(1),
            3 => elsewhere.add(1),
            4 => refused.add(1),
            _ => failed.add(1),
        }
    }
}

/// The middleware around every route.
pub(crate) async fn stand(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (body, rest) = linger::lend(body);
    let mut request = Request::from_parts(parts, body);
    let console = is_console(request.uri().path());
    let reading = *request.method() == Method::GET;
    let keeps_to_tls = guard.keeps_to_tls(&request);
    let mut response = match guard.pass(&mut request).await {
        Ok(()) => next.run(std::mem::take(&mut request)).await,
        Err(problem) if console && reading && problem.status == StatusCode::UNAUTHORIZED => {
            Redirect::to("/login").into_response()
        }
        Err(problem) => problem.into_response(),
    };
    drop(request);
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = rest.behind(worded(response, console));
    }
    guard.count(status);
    harden(response.headers_mut());
    if keeps_to_tls {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
    response
}

/// Gives every refusal a sentence: as a page in the console, as problem details elsewhere.
fn worded(response: Response, console: bool) -> Response {
    let problem = response.extensions().get::<Problem>().cloned();
    let is_page = text(response.headers(), header::CONTENT_TYPE)
        .is_some_and(|kind| kind.starts_with("text/html") || kind.starts_with("application/json"));
    match problem {
        Some(problem) if console => error_page(&problem),
        Some(_) => response,
        None if is_page => response,
        None => {
            let problem = Problem::of_status(response.status());
            let allow = response.headers().get(header::ALLOW).cloned();
            let mut worded = if console { error_page(&problem) } else { problem.into_response() };
            if let Some(allow) = allow {
                worded.headers_mut().insert(header::ALLOW, allow);
            }
            worded
        }
    }
}

fn is_console(path: &str) -> bool {
    !path.starts_with("/api/") && (path == "/login" || !OPEN.contains(&path))
}

fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
             object-src 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Host must be the listen address, `localhost` or the configured name, with any port: a port behind a
/// tunnel or a proxy is another one, and a rebound name never gets this far.
fn check_host(request: &Request, listener: SocketAddr, name: Option<&str>) -> Result<(), Problem> {
    let mut given = request.headers().get_all(header::HOST).iter();
    let host = given.next().and_then(|value| value.to_str().ok());
    let known = |authority: &str| {
        let host = host_of(authority);
        let own = match listener.ip() {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        };
        host.is_some_and(|host| {
            host == own
                || host.eq_ignore_ascii_case("localhost")
                || name.is_some_and(|name| host.eq_ignore_ascii_case(name))
        })
    };
    let fits = given.next().is_none()
        && host.is_some_and(known)
        && request.uri().authority().is_none_or(|authority| known(authority.as_str()));
    if fits {
        return Ok(());
    }
    Err(Problem::forbidden(
        "this gateway is not known by the name in Host; use its listen address or localhost, \
         or set `name` in [http]",
    ))
}

/// The host in `host`, `host:port`, `[v6]` or `[v6]:port`; `None` if it is none of these.
fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => bracket.checked_add(1)?,
        Some(_) => return None,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(end)?;
    let port_fits = match rest.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok(),
        None => rest.is_empty(),
    };
    (port_fits && !host.is_empty()).then_some(host)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Absent,
    Same,
}

/// Origin, if there is one, must be the very site that Host names. Without TLS of ours it may have that of a proxy.
fn check_origin(headers: &HeaderMap, channel: Channel) -> Result<Origin, Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(Origin::Absent);
    };
    let host = text(headers, header::HOST).unwrap_or("");
    let authority = origin.to_str().ok().and_then(|origin| {
        let plain = origin.strip_prefix("http://").filter(|_| channel == Channel::Plain);
        plain.or_else(|| origin.strip_prefix("https://"))
    });
    if authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        return Ok(Origin::Same);
    }
    Err(Problem::forbidden(
        "the request comes from a page of another site; open the console of this gateway itself",
    ))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
pub(super) mod tests;
