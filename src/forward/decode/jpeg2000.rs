//! JPEG 2000 code-streams (ISO/IEC 15444-1) by `hayro-jpeg2000`, which knows samples without a sign only.

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::{Broken, Shape};

/// Tiles of one image, and parts of one that a packet may be cut into: more cost memory for nothing.
const MOST_TILES: u64 = 4096;

const TRUNCATED: Broken = Broken::Stream("ends too early");

/// What the SIZ segment tells (A.5.1).
struct Size {
    precision: u32,
    is_signed: bool,
}

/// Boxes of a file before its code-stream.
const MOST_BOXES: usize = 64;

pub(super) fn decode(stream: &[u8], shape: &Shape) -> Result<Vec<u8>, Broken> {
    let stream = code_stream(stream)?;
    let size = size(stream, shape)?;
    modest(stream)?;
    let bad = Broken::Stream("cannot be decoded as JPEG 2000");
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let image = Image::new(stream, &settings).map_err(|_| bad)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|_| bad)?;
    let components = decoded.components();
    if components.len() != shape.samples
        || components.iter().any(|component| component.samples().len() != shape.pixels())
    {
        return Err(Broken::Size);
    }
    // The decoder adds half of the range, as samples without a sign want it (G.1.2).
    let low = if size.is_signed { -(1_i32 << (size.precision - 1)) } else { 0 };
    let high = (1_i32 << size.precision) - 1 + low;
    let mut pixels = vec![0; shape.frame()];
    let width = shape.samples.saturating_mul(shape.bytes);
    for (place, component) in components.iter().enumerate() {
        let at = place.saturating_mul(shape.bytes);
        for (pixel, sample) in pixels.chunks_exact_mut(width).zip(component.samples()) {
            let value = whole(*sample).saturating_add(low).clamp(low, high);
            let bytes = value.to_le_bytes();
            for (to, from) in pixel.iter_mut().skip(at).take(shape.bytes).zip(bytes) {
                *to = from;
            }
        }
    }
    Ok(pixels)
}

/// Some wrap the whole file instead of the code-stream (PS3.5 A.4.4 forbids it). What stands around the stream
/// tells of colours, which the header does too.
fn code_stream(mut file: &[u8]) -> Result<&[u8], Broken> {
    if !file.starts_with(b"\0\0\0\x0CjP  ") {
        return Ok(file);
    }
    for _ in 0..MOST_BOXES {
        let (length, rest) = file.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        let (kind, body) = rest.split_first_chunk::<4>().ok_or(TRUNCATED)?;
        if kind == b"jp2c" {
            return Ok(body);
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        file = file.get(length.max(8)..).ok_or(TRUNCATED)?;
    }
    Err(TRUNCATED)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float is clamped to the type's range by the language"
)]
fn whole(sample: f32) -> i32 {
    sample.round() as i32
}

/// Refuses streams that cut the image into so many parts that the parts cost more than the image: precincts below
/// 32 by 32, code-blocks below 256 samples (A.6.1). No encoder writes them, and a few bytes would ask for gigabytes.
fn modest(stream: &[u8]) -> Result<(), Broken> {
    // Behind SOC; the same segments stand in the main header and in those of tile-parts.
    let mut at = 2_usize;
    let mut part = None;
    loop {
        let marker = two(stream, at)?;
        match marker {
            // Start of data: the next tile-part begins where this one says that it ends.
            // Never back, or a few bytes would be walked over and over.
            0xFF93 => match part.take() {
                Some(next) if next > at => at = next,
                Some(_) => return Err(Broken::Stream("has parts that end before their data")),
                None => return Ok(()),
            },
            0xFFD9 => return Ok(()),
            _ => {
                let length = usize::from(two(stream, at.saturating_add(2))?);
                let begin = at.saturating_add(4);
                let end = at.saturating_add(2).saturating_add(length.max(2));
                let body = stream.get(begin..end).ok_or(TRUNCATED)?;
                match marker {
                    0xFF52 => style(body, body.get(5..).ok_or(TRUNCATED)?)?,
                    0xFF53 => {
                        style(body.get(1..).ok_or(TRUNCATED)?, body.get(2..).ok_or(TRUNCATED)?)?
                    }
                    0xFF90 => {
                        let length = body.get(2..6).and_then(|bytes| bytes.first_chunk());
                        let length = u32::from_be_bytes(*length.ok_or(TRUNCATED)?);
                        let next = at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                        // Zero is up to the end of the image.
                        part = (length > 0 && next > at && next < stream.len()).then_some(next);
                    }
                    _ => {}
                }
                at = end;
            }
        }
    }
}

