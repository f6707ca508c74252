//! Storage commitment for those who send to us (PS3.4 J.3): requests that are open, and their reports.
//!
//! Owns every request from the moment it is taken until its report is heard, over restarts. Invariants: a request is
//! on the device before it is answered with success; a report names every instance of the request once; it goes
//! to the address of the peer's configuration, never to where the request came from.

mod shelf;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::Door;
use crate::clock::Moment;
use crate::dicom::Uid;
use crate::dimse::{self, Asked, Client, Hearing, Report, ServerAssociation, Status, Wanted};
use crate::seal::Vault;
pub use shelf::Error;
use verdict::Verdict;

/// Requests that may be open at once, over all peers; see [`share`]. The file that is written with each stays below 4 MB
/// if they are about one instance each.
const MOST: usize = 10_000;

/// References that may be open at once, over all peers: about 150 MB in memory at the worst.
const MOST_REFERENCES: usize = 1_000_000;

/// How often open requests are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Peers that are reported to at once.
const TELLING: usize = 16;

/// Between attempts to report.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// What we received dies within this time, and with it what could be reported.
const LIMIT: Duration = Duration::from_secs(168 * 3600);

/// Failure reasons (PS3.3 C.14.1.1): it was rejected or cancelled; we do not hold it, or not any more.
const PROCESSING_FAILURE: u16 = 0x0110;
const NO_SUCH_OBJECT: u16 = 0x0112;

/// A request that has not been reported on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    /// Of the `[peers.NAME]` section.
    peer: String,
    transaction: Uid,
    /// Class and instance.
    instances: Vec<(Uid, Uid)>,
    /// Of each instance, in their order; as good as open where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    verdicts: Vec<Verdict>,
    asked: Moment,
    /// Reports that nobody heard.
    #[serde(default)]
    attempts: u32,
    #[serde(default)]
    due: Moment,
}

impl Promise {
    fn is_of(&self, peer: &str, transaction: &Uid) -> bool {
        self.peer == peer && self.transaction == *transaction
    }

    /// Whether both name the same instances, in whatever order.
    fn is_about_the_same_as(&self, other: &Self) -> bool {
        self.instances == other.instances
            || BTreeSet::from_iter(&self.instances) == BTreeSet::from_iter(&other.instances)
    }

    /// Whether nothing can be told any more.
    fn is_over(&self, now: Moment) -> bool {
        now.since(self.asked) >= LIMIT
    }
}

/// All open requests. Cheap to clone.
#[derive(Clone)]
pub struct Promises(Arc<Inner>);

struct Inner {
    place: Option<(Vault, PathBuf)>,
    open: Mutex<Vec<Arc<Promise>>>,
}

impl Promises {
    /// What the file holds; nothing if there is none. Blocking.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn open(vault: Vault, path: PathBuf) -> Result<Self, Error> {
        let open = Mutex::new(shelf::read(&vault, &path)?);
        Ok(Self(Arc::new(Inner { place: Some((vault, path)), open })))
    }

    /// Forgotten with the process, for tests.
    pub fn in_memory() -> Self {
        Self(Arc::new(Inner { place: None, open: Mutex::default() }))
    }

    /// Open requests.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Promise>>> {
        self.0.list()
    }

    fn find(&self, peer: &str, transaction: &Uid) -> Option<Arc<Promise>> {
        self.list().iter().find(|one| one.is_of(peer, transaction)).cloned()
    }

    /// Takes a request; gives it back as it is kept, or the answer that refuses it. Durable if it is taken.
    async fn take(&self, promise: Promise) -> Result<Arc<Promise>, Status> {
        let inner = Arc::clone(&self.0);
        let taken = tokio::task::spawn_blocking(move || inner.take(promise));
        taken.await.unwrap_or(Err(Status::PROCESSING_FAILURE))
    }

    /// Keeps what was found out about requests. Blocking.
    fn note(&self, found: Vec<(Arc<Promise>, Vec<Verdict>)>) {
        let mut open = self.list();
        let mut noted = BTreeMap::new();
        for (of, verdicts) in found {
            noted.insert((of.peer.clone(), of.transaction.clone()), (of, verdicts));
        }
        for one in open.iter_mut() {
            let found = noted.remove(&(one.peer.clone(), one.transaction.clone()));
            // One that was reported on meanwhile may have been asked for anew, with other instances.
            if let Some((of, verdicts)) = found
                && of.instances == one.instances
            {
                drop(of);
                Arc::make_mut(one).verdicts = verdicts;
            }
        }
        if let Err(error) = self.0.write(&open) {
            // It is written with the next change of any request.
            tracing::warn!(%error, "what became of instances to commit to could not be noted");
        }
    }

    /// Lets go of a request, or puts its next attempt off.
    async fn settle(&self, peer: &str, transaction: &Uid, next: Next) {
        let (inner, peer, transaction) =
            (Arc::clone(&self.0), peer.to_owned(), transaction.clone());
        let settled = tokio::task::spawn_blocking(move || {
            let mut open = inner.list();
            match next {
                Next::Done => open.retain(|one| !one.is_of(&peer, &transaction)),
                Next::Later(now) => {
                    let it = open.iter_mut().find(|one| one.is_of(&peer, &transaction));
                    if let Some(one) = it.map(Arc::make_mut) {
                        let wait = FIRST_WAIT.saturating_mul(1 << one.attempts.min(10));
                        one.attempts = one.attempts.saturating_add(1);
                        one.due = now.after(wait.min(LONGEST_WAIT));
                    }
                    // An attempt more after a restart does no harm.
                    return;
                }
            }
            if let Err(error) = inner.write(&open) {
                // It is reported again after a restart, which the peer refuses.
                tracing::warn!(%error, "a report on storage commitment could not be noted");
            }
        });
        // A panic in it was told already.
        let _ = settled.await;
    }
}

