//! Storage commitment, both ends (PS3.4 annex J): N-ACTION asks, N-EVENT-REPORT tells.
//!
//! Invariants: every request and every report is answered, also one that cannot be read, because a peer that hears
//! nothing repeats itself; a data set is read only below [`SET_LIMIT`].

use std::time::Duration;

use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::Pdu;

use super::client::{Client, wrong_answer};
use super::command::{Command, Payload};
use super::message::{Part, Place};
use super::{Context, Error, Proposed, ServerAssociation, Status, negotiate};
use crate::dicom::{DataSet, Syntax, Uid, VR};

/// A reference takes some 150 bytes: 100,000 instances in one transaction.
pub(super) const SET_LIMIT: usize = 16 << 20;

/// PS3.4 J.3.5.
pub(super) const CLASS: &str = uids::STORAGE_COMMITMENT_PUSH_MODEL;
pub(super) const INSTANCE: &str = "1.2.840.10008.1.20.1.1";

/// Request Storage Commitment (PS3.4 J.3.2.1).
pub(super) const REQUEST: u16 = 1;

/// Everything is committed (PS3.4 J.3.3.1).
const COMPLETE: u16 = 1;
/// Failures exist.
const FAILURES: u16 = 2;

/// An instance by class and UID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub sop_class: Uid,
    pub sop_instance: Uid,
}

/// A request to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub transaction: Uid,
    pub instances: Vec<Reference>,
}

/// What became of a request: both lists may hold an instance, or neither may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub transaction: Uid,
    pub committed: Vec<Reference>,
    /// With the failure reason (PS3.3 C.14.1.1).
    pub failed: Vec<(Reference, u16)>,
}

/// A request or a report as it came, to be answered exactly once.
#[derive(Clone, Debug)]
pub struct Asked<T> {
    pub(super) context: u8,
    pub(super) message_id: u16,
    /// Action type or event type.
    pub(super) kind: u16,
    pub content: T,
}

/// How a report of ours went on the association of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    Answered(Status),
    /// The peer went on without answering it: it has to be told again.
    Unheard,
    /// The peer has released the association; it is over.
    Released,
}

/// The contexts for asking and for reporting. Verification beside it, since some peers abort an association of
/// which they take nothing.
pub fn commitment_contexts() -> Vec<Proposed> {
    let syntaxes = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let proposed = |class| Proposed {
        sop_class: negotiate::known(class),
        transfer_syntaxes: syntaxes.into_iter().map(negotiate::known).collect(),
    };
    [CLASS, uids::VERIFICATION].into_iter().map(proposed).collect()
}

impl Wanted {
    pub(super) fn write(&self, syntax: Syntax) -> Vec<u8> {
        let mut set = DataSet::default();
        put_uid(&mut set, tags::TRANSACTION_UID, &self.transaction);
        set.put_items(tags::REFERENCED_SOP_SEQUENCE, self.instances.iter().map(item).collect());
        set.write(syntax)
    }

    pub(super) fn read(bytes: &[u8], syntax: Syntax) -> Option<Self> {
        let set = DataSet::read(bytes, syntax).ok()?;
        let instances = references(&set, tags::REFERENCED_SOP_SEQUENCE)?;
        let transaction = set.uid(tags::TRANSACTION_UID)?;
        (!instances.is_empty()).then_some(Self { transaction, instances })
    }
}

impl Report {
    fn kind(&self) -> u16 {
        if self.failed.is_empty() { COMPLETE } else { FAILURES }
    }

    pub(super) fn write(&self, syntax: Syntax) -> Vec<u8> {
        let mut set = DataSet::default();
        put_uid(&mut set, tags::TRANSACTION_UID, &self.transaction);
        if !self.committed.is_empty() {
            set.put_items(tags::REFERENCED_SOP_SEQUENCE, self.committed.iter().map(item).collect());
        }
        if !self.failed.is_empty() {
            let failed = self.failed.iter().map(|(reference, reason)| {
                let mut item = item(reference);
                item.put_bytes(tags::FAILURE_REASON, VR::US, reason.to_le_bytes().to_vec());
                item
            });
            set.put_items(tags::FAILED_SOP_SEQUENCE, failed.collect());
        }
        set.write(syntax)
    }

