//! What happened, and what has to be done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::commitment::{Assurance, CommitmentFault};
use super::link::Bookmark;
use super::state::{
    DestinationName, File, Inspected, InstanceOutcome, Kind, Request, SetAside, StudyState,
};
use super::{
    Blob, Chosen, Compressed, FileKind, ImportId, Listing, Promised, Question, Session, Way,
};
use crate::clock::Moment;
use crate::dicom::{Patient, Uid};
use crate::matching::{Authority, Decision, Outcome};
use crate::reconcile::Plan;

/// Who asked for something: the peer of a control socket, a console session, an association, or ourselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actor(pub String);

/// The stage of work that failed or was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    Pull,
    Unpack,
    Worklist,
    Forward,
}

/// A decided study with everything its delivery needs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub decision: Decision,
    pub plan: Plan,
    /// Plans of destinations that want something otherwise than the site.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plans: BTreeMap<DestinationName, Plan>,
    pub destinations: Vec<DestinationName>,
    /// The route by which they were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// What the route says of compressed images, instead of the destinations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<Compressed>,
    /// Why it goes there; not known of what was decided before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// Journals of before do not say it.
    #[serde(default)]
    pub over: Over,
}

/// Which studies an order is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Over {
    /// Every one that may be decided, as a person means it.
    #[default]
    Any,
    /// One that still waits for the worklist: an answer that comes late does not undo what a person decided meanwhile.
    Waiting,
}

impl Over {
    pub fn of(authority: &Authority) -> Self {
        match authority {
            Authority::Person { .. } => Self::Any,
            Authority::Rule { .. } | Authority::Earlier => Self::Waiting,
        }
    }

    pub(super) fn takes(self, state: &StudyState) -> bool {
        match self {
            Self::Any => true,
            Self::Waiting => matches!(state, StudyState::AwaitingWorklist { .. }),
        }
    }
}

/// A fact about one import. Events are what the journal keeps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// The first event of every import.
    Requested {
        kind: Kind,
        request: Request,
    },
    /// The portal asks something that the request does not answer; `note` tells what went wrong before.
    Asked {
        questions: Vec<Question>,
        note: Option<String>,
    },
    Answered {
        answers: BTreeMap<String, String>,
        actor: Actor,
    },
    /// The portal wants more time.
    Preparing {
        due: Moment,
        /// Stays open until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<Session>,
    },
    /// Login succeeded, bytes are coming.
    Downloading,
    /// Everything a pull or an upload brought.
    Received {
        files: Vec<File>,
        portal: Option<Patient>,
    },
    /// One object of an association.
    Stored {
        instance: Box<Inspected>,
    },
    /// The peer sent nothing for the quiet time, or its burst was as long as one may be.
    BecameQuiet,
    /// `documents` are the files that become instances of a study: `(kind, title, bytes)`.
    Unpacked {
        #[serde(deserialize_with = "super::instances::shared")]
        instances: Vec<Inspected>,
        documents: Vec<(FileKind, String, Blob)>,
        set_aside: Vec<SetAside>,
    },
    /// A passing fault: tried again at `due`.
    Postponed {
        stage: Stage,
        study: Option<Uid>,
        due: Moment,
        sentence: String,
    },
    /// A fault for a person.
    Failed {
        stage: Stage,
        study: Option<Uid>,
        sentence: String,
    },
    /// What came can't be unpacked, now or later.
    Unreadable {
        sentence: String,
    },
    /// The rules did not decide.
    Ranked {
        study: Uid,
        outcome: Box<Outcome>,
    },
    /// A rule, an earlier import or a person decided.
    Decided {
        study: Uid,
        order: Box<Order>,
    },
    Rejected {
        study: Uid,
        reason: String,
        actor: Actor,
    },
    /// A destination answered for these instances.
    Sent {
        study: Uid,
        destination: DestinationName,
        outcomes: Vec<(u32, InstanceOutcome)>,
    },
    /// A delivery run ended early: tried again at `due`.
    DeliveryPostponed {
        study: Uid,
        destination: DestinationName,
        due: Moment,
        sentence: String,
        /// Nothing left in it without an answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsent: bool,
        /// What left without an answer that tells what became of it. If neither this nor `unsent` says anything, it
        /// may be whatever is not answered: that is how it was written before this was kept.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unanswered: Vec<u32>,
    },
    /// A destination holds this study for somebody else: nothing was sent, a person decides.
    Held {
        study: Uid,
        destination: DestinationName,
        sentence: String,
    },
    /// The destinations vouch for the study.
    Confirmed {
        study: Uid,
    },
    /// A person wants it tried again now.
    Retried {
        actor: Actor,
    },
    Cancelled {
        actor: Actor,
    },
    /// The gateway started with this import unfinished: as releases before [`Event::Resumed`] wrote it, which
    /// counted what was waiting as cut off too.
    Restarted,
    /// Something that was due is due now.
    CameDue,
    /// The portal has several examinations and nobody said which are wanted.
    Listed {
        listing: Listing,
        session: Option<Session>,
    },
    Chosen {
        chosen: Chosen,
        actor: Actor,
    },
    /// Remarks on what is coming, for people.
    Noted {
        notes: Vec<String>,
    },
    /// What the portal's list has of what was downloaded.
    Promised {
        studies: Vec<Promised>,
    },
    /// Where the visit to the portal stands, for it to go on there instead of beginning anew.
    Bookmarked {
        bookmark: Bookmark,
    },
    /// An order came that may be the one this study waits for: the rules look again.
    OrderCame {
        study: Uid,
    },
    /// A stage begins: what cuts the gateway off from now on may be its doing.
    Began {
        stage: Stage,
        study: Option<Uid>,
        destination: Option<DestinationName>,
    },
    /// The gateway started with this import unfinished.
    Resumed {
        after: Stop,
    },
    /// A destination vouches for the study in another way than by commitment; `note` tells why.
    Assured {
        study: Uid,
        destination: DestinationName,
        by: Assurance,
        note: Option<String>,
    },
    /// A destination is about to be asked to commit to these instances; its report is awaited until `due`.
    CommitmentAsked {
        study: Uid,
        destination: DestinationName,
        transaction: Uid,
        instances: Vec<u32>,
        due: Moment,
    },
    /// It took the request.
    CommitmentTaken {
        study: Uid,
        destination: DestinationName,
        transaction: Uid,
    },
    /// It could not be asked, or refused the request: asked again at `due`.
    CommitmentPostponed {
        study: Uid,
        destination: DestinationName,
        fault: CommitmentFault,
        due: Moment,
        sentence: String,
    },
    /// It reported: what it keeps, and what it does not with the reason (PS3.4 J.3.3.1.1). Without a
    /// transaction it was asked by a query. What is in neither list is asked for again at `due`.
    CommitmentReported {
        study: Uid,
        destination: DestinationName,
        transaction: Option<Uid>,
        committed: Vec<u32>,
        failed: Vec<(u32, u16)>,
        due: Moment,
    },
}

