//! C-GET and C-MOVE as requestor (PS3.7 9.1.3, 9.1.4): one request, its sub-operations, its answers.
//!
//! What the peer counts is told on, never believed here. A C-GET brings objects on the same association; each has
//! to be read and answered before the next answer is heard.

use bytes::Bytes;
use dicom_dictionary_std::uids;
use tokio::time::{Instant, timeout_at};

use super::client::{Client, wrong_answer};
use super::command::{Command, Payload};
use super::error::Error;
use super::message::{Part, Place};
use super::{Status, StatusClass};
use crate::dicom::{AeTitle, DataSet, Syntax, Uid};

/// The two ways of retrieval (PS3.7 9.1.3, 9.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Get,
    Move,
}

impl Sort {
    pub(super) fn request(self) -> u16 {
        match self {
            Self::Get => 0x0010,
            Self::Move => 0x0021,
        }
    }
}

/// On whose behalf an object comes: a C-MOVE by its requestor and message ID (PS3.7 9.1.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Originator {
    pub ae_title: AeTitle,
    pub message_id: u16,
}

/// Sub-operations as the peer counts them (PS3.7 9.1.4.1); a count that it does not tell is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub remaining: Option<u16>,
    pub completed: Option<u16>,
    pub failed: Option<u16>,
    pub warning: Option<u16>,
}

/// A C-GET or C-MOVE under way.
#[derive(Clone, Copy, Debug)]
pub struct Retrieving {
    context: u8,
    message_id: u16,
}

/// An object that comes within a C-GET; its data set follows: [`Client::object_chunk`].
#[derive(Clone, Debug)]
pub struct Arriving {
    context: u8,
    message_id: u16,
    pub sop_class: Uid,
    pub sop_instance: Uid,
    pub transfer_syntax: Uid,
}

/// What a peer does within a retrieval.
pub enum Told {
    Object(Arriving),
    Pending(Counts),
    Final { status: Status, counts: Counts },
}

impl Client {
    /// Begins a C-GET. Needs a context for the class, and contexts for what comes with us as SCP
    /// ([`super::call_as_scp`]).
    ///
    /// # Errors
    ///
    /// [`Error::ContextRefused`] leaves the association usable, every other error has ended it, here as in the
    /// other methods.
    pub async fn get(
        &mut self,
        sop_class: &Uid,
        identifier: &DataSet,
    ) -> Result<Retrieving, Error> {
        let message_id = self.next_message_id();
        let command = |sop_class| Command::RetrieveRq {
            sort: Sort::Get,
            message_id,
            sop_class,
            destination: None,
        };
        self.begin(sop_class, identifier, message_id, command(sop_class.clone())).await
    }

    /// Begins a C-MOVE to `destination`. `message_id` comes back with every object as Move Originator Message ID.
    pub async fn move_to(
        &mut self,
        sop_class: &Uid,
        identifier: &DataSet,
        destination: &AeTitle,
        message_id: u16,
    ) -> Result<Retrieving, Error> {
        let command = Command::RetrieveRq {
            sort: Sort::Move,
            message_id,
            sop_class: sop_class.clone(),
            destination: Some(destination.as_str().to_owned()),
        };
        self.begin(sop_class, identifier, message_id, command).await
    }

