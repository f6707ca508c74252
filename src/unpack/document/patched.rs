//! TIFF as the decoder takes it: pages with a palette are shown as gray, and what it takes for gray are the indices;
//! a strip that never ends is as high as its page; bits that begin with the lowest are turned round.
//!
//! Invariant: of a directory, nothing but the interpretation and the height of strips differs from the file.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::tiff::PAGES;

/// Photometric Interpretation (TIFF 6.0, page 37): what is there, and what is shown instead.
const INTERPRETATION: u16 = 262;
const PALETTE: u16 = 3;
const BLACK_IS_ZERO: u8 = 1;

const IMAGE_LENGTH: u16 = 257;
const ROWS_PER_STRIP: u16 = 278;

/// Types of values.
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Entries of one directory; real ones have twenty.
const ENTRIES: u16 = 1_000;
const ENTRY: u64 = 12;

/// What the directories say.
#[derive(Default)]
pub(super) struct Directories {
    /// Pages with a palette.
    pub(super) palettes: BTreeSet<usize>,
    /// Places of bytes, with what is shown there.
    bytes: Vec<(u64, u8)>,
}

impl Directories {
    pub(super) fn read(input: &mut (impl Read + Seek)) -> Self {
        let mut found = Self::default();
        // What cannot be read here is the decoder's to tell.
        let _ = found.walk(input);
        found.bytes.sort_unstable();
        found
    }

    fn walk(&mut self, input: &mut (impl Read + Seek)) -> io::Result<()> {
        input.seek(SeekFrom::Start(0))?;
        let [a, b, c, d, first @ ..] = array::<8>(input)?;
        let is_little = match [a, b, c, d] {
            [b'I', b'I', 42, 0] => true,
            [b'M', b'M', 0, 42] => false,
            _ => return Ok(()),
        };
        let word =
            |bytes| if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
        let long =
            |bytes| if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        let mut at = u64::from(long(first));
        for page in 0..PAGES {
            if at == 0 {
                break;
            }
            input.seek(SeekFrom::Start(at))?;
            let entries = word(array(input)?);
            if entries > ENTRIES {
                break;
            }
            let mut place = at.saturating_add(2);
            let (mut height, mut strips) = (None, None);
            for _ in 0..entries {
                let [t0, t1, k0, k1, _, _, _, _, v0, v1, v2, v3] = array::<12>(input)?;
                let value_at = place.saturating_add(8);
                let short = word([v0, v1]);
                match (word([t0, t1]), word([k0, k1])) {
                    (INTERPRETATION, _) if short == PALETTE => {
                        self.palettes.insert(page);
                        let low = if is_little { 0 } else { 1 };
                        self.bytes.push((value_at.saturating_add(low), BLACK_IS_ZERO));
                    }
                    (IMAGE_LENGTH, SHORT) => height = Some(u32::from(short)),
                    (IMAGE_LENGTH, LONG) => height = Some(long([v0, v1, v2, v3])),
                    (ROWS_PER_STRIP, LONG) => strips = Some((value_at, long([v0, v1, v2, v3]))),
                    _ => {}
                }
                place = place.saturating_add(ENTRY);
            }
            if let (Some(height), Some((value_at, rows))) = (height, strips)
                && rows > height
            {
                let shown = if is_little { height.to_le_bytes() } else { height.to_be_bytes() };
                self.bytes.extend((value_at..).zip(shown));
            }
            at = u64::from(long(array(input)?));
        }
        Ok(())
    }
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The file with what is shown instead.
pub(super) struct Patched<R> {
    inner: R,
    at: u64,
    bytes: Vec<(u64, u8)>,
    /// Where the bits of each byte are turned round.
    pub(super) reversed: Range<u64>,
}

impl<R: Read + Seek> Patched<R> {
    pub(super) fn new(mut inner: R, directories: Directories) -> io::Result<Self> {
        let at = inner.seek(SeekFrom::Start(0))?;
        Ok(Self { inner, at, bytes: directories.bytes, reversed: 0..0 })
    }
}

impl<R: Read> Read for Patched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let buffer = buffer.get_mut(..read).unwrap_or_default();
        let from = self.bytes.partition_point(|(place, _)| *place < self.at);
        for (place, shown) in self.bytes.iter().skip(from) {
            let within = place.checked_sub(self.at).and_then(|at| usize::try_from(at).ok());
            match within.and_then(|at| buffer.get_mut(at)) {
                Some(byte) => *byte = *shown,
                None => break,
            }
        }
        for (place, byte) in (self.at..self.reversed.end).zip(buffer) {
            if place >= self.reversed.start {
                *byte = byte.reverse_bits();
            }
        }
        self.at = self.at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

impl<R: Seek> Seek for Patched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}
