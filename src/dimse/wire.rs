//! PDUs on a stream: bounded before they are read, timed as a whole, read and written by dicom-ul's codec.
//!
//! Owns the two halves of a connection. Invariants: no PDU is buffered beyond its kind's limit; a PDU that has
//! begun must end within one deadline, however its bytes trickle; a dropped connection never looks like an
//! orderly end (an A-ABORT goes out if the last PDU was whole, otherwise the transport just closes); behind our last
//! PDU the peer closes first, for a bounded time.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use dicom_ul::pdu::{self, AbortRQServiceProviderReason, AbortRQSource, Pdu};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{Abort, Error, Spoken};
use super::{Timeouts, lenient};
use crate::tls;

/// What associations run on: TCP, TLS, or a pipe in tests.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Association requests hold up to 128 contexts with dozens of syntaxes each: 71 KB was seen. Our P-DATA limit
/// says nothing about them (PS3.8 D.1).
pub(super) const ASSOCIATION_PDU_LIMIT: u32 = 1 << 20;

/// Rejects, releases and aborts have four bytes of body; a little more is forgiven.
const SHORT_PDU_LIMIT: u32 = 64;

/// Some peers count the maximum length without the headers around it.
const DATA_PDU_SLACK: u32 = 64;

/// PDU type, reserved byte, length (PS3.8 9.3.1).
const HEADER: usize = 6;

/// The kind of PDU that carries messages (PS3.8 9.3.1).
const P_DATA: u8 = 4;

/// Length, context, control header of one PDV.
pub(super) const PDV_HEADER: u32 = 6;

/// Room for reading: two PDUs of full size with their headers, and a command.
const READ_STEP: usize = 264 << 10;

/// With less room than this a read is not worth its call.
const READ_LEAST: usize = 16 << 10;

/// After our final PDU the peer closes first (PS3.8 9.2, Sta13); so long we wait for a caller, and read on so much:
/// closing with unread bytes makes the kernel send a reset that may overtake the PDU. Shorter than ARTIM, because whoever
/// keeps the rules closes at once, and who does not keeps a place that others may want.
pub(super) const CALLER_LINGERS: Duration = Duration::from_secs(2);
/// The same for a peer that we called. An A-ABORT is all that it can be, and somebody waits for our outcome.
pub(super) const CALLED_LINGERS: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 16 << 20;

/// A final PDU is not worth waiting longer for.
const LAST_WORDS: Duration = Duration::from_secs(2);

const ABORT_BY_USER: [u8; 10] = [7, 0, 0, 0, 0, 4, 0, 0, 0, 0];

/// Which kinds of PDU may come now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Negotiating,
    Established,
}

/// What came as one PDU.
pub(super) enum Heard {
    /// P-DATA: the PDVs, as they came. Of all PDUs only these are many and large, so they are not copied.
    Data(Bytes),
    Other(Pdu),
}

/// The reading half.
pub(super) struct Inbound {
    reader: ReadHalf<Box<dyn Stream>>,
    buffer: BytesMut,
    /// When the PDU in the buffer began.
    begun: Option<Instant>,
    pub(super) phase: Phase,
    data_limit: u32,
    total: Duration,
    linger: Duration,
}

/// The writing half.
pub(super) struct Outbound {
    writer: WriteHalf<Box<dyn Stream>>,
    mouth: Mouth,
    limit: Duration,
}

/// What an abort could still achieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mouth {
    /// Every PDU begun was written to its end.
    Whole,
    /// In the middle of a PDU.
    Within,
    /// Nothing more to say.
    Shut,
}