    async fn begin(
        &mut self,
        sop_class: &Uid,
        identifier: &DataSet,
        message_id: u16,
        command: Command,
    ) -> Result<Retrieving, Error> {
        let explicit = super::negotiate::known(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let implicit = super::negotiate::known(uids::IMPLICIT_VR_LITTLE_ENDIAN);
        let (context, syntax) = match self.context(sop_class, Some(&explicit)) {
            Ok(context) => (context, Syntax::ExplicitLittle),
            Err(_) => (self.context(sop_class, Some(&implicit))?, Syntax::ImplicitLittle),
        };
        let sent = async {
            self.voice.command(context, &command).await?;
            self.voice.data(context, &identifier.write(syntax)).await
        };
        let sent = sent.await;
        self.settle(sent).await?;
        Ok(Retrieving { context, message_id })
    }

    /// The next answer or object. Waits for the time that an answer may take.
    pub async fn told(&mut self, retrieving: &Retrieving) -> Result<Told, Error> {
        let told = self.told_next(retrieving).await;
        self.settle(told).await
    }

    async fn told_next(&mut self, retrieving: &Retrieving) -> Result<Told, Error> {
        const DOING: &str = "we waited for it to hand over a study";
        loop {
            let part = self.ear.next(self.timeouts.response, DOING).await?;
            let (id, command) = match part {
                Part::Command { context, command } => (context, command),
                Part::Released => return Err(Error::Released(DOING)),
                Part::Data { .. } => return Err(wrong_answer()),
            };
            match command {
                Command::RetrieveRsp { responded, status, counts, payload, .. } => {
                    if responded != retrieving.message_id {
                        return Err(wrong_answer());
                    }
                    if payload == Payload::Follows {
                        // A list of what failed; what is missing shows by itself.
                        self.identifier().await?;
                    }
                    return Ok(match status.class() {
                        StatusClass::Pending => Told::Pending(counts),
                        StatusClass::Success
                        | StatusClass::Warning
                        | StatusClass::Cancelled
                        | StatusClass::Retry
                        | StatusClass::RetryFewTimes
                        | StatusClass::Duplicate
                        | StatusClass::Permanent => Told::Final { status, counts },
                    });
                }
                Command::StoreRq { message_id, sop_class, sop_instance, .. } => {
                    let context = self.contexts.iter().find(|context| context.id == id);
                    let context = context.ok_or_else(wrong_answer)?;
                    let fits = context.sop_class == sop_class;
                    let arriving = Arriving {
                        context: id,
                        message_id,
                        sop_class,
                        sop_instance,
                        transfer_syntax: context.transfer_syntax.clone(),
                    };
                    if fits {
                        return Ok(Told::Object(arriving));
                    }
                    self.answer_object(&arriving, Status::CLASS_NOT_SUPPORTED).await?;
                }
                // A request that nobody could serve, such as an object without a valid UID.
                refused @ Command::Refused { .. } => {
                    self.drain().await?;
                    self.voice.command(id, &refused).await?;
                }
                Command::EchoRq { .. }
                | Command::EchoRsp { .. }
                | Command::StoreRsp { .. }
                | Command::FindRq { .. }
                | Command::FindRsp { .. }
                | Command::RetrieveRq { .. }
                | Command::CancelRq { .. }
                | Command::ActionRq { .. }
                | Command::ActionRsp { .. }
                | Command::EventRq { .. }
                | Command::EventRsp { .. }
                | Command::StrayRsp { .. } => return Err(wrong_answer()),
            }
        }
    }

    /// The next bytes of the object under way, `None` behind the last: then, and only then, it is whole.
    pub async fn object_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.chunk().await;
        self.settle(chunk).await
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        const DOING: &str = "it was sending an object";
        if !self.ear.expects_data() {
            return Ok(None);
        }
        match self.ear.next(self.timeouts.response, DOING).await? {
            Part::Data { bytes, place: Place::Last } if bytes.is_empty() => Ok(None),
            Part::Data { bytes, .. } => Ok(Some(bytes)),
            Part::Command { .. } | Part::Released => Err(wrong_answer()),
        }
    }

    async fn drain(&mut self) -> Result<(), Error> {
        while self.ear.expects_data() {
            self.chunk().await?;
        }
        Ok(())
    }

    /// Answers an object; what has not been read of it is read and dropped first.
    pub async fn respond_object(
        &mut self,
        arriving: &Arriving,
        status: Status,
    ) -> Result<(), Error> {
        let answered = self.answer_object(arriving, status).await;
        self.settle(answered).await
    }

    async fn answer_object(&mut self, arriving: &Arriving, status: Status) -> Result<(), Error> {
        self.drain().await?;
        let answer = Command::StoreRsp {
            responded: arriving.message_id,
            sop_class: Some(arriving.sop_class.clone()),
            sop_instance: Some(arriving.sop_instance.clone()),
            status,
        };
        self.voice.command(arriving.context, &answer).await
    }

    /// Cancels (C-CANCEL) and reads until the final answer, refusing what still comes; after `patience` the
    /// association is aborted.
    pub async fn cancel(&mut self, retrieving: &Retrieving, patience: std::time::Duration) {
        if self.is_over() {
            return;
        }
        let end = Instant::now() + patience;
        let cancel = Command::CancelRq { responded: retrieving.message_id };
        let ended = timeout_at(end, async {
            self.drain().await?;
            self.voice.command(retrieving.context, &cancel).await?;
            loop {
                match self.told_next(retrieving).await? {
                    Told::Final { .. } => return Ok::<_, Error>(()),
                    Told::Pending(_) => {}
                    Told::Object(arriving) => {
                        self.answer_object(&arriving, Status::CANCELLED_BY_US).await?;
                    }
                }
            }
        });
        if !matches!(ended.await, Ok(Ok(()))) {
            self.abort(None).await;
        }
    }
}
