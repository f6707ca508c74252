//! A pack for async callers: a blocking task writes what a short queue brings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};

use super::format::CHUNK;
use super::{Error, Pack};
use crate::import::Blob;

/// Chunks on their way to the task: enough to keep it busy, 512 KiB at most.
const QUEUE: usize = 8;

enum Command {
    Begin,
    Write(Bytes),
    Finish(oneshot::Sender<Result<Blob, Error>>),
    Abandon(oneshot::Sender<Result<(), Error>>),
    Sync(oneshot::Sender<Result<(), Error>>),
    /// What went wrong since the blob was begun.
    Fault(oneshot::Sender<Result<(), Error>>),
}

/// A [`Pack`] whose work runs on the blocking pool; at most a few chunks are queued.
///
/// `begin` and `write` return before the work is done; an error of theirs comes with the next call of `write`,
/// or with `finish`. Dropped in the middle of a blob, the blob is given up and the pack stays sound. A call
/// whose future was dropped before it was ready leaves the blob undecided: abandon it.
pub struct AsyncPack {
    queue: mpsc::Sender<Command>,
    /// Bytes too few for a chunk of their own.
    pending: BytesMut,
    faulty: Arc<AtomicBool>,
    number: u32,
}

impl AsyncPack {
    pub(super) fn new(pack: Pack) -> Self {
        let (queue, commands) = mpsc::channel(QUEUE);
        let faulty = Arc::new(AtomicBool::new(false));
        let task = Task { pack, fault: None, faulty: faulty.clone() };
        let number = task.pack.number();
        // Ends by itself when the queue is closed.
        drop(tokio::task::spawn_blocking(move || task.run(commands)));
        Self { queue, pending: BytesMut::new(), faulty, number }
    }

    /// Number of the pack, as in [`Blob::pack`].
    pub fn number(&self) -> u32 {
        self.number
    }

    pub async fn begin(&mut self) -> Result<(), Error> {
        self.pending.clear();
        self.send(Command::Begin).await
    }

    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        if self.faulty.load(Ordering::Acquire) {
            return self.ask(Command::Fault).await;
        }
        if !self.pending.is_empty() {
            let missing = CHUNK.saturating_sub(self.pending.len()).min(bytes.len());
            self.pending.extend_from_slice(&bytes.split_to(missing));
            if self.pending.len() >= CHUNK {
                self.flush().await?;
            }
        }
        while bytes.len() >= CHUNK {
            self.send(Command::Write(bytes.split_to(CHUNK))).await?;
        }
        self.pending.extend_from_slice(&bytes);
        Ok(())
    }

    /// Ends the blob begun last. Not yet on the device. On an error the blob is given up.
    pub async fn finish(&mut self) -> Result<Blob, Error> {
        self.flush().await?;
        self.ask(Command::Finish).await
    }

    /// Gives the blob begun last up, with any error it had.
    pub async fn abandon(&mut self) -> Result<(), Error> {
        self.pending.clear();
        self.ask(Command::Abandon).await
    }

    /// Everything finished before is on the device when this returns.
    pub async fn sync(&mut self) -> Result<(), Error> {
        self.ask(Command::Sync).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let place = self.queue.reserve().await.map_err(|_| Error::Gone)?;
        place.send(Command::Write(self.pending.split().freeze()));
        Ok(())
    }

    async fn send(&self, command: Command) -> Result<(), Error> {
        self.queue.send(command).await.map_err(|_| Error::Gone)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer)).await?;
        answered.await.map_err(|_| Error::Gone)?
    }
}

struct Task {
    pack: Pack,
    /// The first error since the blob was begun.
    fault: Option<Error>,
    faulty: Arc<AtomicBool>,
}

impl Task {
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            // Whoever asked and is gone does not want the answer.
            match command {
                Command::Begin => {
                    let begun = self.pack.begin();
                    self.note(begun);
                }
                Command::Write(bytes) if self.fault.is_none() => {
                    let written = self.pack.write(&bytes);
                    self.note(written);
                }
                Command::Write(_) => {}
                Command::Finish(answer) => drop(answer.send(self.finish())),
                Command::Abandon(answer) => {
                    self.clear();
                    drop(answer.send(self.pack.abandon()));
                }
                Command::Sync(answer) => drop(answer.send(self.pack.sync())),
                Command::Fault(answer) => {
                    let fault = self.clear().unwrap_or(Error::OutOfTurn("abandon the blob"));
                    // What still comes for this blob goes nowhere.
                    self.note(Err(Error::OutOfTurn("the blob failed before; abandon it")));
                    drop(answer.send(Err(fault)));
                }
            }
        }
    }

    fn finish(&mut self) -> Result<Blob, Error> {
        let result = self.clear().map_or_else(|| self.pack.finish(), Err);
        if result.is_err() {
            self.pack.abandon()?;
        }
        result
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.fault.get_or_insert(error);
            self.faulty.store(true, Ordering::Release);
        }
    }

    fn clear(&mut self) -> Option<Error> {
        self.faulty.store(false, Ordering::Release);
        self.fault.take()
    }
}
