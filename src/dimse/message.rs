//! Messages on an association: PDVs to commands and data, and back (PS3.8 annex E, PS3.7 6.3.1).
//!
//! Owns the assembly of messages on both sides. Invariants: data of a message are of the command before it and
//! of its context; nothing is joined over the end of a message; a fragment is handed on when it came, never
//! collected here. Any breach ends the association with an A-ABORT.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes};
use dicom_ul::pdu::Pdu;

use super::command::{COMMAND_LIMIT, Command, Payload};
use super::error::{Abort, Error};
use super::wire::{Heard, Inbound, Outbound, PDV_HEADER, abort_pdu, abort_reason};

/// So many empty fragments in a row are an attack, not a peculiarity.
const EMPTY_FRAGMENTS: u32 = 1_000;

/// What came next.
#[derive(Debug)]
pub(super) enum Part {
    Command { context: u8, command: Command },
    Data { bytes: Bytes, place: Place },
    Released,
}

/// One PDV (PS3.8 9.3.5.1), its bytes where they came to lie.
struct Value {
    context: u8,
    is_command: bool,
    is_last: bool,
    bytes: Bytes,
}

impl Value {
    /// Takes the first of the PDVs of one PDU.
    fn split_from(values: &mut Bytes) -> Result<Self, Error> {
        let malformed = || Error::protocol("a malformed PDV", Abort::InvalidParameter);
        let length = values.try_get_u32().map_err(|_| malformed())?;
        let length = usize::try_from(length).map_err(|_| malformed())?;
        if length < 2 || length > values.len() {
            return Err(malformed());
        }
        let mut bytes = values.split_to(length);
        // Of the message control header only two bits are tested (PS3.8 E.2).
        let (context, control) = (bytes.get_u8(), bytes.get_u8());
        Ok(Self { context, is_command: control & 1 != 0, is_last: control & 2 != 0, bytes })
    }
}

/// Where a fragment stands in its data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Within,
    Last,
}

/// The hearing side: PDVs assembled.
pub(super) struct Ear {
    pub(super) inbound: Inbound,
    contexts: Vec<u8>,
    queue: VecDeque<Value>,
    /// The command under way, with its context.
    command: Option<(u8, Vec<u8>)>,
    /// The context of the data set that has to come, or goes on.
    expects: Option<u8>,
    empty: u32,
}

impl Ear {
    pub(super) fn new(inbound: Inbound) -> Self {
        Self {
            inbound,
            contexts: Vec::new(),
            queue: VecDeque::new(),
            command: None,
            expects: None,
            empty: 0,
        }
    }

    /// The contexts that were accepted; PDVs of others are a breach.
    pub(super) fn set_contexts(&mut self, contexts: impl IntoIterator<Item = u8>) {
        self.contexts = contexts.into_iter().collect();
    }

    /// Whether the data set of the last command is still coming.
    pub(super) fn expects_data(&self) -> bool {
        self.expects.is_some()
    }

    /// The next part of a message. Waits at most `wait` for the next PDU. Dropping the future loses nothing.
    pub(super) async fn next(
        &mut self,
        wait: Duration,
        doing: &'static str,
    ) -> Result<Part, Error> {
        loop {
            while let Some(value) = self.queue.pop_front() {
                if let Some(part) = self.take(value)? {
                    return Ok(part);
                }
            }
            let pdu = match self.inbound.next(wait, doing).await? {
                Heard::Data(values) if values.is_empty() => {
                    return Err(Error::protocol(
                        "a data PDU without content",
                        Abort::InvalidParameter,
                    ));
                }
                Heard::Data(mut values) => {
                    while !values.is_empty() {
                        self.queue.push_back(Value::split_from(&mut values)?);
                    }
                    continue;
                }
                Heard::Other(pdu) => pdu,
            };
            match pdu {
                Pdu::ReleaseRQ => {
                    if self.expects.is_some() || self.command.is_some() {
                        return Err(unexpected("a release within a message"));
                    }
                    return Ok(Part::Released);
                }
                Pdu::AbortRQ { source } => return Err(Error::Aborted(abort_reason(&source))),
                Pdu::AssociationRQ(_)
                | Pdu::AssociationAC(_)
                | Pdu::AssociationRJ(_)
                | Pdu::PData { .. }
                | Pdu::ReleaseRP
                | Pdu::Unknown { .. } => {
                    return Err(unexpected("a PDU that does not fit the moment"));
                }
            }
        }
    }

