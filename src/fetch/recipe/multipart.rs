//! `multipart/related` bodies, read as they come (RFC 2046 5.1): a part is handed on in pieces, never whole.

use bytes::{Bytes, BytesMut};

use crate::fetch::Error;
use crate::fetch::store;
use crate::web::Answer;

/// A part's own header lines, and what may stand before the first part.
const LONGEST_HEADER: usize = 16 << 10;

/// RFC 2046 5.1.1 allows 70 characters.
const LONGEST_BOUNDARY: usize = 200;

/// The boundary that a `Content-Type` names.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split(';');
    let kind = parts.next()?.trim();
    if !kind.get(..10)?.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    let named = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    let plain = named.bytes().all(|b| (0x20..0x7f).contains(&b));
    (plain && !named.is_empty() && named.len() <= LONGEST_BOUNDARY).then(|| named.to_owned())
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Begin,
    Piece(Bytes),
    End,
    /// The closing boundary.
    Over,
    /// More bytes are needed.
    More,
    /// This is no multipart body.
    Broken,
}

enum At {
    Before,
    Header,
    Body,
    Over,
}

/// The state of the reading, without any IO.
pub(super) struct Parts {
    /// With the line break that precedes it.
    delimiter: Vec<u8>,
    buffer: BytesMut,
    at: At,
}

impl Parts {
    pub(super) fn new(boundary: &str) -> Self {
        // The first boundary may stand at the very beginning.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Self { delimiter: format!("\r\n--{boundary}").into_bytes(), buffer, at: At::Before }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    pub(super) fn next(&mut self) -> Next {
        match self.at {
            At::Before => match self.find() {
                Ok(at) => {
                    let _ = self.buffer.split_to(at);
                    self.after_delimiter(Next::More)
                }
                Err(_) if self.buffer.len() > LONGEST_HEADER => Next::Broken,
                Err(_) => Next::More,
            },
            At::Header => {
                let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return match self.buffer.len() > LONGEST_HEADER {
                        true => Next::Broken,
                        false => Next::More,
                    };
                };
                // The break before the body stays: an empty part ends with a delimiter right here.
                let _ = self.buffer.split_to(end.saturating_add(4));
                self.at = At::Body;
                Next::Begin
            }
            At::Body => match self.find() {
                Ok(0) => self.after_delimiter(Next::End),
                Ok(at) => Next::Piece(self.buffer.split_to(at).freeze()),
                Err(0) => Next::More,
                Err(safe) => Next::Piece(self.buffer.split_to(safe).freeze()),
            },
            At::Over => Next::Over,
        }
    }

    /// Behind a delimiter: `--` closes, a line break begins a part. The buffer still holds the delimiter
    /// until that is known.
    fn after_delimiter(&mut self, then: Next) -> Next {
        let end = self.delimiter.len();
        let rest = self.buffer.get(end..).unwrap_or(&[]);
        // Spaces may stand before the line break.
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let mark = rest.get(blank..blank.saturating_add(2));
        match mark {
            Some(b"--") if blank == 0 => {
                self.at = At::Over;
                self.buffer.clear();
                if then == Next::More { Next::Over } else { then }
            }
            Some(b"\r\n") => {
                // The break stays, so that a part without header lines shows its empty line.
                let _ = self.buffer.split_to(end.saturating_add(blank));
                self.at = At::Header;
                if then == Next::More { self.next() } else { then }
            }
            None if blank < LONGEST_HEADER => Next::More,
            _ => Next::Broken,
        }
    }

    /// Where the delimiter begins, or how many bytes certainly hold none.
    fn find(&self) -> Result<usize, usize> {
        let mut from = 0;
        while let Some(at) = self
            .buffer
            .get(from..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\r'))
            .map(|at| at.saturating_add(from))
        {
            let rest = self.buffer.get(at..).unwrap_or(&[]);
            if rest.starts_with(&self.delimiter) {
                return Ok(at);
            }
            if rest.len() < self.delimiter.len() && self.delimiter.starts_with(rest) {
                return Err(at);
            }
            from = at.saturating_add(1);
        }
        Err(self.buffer.len())
    }
}

/// Reads from an answer until there is something to say.
pub(super) async fn next(answer: &mut Answer, parts: &mut Parts) -> Result<Next, Error> {
    let broken = |host: &str| Error::Answer {
        host: host.to_owned(),
        what: "its multipart answer is broken",
    };
    loop {
        match parts.next() {
            Next::More => match answer.chunk().await.map_err(store::too_large)? {
                Some(piece) => parts.push(&piece),
                // Without its closing boundary it was cut.
                None => return Err(Error::Cut { host: answer.host().to_owned() }),
            },
            Next::Broken => return Err(broken(answer.host())),
            other => return Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a body that comes in pieces of so many bytes; `None` if it is broken or cut.
    fn read(body: &[u8], size: usize) -> Option<Vec<Vec<u8>>> {
        let mut parts = Parts::new("b");
        let mut pieces = body.chunks(size);
        let mut all: Vec<Vec<u8>> = Vec::new();
        loop {
            match parts.next() {
                Next::More => parts.push(pieces.next()?),
                Next::Begin => all.push(Vec::new()),
                Next::Piece(piece) => all.last_mut()?.extend_from_slice(&piece),
                Next::End => {}
                Next::Over => return Some(all),
                Next::Broken => return None,
            }
        }
    }

    #[test]
    fn parts_are_the_same_however_they_come() {
        let body = b"preamble\r\n--b\r\nContent-Type: application/dicom\r\n\r\none\r\n-\r\n--\r\n--b  \r\n\
            \r\n\r\n--b\r\nX: y\r\n\r\nthree\r\r\n--b--\r\nepilogue";
        for size in 1..body.len() {
            let parts = read(body, size).unwrap();
            assert_eq!(parts, [&b"one\r\n-\r\n--"[..], b"", b"three\r"], "{size}");
        }
        assert_eq!(read(b"--b--", 3), Some(vec![]));
        assert_eq!(read(b"--b\r\n\r\nx\r\n--b--", 2), Some(vec![b"x".to_vec()]));
    }

    #[test]
    fn broken_bodies_are_told() {
        for bad in [&b""[..], b"--b", b"--b\r\n\r\nx", b"--b\r\n\r\nx\r\n--c--", b"--b?\r\n", b"x"]
        {
            assert_eq!(read(bad, 4), None, "{bad:?}");
        }
        assert_eq!(read(&vec![b'x'; 100_000], 1000), None);
        let endless = [b"--b\r\n".to_vec(), vec![b'x'; 100_000]].concat();
        assert_eq!(read(&endless, 1000), None);
        assert_eq!(
            boundary("multipart/related; type=\"application/dicom\"; boundary=\"a b\"").as_deref(),
            Some("a b")
        );
        for bad in
            ["application/json", "multipart/related", "multipart/related; boundary=", "multipart"]
        {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }
}
