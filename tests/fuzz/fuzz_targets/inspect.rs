//! From bytes to facts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lotse::dicom::inspect::inspect;
use lotse::dicom::scan::{Limits, scan_file};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { inflated: 16 << 20, ..Limits::default() };
    if let Ok(scan) = scan_file(&mut &*bytes, bytes.len() as u64, &limits) {
        let _ = inspect(scan);
    }
});
