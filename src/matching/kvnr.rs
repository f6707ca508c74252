//! The German health insurance number (§ 290 SGB V): a letter, eight digits, a check digit.
//!
//! Invariant: a number is evidence only with a valid check digit, and only if no other issuer claims it.

use crate::dicom::PatientId;

/// Issuers that mean the number of the statutory health insurance.
const ISSUERS: [&str; 5] =
    ["1.2.276.0.76.4.8", "http://fhir.de/NamingSystem/gkv/kvnr", "KVNR", "GKV", "EGK"];

/// The immutable part of the number that an ID carries, if it is one.
pub(super) fn of(id: &PatientId) -> Option<&str> {
    let text = id.id.trim();
    // The full form carries the insurer's number behind it.
    let number = match text.len() {
        10 => text,
        20 | 30 => text.get(..10)?,
        _ => return None,
    };
    let issuer = id.issuer.as_deref().map(str::trim).filter(|issuer| !issuer.is_empty());
    if issuer.is_some_and(|issuer| !ISSUERS.iter().any(|known| known.eq_ignore_ascii_case(issuer)))
    {
        return None;
    }
    is_valid(number).then_some(number)
}

fn is_valid(number: &str) -> bool {
    let mut bytes = number.bytes();
    let Some(letter) = bytes.next().filter(u8::is_ascii_uppercase) else {
        return false;
    };
    let Some(digits) = bytes
        .map(|byte| byte.is_ascii_digit().then(|| u32::from(byte - b'0')))
        .collect::<Option<Vec<u32>>>()
    else {
        return false;
    };
    let place = u32::from(letter - b'A') + 1;
    let Some((check, body)) = digits.split_last() else {
        return false;
    };
    let all = [place / 10, place % 10].into_iter().chain(body.iter().copied());
    let sum: u32 = all
        .zip([1, 2].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    body.len() == 8 && sum % 10 == *check
}
