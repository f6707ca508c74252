//! The bytes below the walk: counted, bounded, and kept as far as somebody wants them.

use std::io::{self, ErrorKind, Read, Write};

use crate::dicom::scan::{Error, Fault};

/// Where the bytes of a data set end.
#[derive(Clone, Copy, Debug)]
pub(in crate::dicom) enum Extent {
    /// At this offset.
    At(u64),
    /// With the reader, which inflates, and before this many bytes were inflated.
    Inflated(u64),
}

pub(super) struct Source<R> {
    reader: R,
    start: u64,
    at: u64,
    extent: Extent,
    kept: Vec<u8>,
    keeping: Option<u64>,
    /// Bytes that were passed over while others were kept.
    left_out: u64,
    /// First bytes of what stands last at the top level, as many as there are.
    front: [u8; 8],
    /// Whether the reader ended before it should.
    is_short: bool,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R, at: u64, extent: Extent) -> Self {
        Self {
            reader,
            start: at,
            at,
            extent,
            kept: Vec::new(),
            keeping: None,
            left_out: 0,
            front: [0; 8],
            is_short: false,
        }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn front(&self) -> [u8; 8] {
        self.front
    }

    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    pub(super) fn keep(&mut self, most: u64) {
        self.keeping = Some(most);
    }

    pub(super) fn stop_keeping(&mut self, at: u64) {
        if self.keeping.take().is_some() {
            let length = at.saturating_sub(self.start).saturating_sub(self.left_out);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            self.kept.truncate(length);
        }
    }

    pub(super) fn into_kept(self) -> Vec<u8> {
        self.kept
    }

    /// Holds `length` more bytes against what is left.
    pub(super) fn room(&self, length: u64) -> Result<(), Error> {
        match self.extent {
            Extent::At(end) if length > end.saturating_sub(self.at) => Err(Error::Truncated),
            Extent::Inflated(most)
                if length > self.start.saturating_add(most).saturating_sub(self.at) =>
            {
                Err(Error::InflatedTooLarge(most))
            }
            Extent::At(_) | Extent::Inflated(_) => Ok(()),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        let length = self.fill(&mut bytes)?;
        if length < N { Err(Error::Truncated) } else { Ok(bytes) }
    }

    /// The first bytes of the next element at the top level, or `None` where the data set ends: with the
    /// bytes, or before nothing but zeros, which some writers and media leave behind it.
    pub(super) fn head_or_end(&mut self) -> Result<Option<[u8; 8]>, Error> {
        let wanted = match self.extent {
            Extent::At(end) => usize::try_from(end.saturating_sub(self.at)).unwrap_or(8).min(8),
            Extent::Inflated(_) => 8,
        };
        let at = self.at;
        let mut head = [0; 8];
        let length = self.fill(head.get_mut(..wanted).unwrap_or_default())?;
        self.front = head;
        if matches!(self.extent, Extent::At(_)) && length < wanted {
            return Err(Error::Truncated);
        }
        if head != [0; 8] {
            return if length < head.len() { Err(Error::Truncated) } else { Ok(Some(head)) };
        }
        self.stop_keeping(at);
        self.only_zeros(at)?;
        Ok(None)
    }

    /// Reads over the next bytes without keeping them.
    pub(super) fn leave_out(&mut self, length: u64) -> Result<(), Error> {
        let keeping = self.keeping.take();
        self.skip(length)?;
        self.keeping = keeping;
        self.left_out = self.left_out.saturating_add(length);
        Ok(())
    }

    pub(super) fn skip(&mut self, length: u64) -> Result<(), Error> {
        if length == 0 { Ok(()) } else { self.copy(length, &mut io::sink()) }
    }

    /// Moves `length` bytes to `out`. Memory grows with the bytes that come, not with the length.
    pub(super) fn copy(&mut self, length: u64, out: &mut dyn Write) -> Result<(), Error> {
        self.room(length)?;
        let copied = match self.keeping {
            Some(most) => {
                let before = self.kept.len();
                if length.saturating_add(before as u64) > most {
                    return Err(Error::HeaderTooLarge(most));
                }
                let result = self.reader.by_ref().take(length).read_to_end(&mut self.kept);
                let copied = result.map_err(|error| self.failed(error))?;
                out.write_all(self.kept.get(before..).unwrap_or_default())?;
                copied as u64
            }
            None => {
                let mut reader = Failing { reader: self.reader.by_ref(), failed: false };
                match io::copy(&mut reader.by_ref().take(length), out) {
                    Ok(copied) => copied,
                    Err(error) if reader.failed => return Err(self.failed(error)),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        self.at = self.at.saturating_add(copied);
        self.is_short |= copied < length;
        if copied < length { Err(Error::Truncated) } else { Ok(()) }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.at = self.at.saturating_add(length as u64);
        self.is_short |= length < bytes.len();
        if let Some(most) = self.keeping {
            self.kept.extend_from_slice(bytes.get(..length).unwrap_or_default());
            if self.kept.len() as u64 > most {
                return Err(Error::HeaderTooLarge(most));
            }
        }
        Ok(length)
    }

    /// Reads to the end; anything but zeros is not padding.
    fn only_zeros(&mut self, at: u64) -> Result<(), Error> {
        let mut chunk = [0; 8192];
        loop {
            let left = match self.extent {
                Extent::At(end) => end.saturating_sub(self.at),
                Extent::Inflated(_) => {
                    self.room(1)?;
                    u64::MAX
                }
            };
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            let length = self.fill(chunk.get_mut(..wanted).unwrap_or_default())?;
            let read = chunk.get(..length).unwrap_or_default();
            if read.iter().any(|byte| *byte != 0) {
                return Err(Fault::WrongGroup(0).at(at));
            }
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// Tells damaged input from failing input: a reader that inflates reports both as IO errors.
    fn failed(&self, error: io::Error) -> Error {
        match (self.extent, error.kind()) {
            (_, ErrorKind::UnexpectedEof) => Error::Truncated,
            (Extent::Inflated(_), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
                Fault::Deflate.at(self.at)
            }
            _ => Error::Io(error),
        }
    }
}

/// Remembers whether an error of [`io::copy`] came from the reader.
struct Failing<R> {
    reader: R,
    failed: bool,
}

impl<R: Read> Read for Failing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(buffer);
        self.failed |= result.as_ref().is_err_and(|error| error.kind() != ErrorKind::Interrupted);
        result
    }
}
