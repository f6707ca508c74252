//! The state of the whole in numbers: no patient data, no link, no UID.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;

use serde::Serialize;

use super::shared::Shared;
use crate::clock::Moment;
use crate::forward::HeldBack;
use crate::import::{Counts, ImportId, State, StudyState};
use crate::worklist;

/// Faults that `/status` remembers.
const ERRORS_KEPT: usize = 20;

/// Alarms that are shown at once.
const ALARMS_KEPT: usize = 20;

/// For `/status` and `/metrics`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub version: &'static str,
    pub uptime_seconds: u64,
    /// Imports by state, studies by state.
    pub imports: BTreeMap<&'static str, u64>,
    pub studies: BTreeMap<&'static str, u64>,
    pub counts: Counts,
    pub oldest_unfinished_seconds: Option<u64>,
    /// Stages with what waits for them.
    pub queues: BTreeMap<&'static str, u64>,
    pub destinations: BTreeMap<String, DestinationHealth>,
    pub worklist: WorklistHealth,
    pub disk_used: u64,
    pub disk_free: u64,
    pub last_errors: Vec<LastError>,
    pub alarms: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationHealth {
    /// Nothing is sent now: by a person, by the configuration, or because it takes nothing.
    pub paused: bool,
    /// `ready`, `paused` by a person or the configuration, `closed` by its window, or `resting` after a failure.
    pub state: &'static str,
    /// Studies that wait for their turn.
    pub waiting_studies: u64,
    pub waiting_instances: u64,
    pub delivered_instances: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorklistHealth {
    /// `None` until it was asked for the first time.
    pub reachable: Option<bool>,
    pub notes: Vec<String>,
    /// What is kept of it: how old, how large.
    #[serde(flatten)]
    pub health: worklist::Health,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    pub at: String,
    pub stage: String,
    pub import: String,
    pub sentence: String,
}

/// Of an alarm that stays although its import is no more: what became of its images nobody knows.
pub(super) const CUT_OFF: &str = "the gateway was cut off while it destroyed";

/// Faults and alarms since the start, the newest last.
#[derive(Debug, Default)]
pub(super) struct Log {
    errors: VecDeque<LastError>,
    alarms: VecDeque<String>,
    /// When the disk was slow last, if that is an alarm.
    pub(super) slow: Option<Moment>,
    pub(super) worklist: WorklistHealth,
}

impl Log {
    pub(super) fn push(&mut self, error: LastError) {
        self.errors.push_back(error);
        forget_oldest(&mut self.errors, ERRORS_KEPT);
    }

    /// What was wrong with an import that is no more, unless it is wrong with one of the `others` too, or may have lost
    /// something.
    pub(super) fn settle(&mut self, id: ImportId, others: impl Iterator<Item = ImportId>) {
        let id = id.to_string();
        let others: Vec<String> = others.map(|other| other.to_string()).collect();
        self.alarms.retain(|alarm| {
            !alarm.contains(&id)
                || alarm.contains(CUT_OFF)
                || others.iter().any(|other| alarm.contains(other))
        });
    }

    /// Shows an alarm in place of the earlier ones that begin the same way.
    pub(super) fn alarm_instead(&mut self, beginning: &str, alarm: String) {
        self.alarms.retain(|earlier| !earlier.starts_with(beginning));
        self.alarm(alarm);
    }

    pub(super) fn has_alarm(&self, beginning: &str) -> bool {
        self.alarms.iter().any(|alarm| alarm.starts_with(beginning))
    }

    /// What is over.
    pub(super) fn settle_alarm(&mut self, beginning: &str) {
        self.alarms.retain(|alarm| !alarm.starts_with(beginning));
    }

    pub(super) fn alarm(&mut self, alarm: String) {
        self.alarms.push_back(alarm);
        forget_oldest(&mut self.alarms, ALARMS_KEPT);
    }
}

fn forget_oldest<T>(kept: &mut VecDeque<T>, most: usize) {
    while kept.len() > most {
        kept.pop_front();
    }
}

pub(super) fn take(shared: &Shared) -> Snapshot {
    let now = shared.clock.now();
    let usage = shared.spool.usage().unwrap_or_default();
    let mut snapshot = Snapshot {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: now.since(shared.started).as_secs(),
        disk_used: usage.used,
        disk_free: usage.free,
        ..Snapshot::default()
    };
    let settings = shared.settings();
    let local = now.timestamp().to_zoned(settings.zone.clone()).time();
    for name in settings.destinations.names() {
        let lane = shared.lanes.of(&name);
        let pace = settings.destinations.get(&name).map(|found| found.pace).unwrap_or_default();
        let state = match () {
            () if lane.is_paused() || pace.held == HeldBack::Yes => "paused",
            () if !pace.is_open(local) => "closed",
            () if lane.rests(now) => "resting",
            () => "ready",
        };
        let health = DestinationHealth {
            paused: state == "paused" || state == "resting",
            state,
            waiting_studies: u64::try_from(lane.waiting()).unwrap_or(u64::MAX),
            ..DestinationHealth::default()
        };
        snapshot.destinations.insert(name.to_string(), health);
    }
    let imports = shared.imports.read().unwrap_or_else(PoisonError::into_inner);
    for import in imports.values() {
        *snapshot.imports.entry(import.state.name()).or_default() += 1;
        let finished = matches!(import.state, State::Closed { .. } | State::Cancelled { .. });
        if !finished {
            let age = now.since(import.created).as_secs();
            let oldest = snapshot.oldest_unfinished_seconds.unwrap_or(0).max(age);
            snapshot.oldest_unfinished_seconds = Some(oldest);
        }
        snapshot.counts += import.counts();
        for study in &import.studies {
            *snapshot.studies.entry(study.state.name()).or_default() += 1;
            count_deliveries(&mut snapshot, study);
        }
    }
    for (queue, states) in
        [("pull", &["Requested", "Preparing", "Downloading"][..]), ("unpack", &["Received"])]
    {
        let waiting = states.iter().filter_map(|state| snapshot.imports.get(state)).sum();
        snapshot.queues.insert(queue, waiting);
    }
    for (queue, state) in [
        ("worklist", "AwaitingWorklist"),
        ("decision", "AwaitingDecision"),
        ("forward", "Forwarding"),
        ("confirm", "Confirming"),
    ] {
        let waiting = snapshot.studies.get(state).copied().unwrap_or(0);
        snapshot.queues.insert(queue, waiting);
    }
    shared.log(|log| {
        snapshot.last_errors = log.errors.iter().cloned().collect();
        snapshot.alarms = log.alarms.iter().cloned().collect();
        snapshot.worklist = log.worklist.clone();
    });
    snapshot.worklist.health = shared.settings().worklist.health();
    snapshot
}

fn count_deliveries(snapshot: &mut Snapshot, study: &crate::import::Study) {
    let Some(work) = study.work() else { return };
    let expected = study.instances.len();
    for delivery in &work.deliveries {
        let name = delivery.destination.to_string();
        let health = snapshot.destinations.entry(name).or_default();
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        health.delivered_instances += count(delivery.delivered());
        if matches!(study.state, StudyState::Forwarding(_)) {
            health.waiting_instances += count(expected.saturating_sub(delivery.outcomes.len()));
            health.paused |= delivery.due.is_some();
            if delivery.due.is_some() {
                health.last_error.clone_from(&delivery.last_error);
            }
        }
    }
}

/// Parts that keep the gateway from doing its work.
pub(super) fn failing(shared: &Shared) -> Vec<String> {
    let mut failing = vec![];
    if let Err(error) = shared.spool.admits(0) {
        failing.push(format!("spool: {error}"));
    }
    shared.log(|log| {
        if log.worklist.reachable == Some(false) {
            failing.push("worklist: no source answers".to_owned());
        }
    });
    failing
}
