//! The integration tests: one binary, real sockets, real peers. A missing peer fails a test, it never skips it.

// Clippy's exceptions for tests do not reach the helpers of an integration test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests and their harness"
)]
#![allow(dead_code, unreachable_pub, reason = "the harness is for all tests, and each uses a part")]

mod api;
mod architecture;
mod bursts;
mod canary;
mod choosing;
mod codes;
mod coercion;
mod commitment;
mod conformance;
mod console;
mod cycles;
mod decoding;
mod desk;
mod destinations;
mod documents;
mod embedded;
mod fuzz;
mod hl7;
mod hospital;
mod hostile_http;
mod journal_tools;
mod media;
mod mistakes;
mod needles;
mod order_of_effects;
mod other_orders;
mod pacing;
mod pipeline;
mod proxy;
mod query_scp;
mod real_peers;
mod recipes;
mod recovery;
mod reload;
mod retention;
mod secure;
mod sink;
mod sources;
mod support;
mod taken_away;
mod testssl;
mod worklist_scp;
mod worklist_scu;
