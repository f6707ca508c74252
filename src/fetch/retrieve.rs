//! Studies of a source that is asked for them, where no link points: DICOM query/retrieve and DICOMweb.
//!
//! One call of [`retrieve`] is one attempt, as [`super::pull`] is. What the source says it holds is asked first
//! and is what completeness is held against: counts that come with the objects decide nothing. Invariants: what
//! does not fit the request is not taken, whoever sends it; objects are synced before their sender is told that
//! they are stored; a retrieval that is cancelled tells the peer.

mod get;
mod moves;
mod query;
mod section;
mod services;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::dicomweb::{self, Service};
use super::source::{Sink, SourceError};
use super::{Error, FetchSection, Observer, Pulled};
use crate::dicom::Uid;
use crate::dimse::{self, Proposed, Remote, Retrieve, Status};
use crate::import::{From, Source};
use crate::spool::ImportSpool;

pub use moves::{Moves, Moving, Ticket};
pub use section::DicomwebSection;
pub use services::{PeerSource, Sources};

use query::Holding;

/// What a retrieval needs.
pub struct Retrieval {
    pub from: From,
    pub sources: Sources,
    pub spool: ImportSpool,
    pub cancel: CancellationToken,
    pub observer: Arc<dyn Observer>,
    pub section: FetchSection,
    /// Where objects of a C-MOVE arrive.
    pub moves: Moves,
}

/// How long a source may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without a new object, whatever it answers meanwhile: archives on tape need minutes before the first.
    pub object: Duration,
    /// For its last word after a C-CANCEL.
    pub cancel: Duration,
    /// For objects that are still on their way behind the final answer of a C-MOVE.
    pub late: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            object: Duration::from_secs(15 * 60),
            cancel: Duration::from_secs(3),
            late: Duration::from_secs(10),
        }
    }
}

/// Why work on an association stops; the name of the peer is added outside.
enum Stop {
    Association(dimse::Error),
    Fault(Error),
}

impl std::convert::From<dimse::Error> for Stop {
    fn from(error: dimse::Error) -> Self {
        Self::Association(error)
    }
}

impl<E: Into<Error>> std::convert::From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// One attempt to get what is asked for.
///
/// # Errors
/// [`Error::class`] says whether the same attempt may be made again without a person.
pub async fn retrieve(retrieval: &Retrieval) -> Result<Pulled, Error> {
    let name = retrieval.from.source.name();
    let work = Box::pin(tokio::time::timeout(retrieval.section.deadline, attempt(retrieval)));
    let stopped = async {
        retrieval.cancel.cancelled().await;
        // The peer is told first; one that does not hear is not waited for.
        tokio::time::sleep(retrieval.sources.patience.cancel.saturating_mul(2)).await;
    };
    let ended = tokio::select! {
        biased;
        ended = work => match ended {
            Ok(ended) => ended,
            Err(_) => Err(Error::Deadline { host: name.to_owned() }),
        },
        () = stopped => Err(Error::Cancelled),
    };
    match &ended {
        Ok(pulled) => tracing::info!(source = name, outcome = pulled.outcome(), "source asked"),
        Err(error) => tracing::info!(source = name, outcome = %error, "source asked in vain"),
    }
    ended
}

async fn attempt(retrieval: &Retrieval) -> Result<Pulled, Error> {
    let unconfigured =
        || SourceError::Unconfigured { name: retrieval.from.source.name().to_owned() };
    match &retrieval.from.source {
        Source::Peer(name) => {
            let peer = retrieval.sources.peers.get(name).ok_or_else(unconfigured)?;
            of_peer(retrieval, name, peer).await
        }
        Source::Dicomweb(name) => {
            let service = retrieval.sources.services.get(name).ok_or_else(unconfigured)?;
            tokio::select! {
                biased;
                () = retrieval.cancel.cancelled() => Err(Error::Cancelled),
                ended = of_service(retrieval, service) => ended,
            }
        }
    }
}

