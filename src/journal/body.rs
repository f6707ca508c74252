//! What of an event is sealed: its JSON, deflated where it is long.
//!
//! An event that tells of very many instances says nearly the same of each: 20,000 of them are 13 MB of JSON, and a
//! tenth of that deflated. Invariant: never more than a part of a long JSON is in memory, neither written nor read.

use std::io::{self, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;

/// Shorter ones are left as they are: most events, and the one that is written for each object received.
const SHORT: usize = 16 << 10;
/// What is read ahead of the JSON.
const READ_AHEAD: usize = 32 << 10;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// JSON, deflated (RFC 1951).
    Deflated,
}

/// The body of `written`, if its JSON has no more than `limit` bytes.
pub(super) fn write(written: &impl Serialize, limit: usize) -> Result<(Form, Vec<u8>), Error> {
    let mut body = Body { left: Some(limit), bytes: Bytes::Json(Vec::new()) };
    match (serde_json::to_writer(&mut body, written), body.left) {
        (Ok(()), _) => body.bytes.finish().map_err(|_| Error::Unwritable),
        (Err(_), None) => Err(Error::TooLong { limit }),
        (Err(_), Some(_)) => Err(Error::Unwritable),
    }
}

/// What [`write`] wrote; `None` if it is not of a form that this version knows.
pub(super) fn read<T: DeserializeOwned>(form: Form, bytes: &[u8], limit: usize) -> Option<T> {
    // serde's own words could hold patient data.
    match form {
        Form::Json => serde_json::from_slice(bytes).ok(),
        Form::Deflated => {
            let limit = u64::try_from(limit).unwrap_or(u64::MAX);
            let json = DeflateDecoder::new(bytes).take(limit);
            serde_json::from_reader(BufReader::with_capacity(READ_AHEAD, json)).ok()
        }
    }
}

/// A body being written.
struct Body {
    /// How many bytes of JSON it may still have; none once it was to have more.
    left: Option<usize>,
    bytes: Bytes,
}

enum Bytes {
    Json(Vec<u8>),
    Deflated(DeflateEncoder<Vec<u8>>),
}

impl Write for Body {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.left = self.left.and_then(|left| left.checked_sub(more.len()));
        if self.left.is_none() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if let Bytes::Json(json) = &self.bytes
            && json.len().saturating_add(more.len()) > SHORT
        {
            let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
            deflated.write_all(json)?;
            self.bytes = Bytes::Deflated(deflated);
        }
        match &mut self.bytes {
            Bytes::Json(json) => json.write_all(more)?,
            Bytes::Deflated(deflated) => deflated.write_all(more)?,
        }
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Bytes {
    fn finish(self) -> io::Result<(Form, Vec<u8>)> {
        match self {
            Self::Json(json) => Ok((Form::Json, json)),
            Self::Deflated(deflated) => Ok((Form::Deflated, deflated.finish()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn words(length: usize) -> Vec<String> {
        (0..length / 16).map(|n| format!("1.2.276.{n:05}")).collect()
    }

    #[test]
    fn what_was_written_is_read_short_or_long() {
        for (length, form) in
            [(0, Form::Json), (SHORT - 32, Form::Json), (SHORT * 2, Form::Deflated)]
        {
            let words = words(length);
            let (found, bytes) = write(&words, LIMIT).unwrap();
            assert_eq!(found, form, "{length}");
            assert!(length < SHORT || bytes.len() < length / 3, "{}", bytes.len());
            assert_eq!(read::<Vec<String>>(found, &bytes, LIMIT).unwrap(), words);
        }
    }

    #[test]
    fn the_limit_is_that_of_the_json() {
        let words = words(LIMIT / 2);
        let json = serde_json::to_vec(&words).unwrap().len();
        let (form, bytes) = write(&words, json).unwrap();
        assert!(read::<Vec<String>>(form, &bytes, json).is_some());
        assert!(matches!(write(&words, json - 1), Err(Error::TooLong { .. })));
        // What is more than that is not taken into memory.
        assert!(read::<Vec<String>>(form, &bytes, json - 1).is_none());
    }

    #[test]
    fn what_is_torn_is_nothing() {
        let (form, bytes) = write(&words(LIMIT / 2), LIMIT).unwrap();
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            assert!(read::<Vec<String>>(form, &bytes[..cut], LIMIT).is_none(), "{cut}");
        }
        assert!(read::<Vec<String>>(Form::Json, &bytes, LIMIT).is_none());
    }
}
