//! What one association does: take an object, send it, write down what the peer said.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::sending::Sending;
use super::{Shared, Stopped, locked};
use crate::dicom::Uid;
use crate::dimse::{self, Chunk, Status};
use crate::forward::ledger::Ledger;
use crate::forward::object::Fault;
use crate::forward::verdict::Verdict;
use crate::forward::{Gone, route};
use crate::import::InstanceOutcome;

/// An association as far as sending needs it.
#[async_trait]
pub(super) trait Association: Send {
    fn accepted(&self, sop_class: &Uid) -> Vec<Uid>;

    async fn store(
        &mut self,
        sop_class: &Uid,
        sop_instance: &Uid,
        transfer_syntax: &Uid,
        data: &mut mpsc::Receiver<Chunk>,
    ) -> Result<Status, dimse::Error>;
}

#[async_trait]
impl Association for dimse::Client {
    fn accepted(&self, sop_class: &Uid) -> Vec<Uid> {
        Self::accepted(self, sop_class)
    }

    async fn store(
        &mut self,
        sop_class: &Uid,
        sop_instance: &Uid,
        transfer_syntax: &Uid,
        data: &mut mpsc::Receiver<Chunk>,
    ) -> Result<Status, dimse::Error> {
        Self::store(self, sop_class, sop_instance, transfer_syntax, data).await
    }
}

/// Sends from the queue until it is empty or something is wrong with more than one object.
pub(super) async fn carry<A: Association>(
    client: &mut A,
    shared: &Arc<Shared>,
    ledger: &mut Ledger,
) -> Result<(), Stopped> {
    let mut next = begin(client, shared, ledger).await?;
    let result = loop {
        let Some(current) = next.take() else {
            break Ok(());
        };
        if shared.brake.is_stopped() {
            next = Some(current);
            break Ok(());
        }
        if let Err(stopped) = one(client, shared, ledger, current, &mut next).await {
            break Err(stopped);
        }
        if next.is_none() {
            match begin(client, shared, ledger).await {
                Ok(begun) => next = begun,
                Err(stopped) => break Err(stopped),
            }
        }
    };
    if let Some(unsent) = next {
        shared.give_back(unsent.number, unsent.instance);
    }
    result
}

/// The next object that the peer takes at all. Those that it does not take are refused here.
async fn begin<A: Association>(
    client: &mut A,
    shared: &Arc<Shared>,
    ledger: &mut Ledger,
) -> Result<Option<Sending>, Stopped> {
    while let Some((number, instance)) = shared.take() {
        if let Some(syntax) =
            route::choose(&instance, shared.compressed, &client.accepted(&instance.sop_class))
        {
            return Ok(Some(Sending::begin(shared, number, instance, syntax)));
        }
        record(shared, ledger, number, refused(route::refusal(&instance, shared.compressed)))
            .await?;
    }
    Ok(None)
}

/// Sends one object, and begins to read the next one meanwhile.
async fn one<A: Association>(
    client: &mut A,
    shared: &Arc<Shared>,
    ledger: &mut Ledger,
    mut current: Sending,
    next: &mut Option<Sending>,
) -> Result<(), Stopped> {
    if let Err(fault) = current.ready().await {
        let sentence = lasting(fault)?;
        return record(shared, ledger, current.number, refused(sentence)).await;
    }
    if shared.is_plenty() {
        *next = begin(client, shared, ledger).await?;
    }
    let instance = &current.instance;
    let answer = tokio::select! {
        biased;
        () = shared.brake.cancelled() => {
            shared.recorder.unanswered(current.number);
            return Err(Stopped::Cancelled);
        }
        answer = client.store(
            &instance.sop_class,
            &instance.sop_instance,
            &current.transfer_syntax,
            &mut current.chunks,
        ) => answer,
    };
    let status = match answer {
        Ok(status) => status,
        Err(dimse::Error::ContextRefused { .. }) => {
            let sentence = route::refusal(&current.instance, shared.compressed);
            return record(shared, ledger, current.number, refused(sentence)).await;
        }
        // The association is aborted, so that the peer keeps no half object.
        Err(dimse::Error::SourceEnded) => {
            current.chunks.close();
            let sentence = lasting(current.fault().await)?;
            record(shared, ledger, current.number, refused(sentence)).await?;
            return Err(Stopped::Spent);
        }
        Err(error) => {
            shared.recorder.unanswered(current.number);
            return Err(error.into());
        }
    };
    match shared.judge.of_status(status, &current.instance.sop_instance) {
        Verdict::Answered(outcome) => record(shared, ledger, current.number, outcome).await,
        Verdict::Doubtful => {
            locked(&shared.doubtful).push((current.number, current.instance));
            Ok(())
        }
        Verdict::Later(sentence) => {
            shared.recorder.unanswered(current.number);
            shared.postpone(format!("{}: {sentence}", shared.name));
            Ok(())
        }
        Verdict::Stop(sentence) => {
            shared.stop_all(format!("{}: {sentence}", shared.name));
            Ok(())
        }
    }
}

/// The sentence of a fault that stays; one that may pass ends the association.
fn lasting(fault: Fault) -> Result<String, Stopped> {
    match fault {
        Fault::Object(sentence) => Ok(sentence),
        Fault::Read(_) if fault.is_damage() => {
            Ok("the local copy of this instance is damaged; import the study again".to_owned())
        }
        Fault::Read(error) => Err(Stopped::Local(format!(
            "the local copy of an instance cannot be read: {error}; check the disk of the spool"
        ))),
        Fault::Closed => Err(Stopped::Cancelled),
    }
}

fn refused(sentence: String) -> InstanceOutcome {
    InstanceOutcome::Refused { status: None, sentence }
}

async fn record(
    shared: &Shared,
    ledger: &mut Ledger,
    number: u32,
    outcome: InstanceOutcome,
) -> Result<(), Stopped> {
    ledger.push(number, outcome).await.map_err(|Gone| {
        shared.brake.cancel();
        Stopped::Cancelled
    })
}
