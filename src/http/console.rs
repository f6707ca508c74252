//! The console: plain pages for the import desk, and the forms on them.
//!
//! Everything works without script; the one script only brings pages up to date. Forms answer with 303, so
//! that a reload never acts twice.

mod compare;
mod pages;
mod patients;
mod together;
mod ways;

use askama::Template;
use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

use super::Rooms;
use super::api::{self, Filter};
use super::guard::{Peer, text};
use super::problem::Problem;
use super::request::{DecisionRequest, Fields, ImportRequest, PatientsRequest, small_body};
use super::view::Detail;
use crate::import::{Actor, ImportId};
use crate::pipeline::{Choice, Seen};

pub(super) fn routes() -> Router<Rooms> {
    Router::new()
        .route("/", get(start))
        .route("/login", get(login).post(log_in))
        .route("/logout", post(log_out))
        .route("/assets/{name}", get(asset))
        .route("/imports", post(create))
        .route("/imports/upload", post(upload))
        .route("/imports/{id}", get(show))
        .route("/imports/{id}/answers", post(answer))
        .route("/imports/{id}/choices", post(choose))
        .route("/imports/{id}/retry", post(retry))
        .route("/imports/{id}/cancel", post(cancel))
        .route("/imports/{id}/erase", post(erase))
        .route("/imports/{id}/studies/{study}/decision", post(decide))
        .route("/imports/{id}/studies/{study}/patients", post(patients))
}

async fn start(
    State(rooms): State<Rooms>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(filter) = filter
        .map_err(|_| Problem::malformed("the list takes the parameters state, q and page"))?;
    let listed = api::page_of(&rooms.pipeline, &filter)?;
    let destinations = rooms.pipeline.destinations();
    let now = rooms.guard.clock.now();
    let mut shown = pages::Start::new(&listed, &filter, &destinations, now);
    shown.archives = rooms.pipeline.archives().iter().map(pages::Archive::new).collect();
    Ok(page(StatusCode::OK, &shown))
}

async fn show(State(rooms): State<Rooms>, Path(id): Path<String>) -> Result<Response, Problem> {
    let view = api::find(&rooms.pipeline, api::import_id(&id)?, Detail::Full)?;
    let mut shown = pages::ImportPage::new(view, &rooms.zone);
    shown.has_index = rooms.pipeline.has_patient_index();
    Ok(page(StatusCode::OK, &shown))
}

async fn create(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    body: Body,
) -> Result<Response, Problem> {
    let fields = Fields::parse(&small_body(body).await?);
    let wanted = ImportRequest::from_form(&fields);
    let wanted = wanted.with_link(|text| rooms.pipeline.link(text))?;
    Ok(to_import(rooms.pipeline.admit(wanted, actor).await?))
}

async fn upload(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<Response, Problem> {
    Ok(to_import(rooms.uploads.multipart(request, actor).await?))
}

async fn answer(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let id = api::import_id(&id)?;
    let fields = Fields::parse(&small_body(body).await?);
    api::answer_with(&rooms.pipeline, id, fields.answers(), actor).await?;
    Ok(to_import(id))
}

async fn choose(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let id = api::import_id(&id)?;
    let chosen = Fields::parse(&small_body(body).await?).chosen();
    let chosen = chosen.ok_or_else(|| {
        Problem::invalid("nothing is ticked: take at least one entry, or cancel the import")
    })?;
    rooms.pipeline.choose(id, chosen.checked()?, actor).await?;
    Ok(to_import(id))
}

async fn decide(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path((id, study)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let id = api::import_id(&id)?;
    let study = api::study_of(&rooms.pipeline, id, &study)?;
    let fields = Fields::parse(&small_body(body).await?);
    let (choice, reason) = DecisionRequest::from_form(&fields).checked()?;
    if let Choice::NoOrder { patient, seen: Seen::Once } = &choice {
        let view = api::find(&rooms.pipeline, id, Detail::Full)?;
        let look = rooms.pipeline.look(id, &study, patient).await?;
        let shown = patients::Look::new(&view, study.as_str(), patient, &look, reason);
        return Ok(page(StatusCode::OK, &shown));
    }
    rooms.pipeline.decide(id, study, choice, reason, actor).await?;
    Ok(to_import(id))
}

async fn patients(
    State(rooms): State<Rooms>,
    Path((id, study)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let id = api::import_id(&id)?;
    let study = api::study_of(&rooms.pipeline, id, &study)?;
    let fields = Fields::parse(&small_body(body).await?);
    let wanted = PatientsRequest::from_form(&fields).checked()?;
    let found = rooms.pipeline.patients(&wanted).await.map_err(api::away)?;
    let view = api::find(&rooms.pipeline, id, Detail::Full)?;
    let shown = patients::Patients::new(&view, study.as_str(), &found);
    Ok(page(StatusCode::OK, &shown))
}

async fn retry(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = api::import_id(&id)?;
    rooms.pipeline.retry(id, actor).await?;
    Ok(to_import(id))
}

async fn cancel(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = api::import_id(&id)?;
    rooms.pipeline.cancel(id, actor).await?;
    Ok(to_import(id))
}

async fn erase(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let id = api::import_id(&id)?;
    let fields = Fields::parse(&small_body(body).await?);
    if fields.get("confirm") != Some("yes") {
        return Err(Problem::invalid(
            "nothing was erased: tick the box that says you want this, then press erase again",
        ));
    }
    rooms.pipeline.erase(id, actor).await?;
    Ok(Redirect::to("/").into_response())
}

async fn login() -> Response {
    page(StatusCode::OK, &pages::Login { fault: None })
}

async fn log_in(
    State(rooms): State<Rooms>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Response, Problem> {
    let body = small_body(body).await?;
    let fields = Fields::parse(&body);
    let token = fields.get("token").unwrap_or("");
    if let Err(problem) = rooms.guard.check_token(token).await {
        let fault = Some(super::view::sentence(&problem.detail));
        return Ok(page(problem.status, &pages::Login { fault }));
    }
    let cookie = rooms.guard.sessions.begin(rooms.guard.clock.now(), peer.channel()).ok();
    let cookie = cookie.and_then(|cookie| HeaderValue::try_from(cookie.as_str()).ok());
    let Some(mut cookie) = cookie else {
        return Err(Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR));
    };
    cookie.set_sensitive(true);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

async fn log_out(
    State(rooms): State<Rooms>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let cookies = text(&headers, header::COOKIE).unwrap_or("");
    let cookie = rooms.guard.sessions.end(cookies, peer.channel());
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

async fn asset(Path(name): Path<String>) -> Response {
    let (kind, body) = match name.as_str() {
        "console.css" => ("text/css; charset=utf-8", include_str!("assets/console.css")),
        "live.js" => ("text/javascript; charset=utf-8", include_str!("assets/live.js")),
        "mark.svg" => ("image/svg+xml", include_str!("assets/mark.svg")),
        _ => return Problem::of_status(StatusCode::NOT_FOUND).into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// A refusal as a page with the way back.
pub(super) fn error_page(problem: &Problem) -> Response {
    let title = problem.status.canonical_reason().unwrap_or("Refused");
    let detail = super::view::sentence(&problem.detail);
    page(problem.status, &pages::ErrorPage { title, detail })
}

fn to_import(id: ImportId) -> Response {
    Redirect::to(&format!("/imports/{id}")).into_response()
}

/// Foreign text must not turn round what is read, such as a name: direction marks are shown, not obeyed.
fn visible(html: String) -> String {
    let turns = |c: char| matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if html.contains(turns) { html.replace(turns, "\u{fffd}") } else { html }
}

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(visible(html))).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