impl Event {
    /// The past participle, for errors and the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "Requested",
            Self::Asked { .. } => "Asked",
            Self::Answered { .. } => "Answered",
            Self::Preparing { .. } => "Preparing",
            Self::Downloading => "Downloading",
            Self::Received { .. } => "Received",
            Self::Stored { .. } => "Stored",
            Self::BecameQuiet => "BecameQuiet",
            Self::Unpacked { .. } => "Unpacked",
            Self::Postponed { .. } => "Postponed",
            Self::Failed { .. } => "Failed",
            Self::Unreadable { .. } => "Unreadable",
            Self::Ranked { .. } => "Ranked",
            Self::Decided { .. } => "Decided",
            Self::Rejected { .. } => "Rejected",
            Self::Sent { .. } => "Sent",
            Self::DeliveryPostponed { .. } => "DeliveryPostponed",
            Self::Held { .. } => "Held",
            Self::Confirmed { .. } => "Confirmed",
            Self::Retried { .. } => "Retried",
            Self::Cancelled { .. } => "Cancelled",
            Self::Restarted => "Restarted",
            Self::CameDue => "CameDue",
            Self::Listed { .. } => "Listed",
            Self::Chosen { .. } => "Chosen",
            Self::Noted { .. } => "Noted",
            Self::Promised { .. } => "Promised",
            Self::Bookmarked { .. } => "Bookmarked",
            Self::OrderCame { .. } => "OrderCame",
            Self::Began { .. } => "Began",
            Self::Resumed { .. } => "Resumed",
            Self::Assured { .. } => "Assured",
            Self::CommitmentAsked { .. } => "CommitmentAsked",
            Self::CommitmentTaken { .. } => "CommitmentTaken",
            Self::CommitmentPostponed { .. } => "CommitmentPostponed",
            Self::CommitmentReported { .. } => "CommitmentReported",
        }
    }

    /// The fault that it tells of, with the stage that met it.
    pub fn fault(&self) -> Option<(Stage, &str)> {
        match self {
            Self::Failed { stage, sentence, .. } | Self::Postponed { stage, sentence, .. } => {
                Some((*stage, sentence))
            }
            Self::Unreadable { sentence } => Some((Stage::Unpack, sentence)),
            Self::DeliveryPostponed { sentence, .. } => Some((Stage::Forward, sentence)),
            _ => None,
        }
    }
}

/// How the gateway ended before a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stop {
    /// It was told to stop, and let its stages end.
    InOrder,
    /// It was cut off: a crash, a kill, a power failure.
    CutOff,
}

/// Why an import's bytes die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The time to keep it is over.
    Expired,
    Erased,
    Cancelled,
}

/// What has to be done. The scheduler carries it out and reports the result as an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    Pull,
    Unpack,
    AskWorklist {
        study: Uid,
    },
    Send {
        study: Uid,
        destination: DestinationName,
    },
    Confirm {
        study: Uid,
    },
    /// Have the destination vouch for what it answered.
    Assure {
        study: Uid,
        destination: DestinationName,
    },
    /// Stop what runs for this import.
    Stop,
}

/// An event that does not fit the state; the state is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} does not fit an import that is {state}")]
pub struct Illegal {
    pub event: &'static str,
    pub state: &'static str,
}

/// What stays of an import after its key is gone: no patient data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    pub id: ImportId,
    /// `None` if a crash came between the death of the key and this record.
    pub kind: Option<Kind>,
    pub created: Moment,
    pub ended: Moment,
    pub end: End,
    pub counts: super::Counts,
}

crate::dicom::redacted!(Order, Event);
