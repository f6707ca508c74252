//! The calls of the portal.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::body::Part;
use super::document::{self, Known};
use super::{AtLink, Content, Cut, Faults, Inner, Ranges, RetryAfter, Shared, Version, body};
use crate::clock::Clock;

pub(super) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/portal", get(link))
        .nest("/portal/dlx/v1", calls())
        .nest("/portal/dlx/v2", calls())
        // Version 0.9 had no version in its paths.
        .nest("/portal/dlx", calls())
        .with_state(shared)
}

fn calls() -> Router<Shared> {
    Router::new()
        .route("/api_info", get(api_info))
        .route("/token/{value}", get(token))
        .route("/tokentfa/{value}", post(login))
        .route("/list", get(list))
        .route("/download/{id}", get(download))
        .route("/downloadall", get(download_all))
}

/// What an ordinary browser gets.
fn page() -> Response {
    Html(
        "<!DOCTYPE html><html><head><title>Portal</title></head><body>Please log in.</body></html>",
    )
    .into_response()
}

#[derive(serde::Deserialize)]
struct LinkQuery {
    token: Option<String>,
}

async fn link(
    State(shared): State<Shared>,
    Query(query): Query<LinkQuery>,
    headers: HeaderMap,
) -> Response {
    let value = query.token.unwrap_or_default();
    questions(&shared, &value, &headers, Door::Link)
}

async fn token(
    State(shared): State<Shared>,
    Path(value): Path<String>,
    headers: HeaderMap,
) -> Response {
    questions(&shared, &value, &headers, Door::Interface)
}

/// Which of the two ways to the questions was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Link,
    Interface,
}

fn questions(shared: &Shared, value: &str, headers: &HeaderMap, door: Door) -> Response {
    let mut inner = shared.lock();
    inner.counts.links = inner.counts.links.saturating_add(1);
    let fault = inner.config.faults.link.clone();
    match fault {
        AtLink::Forward if door == Door::Link => {
            let base = if inner.config.faults.version == Version::Zero9 { "dlx" } else { "dlx/v1" };
            return Redirect::temporary(&format!("/portal/{base}/token/{value}")).into_response();
        }
        AtLink::Questions | AtLink::Forward => {}
        AtLink::Page => return page(),
        AtLink::Redirect(to) => return Redirect::to(&to).into_response(),
        AtLink::Loop => return Redirect::to(&format!("/portal?token={value}")).into_response(),
        AtLink::Status(status) => return comeback(&inner.config.faults, status),
        AtLink::Raw(bytes) => return bytes.into_response(),
        AtLink::Endless => {
            return ([(header::CONTENT_TYPE, "application/json")], body::endless()).into_response();
        }
    }
    let old = inner.config.faults.version == Version::Zero9;
    let header = if old { "x-dlx-api" } else { "x-dicom-link-exchange" };
    if headers.get(header).is_none_or(HeaderValue::is_empty) {
        return page();
    }
    let known = if knows(&inner, value) { Known::Yes } else { Known::No };
    if old && known == Known::No {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(document::questions(&inner.config, &shared.origin(), known)).into_response()
}

fn knows(inner: &Inner, value: &str) -> bool {
    inner.config.token.eq_ignore_ascii_case(value)
}

async fn api_info(State(shared): State<Shared>) -> Response {
    let base = format!("{}/portal/dlx/v1", shared.origin());
    Json(json!({ "dlxVersion": "v1", "apiBasePath": base })).into_response()
}

async fn login(
    State(shared): State<Shared>,
    Path(value): Path<String>,
    Json(document): Json<Value>,
) -> Response {
    let mut inner = shared.lock();
    inner.counts.logins = inner.counts.logins.saturating_add(1);
    let right = knows(&inner, &value) && answers_right(&inner, &document);
    inner.posted = Some(document);
    let faults = inner.config.faults.clone();
    if let Some(status) = faults.login_status {
        return comeback(&faults, status);
    }
    if faults.login_cut {
        return ([(header::CONTENT_LENGTH, "200")], body::broken()).into_response();
    }
    if !right {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if faults.expired {
        return StatusCode::FORBIDDEN.into_response();
    }
    inner.session = Some(faults.session_requests.unwrap_or(u32::MAX));
    inner.issued = faults.token_without_iat.then(now);
    let text = document::session_token(&bearer(&inner), faults.token_form);
    let kind = if faults.wrong_media_types { "text/html" } else { "application/jwt" };
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::DATE, http_date(0))], text).into_response()
}

fn answers_right(inner: &Inner, document: &Value) -> bool {
    let given = document.get("tfaAnswer").and_then(Value::as_array).cloned().unwrap_or_default();
    inner.config.questions.iter().all(|asked| {
        given.iter().any(|answer| {
            let field = |name| answer.get(name).and_then(Value::as_str).unwrap_or("");
            field("questionId") == asked.id && field("answer").eq_ignore_ascii_case(&asked.answer)
        })
    })
}

/// The session token: its number makes that of an older session wrong.
fn bearer(inner: &Inner) -> String {
    let number = inner.counts.logins;
    let Some(lifetime) = inner.config.faults.token_lifetime else {
        return format!("eyJhbGciOiJIUzI1NiJ9.e30.session-{number}");
    };
    // A clock that is years off: only the difference counts.
    let issued = if inner.config.faults.token_without_iat { now() } else { 1_000_000_000 };
    let mut claims = json!({ "exp": inner.issued.unwrap_or(issued).saturating_add(lifetime) });
    if let (Some(fields), false) = (claims.as_object_mut(), inner.config.faults.token_without_iat) {
        fields.insert("iat".to_owned(), json!(issued));
    }
    format!("eyJhbGciOiJIUzI1NiJ9.{}.session-{number}", document::base64_url(&claims.to_string()))
}

