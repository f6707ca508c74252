//! Character sets (PS3.3 C.12.1.1.2, PS3.5 6.1), code extensions by ISO 2022 included.
//!
//! Owns the way between bytes and text. Invariants: decoding never fails, encoding never loses a character, and
//! no byte of a multi-byte character is ever taken for a delimiter.

mod iso2022;
mod set;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use encoding_rs::WINDOWS_1252;

use self::set::Set;
use super::{VR, vr};

const ESC: u8 = 0x1B;
/// The standard defines fewer character sets than this; a longer list is an attack on patience.
const MOST_TERMS: usize = 32;

/// The value of Specific Character Set (0008,0005), ready to decode and encode (PS3.3 C.12.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharacterSets(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// One set without code extensions.
    Plain(Set),
    /// Code extensions; the first set is active where a value begins. Never empty.
    Switching(Vec<Set>),
    /// A term of no standard, kept as it was written.
    Unknown(String),
}

impl CharacterSets {
    /// Parses the raw value of (0008,0005); `None` or empty is the default repertoire. Common misspellings
    /// (`ISO-IR 100`, `UTF-8`) are understood.
    pub fn parse(value: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(value.unwrap_or_default());
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        let terms: Vec<_> = text.split('\\').take(MOST_TERMS).map(set::parse).collect();
        match terms.as_slice() {
            [] => Self(Form::Plain(Set::Ascii)),
            [Some((set, false)), ..] if set.stands_alone() => Self(Form::Plain(*set)),
            [Some((set, false))] if !set.needs_escapes() => Self(Form::Plain(*set)),
            terms => {
                let mut sets: Vec<Set> = Vec::new();
                for (set, _) in terms.iter().flatten() {
                    if !set.stands_alone() && !sets.contains(set) {
                        sets.push(*set);
                    }
                }
                if sets.is_empty() {
                    Self(Form::Unknown(text.to_owned()))
                } else {
                    Self(Form::Switching(sets))
                }
            }
        }
    }

    pub fn utf8() -> Self {
        Self(Form::Plain(Set::Utf8))
    }

    /// Whether the standard knows the sets.
    pub fn is_known(&self) -> bool {
        !matches!(self.0, Form::Unknown(_))
    }

    /// The value to write into (0008,0005), e.g. `ISO_IR 192`, `\ISO 2022 IR 87`; empty for the default repertoire.
    pub fn term(&self) -> String {
        match &self.0 {
            Form::Plain(set) => set.plain_term(),
            Form::Switching(sets) => match sets.as_slice() {
                [Set::Ascii] => String::new(),
                [Set::Ascii, rest @ ..] => {
                    rest.iter().map(|set| format!("\\{}", set.switching_term())).collect()
                }
                sets => {
                    let terms: Vec<_> = sets.iter().map(|set| set.switching_term()).collect();
                    terms.join("\\")
                }
            },
            Form::Unknown(term) => term.clone(),
        }
    }

    /// Decodes the bytes of one value, or of several joined by backslash (ISO 2022 switching, PN delimiters
    /// honoured). Never fails: bytes that the declared set can't hold are tried as UTF-8, then as ISO_IR 100.
    /// A backslash of the result is a delimiter; split after decoding, not before.
    pub fn decode(&self, bytes: &[u8], vr: VR) -> String {
        let has_escape = bytes.contains(&ESC);
        if bytes.is_ascii() && !has_escape {
            return String::from_utf8_lossy(bytes).into_owned();
        }
        let decoded = match &self.0 {
            _ if !vr::is_text(vr) => None,
            Form::Plain(set) if set.stands_alone() => set.decode(bytes),
            Form::Plain(set) if has_escape => iso2022::decode(&[*set], bytes, vr),
            Form::Plain(set) => set.decode(bytes),
            Form::Switching(sets) => iso2022::decode(sets, bytes, vr),
            Form::Unknown(_) => None,
        };
        // UTF-8 under another declaration: no text has controls of the upper half, and encoding would lose them.
        let is_utf8 = |text: &String| {
            !has_escape && text.chars().any(is_upper_control) && std::str::from_utf8(bytes).is_ok()
        };
        decoded.filter(|text| !is_utf8(text)).unwrap_or_else(|| undeclared(bytes))
    }

    /// Encodes; `None` if the set can't hold the text. Control characters other than line, page and tab, which
    /// no value may contain, are left out.
    pub fn encode(&self, text: &str, vr: VR) -> Option<Vec<u8>> {
        let text = without_controls(text);
        if !vr::is_text(vr) {
            return text.is_ascii().then(|| text.into_owned().into_bytes());
        }
        match &self.0 {
            Form::Plain(set) => set.encode(&text),
            Form::Switching(sets) => iso2022::encode(sets, &text, vr),
            Form::Unknown(_) => Set::Ascii.encode(&text),
        }
    }
}

/// What writers mean when they declare nothing or the wrong set.
fn undeclared(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    };
    text.replace(char::from(ESC), "")
}

fn is_upper_control(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9F}')
}

fn without_controls(text: &str) -> Cow<'_, str> {
    let is_allowed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\x0C' | '\r');
    if text.chars().all(is_allowed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| is_allowed(*c)).collect())
}
