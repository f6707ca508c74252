//! TIFF pages with a palette, which the decoder refuses: it is shown them as gray, and what it takes for gray are
//! the indices.
//!
//! Invariant: one byte of a page's directory is all that differs from the file.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use super::tiff::PAGES;

/// Photometric Interpretation (TIFF 6.0, page 37): what is there, and what is shown instead.
const INTERPRETATION: u16 = 262;
const PALETTE: u8 = 3;
const BLACK_IS_ZERO: u8 = 1;

/// Entries of one directory; real ones have twenty.
const ENTRIES: u16 = 1_000;
const ENTRY: u64 = 12;

/// Pages with a palette, each with the place of the byte that says so.
pub(super) fn pages(input: &mut (impl Read + Seek)) -> BTreeMap<usize, u64> {
    let mut found = BTreeMap::new();
    // What cannot be read here is the decoder's to tell.
    let _ = walk(input, &mut found);
    found
}

fn walk(input: &mut (impl Read + Seek), found: &mut BTreeMap<usize, u64>) -> io::Result<()> {
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
        for _ in 0..entries {
            let [t0, t1, _, _, _, _, _, _, v0, v1, _, _] = array::<12>(input)?;
            if word([t0, t1]) == INTERPRETATION && word([v0, v1]) == u16::from(PALETTE) {
                found.insert(page, place.saturating_add(if is_little { 8 } else { 9 }));
            }
            place = place.saturating_add(ENTRY);
        }
        at = u64::from(long(array(input)?));
    }
    Ok(())
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The file with its palettes shown as gray.
pub(super) struct AsGray<R> {
    inner: R,
    at: u64,
    places: Vec<u64>,
}

impl<R: Read + Seek> AsGray<R> {
    pub(super) fn new(mut inner: R, pages: &BTreeMap<usize, u64>) -> io::Result<Self> {
        let at = inner.seek(SeekFrom::Start(0))?;
        Ok(Self { inner, at, places: pages.values().copied().collect() })
    }
}

impl<R: Read> Read for AsGray<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for place in &self.places {
            let within = place.checked_sub(self.at).and_then(|from| usize::try_from(from).ok());
            if let Some(byte) = within.and_then(|from| buffer.get_mut(..read)?.get_mut(from)) {
                *byte = BLACK_IS_ZERO;
            }
        }
        self.at = self.at.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

impl<R: Seek> Seek for AsGray<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}
