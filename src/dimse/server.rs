//! The acceptor's side: an association as a stream of requests.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dicom_dictionary_std::uids;
use dicom_ul::pdu::Pdu;

use super::command::{Command, Payload, Remark};
use super::commit::{Asked, Report, Wanted};
use super::error::{Abort, Error};
use super::find::IDENTIFIER_LIMIT;
use super::message::{self, Ear, Part, Place, Voice};
use super::retrieve::Originator;
use super::server_retrieve::RetrieveRequest;
use super::{Context, Identity, MAX_PDU, NameMatching, Status, Timeouts};
use crate::dicom::{AeTitle, DataSet, Syntax, Uid};
use crate::tls::Certificate;

/// How patient and how roomy we are as acceptor.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub timeouts: Timeouts,
    /// Between two requests.
    pub idle: Duration,
    /// The largest P-DATA PDU that we take, in bytes; at most [`MAX_PDU`].
    pub max_pdu: u32,
    /// The largest object, in bytes.
    pub max_object: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            idle: Duration::from_secs(120),
            max_pdu: MAX_PDU,
            // Multi-frame tomosynthesis and whole-slide objects reach a few gigabytes.
            max_object: 8 << 30,
        }
    }
}

/// Who requests an association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub calling: AeTitle,
    pub called: AeTitle,
    pub address: SocketAddr,
    /// What it has shown in the TLS handshake, and an authority of ours has signed.
    pub certificate: Option<Certificate>,
    pub identity: Option<Identity>,
}

/// What the peer asks. Each is answered by the `respond_` of its name, exactly once.
pub enum Request {
    Echo(Echo),
    /// The data set follows: [`ServerAssociation::next_chunk`].
    Store(Store),
    Find(Find),
    Retrieve(RetrieveRequest),
    /// Storage commitment is asked of us.
    Commit(Asked<Wanted>),
    /// What became of a commitment that we asked for.
    Report(Asked<Report>),
}

/// A C-ECHO.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    context: u8,
    message_id: u16,
}

/// A C-STORE.
#[derive(Clone, Debug)]
pub struct Store {
    context: u8,
    message_id: u16,
    pub sop_class: Uid,
    pub sop_instance: Uid,
    pub transfer_syntax: Uid,
    /// On whose behalf it comes, if a C-MOVE brings it.
    pub originator: Option<Originator>,
}

/// A C-FIND with its identifier.
pub struct Find {
    context: u8,
    message_id: u16,
    syntax: Syntax,
    pub sop_class: Uid,
    pub identifier: DataSet,
    /// As it was agreed on for the association.
    pub names: NameMatching,
}

/// Whether the peer still wants answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// A C-CANCEL came: answer [`Status::CANCELLED`] and no more matches.
    Cancelled,
}

/// An association that we accepted, made by [`super::accept`]. Dropped without release, it aborts.
pub struct ServerAssociation {
    pub(super) ear: Ear,
    pub(super) voice: Voice,
    caller: Caller,
    pub(super) contexts: Vec<Context>,
    pub(super) terms: Terms,
    /// Bytes of the data set under way.
    received: u64,
    names: NameMatching,
    /// Contexts in which the peer is SCP.
    pub(super) gives: Vec<u8>,
    /// Message ID of the object given last.
    pub(super) given: u16,
    /// A request that came while we waited for the answer to one of ours.
    pub(super) stashed: Option<(u8, Command)>,
    /// The answer to a request of ours may still come.
    pub(super) awaits_answer: bool,
}

impl ServerAssociation {
    pub(super) fn new(
        ear: Ear,
        voice: Voice,
        caller: Caller,
        contexts: Vec<Context>,
        terms: Terms,
    ) -> Self {
        Self {
            ear,
            voice,
            caller,
            contexts,
            terms,
            received: 0,
            names: NameMatching::Literal,
            gives: Vec::new(),
            given: 0,
            stashed: None,
            awaits_answer: false,
        }
    }

    pub(super) fn comparing(self, names: NameMatching) -> Self {
        Self { names, ..self }
    }

