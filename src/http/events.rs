//! Server-sent events of one import: its state at first, then each change, until nothing can change any more.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::view::{Detail, ImportView};
use super::{Rooms, api};
use crate::import::{Counts, ImportId};
use crate::pipeline::{Pipeline, Progress};

/// Progress within a state is told this often.
const PACE: Duration = Duration::from_millis(500);
/// Changes of all imports wake every stream; a burst of them is one look.
const LEAST: Duration = Duration::from_millis(100);
/// Keeps proxies from cutting a quiet stream, and finds out who is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event. No patient data: who wants more reads the import.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    state: &'static str,
    progress: Progress,
    next_step: String,
    counts: Counts,
    changed: String,
    studies: Vec<ToldStudy>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldStudy {
    study_instance_uid: String,
    state: &'static str,
    counts: Counts,
}

impl Told {
    /// Whether nothing happens any more that a reader of events waits for.
    fn is_final(&self) -> bool {
        matches!(self.state, "Closed" | "Cancelled" | "Expired" | "Erased")
    }
}

impl From<ImportView> for Told {
    fn from(view: ImportView) -> Self {
        let study = |study: super::view::StudyView| ToldStudy {
            study_instance_uid: study.study_instance_uid,
            state: study.state,
            counts: study.counts,
        };
        Self {
            state: view.state,
            progress: view.progress,
            next_step: view.next_step,
            counts: view.counts,
            changed: view.changed,
            studies: view.studies.into_iter().map(study).collect(),
        }
    }
}

pub(super) async fn stream(
    State(rooms): State<Rooms>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let id = api::import_id(&id)?;
    api::find(&rooms.pipeline, id, Detail::Brief)?;
    let permit = std::sync::Arc::clone(&rooms.streams).try_acquire_owned().map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many event streams are open; close some, or ask for the import itself",
        )
    })?;
    let watch = Watch {
        changes: rooms.pipeline.changes(),
        pipeline: rooms.pipeline,
        id,
        last: String::new(),
        is_over: false,
        stop: rooms.stop,
        _permit: permit,
    };
    let told = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

struct Watch {
    changes: watch::Receiver<u64>,
    pipeline: Pipeline,
    id: ImportId,
    /// What was told last; the same is not told again.
    last: String,
    /// The end of the import was told.
    is_over: bool,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Watch {
    /// The next thing to tell; `None` when the import has come to its end or the gateway stops.
    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        loop {
            self.changes.mark_unchanged();
            let told = Told::from(api::find(&self.pipeline, self.id, Detail::Brief).ok()?);
            let json = serde_json::to_string(&told).ok()?;
            if json != self.last {
                self.last.clone_from(&json);
                self.is_over = told.is_final();
                return Some(Event::default().data(json));
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                changed = self.changes.changed() => {
                    changed.ok()?;
                    tokio::time::sleep(LEAST).await;
                }
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }
}