async fn of_service(retrieval: &Retrieval, service: &Service) -> Result<Pulled, Error> {
    let (section, observer) = (&retrieval.section, retrieval.observer.as_ref());
    let studies = dicomweb::studies(service, &retrieval.from.selection, section).await?;
    observer.downloading(None, None);
    let mut sink = Sink::open(&retrieval.spool, section, observer).await?;
    for study in &studies {
        dicomweb::retrieve(service, study, &mut sink).await?;
    }
    Ok(Pulled::Done { files: sink.close().await?, portal: None })
}

async fn of_peer(retrieval: &Retrieval, name: &str, peer: &PeerSource) -> Result<Pulled, Error> {
    let named = |stop: Stop| match stop {
        Stop::Association(error) => {
            Error::Source(SourceError::Association { name: name.to_owned(), error })
        }
        Stop::Fault(error) => error,
    };
    let (remote, selection) = (&peer.remote, &retrieval.from.selection);
    if peer.how == Retrieve::Move && retrieval.sources.listener.is_none() {
        return Err(SourceError::NoListener { name: name.to_owned() }.into());
    }
    let asked = query::holdings(remote, name, selection);
    let holdings = tokio::select! {
        biased;
        () = retrieval.cancel.cancelled() => return Err(Error::Cancelled),
        holdings = asked => holdings.map_err(named)?,
    };
    let observer = retrieval.observer.as_ref();
    let total = holdings.iter().try_fold(0_u64, |sum, one| sum.checked_add(one.told()?));
    observer.downloading(None, total);
    let mut sink = Sink::open(&retrieval.spool, &retrieval.section, observer).await?;
    let errand = Errand { retrieval, name, remote };
    match peer.how {
        Retrieve::Get => get::all(&errand, &holdings, &mut sink).await.map_err(named)?,
        Retrieve::Move => moves::all(&errand, &holdings, &mut sink).await.map_err(named)?,
    }
    Ok(Pulled::Done { files: sink.close().await?, portal: None })
}

/// What both ways of retrieval work with.
struct Errand<'a> {
    retrieval: &'a Retrieval,
    name: &'a str,
    remote: &'a Remote,
}

impl Errand<'_> {
    /// Whether a study is here. `completed` is what the peer counted, which counts only if its query told nothing.
    fn judge(
        &self,
        holding: &Holding,
        sink: &Sink<'_>,
        before: u64,
        (status, completed): (Status, u64),
    ) -> Result<(), Error> {
        let name = || self.name.to_owned();
        use dimse::StatusClass::{Pending, Success, Warning};
        let ended = status.class();
        let got = sink.count().saturating_sub(before);
        let told = holding.told().unwrap_or_else(|| completed.max(1));
        let whole = match &holding.instances {
            // A short list is believed against the study's own number only if the peer says that it sent all.
            Some(uids) => {
                uids.iter().all(|uid| sink.has(uid))
                    && (ended == Success || !holding.counts_more_than(got))
            }
            None => got >= told,
        };
        if whole {
            return Ok(());
        }
        if got == 0 && !matches!(ended, Success | Warning | Pending) {
            let advice = query::advice(status);
            return Err(SourceError::RetrieveRefused { name: name(), status, advice }.into());
        }
        let got = got.min(told);
        Err(SourceError::Incomplete { name: name(), got, told }.into())
    }
}

/// A UID of the dictionary.
fn known(uid: &'static str) -> Uid {
    #[expect(clippy::expect_used, reason = "constants of the dictionary; a test reads them all")]
    Uid::new(uid).expect("a UID of the dictionary")
}

/// A context for a query or retrieval class.
fn plain(class: &Uid) -> Proposed {
    use dicom_dictionary_std::uids::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
    let syntaxes = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN];
    Proposed { sop_class: class.clone(), transfer_syntaxes: syntaxes.map(known).into() }
}

#[cfg(test)]
mod tests;
