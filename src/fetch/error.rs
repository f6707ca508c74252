//! Why a pull failed, and what follows from it.

use super::SourceError;
use super::recipe::Outcome;
use crate::{spool, web};

/// What the scheduler does about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again later, a bounded number of times.
    Retry,
    /// A person has to look; the sentence says at what.
    Quarantine,
    /// Never right with this link.
    Fatal,
}

/// A pull that did not end well. The display is the sentence a person reads; hosts are all it tells of the
/// link.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Web(#[from] web::Error),
    #[error(
        "this portal ({host}) does not speak DLX; download the examination in a browser and upload the file here"
    )]
    NotDlx { host: String },
    #[error(
        "{host} does not know this link; check that it was copied whole, or ask the sender for a new one"
    )]
    Unknown { host: String },
    #[error(
        "{host} refused the request (status {status}); open the link in a browser to see what it wants, and upload the file here if it opens"
    )]
    Refused { host: String, status: u16 },
    #[error("{host} has a fault of its own (status {status})")]
    Unavailable { host: String, status: u16 },
    #[error(
        "the answer of {host} cannot be understood ({what}); download the examination in a browser and upload the file here, and tell the portal's operator"
    )]
    Answer { host: String, what: &'static str },
    #[error(
        "{host} names another host ({other}) for its interface; if both belong together, list both as hosts of one [portals.NAME] section"
    )]
    Elsewhere { host: String, other: String },
    #[error(
        "the link has expired; {host} confirmed the identity, so ask the sender to reactivate it, then press retry"
    )]
    Expired { host: String },
    #[error(
        "the login at {host} was cut off, so it is not known whether it counted; press retry to log in again"
    )]
    LoginInDoubt { host: String },
    #[error("{host} ended the session during the download; press retry to log in again")]
    SessionLost { host: String },
    #[error(
        "the one-time password for {host} is used up and the download is not complete: {cause}; get a new password, press retry and enter it"
    )]
    OneTime { host: String, cause: Box<Error> },
    #[error(
        "{host} lists a file that it does not hand out (status {status}); press retry, and tell the portal's operator if it stays so"
    )]
    Missing { host: String, status: u16 },
    #[error(
        "{host} has nothing to download behind this link yet; ask the sender, then press retry"
    )]
    Nothing { host: String },
    #[error(
        "{host} does not list any more what was chosen; press retry to look again, and ask the sender if it stays so"
    )]
    Unlisted { host: String },
    #[error(
        "{host} sent a web page instead of the examination; open the link in a browser and upload the file here"
    )]
    Page { host: String },
    #[error("{host}: {}{}", .outcome.sentence(), .told.as_ref().map(|told| format!(" ({told})")).unwrap_or_default())]
    Portal { host: String, outcome: Outcome, told: Option<String> },
    #[error(
        "{host} did not finish preparing the examination in time; press retry later, or ask the sender"
    )]
    NotReady { host: String },
    #[error(
        "the recipe for {host} was changed while the import was under way; press retry to begin anew"
    )]
    RecipeChanged { host: String },
    #[error("the file from {host} ends in the middle")]
    Cut { host: String },
    #[error(
        "{host} did not finish within the time for one attempt; raise deadline in [fetch] if the portal is only slow, then press retry"
    )]
    Deadline { host: String },
    #[error(
        "the examination is larger than max-download in [fetch] allows; raise it, then press retry"
    )]
    TooLarge,
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Spool(#[from] spool::Error),
    #[error("the pull was stopped")]
    Cancelled,
}

impl Error {
    /// What follows: cut transfers and faults that pass are tried again, all else needs a person.
    pub fn class(&self) -> Class {
        match self {
            Self::Web(error) if error.is_passing() => Class::Retry,
            Self::Portal { outcome: Outcome::PortalDown, .. } => Class::Retry,
            Self::Source(error) => error.class(),
            Self::Unavailable { .. } | Self::Cut { .. } | Self::Spool(_) | Self::Cancelled => {
                Class::Retry
            }
            Self::Web(_)
            | Self::NotDlx { .. }
            | Self::Unknown { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::Elsewhere { .. }
            | Self::Portal { .. }
            | Self::NotReady { .. }
            | Self::RecipeChanged { .. }
            | Self::Expired { .. }
            | Self::LoginInDoubt { .. }
            | Self::SessionLost { .. }
            | Self::OneTime { .. }
            | Self::Missing { .. }
            | Self::Nothing { .. }
            | Self::Unlisted { .. }
            | Self::Page { .. }
            | Self::Deadline { .. }
            | Self::TooLarge => Class::Quarantine,
        }
    }

    /// What a person reads: what happened and what to do next; no link, answer or token in it.
    pub fn sentence(&self) -> String {
        self.to_string()
    }
}
