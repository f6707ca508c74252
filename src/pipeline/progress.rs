//! How far a running stage is. Not durable: it says nothing that a restart has to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Pipeline;
use super::rate::Rate;
use crate::fetch;
use crate::import::{Bookmark, Event, ImportId, Promised};

/// A snapshot of the counters, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub stage: String,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Over the last moments, while bytes come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// At the rate of the last minutes, if the total is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    pub instances: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_instances: Option<u64>,
}

/// Counters of one import, shared by its stages.
#[derive(Debug, Default)]
pub(super) struct Counters {
    bytes: AtomicU64,
    /// 0 means unknown.
    total_bytes: AtomicU64,
    rate: Mutex<Rate>,
    /// What a pull remarked on, until it is reported.
    notes: Mutex<Vec<String>>,
    /// What the portal's list has of what came, until it is reported.
    promised: Mutex<Vec<Promised>>,
    pub(super) instances: AtomicU64,
    pub(super) downloading: Notify,
}

impl Counters {
    pub(super) fn add_bytes(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.note(before.saturating_add(bytes), Instant::now());
    }

    /// What was promised since this was last asked.
    pub(super) fn take_promised(&self) -> Vec<Promised> {
        std::mem::take(&mut *self.promised.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was remarked on since this was last asked.
    pub(super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new stage begins.
    pub(super) fn reset(&self) {
        for counter in [&self.bytes, &self.total_bytes, &self.instances] {
            counter.store(0, Ordering::Relaxed);
        }
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = Rate::default();
        self.take_notes();
        self.take_promised();
    }

    pub(super) fn show(&self, stage: &str, total_instances: Option<u64>) -> Progress {
        let total = self.total_bytes.load(Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed);
        Progress {
            stage: stage.to_owned(),
            bytes,
            total_bytes: (total > 0).then_some(total),
            bytes_per_second: None,
            seconds_left: None,
            instances: self.instances.load(Ordering::Relaxed),
            total_instances,
        }
    }
}

impl Counters {
    /// As [`Counters::show`], with how fast bytes come and how long it will take.
    pub(super) fn show_moving(&self, stage: &str) -> Progress {
        let mut progress = self.show(stage, None);
        let (rate, now) =
            (self.rate.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        progress.bytes_per_second = rate.per_second(progress.bytes, now);
        let left = progress.total_bytes.map(|total| total.saturating_sub(progress.bytes));
        progress.seconds_left = left.and_then(|left| rate.seconds_left(left, progress.bytes, now));
        progress
    }
}

/// Watches one pull: counts, and makes durable where a visit stands.
pub(super) struct Watch {
    counters: Arc<Counters>,
    pipeline: Pipeline,
    id: ImportId,
}

impl Watch {
    pub(super) fn new(counters: &Arc<Counters>, pipeline: Pipeline, id: ImportId) -> Self {
        Self { counters: Arc::clone(counters), pipeline, id }
    }
}

#[async_trait]
impl fetch::Observer for Watch {
    fn downloading(&self, total_bytes: Option<u64>, _total_files: Option<u64>) {
        self.counters.total_bytes.store(total_bytes.unwrap_or(0), Ordering::Relaxed);
        self.counters.downloading.notify_one();
    }

    fn received(&self, bytes: u64) {
        self.counters.add_bytes(bytes);
    }

    async fn keep(&self, bookmark: &Bookmark) -> bool {
        // Refused only if the import was cancelled meanwhile; then nothing may follow.
        let kept = Event::Bookmarked { bookmark: bookmark.clone() };
        self.pipeline.report(self.id, kept).await.is_ok()
    }

    fn promised(&self, studies: Vec<Promised>) {
        let promised = &self.counters.promised;
        promised.lock().unwrap_or_else(PoisonError::into_inner).extend(studies);
    }

    fn noted(&self, notes: Vec<String>) {
        self.counters.notes.lock().unwrap_or_else(PoisonError::into_inner).extend(notes);
    }
}
