//! Bounds of pictures, and pixels as they are stored.

use std::io::{self, Write};

use super::{DECODED, PIXELS, Refused, SMALLEST_SIDE};
use crate::import::FileKind;
use crate::reconcile::encapsulate::{Image, Pixels, Shot};

/// What a picture turned out to be; [`Image`] without where it came from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) size: Size,
    pub(super) frames: u32,
    pub(super) pixels: Pixels,
    pub(super) shot: Shot,
    pub(super) lossy: Option<u32>,
}

impl Picture {
    pub(super) fn into_kind(self, source: String) -> FileKind {
        FileKind::Image(Image {
            source,
            rows: self.size.rows,
            columns: self.size.columns,
            frames: self.frames,
            pixels: self.pixels,
            origin: self.shot,
            lossy: self.lossy,
        })
    }
}

/// Width and height within the bounds of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: u16,
    pub(super) rows: u16,
}

impl Size {
    pub(super) fn new(width: u32, height: u32) -> Result<Self, Refused> {
        let (Ok(columns), Ok(rows)) = (u16::try_from(width), u16::try_from(height)) else {
            return Err(Refused("larger than the 65535 rows or columns that DICOM holds"));
        };
        if width.min(height) < SMALLEST_SIDE {
            return Err(Refused("a picture of the size of an icon"));
        }
        let size = Self { columns, rows };
        if size.pixels() > PIXELS {
            return Err(Refused("a picture of more than 100 megapixels; make it smaller first"));
        }
        Ok(size)
    }

    pub(super) fn pixels(self) -> u64 {
        u64::from(self.columns).saturating_mul(u64::from(self.rows))
    }

    /// Bytes of `frames` of them, if they are within the bound of one file.
    pub(super) fn decoded(self, bytes_each: u64, frames: u64) -> Result<u64, Refused> {
        let bytes = self.pixels().saturating_mul(bytes_each).saturating_mul(frames);
        if bytes > DECODED {
            return Err(Refused(
                "more than 400 megabytes when decoded; split it or make it smaller",
            ));
        }
        Ok(bytes)
    }
}

/// Takes black and white as bytes and writes them as bits, the first pixel in the lowest one (PS3.5 8.1.1). Rows
/// and frames follow each other without a gap.
pub(super) struct Bits<W> {
    output: W,
    byte: u8,
    filled: u8,
}

impl<W: Write> Bits<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, byte: 0, filled: 0 }
    }

    /// Writes what does not fill a byte.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.filled > 0 { self.output.write_all(&[self.byte]) } else { Ok(()) }
    }
}

impl<W: Write> Write for Bits<W> {
    fn write(&mut self, pixels: &[u8]) -> io::Result<usize> {
        let mut bytes = Vec::with_capacity(pixels.len().div_ceil(8));
        for pixel in pixels {
            self.byte |= (pixel >> 7) << self.filled;
            self.filled = self.filled.saturating_add(1);
            if self.filled == 8 {
                bytes.push(self.byte);
                (self.byte, self.filled) = (0, 0);
            }
        }
        self.output.write_all(&bytes)?;
        Ok(pixels.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Turns and mirrors so that what Exif says is up is up (Exif 2.3 and TIFF 6.0, Orientation). `samples`: bytes of a pixel.
pub(super) fn turn_up(data: &[u8], size: Size, samples: usize, turn: u8) -> (Vec<u8>, Size) {
    let (width, height) = (usize::from(size.columns), usize::from(size.rows));
    let swapped = turn >= 5;
    let out_size = if swapped { Size { columns: size.rows, rows: size.columns } } else { size };
    let (right, bottom) = (width.saturating_sub(1), height.saturating_sub(1));
    let mut out = Vec::with_capacity(data.len());
    for row in 0..usize::from(out_size.rows) {
        for column in 0..usize::from(out_size.columns) {
            let (x, y) = match turn {
                2 => (right.saturating_sub(column), row),
                3 => (right.saturating_sub(column), bottom.saturating_sub(row)),
                4 => (column, bottom.saturating_sub(row)),
                5 => (row, column),
                6 => (row, bottom.saturating_sub(column)),
                7 => (right.saturating_sub(row), bottom.saturating_sub(column)),
                8 => (right.saturating_sub(row), column),
                _ => (column, row),
            };
            let at = y.saturating_mul(width).saturating_add(x).saturating_mul(samples);
            out.extend(data.get(at..at.saturating_add(samples)).unwrap_or_default());
        }
    }
    (out, out_size)
}

/// 16 bits to 8, rounded.
pub(super) fn narrow(value: u16) -> u8 {
    let value = u32::from(value).saturating_mul(255).saturating_add(32_767);
    u8::try_from(value / 65_535).unwrap_or(u8::MAX)
}

/// One sample on white paper; `alpha` and `value` of at most `full`.
pub(super) fn on_white(value: u16, alpha: u16, full: u16) -> u16 {
    let (value, alpha, full) = (u32::from(value), u32::from(alpha), u32::from(full).max(1));
    let covered = value.saturating_mul(alpha);
    let white = full.saturating_mul(full.saturating_sub(alpha));
    let mixed = covered.saturating_add(white).saturating_add(full / 2).checked_div(full);
    mixed.and_then(|mixed| u16::try_from(mixed).ok()).unwrap_or(u16::MAX)
}

/// Fills `row` with 8-bit samples of pixels that have `channels` samples, the last of them alpha if
/// `alpha`, from 8-bit or 16-bit big-endian input.
pub(super) struct Layout {
    pub(super) channels: usize,
    pub(super) alpha: bool,
    pub(super) wide: bool,
}

impl Layout {
    /// Appends a row as [`Pixels::Gray8`] or [`Pixels::Rgb8`], or wide input as little-endian [`Pixels::Gray16`].
    pub(super) fn row(&self, input: &[u8], pixels: Pixels, out: &mut Vec<u8>) {
        let width = if self.wide { 2 } else { 1 };
        let full = if self.wide { u16::MAX } else { 255 };
        let sample = |bytes: &[u8]| match *bytes {
            [high, low] => u16::from_be_bytes([high, low]),
            [one] => u16::from(one),
            _ => 0,
        };
        for pixel in input.chunks_exact(self.channels.saturating_mul(width).max(1)) {
            let mut samples = pixel.chunks_exact(width);
            let alpha = if self.alpha { samples.next_back().map_or(full, sample) } else { full };
            for value in samples {
                let value = on_white(sample(value), alpha, full);
                match (self.wide, pixels) {
                    (true, Pixels::Gray16) => out.extend(value.to_le_bytes()),
                    (true, _) => out.push(narrow(value)),
                    (false, _) => out.push(u8::try_from(value).unwrap_or(u8::MAX)),
                }
            }
        }
    }
}
