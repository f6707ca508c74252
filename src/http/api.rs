//! The routes of `/api/v1` and the open addresses, as the contract has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, body::Body};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::request::{
    self, AnswersRequest, DecisionRequest, ImportRequest, PatientsRequest, item_ids,
};
use super::view::{self, Detail, ImportView};
use super::{Rooms, destinations, events, monitor};
use crate::clock::Moment;
use crate::dicom::Uid;
use crate::import::{Actor, Import, ImportId, State as ImportState, Tombstone};
use crate::pipeline::{Pipeline, Refusal};

/// Imports of one page of a list.
pub(super) const PAGE: usize = 50;
/// A name or a number is shorter.
const QUERY_LENGTH: usize = 128;
const OPENAPI: &str = include_str!("openapi.json");

/// Method, path and route of everything but the console; the OpenAPI document has the same.
pub(super) fn routes() -> Vec<(&'static str, &'static str, MethodRouter<Rooms>)> {
    const IMPORTS: &str = "/api/v1/imports";
    const IMPORT: &str = "/api/v1/imports/{id}";
    vec![
        ("get", "/healthz", get(monitor::alive)),
        ("get", "/readyz", get(monitor::ready)),
        ("get", "/status", get(monitor::status)),
        ("get", "/metrics", get(monitor::metrics)),
        ("get", "/api/v1/openapi.json", get(openapi)),
        ("get", "/api/v1/worklist", get(worklist)),
        ("post", "/api/v1/patients", post(patients)),
        ("get", IMPORTS, get(list)),
        ("post", IMPORTS, post(create)),
        ("get", IMPORT, get(show)),
        ("delete", IMPORT, axum::routing::delete(erase)),
        ("get", "/api/v1/imports/{id}/events", get(events::stream)),
        ("post", "/api/v1/imports/{id}/answers", post(answer)),
        ("post", "/api/v1/imports/{id}/retry", post(retry)),
        ("post", "/api/v1/imports/{id}/cancel", post(cancel)),
        ("post", "/api/v1/imports/{id}/studies/{studyInstanceUid}/decision", post(decide)),
        ("post", "/api/v1/destinations/{name}/pause", post(destinations::pause)),
        ("post", "/api/v1/destinations/{name}/resume", post(destinations::resume)),
        ("get", "/api/v1/imports/{id}/studies/{studyInstanceUid}/changes", get(changes)),
    ]
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// A link as JSON, a file as multipart/form-data or as the body.
async fn create(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = request::media_type(request.headers()).unwrap_or_default();
    let id = match kind.as_str() {
        "application/json" => {
            let (parts, body) = request.into_parts();
            let wanted: ImportRequest = request::json(&parts.headers, body).await?;
            rooms.pipeline.admit(wanted.with_link(|text| rooms.pipeline.link(text))?, actor).await?
        }
        "multipart/form-data" => rooms.uploads.multipart(request, actor).await?,
        "application/zip" | "application/x-zip-compressed" => {
            rooms.uploads.bare("upload.zip", request.into_body(), actor).await?
        }
        "application/octet-stream" => {
            rooms.uploads.bare("upload", request.into_body(), actor).await?
        }
        // The code of a release sheet is a link.
        "image/jpeg" | "image/png" | "image/tiff" | "application/pdf" => {
            rooms.uploads.bare("sheet", request.into_body(), actor).await?
        }
        "application/dicom" => rooms.uploads.bare("upload.dcm", request.into_body(), actor).await?,
        _ => return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    };
    let location = HeaderValue::try_from(format!("/api/v1/imports/{id}"))
        .map_err(|_| Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR))?;
    // It may have been erased already; then its number is all there is to tell.
    let body = match rooms.pipeline.import(id) {
        Some(import) => Json(view_of(&rooms.pipeline, &import, Detail::Full)).into_response(),
        None => Json(serde_json::json!({ "id": id.to_string() })).into_response(),
    };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], body).into_response())
}

/// `?state=&q=&page=` of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    pub(super) state: Option<String>,
    pub(super) q: Option<String>,
    /// From 1.
    pub(super) page: Option<String>,
}

/// One page of a list, newest first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    pub(super) imports: Vec<ImportView>,
    pub(super) page: usize,
    pub(super) page_size: usize,
    pub(super) total: usize,
}

