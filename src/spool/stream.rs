//! A pack for async callers: a blocking task writes what a short queue brings.
//!
//! Every command wakes a thread, so bytes are gathered before they are sent and the end of a blob is one command.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};

use super::{Error, Pack};
use crate::import::Blob;

/// Pieces on their way to the task: enough to keep it busy.
const QUEUE: usize = 2;
/// A piece is sent when it holds so many bytes: two P-DATA PDUs of full size, as much as is written at once.
const PIECE: usize = 240 << 10;
/// Fewer bytes are copied to those before them: what holds them in memory may be a large buffer.
const SMALL: usize = 4 << 10;

enum Command {
    Write(Piece),
    Finish(Piece, Then, oneshot::Sender<Result<Blob, Error>>),
    Abandon(oneshot::Sender<Result<(), Error>>),
    Sync(oneshot::Sender<Result<(), Error>>),
    /// What went wrong since the blob was begun.
    Fault(oneshot::Sender<Result<(), Error>>),
}

/// Bytes in the order they came.
#[derive(Default)]
struct Piece {
    /// The first of a blob.
    begins: bool,
    parts: Vec<Bytes>,
    /// What was copied behind them.
    tail: BytesMut,
    length: usize,
}

/// What follows a blob that was finished.
#[derive(Clone, Copy)]
enum Then {
    Nothing,
    Sync,
}

impl Piece {
    fn push(&mut self, bytes: Bytes) {
        self.length = self.length.saturating_add(bytes.len());
        if bytes.len() < SMALL {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        if !self.tail.is_empty() {
            self.parts.push(self.tail.split().freeze());
        }
        self.parts.push(bytes);
    }

    fn write_to(&self, pack: &mut Pack) -> Result<(), Error> {
        if self.begins {
            pack.begin()?;
        }
        self.parts.iter().try_for_each(|part| pack.write(part))?;
        pack.write(&self.tail)
    }
}

/// A [`Pack`] whose work runs on the blocking pool; at most a few chunks are queued.
///
/// `write` returns before the work is done; its error comes with the next call of `write`, or with `finish`. Dropped in the middle of a blob, the blob is given up and the pack stays sound. A call
/// whose future was dropped before it was ready leaves the blob undecided: abandon it.
pub struct AsyncPack {
    queue: mpsc::Sender<Command>,
    pending: Piece,
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
        Self { queue, pending: Piece::default(), faulty, number }
    }

    /// Number of the pack, as in [`Blob::pack`].
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Begins a blob.
    pub fn begin(&mut self) {
        self.pending = Piece { begins: true, ..Piece::default() };
    }

    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        if self.faulty.load(Ordering::Acquire) {
            return self.ask(Command::Fault).await;
        }
        while !bytes.is_empty() {
            let room = PIECE.saturating_sub(self.pending.length).max(SMALL).min(bytes.len());
            // What is little more than a piece goes as one.
            let now = if bytes.len() < PIECE + PIECE / 2 { bytes.len() } else { room };
            self.pending.push(bytes.split_to(now));
            if self.pending.length >= PIECE {
                let piece = mem::take(&mut self.pending);
                self.send(Command::Write(piece)).await?;
            }
        }
        Ok(())
    }

    /// Ends the blob begun last. Not yet on the device. On an error the blob is given up.
    pub async fn finish(&mut self) -> Result<Blob, Error> {
        let piece = mem::take(&mut self.pending);
        self.ask(|answer| Command::Finish(piece, Then::Nothing, answer)).await
    }

    /// As [`Self::finish`] and [`Self::sync`], in one step.
    pub async fn commit(&mut self) -> Result<Blob, Error> {
        let piece = mem::take(&mut self.pending);
        self.ask(|answer| Command::Finish(piece, Then::Sync, answer)).await
    }

    /// Gives the blob begun last up, with any error it had.
    pub async fn abandon(&mut self) -> Result<(), Error> {
        self.pending = Piece::default();
        self.ask(Command::Abandon).await
    }

    /// Everything finished before is on the device when this returns.
    pub async fn sync(&mut self) -> Result<(), Error> {
        self.ask(Command::Sync).await
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
                Command::Write(piece) => self.write(&piece),
                Command::Finish(piece, then, answer) => {
                    self.write(&piece);
                    let finished = self.finish();
                    let done = match then {
                        Then::Nothing => finished,
                        Then::Sync => finished.and_then(|blob| self.pack.sync().map(|()| blob)),
                    };
                    drop(answer.send(done));
                }
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

    fn write(&mut self, piece: &Piece) {
        if self.fault.is_none() {
            let written = piece.write_to(&mut self.pack);
            self.note(written);
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
