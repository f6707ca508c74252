//! A run to a peer: several associations, each taking objects from one queue.
//!
//! Invariants: an object is on one association only; an association that ends early leaves what it had not
//! finished without an outcome; the run ends when all associations have.

mod carry;
mod existing;
mod sending;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::brake::Brake;
use super::ledger::Ledger;
use super::pace::Bucket;
use super::source::Source;
use super::verdict::{self, Judge, When};
use super::{Check, Ended, Gone, Recorder, Run, route};
use crate::dicom::StudyFacts;
use crate::dimse::{self, Proposed, Remote};
use crate::import::{Compressed, Instance};
use crate::reconcile::Plan;

/// New associations that a worker opens after the peer ended one, so that an object that makes the peer
/// abort does not keep all others back.
const RECONNECTS: usize = 2;

/// What a cancelled association has to say goodbye before it is dropped.
const FAREWELL: Duration = Duration::from_secs(2);

const STOPPED: &str = "sending was stopped; it goes on when the import does";

/// Whom to send to.
pub(super) struct Peer<'a> {
    pub(super) name: &'a str,
    pub(super) remote: &'a Remote,
    pub(super) compressed: Compressed,
    /// One for each association at once, over all runs.
    pub(super) permits: &'a Arc<Semaphore>,
    pub(super) workers: usize,
    pub(super) check: &'a Check,
    pub(super) bucket: &'a Arc<Bucket>,
    pub(super) judge: &'a Arc<Judge>,
}

/// What the associations of one run share.
struct Shared {
    name: String,
    remote: Remote,
    contexts: Vec<Proposed>,
    compressed: Compressed,
    plan: Plan,
    facts: StudyFacts,
    source: Arc<dyn Source>,
    recorder: Arc<dyn Recorder>,
    bucket: Arc<Bucket>,
    judge: Arc<Judge>,
    queue: Mutex<VecDeque<(u32, Arc<Instance>)>>,
    /// What the peer called duplicates: it is asked about them when the queue is empty.
    doubtful: Mutex<Vec<(u32, Arc<Instance>)>>,
    /// Associations that the queue is meant to keep busy.
    workers: usize,
    /// Why the run is not complete although the queue may be empty.
    fault: Mutex<Option<Ended>>,
    /// Why associations did not come to be. It counts only if the others left something in the queue: a
    /// peer that takes no more associations still takes objects.
    unconnected: Mutex<Option<Ended>>,
    /// Of this batch.
    brake: Brake,
}

impl Shared {
    fn take(&self) -> Option<(u32, Arc<Instance>)> {
        if self.brake.is_stopped() {
            return None;
        }
        locked(&self.queue).pop_front()
    }

    /// Takes back what was held ready and not sent.
    fn give_back(&self, number: u32, instance: Arc<Instance>) {
        locked(&self.queue).push_front((number, instance));
    }

    /// Whether there is enough left that one association may hold an object ready while it sends another.
    fn is_plenty(&self) -> bool {
        locked(&self.queue).len() >= self.workers
    }

    fn is_empty(&self) -> bool {
        locked(&self.queue).is_empty()
    }

    /// Keeps the first fault, but one that pauses the destination over one that does not.
    fn note(&self, ended: Ended) {
        let pauses =
            |ended: &Ended| matches!(ended, Ended::Postponed { pause_destination: true, .. });
        let mut fault = locked(&self.fault);
        if fault.as_ref().is_none_or(|before| pauses(&ended) && !pauses(before)) {
            *fault = Some(ended);
        }
    }

    fn postpone(&self, sentence: String) {
        self.note(Ended::Postponed { sentence, pause_destination: false });
    }

    /// The peer can take nothing for now.
    fn stop_all(&self, sentence: String) {
        self.note(Ended::Postponed { sentence, pause_destination: true });
        self.brake.stop();
    }