    fn take(&mut self, value: Value) -> Result<Option<Part>, Error> {
        let Value { context, is_command, is_last, bytes: data } = value;
        if !self.contexts.contains(&context) {
            return Err(unexpected("data in a context that was not accepted"));
        }
        if data.is_empty() && !is_last {
            self.empty = self.empty.saturating_add(1);
            if self.empty > EMPTY_FRAGMENTS {
                return Err(unexpected("empty fragments without end"));
            }
            return Ok(None);
        }
        self.empty = 0;
        if is_command {
            return self.take_command(context, is_last, &data);
        }
        if self.expects != Some(context) {
            return Err(unexpected("data without a command before them"));
        }
        let place = if is_last {
            self.expects = None;
            Place::Last
        } else {
            Place::Within
        };
        Ok(Some(Part::Data { bytes: data, place }))
    }

    fn take_command(
        &mut self,
        context: u8,
        is_last: bool,
        data: &[u8],
    ) -> Result<Option<Part>, Error> {
        if self.expects.is_some() {
            return Err(unexpected("a command within a data set"));
        }
        let (of, mut bytes) = self.command.take().unwrap_or((context, Vec::new()));
        if of != context {
            return Err(unexpected("a command that changes its context"));
        }
        if bytes.len().saturating_add(data.len()) > COMMAND_LIMIT {
            return Err(Error::TooLarge { what: "a command", limit: COMMAND_LIMIT as u64 });
        }
        bytes.extend_from_slice(data);
        if !is_last {
            self.command = Some((context, bytes));
            return Ok(None);
        }
        let command = Command::decode(&bytes)?;
        if command.payload() == Payload::Follows {
            self.expects = Some(context);
        }
        Ok(Some(Part::Command { context, command }))
    }
}

fn unexpected(what: &'static str) -> Error {
    Error::protocol(what, Abort::UnexpectedParameter)
}

/// The speaking side: messages cut into PDUs that the peer takes.
pub(super) struct Voice {
    pub(super) outbound: Outbound,
    /// Bytes of one fragment, even.
    fragment: usize,
}

impl Voice {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self { outbound, fragment: 1024 }
    }

    /// `max_pdu` is what the peer takes, clamped by us.
    pub(super) fn set_max_pdu(&mut self, max_pdu: u32) {
        let room = max_pdu.saturating_sub(PDV_HEADER) & !1;
        self.fragment = usize::try_from(room).unwrap_or(1024);
    }

    pub(super) fn fragment(&self) -> usize {
        self.fragment
    }

    pub(super) async fn command(&mut self, context: u8, command: &Command) -> Result<(), Error> {
        self.whole(context, 1, &command.encode()?).await
    }

    /// A data set that is in memory.
    pub(super) async fn data(&mut self, context: u8, bytes: &[u8]) -> Result<(), Error> {
        self.whole(context, 0, bytes).await
    }

    async fn whole(&mut self, context: u8, kind: u8, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        loop {
            let (now, later) = rest.split_at_checked(self.fragment).unwrap_or((rest, &[]));
            let last = if later.is_empty() { 2 } else { 0 };
            self.outbound.send_fragment(context, kind | last, now).await?;
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }
}

/// Ends an association after a fault: says why if the fault was the peer's and the connection still hears.
pub(super) async fn abort(ear: &mut Ear, voice: &mut Voice, error: Option<&Error>) {
    if voice.outbound.is_shut() {
        return;
    }
    let reason = match error {
        Some(Error::Protocol { abort, .. }) => Some(*abort),
        Some(Error::TooLarge { .. } | Error::NotDicom(_)) => Some(Abort::InvalidParameter),
        Some(Error::Aborted(_) | Error::Closed(_) | Error::Io(_) | Error::Rejected(_)) => None,
        _ => Some(Abort::User),
    };
    let last = reason.map(abort_pdu);
    voice.outbound.close(&mut ear.inbound, last.as_ref()).await;
}