/// Splits a connection. `timeouts.read` bounds a whole PDU from its first byte, `write` likewise; `linger` the wait for
/// the peer to close after our last.
pub(super) fn split(
    stream: Box<dyn Stream>,
    max_pdu: u32,
    timeouts: &Timeouts,
    linger: Duration,
) -> (Inbound, Outbound) {
    let (reader, writer) = tokio::io::split(stream);
    let inbound = Inbound {
        reader,
        buffer: BytesMut::new(),
        begun: None,
        phase: Phase::Negotiating,
        data_limit: max_pdu.saturating_add(DATA_PDU_SLACK),
        total: timeouts.read,
        linger: linger.min(timeouts.association),
    };
    (inbound, Outbound { writer, mouth: Mouth::Whole, limit: timeouts.write })
}

impl Inbound {
    /// The next PDU. Waits at most `wait` for it to begin. Dropping the future loses nothing.
    pub(super) async fn next(
        &mut self,
        wait: Duration,
        doing: &'static str,
    ) -> Result<Heard, Error> {
        let idle = Instant::now().checked_add(wait);
        loop {
            if let Some(heard) = self.take()? {
                return Ok(heard);
            }
            let end = match self.begun {
                Some(begun) => begun.checked_add(self.total),
                None => idle,
            };
            let end = end.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
            let missing = self.missing();
            if self.buffer.capacity().saturating_sub(self.buffer.len()) < missing {
                self.buffer.reserve(missing.max(READ_STEP));
            }
            let most = self.most();
            let mut reader = (&mut self.reader).take(most);
            match timeout_at(end, reader.read_buf(&mut self.buffer)).await {
                Err(_) => return Err(Error::TimedOut(doing)),
                Ok(Ok(0)) => return Err(Error::Closed(doing)),
                Ok(Ok(_)) => {
                    self.begun.get_or_insert_with(Instant::now);
                }
                Ok(Err(error)) => return Err(closed_or_io(error, doing)),
            }
        }
    }

    /// What the PDU in the buffer lacks; the header check has bounded it.
    fn missing(&self) -> usize {
        let declared = self.declared().map_or(0, |(_, length)| length as usize + HEADER);
        declared.saturating_sub(self.buffer.len()).max(READ_LEAST)
    }

    /// How much is read at once: no more than the PDU in the buffer lacks if the next one would not fit behind it,
    /// because what came of that one would have to be moved to a new buffer.
    fn most(&self) -> u64 {
        let room = self.buffer.capacity().saturating_sub(self.buffer.len());
        let most = self.declared().map_or(room, |(_, length)| {
            let whole = length as usize + HEADER;
            let lacking = whole.saturating_sub(self.buffer.len());
            if room.saturating_sub(lacking) < whole { lacking } else { room }
        });
        u64::try_from(most.max(1)).unwrap_or(u64::MAX)
    }

    fn declared(&self) -> Option<(u8, u32)> {
        let mut header = self.buffer.get(..HEADER)?;
        let kind = header.get_u8();
        header.advance(1);
        Some((kind, header.get_u32()))
    }

    fn take(&mut self) -> Result<Option<Heard>, Error> {
        if self.phase == Phase::Negotiating
            && let Some(spoken) = other_protocol(&self.buffer)
        {
            return Err(Error::NotDicom(spoken));
        }
        let Some((kind, length)) = self.declared() else {
            return Ok(None);
        };
        self.check(kind, length)?;
        let whole = length as usize + HEADER;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let mut bytes = self.buffer.split_to(whole).freeze();
        self.begun = (!self.buffer.is_empty()).then(Instant::now);
        if kind == P_DATA {
            bytes.advance(HEADER);
            return Ok(Some(Heard::Data(bytes)));
        }
        decode(kind, bytes).map(|pdu| Some(Heard::Other(pdu)))
    }

    fn check(&self, kind: u8, length: u32) -> Result<(), Error> {
        let limit = match (kind, self.phase) {
            (1 | 2, Phase::Negotiating) => ASSOCIATION_PDU_LIMIT,
            (3, Phase::Negotiating) | (5 | 6, Phase::Established) | (7, _) => SHORT_PDU_LIMIT,
            (P_DATA, Phase::Established) => self.data_limit,
            (1..=6, _) => {
                return Err(Error::protocol(
                    "a PDU that does not fit the moment",
                    Abort::UnexpectedPdu,
                ));
            }
            _ => {
                return Err(Error::protocol("an unknown kind of PDU", Abort::UnrecognisedPdu));
            }
        };
        if length > limit {
            return Err(Error::TooLarge { what: "one PDU", limit: u64::from(limit) });
        }
        Ok(())
    }

