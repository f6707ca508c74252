//! The open addresses: alive, ready, status, metrics. No patient data.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

use super::Rooms;
use crate::import::Counts;
use crate::metrics::{Kind, Metrics, Text};
use crate::pipeline::{DestinationHealth, Snapshot};
use crate::tls::{Ends, Expiry};
use crate::worklist::KeptHealth;

pub(super) async fn alive() -> &'static str {
    "alive\n"
}

pub(super) async fn ready(State(rooms): State<Rooms>) -> Response {
    let failing = rooms.pipeline.failing();
    if failing.is_empty() {
        return Json(json!({ "ready": true, "failing": [] })).into_response();
    }
    let body = Json(json!({ "ready": false, "failing": failing }));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

/// What `/status` tells.
#[derive(Serialize)]
pub(super) struct Told {
    #[serde(flatten)]
    snapshot: Snapshot,
    certificates: Vec<Expiry>,
}

pub(super) async fn status(State(rooms): State<Rooms>) -> Json<Told> {
    let certificates = rooms.certificates.all(rooms.pipeline.clock().now().timestamp());
    Json(Told { snapshot: rooms.pipeline.snapshot(), certificates })
}

pub(super) async fn metrics(State(rooms): State<Rooms>) -> Response {
    let mut text = exposition(&rooms.pipeline.snapshot(), &rooms.metrics);
    let now = rooms.pipeline.clock().now().timestamp();
    let ending = rooms.certificates.all(now);
    let kinds = [
        (
            Ends::Certificate,
            "lotse_certificate_remaining_seconds",
            "Until a certificate in use ends, 0 when it has.",
        ),
        (
            Ends::RevocationList,
            "lotse_revocation_list_remaining_seconds",
            "Until a revocation list in use is out of date, 0 when it is.",
        ),
    ];
    for (kind, name, help) in kinds {
        let mut of_kind = ending.iter().filter(|one| one.kind == kind).peekable();
        if of_kind.peek().is_some() {
            text.family(Kind::Gauge, name, help);
        }
        for one in of_kind {
            let labels = [("place", one.place.as_str()), ("subject", one.subject.as_str())];
            text.sample(name, &labels, one.seconds_left(now));
        }
    }
    let text = text.into_string();
    ([(header::CONTENT_TYPE, Text::MEDIA_TYPE)], text).into_response()
}

fn exposition(snapshot: &Snapshot, metrics: &Metrics) -> Text {
    use Kind::Gauge;
    let mut text = Text::default();
    text.family(Gauge, "lotse_build_info", "The running version.");
    text.sample("lotse_build_info", &[("version", snapshot.version)], 1);
    text.single(Gauge, "lotse_uptime_seconds", "Since the start.", snapshot.uptime_seconds);
    by_label(&mut text, "lotse_imports_count", "Imports by state.", "state", &snapshot.imports);
    by_label(&mut text, "lotse_studies_count", "Studies by state.", "state", &snapshot.studies);
    by_label(
        &mut text,
        "lotse_queues_count",
        "Work that waits, by stage.",
        "queue",
        &snapshot.queues,
    );
    text.family(Gauge, "lotse_instances_count", "Unique instances received, by where they are.");
    for (place, count) in places(&snapshot.counts) {
        text.sample("lotse_instances_count", &[("place", place)], count);
    }
    if let Some(age) = snapshot.oldest_unfinished_seconds {
        text.single(
            Gauge,
            "lotse_oldest_unfinished_seconds",
            "Age of the oldest unfinished import.",
            age,
        );
    }
    type Of = fn(&DestinationHealth) -> u64;
    let per_destination: [(&str, &str, Of); 3] = [
        ("lotse_destination_paused_state", "1 while it is not sent to.", |d| u64::from(d.paused)),
        ("lotse_destination_waiting_instances", "Not answered for yet.", |d| d.waiting_instances),
        ("lotse_destination_delivered_instances", "Stored.", |d| d.delivered_instances),
    ];
    for (name, help, of) in per_destination {
        text.family(Gauge, name, help);
        for (destination, health) in &snapshot.destinations {
            text.sample(name, &[("destination", destination)], of(health));
        }
    }
    if let Some(reachable) = snapshot.worklist.reachable {
        let help = "1 if the worklist answered when it was last asked.";
        text.single(Gauge, "lotse_worklist_reachable_state", help, u64::from(reachable));
    }
    type OfKept = fn(&KeptHealth) -> u64;
    let per_source: [(&str, &str, OfKept); 2] = [
        ("lotse_worklist_kept_entries", "Entries kept of a worklist source.", |kept| {
            u64::try_from(kept.entries).unwrap_or(u64::MAX)
        }),
        ("lotse_worklist_kept_seconds", "Age of what is kept of a worklist source.", |kept| {
            kept.age_seconds
        }),
    ];
    for (name, help, of) in per_source {
        text.family(Gauge, name, help);
        for kept in &snapshot.worklist.health.kept {
            text.sample(name, &[("source", &kept.source)], of(kept));
        }
    }
    text.single(
        Gauge,
        "lotse_worklist_local_entries",
        "Entries of the local worklist.",
        u64::try_from(snapshot.worklist.health.local_entries).unwrap_or(u64::MAX),
    );
    text.single(Gauge, "lotse_spool_used_bytes", "Bytes in the spool.", snapshot.disk_used);
    text.single(
        Gauge,
        "lotse_spool_free_bytes",
        "Bytes free on its file system.",
        snapshot.disk_free,
    );
    let alarms = u64::try_from(snapshot.alarms.len()).unwrap_or(u64::MAX);
    text.single(
        Gauge,
        "lotse_alarms_count",
        "Alarms that need a person; /status tells them.",
        alarms,
    );
    metrics.write(&mut text);
    text
}

fn by_label(
    text: &mut Text,
    name: &str,
    help: &str,
    label: &str,
    counts: &std::collections::BTreeMap<&'static str, u64>,
) {
    text.family(Kind::Gauge, name, help);
    for (value, count) in counts {
        text.sample(name, &[(label, value)], *count);
    }
}

fn places(counts: &Counts) -> [(&'static str, u64); 10] {
    [
        ("received", counts.received),
        ("delivered", counts.delivered),
        ("quarantined", counts.quarantined),
        ("rejected", counts.rejected),
        ("cancelled", counts.cancelled),
        ("in_flight", counts.in_flight),
        ("duplicate", counts.duplicate),
        ("set_aside", counts.set_aside),
        ("created", counts.created),
        ("created_delivered", counts.created_delivered),
    ]
}

#[cfg(test)]
mod tests;