    /// A failed instance without a readable reason counts as a processing failure.
    pub(super) fn read(bytes: &[u8], syntax: Syntax) -> Option<Self> {
        let set = DataSet::read(bytes, syntax).ok()?;
        let failed = set.items(tags::FAILED_SOP_SEQUENCE).iter().map(|item| {
            let reason = item.u16(tags::FAILURE_REASON).unwrap_or(Status::PROCESSING_FAILURE.0);
            Some((reference(item)?, reason))
        });
        Some(Self {
            transaction: set.uid(tags::TRANSACTION_UID)?,
            committed: references(&set, tags::REFERENCED_SOP_SEQUENCE)?,
            failed: failed.collect::<Option<_>>()?,
        })
    }
}

fn put_uid(set: &mut DataSet, tag: crate::dicom::Tag, uid: &Uid) {
    set.put_bytes(tag, VR::UI, uid.as_str().as_bytes().to_vec());
}

fn item(reference: &Reference) -> DataSet {
    let mut item = DataSet::default();
    put_uid(&mut item, tags::REFERENCED_SOP_CLASS_UID, &reference.sop_class);
    put_uid(&mut item, tags::REFERENCED_SOP_INSTANCE_UID, &reference.sop_instance);
    item
}

fn reference(item: &DataSet) -> Option<Reference> {
    Some(Reference {
        sop_class: item.uid(tags::REFERENCED_SOP_CLASS_UID)?,
        sop_instance: item.uid(tags::REFERENCED_SOP_INSTANCE_UID)?,
    })
}

/// `None` if one of them can't be read: an answer about the others would look like one about all.
fn references(set: &DataSet, tag: crate::dicom::Tag) -> Option<Vec<Reference>> {
    set.items(tag).iter().map(reference).collect()
}

/// What an N-ACTION, or an N-EVENT-REPORT, is about: the one place that knows how the two differ.
pub(super) trait Content: Sized {
    /// Action or event types.
    const KINDS: &'static [u16];
    /// The answer to another one.
    const NO_SUCH_KIND: Status;

    fn read(bytes: &[u8], syntax: Syntax) -> Option<Self>;

    fn answer(responded: u16, kind: u16, status: Status) -> Command;
}

impl Content for Wanted {
    const KINDS: &'static [u16] = &[REQUEST];
    const NO_SUCH_KIND: Status = Status::NO_SUCH_ACTION;

    fn read(bytes: &[u8], syntax: Syntax) -> Option<Self> {
        Self::read(bytes, syntax)
    }

    fn answer(responded: u16, kind: u16, status: Status) -> Command {
        Command::ActionRsp { responded, kind: Some(kind), status, payload: Payload::Absent }
    }
}

impl Content for Report {
    const KINDS: &'static [u16] = &[COMPLETE, FAILURES];
    const NO_SUCH_KIND: Status = Status::NO_SUCH_EVENT_TYPE;

    fn read(bytes: &[u8], syntax: Syntax) -> Option<Self> {
        Self::read(bytes, syntax)
    }

    fn answer(responded: u16, kind: u16, status: Status) -> Command {
        Command::EventRsp { responded, kind: Some(kind), status, payload: Payload::Absent }
    }
}

/// The command of an N-ACTION or N-EVENT-REPORT, before its data set is looked at.
pub(super) struct Head {
    pub(super) message_id: u16,
    pub(super) sop_class: Uid,
    pub(super) sop_instance: Uid,
    /// Action type or event type.
    pub(super) kind: u16,
}

impl Head {
    fn refusal<T: Content>(&self, context: &Context) -> Option<Status> {
        if context.sop_class.as_str() != CLASS || self.sop_class != context.sop_class {
            return Some(Status::CLASS_NOT_SUPPORTED);
        }
        if self.sop_instance.as_str() != INSTANCE {
            return Some(Status::NO_SUCH_INSTANCE);
        }
        (!T::KINDS.contains(&self.kind)).then_some(T::NO_SUCH_KIND)
    }
}