    pub(super) fn giving(self, gives: Vec<u8>) -> Self {
        Self { gives, ..self }
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What was accepted.
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// The next request; `None` when the peer has released the association. What is left of the object before is
    /// read and dropped. Requests that are not served are answered here: 0211 for an unknown operation, 0122 for
    /// a class that is not its context's, 0117 and 0212 for what can not be read.
    ///
    /// # Errors
    ///
    /// Every error has ended the association, here as in the other methods.
    pub async fn next_request(&mut self) -> Result<Option<Request>, Error> {
        let result = self.request().await;
        self.settle(result).await
    }

    async fn request(&mut self) -> Result<Option<Request>, Error> {
        // It was released while we waited for an answer of the peer.
        if self.voice.outbound.is_shut() {
            return Ok(None);
        }
        loop {
            if let Some((context, command)) = self.stashed.take() {
                self.received = 0;
                if let Some(request) = self.dispatch(context, command).await? {
                    return Ok(Some(request));
                }
            }
            while self.ear.expects_data() {
                self.chunk().await?;
            }
            self.received = 0;
            match self.ear.next(self.terms.idle, "we waited for a request").await? {
                Part::Released => {
                    self.voice.outbound.send(&Pdu::ReleaseRP).await?;
                    self.voice.outbound.let_go(&mut self.ear.inbound).await;
                    return Ok(None);
                }
                Part::Data { .. } => {
                    return Err(Error::protocol(
                        "data without a request",
                        Abort::UnexpectedParameter,
                    ));
                }
                Part::Command { context, command } => {
                    if let Some(request) = self.dispatch(context, command).await? {
                        return Ok(Some(request));
                    }
                }
            }
        }
    }

    async fn dispatch(&mut self, id: u8, command: Command) -> Result<Option<Request>, Error> {
        let Some(context) = self.contexts.iter().find(|context| context.id == id).cloned() else {
            return Err(Error::protocol("a command without a context", Abort::UnexpectedParameter));
        };
        match command {
            Command::EchoRq { message_id } => {
                if context.sop_class.as_str() == uids::VERIFICATION {
                    return Ok(Some(Request::Echo(Echo { context: id, message_id })));
                }
                let status = Status::CLASS_NOT_SUPPORTED;
                self.answer(id, &Command::EchoRsp { responded: message_id, status }).await
            }
            Command::StoreRq { message_id, sop_class, sop_instance, originator } => {
                let store = Store {
                    context: id,
                    message_id,
                    sop_class,
                    sop_instance,
                    transfer_syntax: context.transfer_syntax,
                    originator,
                };
                if store.sop_class == context.sop_class {
                    return Ok(Some(Request::Store(store)));
                }
                self.store_answer(&store, Status::CLASS_NOT_SUPPORTED).await?;
                Ok(None)
            }
            Command::FindRq { message_id, sop_class } => {
                let syntax = Syntax::of(&context.transfer_syntax);
                let refusal = if sop_class == context.sop_class {
                    match DataSet::read(&self.identifier().await?, syntax) {
                        Ok(identifier) => {
                            let (context, names) = (id, self.names);
                            return Ok(Some(Request::Find(Find {
                                context,
                                message_id,
                                syntax,
                                sop_class,
                                identifier,
                                names,
                            })));
                        }
                        Err(_) => Status::CANNOT_UNDERSTAND,
                    }
                } else {
                    Status::CLASS_NOT_SUPPORTED
                };
                self.drain().await?;
                let answer = Command::FindRsp {
                    responded: message_id,
                    sop_class: Some(sop_class),
                    status: refusal,
                    payload: Payload::Absent,
                    remark: (refusal == Status::CANNOT_UNDERSTAND).then(|| Remark {
                        comment: "the identifier is no readable data set".to_owned(),
                        offending: None,
                    }),
                };
                self.answer(id, &answer).await
            }
            retrieve @ Command::RetrieveRq { .. } => {
                self.dispatch_retrieve(context, retrieve).await
            }
            asked @ (Command::ActionRq { .. } | Command::EventRq { .. }) => {
                self.dispatch_commitment(&context, asked).await
            }
            // Nobody waits for it any more, but somebody did.
            Command::EventRsp { .. } if self.awaits_answer => {
                self.awaits_answer = false;
                Ok(None)
            }
            // Too late: the answer that it would cancel is on its way.
            Command::CancelRq { .. } => Ok(None),
            refused @ Command::Refused { .. } => {
                self.drain().await?;
                self.answer(id, &refused).await
            }
            Command::EchoRsp { .. }
            | Command::StoreRsp { .. }
            | Command::FindRsp { .. }
            | Command::RetrieveRsp { .. }
            | Command::ActionRsp { .. }
            | Command::EventRsp { .. }
            | Command::StrayRsp { .. } => {
                Err(Error::protocol("an answer that nobody waits for", Abort::UnexpectedParameter))
            }
        }
    }

    pub(super) async fn answer(
        &mut self,
        context: u8,
        command: &Command,
    ) -> Result<Option<Request>, Error> {
        self.voice.command(context, command).await?;
        Ok(None)
    }

    pub(super) async fn drain(&mut self) -> Result<(), Error> {
        while self.ear.expects_data() {
            self.chunk().await?;
        }
        Ok(())
    }

    pub(super) async fn identifier(&mut self) -> Result<Vec<u8>, Error> {
        self.whole(IDENTIFIER_LIMIT, "an identifier").await
    }

    /// A data set that has to be in memory.
    pub(super) async fn whole(
        &mut self,
        limit: usize,
        what: &'static str,
    ) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if whole.len().saturating_add(bytes.len()) > limit {
                return Err(Error::TooLarge { what, limit: limit as u64 });
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        const DOING: &str = "it was sending an object";
        if !self.ear.expects_data() {
            return Ok(None);
        }
        match self.ear.next(self.terms.timeouts.response, DOING).await? {
            Part::Data { bytes, place } => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.received = self.received.saturating_add(length);
                if self.received > self.terms.max_object {
                    return Err(Error::TooLarge {
                        what: "an object",
                        limit: self.terms.max_object,
                    });
                }
                // An empty last fragment ends the data set; nobody needs to see it.
                if bytes.is_empty() && place == Place::Last {
                    return Ok(None);
                }
                Ok(Some(bytes))
            }
            Part::Command { .. } | Part::Released => {
                Err(Error::protocol("a command within a data set", Abort::UnexpectedParameter))
            }
        }
    }

