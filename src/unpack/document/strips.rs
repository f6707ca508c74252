//! Where the strips or tiles of a TIFF page lie, and how large the JPEG streams in them say that they are.
//!
//! Invariant: no JPEG stream is decoded that is larger than the strip or tile that it fills.

use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use ::tiff::decoder::{ChunkType, Decoder};
use ::tiff::tags::Tag;

use super::patched::Patched;
use super::{IN_MEMORY, Refused};

const BROKEN: Refused = Refused("a TIFF that cannot be decoded; save it anew or as PNG");

/// Bytes of each strip or tile of the page that the decoder stands at.
pub(super) fn lengths<R: Read + Seek>(decoder: &mut Decoder<R>) -> Result<Vec<u64>, Refused> {
    let tag = match decoder.get_chunk_type() {
        ChunkType::Strip => Tag::StripByteCounts,
        ChunkType::Tile => Tag::TileByteCounts,
    };
    numbers(decoder, tag)
}

fn numbers<R: Read + Seek>(decoder: &mut Decoder<R>, tag: Tag) -> Result<Vec<u64>, Refused> {
    decoder.find_tag_unsigned_vec(tag).map_err(|_| BROKEN)?.ok_or(BROKEN)
}

/// Strips or tiles of one page.
pub(super) struct Strips {
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    /// What stands in front of each JPEG stream, as the decoder puts it there.
    tables: Vec<u8>,
}

impl Strips {
    /// Of the page that the decoder stands at.
    pub(super) fn read<R: Read + Seek>(decoder: &mut Decoder<R>) -> Result<Self, Refused> {
        let tag = match decoder.get_chunk_type() {
            ChunkType::Strip => Tag::StripOffsets,
            ChunkType::Tile => Tag::TileOffsets,
        };
        let (offsets, lengths) = (numbers(decoder, tag)?, lengths(decoder)?);
        let mut tables = match decoder.find_tag(Tag::JPEGTables).map_err(|_| BROKEN)? {
            Some(value) => value.into_u8_vec().map_err(|_| BROKEN)?,
            None => Vec::new(),
        };
        // The end of an image, which does not end here.
        tables.truncate(tables.len().saturating_sub(2));
        Ok(Self { offsets, lengths, tables })
    }

    pub(super) fn place(&self, index: u32) -> Result<Range<u64>, Refused> {
        let index = usize::try_from(index).map_err(|_| BROKEN)?;
        let (at, length) = self.offsets.get(index).zip(self.lengths.get(index)).ok_or(BROKEN)?;
        Ok(*at..at.saturating_add(*length))
    }

    /// Refuses a JPEG stream that is larger than its strip or tile: its decoder would believe it.
    pub(super) fn check_jpeg<R: BufRead + Seek>(
        &self,
        input: &mut BufReader<Patched<R>>,
        index: u32,
        (width, height): (u32, u32),
    ) -> Result<(), Refused> {
        let place = self.place(index)?;
        // Behind tables, its own start of image is left out.
        let begin = if self.tables.is_empty() { 0 } else { 2 };
        input.seek(SeekFrom::Start(place.start.saturating_add(begin)))?;
        let length = place.end.saturating_sub(place.start).saturating_sub(begin);
        let mut stream = Cursor::new(&self.tables).chain(input.take(length));
        let frame = Frame::read(&mut stream)?;
        // A tile may be larger than its page.
        if frame.columns > width || frame.rows > height || frame.cost() > IN_MEMORY / 2 {
            return Err(Refused("a TIFF with JPEG strips larger than they may be; save it as PNG"));
        }
        Ok(())
    }
}

/// What the one frame in front of the first scan says.
struct Frame {
    columns: u32,
    rows: u32,
    components: u8,
}

impl Frame {
    fn read(stream: &mut impl Read) -> Result<Self, Refused> {
        if array(stream)? != [0xFF, 0xD8] {
            return Err(BROKEN);
        }
        let mut found = None;
        loop {
            let [mut marker] = array(stream)?;
            if marker != 0xFF {
                return Err(BROKEN);
            }
            while marker == 0xFF {
                [marker] = array(stream)?;
            }
            let length = u16::from_be_bytes(array(stream)?).checked_sub(2).ok_or(BROKEN)?;
            let mut body = vec![0; usize::from(length)];
            stream.read_exact(&mut body)?;
            match (marker, body.as_slice()) {
                (0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE, _) => {}
                (0xC0..=0xC2, &[_, h1, h0, w1, w0, components, ..]) if found.is_none() => {
                    let columns = u16::from_be_bytes([w1, w0]).into();
                    let rows = u16::from_be_bytes([h1, h0]).into();
                    found = Some(Self { columns, rows, components });
                }
                (0xDA, _) => return found.ok_or(BROKEN),
                _ => return Err(BROKEN),
            }
        }
    }

    /// Bytes when decoded.
    fn cost(&self) -> u64 {
        let pixels = u64::from(self.columns).saturating_mul(u64::from(self.rows));
        pixels.saturating_mul(u64::from(self.components))
    }
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
