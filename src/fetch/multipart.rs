//! Multipart bodies (RFC 2046 5.1), as WADO-RS answers with them: pieces in, parts out.
//!
//! Owns the finding of boundaries. It does no IO and holds no part: what is no boundary is handed on as it came.
//! Invariants: at most one piece, one boundary and one header block are in memory; a body is whole only if its
//! final boundary came, and a part only if it is as long as it said.

use std::fmt;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// RFC 2046 5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// What may stand before the first boundary: nobody reads it, and few write it.
const LONGEST_PREAMBLE: usize = 64 << 10;

/// Headers of one part: three short lines in practice.
const LONGEST_HEADERS: usize = 16 << 10;

/// White space between a boundary and the end of its line.
const LONGEST_PADDING: usize = 128;

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The media type is not multipart, or names no usable boundary.
    Type,
    /// The boundary that was announced does not come.
    NoBoundary,
    /// The headers of a part are too long or no headers.
    Headers,
    TooManyParts,
    /// A part is not as long as its header says.
    Length,
    /// The final boundary is missing.
    Cut,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "it announces no multipart body with a boundary",
            Self::NoBoundary => "the boundary that it announces does not come",
            Self::Headers => "a part has no usable headers",
            Self::TooManyParts => "it has too many parts",
            Self::Length => "a part is not as long as its header says",
            Self::Cut => "it ends without its final boundary",
        })
    }
}

/// What comes next of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A part begins.
    Part(Headers),
    /// The next bytes of the part.
    Bytes(Bytes),
    /// The part is whole.
    PartEnds,
    /// The final boundary came. What follows means nothing.
    Ends,
    /// More has to be pushed first.
    More,
}

/// What a part says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The media type without parameters, in lower case.
    pub content_type: Option<String>,
    pub content_length: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary; so many bytes were passed over.
    Preamble(usize),
    Headers,
    Body,
    /// A part ended at a boundary that lies at the front of the buffer.
    Behind,
    Ended,
}

/// The parser of one body.
pub struct Multipart {
    /// The line break before a boundary belongs to it.
    delimiter: Finder<'static>,
    buffer: BytesMut,
    state: State,
    parts: u64,
    most_parts: u64,
    /// What the part under way said its length is, and how long it is so far.
    told: Option<u64>,
    length: u64,
}

/// What follows a delimiter.
enum After {
    /// The line ends so many bytes on: a part follows.
    Part(usize),
    Final,
    /// It only looked like one.
    Content,
    /// Not enough bytes to tell.
    Unknown,
}

