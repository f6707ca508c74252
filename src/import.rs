//! The core: the states of an import and of its studies, the events that move them, the actions that follow.
//!
//! Pure: [`Import::apply`] is a function of state, event and moment, without IO. Events are facts that were
//! made durable first; replaying them gives the same state. Invariants: every unique instance received is in
//! exactly one place at any time (`Counts`), no study is forwarded without a decision and a plan, and a
//! refused event changes nothing.
//!
//! ```text
//! a link:  Requested → Asking ⇄ Requested ⇄ Choosing → Preparing → Downloading ┐
//! pushed:  Receiving ──────────────────────────────────────────────────────────┴→ Received → Unpacked → Closed
//! study:   Inspected → AwaitingWorklist → AwaitingDecision → Forwarding → Confirming → Confirmed
//! aside:   import Failed, Cancelled; study Quarantined, Rejected, Cancelled
//! ```

mod allowed;
mod apply;
mod blob;
mod choice;
mod commitment;
mod counts;
mod delivery;
mod documents;
mod due;
mod event;
mod faults;
mod id;
mod instances;
mod link;
mod outcomes;
mod question;
pub mod routes;
mod routing;
mod source;
mod state;
mod study;
pub use apply::PULL_ATTEMPTS;
pub use blob::{Blob, Digest};
pub use choice::{Chosen, DicomWeb, Listing, Offer, Promised, Session};
mod restart;
pub use commitment::{
    Asked, Assurance, COMMITMENT_BATCH, COMMITMENT_REFUSALS, COMMITMENT_REQUESTS, Commitment,
    CommitmentFault, RESENDS, Stand,
};
pub use counts::Counts;
pub use due::{Due, Times};
pub use event::{Action, Actor, End, Event, Illegal, Order, Over, Stage, Stop, Tombstone};
pub use id::ImportId;
pub use instances::Instances;
pub use link::{Bookmark, Link};
pub use outcomes::Outcomes;
pub use question::{Question, QuestionKind};
pub use restart::INTERRUPTIONS;
pub use routing::{Compressed, Way, Why};
pub use source::{From, Selection, Source};
pub use state::{
    Delivery, DestinationName, File, Import, Inspected, Instance, InstanceOutcome, Kind, Origin,
    Request, SetAside, State, Study, StudyState, Work,
};

pub use crate::reconcile::encapsulate::FileKind;

#[cfg(test)]
mod tests;
