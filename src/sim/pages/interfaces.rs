//! The portals of interfaces: JSON with background packing, and the share links of Ambra.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Form, Json, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::forms::{archive, passed_on};
use super::{SHARE, Shared, Twist};

const SESSION: &str = "session-5e6f";

pub(super) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/api/session", post(session))
        .route("/api/packages", post(package))
        .route("/api/packages/{id}", get(state))
        .route("/api/packages/{id}/files/{file}", get(file))
        .route("/api/v3/link/session", post(link_session))
        .route("/api/v3/study/list", post(studies))
        .route("/api/v3/storage/study/{namespace}/{uid}/download", get(study))
        .with_state(shared)
}

fn odd(shared: &Shared) -> Option<Response> {
    Some(match shared.twist() {
        Twist::Locked => StatusCode::LOCKED.into_response(),
        Twist::Expired => (StatusCode::GONE, Json(json!({ "error": "expired" }))).into_response(),
        Twist::Changed => Json(json!({ "token": "moved" })).into_response(),
        Twist::LoginPage => "<html><body><input type=password></body></html>".into_response(),
        Twist::Down => StatusCode::BAD_GATEWAY.into_response(),
        _ => return None,
    })
}

async fn session(State(shared): State<Shared>, Json(told): Json<Value>) -> Response {
    if let Some(answer) = passed_on(&shared).or_else(|| odd(&shared)) {
        return answer;
    }
    let says = |key: &str, value: &str| told.get(key).and_then(Value::as_str) == Some(value);
    if shared.login(says("share", SHARE) && says("birthDate", &shared.config().birth_date)) {
        return Json(json!({ "session": SESSION })).into_response();
    }
    StatusCode::UNAUTHORIZED.into_response()
}

fn is_known(headers: &HeaderMap) -> bool {
    let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    told == Some(&format!("Bearer {SESSION}"))
}

async fn package(headers: HeaderMap) -> Response {
    if !is_known(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    (StatusCode::ACCEPTED, Json(json!({ "id": 7 }))).into_response()
}

async fn state(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !is_known(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut book = shared.book();
    book.polls = book.polls.saturating_add(1);
    let polls = book.polls;
    drop(book);
    if shared.twist() == Twist::Failed {
        return Json(json!({ "state": "failed" })).into_response();
    }
    if polls < shared.config().packing {
        return Json(json!({ "state": "packing" })).into_response();
    }
    Json(json!({ "state": "ready", "files": [{ "id": "a/b c", "name": "CT Abdomen" }] }))
        .into_response()
}

async fn file(
    State(shared): State<Shared>,
    Path((_, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match is_known(&headers) && file == "a/b c" {
        true => archive(&shared),
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

// --- Ambra

fn refused(kind: &str) -> Response {
    let body = Json(json!({ "status": "ERROR", "error_type": kind }));
    (StatusCode::PRECONDITION_FAILED, body).into_response()
}

async fn link_session(
    State(shared): State<Shared>,
    Form(fields): Form<HashMap<String, String>>,
) -> Response {
    if let Some(answer) = passed_on(&shared) {
        return answer;
    }
    match shared.twist() {
        Twist::Locked => return refused("PIN_LOCKOUT"),
        Twist::Expired => return refused("EXPIRED"),
        Twist::Changed => return Json(json!({ "status": "OK" })).into_response(),
        Twist::LoginPage => {
            return "<html><body><input type=password></body></html>".into_response();
        }
        Twist::Failed => return refused("CHARGE_REQUIRED"),
        _ => {}
    }
    let birth_date = shared.config().birth_date.replace('-', "");
    match shared.login(fields.get("password") == Some(&birth_date)) {
        true => Json(json!({ "status": "OK", "sid": SESSION })).into_response(),
        false => refused("INVALID_CREDENTIALS"),
    }
}

async fn studies(Form(fields): Form<HashMap<String, String>>) -> Response {
    if fields.get("sid").map(String::as_str) != Some(SESSION) {
        return refused("INVALID_SID");
    }
    let study = json!({ "storage_namespace": "ns-1", "study_uid": "1.2.3" });
    Json(json!({ "status": "OK", "studies": [study] })).into_response()
}

async fn study(
    State(shared): State<Shared>,
    Path((namespace, uid)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let says = |key: &str, value: &str| query.get(key).map(String::as_str) == Some(value);
    let right = says("sid", SESSION) && says("bundle", "dicom");
    match right && (namespace.as_str(), uid.as_str()) == ("ns-1", "1.2.3") {
        true => archive(&shared),
        false => refused("NOT_FOUND"),
    }
}
