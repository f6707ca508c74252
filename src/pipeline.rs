//! The scheduler: the only one that calls `apply` and writes the journal.
//!
//! Owns every living import. Doors hand it requests, stages hand it reports; both become events, which are
//! journalled, applied and acted upon in one thread. Invariants: nothing is acknowledged before its event is on
//! the device; an action starts only after the event that asked for it is; nobody else changes an import.

mod anew;
mod assuring;
mod backoff;
mod choosing;
mod compared;
mod decisions;
mod delivering;
mod due;
mod earlier;
mod gate;
mod going_on;
mod handle;
mod held;
mod judge;
mod lanes;
mod patients;
mod progress;
mod pulling;
mod rate;
mod recover;
mod refusal;
mod scheduler;
mod settings;
mod shared;
mod snapshot;
mod stages;
mod unpacking;
mod verify;

pub use backoff::Backoff;
pub use gate::{Gate, Stay};
pub use handle::{Arrival, Choice, Pipeline, Seen, Upload};
pub use lanes::Paused;
pub use patients::{Look, Registered};
pub use progress::Progress;
pub use refusal::Refusal;
pub use scheduler::{Error, Running, start};
pub use settings::{Parts, Settings};
pub use snapshot::{DestinationHealth, LastError, Snapshot, WorklistHealth};
pub use verify::{Verified, verify};