    /// How the batch ended, if not well.
    fn finish(&self) -> Option<Ended> {
        let postponed = |sentence: &str| Ended::Postponed {
            sentence: sentence.to_owned(),
            pause_destination: false,
        };
        if self.brake.is_cancelled() {
            return Some(postponed(STOPPED));
        }
        if let Some(fault) = locked(&self.fault).take() {
            return Some(fault);
        }
        if self.is_empty() {
            return None;
        }
        if self.brake.is_stopped() {
            return Some(postponed(STOPPED));
        }
        let unconnected = locked(&self.unconnected).take();
        Some(unconnected.unwrap_or_else(|| postponed("sending ended early; it is tried again")))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why an association ended before the queue was empty.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Dimse(#[from] dimse::Error),
    /// The local copy could not be read now.
    #[error("{0}")]
    Local(String),
    /// The instance under way has its outcome, but the association had to be given up.
    #[error("the association was given up")]
    Spent,
    #[error("the run was cancelled")]
    Cancelled,
}

pub(super) async fn deliver(peer: Peer<'_>, run: Run) -> Ended {
    if let Some(ended) = existing::before(&peer, &run).await {
        return ended;
    }
    let facts = existing::RunFacts {
        study: run.study.clone(),
        patient: run.plan.patient(),
        may_hold: run.may_hold,
    };
    let source: Arc<dyn Source> = Arc::new(run.spool);
    for batch in route::batches(run.instances, peer.compressed) {
        let shared = Arc::new(Shared {
            name: peer.name.to_owned(),
            remote: peer.remote.clone(),
            contexts: batch.contexts,
            compressed: peer.compressed,
            plan: run.plan.clone(),
            facts: run.facts.clone(),
            source: Arc::clone(&source),
            recorder: Arc::clone(&run.recorder),
            bucket: Arc::clone(peer.bucket),
            judge: Arc::clone(peer.judge),
            workers: peer.workers.min(batch.instances.len()),
            queue: Mutex::new(batch.instances.into()),
            doubtful: Mutex::default(),
            fault: Mutex::new(None),
            unconnected: Mutex::new(None),
            brake: run.brake.child(),
        });
        let mut workers = JoinSet::new();
        for _ in 0..shared.workers {
            workers.spawn(work(Arc::clone(&shared), Arc::clone(peer.permits)));
        }
        while let Some(ended) = workers.join_next().await {
            if ended.is_err() {
                shared.postpone(
                    "sending broke off by a fault of the gateway; report it with the log".into(),
                );
            }
        }
        let asked = existing::duplicates(&peer, &facts, &shared).await;
        if let Some(ended) = shared.finish().or(asked) {
            return ended;
        }
    }
    Ended::Complete
}

/// One association after the other until the queue is empty, mostly one.
async fn work(shared: Arc<Shared>, permits: Arc<Semaphore>) {
    let permit = tokio::select! {
        biased;
        () = shared.brake.stopped() => return,
        permit = permits.acquire_owned() => permit,
    };
    if permit.is_err() {
        return;
    }
    for _ in 0..=RECONNECTS {
        if shared.brake.is_stopped() || shared.is_empty() {
            return;
        }
        let mut when = When::Before;
        let error = match associate(&shared, &mut when).await {
            Ok(()) | Err(Stopped::Cancelled) => return,
            Err(Stopped::Spent) => continue,
            Err(Stopped::Local(sentence)) => return shared.postpone(sentence),
            Err(Stopped::Dimse(error)) => error,
        };
        let ended = verdict::of_error(&error, &shared.name, &shared.remote, when);
        match when {
            When::Before => {
                *locked(&shared.unconnected) = Some(ended);
                return;
            }
            When::During => shared.note(ended),
        }
        if !verdict::may_reconnect(&error) {
            return;
        }
    }
}

/// One association. Everything it learnt is recorded when this returns.
async fn associate(shared: &Arc<Shared>, when: &mut When) -> Result<(), Stopped> {
    let mut ledger = Ledger::new(Arc::clone(&shared.recorder));
    let result = {
        let call =
            dimse::call(&shared.remote, &shared.contexts, async |client: &mut dimse::Client| {
                *when = When::During;
                carry::carry(client, shared, &mut ledger).await
            });
        let farewell = async {
            shared.brake.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            biased;
            result = call => result,
            () = farewell => Err(Stopped::Cancelled),
        }
    };
    match ledger.finish().await {
        Ok(()) => result,
        Err(Gone) => {
            shared.brake.cancel();
            Err(Stopped::Cancelled)
        }
    }
}
