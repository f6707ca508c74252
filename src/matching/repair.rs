//! What a damaged text may have been: bytes read in another character set.
//!
//! Invariant: a repaired text is a candidate, never truth: it can make a name similar, not equal.

use encoding_rs::{Encoding, ISO_8859_2, ISO_8859_5, WINDOWS_1251, WINDOWS_1254};

/// Readings that are tried for one name.
const READING_LIMIT: usize = 4;

/// Every reading that something speaks for.
pub(super) fn readings(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |reading: Option<String>| {
        let new = reading.filter(|reading| reading != text && !found.contains(reading));
        if found.len() < READING_LIMIT {
            found.extend(new);
        }
    };
    add(national(text));
    if !text.is_ascii() {
        let utf8 = bytes(text).and_then(|bytes| String::from_utf8(bytes).ok());
        // Read wrongly twice on the way: `MÃƒÂ¼ller`.
        add(utf8.as_deref().and_then(bytes).and_then(|bytes| String::from_utf8(bytes).ok()));
        add(utf8);
        let any = |signs: &str| text.chars().any(|c| signs.contains(c));
        if any("þýðÞÝÐ") {
            add(read_as(text, WINDOWS_1254));
        }
        // Signs that stand in no name, but are letters of Latin-2.
        if any("³±¶¿¼¹»¾£¦¬¯¡æñ") {
            add(read_as(text, ISO_8859_2));
        }
        let foreign = text.chars().filter(|c| !c.is_ascii()).count();
        let ascii = text.chars().filter(char::is_ascii_alphabetic).count();
        if foreign >= 4 && ascii == 0 {
            add(read_as(text, ISO_8859_5));
            add(read_as(text, WINDOWS_1251));
        }
    }
    found
}

/// Whether the text is UTF-8 that was read as an 8-bit set: no name is written so by chance.
pub(super) fn is_mangled(text: &str) -> bool {
    let read = || bytes(text).and_then(|bytes| String::from_utf8(bytes).ok());
    !text.is_ascii() && read().is_some()
}

/// UTF-8 or one of the 8-bit sets taken for Windows-1252, which Latin-1 is a part of.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let latin1: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    latin1.or_else(|| {
        let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(text);
        (!unmappable).then(|| bytes.into_owned())
    })
}

fn read_as(text: &str, set: &'static Encoding) -> Option<String> {
    let bytes = bytes(text)?;
    set.decode_without_bom_handling_and_without_replacement(&bytes)
        .map(std::borrow::Cow::into_owned)
}

/// The national letters of DIN 66003 taken for ASCII (`M}ller`).
fn national(text: &str) -> Option<String> {
    let letter = |c: char| match c {
        '{' => 'ä',
        '|' => 'ö',
        '}' => 'ü',
        '~' => 'ß',
        '[' => 'Ä',
        '\\' => 'Ö',
        ']' => 'Ü',
        other => other,
    };
    let fixed: String = text.chars().map(letter).collect();
    (fixed != text).then_some(fixed)
}
