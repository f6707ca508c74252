//! JPEG streams (ITU-T T.81): lossless and 12-bit ones are decoded here, 8-bit ones by `zune-jpeg`, which fills up what
//! ends early and therefore gets only what was walked through here to its last block.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::bits::Table;
use super::shape::Colours;
use super::{Broken, Shape, dct, lossless, walk};

const TRUNCATED: Broken = Broken::Stream("ends too early");
const NO_TABLE: Broken = Broken::Stream("uses a table that it does not have");

/// Frame header (T.81 B.2.2).
struct Frame {
    /// Of the SOF marker: 0 Baseline, 1 Extended, 3 lossless.
    process: u8,
    precision: u32,
    /// Identifier and quantisation table of each component.
    components: Vec<(u8, u8)>,
    /// Horizontal and vertical sampling factors of each.
    factors: Vec<(usize, usize)>,
}

impl Frame {
    /// Whether its scans are only walked through.
    fn is_of_eight_bits(&self) -> bool {
        self.process != 3 && self.precision == 8
    }
}

/// What has been defined so far.
#[derive(Default)]
struct Tables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    quantisation: [Option<[u16; 64]>; 4],
    restart: usize,
}

pub(super) fn decode(stream: &[u8], shape: &Shape) -> Result<Vec<u8>, Broken> {
    let mut segments = Segments { stream, at: 0 };
    let mut tables = Tables::default();
    let mut frame = None;
    let mut pixels: Vec<u16> = Vec::new();
    let mut decoded = 0_usize;
    while let Some((marker, body)) = segments.next()? {
        match (marker, &frame) {
            (0xC4, _) => huffman(body, &mut tables)?,
            (0xDB, _) => quantisation(body, &mut tables)?,
            (0xDD, _) => tables.restart = usize::from(two(body, 0)?),
            (0xC0 | 0xC1 | 0xC3, None) => {
                let found = frame_header(marker & 0x0F, body, shape)?;
                if !found.is_of_eight_bits() {
                    pixels = vec![0; shape.pixels().saturating_mul(shape.samples)];
                }
                frame = Some(found);
            }
            (0xC0..=0xCF, _) => return Err(Broken::Unsupported("a JPEG process of another kind")),
            (0xDA, Some(frame)) => {
                // A scan without components, or one too many, would cost a walk over all pixels for eight bytes.
                let components = usize::from(one(body, 0)?);
                decoded = decoded.saturating_add(components);
                if components == 0 || decoded > shape.samples {
                    return Err(Broken::Stream("has scans that its image does not need"));
                }
                segments.at = scan(frame, &tables, body, &segments, shape, &mut pixels)?;
                if frame.is_of_eight_bits() && decoded == shape.samples {
                    return of_eight_bits(stream, shape);
                }
            }
            (0xDA, None) => return Err(TRUNCATED),
            _ => {}
        }
    }
    if decoded != shape.samples {
        return Err(TRUNCATED);
    }
    Ok(match shape.bytes {
        1 => pixels.into_iter().map(|sample| sample.to_le_bytes()[0]).collect(),
        _ => pixels.into_iter().flat_map(u16::to_le_bytes).collect(),
    })
}

/// The marker segments of a stream.
struct Segments<'a> {
    stream: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    /// Marker and parameters of the next segment; `None` at the end of the image.
    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Broken> {
        loop {
            if one(self.stream, self.at)? != 0xFF {
                return Err(Broken::Stream("has something else where a marker belongs"));
            }
            let marker = one(self.stream, self.at.saturating_add(1))?;
            match marker {
                // Fill bytes, start of image, and restart markers that are left over.
                0xFF => self.at = self.at.saturating_add(1),
                0xD8 | 0xD0..=0xD7 | 0x01 => self.at = self.at.saturating_add(2),
                0xD9 => return Ok(None),
                _ => break,
            }
        }
        let marker = one(self.stream, self.at.saturating_add(1))?;
        let begin = self.at.saturating_add(4);
        let length = usize::from(two(self.stream, self.at.saturating_add(2))?);
        let end = self.at.saturating_add(2).saturating_add(length.max(2));
        let body = self.stream.get(begin..end).ok_or(TRUNCATED)?;
        self.at = end;
        Ok(Some((marker, body)))
    }
}

fn frame_header(process: u8, body: &[u8], shape: &Shape) -> Result<Frame, Broken> {
    let precision = u32::from(one(body, 0)?);
    let (rows, columns) = (usize::from(two(body, 1)?), usize::from(two(body, 3)?));
    let count = usize::from(one(body, 5)?);
    if (rows, columns, count) != (shape.rows, shape.columns, shape.samples) {
        return Err(Broken::Size);
    }
    let deepest = if shape.bytes == 1 { 8 } else { 16 };
    if !(2..=deepest).contains(&precision) {
        return Err(Broken::Unsupported("more bits than are allocated"));
    }
    let (components, _) = body.get(6..).ok_or(TRUNCATED)?.as_chunks::<3>();
    let components: Vec<(u8, u8)> =
        components.iter().take(count).map(|[id, _, table]| (*id, *table)).collect();
    if components.len() != count {
        return Err(TRUNCATED);
    }
    // One component has nothing to be sampled against (T.81 A.2.2).
    let factors: Vec<(usize, usize)> = body
        .get(6..)
        .unwrap_or_default()
        .chunks_exact(3)
        .filter_map(|c| c.get(1))
        .map(|both| if count == 1 { (1, 1) } else { ((both >> 4).into(), (both & 0x0F).into()) })
        .take(count)
        .collect();
    if process == 3 && factors.iter().any(|both| *both != (1, 1)) {
        return Err(Broken::Unsupported("lossless JPEG with components of several sizes"));
    }
    Ok(Frame { process, precision, components, factors })
}

