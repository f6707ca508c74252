//! RLE Lossless (PS3.5 G): a frame is as many segments as its pixels have bytes, each packed by itself.

use super::{Broken, Shape};

/// Number of segments and 15 offsets.
const HEADER: usize = 64;

const TRUNCATED: Broken = Broken::Stream("ends too early");

pub(super) fn decode(stream: &[u8], shape: &Shape) -> Result<Vec<u8>, Broken> {
    let (header, _) = stream.as_chunks::<4>();
    let mut header = header.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let count = header.next().ok_or(TRUNCATED)?;
    let width = shape.samples.saturating_mul(shape.bytes);
    if usize::try_from(count) != Ok(width) || stream.len() < HEADER {
        return Err(Broken::Size);
    }
    let mut pixels = vec![0; shape.frame()];
    for segment in 0..width {
        let at = header.next().and_then(|at| usize::try_from(at).ok()).ok_or(TRUNCATED)?;
        let packed = stream.get(at..).filter(|_| at >= HEADER).ok_or(TRUNCATED)?;
        // The most significant byte of the first sample comes first (PS3.5 G.2); ours are little-endian.
        let sample = segment.checked_div(shape.bytes).unwrap_or(0);
        let byte = segment.checked_rem(shape.bytes).unwrap_or(0);
        let place = sample
            .saturating_mul(shape.bytes)
            .saturating_add(shape.bytes.saturating_sub(1).saturating_sub(byte));
        let out = pixels.iter_mut().skip(place).step_by(width);
        unpack(packed, out)?;
    }
    Ok(pixels)
}

/// Runs and literals until every byte of the segment is there (PS3.5 G.3.2).
fn unpack<'a>(packed: &[u8], mut out: impl Iterator<Item = &'a mut u8>) -> Result<(), Broken> {
    let mut packed = packed.iter();
    let mut next = out.next();
    while next.is_some() {
        let control = *packed.next().ok_or(TRUNCATED)?;
        let repeated = match control {
            0..=127 => None,
            128 => continue,
            129..=255 => Some(*packed.next().ok_or(TRUNCATED)?),
        };
        let count = if control < 128 { u16::from(control) + 1 } else { 257 - u16::from(control) };
        for _ in 0..count {
            let value = match repeated {
                Some(value) => value,
                None => *packed.next().ok_or(TRUNCATED)?,
            };
            // A run may go past the end of the frame by its padding only.
            let Some(place) = next.take() else { return Ok(()) };
            *place = value;
            next = out.next();
        }
    }
    Ok(())
}
