//! Objects of several associations, sealed in memory, in one pack, committed in groups.
//!
//! Whoever has all of a group at hand keeps it in a [`GroupPack`]. For others one task owns such a pack: it takes all
//! that waits, writes it, syncs once, and answers everybody. Invariant: nobody is answered with success before that
//! sync.

use std::io;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{mpsc, oneshot};

use super::sealing::Sealed;
use super::{Error, ImportSpool, Pack};
use crate::import::Blob;

/// So many wait before the queue at most; whoever comes then waits to get in.
const QUEUE: usize = 64;
/// So many share one sync at most: what the queue holds.
const GROUP: usize = QUEUE;
/// And so many bytes: whoever comes first waits until the last is written.
const GROUP_BYTES: usize = 4 << 20;

struct Request {
    sealed: Sealed,
    answer: oneshot::Sender<Result<Blob, Error>>,
}

/// The pack that all who receive objects for one import share. It ends with its last clone.
#[derive(Clone)]
pub struct Committer(Arc<mpsc::Sender<Request>>);

/// A committer that somebody may still hold.
#[derive(Default)]
pub(super) struct Shared(Weak<mpsc::Sender<Request>>);

impl Committer {
    /// The one of this import. Call it inside a tokio runtime.
    pub(super) fn of(spool: &ImportSpool) -> Self {
        let mut shared = spool.0.committer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = shared.0.upgrade() {
            return Self(queue);
        }
        let (queue, requests) = mpsc::channel(QUEUE);
        let queue = Arc::new(queue);
        shared.0 = Arc::downgrade(&queue);
        let task = Task(GroupPack::new(spool.clone()));
        // Ends by itself when the queue is closed.
        drop(tokio::task::spawn_blocking(move || task.run(requests)));
        Self(queue)
    }

    /// Keeps one object; it is on the device when this returns. On an error nothing of it is kept.
    pub async fn commit(&self, sealed: Sealed) -> Result<Blob, Error> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Request { sealed, answer }).await.map_err(|_| Error::Gone)?;
        answered.await.map_err(|_| Error::Gone)?
    }
}

/// The pack that whole groups go into.
pub struct GroupPack {
    spool: ImportSpool,
    /// Made for the first object; replaced after a fault.
    pack: Option<Pack>,
}

impl GroupPack {
    pub(super) fn new(spool: ImportSpool) -> Self {
        Self { spool, pack: None }
    }

    /// Keeps a group with one sync: all of it, or nothing. Blocking.
    ///
    /// # Errors
    /// Nothing of the group is kept; the next one may succeed.
    pub fn keep(&mut self, group: &[Sealed]) -> Result<Vec<Blob>, Error> {
        let kept = self.place(group);
        // Not before: what was placed in it is synced with it.
        if kept.is_err() && self.pack.as_ref().is_some_and(|pack| !pack.is_sound()) {
            self.pack = None;
        }
        kept
    }

    fn place(&mut self, group: &[Sealed]) -> Result<Vec<Blob>, Error> {
        let pack = match &mut self.pack {
            Some(pack) => pack,
            None => self.pack.insert(self.spool.pack_synced_often()?),
        };
        let blobs = pack.place(group)?;
        pack.sync()?;
        Ok(blobs)
    }
}

struct Task(GroupPack);

impl Task {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut group = Vec::new();
        while let Some(first) = requests.blocking_recv() {
            let mut bytes = first.sealed.bytes.len();
            group.push(first);
            // Those who were answered together come again together.
            std::thread::yield_now();
            while group.len() < GROUP && bytes < GROUP_BYTES {
                let Ok(next) = requests.try_recv() else { break };
                bytes = bytes.saturating_add(next.sealed.bytes.len());
                group.push(next);
            }
            self.commit(&mut group);
        }
    }

    /// Whoever asked and is gone does not want the answer.
    fn commit(&mut self, group: &mut Vec<Request>) {
        let (sealed, answers): (Vec<_>, Vec<_>) =
            group.drain(..).map(|Request { sealed, answer }| (sealed, answer)).unzip();
        match self.0.keep(&sealed) {
            Ok(blobs) => answers.into_iter().zip(blobs).for_each(|(answer, blob)| {
                drop(answer.send(Ok(blob)));
            }),
            Err(error) => answers.into_iter().for_each(|answer| {
                drop(answer.send(Err(again(&error))));
            }),
        }
    }
}

/// One fault of the pack, told to each of a group.
fn again(error: &Error) -> Error {
    match error {
        Error::Full => Error::Full,
        Error::Io(error) => Error::Io(io::Error::new(error.kind(), error.to_string())),
        _ => Error::Gone,
    }
}
