//! Character sets: a term, a NUL, and bytes in that set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lotse::dicom::{CharacterSets, VR};

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (term, rest) = bytes.split_at(at);
    let sets = CharacterSets::parse(Some(term));
    for vr in [VR::PN, VR::LO, VR::UT] {
        let text = sets.decode(rest, vr);
        let _ = sets.encode(&text, vr);
    }
});