/// What was asked or told; else our answer to what can't be taken.
pub(super) fn take<T: Content>(
    context: &Context,
    head: &Head,
    bytes: &[u8],
) -> Result<Asked<T>, Command> {
    let Head { message_id, kind, .. } = *head;
    let status = match head.refusal::<T>(context) {
        Some(status) => status,
        None => match T::read(bytes, Syntax::of(&context.transfer_syntax)) {
            Some(content) => return Ok(Asked { context: context.id, message_id, kind, content }),
            None => Status::PROCESSING_FAILURE,
        },
    };
    Err(T::answer(message_id, kind, status))
}

fn answer<T: Content>(asked: &Asked<T>, status: Status) -> Command {
    T::answer(asked.message_id, asked.kind, status)
}

impl Client {
    /// Whether the peer takes commitment requests, or reports, on this association.
    pub fn takes_commitment(&self) -> bool {
        !self.accepted(&negotiate::known(CLASS)).is_empty()
    }

    /// N-ACTION: asks to commit. Success only says that the peer will report.
    ///
    /// # Errors
    ///
    /// [`Error::ContextRefused`] leaves the association usable, every other error has ended it.
    pub async fn commit(&mut self, wanted: &Wanted) -> Result<Status, Error> {
        let (context, syntax) = self.commitment_context()?;
        let message_id = self.next_message_id();
        let command = Command::ActionRq {
            message_id,
            sop_class: negotiate::known(CLASS),
            sop_instance: negotiate::known(INSTANCE),
            kind: REQUEST,
            payload: Payload::Follows,
        };
        let result = async {
            self.voice.command(context, &command).await?;
            self.voice.data(context, &wanted.write(syntax)).await?;
            match self.answer().await? {
                Command::ActionRsp { responded, status, payload, .. }
                    if responded == message_id =>
                {
                    if payload == Payload::Follows {
                        self.data_set().await?;
                    }
                    Ok(status)
                }
                _ => Err(wrong_answer()),
            }
        };
        let result = result.await;
        self.settle(result).await
    }

    /// Waits for a report on this association; `None` if the peer said nothing for so long, or ended it.
    pub async fn next_report(&mut self, wait: Duration) -> Result<Option<Asked<Report>>, Error> {
        let result = self.hear_report(wait).await;
        self.settle(result).await
    }

    async fn hear_report(&mut self, wait: Duration) -> Result<Option<Asked<Report>>, Error> {
        const DOING: &str = "we waited for its report";
        loop {
            // The longer patience within never ends first.
            let heard = self.ear.next(wait.saturating_mul(2), DOING);
            let Ok(heard) = tokio::time::timeout(wait, heard).await else { return Ok(None) };
            let (context, command) = match heard {
                Ok(Part::Command { context, command }) => (context, command),
                Ok(Part::Released) => {
                    self.voice.outbound.send(&Pdu::ReleaseRP).await?;
                    self.voice.outbound.let_go(&mut self.ear.inbound).await;
                    return Ok(None);
                }
                Ok(Part::Data { .. }) => return Err(wrong_answer()),
                Err(error) => return Err(error),
            };
            let Command::EventRq { message_id, sop_class, sop_instance, kind, .. } = command else {
                return Err(wrong_answer());
            };
            let bytes = self.data_set().await?;
            let agreed = self.contexts.iter().find(|known| known.id == context);
            let head = Head { message_id, sop_class, sop_instance, kind };
            match take(agreed.ok_or_else(wrong_answer)?, &head, &bytes) {
                Ok(report) => return Ok(Some(report)),
                Err(answer) => self.voice.command(context, &answer).await?,
            }
        }
    }

    pub async fn answer_report(
        &mut self,
        report: &Asked<Report>,
        status: Status,
    ) -> Result<(), Error> {
        let result = self.voice.command(report.context, &answer(report, status)).await;
        self.settle(result).await
    }

