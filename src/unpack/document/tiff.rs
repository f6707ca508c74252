//! TIFF: every page becomes a frame, decoded strip by strip. Pages of different sizes are put on white.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};

use ::tiff::ColorType;
use ::tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use ::tiff::tags::Tag;

use super::canvas::{Bits, Picture, Size, narrow, on_white, turn_up};
use super::patched::{Directories, Patched};
use super::strips::{self, Strips};
use super::{IN_MEMORY, Refused};
use crate::reconcile::encapsulate::{Pixels, Shot};

/// Pages of one file: more than any letter has.
pub(super) const PAGES: usize = 2_000;

/// Values of one tag; a page of 65535 rows may list each as a strip.
const TAG_BYTES: usize = 1 << 20;

/// Black and white pages that hold more pixels than this together are stored as bits, shorter ones as bytes:
/// more programs show those.
const AS_BYTES: u64 = 100_000_000;

const BROKEN: Refused = Refused("a TIFF that cannot be decoded; save it anew or as PNG");
const STRIP: Refused = Refused("a TIFF whose strips are too large; save it with smaller ones");
const STRANGE: Refused = Refused("a TIFF of a rare kind; save it as PNG");
const LYING: Refused =
    Refused("a TIFF that lies on its side and is too large to be turned; turn it and save it anew");
const OVERLAPPING: Refused =
    Refused("a TIFF whose pages together are longer than the file; save it anew or as PNG");

/// JPEG in the form of Technical Note 2.
const JPEG: u16 = 7;

/// The decoder of a file.
type Pages<R> = Decoder<BufReader<Patched<R>>>;

/// A page as its directory tells it.
#[derive(Clone)]
struct Page {
    /// Its place in the file.
    index: usize,
    /// As it is shown, and as it is stored.
    size: Size,
    stored: Size,
    /// How it is turned to be shown, 2 to 8 as in Exif.
    turn: Option<u8>,
    color: ColorType,
    /// Red, green, blue of a palette, 16 bits each, one after the other.
    palette: Vec<u16>,
    compression: u16,
    order: BitOrder,
}

/// Which bit of a byte is the first pixel (TIFF 6.0, FillOrder).
#[derive(Clone, Copy, PartialEq, Eq)]
enum BitOrder {
    HighestFirst,
    LowestFirst,
}

pub(super) fn read<R: BufRead + Seek>(
    mut input: R,
    output: &mut impl Write,
) -> Result<Picture, Refused> {
    let mut limits = Limits::default();
    let buffer = usize::try_from(IN_MEMORY / 2).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = buffer;
    limits.intermediate_buffer_size = buffer;
    limits.ifd_value_size = TAG_BYTES;
    let length = input.seek(SeekFrom::End(0))?;
    let directories = Directories::read(&mut input);
    let palettes = directories.palettes.clone();
    let input = BufReader::new(Patched::new(input, directories)?);
    let mut decoder = Decoder::new(input).map_err(|_| BROKEN)?.with_limits(limits);
    let pages = pages(&mut decoder, &palettes, length)?;
    let pixels = common(&pages)?;
    let rows = pages.iter().map(|page| page.size.rows).max().ok_or(BROKEN)?;
    let columns = pages.iter().map(|page| page.size.columns).max().ok_or(BROKEN)?;
    let size = Size::new(columns.into(), rows.into())?;
    let frames = u32::try_from(pages.len()).map_err(|_| BROKEN)?;
    let all = size.pixels().saturating_mul(frames.into());
    if frames > 1 && all > AS_BYTES && pages.iter().all(|page| page.color == ColorType::Gray(1)) {
        size.decoded(1, u64::from(frames.div_ceil(8)))?;
        let mut output = Bits::new(output);
        for page in &pages {
            decoder.seek_to_image(page.index).map_err(|_| BROKEN)?;
            one(&mut decoder, page, size, Pixels::Gray8, &mut output)?;
        }
        output.finish()?;
        return Ok(Picture { size, frames, pixels: Pixels::Bit, shot: Shot::Other, lossy: None });
    }
    size.decoded(u64::try_from(bytes_each(pixels)).unwrap_or(3), frames.into())?;
    for page in &pages {
        decoder.seek_to_image(page.index).map_err(|_| BROKEN)?;
        one(&mut decoder, page, size, pixels, output)?;
    }
    Ok(Picture { size, frames, pixels, shot: Shot::Other, lossy: None })
}