    /// Reads and forgets what still comes, until the peer closes or it has been enough.
    async fn linger(&mut self) {
        let mut seen = 0;
        // Whoever lingers holds no more than it needs.
        self.buffer = BytesMut::new();
        let _ = timeout(self.linger, async {
            while seen < LINGER_BYTES {
                self.buffer.clear();
                self.buffer.reserve(READ_LEAST);
                match self.reader.read_buf(&mut self.buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => seen += n,
                }
            }
        })
        .await;
    }
}

fn closed_or_io(error: std::io::Error, doing: &'static str) -> Error {
    use std::io::ErrorKind;
    if let Some(fault) = tls::of_io(&error) {
        return Error::Tls(fault);
    }
    match error.kind() {
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Error::Closed(doing),
        _ => Error::Io(error),
    }
}

/// Recognises by its first bytes what is certainly not an association PDU.
fn other_protocol(bytes: &[u8]) -> Option<Spoken> {
    match bytes {
        // TLS records: handshake or alert, major version 3.
        [0x15 | 0x16, 3, ..] => Some(Spoken::Tls),
        [b'H', b'T', b'T', b'P', ..]
        | [b'G', b'E', b'T', b' ', ..]
        | [b'P', b'O', b'S', b'T', ..]
        | [b'P', b'U', b'T', b' ', ..]
        | [b'H', b'E', b'A', b'D', ..] => Some(Spoken::Http),
        [b'H' | b'G' | b'P', ..] if bytes.len() < 4 => None,
        [0x15 | 0x16] | [] | [1..=7, ..] => None,
        _ => Some(Spoken::Unknown),
    }
}

fn decode(kind: u8, bytes: Bytes) -> Result<Pdu, Error> {
    let bytes = match kind {
        1 | 2 => lenient::tidy(&bytes)?,
        _ => bytes,
    };
    match pdu::read_pdu(bytes, pdu::MAXIMUM_PDU_SIZE, false) {
        Ok(Some(pdu)) => Ok(pdu),
        Ok(None) | Err(_) => Err(Error::protocol("a malformed PDU", Abort::InvalidParameter)),
    }
}

impl Outbound {
    pub(super) async fn send(&mut self, pdu: &Pdu) -> Result<(), Error> {
        let mut bytes = Vec::new();
        pdu::write_pdu(&mut bytes, pdu).map_err(|_| {
            Error::protocol("our own PDU could not be written", Abort::NotSpecified)
        })?;
        self.write(&bytes, self.limit).await
    }

    /// One PDU with one PDV. Built by hand, because the codec copies the fragment four times.
    pub(super) async fn send_fragment(
        &mut self,
        context: u8,
        control: u8,
        fragment: &[u8],
    ) -> Result<(), Error> {
        let value = u32::try_from(fragment.len()).unwrap_or(u32::MAX).saturating_add(2);
        let mut bytes = Vec::with_capacity(fragment.len() + HEADER + PDV_HEADER as usize);
        bytes.put_slice(&[P_DATA, 0]);
        bytes.put_u32(value.saturating_add(4));
        bytes.put_u32(value);
        bytes.put_slice(&[context, control]);
        bytes.put_slice(fragment);
        self.write(&bytes, self.limit).await
    }

    /// Whole PDUs, as they are.
    pub(super) async fn send_pdus(&mut self, pdus: &[u8]) -> Result<(), Error> {
        self.write(pdus, self.limit).await
    }