impl Multipart {
    /// For a body with this `Content-Type` and at most so many parts.
    pub fn new(content_type: &str, most_parts: u64) -> Result<Self, Fault> {
        let mut parameters = super::name::parameters(content_type).into_iter();
        let media = parameters.next().unwrap_or_default();
        if !media.trim().to_ascii_lowercase().starts_with("multipart/") {
            return Err(Fault::Type);
        }
        let boundary = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case("boundary");
            named.then(|| super::name::unquoted(value.trim()))
        });
        let boundary = boundary.ok_or(Fault::Type)?;
        let fits = (1..=LONGEST_BOUNDARY).contains(&boundary.len());
        if !fits || !boundary.bytes().all(|b| matches!(b, b' '..=b'~')) || boundary.ends_with(' ') {
            return Err(Fault::Type);
        }
        Ok(Self {
            delimiter: Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned(),
            // The first boundary may stand at the very beginning.
            buffer: BytesMut::from(b"\r\n".as_slice()),
            state: State::Preamble(0),
            parts: 0,
            most_parts,
            told: None,
            length: 0,
        })
    }

    /// The next piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// What the bytes so far tell next.
    ///
    /// # Errors
    /// The body cannot be read on after any.
    pub fn step(&mut self) -> Result<Step, Fault> {
        loop {
            match self.state {
                State::Ended => return Ok(Step::Ends),
                State::Preamble(passed) => match self.find() {
                    Ok((at, _)) if passed.saturating_add(at) > LONGEST_PREAMBLE => {
                        return Err(Fault::NoBoundary);
                    }
                    Ok((at, after)) => {
                        drop(self.buffer.split_to(at));
                        self.enter(&after)?;
                    }
                    Err(content) => {
                        drop(self.buffer.split_to(content));
                        let passed = passed.saturating_add(content);
                        if passed > LONGEST_PREAMBLE {
                            return Err(Fault::NoBoundary);
                        }
                        self.state = State::Preamble(passed);
                        return Ok(Step::More);
                    }
                },
                State::Headers => return self.headers(),
                State::Body => {
                    let (content, found) = match self.find() {
                        Ok((at, _)) => (at, true),
                        Err(content) => (content, false),
                    };
                    if content > 0 {
                        let bytes = self.buffer.split_to(content).freeze();
                        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                        self.length = self.length.saturating_add(more);
                        if self.told.is_some_and(|told| self.length > told) {
                            return Err(Fault::Length);
                        }
                        return Ok(Step::Bytes(bytes));
                    }
                    if !found {
                        return Ok(Step::More);
                    }
                    if self.told.is_some_and(|told| self.length != told) {
                        return Err(Fault::Length);
                    }
                    self.state = State::Behind;
                    return Ok(Step::PartEnds);
                }
                State::Behind => match self.find() {
                    Ok((_, after)) => self.enter(&after)?,
                    Err(_) => return Ok(Step::More),
                },
            }
        }
    }

    /// The body is over: whether it was whole.
    pub fn end(&self) -> Result<(), Fault> {
        match self.state {
            State::Ended => Ok(()),
            State::Preamble(_) => Err(Fault::NoBoundary),
            State::Headers | State::Body | State::Behind => Err(Fault::Cut),
        }
    }

    /// Where the next delimiter lies and what follows it; else how many bytes certainly are content.
    fn find(&self) -> Result<(usize, After), usize> {
        let length = self.delimiter.needle().len();
        let mut from = 0_usize;
        loop {
            let rest = self.buffer.get(from..).unwrap_or_default();
            let Some(at) = self.delimiter.find(rest).map(|at| at.saturating_add(from)) else {
                // The beginning of one may stand at the end.
                return Err(self.buffer.len().saturating_sub(length.saturating_sub(1)).max(from));
            };
            match after(self.buffer.get(at.saturating_add(length)..).unwrap_or_default()) {
                After::Content => from = at.saturating_add(1),
                After::Unknown => return Err(at),
                after @ (After::Part(_) | After::Final) => return Ok((at, after)),
            }
        }
    }

    /// Goes over the delimiter at the front of the buffer.
    fn enter(&mut self, after: &After) -> Result<(), Fault> {
        let length = self.delimiter.needle().len();
        match after {
            After::Part(line) => {
                drop(self.buffer.split_to(length.saturating_add(*line)));
                self.parts = self.parts.saturating_add(1);
                if self.parts > self.most_parts {
                    return Err(Fault::TooManyParts);
                }
                self.state = State::Headers;
            }
            After::Final | After::Content | After::Unknown => self.state = State::Ended,
        }
        Ok(())
    }

    fn headers(&mut self) -> Result<Step, Fault> {
        let end = if self.buffer.starts_with(b"\r\n") {
            Some((0, 2))
        } else {
            memchr::memmem::find(&self.buffer, b"\r\n\r\n").map(|at| (at, 4))
        };
        let Some((at, over)) = end else {
            // With room for the empty line that ends them.
            let long = self.buffer.len() > LONGEST_HEADERS.saturating_add(4);
            return if long { Err(Fault::Headers) } else { Ok(Step::More) };
        };
        if at > LONGEST_HEADERS {
            return Err(Fault::Headers);
        }
        let block = self.buffer.split_to(at.saturating_add(over));
        let headers = read_headers(block.get(..at).unwrap_or_default())?;
        self.told = headers.content_length;
        self.length = 0;
        self.state = State::Body;
        Ok(Step::Part(headers))
    }
}

fn after(rest: &[u8]) -> After {
    let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match rest.get(padding..).unwrap_or_default() {
        [b'-', b'-', ..] if padding == 0 => After::Final,
        [b'-'] if padding == 0 => After::Unknown,
        [b'\r', b'\n', ..] if padding <= LONGEST_PADDING => After::Part(padding.saturating_add(2)),
        [] | [b'\r'] if padding <= LONGEST_PADDING => After::Unknown,
        _ => After::Content,
    }
}

fn read_headers(block: &[u8]) -> Result<Headers, Fault> {
    let mut headers = Headers::default();
    for line in String::from_utf8_lossy(block).split("\r\n").filter(|line| !line.is_empty()) {
        // A folded line goes on with the one before; none of those that are read is ever folded.
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(Fault::Headers)?;
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" => {
                let media = value.split(';').next().unwrap_or_default();
                headers.content_type = Some(media.trim().to_ascii_lowercase());
            }
            "content-length" => {
                headers.content_length = Some(value.parse().map_err(|_| Fault::Length)?);
            }
            "content-encoding" | "content-transfer-encoding"
                if !matches!(
                    value.to_ascii_lowercase().as_str(),
                    "binary" | "8bit" | "identity"
                ) =>
            {
                return Err(Fault::Headers);
            }
            _ => {}
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
