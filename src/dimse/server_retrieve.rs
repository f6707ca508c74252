//! C-GET and C-MOVE as acceptor: a request, its sub-operations, its answers (PS3.7 9.3.3, 9.3.4).

use tokio::sync::mpsc;

use super::command::{Command, Payload};
use super::error::{Abort, Error};
use super::message::Part;
use super::retrieve::Counts;
use super::retrieve::{Originator, Sort};
use super::server::{Caller, Flow, Request, ServerAssociation};
use super::store::store_over;
use super::{Chunk, Context, Status};
use crate::dicom::{DataSet, Syntax, Uid};

/// A C-GET or C-MOVE with its identifier.
pub struct RetrieveRequest {
    pub(super) context: u8,
    pub(super) message_id: u16,
    pub(super) syntax: Syntax,
    pub(super) sort: Sort,
    pub sop_class: Uid,
    pub identifier: DataSet,
    /// Of a C-MOVE, as it came; `None` for a C-GET.
    pub(super) destination: Option<String>,
}

impl RetrieveRequest {
    /// Where a C-MOVE goes, as it came; `None` for a C-GET.
    pub fn destination(&self) -> Option<&str> {
        match self.sort {
            Sort::Get => None,
            Sort::Move => Some(self.destination.as_deref().unwrap_or_default()),
        }
    }

    /// What the objects of a C-MOVE tell of the one who asked.
    pub fn originator(&self, caller: &Caller) -> Originator {
        Originator { ae_title: caller.calling.clone(), message_id: self.message_id }
    }
}

impl ServerAssociation {
    /// A request with a readable identifier; others are answered here.
    pub(super) async fn dispatch_retrieve(
        &mut self,
        context: Context,
        command: Command,
    ) -> Result<Option<Request>, Error> {
        let Command::RetrieveRq { sort, message_id, sop_class, destination } = command else {
            return Ok(None);
        };
        let syntax = Syntax::of(&context.transfer_syntax);
        let mut status = Status::CLASS_NOT_SUPPORTED;
        if sop_class == context.sop_class {
            status = Status::CANNOT_UNDERSTAND;
            if let Ok(identifier) = DataSet::read(&self.identifier().await?, syntax) {
                return Ok(Some(Request::Retrieve(RetrieveRequest {
                    context: context.id,
                    message_id,
                    syntax,
                    sort,
                    sop_class,
                    identifier,
                    destination,
                })));
            }
        }
        self.drain().await?;
        let answer = Command::RetrieveRsp {
            sort,
            responded: message_id,
            sop_class: Some(sop_class),
            status,
            counts: Counts::default(),
            payload: Payload::Absent,
        };
        self.answer(context.id, &answer).await
    }

    /// Sends an object within a C-GET; the peer is its SCP by role selection.
    ///
    /// # Errors
    ///
    /// [`Error::ContextRefused`] leaves the association usable, every other error has ended it.
    pub async fn give(
        &mut self,
        get: &RetrieveRequest,
        (sop_class, sop_instance, transfer_syntax): (&Uid, &Uid, &Uid),
        data: &mut mpsc::Receiver<Chunk>,
    ) -> Result<(Status, Flow), Error> {
        let fits = |context: &&Context| {
            self.gives.contains(&context.id)
                && context.sop_class == *sop_class
                && context.transfer_syntax == *transfer_syntax
        };
        let context = self.contexts.iter().find(fits).map(|context| context.id);
        let context = context.ok_or_else(|| Error::ContextRefused {
            sop_class: sop_class.clone(),
            transfer_syntax: Some(transfer_syntax.clone()),
        })?;
        self.given = self.given.checked_add(1).unwrap_or(1);
        let command = Command::StoreRq {
            message_id: self.given,
            sop_class: sop_class.clone(),
            sop_instance: sop_instance.clone(),
            originator: None,
        };
        let ends = (&mut self.ear, &mut self.voice, self.terms.timeouts);
        let result = store_over(ends, context, (self.given, &command), data).await;
        let (status, cancelled) = self.settle(result).await?;
        let flow = if cancelled == Some(get.message_id) { Flow::Cancelled } else { Flow::Continue };
        Ok((status, flow))
    }

    /// The syntaxes in which the peer takes objects of a class within a C-GET.
    pub fn takes(&self, sop_class: &Uid) -> Vec<Uid> {
        let of_class = |context: &&Context| {
            self.gives.contains(&context.id) && context.sop_class == *sop_class
        };
        let contexts = self.contexts.iter().filter(of_class);
        contexts.map(|context| context.transfer_syntax.clone()).collect()
    }

    /// Tells how far a C-GET or C-MOVE is, unless the peer has cancelled.
    pub async fn respond_pending(
        &mut self,
        request: &RetrieveRequest,
        counts: Counts,
    ) -> Result<Flow, Error> {
        let result = async {
            let flow = self.cancelled(request.message_id).await?;
            if flow == Flow::Continue {
                self.retrieved(request, Status::PENDING, counts, None).await?;
            }
            Ok(flow)
        };
        let result = result.await;
        self.settle(result).await
    }

    /// The final answer to a C-GET or C-MOVE; `failed` lists what could not be sent (PS3.4 C.4.2.1.4.2).
    pub async fn respond_retrieve(
        &mut self,
        request: &RetrieveRequest,
        status: Status,
        counts: Counts,
        failed: Option<&DataSet>,
    ) -> Result<(), Error> {
        let result = self.retrieved(request, status, counts, failed).await;
        self.settle(result).await
    }

    async fn retrieved(
        &mut self,
        request: &RetrieveRequest,
        status: Status,
        counts: Counts,
        failed: Option<&DataSet>,
    ) -> Result<(), Error> {
        let answer = Command::RetrieveRsp {
            sort: request.sort,
            responded: request.message_id,
            sop_class: Some(request.sop_class.clone()),
            status,
            counts,
            payload: failed.map_or(Payload::Absent, |_| Payload::Follows),
        };
        self.voice.command(request.context, &answer).await?;
        match failed {
            Some(list) => self.voice.data(request.context, &list.write(request.syntax)).await,
            None => Ok(()),
        }
    }

    /// Whether a C-CANCEL of this request has come; nothing else may.
    async fn cancelled(&mut self, message_id: u16) -> Result<Flow, Error> {
        const DOING: &str = "we were answering a request";
        tokio::select! {
            biased;
            part = self.ear.next(self.terms.idle, DOING) => match part? {
                Part::Command { command: Command::CancelRq { responded }, .. } => {
                    Ok(if responded == message_id { Flow::Cancelled } else { Flow::Continue })
                }
                Part::Released => Err(Error::Released(DOING)),
                Part::Command { .. } | Part::Data { .. } => {
                    let what = "a request before the answer to the last";
                    Err(Error::protocol(what, Abort::UnexpectedParameter))
                }
            },
            () = std::future::ready(()) => Ok(Flow::Continue),
        }
    }
}