fn pages<R: BufRead + Seek>(
    decoder: &mut Pages<R>,
    palettes: &BTreeSet<usize>,
    length: u64,
) -> Result<Vec<Page>, Refused> {
    let mut pages = Vec::new();
    let mut left = length;
    for index in 0.. {
        if index >= PAGES {
            return Err(Refused("a TIFF of more than 2000 pages; split it"));
        }
        // Thumbnails and masks are no pages (TIFF 6.0, NewSubfileType).
        let kind: u32 =
            decoder.find_tag_unsigned(Tag::NewSubfileType).map_err(|_| BROKEN)?.unwrap_or(0);
        if kind & 0b101 == 0 {
            pages.push(page(decoder, index, palettes)?);
            // A few bytes that every page names as its own would be decoded as often.
            for length in strips::lengths(decoder)? {
                left = left.checked_sub(length).ok_or(OVERLAPPING)?;
            }
        }
        if !decoder.more_images() {
            break;
        }
        decoder.next_image().map_err(|_| BROKEN)?;
    }
    Ok(pages)
}

fn page<R: BufRead + Seek>(
    decoder: &mut Pages<R>,
    index: usize,
    palettes: &BTreeSet<usize>,
) -> Result<Page, Refused> {
    let (width, height) = decoder.dimensions().map_err(|_| BROKEN)?;
    let stored = Size::new(width, height)?;
    let mut number = |tag| decoder.find_tag_unsigned::<u16>(tag).map_err(|_| BROKEN);
    let compression = number(Tag::Compression)?.unwrap_or(1);
    let turn = number(Tag::Orientation)?.and_then(|turn| u8::try_from(turn).ok());
    let turn = turn.filter(|turn| (2..=8).contains(turn));
    let size = match turn {
        Some(5..=8) => Size { columns: stored.rows, rows: stored.columns },
        _ => stored,
    };
    let is_reversed = number(Tag::FillOrder)? == Some(2);
    let color = match (decoder.colortype().map_err(|_| STRANGE)?, palettes.contains(&index)) {
        (ColorType::Gray(bits), true) => ColorType::Palette(bits),
        (color, _) => color,
    };
    let planes: u16 =
        decoder.find_tag_unsigned(Tag::PlanarConfiguration).map_err(|_| BROKEN)?.unwrap_or(1);
    if planes != 1 && color.num_samples() > 1 {
        return Err(STRANGE);
    }
    let palette = match color {
        ColorType::Palette(1 | 2 | 4 | 8) => {
            let palette = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(|_| BROKEN)?;
            // Thousands of pages keep theirs.
            if palette.len() != 3_usize << color.bit_depth() {
                return Err(BROKEN);
            }
            palette
        }
        ColorType::Gray(1 | 2 | 4 | 8 | 16)
        | ColorType::RGB(8 | 16)
        | ColorType::RGBA(8 | 16)
        | ColorType::GrayA(8 | 16)
        | ColorType::CMYK(8)
        | ColorType::YCbCr(8) => Vec::new(),
        _ => return Err(STRANGE),
    };
    // Of the streams that the order of bits is said of, those of which everybody reads the same.
    let order = match (is_reversed, color.bit_depth(), compression) {
        (false, ..) | (true, _, JPEG) => BitOrder::HighestFirst,
        (true, 1, 1 | 4 | 32773) => BitOrder::LowestFirst,
        (true, ..) => return Err(STRANGE),
    };
    Ok(Page { index, size, stored, turn, color, palette, compression, order })
}

/// The one form that all pages fit into.
fn common(pages: &[Page]) -> Result<Pixels, Refused> {
    let gray = |page: &Page| matches!(page.color, ColorType::Gray(_) | ColorType::GrayA(_));
    Ok(match pages {
        [] => return Err(BROKEN),
        pages if !pages.iter().all(gray) => Pixels::Rgb8,
        pages if pages.iter().all(|page| page.color.bit_depth() == 16) => Pixels::Gray16,
        _ => Pixels::Gray8,
    })
}

fn bytes_each(pixels: Pixels) -> usize {
    match pixels {
        Pixels::Gray16 => 2,
        Pixels::Rgb8 => 3,
        _ => 1,
    }
}

