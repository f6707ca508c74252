//! Storage commitment as acceptor: requests of others, and reports on ours (PS3.4 J.3.2, J.3.3).
//!
//! Invariant: what is handed on was read whole and is about the one instance of its class.

use super::command::Command;
use super::commit::{self, Asked, IsReport, Report, Wanted};
use super::error::Error;
use super::server::{Request, ServerAssociation};
use super::{Context, Status};
use crate::dicom::Syntax;

impl ServerAssociation {
    /// A request or a report that can be read; others are answered here.
    pub(super) async fn dispatch_commitment(
        &mut self,
        context: &Context,
        command: Command,
    ) -> Result<Option<Request>, Error> {
        let (message_id, sop_class, sop_instance, kind, is_report) = match command {
            Command::ActionRq { message_id, sop_class, sop_instance, kind, .. } => {
                (message_id, sop_class, sop_instance, kind, IsReport::No)
            }
            Command::EventRq { message_id, sop_class, sop_instance, kind, .. } => {
                (message_id, sop_class, sop_instance, kind, IsReport::Yes)
            }
            _ => return Ok(None),
        };
        let bytes = self.whole(commit::SET_LIMIT, "a commitment data set").await?;
        let syntax = Syntax::of(&context.transfer_syntax);
        let refused = commit::refusal(context, &sop_class, &sop_instance, kind, is_report);
        if refused.is_none() {
            let id = context.id;
            let read = match is_report {
                IsReport::No => Wanted::read(&bytes, syntax).map(|content| {
                    Request::Commit(Asked { context: id, message_id, kind, content })
                }),
                IsReport::Yes => Report::read(&bytes, syntax).map(|content| {
                    Request::Report(Asked { context: id, message_id, kind, content })
                }),
            };
            if read.is_some() {
                return Ok(read);
            }
        }
        let status = refused.unwrap_or(Status::PROCESSING_FAILURE);
        let asked = Asked { context: context.id, message_id, kind, content: () };
        self.answer(context.id, &commit::answer(&asked, status, is_report)).await
    }
}