/// What one peer may hold of `all`: half of what the others leave, so that there is room for a further one always.
fn share(all: usize, of_others: usize) -> usize {
    all.saturating_sub(of_others).div_ceil(2)
}

/// Whether its peer may ask for this too; else which limit says no.
fn has_room(open: &[Arc<Promise>], promise: &Promise) -> Result<(), String> {
    let counted = |is_ours: bool| {
        let counted = open.iter().filter(|one| (one.peer == promise.peer) == is_ours);
        counted.fold((0, 0), |(requests, references): (usize, usize), one| {
            (requests.saturating_add(1), references.saturating_add(one.instances.len()))
        })
    };
    let (ours, others) = (counted(true), counted(false));
    let most = share(MOST, others.0);
    if ours.0 >= most {
        return Err(format!("the peer has {} open ones, and may have {most} now", ours.0));
    }
    let (most, asked) = (share(MOST_REFERENCES, others.1), promise.instances.len());
    if ours.1.saturating_add(asked) > most {
        return Err(format!(
            "it names {asked} instances and the open ones of the peer {}, which may name {most} now",
            ours.1
        ));
    }
    Ok(())
}

enum Next {
    Done,
    Later(Moment),
}

impl Inner {
    fn list(&self) -> MutexGuard<'_, Vec<Arc<Promise>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, promise: Promise) -> Result<Arc<Promise>, Status> {
        let mut open = self.list();
        if let Some(same) =
            open.iter_mut().find(|one| one.is_of(&promise.peer, &promise.transaction))
        {
            if !same.is_about_the_same_as(&promise) {
                tracing::warn!(
                    peer = %promise.peer,
                    "a request for storage commitment has the Transaction UID of an open one about other instances; \
                     the peer has to ask under a new one"
                );
                return Err(Status::DUPLICATE_TRANSACTION);
            }
            // The peer did not hear our answer; it is there now, whenever it was to be told again.
            Arc::make_mut(same).due = promise.due;
            return Ok(Arc::clone(same));
        }
        if let Err(sentence) = has_room(&open, &promise) {
            tracing::warn!(
                peer = %promise.peer,
                "a request for storage commitment is refused: {sentence}; it may ask again when studies of it are \
                 delivered and its address takes our reports"
            );
            return Err(Status::RESOURCE_LIMITATION);
        }
        let promise = Arc::new(promise);
        open.push(Arc::clone(&promise));
        if let Err(error) = self.write(&open) {
            open.pop();
            tracing::error!(%error, "a request for storage commitment could not be kept");
            return Err(Status::RESOURCE_LIMITATION);
        }
        Ok(promise)
    }

    fn write(&self, open: &[Arc<Promise>]) -> Result<(), Error> {
        match &self.place {
            Some((vault, path)) => shelf::write(vault, path, open),
            None => Ok(()),
        }
    }
}