/// Writes one page as it is shown, on a canvas of `size`.
fn one<R: BufRead + Seek>(
    decoder: &mut Pages<R>,
    page: &Page,
    size: Size,
    pixels: Pixels,
    output: &mut impl Write,
) -> Result<(), Refused> {
    let Some(turn) = page.turn else {
        return as_stored(decoder, page, size, pixels, output);
    };
    let each = bytes_each(pixels);
    let cost = page.stored.pixels().saturating_mul(u64::try_from(each).map_err(|_| BROKEN)?);
    if cost > IN_MEMORY / 2 {
        return Err(LYING);
    }
    let mut lying = Vec::new();
    as_stored(decoder, page, page.stored, pixels, &mut lying)?;
    let (turned, _) = turn_up(&lying, page.stored, each, turn);
    let row_bytes = usize::from(size.columns).saturating_mul(each);
    let own_bytes = usize::from(page.size.columns).saturating_mul(each);
    let blank = vec![0xFF; row_bytes];
    for line in turned.chunks_exact(own_bytes.max(1)) {
        output.write_all(line)?;
        output.write_all(blank.get(own_bytes..).unwrap_or_default())?;
    }
    for _ in page.size.rows..size.rows {
        output.write_all(&blank)?;
    }
    Ok(())
}

/// Writes one page as it lies, in bands as high as its strips or tiles.
fn as_stored<R: BufRead + Seek>(
    decoder: &mut Pages<R>,
    page: &Page,
    size: Size,
    pixels: Pixels,
    output: &mut impl Write,
) -> Result<(), Refused> {
    let each = bytes_each(pixels);
    let (width, height) = (u32::from(page.stored.columns), u32::from(page.stored.rows));
    let (chunk_width, chunk_height) = decoder.chunk_dimensions();
    if chunk_width == 0 || chunk_height == 0 {
        return Err(BROKEN);
    }
    // Strips have the width of the page; a tile may be larger than the whole of it.
    let across = width.div_ceil(chunk_width);
    let down = height.div_ceil(chunk_height);
    let count = match decoder.get_chunk_type() {
        ChunkType::Strip => decoder.strip_count(),
        ChunkType::Tile => decoder.tile_count(),
    };
    if count.map_err(|_| BROKEN)? < across.saturating_mul(down) {
        return Err(BROKEN);
    }
    let row_bytes = usize::from(size.columns).saturating_mul(each);
    let band_rows = usize::try_from(chunk_height.min(height)).map_err(|_| STRIP)?;
    let band_bytes = row_bytes.saturating_mul(band_rows);
    if u64::try_from(band_bytes).map_or(true, |bytes| bytes > IN_MEMORY / 2) {
        return Err(STRIP);
    }
    let mut band = vec![0xFF; band_bytes];
    let strips = Strips::read(decoder)?;
    let mut left = usize::from(page.stored.rows);
    for row in 0..down {
        band.fill(0xFF);
        for column in 0..across {
            let index = row.saturating_mul(across).saturating_add(column);
            let (data_width, data_rows) = decoder.chunk_data_dimensions(index);
            if page.compression == JPEG {
                strips.check_jpeg(decoder.inner(), index, (chunk_width, chunk_height))?;
            }
            if page.order == BitOrder::LowestFirst {
                decoder.inner().get_mut().reversed = strips.place(index)?;
            }
            let data = decoder.read_chunk(index).map_err(|_| BROKEN)?;
            let samples = samples(&data, page, data_width)?;
            let at = column.saturating_mul(chunk_width);
            let at = usize::try_from(at).map_err(|_| BROKEN)?.saturating_mul(each);
            let data_rows = usize::try_from(data_rows).map_err(|_| BROKEN)?;
            for line in 0..data_rows.min(band_rows) {
                let mut out = Vec::new();
                samples.line(line, page, pixels, &mut out)?;
                let start = line.saturating_mul(row_bytes).saturating_add(at);
                let place = band.get_mut(start..start.saturating_add(out.len()));
                place.ok_or(BROKEN)?.copy_from_slice(&out);
            }
        }
        let rows = left.min(band_rows);
        left = left.saturating_sub(rows);
        output.write_all(band.get(..rows.saturating_mul(row_bytes)).unwrap_or_default())?;
    }
    decoder.inner().get_mut().reversed = 0..0;
    let blank = vec![0xFF; row_bytes];
    for _ in page.stored.rows..size.rows {
        output.write_all(&blank)?;
    }
    Ok(())
}

/// Decoded samples of one strip or tile.
struct Samples<'a> {
    data: &'a DecodingResult,
    width: usize,
    /// Bytes, or words, of one row.
    stride: usize,
}

fn samples<'a>(data: &'a DecodingResult, page: &Page, width: u32) -> Result<Samples<'a>, Refused> {
    let width = usize::try_from(width).map_err(|_| BROKEN)?;
    let channels = usize::from(page.color.num_samples());
    let bits = usize::from(page.color.bit_depth());
    let stride = match bits {
        1 | 2 | 4 => width.saturating_mul(channels).saturating_mul(bits).div_ceil(8),
        _ => width.saturating_mul(channels),
    };
    Ok(Samples { data, width, stride })
}

