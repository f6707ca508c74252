//! Lotse, a DICOM import gateway.
//!
//! The modules in reading order, ground first. A room may use any room on a lower floor, none beside it or
//! above; `tests/it/architecture.rs` holds this drawing against the code.

// Ground: clocks, the vocabulary of DICOM, TLS, metrics.
pub mod clock;
pub mod dicom;
pub mod metrics;
pub mod tls;

// Pure: decide which patient, and what changes; `import` stands above them, since its states carry what they
// decide.
pub mod matching;
pub mod reconcile;

pub mod import;

// Keys; then bytes and records at rest, peers on the wire.
pub mod seal;

pub mod dimse;
pub mod hl7;
pub mod journal;
pub mod spool;
pub mod web;

// Stages: each does the IO of one step and reports.
pub mod confirm;
pub mod expire;
pub mod fetch;
pub mod forward;
pub mod unpack;
pub mod worklist;

// The scheduler, and the doors that admit, ask and answer.
pub mod pipeline;

pub mod http;
pub mod mllp;
pub mod scp;

// The whole, its simulated surroundings, and its command line.
pub mod gateway;
#[cfg(feature = "sim")]
pub mod sim;

pub mod cli;
