//! What an import is: states that carry what the next one needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::blob::Blob;
use super::choice::{Chosen, Listing, Promised, Session};
pub use super::delivery::{Delivery, InstanceOutcome};
use super::instances::Instances;
use super::link::{Bookmark, Link};
use super::outcomes::Outcomes;
use super::question::Question;
use super::source::From;
use super::{Compressed, ImportId, Way};
use crate::clock::Moment;
use crate::dicom::{AeTitle, BirthDate, Layout, Patient, PatientId, StudyFacts, Uid};
use crate::matching::{Decision, Outcome};
use crate::reconcile::Plan;
use crate::reconcile::encapsulate::FileKind;

/// The name of a `[destinations.NAME]` section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DestinationName(pub String);

impl fmt::Display for DestinationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an import came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    Link {
        host: String,
    },
    Upload,
    /// A burst of C-STORE from one peer, closed by quiet time.
    Association {
        peer: String,
        ae_title: AeTitle,
    },
    /// Asked for at a peer: C-FIND, then C-GET or C-MOVE.
    Retrieval {
        peer: String,
    },
    /// Asked for at a DICOMweb service.
    Dicomweb {
        service: String,
    },
}

impl Kind {
    /// Whether we fetch what it is about, so that it can be fetched again.
    pub fn is_pulled(&self) -> bool {
        match self {
            Self::Link { .. } | Self::Retrieval { .. } | Self::Dicomweb { .. } => true,
            Self::Upload | Self::Association { .. } => false,
        }
    }
}

/// What was asked for when the import was made.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    pub link: Option<Link>,
    /// By the portal's question ID or its type.
    pub answers: BTreeMap<String, String>,
    pub patient: Option<PatientId>,
    pub accession_number: Option<String>,
    pub destination: Option<DestinationName>,
    /// Of encrypted archives, a secret; an empty one says that a person goes on without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// What is wanted of a portal's list; a person is asked if nothing is said and it is not clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Chosen>,
    /// Keys of answers that are good for one login only.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub one_time: BTreeSet<String>,
    /// Where to ask instead of following a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<From>>,
}

impl Request {
    /// The key of the question for an archive's password.
    pub const ARCHIVE_PASSWORD: &str = "archivePassword";

    /// The key of a birth date among the answers: the portal's question type.
    pub const BIRTH_DATE: &str = "PAT_BIRTH_DATE";

    /// The birth date that was typed for the portal, if one was.
    pub fn typed_birth_date(&self) -> Option<BirthDate> {
        self.answers.get(Self::BIRTH_DATE).and_then(|text| BirthDate::parse(text))
    }
}

/// A file that arrived as a whole: an upload or a download, an archive or a single object.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// As the portal or the person named it; may hold a patient's name, so it is only shown to people.
    pub name: String,
    pub blob: Blob,
}

/// Whether an instance came as DICOM or is made by us from a document that came along.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    Received { layout: Layout },
    Created { kind: FileKind, title: String },
}

/// One DICOM object as inspection found it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspected {
    pub sop_class: Uid,
    pub sop_instance: Uid,
    pub series: Uid,
    pub layout: Layout,
    pub blob: Blob,
    /// Of all instances of a study mostly the same.
    pub facts: Arc<StudyFacts>,
}

/// One instance of an import; its number is its place in [`Import::instances`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    pub sop_class: Uid,
    pub sop_instance: Uid,
    pub series: Uid,
    pub blob: Blob,
    pub origin: Origin,
}

/// A file that is not forwarded, with the reason a person reads.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    pub name: String,
    pub reason: String,
}

impl SetAside {
    /// A list that is longer than this tells a person nothing more.
    pub const LISTED: usize = 10_000;

    /// The last of a list that was cut.
    pub fn end(name: String) -> Self {
        Self { name, reason: "set aside too; the list ends here".to_owned() }
    }
}

