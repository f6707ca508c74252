//! The walk over an object: whatever comes, it ends, and what it yields lies inside of the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lotse::dicom::Uid;
use lotse::dicom::scan::{Limits, scan_data_set, scan_file};

fuzz_target!(|bytes: &[u8]| {
    let length = bytes.len() as u64;
    let limits = Limits { inflated: 16 << 20, ..Limits::default() };
    if let Ok(scan) = scan_file(&mut &*bytes, length, &limits) {
        assert!(scan.layout.data_set_at <= scan.layout.ends_at);
        if let Some(pixels) = scan.layout.pixel_data {
            assert!(pixels.element_at <= pixels.ends_at && pixels.ends_at <= scan.layout.ends_at);
        }
    }
    for syntax in ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"] {
        let syntax = Uid::new(syntax).expect("a UID");
        let _ = scan_data_set(&mut &*bytes, length, &syntax, &limits);
    }
});