fn scan(
    frame: &Frame,
    tables: &Tables,
    body: &[u8],
    segments: &Segments<'_>,
    shape: &Shape,
    pixels: &mut [u16],
) -> Result<usize, Broken> {
    let count = usize::from(one(body, 0)?);
    let behind = 1_usize.saturating_add(count.saturating_mul(2));
    let mut components = Vec::with_capacity(count.min(4));
    for spec in body.get(1..behind).ok_or(TRUNCATED)?.chunks_exact(2) {
        let (id, used) = (one(spec, 0)?, one(spec, 1)?);
        let place = frame.components.iter().position(|(own, _)| *own == id);
        components.push((place.ok_or(Broken::Stream("has an unknown component"))?, used));
    }
    let table = |from: &'_ [Option<Table>; 4], number: u8| {
        from.get(usize::from(number)).and_then(Option::as_ref).cloned().ok_or(NO_TABLE)
    };
    let (predictor, approximation) = (one(body, behind)?, one(body, behind.saturating_add(2))?);
    let (rows, columns, restart) = (shape.rows, shape.columns, tables.restart);
    if frame.process == 3 {
        let own: Vec<(usize, Table)> = components
            .iter()
            .map(|(place, used)| Ok((*place, table(&tables.dc, used >> 4)?)))
            .collect::<Result<_, Broken>>()?;
        let scan = lossless::Scan {
            columns,
            rows,
            components: own.iter().map(|(place, table)| (*place, table)).collect(),
            samples: shape.samples,
            precision: frame.precision,
            predictor,
            shift: u32::from(approximation & 0x0F),
            restart,
        };
        return scan.decode(segments.stream, segments.at, pixels);
    }
    if frame.is_of_eight_bits() {
        let own = components.iter().map(|(place, used)| {
            let factors = *frame.factors.get(*place).ok_or(NO_TABLE)?;
            Ok((factors, table(&tables.dc, used >> 4)?, table(&tables.ac, used & 0x0F)?))
        });
        let own = own.collect::<Result<Vec<_>, Broken>>()?;
        let walk = walk::Scan { columns, rows, frame: &frame.factors, components: own, restart };
        return walk.to_end(segments.stream, segments.at);
    }
    let ([(_, used)], [(_, quantisation)]) = (components.as_slice(), frame.components.as_slice())
    else {
        return Err(Broken::Unsupported("colours of 12 bits"));
    };
    let quantisation = tables.quantisation.get(usize::from(*quantisation)).ok_or(NO_TABLE)?;
    let scan = dct::Scan {
        columns,
        rows,
        precision: frame.precision,
        dc: &table(&tables.dc, used >> 4)?,
        ac: &table(&tables.ac, used & 0x0F)?,
        quantisation: quantisation.as_ref().ok_or(NO_TABLE)?,
        restart,
    };
    scan.decode(segments.stream, segments.at, pixels)
}

/// T.81 B.2.4.2.
fn huffman(mut body: &[u8], tables: &mut Tables) -> Result<(), Broken> {
    while let Some((which, rest)) = body.split_first() {
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or(TRUNCATED)?;
        let values = counts.iter().map(|count| usize::from(*count)).sum();
        let (values, rest) = rest.split_at_checked(values).ok_or(TRUNCATED)?;
        let class = if which >> 4 == 0 { &mut tables.dc } else { &mut tables.ac };
        let place = class.get_mut(usize::from(which & 0x0F)).ok_or(NO_TABLE)?;
        *place = Some(Table::new(counts, values)?);
        body = rest;
    }
    Ok(())
}

/// T.81 B.2.4.1.
fn quantisation(mut body: &[u8], tables: &mut Tables) -> Result<(), Broken> {
    while let Some((which, rest)) = body.split_first() {
        let width = if which >> 4 == 0 { 1 } else { 2 };
        let (values, rest) = rest.split_at_checked(64 * width).ok_or(TRUNCATED)?;
        let mut table = [0; 64];
        for (value, bytes) in table.iter_mut().zip(values.chunks_exact(width)) {
            *value = bytes.iter().fold(0, |value, byte| value << 8 | u16::from(*byte));
        }
        let place = tables.quantisation.get_mut(usize::from(which & 0x0F)).ok_or(NO_TABLE)?;
        *place = Some(table);
        body = rest;
    }
    Ok(())
}

/// Baseline, and Extended of 8 bits.
fn of_eight_bits(stream: &[u8], shape: &Shape) -> Result<Vec<u8>, Broken> {
    let options = DecoderOptions::default()
        .set_max_width(shape.columns)
        .set_max_height(shape.rows)
        .set_strict_mode(true);
    let bad = Broken::Stream("cannot be decoded as JPEG");
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(stream), options);
    decoder.decode_headers().map_err(|_| bad)?;
    let coded = decoder.input_colorspace().ok_or(bad)?;
    let wanted = match (shape.samples, shape.colours) {
        (1, _) => ColorSpace::Luma,
        (_, Colours::Converted) => ColorSpace::RGB,
        (_, Colours::Kept) => coded,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let pixels = decoder.decode().map_err(|_| bad)?;
    if pixels.len() != shape.pixels().saturating_mul(shape.samples) {
        return Err(Broken::Size);
    }
    Ok(match shape.bytes {
        1 => pixels,
        _ => pixels.into_iter().flat_map(|sample| [sample, 0]).collect(),
    })
}

fn one(bytes: &[u8], at: usize) -> Result<u8, Broken> {
    bytes.get(at).copied().ok_or(TRUNCATED)
}

fn two(bytes: &[u8], at: usize) -> Result<u16, Broken> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TRUNCATED)?;
    Ok(u16::from_be_bytes(*bytes))
}
