//! From bytes to text and back out of escape sequences: MSH-18 (HL7 table 0211), HL7 v2.5 chapter 2.7.

use crate::dicom::{CharacterSets, VR};

use super::fault::{Code, Fault};
use super::message::Separators;

/// Names of table 0211 beside the defined terms that DICOM has for them.
const NAMES: [(&str, &str); 24] = [
    ("8859/1", "ISO_IR 100"),
    ("8859/2", "ISO_IR 101"),
    ("8859/3", "ISO_IR 109"),
    ("8859/4", "ISO_IR 110"),
    ("8859/5", "ISO_IR 144"),
    ("8859/6", "ISO_IR 127"),
    ("8859/7", "ISO_IR 126"),
    ("8859/8", "ISO_IR 138"),
    ("8859/9", "ISO_IR 148"),
    ("8859/15", "ISO_IR 203"),
    ("ISO-8859-1", "ISO_IR 100"),
    ("ISO8859-1", "ISO_IR 100"),
    ("ISO 8859-1", "ISO_IR 100"),
    ("ISO-8859-15", "ISO_IR 203"),
    ("ISO IR6", ""),
    ("ASCII", ""),
    ("UNICODE UTF-8", "ISO_IR 192"),
    ("UNICODE", "ISO_IR 192"),
    ("UTF-8", "ISO_IR 192"),
    ("UTF8", "ISO_IR 192"),
    ("GB 18030-2000", "GB18030"),
    ("ISO_IR 100", "ISO_IR 100"),
    ("ISO_IR 192", "ISO_IR 192"),
    ("TIS 620", "ISO_IR 166"),
];

/// Decodes a whole message and tells the set it is in. What declares nothing is UTF-8 if it can be, else the
/// site's own set; what declares UTF-8 and is not is refused: a guess here would be a wrong name.
pub(super) fn decode(
    bytes: &[u8],
    declared: &str,
    fallback: &CharacterSets,
) -> Result<(String, CharacterSets), Fault> {
    let declared = declared.trim().to_ascii_uppercase();
    let sets = match NAMES.iter().find(|(name, _)| *name == declared) {
        Some((_, "")) => None,
        Some((_, term)) => Some(CharacterSets::parse(Some(term.as_bytes()))),
        None if declared.is_empty() => None,
        None => {
            return Err(Fault::header(
                Code::TableValue,
                18,
                "this character set is not known here; send UNICODE UTF-8 or 8859/1",
            ));
        }
    };
    let utf8 = std::str::from_utf8(bytes);
    match (sets, utf8) {
        (None, Ok(text)) => Ok((text.to_owned(), CharacterSets::utf8())),
        (None, Err(_)) => Ok((fallback.decode(bytes, VR::UT), fallback.clone())),
        (Some(sets), Ok(text)) if sets == CharacterSets::utf8() => Ok((text.to_owned(), sets)),
        (Some(sets), Err(_)) if sets == CharacterSets::utf8() => Err(Fault::field(
            Code::DataType,
            "MSH",
            18,
            "the message declares UTF-8, but its bytes are none; send the set that it is written in",
        )),
        (Some(sets), _) => Ok((sets.decode(bytes, VR::UT), sets)),
    }
}

/// Resolves escape sequences. What is no sequence stays as it is: many senders do not escape a backslash.
pub(super) fn unescape(text: &str, separators: Separators, sets: &CharacterSets) -> String {
    if !text.contains(separators.escape) {
        return plain(text);
    }
    let mut out = String::with_capacity(text.len());
    // Bytes of neighbouring hexadecimal sequences; a character may be spread over several.
    let mut bytes: Vec<u8> = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(separators.escape) {
        let sequence = behind.split_once(separators.escape);
        let resolved =
            sequence.and_then(|(inner, after)| Some((resolve(inner, separators)?, after)));
        if !before.is_empty() {
            flush(&mut bytes, &mut out, sets);
            out.push_str(before);
        }
        match resolved {
            Some((Resolved::Bytes(found), after)) => {
                bytes.extend(found);
                rest = after;
            }
            Some((Resolved::Text(found), after)) => {
                flush(&mut bytes, &mut out, sets);
                out.push_str(found.encode_utf8(&mut [0; 4]));
                rest = after;
            }
            Some((Resolved::Nothing, after)) => rest = after,
            None => {
                flush(&mut bytes, &mut out, sets);
                out.push(separators.escape);
                rest = behind;
            }
        }
    }
    flush(&mut bytes, &mut out, sets);
    out.push_str(rest);
    plain(&out)
}

enum Resolved {
    Text(char),
    Bytes(Vec<u8>),
    Nothing,
}

fn resolve(sequence: &str, separators: Separators) -> Option<Resolved> {
    Some(match sequence {
        "F" => Resolved::Text(separators.field),
        "S" => Resolved::Text(separators.component),
        "T" => Resolved::Text(separators.subcomponent),
        "R" => Resolved::Text(separators.repetition),
        "E" => Resolved::Text(separators.escape),
        "P" => Resolved::Text('#'),
        ".br" | ".sp" | ".ce" => Resolved::Text('\n'),
        "H" | "N" | ".nf" | ".fi" => Resolved::Nothing,
        _ => Resolved::Bytes(hexadecimal(sequence.strip_prefix('X')?)?),
    })
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || digits.len() % 2 == 1 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return None;
    }
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn flush(bytes: &mut Vec<u8>, out: &mut String, sets: &CharacterSets) {
    if !bytes.is_empty() {
        out.push_str(&sets.decode(bytes, VR::UT));
        bytes.clear();
    }
}

/// Control characters belong into no value; a line end is kept as a space.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
