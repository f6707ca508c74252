//! MLLP: a message between a start byte and an end byte with a carriage return.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

const START: u8 = 0x0B;
const END: u8 = 0x1C;
const CARRIAGE_RETURN: u8 = 0x0D;

/// How a message begins, with and without a byte order mark.
const BEGINNINGS: [&[u8]; 2] = [b"MSH", b"\xEF\xBB\xBFMSH"];

/// One message. Orders and patients have a few kilobytes; more are documents, which nobody sends here.
pub const FRAME_LIMIT: usize = 1 << 20;

/// Line ends and fill bytes that careless senders put between frames.
const STRAY_LIMIT: usize = 64;

/// Read at once.
const CHUNK: usize = 8 << 10;

/// How long the carriage return may lag behind the end byte; some senders never send it.
const LAG: Duration = Duration::from_millis(250);

/// How patient one end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Between two messages.
    pub idle: Duration,
    /// For one message from its first byte to its last, either way.
    pub frame: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // Senders keep their connection open all day and speak when something happens.
        Self { idle: Duration::from_secs(24 * 3600), frame: Duration::from_secs(30) }
    }
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} cannot be resolved; check the name")]
    Resolve(String),
    #[error("{address} cannot be reached: {source}; check address, port and firewall")]
    Unreachable { address: String, source: io::Error },
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the other side closed inside a message")]
    Cut,
    #[error("the other side closed without an answer")]
    NoAnswer,
    #[error("{0} took too long")]
    TimedOut(&'static str),
    #[error("bytes came that are no MLLP frame; check that the other side speaks MLLP here")]
    NoFrame,
    #[error("an answer came that is larger than 1 MiB")]
    TooLarge,
    #[error("TLS: {0}")]
    Tls(crate::tls::Fault),
}

/// What came between a start and an end.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Whole(Vec<u8>),
    /// The first [`FRAME_LIMIT`] bytes of something larger; the connection cannot be used further.
    TooLarge(Vec<u8>),
}

/// One connection.
pub struct Link<S> {
    stream: S,
    /// Read and not yet used.
    pending: Vec<u8>,
    patience: Patience,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub fn new(stream: S, patience: Patience) -> Self {
        Self { stream, pending: Vec::new(), patience }
    }

    /// The next frame; `None` if the other side closed between two.
    ///
    /// # Errors
    /// After each of them the connection is of no use.
    pub async fn next(&mut self) -> Result<Option<Frame>, Error> {
        let mut stray = 0;
        loop {
            let skipped = self.pending.iter().take_while(|byte| is_stray(**byte)).count();
            self.pending.drain(..skipped);
            stray += skipped;
            match self.pending.first() {
                Some(&START) => break,
                Some(_) => return Err(Error::NoFrame),
                None if stray > STRAY_LIMIT => return Err(Error::NoFrame),
                None => {
                    let filled = timeout(self.patience.idle, self.fill()).await;
                    if filled.map_err(|_| Error::TimedOut("the next message"))?? == 0 {
                        return Ok(None);
                    }
                }
            }
        }
        let patience = self.patience.frame;
        timeout(patience, self.rest()).await.map_err(|_| Error::TimedOut("one message"))?.map(Some)
    }

    /// The frame that `pending` starts with.
    async fn rest(&mut self) -> Result<Frame, Error> {
        self.pending.drain(..1);
        let mut seen = 0;
        loop {
            let fresh = self.pending.iter().skip(seen);
            if let Some(at) = fresh.copied().position(|byte| byte == END || byte == START) {
                let at = seen + at;
                if self.pending.get(at) == Some(&START) {
                    match self.pending.get(at + 1..).map_or(Begun::Unclear, begun) {
                        // The sender gave up what it had begun and starts anew.
                        Begun::Yes => {
                            self.pending.drain(..=at);
                            seen = 0;
                        }
                        // A vertical tab within a text.
                        Begun::No => seen = at + 1,
                        Begun::Unclear => {
                            seen = at;
                            if self.fill().await? == 0 {
                                return Err(Error::Cut);
                            }
                        }
                    }
                    continue;
                }
                let mut message: Vec<u8> = self.pending.drain(..at).collect();
                self.pending.drain(..1);
                self.end().await?;
                if message.len() > FRAME_LIMIT {
                    message.truncate(FRAME_LIMIT);
                    return Ok(Frame::TooLarge(message));
                }
                return Ok(Frame::Whole(message));
            }
            seen = self.pending.len();
            if seen > FRAME_LIMIT {
                let mut head = std::mem::take(&mut self.pending);
                head.truncate(FRAME_LIMIT);
                return Ok(Frame::TooLarge(head));
            }
            if self.fill().await? == 0 {
                return Err(Error::Cut);
            }
        }
    }

    /// Behind the end byte stands a carriage return, or nothing; anything else means that the end byte was
    /// none, and the message would be cut there.
    async fn end(&mut self) -> Result<(), Error> {
        if self.pending.is_empty()
            && let Ok(filled) = timeout(LAG, self.fill()).await
        {
            filled?;
        }
        match self.pending.first() {
            Some(&CARRIAGE_RETURN) => {
                self.pending.drain(..1);
                Ok(())
            }
            Some(&START) | None => Ok(()),
            Some(_) => Err(Error::NoFrame),
        }
    }

    async fn fill(&mut self) -> Result<usize, Error> {
        self.pending.reserve(CHUNK);
        let mut limited = (&mut self.stream).take(CHUNK as u64);
        Ok(limited.read_buf(&mut self.pending).await?)
    }

    /// Sends one message in a frame.
    ///
    /// # Errors
    /// After each of them the connection is of no use.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        let mut framed = Vec::with_capacity(message.len() + 3);
        framed.push(START);
        framed.extend_from_slice(message);
        framed.extend_from_slice(&[END, CARRIAGE_RETURN]);
        let sent = async {
            self.stream.write_all(&framed).await?;
            self.stream.flush().await
        };
        let sent = timeout(self.patience.frame, sent).await;
        Ok(sent.map_err(|_| Error::TimedOut("sending"))??)
    }

    /// Says that nothing more comes.
    pub async fn close(mut self) {
        // The other side may be gone already.
        let _ = timeout(self.patience.frame, self.stream.shutdown()).await;
    }
}

/// Whether bytes begin a message.
enum Begun {
    Yes,
    No,
    /// There are too few of them.
    Unclear,
}

fn begun(bytes: &[u8]) -> Begun {
    if BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning)) {
        Begun::Yes
    } else if BEGINNINGS.iter().any(|beginning| beginning.starts_with(bytes)) {
        Begun::Unclear
    } else {
        Begun::No
    }
}

fn is_stray(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b' ' | 0)
}
