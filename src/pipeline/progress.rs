//! How far a running stage is. Not durable: it says nothing that a restart has to know.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::Notify;

use crate::fetch;

/// A snapshot of the counters, as the API shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub stage: String,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
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
    pub(super) instances: AtomicU64,
    pub(super) downloading: Notify,
}

impl Counters {
    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A new stage begins.
    pub(super) fn reset(&self) {
        for counter in [&self.bytes, &self.total_bytes, &self.instances] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn show(&self, stage: &str, total_instances: Option<u64>) -> Progress {
        let total = self.total_bytes.load(Ordering::Relaxed);
        Progress {
            stage: stage.to_owned(),
            bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: (total > 0).then_some(total),
            instances: self.instances.load(Ordering::Relaxed),
            total_instances,
        }
    }
}

impl fetch::Observer for Counters {
    fn downloading(&self, total_bytes: Option<u64>, _total_files: Option<u64>) {
        self.total_bytes.store(total_bytes.unwrap_or(0), Ordering::Relaxed);
        self.downloading.notify_one();
    }

    fn received(&self, bytes: u64) {
        self.add_bytes(bytes);
    }
}