    async fn write(&mut self, bytes: &[u8], limit: Duration) -> Result<(), Error> {
        const DOING: &str = "we were sending";
        if self.mouth != Mouth::Whole {
            return Err(Error::Dead);
        }
        self.mouth = Mouth::Within;
        let written = timeout(limit, async {
            self.writer.write_all(bytes).await?;
            self.writer.flush().await
        });
        match written.await {
            Err(_) => Err(Error::TimedOut(DOING)),
            Ok(Err(error)) => Err(closed_or_io(error, DOING)),
            Ok(Ok(())) => {
                self.mouth = Mouth::Whole;
                Ok(())
            }
        }
    }

    pub(super) fn is_shut(&self) -> bool {
        self.mouth == Mouth::Shut
    }

    /// Says one last thing, if there is one and it can be said, and ends the connection.
    pub(super) async fn close(&mut self, inbound: &mut Inbound, last: Option<&Pdu>) {
        if let (Some(pdu), Mouth::Whole) = (last, self.mouth) {
            let mut bytes = Vec::new();
            if pdu::write_pdu(&mut bytes, pdu).is_ok() {
                let _ = self.write(&bytes, LAST_WORDS.min(self.limit)).await;
            }
        }
        match (last, self.mouth) {
            (Some(_), Mouth::Whole) => self.let_go(inbound).await,
            _ => self.shut().await,
        }
    }

    /// Ends the connection after our last PDU: the peer first, we when it has, or when it takes too long.
    pub(super) async fn let_go(&mut self, inbound: &mut Inbound) {
        self.mouth = Mouth::Shut;
        inbound.linger().await;
        self.shut().await;
    }

    async fn shut(&mut self) {
        self.mouth = Mouth::Shut;
        let _ = timeout(LAST_WORDS, self.writer.shutdown()).await;
    }
}

impl Drop for Outbound {
    /// One attempt without waiting: a future that was cancelled or panicked can not wait.
    fn drop(&mut self) {
        if self.mouth == Mouth::Whole {
            let mut context = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.writer).poll_write(&mut context, &ABORT_BY_USER);
        }
    }
}

/// An A-ABORT PDU as we send it.
pub(super) fn abort_pdu(abort: Abort) -> Pdu {
    use AbortRQServiceProviderReason as Reason;
    let source = match abort {
        Abort::User => AbortRQSource::ServiceUser,
        Abort::NotSpecified => AbortRQSource::ServiceProvider(Reason::ReasonNotSpecified),
        Abort::UnrecognisedPdu => AbortRQSource::ServiceProvider(Reason::UnrecognizedPdu),
        Abort::UnexpectedPdu => AbortRQSource::ServiceProvider(Reason::UnexpectedPdu),
        Abort::UnrecognisedParameter => {
            AbortRQSource::ServiceProvider(Reason::UnrecognizedPduParameter)
        }
        Abort::UnexpectedParameter => {
            AbortRQSource::ServiceProvider(Reason::UnexpectedPduParameter)
        }
        Abort::InvalidParameter => AbortRQSource::ServiceProvider(Reason::InvalidPduParameter),
    };
    Pdu::AbortRQ { source }
}

/// The reason of an A-ABORT PDU that came.
pub(super) fn abort_reason(source: &AbortRQSource) -> Abort {
    use AbortRQServiceProviderReason as Reason;
    match source {
        AbortRQSource::ServiceUser => Abort::User,
        AbortRQSource::Reserved => Abort::NotSpecified,
        AbortRQSource::ServiceProvider(reason) => match reason {
            Reason::ReasonNotSpecified | Reason::Reserved => Abort::NotSpecified,
            Reason::UnrecognizedPdu => Abort::UnrecognisedPdu,
            Reason::UnexpectedPdu => Abort::UnexpectedPdu,
            Reason::UnrecognizedPduParameter => Abort::UnrecognisedParameter,
            Reason::UnexpectedPduParameter => Abort::UnexpectedParameter,
            Reason::InvalidPduParameter => Abort::InvalidParameter,
        },
    }
}