async fn list(
    State(rooms): State<Rooms>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Listed>, Problem> {
    let Query(filter) =
        filter.map_err(|_| Problem::malformed("a list takes the parameters state, q and page"))?;
    Ok(Json(page_of(&rooms.pipeline, &filter)?))
}

enum Entry {
    Living(Arc<Import>),
    Ended(Tombstone),
}

impl Entry {
    fn order(&self) -> (Moment, ImportId) {
        match self {
            Self::Living(import) => (import.created, import.id),
            Self::Ended(tombstone) => (tombstone.created, tombstone.id),
        }
    }
}

/// The imports that fit the filter, those that have ended included.
pub(super) fn page_of(pipeline: &Pipeline, filter: &Filter) -> Result<Listed, Problem> {
    let page = match filter.page.as_deref().filter(|page| !page.is_empty()) {
        None => 1,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|page| *page >= 1)
            .ok_or_else(|| Problem::malformed("page is a number from 1"))?,
    };
    let query = view::plain(filter.q.as_deref().unwrap_or(""));
    if query.len() > QUERY_LENGTH {
        return Err(Problem::malformed("q is at most 128 bytes; look for a part of it"));
    }
    let state = filter.state.as_deref().filter(|state| !state.is_empty());
    let living = pipeline
        .imports()
        .into_iter()
        .filter(|import| state.is_none_or(|state| is_in_state(import, state)))
        .filter(|import| query.is_empty() || view::is_found(import, &query))
        .map(Entry::Living);
    let ended = pipeline
        .tombstones()
        .into_iter()
        .filter(|tombstone| {
            let view = view::of_tombstone(tombstone);
            state.is_none_or(|state| view.state.eq_ignore_ascii_case(state))
                && (view.id.contains(&query) || view::plain(&view.source).contains(&query))
        })
        .map(Entry::Ended);
    let mut entries: Vec<Entry> = living.chain(ended).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.order()));
    let imports = entries
        .iter()
        .skip((page - 1).saturating_mul(PAGE))
        .take(PAGE)
        .map(|entry| match entry {
            Entry::Living(import) => view_of(pipeline, import, Detail::Brief),
            Entry::Ended(tombstone) => view::of_tombstone(tombstone),
        })
        .collect();
    Ok(Listed { imports, page, page_size: PAGE, total: entries.len() })
}

/// The state of the import, or of one of its studies.
fn is_in_state(import: &Import, state: &str) -> bool {
    view::import_state(&import.state).eq_ignore_ascii_case(state)
        || import
            .studies
            .iter()
            .any(|study| view::study_state(&study.state).eq_ignore_ascii_case(state))
}

pub(super) fn view_of(pipeline: &Pipeline, import: &Import, detail: Detail) -> ImportView {
    view::of_import(import, pipeline.progress(import.id), detail)
}

/// The import of this number, living or ended.
pub(super) fn find(
    pipeline: &Pipeline,
    id: ImportId,
    detail: Detail,
) -> Result<ImportView, Problem> {
    if let Some(import) = pipeline.import(id) {
        return Ok(view_of(pipeline, &import, detail));
    }
    pipeline
        .tombstones()
        .iter()
        .find(|tombstone| tombstone.id == id)
        .map(view::of_tombstone)
        .ok_or_else(Problem::no_such_import)
}

async fn show(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
) -> Result<Json<ImportView>, Problem> {
    Ok(Json(find(&rooms.pipeline, import_id(&id)?, Detail::Full)?))
}

async fn answer(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = import_id(&id)?;
    let given: AnswersRequest = request::json(&headers, body).await?;
    match (given.answers, given.choices) {
        (Some(answers), None) => answer_with(&rooms.pipeline, id, answers, actor).await?,
        (None, Some(choices)) => rooms.pipeline.choose(id, choices.checked()?, actor).await?,
        _ => {
            return Err(Problem::malformed(
                "send `answers` to questions, or `choices` among what the portal lists",
            ));
        }
    }
    Ok(accepted(&rooms, id))
}

/// Answers are checked against the questions that stand; if none do, the pipeline says why not.
pub(super) async fn answer_with(
    pipeline: &Pipeline,
    id: ImportId,
    given: BTreeMap<String, String>,
    actor: Actor,
) -> Result<(), Problem> {
    let import = pipeline.import(id).ok_or_else(Problem::no_such_import)?;
    let answers = match &import.state {
        ImportState::Asking { questions, .. } => request::answers_to(questions, given)?,
        ImportState::Requested { .. }
        | ImportState::Choosing { .. }
        | ImportState::Preparing { .. }
        | ImportState::Downloading { .. }
        | ImportState::Receiving { .. }
        | ImportState::Received { .. }
        | ImportState::Unpacked
        | ImportState::Closed { .. }
        | ImportState::Failed { .. }
        | ImportState::Cancelled { .. } => request::answers(given)?,
    };
    Ok(pipeline.answer(id, answers, actor).await?)
}