    /// The next bytes of the data set under way, `None` behind the last: then, and only then, it is whole.
    ///
    /// # Errors
    ///
    /// As [`Self::next_request`]; also [`Error::TooLarge`] beyond `Terms::max_object`.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let result = self.chunk().await;
        self.settle(result).await
    }

    pub async fn respond_echo(&mut self, echo: Echo, status: Status) -> Result<(), Error> {
        let answer = Command::EchoRsp { responded: echo.message_id, status };
        let result = self.voice.command(echo.context, &answer).await;
        self.settle(result).await
    }

    /// Answers a C-STORE; what has not been read of the object is read and dropped first.
    pub async fn respond_store(&mut self, store: &Store, status: Status) -> Result<(), Error> {
        let result = self.store_answer(store, status).await;
        self.settle(result).await
    }

    async fn store_answer(&mut self, store: &Store, status: Status) -> Result<(), Error> {
        self.drain().await?;
        let answer = Command::StoreRsp {
            responded: store.message_id,
            sop_class: Some(store.sop_class.clone()),
            sop_instance: Some(store.sop_instance.clone()),
            status,
        };
        self.voice.command(store.context, &answer).await
    }

    /// One match (FF00), unless the peer has cancelled.
    pub async fn respond_match(&mut self, find: &Find, found: &DataSet) -> Result<Flow, Error> {
        self.respond_match_as(find, found, Status::PENDING).await
    }

    /// One match, [`Status::PENDING`] or [`Status::PENDING_WARNING`], unless the peer has cancelled.
    pub async fn respond_match_as(
        &mut self,
        find: &Find,
        found: &DataSet,
        status: Status,
    ) -> Result<Flow, Error> {
        let result = self.send_match(find, found, status).await;
        self.settle(result).await
    }

    async fn send_match(
        &mut self,
        find: &Find,
        found: &DataSet,
        status: Status,
    ) -> Result<Flow, Error> {
        tokio::select! {
            biased;
            part = self.ear.next(self.terms.idle, "we were answering a query") => match part? {
                Part::Command { command: Command::CancelRq { responded }, .. } => {
                    if responded == find.message_id {
                        return Ok(Flow::Cancelled);
                    }
                }
                Part::Released => return Err(Error::Released("we were answering a query")),
                Part::Command { .. } | Part::Data { .. } => {
                    let what = "a request before the answer to the last";
                    return Err(Error::protocol(what, Abort::UnexpectedParameter));
                }
            },
            () = std::future::ready(()) => {}
        }
        let answer = Command::FindRsp {
            responded: find.message_id,
            sop_class: Some(find.sop_class.clone()),
            status,
            payload: Payload::Follows,
            remark: None,
        };
        self.voice.command(find.context, &answer).await?;
        self.voice.data(find.context, &found.write(find.syntax)).await?;
        Ok(Flow::Continue)
    }

    /// The final answer to a C-FIND.
    pub async fn respond_find(&mut self, find: &Find, status: Status) -> Result<(), Error> {
        self.end_find(find, status, None).await
    }

    /// The final answer to a C-FIND that fails, and why.
    pub async fn refuse_find(
        &mut self,
        find: &Find,
        status: Status,
        remark: Remark,
    ) -> Result<(), Error> {
        self.end_find(find, status, Some(remark)).await
    }

    async fn end_find(
        &mut self,
        find: &Find,
        status: Status,
        remark: Option<Remark>,
    ) -> Result<(), Error> {
        let answer = Command::FindRsp {
            responded: find.message_id,
            sop_class: Some(find.sop_class.clone()),
            status,
            payload: Payload::Absent,
            remark,
        };
        let result = self.voice.command(find.context, &answer).await;
        self.settle(result).await
    }

    /// Aborts; the peer is told, and bytes under way are read off so that it hears.
    pub async fn abort(mut self) {
        message::abort(&mut self.ear, &mut self.voice, None).await;
    }

    pub(super) async fn settle<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            message::abort(&mut self.ear, &mut self.voice, Some(error)).await;
        }
        result
    }
}
