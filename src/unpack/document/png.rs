//! PNG: decoded row by row; interlaced ones in memory.

use std::io::{BufRead, Seek, Write};

use ::png::{BitDepth, ColorType, DecodeOptions, Decoder, Limits, Transformations};

use super::canvas::{Layout, Picture, Size};
use super::{IN_MEMORY, Refused};
use crate::reconcile::encapsulate::{Pixels, Shot};

/// For chunks beside the pixels: a palette, a profile.
const CHUNKS: usize = 1 << 20;

const BROKEN: Refused = Refused("a PNG that cannot be decoded; ask for it again if it is needed");

pub(super) fn read<R: BufRead + Seek>(
    input: R,
    output: &mut impl Write,
) -> Result<Picture, Refused> {
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(input, options);
    let info = decoder.read_header_info().map_err(|_| BROKEN)?;
    let size = Size::new(info.width, info.height)?;
    let interlaced = info.interlaced;
    // The decoder counts rows and its windows too; a row is at most 65535 x 8 bytes.
    let row = usize::from(size.columns).saturating_mul(8);
    decoder.set_limits(Limits { bytes: CHUNKS.saturating_add(row.saturating_mul(4)) });
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|_| BROKEN)?;
    let (color, depth) = reader.output_color_type();
    let wide = depth == BitDepth::Sixteen;
    let layout = |channels, alpha| Layout { channels, alpha, wide };
    let (layout, pixels) = match color {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => {
            let alpha = color == ColorType::GrayscaleAlpha;
            let pixels = if wide { Pixels::Gray16 } else { Pixels::Gray8 };
            (layout(if alpha { 2 } else { 1 }, alpha), pixels)
        }
        ColorType::Rgb => (layout(3, false), Pixels::Rgb8),
        ColorType::Rgba => (layout(4, true), Pixels::Rgb8),
        ColorType::Indexed => return Err(BROKEN),
    };
    let each = match pixels {
        Pixels::Gray16 => 2,
        Pixels::Rgb8 => 3,
        _ => 1,
    };
    size.decoded(each, 1)?;
    let mut out = Vec::new();
    if interlaced {
        let whole = reader.output_buffer_size().ok_or(BROKEN)?;
        if u64::try_from(whole).map_or(true, |bytes| bytes > IN_MEMORY) {
            return Err(Refused(
                "an interlaced PNG that is too large; save it without interlacing",
            ));
        }
        let mut frame = vec![0; whole];
        let info = reader.next_frame(&mut frame).map_err(|_| BROKEN)?;
        for row in frame.chunks(info.line_size.max(1)).take(usize::from(size.rows)) {
            out.clear();
            layout.row(row, pixels, &mut out);
            output.write_all(&out)?;
        }
    } else {
        for _ in 0..size.rows {
            let row = reader.next_row().map_err(|_| BROKEN)?.ok_or(BROKEN)?;
            out.clear();
            layout.row(row.data(), pixels, &mut out);
            output.write_all(&out)?;
        }
    }
    // Checksums of what was read stand behind it.
    reader.finish().map_err(|_| BROKEN)?;
    Ok(Picture { size, frames: 1, pixels, shot: Shot::Other, lossy: None })
}