/// The state of an import.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The portal is being asked, or will be at `due`.
    Requested {
        attempts: u32,
        due: Option<Moment>,
        note: Option<String>,
    },
    /// The portal wants an answer from a person.
    Asking {
        questions: Vec<Question>,
        note: Option<String>,
        /// What arrived, if it is not the portal that asks but an encrypted archive.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<File>,
    },
    /// The portal holds several examinations, and a person takes some or all.
    Choosing {
        listing: Listing,
    },
    /// The portal is fetching the examination and said when to ask again.
    Preparing {
        due: Moment,
        attempts: u32,
    },
    Downloading {
        interrupted: u32,
    },
    /// Objects of one peer are arriving; `last` is when the newest came.
    Receiving {
        last: Moment,
    },
    /// Everything is here and is being unpacked.
    Received {
        files: Vec<File>,
        interrupted: u32,
        /// Times it was put off, for a virus scanner that is not there or a spool that can't be used.
        #[serde(default)]
        waits: u32,
        /// When it was put off first.
        #[serde(default)]
        fails_since: Option<Moment>,
        /// Waits until then; `None` while it is unpacked.
        #[serde(default)]
        due: Option<Moment>,
        #[serde(default)]
        note: Option<String>,
        /// Whether it is being unpacked, not only waiting for its turn.
        #[serde(default)]
        began: bool,
    },
    /// The studies go their ways.
    Unpacked,
    /// Every study has reached an end.
    Closed {
        at: Moment,
    },
    /// A person has to look; `sentence` says what to do next.
    Failed {
        sentence: String,
        again: Option<Box<State>>,
    },
    Cancelled {
        at: Moment,
    },
}

/// The state of a study.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StudyState {
    Inspected,
    /// The worklist is being asked, or will be again at `due`.
    AwaitingWorklist {
        attempts: u32,
        interrupted: u32,
        due: Option<Moment>,
        note: Option<String>,
        /// Whether the worklist is being asked, not only waited for.
        #[serde(default)]
        began: bool,
    },
    /// A person has to choose among the candidates.
    AwaitingDecision {
        outcome: Box<Outcome>,
    },
    Forwarding(Box<Work>),
    Confirming(Box<Work>),
    Confirmed {
        work: Box<Work>,
        at: Moment,
    },
    /// A person has to act; `work` is there if the study was decided before.
    Quarantined {
        sentence: String,
        work: Option<Box<Work>>,
    },
    /// `work` tells what had been delivered before, if it was decided.
    Rejected {
        reason: String,
        at: Moment,
        work: Option<Box<Work>>,
    },
    Cancelled {
        at: Moment,
        work: Option<Box<Work>>,
    },
}

/// A decided study on its way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    pub decision: Decision,
    pub plan: Plan,
    /// Plans of destinations that want something otherwise than the site.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plans: BTreeMap<DestinationName, Plan>,
    pub deliveries: Vec<Delivery>,
    /// The route by which the destinations were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// What the route says of compressed images, instead of the destinations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed: Option<Compressed>,
    /// Why it goes there; not known of what was decided before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
}

impl Work {
    /// What changes in the objects that go to this destination.
    pub fn plan_for(&self, destination: &DestinationName) -> &Plan {
        self.plans.get(destination).unwrap_or(&self.plan)
    }

    /// Why destinations hold the study, by what they were asked before anything was sent.
    pub fn held(&self) -> Vec<String> {
        self.deliveries.iter().filter_map(|delivery| delivery.held.clone()).collect()
    }

    /// Whether it was decided for the patient with this ID.
    pub fn is_for(&self, patient: &Patient) -> bool {
        let before = self.decision.target.patient().id.as_ref();
        before.is_some() && before == patient.id.as_ref()
    }

    /// Whether nothing was answered and no run is under way, so that the study may still be filed elsewhere.
    pub(super) fn is_untouched(&self) -> bool {
        // What has not begun (it is held, put off, or waits for its turn) is refused its beginning, and looks at the
        // work anew then.
        self.deliveries.iter().all(|delivery| !delivery.began && delivery.outcomes.is_empty())
    }

    /// Whether an object may be at a destination that no answer told of. What a crash or a retry cut off counts: its
    /// run may have got so far, or still go on.
    pub fn may_have_left(&self) -> bool {
        self.deliveries.iter().any(|delivery| !delivery.may_hold.is_empty())
    }
}

