//! Files of any kind: archives, disc images, objects, documents.
#![no_main]

mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| world::take_in("a.bin", bytes));
