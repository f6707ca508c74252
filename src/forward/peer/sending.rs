//! One object on its way from the spool to an association: read and coerced on the blocking pool, handed over
//! in pieces, a few of them ahead.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Shared;
use crate::dicom::Uid;
use crate::dimse::Chunk;
use crate::forward::object::{self, Closed, Fault, Job};
use crate::import::Instance;

/// Pieces read ahead, of [`object::PIECE`] bytes each: a CT slice is ready while the one before is on the
/// wire, and a large object costs one megabyte.
const AHEAD: usize = 8;

pub(super) struct Sending {
    pub(super) number: u32,
    pub(super) instance: Arc<Instance>,
    pub(super) transfer_syntax: Uid,
    pub(super) chunks: mpsc::Receiver<Chunk>,
    ready: oneshot::Receiver<()>,
    task: JoinHandle<Result<(), Fault>>,
}

impl Sending {
    pub(super) fn begin(
        shared: &Arc<Shared>,
        number: u32,
        instance: Arc<Instance>,
        transfer_syntax: Uid,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let (tell, ready) = oneshot::channel();
        let task = tokio::task::spawn_blocking({
            let shared = Arc::clone(shared);
            let instance = Arc::clone(&instance);
            let transfer_syntax = transfer_syntax.clone();
            move || produce(&shared, number, &instance, &transfer_syntax, tell, &sender)
        });
        Self { number, instance, transfer_syntax, chunks, ready, task }
    }

    /// Waits until the header is coerced; from then on only reading can fail.
    pub(super) async fn ready(&mut self) -> Result<(), Fault> {
        match (&mut self.ready).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.fault().await),
        }
    }

    /// Why the object did not end.
    pub(super) async fn fault(&mut self) -> Fault {
        match (&mut self.task).await {
            Ok(Err(fault)) => fault,
            Ok(Ok(())) => Fault::Closed,
            Err(error) => Fault::Read(std::io::Error::other(error)),
        }
    }
}

fn produce(
    shared: &Shared,
    number: u32,
    instance: &Instance,
    transfer_syntax: &Uid,
    tell: oneshot::Sender<()>,
    sender: &mpsc::Sender<Chunk>,
) -> Result<(), Fault> {
    let mut reader = shared.source.open(&instance.blob)?;
    let job = Job { plan: &shared.plan, facts: &shared.facts, number, instance, transfer_syntax };
    let prepared = object::prepare(&mut reader, &job)?;
    tell.send(()).map_err(|()| Fault::Closed)?;
    let mut sink = |bytes: bytes::Bytes| {
        let length = u64::try_from(bytes.len()).unwrap_or(0);
        shared.bucket.wait(length);
        sender.blocking_send(Chunk::Bytes(bytes)).map_err(|_| Closed)?;
        shared.recorder.sent_bytes(length);
        Ok(())
    };
    prepared.stream(&mut reader, &mut sink)?;
    sender.blocking_send(Chunk::End).map_err(|_| Fault::Closed)
}
