//! Multipart bodies in pieces: the same parts however they come.
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::recipe_multipart(bytes));