async fn retry(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = import_id(&id)?;
    rooms.pipeline.retry(id, actor).await?;
    Ok(accepted(&rooms, id))
}

async fn cancel(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = import_id(&id)?;
    rooms.pipeline.cancel(id, actor).await?;
    Ok(accepted(&rooms, id))
}

async fn erase(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    rooms.pipeline.erase(import_id(&id)?, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn decide(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path((id, study)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = import_id(&id)?;
    let study = study_of(&rooms.pipeline, id, &study)?;
    let decision: DecisionRequest = request::json(&headers, body).await?;
    let (choice, reason) = decision.checked()?;
    rooms.pipeline.decide(id, study, choice, reason, actor).await?;
    Ok(accepted(&rooms, id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangesQuery {
    /// One item, or several with commas between.
    item: Option<String>,
}

/// Every attribute that changes, before and after; for a study that waits for a person, before they decide.
async fn changes(
    State(rooms): State<Rooms>,
    Path((id, study)): Path<(String, String)>,
    query: Result<Query<ChangesQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("changes take the parameter item"))?;
    let id = import_id(&id)?;
    let study = study_of(&rooms.pipeline, id, &study)?;
    let items = match &query.item {
        Some(items) => item_ids(&items.split(',').map(str::to_owned).collect::<Vec<_>>())?,
        None => vec![],
    };
    let changes = rooms.pipeline.compared(id, &study, &items).await?;
    Ok(Json(serde_json::json!({ "changes": changes })).into_response())
}

/// The import as it is after an action that goes on.
fn accepted(rooms: &Rooms, id: ImportId) -> Response {
    match find(&rooms.pipeline, id, Detail::Full) {
        Ok(view) => Json(view).into_response(),
        Err(problem) => problem.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorklistQuery {
    date: Option<String>,
    name: Option<String>,
}

async fn worklist(
    State(rooms): State<Rooms>,
    query: Result<Query<WorklistQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) =
        query.map_err(|_| Problem::malformed("the worklist takes the parameters date and name"))?;
    let date = match query.date.as_deref().filter(|date| !date.is_empty()) {
        None => None,
        Some(text) => Some(
            crate::dicom::patient::parse_date(text)
                .ok_or_else(|| Problem::malformed("date is a day, written as YYYY-MM-DD"))?
                .strftime("%Y%m%d")
                .to_string(),
        ),
    };
    let name = query.name.filter(|name| !name.trim().is_empty());
    if name.as_ref().is_some_and(|name| name.len() > QUERY_LENGTH) {
        return Err(Problem::malformed("name is at most 128 bytes"));
    }
    let asked = rooms.pipeline.worklist(date, name).await;
    let (items, notes) = asked.map_err(away)?;
    let items: Vec<_> = items.iter().map(view::ItemView::from).collect();
    Ok(Json(serde_json::json!({ "items": items, "notes": notes })).into_response())
}

/// Asks the patient index; in the body, since names do not belong into addresses.
async fn patients(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: PatientsRequest = request::json(&headers, body).await?;
    let found = rooms.pipeline.patients(&wanted.checked()?).await.map_err(away)?;
    let patients: Vec<_> = found.patients.iter().map(view::PatientView::from).collect();
    let body = serde_json::json!({ "patients": patients, "complete": !found.is_cut });
    Ok(Json(body).into_response())
}

/// Nothing is wrong with the request if a system behind us is away.
pub(super) fn away(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotNow(why) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, why),
        Refusal::Unknown
        | Refusal::Invalid(_)
        | Refusal::Full(_)
        | Refusal::Unkept(_)
        | Refusal::Stopping => refusal.into(),
    }
}

pub(super) fn import_id(text: &str) -> Result<ImportId, Problem> {
    text.parse().map_err(|_| Problem::no_such_import())
}

/// The study of this import that an address names.
pub(super) fn study_of(pipeline: &Pipeline, id: ImportId, text: &str) -> Result<Uid, Problem> {
    let import = pipeline.import(id).ok_or_else(Problem::no_such_import)?;
    named_study(&import, text)
}

fn named_study(import: &Import, text: &str) -> Result<Uid, Problem> {
    let study = import.studies.iter().find(|study| study.uid.as_str() == text);
    study.map(|study| study.uid.clone()).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "there is no such study in this import; show the import to see its studies",
        )
    })
}

#[cfg(test)]
mod tests;
