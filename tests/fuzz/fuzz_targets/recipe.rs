//! Recipe files: read as a whole, or refused with a line.
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::recipe(bytes));
