//! Plain text: any of the usual encodings in, UTF-8 with CR LF out.

use std::io::{Read, Write};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::Refused;

/// Longer texts are logs and tables, not letters.
const LONGEST: u64 = 1 << 20;

pub(super) fn read(
    input: &mut impl Read,
    length: u64,
    output: &mut impl Write,
) -> Result<(), Refused> {
    if length > LONGEST {
        return Err(Refused("a text of more than a megabyte, so no letter or report"));
    }
    let mut bytes = Vec::new();
    input.take(LONGEST).read_to_end(&mut bytes)?;
    let text = plain(&bytes).ok_or(Refused("not a text, whatever its name says"))?;
    if text.trim().is_empty() {
        return Err(Refused("a text without a word in it"));
    }
    output.write_all(text.as_bytes())?;
    Ok(())
}

/// `None` if these bytes are no text.
fn plain(bytes: &[u8]) -> Option<String> {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let encoding = match marked {
        Some(encoding) => encoding,
        None if std::str::from_utf8(bytes).is_ok() => UTF_8,
        None => WINDOWS_1252,
    };
    let (text, _, _) = encoding.decode(bytes);
    let strange = |c: char| c.is_control() && !matches!(c, '\r' | '\n' | '\t' | '\u{c}');
    if text.contains(strange) || text.contains('\u{fffd}') {
        return None;
    }
    // UT allows no tabulator (PS3.5 6.1.3).
    let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    ");
    Some(text.trim_end().replace('\n', "\r\n"))
}
