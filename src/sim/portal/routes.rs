//! The calls of the portal.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::document::{self, Known};
use super::{AtLink, Content, Cut, Faults, Inner, Shared, body};

pub(super) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/portal", get(link))
        .route("/portal/dlx/v1/api_info", get(api_info))
        .route("/portal/dlx/v1/token/{value}", get(token))
        .route("/portal/dlx/v1/tokentfa/{value}", post(login))
        .route("/portal/dlx/v1/list", get(list))
        .route("/portal/dlx/v1/download/{id}", get(download))
        .route("/portal/dlx/v1/downloadall", get(download_all))
        .with_state(shared)
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
            return Redirect::temporary(&format!("/portal/dlx/v1/token/{value}")).into_response();
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
    if headers.get("x-dicom-link-exchange").is_none_or(HeaderValue::is_empty) {
        return page();
    }
    let known = if knows(&inner, value) { Known::Yes } else { Known::No };
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
    let text = document::session_token(&bearer(&inner), faults.token_form);
    let kind = if faults.wrong_media_types { "text/html" } else { "application/jwt" };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
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
    format!("eyJhbGciOiJIUzI1NiJ9.e30.session-{}", inner.counts.logins)
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
            give(&shared, content, &mime, &name).await
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
        inner.config.all.clone()
    };
    give(&shared, all, "application/zip", "all.zip").await
}

/// Hands a file out, unless the faults want something else.
async fn give(shared: &Shared, content: Content, mime: &str, name: &str) -> Response {
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
    let half = match &content {
        Content::Bytes(bytes) => u64::try_from(bytes.len() / 2).unwrap_or(0),
        Content::File(path) => tokio::fs::metadata(path).await.map_or(0, |file| file.len() / 2),
    };
    let (keep, stop_after) = match cut {
        Cut::Never => (None, None),
        Cut::Connection => (None, Some(half)),
        Cut::Silently => (Some(half), None),
    };
    let Ok(sent) = body::send(content, keep, stop_after, faults.slow).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mime = if faults.wrong_media_types { "application/octet-stream" } else { mime };
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, mime)
        .header(header::CONTENT_LENGTH, sent.length)
        .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    if let Some(encoding) = faults.content_encoding {
        response = response.header(header::CONTENT_ENCODING, encoding);
    }
    response.body(sent.body).unwrap_or_else(|_| Body::empty().into_response())
}

/// A status with what the faults want beside it.
fn comeback(faults: &Faults, status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match faults.preparing_seconds {
        Some(seconds) => Json(json!({ "timeOutInSeconds": seconds })).into_response(),
        None => Response::default(),
    };
    *response.status_mut() = status;
    if let Some(seconds) = faults.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