/// One study inside an import.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Study {
    pub uid: Uid,
    /// As the first instance told them.
    pub facts: StudyFacts,
    /// Every different identity the instances carry, at most [`Study::MAX_IDENTITIES`].
    pub identities: Vec<Patient>,
    pub modalities: Vec<String>,
    /// Numbers of its instances, created ones included.
    pub instances: Arc<Vec<u32>>,
    pub state: StudyState,
}

impl State {
    /// The participle, for display and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "Requested",
            Self::Asking { .. } => "Asking",
            Self::Choosing { .. } => "Choosing",
            Self::Preparing { .. } => "Preparing",
            Self::Downloading { .. } => "Downloading",
            Self::Receiving { .. } => "Receiving",
            Self::Received { .. } => "Received",
            Self::Unpacked => "Unpacked",
            Self::Closed { .. } => "Closed",
            Self::Failed { .. } => "Failed",
            Self::Cancelled { .. } => "Cancelled",
        }
    }
}

impl StudyState {
    /// The participle, for display and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inspected => "Inspected",
            Self::AwaitingWorklist { .. } => "AwaitingWorklist",
            Self::AwaitingDecision { .. } => "AwaitingDecision",
            Self::Forwarding(_) => "Forwarding",
            Self::Confirming(_) => "Confirming",
            Self::Confirmed { .. } => "Confirmed",
            Self::Quarantined { .. } => "Quarantined",
            Self::Rejected { .. } => "Rejected",
            Self::Cancelled { .. } => "Cancelled",
        }
    }
}

impl Study {
    /// More identities than this in one study tell a person nothing new.
    pub const MAX_IDENTITIES: usize = 8;

    pub fn work(&self) -> Option<&Work> {
        match &self.state {
            StudyState::Forwarding(work)
            | StudyState::Confirming(work)
            | StudyState::Confirmed { work, .. }
            | StudyState::Quarantined { work: Some(work), .. }
            | StudyState::Rejected { work: Some(work), .. }
            | StudyState::Cancelled { work: Some(work), .. } => Some(work),
            StudyState::Inspected
            | StudyState::AwaitingWorklist { .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Quarantined { work: None, .. }
            | StudyState::Rejected { work: None, .. }
            | StudyState::Cancelled { work: None, .. } => None,
        }
    }

    /// Its delivery to this destination, if that is to be sent and has not begun.
    pub fn awaits_turn(&self, destination: &DestinationName) -> Option<&Delivery> {
        let StudyState::Forwarding(work) = &self.state else { return None };
        let mut deliveries = work.deliveries.iter();
        let found = deliveries.find(|delivery| delivery.destination == *destination);
        found.filter(|delivery| delivery.awaits_turn(self.instances.len()))
    }

    /// Whether nothing happens to this study any more.
    pub fn is_ended(&self) -> bool {
        matches!(
            self.state,
            StudyState::Confirmed { .. }
                | StudyState::Rejected { .. }
                | StudyState::Cancelled { .. }
        )
    }
}

/// One arrival: one link, one upload, one burst of C-STORE from one peer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    pub id: ImportId,
    pub kind: Kind,
    pub created: Moment,
    /// When the last change of state was.
    pub changed: Moment,
    pub request: Request,
    /// Where the visit to the portal stands, if it goes on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<Bookmark>,
    /// What the portal's list told of the patient.
    pub portal: Option<Patient>,
    pub state: State,
    /// Shared by all states of the import, as instances are: there may be hundreds, and events change one at a time.
    pub studies: Vec<Arc<Study>>,
    pub instances: Instances,
    pub set_aside: Vec<SetAside>,
    /// Instances of which another object with the same UID was set aside.
    #[serde(default)]
    pub disputed: Arc<BTreeSet<u32>>,
    /// Remarks on what came, for people.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What the portal's list has of what came and was not looked at yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promised: Vec<Promised>,
    /// At the portal, open while a person chooses or the portal prepares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The same object again, byte for byte or at least by UID.
    pub duplicates: u32,
}

crate::dicom::redacted!(
    Link,
    Request,
    Bookmark,
    File,
    Origin,
    Inspected,
    Instance,
    SetAside,
    State,
    StudyState,
    Work,
    Delivery,
    InstanceOutcome,
    Outcomes,
    Instances,
    Study,
    Import
);