/// Seconds since 1970.
fn now() -> i64 {
    Clock::system(None).now().wall_ms / 1000
}

/// The time in so many seconds, as headers have it.
fn http_date(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(now().saturating_add(seconds)).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Takes one request off the session; `Some` is the refusal.
fn unauthorised(inner: &mut Inner, headers: &HeaderMap) -> Option<Response> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let known = given == Some(&format!("Bearer {}", bearer(inner)));
    match inner.session {
        Some(left) if known && left > 0 => {
            inner.session = Some(left.saturating_sub(1));
            None
        }
        _ if inner.config.faults.empty_when_ended => Some(StatusCode::OK.into_response()),
        _ => Some(StatusCode::UNAUTHORIZED.into_response()),
    }
}

async fn list(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let mut inner = shared.lock();
    inner.counts.lists = inner.counts.lists.saturating_add(1);
    if let Some(refusal) = unauthorised(&mut inner, &headers) {
        return refusal;
    }
    if inner.config.faults.no_list {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(document::list(&inner.config)).into_response()
}

async fn download(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = {
        let mut inner = shared.lock();
        inner.counts.downloads = inner.counts.downloads.saturating_add(1);
        if let Some(refusal) = unauthorised(&mut inner, &headers) {
            return refusal;
        }
        let item = inner.config.items.iter().find(|item| item.id == id).cloned();
        item.map(|item| (item.content, item.mime, format!("{}.bin", item.description)))
    };
    match found {
        Some((content, mime, name)) if !shared.lock().config.faults.unknown_items => {
            give(&shared, content, &mime, &name, &headers).await
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn download_all(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let all = {
        let mut inner = shared.lock();
        inner.counts.download_alls = inner.counts.download_alls.saturating_add(1);
        if let Some(refusal) = unauthorised(&mut inner, &headers) {
            return refusal;
        }
        if inner.config.faults.no_download_all {
            return StatusCode::NOT_FOUND.into_response();
        }
        inner.config.all.clone()
    };
    give(&shared, all, "application/zip", "all.zip", &headers).await
}

/// Hands a file out, unless the faults want something else.
async fn give(
    shared: &Shared,
    content: Content,
    mime: &str,
    name: &str,
    headers: &HeaderMap,
) -> Response {
    let faults = shared.lock().config.faults.clone();
    if let Some(left) = faults.preparing.checked_sub(1) {
        shared.lock().config.faults.preparing = left;
        return comeback(&faults, 503);
    }
    if faults.login_page {
        return page();
    }
    let cut = match faults.cut_times {
        None => faults.cut,
        Some(times) => match times.checked_sub(1) {
            Some(left) => {
                shared.lock().config.faults.cut_times = Some(left);
                faults.cut
            }
            None => Cut::Never,
        },
    };
    let whole = match &content {
        Content::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(0),
        Content::File(path) => tokio::fs::metadata(path).await.map_or(0, |file| file.len()),
    };
    let first = wanted_from(&faults, headers).filter(|first| *first < whole);
    let from = first.unwrap_or(0);
    let half = from.saturating_add(whole.saturating_sub(from) / 2);
    let part = match cut {
        Cut::Never => Part { from, length: whole, breaks_at: None },
        Cut::Connection => Part { from, length: whole, breaks_at: Some(half) },
        Cut::Silently => Part { from, length: half, breaks_at: None },
    };
    let Ok(sent) = body::send(content, part, faults.slow).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mime = if faults.wrong_media_types { "application/octet-stream" } else { mime };
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, mime)
        .header(header::CONTENT_LENGTH, sent.length)
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    if first.is_some() {
        let told = if faults.ranges == Ranges::Lying { from.saturating_sub(1) } else { from };
        let range = format!("bytes {told}-{}/{whole}", whole.saturating_sub(1));
        response =
            response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
    }
    if faults.ranges != Ranges::Never {
        response = response.header(header::ACCEPT_RANGES, "bytes");
        response = match faults.ranges {
            Ranges::ByDate => response
                .header(header::LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT")
                .header(header::DATE, http_date(0)),
            _ => response.header(header::ETAG, TAG),
        };
    }
    if let Some(encoding) = faults.content_encoding {
        response = response.header(header::CONTENT_ENCODING, encoding);
    }
    response.body(sent.body).unwrap_or_else(|_| Body::empty().into_response())
}

const TAG: &str = "\"v1\"";

/// Where the rest begins that is asked for, if it is given.
fn wanted_from(faults: &Faults, headers: &HeaderMap) -> Option<u64> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let range = text(header::RANGE)?.strip_prefix("bytes=")?.strip_suffix('-')?;
    let same = match faults.ranges {
        Ranges::Never | Ranges::Ignored | Ranges::Changed => false,
        Ranges::ByTag | Ranges::Lying => text(header::IF_RANGE) == Some(TAG),
        Ranges::ByDate => text(header::IF_RANGE).is_some_and(|date| date.ends_with("GMT")),
    };
    range.parse().ok().filter(|_| same)
}

/// A status with what the faults want beside it.
fn comeback(faults: &Faults, status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match faults.preparing_seconds {
        Some(seconds) => Json(json!({ "timeOutInSeconds": seconds })).into_response(),
        None => Response::default(),
    };
    *response.status_mut() = status;
    let wait = match faults.retry_after {
        None => return response,
        Some(RetryAfter::Seconds(seconds)) => seconds.to_string(),
        Some(RetryAfter::Date(seconds)) => http_date(i64::try_from(seconds).unwrap_or(0)),
    };
    if let (Ok(wait), Ok(date)) = (HeaderValue::try_from(wait), HeaderValue::try_from(http_date(0)))
    {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
        response.headers_mut().insert(header::DATE, date);
    }
    response
}
