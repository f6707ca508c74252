//! What the scheduler writes and everybody reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Settings;
use super::earlier::{self, Earlier};
use super::lanes::Lanes;
use super::progress::Counters;
use super::snapshot::{LastError, Log};
use crate::clock::Clock;
use crate::import::{Import, ImportId, Study, Tombstone};
use crate::spool::Spool;

/// So long after an object of another import it is not one alone that receives.
const ALONE: Duration = Duration::from_secs(1);

/// The living imports and what is known beside them; locks are held for moments only.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) spool: Spool,
    pub(super) started: crate::clock::Moment,
    pub(super) imports: RwLock<BTreeMap<ImportId, Arc<Import>>>,
    pub(super) tombstones: RwLock<Vec<Tombstone>>,
    pub(super) counters: Mutex<HashMap<ImportId, Arc<Counters>>>,
    pub(super) settings: RwLock<Arc<Settings>>,
    pub(super) changes: watch::Sender<u64>,
    pub(super) beats: AtomicU64,
    pub(super) log: Mutex<Log>,
    /// Our C-MOVEs, which objects arrive for at the DICOM door.
    pub(super) moves: crate::fetch::Moves,
    /// Where the last small object went, and when.
    pub(super) brought: Mutex<Option<(ImportId, Instant)>>,
    pub(super) lanes: Lanes,
}

impl Shared {
    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has a person see it, in the log too.
    pub(super) fn alarm(&self, alarm: String) {
        tracing::warn!("{alarm}");
        self.log(|log| log.alarm(alarm));
    }

    /// Whether small objects come for other imports too.
    pub(super) fn is_one_of_several(&self, import: ImportId) -> bool {
        let now = Instant::now();
        let mut last = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace((import, now));
        before.is_some_and(|(before, at)| before != import && now.duration_since(at) < ALONE)
    }

    pub(super) fn is_buried(&self, id: ImportId) -> bool {
        let tombstones = self.tombstones.read().unwrap_or_else(PoisonError::into_inner);
        tombstones.iter().any(|tombstone| tombstone.id == id)
    }

    pub(super) fn import(&self, id: ImportId) -> Option<Arc<Import>> {
        self.imports.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(super) fn counters(&self, id: ImportId) -> Arc<Counters> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counters.entry(id).or_default())
    }

    pub(super) fn log(&self, write: impl FnOnce(&mut Log)) {
        write(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes a fault for `/status` and the log: stage and import, never a word of patient data.
    pub(super) fn note(&self, id: ImportId, stage: &str, sentence: &str) {
        tracing::warn!(import = %id, stage, "{sentence}");
        let error = LastError {
            at: self.clock.now().timestamp().to_string(),
            stage: stage.to_owned(),
            import: id.to_string(),
            sentence: sentence.to_owned(),
        };
        self.log(|log| log.push(error));
    }

    /// The decision of another living import for the same study.
    pub(super) fn earlier_decision(&self, import: &Import, study: &Study) -> Option<Earlier> {
        let imports = self.imports.read().unwrap_or_else(PoisonError::into_inner);
        earlier::decision(import, study, imports.values().rev().map(Arc::as_ref))
    }
}
