//! Pausing and resuming a destination.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Rooms;
use super::problem::Problem;
use crate::import::{Actor, DestinationName};
use crate::pipeline::Paused;

pub(super) async fn pause(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set(&rooms, &name, Paused::Yes, &actor).await
}

pub(super) async fn resume(
    State(rooms): State<Rooms>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    set(&rooms, &name, Paused::No, &actor).await
}

async fn set(
    rooms: &Rooms,
    name: &str,
    paused: Paused,
    actor: &Actor,
) -> Result<Response, Problem> {
    rooms.pipeline.pause(&DestinationName(name.to_owned()), paused, actor).await?;
    let body = json!({"destination": name, "paused": paused == Paused::Yes});
    Ok(axum::Json(body).into_response())
}
