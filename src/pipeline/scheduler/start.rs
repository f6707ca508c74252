//! The scheduler's start and end.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::disk::Disk;
use super::{DueIndex, QUEUE, Scheduler};
use crate::import::{Action, End, ImportId};
use crate::journal::{self, Journal};
use crate::pipeline::Pipeline;
use crate::pipeline::judge::Judge;
use crate::pipeline::lanes::Lanes;
use crate::pipeline::recover::{self, Keys, Loss};
use crate::pipeline::settings::Parts;
use crate::pipeline::shared::Shared;
use crate::pipeline::snapshot::Log;
use crate::pipeline::stages::{Permits, Stages};
use crate::seal::KeysFolder;
use crate::spool::Spool;

/// Why the scheduler ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the journal failed, nothing can be acknowledged any more: {0}")]
    Journal(#[from] journal::Error),
    #[error("the scheduler's thread could not be started: {0}")]
    Thread(io::Error),
    #[error("the scheduler ended by a fault in itself")]
    Fault,
}

/// The running scheduler.
pub struct Running {
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Waits until the scheduler has ended: after [`Pipeline::stop`], or because of an error. The journal is closed
    /// then, and not before.
    pub async fn ended(&mut self) -> Result<(), Error> {
        (&mut self.task).await.unwrap_or(Err(Error::Fault))
    }
}

/// Recovers what the journal holds and starts the scheduler. Its stages run where this is called.
pub async fn start(parts: Parts) -> Result<(Pipeline, Running), Error> {
    let (life, lives) = oneshot::channel();
    let runtime = Handle::current();
    let begun = tokio::task::spawn_blocking(|| begin(parts, runtime, lives)).await;
    let (scheduler, actions) = begun.map_err(|_| Error::Fault)??;
    let pipeline = scheduler.stages.pipeline.clone();
    let disk = Arc::clone(&scheduler.disk);
    let (tell, ended) = oneshot::channel();
    let run = move || {
        let own = Builder::new_current_thread().enable_time().build().map_err(Error::Thread);
        drop(tell.send(own.and_then(|own| own.block_on(scheduler.run(actions)))));
    };
    std::thread::Builder::new().name("scheduler".to_owned()).spawn(run).map_err(Error::Thread)?;
    let task = tokio::spawn(async {
        disk.watch(life).await;
        ended.await.unwrap_or(Err(Error::Fault))
    });
    Ok((pipeline, Running { task }))
}

/// The scheduler, and what it has to do first. Blocking.
fn begin(
    parts: Parts,
    runtime: Handle,
    life: oneshot::Receiver<std::convert::Infallible>,
) -> Result<(Scheduler, Vec<(ImportId, Action)>), Error> {
    let Parts { clock, spool, mut journal, mut recovered, settings } = parts;
    let now = clock.now();
    let lanes = Lanes::with_paused(std::mem::take(&mut recovered.paused));
    let recovery = recover::recover(recovered, &spool, now);
    match recovery.loss {
        Loss::Known => {}
        Loss::Keep => journal.keep_loss()?,
        Loss::Over => journal.forget_loss()?,
    }
    if recovery.keys == Keys::Remember {
        remember_keys(&spool, &mut journal)?;
    }
    // Kept at once: a machine that is switched off in the first minute is credited its time off too.
    journal.keep_reading(&clock.reading())?;
    journal.append_at_start(&recovery.entries)?;
    recovery.lost.iter().try_for_each(|tombstone| journal.bury(tombstone))?;
    let shared = Arc::new(Shared {
        clock,
        spool,
        started: now,
        imports: RwLock::new(recovery.imports),
        tombstones: RwLock::new(recovery.tombstones),
        counters: Mutex::new(HashMap::new()),
        settings: RwLock::new(Arc::new(settings)),
        changes: watch::Sender::new(0),
        beats: AtomicU64::new(0),
        log: Mutex::new(Log::default()),
        moves: Default::default(),
        brought: Mutex::default(),
        lanes,
    });
    recovery.alarms.into_iter().for_each(|alarm| shared.alarm(alarm));
    let limit = shared.settings().times.limit;
    let dying = |id: ImportId| (id, recover::death_of_unreadable(id, limit, now));
    let unreadable = recovery.unreadable.into_iter().map(dying).collect();
    let (commands, queue) = mpsc::channel(QUEUE);
    let pipeline = Pipeline { shared: Arc::clone(&shared), commands };
    let scheduler = Scheduler {
        stages: Stages { pipeline, permits: Permits::default(), judge: Judge::default() },
        disk: Arc::new(Disk::new(Arc::clone(&shared))),
        shared,
        journal,
        runtime,
        life,
        queue,
        held: VecDeque::new(),
        slots: recovery.slots,
        unreadable,
        dying: recovery.dying.into_iter().map(|id| (id, (End::Erased, now))).collect(),
        running: JoinSet::new(),
        due: DueIndex::default(),
        looked: now,
        kept: now,
    };
    Ok((scheduler, recovery.actions))
}

/// Has later starts expect the folder of keys that is there now.
fn remember_keys(spool: &Spool, journal: &mut Journal) -> Result<(), Error> {
    let name = match spool.keys_folder() {
        KeysFolder::Named(name) => Ok(name.clone()),
        KeysFolder::Unnamed | KeysFolder::Bare => spool.name_keys(),
    };
    match name {
        Ok(name) => Ok(journal.keep_keys(&name)?),
        Err(error) => {
            tracing::warn!(%error, "the folder of keys gets its name at a later start");
            Ok(())
        }
    }
}
