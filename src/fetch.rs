//! Pulling an examination from where a link points, or from a source that is asked for it.
//!
//! Owns the recognition of links (and of QR codes that hold one), the consumer side of DLX (DIN/TS 19455,
//! interface version 1), recipes for portals without it, and archives as sources. One call of [`pull`] or
//! [`retrieve()`] is one attempt: it ends with the files synced in the spool, with questions for a person, with a
//! time to come again, or with an [`Error`] that says what to do. Invariants: credentials go out once per
//! login and only to the portal's own hosts; nothing is guessed; no link, answer or token is in any text
//! that this module makes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::dicom::Patient;
use crate::import::{Bookmark, Chosen, File, Link, Listing, Promised, Question, Session};
use crate::spool::ImportSpool;
use crate::web;

mod answers;
pub mod code;
mod content;
pub mod dicomweb;
mod dlx;
mod error;
mod listing;
mod locate;
pub mod multipart;
mod name;
mod reading;
pub mod recipe;
mod recognise;
mod retrieve;
mod section;
mod source;
mod store;
mod wire;

pub use dicomweb::Service;
pub use error::{Class, Error};
pub use reading::{Understood, understand};
pub use recipe::Recipes;
pub use retrieve::{
    DicomwebSection, Moves, Moving, Patience, PeerSource, Retrieval, Sources, Ticket, retrieve,
};
pub use section::{Choose, FetchSection};
pub use source::{Sink, SourceError};

/// What a pull needs. Dropping the future, or cancelling, stops it.
pub struct Pull {
    pub link: Link,
    /// By the portal's question ID or its type.
    pub answers: BTreeMap<String, String>,
    /// What is wanted of a list, if that was said.
    pub chosen: Option<Chosen>,
    /// A session that was left open, for the choice or while the portal prepares.
    pub session: Option<Session>,
    pub spool: ImportSpool,
    pub cancel: CancellationToken,
    pub observer: Arc<dyn Observer>,
    pub section: FetchSection,
    /// For portals without DLX.
    pub recipes: Recipes,
    /// Where an earlier attempt left off.
    pub bookmark: Option<Bookmark>,
}

/// Told while bytes come.
#[async_trait::async_trait]
pub trait Observer: Send + Sync {
    /// Login succeeded; totals if the portal said how much there is. Told again when it is known better.
    fn downloading(&self, total_bytes: Option<u64>, total_files: Option<u64>);
    /// So many bytes more have come.
    fn received(&self, bytes: u64);
    /// Remarks on what came, for people.
    fn noted(&self, _notes: Vec<String>) {}
    /// Studies that a list promises of what came: whether they are in it shows when it is unpacked.
    fn promised(&self, _studies: Vec<Promised>) {}
    /// Makes durable where the visit stands, before what follows from it; `false` if that cannot be, and the
    /// pull has to stop.
    async fn keep(&self, _session: &Bookmark) -> bool {
        true
    }
}

/// How a pull ended without a fault.
pub enum Pulled {
    /// The portal asks what the answers do not hold, or refused them (`note` says so in a sentence).
    Asked { questions: Vec<Question>, note: Option<String> },
    /// There are several examinations, and nobody said which are wanted. The session stays open for the choice.
    Listed { listing: Box<Listing>, session: Option<Session> },
    /// The portal is fetching the examination itself; ask again after `wait`. The session stays open for that.
    Preparing { wait: Duration, session: Option<Session> },
    /// Files are synced in the spool. `portal`: the patient as the portal's list told it.
    Done { files: Vec<File>, portal: Option<Patient> },
}

impl Pulled {
    /// The word for the log.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Asked { .. } => "asked",
            Self::Listed { .. } => "listed",
            Self::Preparing { .. } => "preparing",
            Self::Done { .. } => "done",
        }
    }
}

/// A pull that stops early: by a fault, or by an end that is none.
enum Halt {
    Fault(Error),
    Ended(Pulled),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// One attempt to get what the link points to.
///
/// # Errors
/// [`Error::class`] says whether the same attempt may be made again without a person.
pub async fn pull(client: &web::Client, pull: &Pull) -> Result<Pulled, Error> {
    let host = pull.link.host();
    let work =
        Box::pin(tokio::time::timeout(pull.section.deadline, recognise::follow(client, pull)));
    let ended = tokio::select! {
        biased;
        () = pull.cancel.cancelled() => Err(Error::Cancelled),
        ended = work => match ended {
            Ok(Ok(pulled)) | Ok(Err(Halt::Ended(pulled))) => Ok(pulled),
            Ok(Err(Halt::Fault(error))) => Err(error),
            Err(_) => Err(Error::Deadline { host: host.to_owned() }),
        },
    };
    match &ended {
        Ok(pulled) => tracing::info!(host, outcome = pulled.outcome(), "portal pulled"),
        Err(error) => tracing::info!(host, outcome = %error, "portal pull failed"),
    }
    ended
}

#[cfg(test)]
mod tests;
