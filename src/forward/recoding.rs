//! A stored data set written anew in another syntax on its way out, whole or a part of it.
//!
//! `dicom::convert` writes from the first element on; where its output has to be cut follows from converting
//! the same data set with an earlier end.

use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;

use super::object::{self, Closed, Fault, PIECE};
use crate::dicom::{Layout, Syntax, convert, scan};
use crate::reconcile;

/// Where the data set is taken to end.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// Before the pixel data.
    Header,
    /// Behind the pixel data.
    PixelDataEnds,
    End,
}

/// One data set in a new syntax, from some byte of the output on.
#[derive(Clone)]
pub(super) struct Recoding {
    layout: Layout,
    to: Syntax,
    /// Bytes of the output that are left out.
    skipped: u64,
}

impl Recoding {
    pub(super) fn new(layout: &Layout, to: Syntax, until: Until) -> Self {
        let mut layout = layout.clone();
        match (until, layout.pixel_data) {
            (Until::Header, Some(pixel)) => {
                layout.ends_at = pixel.element_at;
                layout.pixel_data = None;
            }
            (Until::PixelDataEnds, Some(pixel)) => layout.ends_at = pixel.ends_at,
            (Until::Header | Until::PixelDataEnds, None) | (Until::End, _) => {}
        }
        Self { layout, to, skipped: 0 }
    }

    /// Without the part of the output that `before` is.
    pub(super) fn behind(self, before: &[u8]) -> Self {
        self.after(u64::try_from(before.len()).unwrap_or(u64::MAX))
    }

    /// Without the first bytes of the output.
    pub(super) fn after(self, skipped: u64) -> Self {
        Self { skipped, ..self }
    }

    /// The output in memory; only for parts that are known to be small.
    pub(super) fn all<R: Read + Seek>(&self, reader: &mut R) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        self.stream(reader, &mut |bytes| {
            all.extend_from_slice(&bytes);
            Ok(())
        })?;
        Ok(all)
    }

    /// The length of the output.
    pub(super) fn count<R: Read + Seek>(&self, reader: &mut R) -> Result<u64, Fault> {
        let mut count = 0_u64;
        self.stream(reader, &mut |bytes| {
            count = count.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
            Ok(())
        })?;
        Ok(count)
    }

    pub(super) fn stream<R: Read + Seek>(
        &self,
        reader: &mut R,
        sink: &mut dyn FnMut(Bytes) -> Result<(), Closed>,
    ) -> Result<(), Fault> {
        reader.seek(SeekFrom::Start(self.layout.data_set_at))?;
        let mut pieces =
            Pieces { left_out: self.skipped, gathered: Vec::new(), sink, is_closed: false };
        let written = match self.to {
            Syntax::ImplicitLittle => {
                convert::to_implicit_little(reader, &self.layout, &mut pieces)
            }
            Syntax::ExplicitLittle | Syntax::ExplicitBig => {
                convert::to_explicit_little(reader, &self.layout, &mut pieces)
            }
        };
        let written = written.and_then(|()| pieces.hand_on().map_err(scan::Error::from));
        match written {
            Ok(()) => Ok(()),
            Err(_) if pieces.is_closed => Err(Fault::Closed),
            Err(scan::Error::Io(error)) => Err(Fault::Read(error)),
            Err(error) => Err(object::object(reconcile::Error::Header(error))),
        }
    }
}

/// Gathers what is written to pieces of full size.
struct Pieces<'a> {
    left_out: u64,
    gathered: Vec<u8>,
    sink: &'a mut dyn FnMut(Bytes) -> Result<(), Closed>,
    is_closed: bool,
}

impl Pieces<'_> {
    fn hand_on(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        (self.sink)(piece).map_err(|Closed| {
            self.is_closed = true;
            io::Error::from(io::ErrorKind::BrokenPipe)
        })
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = usize::try_from(self.left_out).unwrap_or(usize::MAX).min(bytes.len());
        self.left_out = self.left_out.saturating_sub(u64::try_from(out).unwrap_or(0));
        self.gathered.extend_from_slice(bytes.get(out..).unwrap_or(&[]));
        if self.gathered.len() >= PIECE {
            self.hand_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