    /// N-EVENT-REPORT on an association of ours: what became of the peer's request.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub async fn report(&mut self, report: &Report) -> Result<Status, Error> {
        let (context, syntax) = self.commitment_context()?;
        let message_id = self.next_message_id();
        let result = async {
            self.voice.command(context, &event(message_id, report)).await?;
            self.voice.data(context, &report.write(syntax)).await?;
            match self.answer().await? {
                Command::EventRsp { responded, status, payload, .. } if responded == message_id => {
                    if payload == Payload::Follows {
                        self.data_set().await?;
                    }
                    Ok(status)
                }
                _ => Err(wrong_answer()),
            }
        };
        let result = result.await;
        self.settle(result).await
    }

    fn commitment_context(&self) -> Result<(u8, Syntax), Error> {
        let class = negotiate::known(CLASS);
        let explicit = negotiate::known(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        match self.context(&class, Some(&explicit)) {
            Ok(context) => Ok((context, Syntax::ExplicitLittle)),
            Err(Error::ContextRefused { .. }) => {
                let implicit = negotiate::known(uids::IMPLICIT_VR_LITTLE_ENDIAN);
                Ok((self.context(&class, Some(&implicit))?, Syntax::ImplicitLittle))
            }
            Err(error) => Err(error),
        }
    }

    /// The data set behind a command; empty if the command said that none follows.
    async fn data_set(&mut self) -> Result<Vec<u8>, Error> {
        const DOING: &str = "we waited for a data set";
        let mut whole = Vec::new();
        while self.ear.expects_data() {
            match self.ear.next(self.timeouts.response, DOING).await? {
                Part::Data { bytes, place } => {
                    if whole.len().saturating_add(bytes.len()) > SET_LIMIT {
                        let limit = SET_LIMIT as u64;
                        return Err(Error::TooLarge { what: "a commitment data set", limit });
                    }
                    whole.extend_from_slice(&bytes);
                    if place == Place::Last {
                        break;
                    }
                }
                Part::Command { .. } => return Err(wrong_answer()),
                Part::Released => return Err(Error::Released(DOING)),
            }
        }
        Ok(whole)
    }
}

fn event(message_id: u16, report: &Report) -> Command {
    Command::EventRq {
        message_id,
        sop_class: negotiate::known(CLASS),
        sop_instance: negotiate::known(INSTANCE),
        kind: report.kind(),
        payload: Payload::Follows,
    }
}

impl ServerAssociation {
    /// Answers an N-ACTION.
    pub async fn respond_commit(
        &mut self,
        wanted: &Asked<Wanted>,
        status: Status,
    ) -> Result<(), Error> {
        self.respond(wanted, status).await
    }

    /// Answers an N-EVENT-REPORT.
    pub async fn respond_report(
        &mut self,
        report: &Asked<Report>,
        status: Status,
    ) -> Result<(), Error> {
        self.respond(report, status).await
    }

    async fn respond<T: Content>(&mut self, to: &Asked<T>, status: Status) -> Result<(), Error> {
        let result = self.voice.command(to.context, &answer(to, status)).await;
        self.settle(result).await
    }

    /// N-EVENT-REPORT on the association of the request.
    ///
    /// # Errors
    ///
    /// Every error has ended the association.
    pub async fn report(&mut self, to: &Asked<Wanted>, report: &Report) -> Result<Hearing, Error> {
        let result = self.tell(to.context, report).await;
        self.settle(result).await
    }

    async fn tell(&mut self, context: u8, report: &Report) -> Result<Hearing, Error> {
        let syntax = self.contexts.iter().find(|known| known.id == context);
        let syntax = Syntax::of(&syntax.ok_or(Error::Dead)?.transfer_syntax);
        // Our requests have numbers of their own; one at a time needs only one.
        const OURS: u16 = 1;
        self.voice.command(context, &event(OURS, report)).await?;
        self.voice.data(context, &report.write(syntax)).await?;
        self.awaits_answer = true;
        let wait = self.terms.timeouts.response;
        match self.ear.next(wait, "we waited for its answer to our report").await? {
            Part::Command {
                command: Command::EventRsp { responded: OURS, status, .. }, ..
            } => {
                self.awaits_answer = false;
                self.drain().await?;
                Ok(Hearing::Answered(status))
            }
            Part::Command { context, command } => {
                self.stashed = Some((context, command));
                Ok(Hearing::Unheard)
            }
            Part::Released => {
                self.voice.outbound.send(&Pdu::ReleaseRP).await?;
                self.voice.outbound.let_go(&mut self.ear.inbound).await;
                Ok(Hearing::Released)
            }
            Part::Data { .. } => Err(wrong_answer()),
        }
    }
}
