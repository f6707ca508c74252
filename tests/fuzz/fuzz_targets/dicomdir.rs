//! A file called DICOMDIR.
#![no_main]

mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| world::take_in("DICOMDIR", bytes));
