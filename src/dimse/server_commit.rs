//! Storage commitment as acceptor: requests of others, and reports on ours (PS3.4 J.3.2, J.3.3).
//!
//! Invariant: what is handed on was read whole and is about the one instance of its class.

use super::Context;
use super::command::Command;
use super::commit::{self, Asked, Content, Head};
use super::error::Error;
use super::server::{Request, ServerAssociation};

impl ServerAssociation {
    /// A request or a report that can be read; others are answered here.
    pub(super) async fn dispatch_commitment(
        &mut self,
        context: &Context,
        command: Command,
    ) -> Result<Option<Request>, Error> {
        match command {
            Command::ActionRq { message_id, sop_class, sop_instance, kind, .. } => {
                let head = Head { message_id, sop_class, sop_instance, kind };
                Ok(self.take(context, &head).await?.map(Request::Commit))
            }
            Command::EventRq { message_id, sop_class, sop_instance, kind, .. } => {
                let head = Head { message_id, sop_class, sop_instance, kind };
                Ok(self.take(context, &head).await?.map(Request::Report))
            }
            _ => Ok(None),
        }
    }

    async fn take<T: Content>(
        &mut self,
        context: &Context,
        head: &Head,
    ) -> Result<Option<Asked<T>>, Error> {
        let bytes = self.whole(commit::SET_LIMIT, "a commitment data set").await?;
        match commit::take(context, head, &bytes) {
            Ok(asked) => Ok(Some(asked)),
            Err(answer) => {
                self.answer(context.id, &answer).await?;
                Ok(None)
            }
        }
    }
}
