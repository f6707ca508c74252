//! Code extensions (PS3.5 6.1.2.5): escape sequences that designate another set to the left (G0) or the right
//! (G1) half, until the next one or the next delimiter.

use super::ESC;
use super::set::{Place, Set};
use crate::dicom::{VR, vr};

/// Escape sequences without their first byte (PS3.3 tables C.12-3 and C.12-4), and the set on its side.
const ESCAPES: [(&[u8], Set); 19] = [
    (b"(B", Set::Ascii),
    (b"(J", Set::Romaji),
    (b"-A", Set::Latin1),
    (b"-B", Set::Latin2),
    (b"-C", Set::Latin3),
    (b"-D", Set::Latin4),
    (b"-L", Set::Cyrillic),
    (b"-G", Set::Arabic),
    (b"-F", Set::Greek),
    (b"-H", Set::Hebrew),
    (b"-M", Set::Latin5),
    (b"-b", Set::Latin9),
    (b"-T", Set::Thai),
    (b")I", Set::Katakana),
    (b"$B", Set::Kanji),
    // The edition of 1978, not of the standard, not unknown.
    (b"$@", Set::Kanji),
    (b"$(D", Set::SupplementaryKanji),
    (b"$)C", Set::Hangul),
    (b"$)A", Set::SimplifiedChinese),
];

/// What the two halves mean at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    left: Set,
    right: Option<Set>,
}

impl State {
    /// Where a value begins, and behind each delimiter.
    fn initial(sets: &[Set]) -> Self {
        let first = sets.first().copied().unwrap_or(Set::Ascii);
        let right = matches!(first.place(), Place::Right | Place::RightPair).then_some(first);
        let left = if first == Set::Katakana { Set::Romaji } else { Set::Ascii };
        Self { left, right }
    }

    fn designate(&mut self, set: Set) {
        match set.place() {
            Place::Left | Place::LeftPair => self.left = set,
            Place::Right | Place::RightPair => self.right = Some(set),
        }
    }
}

/// Whether the first set is active again behind this character.
fn is_delimiter(character: char, vr: VR) -> bool {
    match character {
        '\t' | '\n' | '\x0C' | '\r' => true,
        '\\' => !vr::is_prose(vr),
        '^' | '=' => vr == VR::PN,
        _ => false,
    }
}

/// Decodes a value; `None` if a byte has no meaning in the set that is active.
pub(super) fn decode(sets: &[Set], bytes: &[u8], vr: VR) -> Option<String> {
    let initial = State::initial(sets);
    // Writers forget to designate the only set that high bytes can be of.
    let mut rights =
        sets.iter().filter(|set| matches!(set.place(), Place::Right | Place::RightPair));
    let presumed = rights.next().copied().filter(|_| rights.next().is_none());
    let mut state = initial;
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        if *first == ESC {
            let (sequence, set) = ESCAPES.iter().find(|(known, _)| behind.starts_with(known))?;
            state.designate(*set);
            rest = behind.get(sequence.len()..)?;
            continue;
        }
        let set = match first {
            0x21..=0x7E => state.left,
            0x80.. => state.right.or(presumed)?,
            _ => Set::Ascii,
        };
        let length = match set.place() {
            Place::Left | Place::Right => 1,
            Place::LeftPair | Place::RightPair => 2,
        };
        let (character, behind) = rest.split_at_checked(length)?;
        if set.place() == Place::Left {
            let character = char::from(*first);
            text.push(character);
            if is_delimiter(character, vr) {
                state = initial;
            }
        } else {
            let is_left = |byte: &u8| (0x21..=0x7E).contains(byte);
            if character.iter().any(|byte| is_left(byte) != is_left(first)) {
                return None;
            }
            text.push_str(&set.decode_one(character)?);
        }
        rest = behind;
    }
    Some(text)
}

/// Encodes a value; `None` if a character is of none of the sets.
pub(super) fn encode(sets: &[Set], text: &str, vr: VR) -> Option<Vec<u8>> {
    let initial = State::initial(sets);
    let mut state = initial;
    let mut out = Vec::with_capacity(text.len().saturating_mul(2));
    for character in text.chars() {
        if character.is_ascii() {
            if state.left.place() != Place::Left {
                switch(&mut state, initial.left, &mut out);
            }
            if is_delimiter(character, vr) {
                // The first set has to be active before a delimiter (PS3.5 6.1.2.5.3).
                switch(&mut state, initial.left, &mut out);
                if let Some(right) = initial.right {
                    switch(&mut state, right, &mut out);
                }
                state = initial;
            }
            out.extend(u8::try_from(character));
        } else {
            let encoded = |set: &Set| set.encode_one(character).map(|bytes| (*set, bytes));
            let active = [Some(state.left), state.right];
            let (set, bytes) = active
                .iter()
                .flatten()
                .find_map(encoded)
                .or_else(|| sets.iter().find_map(encoded))?;
            switch(&mut state, set, &mut out);
            out.extend(bytes);
        }
    }
    // And before the value ends.
    switch(&mut state, initial.left, &mut out);
    Some(out)
}

/// Writes the escape sequence for `set`, unless it is active.
fn switch(state: &mut State, set: Set, out: &mut Vec<u8>) {
    let before = *state;
    state.designate(set);
    if *state != before
        && let Some((sequence, _)) = ESCAPES.iter().find(|(_, known)| *known == set)
    {
        out.push(ESC);
        out.extend_from_slice(sequence);
    }
}
