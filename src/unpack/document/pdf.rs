//! PDF: sent as it came. Of what is in it only this: whether it is encrypted, because whoever opens it may be asked
//! for a password (ISO 32000-1 7.5.5, 7.5.8, 7.6.1).

use std::io::{self, Read, Seek, SeekFrom};

/// Read of a section's dictionary, and of the end of a file; real ones take some hundred bytes.
const PART: u64 = 64 << 10;

/// A file may begin anywhere in its first bytes, and offsets count from there.
const FRONT: u64 = 1024;

/// Whether the trailer of a file of `length` bytes names an encryption. What cannot be found says no.
pub(in crate::unpack) fn is_encrypted(
    reader: &mut (impl Read + Seek),
    length: u64,
) -> io::Result<bool> {
    let tail = part(reader, length.saturating_sub(PART), PART)?;
    let Some(mark) = last(&tail, b"startxref") else {
        return Ok(last(&tail, b"trailer").is_some_and(|at| names(tail.get(at..))));
    };
    let (before, behind) = tail.split_at(mark);
    if last(before, b"trailer").is_some_and(|at| names(before.get(at..))) {
        return Ok(true);
    }
    let digits = behind.iter().skip(9).skip_while(|byte| byte.is_ascii_whitespace());
    let digits = digits.take_while(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte));
    let Ok(offset) = digits.take(20).collect::<String>().parse::<u64>() else {
        return Ok(false);
    };
    // A cross-reference stream, or the first section of a linearised file, which stands in front.
    let front = part(reader, 0, FRONT)?;
    let begin = last(&front, b"%PDF-").and_then(|at| u64::try_from(at).ok()).unwrap_or(0);
    let section = part(reader, begin.saturating_add(offset), PART)?;
    let ends = [first(&section, b"stream"), first(&section, b"startxref")];
    let end = ends.into_iter().flatten().min().unwrap_or(section.len());
    Ok(names(section.get(..end)))
}

/// Whether the key stands there, and not one that begins like it.
fn names(dictionary: Option<&[u8]>) -> bool {
    dictionary.unwrap_or_default().windows(9).any(|at| {
        at.split_last().is_some_and(|(next, key)| {
            key == b"/Encrypt" && (next.is_ascii_whitespace() || *next == b'<')
        })
    })
}

fn part(reader: &mut (impl Read + Seek), at: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.seek(SeekFrom::Start(at))?;
    reader.by_ref().take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn first(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|at| at == mark)
}

fn last(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).rposition(|at| at == mark)
}