/// Answers an N-ACTION, and reports at once if everything is known.
pub(super) async fn answer(
    association: &mut ServerAssociation,
    door: &Door,
    peer: &str,
    wanted: &Asked<Wanted>,
) -> Result<(), dimse::Error> {
    let now = door.intake.now();
    let promise = Promise {
        peer: peer.to_owned(),
        transaction: wanted.content.transaction.clone(),
        instances: wanted
            .content
            .instances
            .iter()
            .map(|one| (one.sop_class.clone(), one.sop_instance.clone()))
            .collect(),
        verdicts: Vec::new(),
        asked: now,
        attempts: 0,
        // The keeper leaves it alone while it may be reported on here.
        due: now.after(FIRST_WAIT),
    };
    let promise = match door.promises().take(promise).await {
        Ok(promise) => promise,
        Err(status) => return association.respond_commit(wanted, status).await,
    };
    association.respond_commit(wanted, Status::SUCCESS).await?;
    let Some(report) = verdict::report(&*door.intake, &promise) else { return Ok(()) };
    match association.report(wanted, &report).await? {
        Hearing::Answered(_) => {
            door.promises().settle(peer, &promise.transaction, Next::Done).await;
        }
        // The keeper reports on an association of its own.
        Hearing::Unheard | Hearing::Released => {}
    }
    Ok(())
}

/// Reports on open requests as soon as they can be, until `stop`. Each peer is told by itself: one that does not
/// answer keeps nobody else waiting.
pub async fn keep(door: Arc<Door>, stop: CancellationToken) {
    let keeping = async {
        let mut looks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut telling = FuturesUnordered::new();
        let mut busy: BTreeSet<String> = BTreeSet::new();
        loop {
            tokio::select! {
                Some(peer) = telling.next(), if !telling.is_empty() => {
                    busy.remove(&peer);
                    continue;
                }
                _ = looks.tick() => {}
            }
            let now = door.intake.now();
            let due: BTreeSet<String> = {
                let open = door.promises();
                let open = open.list();
                let due = open.iter().filter(|one| now.reached(one.due) || one.is_over(now));
                due.map(|one| one.peer.clone()).filter(|peer| !busy.contains(peer)).collect()
            };
            for peer in due.into_iter().take(TELLING.saturating_sub(busy.len())) {
                busy.insert(peer.clone());
                telling.push(tell_all(&door, peer));
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = keeping => {}
        () = verdict::watch(&door) => {}
    }
}

/// Tells one peer what can be told, up to the first report that it does not hear; gives its name back.
async fn tell_all(door: &Door, peer: String) -> String {
    let of_peer: Vec<Uid> = {
        let open = door.promises();
        let open = open.list();
        open.iter().filter(|one| one.peer == peer).map(|one| one.transaction.clone()).collect()
    };
    for transaction in of_peer {
        // Those before it may have taken minutes.
        let Some(promise) = door.promises().find(&peer, &transaction) else { continue };
        let now = door.intake.now();
        if promise.is_over(now) {
            tracing::warn!(%peer, "a storage commitment was never heard by its peer");
            door.promises().settle(&peer, &promise.transaction, Next::Done).await;
        } else if now.reached(promise.due)
            && let Some(report) = verdict::report(&*door.intake, &promise)
            && !tell(door, &promise, &report).await
        {
            break;
        }
    }
    peer
}

/// Whether the peer heard it.
async fn tell(door: &Door, promise: &Promise, report: &Report) -> bool {
    let peers = door.peers();
    let Some(peer) = peers.get(&promise.peer) else {
        let next = Next::Later(door.intake.now());
        door.promises().settle(&promise.peer, &promise.transaction, next).await;
        return false;
    };
    let remote = peer.remote(&door.ae_title);
    let contexts = dimse::commitment_contexts();
    let told = dimse::call_to_report(&remote, &contexts, async |client: &mut Client| {
        client.report(report).await
    });
    let next = match told.await {
        Ok(status) => {
            tracing::info!(peer = %promise.peer, ?status, "storage commitment reported");
            Next::Done
        }
        Err(error) => {
            tracing::warn!(peer = %promise.peer, %error, "storage commitment could not be reported yet");
            // It may have taken minutes.
            Next::Later(door.intake.now())
        }
    };
    let is_heard = matches!(next, Next::Done);
    door.promises().settle(&promise.peer, &promise.transaction, next).await;
    is_heard
}

#[cfg(test)]
mod tests;