impl Samples<'_> {
    /// Appends one row in the form that is stored.
    fn line(
        &self,
        line: usize,
        page: &Page,
        pixels: Pixels,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let start = line.saturating_mul(self.stride);
        let range = start..start.saturating_add(self.stride);
        let bits = page.color.bit_depth();
        let values: Vec<u16> = match self.data {
            DecodingResult::U8(bytes) => {
                let row = bytes.get(range).ok_or(BROKEN)?;
                unpacked(row, bits, self.stride, self.width)
            }
            DecodingResult::U16(words) => words.get(range).ok_or(BROKEN)?.to_vec(),
            _ => return Err(STRANGE),
        };
        let full = if bits == 16 { u16::MAX } else { 255 };
        for pixel in values.chunks_exact(usize::from(page.color.num_samples()).max(1)) {
            let color = color(pixel, page, full);
            match (pixels, color) {
                (Pixels::Gray16, [gray, ..]) => out.extend(gray.to_le_bytes()),
                (Pixels::Gray8, [gray, ..]) => out.push(byte(gray, full)),
                (_, color) => out.extend(color.map(|value| byte(value, full))),
            }
        }
        Ok(())
    }
}

fn byte(value: u16, full: u16) -> u8 {
    if full == 255 { u8::try_from(value).unwrap_or(u8::MAX) } else { narrow(value) }
}

/// Samples of less than 8 bits are spread over the range of 8; indices of palettes stay what they are and
/// are looked up in [`color`].
fn unpacked(row: &[u8], bits: u8, stride: usize, width: usize) -> Vec<u16> {
    if bits >= 8 {
        return row.iter().take(stride).map(|byte| u16::from(*byte)).collect();
    }
    let per_byte = usize::from(8_u8.checked_div(bits).unwrap_or(1));
    let mask = (1_u16 << bits).saturating_sub(1);
    let value = |at: usize| {
        let byte = row.get(at.checked_div(per_byte).unwrap_or(0)).copied().unwrap_or(0);
        let place = at.checked_rem(per_byte).unwrap_or(0).saturating_add(1);
        let shift = 8_usize.saturating_sub(place.saturating_mul(usize::from(bits)));
        (u16::from(byte) >> shift) & mask
    };
    (0..width).map(value).collect()
}

/// Red, green and blue of at most `full`.
fn color(pixel: &[u16], page: &Page, full: u16) -> [u16; 3] {
    match (page.color, pixel) {
        (ColorType::Gray(bits), &[gray]) if bits < 8 => {
            let most = (1_u16 << bits).saturating_sub(1);
            [gray.saturating_mul(255_u16.checked_div(most).unwrap_or(1)); 3]
        }
        (ColorType::Palette(bits), &[index]) => {
            let entries = 1_usize << bits.min(8);
            let entry = |plane: usize| {
                let at = plane.saturating_mul(entries).saturating_add(usize::from(index));
                page.palette.get(at).map_or(0, |value| u16::from(narrow(*value)))
            };
            [entry(0), entry(1), entry(2)]
        }
        (ColorType::GrayA(_), &[gray, alpha]) => [on_white(gray, alpha, full); 3],
        (ColorType::CMYK(_), &[c, m, y, k]) => [c, m, y].map(|ink| {
            let paper = u32::from(full.saturating_sub(ink));
            let light = paper.saturating_mul(u32::from(full.saturating_sub(k)));
            let light = light.checked_div(u32::from(full)).unwrap_or(0);
            u16::try_from(light).unwrap_or(full)
        }),
        (ColorType::YCbCr(_), &[y, cb, cr]) => from_ycbcr(y, cb, cr),
        (ColorType::RGBA(_), &[r, g, b, alpha]) => {
            [r, g, b].map(|value| on_white(value, alpha, full))
        }
        (_, &[r, g, b]) => [r, g, b],
        (_, &[gray, ..]) => [gray; 3],
        (_, []) => [full; 3],
    }
}

/// ITU-R BT.601 in full range, as in JPEG.
fn from_ycbcr(y: u16, cb: u16, cr: u16) -> [u16; 3] {
    let (y, cb, cr) =
        (i32::from(y), i32::from(cb).wrapping_sub(128), i32::from(cr).wrapping_sub(128));
    let scaled = |blue: i32, red: i32| {
        let offset = blue.saturating_mul(cb).saturating_add(red.saturating_mul(cr));
        let value = y.saturating_add(offset.saturating_add(500) / 1000);
        u16::try_from(value.clamp(0, 255)).unwrap_or(0)
    };
    [scaled(0, 1402), scaled(-344, -714), scaled(1772, 0)]
}
