//! Pages of portals: bounded, and every form can be sent.
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::form(bytes));
