//! Objects that a peer sends because we asked it to with C-MOVE: they go into the import that asked.

use crate::dimse::{self, ServerAssociation, Status, Store};
use crate::fetch::{self, Moving, Ticket};

/// Where such objects of one association go at present.
#[derive(Default)]
pub(super) struct Moved(Option<Moving>);

impl Moved {
    /// Takes one object; gives the status to answer.
    pub(super) async fn receive(
        &mut self,
        association: &mut ServerAssociation,
        store: &Store,
        ticket: &Ticket,
    ) -> Result<Status, dimse::Error> {
        let moving = match self.0.take().filter(|moving| moving.ticket().is_same(ticket)) {
            Some(moving) => moving,
            None => match ticket.moving().await {
                Ok(moving) => moving,
                Err(error) => return Ok(refusal(&error)),
            },
        };
        let moving = self.0.insert(moving);
        let taken = take(association, store, moving).await;
        if !matches!(taken, Ok(Ok(_))) && moving.abandon().await.is_err() {
            // A pack that can not even give a blob up is not written to again.
            self.0 = None;
        }
        Ok(taken?.unwrap_or_else(|error| refusal(&error)))
    }
}

async fn take(
    association: &mut ServerAssociation,
    store: &Store,
    moving: &mut Moving,
) -> Result<Result<Status, fetch::Error>, dimse::Error> {
    if let Err(error) = moving.begin(store).await {
        return Ok(Err(error));
    }
    while let Some(bytes) = association.next_chunk().await? {
        if let Err(error) = moving.write(bytes).await {
            return Ok(Err(error));
        }
    }
    Ok(moving.end(store).await)
}

fn refusal(error: &fetch::Error) -> Status {
    tracing::warn!(%error, "object of a C-MOVE not taken");
    Status::OUT_OF_RESOURCES
}