/// Code-blocks and precincts of a COD or COC segment: `coded` begins with the style, `levels` with their number.
fn style(coded: &[u8], levels: &[u8]) -> Result<(), Broken> {
    let small = Broken::Unsupported("precincts or code-blocks of a few samples");
    let (across, down) = (one(levels, 1)? & 0x0F, one(levels, 2)? & 0x0F);
    if across.saturating_add(down) < 4 {
        return Err(small);
    }
    let has_precincts = one(coded, 0)? & 1 == 1;
    let precincts = levels.get(5..).unwrap_or_default();
    let is_small = |size: &u8| size & 0x0F < 5 || size >> 4 < 5;
    if has_precincts && precincts.iter().any(is_small) { Err(small) } else { Ok(()) }
}

fn one(bytes: &[u8], at: usize) -> Result<u8, Broken> {
    bytes.get(at).copied().ok_or(TRUNCATED)
}

fn two(bytes: &[u8], at: usize) -> Result<u16, Broken> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TRUNCATED)?;
    Ok(u16::from_be_bytes(*bytes))
}

/// Holds the size in the stream against the header before anything is allocated for it.
fn size(stream: &[u8], shape: &Shape) -> Result<Size, Broken> {
    // SOC, SIZ, length, capabilities, then eight sizes and the number of components.
    let body = stream.get(8..).ok_or(TRUNCATED)?;
    let (sizes, _) = body.as_chunks::<4>();
    let mut sizes = sizes.iter().map(|bytes| u32::from_be_bytes(*bytes));
    let mut next = || sizes.next().ok_or(TRUNCATED);
    let (right, bottom, left, top) = (next()?, next()?, next()?, next()?);
    let (tile_width, tile_height) = (u64::from(next()?), u64::from(next()?));
    let columns = right.checked_sub(left).and_then(|n| usize::try_from(n).ok());
    let rows = bottom.checked_sub(top).and_then(|n| usize::try_from(n).ok());
    let count = body.get(32..34).and_then(|bytes| bytes.first_chunk());
    let count = usize::from(u16::from_be_bytes(*count.ok_or(TRUNCATED)?));
    if (rows, columns, count) != (Some(shape.rows), Some(shape.columns), shape.samples) {
        return Err(Broken::Size);
    }
    if tile_width == 0 || tile_height == 0 {
        return Err(Broken::Stream("has tiles without a size"));
    }
    let tiles = u64::from(right).div_ceil(tile_width);
    let tiles = tiles.saturating_mul(u64::from(bottom).div_ceil(tile_height));
    if tiles > MOST_TILES {
        return Err(Broken::Unsupported("more than 4096 tiles"));
    }
    let (components, _) = body.get(34..).ok_or(TRUNCATED)?.as_chunks::<3>();
    let first = *components.first().ok_or(TRUNCATED)?;
    if components.iter().take(count).any(|component| *component != first) {
        return Err(Broken::Unsupported("components of several kinds"));
    }
    let [depth, across, down] = first;
    let precision = u32::from(depth & 0x7F) + 1;
    if (across, down) != (1, 1) || precision > 16 {
        return Err(Broken::Unsupported(
            "components that are sampled apart or deeper than 16 bits",
        ));
    }
    if usize::try_from(precision.div_ceil(8)).unwrap_or(usize::MAX) > shape.bytes {
        return Err(Broken::Unsupported("more bits than are allocated"));
    }
    Ok(Size { precision, is_signed: depth & 0x80 != 0 })
}
