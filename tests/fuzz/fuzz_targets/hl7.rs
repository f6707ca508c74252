//! HL7 v2: any bytes are read as an order or a patient, or refused; the answer is always one that can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lotse::hl7::{Head, Message, reply};
use lotse::worklist::hl7::{Rules, read};

fuzz_target!(|bytes: &[u8]| {
    let rules = Rules::default();
    let fault = match Message::parse(bytes, &rules.fallback) {
        Ok(message) => read(&message, &rules, jiff::civil::date(2026, 3, 1)).err(),
        Err(fault) => Some(fault),
    };
    let answer = reply(&Head::peek(bytes), fault.as_ref(), "20260301120000+0100");
    assert!(Message::parse_answer(&answer).is_ok());
});
