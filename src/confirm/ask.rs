//! Asking a destination to commit (PS3.4 J.3.2), and hearing what it reports on the same association.
//!
//! Invariants: no request leaves before it is with the [`Witness`]; whatever is heard of it is answered.

use std::time::Duration;

use async_trait::async_trait;

use super::Refusal;
use crate::dicom::Uid;
use crate::dimse::{self, Client, Remote, Report, Status, Wanted};

/// How long the association is kept open for a report. Most archives report on one of their own, later; those
/// that use this one do so at once.
const LINGER: Duration = Duration::from_secs(5);

/// Makes every step of a request durable.
#[async_trait]
pub trait Witness: Send + Sync {
    /// It is about to leave.
    async fn asking(&self, transaction: &Uid) -> Result<(), Gone>;
    /// The destination took it.
    async fn taken(&self, transaction: &Uid) -> Result<(), Gone>;
    /// It reported; gives the answer to the report.
    async fn reported(&self, report: Report) -> Status;
}

/// Nobody wants the commitment any more.
#[derive(Debug)]
pub struct Gone;

/// How a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The destination negotiates no such requests.
    NotOffered,
    /// It will not report on this one.
    Refused(Refusal),
    /// It reports, or has reported.
    Taken,
    /// Nothing was asked.
    Gone,
}

/// Asks for `wanted` on an association of its own.
///
/// # Errors
/// [`dimse::Error`] if the association did not come to be, or broke before the request was answered.
pub async fn ask(
    remote: &Remote,
    wanted: &Wanted,
    witness: &dyn Witness,
) -> Result<Asked, dimse::Error> {
    let contexts = dimse::commitment_contexts();
    dimse::call(remote, &contexts, async |client: &mut Client| {
        if !client.takes_commitment() {
            return Ok(Asked::NotOffered);
        }
        if let Err(Gone) = witness.asking(&wanted.transaction).await {
            return Ok(Asked::Gone);
        }
        if let Some(refusal) = Refusal::of(client.commit(wanted).await?) {
            return Ok(Asked::Refused(refusal));
        }
        if witness.taken(&wanted.transaction).await.is_ok() {
            listen(client, wanted, witness).await;
        }
        Ok(Asked::Taken)
    })
    .await
}

/// Hears the report, if it comes now. It may as well come later, so nothing that goes wrong here is a fault.
async fn listen(client: &mut Client, wanted: &Wanted, witness: &dyn Witness) {
    loop {
        let report = match client.next_report(LINGER).await {
            Ok(Some(report)) => report,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "no report on the association of the request");
                return;
            }
        };
        let is_ours = report.content.transaction == wanted.transaction;
        let status = witness.reported(report.content.clone()).await;
        if client.answer_report(&report, status).await.is_err() || is_ours {
            return;
        }
    }
}
