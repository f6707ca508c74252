//! JPEG: Baseline is wrapped as it came, without what cameras and editors wrote into it; what DICOM does not
//! take as Baseline (progressive, CMYK), or what has to be turned, is decoded.

use std::io::{BufRead, Cursor, Read, Seek, SeekFrom, Write};

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::canvas::{Picture, Size, turn_up};
use super::exif::Exif;
use super::{IN_MEMORY, Refused};
use crate::reconcile::encapsulate::{Pixels, Shot};

/// Quantisation and Huffman tables; the largest set has a few kilobytes.
const TABLES: usize = 1 << 20;

/// A compressed file that is decoded in memory.
const COMPRESSED: u64 = 64 << 20;

const NO_JPEG: Refused = Refused("a JPEG that cannot be decoded; ask for it again if it is needed");

/// What stands before the first scan.
#[derive(Default)]
struct Header {
    /// Start of image, tables, frame and scan header: what is wrapped.
    kept: Vec<u8>,
    frame: Option<Frame>,
    adobe: Option<u8>,
    exif: Exif,
}

struct Frame {
    /// SOF marker: 0xC0 is Baseline.
    process: u8,
    bits: u8,
    size: Size,
    /// Identifier and sampling factors of each component.
    components: Vec<(u8, u8)>,
}

pub(super) fn read<R: BufRead + Seek>(
    input: &mut R,
    length: u64,
    output: &mut impl Write,
) -> Result<Picture, Refused> {
    let header = header(input)?;
    let frame = header.frame.as_ref().ok_or(NO_JPEG)?;
    if frame.bits != 8 {
        return Err(Refused("a JPEG of more than 8 bits; save it as PNG"));
    }
    let shot = if header.exif.camera { Shot::Camera } else { Shot::Other };
    let turned = header.exif.orientation.filter(|turn| *turn != 1);
    let fits = cost(frame) <= IN_MEMORY && length <= COMPRESSED;
    let wrapped = match (frame.process, frame.components.len()) {
        (0xC0, 1) => Some(Pixels::JpegGray),
        (0xC0, 3) => colours(&header, frame, fits),
        _ => None,
    };
    let raw = frame.size.pixels().saturating_mul(if frame.components.len() == 1 { 1 } else { 3 });
    let ratio = raw.saturating_mul(100).checked_div(length.max(1)).unwrap_or(100);
    let lossy = Some(u32::try_from(ratio).unwrap_or(u32::MAX).max(100));
    match (wrapped, turned) {
        // One that is too large to be turned is better lying than missing.
        (Some(pixels), turned) if turned.is_none() || !fits => {
            output.write_all(&header.kept)?;
            scans(input, output)?;
            Ok(Picture { size: frame.size, frames: 1, pixels, shot, lossy })
        }
        _ if !fits => {
            Err(Refused("a progressive or CMYK JPEG that is too large; save it as Baseline"))
        }
        _ => {
            input.seek(SeekFrom::Start(0))?;
            let mut bytes = Vec::new();
            input.take(COMPRESSED).read_to_end(&mut bytes)?;
            let gray = frame.components.len() == 1;
            let (data, size) = decode(bytes, frame.size, gray, turned)?;
            output.write_all(&data)?;
            let pixels = if gray { Pixels::Gray8 } else { Pixels::Rgb8 };
            Ok(Picture { size, frames: 1, pixels, shot, lossy })
        }
    }
}

/// Bytes in memory while this is decoded: samples and, for all but Baseline, coefficients.
fn cost(frame: &Frame) -> u64 {
    let components = u64::try_from(frame.components.len()).unwrap_or(u64::MAX);
    let each = if matches!(frame.process, 0xC0 | 0xC1) { 2 } else { 3 };
    frame.size.pixels().saturating_mul(components).saturating_mul(each)
}

/// How three components are wrapped: by the Adobe segment, else by the identifiers, as everybody else does it.
/// `None` if they are better decoded, since DICOM has no name for them that all viewers know.
fn colours(header: &Header, frame: &Frame, fits: bool) -> Option<Pixels> {
    let ids: Vec<u8> = frame.components.iter().map(|(id, _)| *id).collect();
    if header.adobe == Some(0) || (header.adobe.is_none() && ids == *b"RGB") {
        return (!fits || !header.exif.camera).then_some(Pixels::JpegRgb);
    }
    let mut factors = frame.components.iter().map(|(_, factors)| *factors);
    let first = factors.next();
    let full = factors.all(|other| Some(other) == first);
    (!fits || !full).then_some(Pixels::JpegYbr)
}

/// Reads up to and with the header of the first scan.
fn header(input: &mut impl BufRead) -> Result<Header, Refused> {
    let mut header = Header::default();
    let mut start = [0; 2];
    input.read_exact(&mut start)?;
    header.kept.extend(start);
    loop {
        let marker = marker(input)?;
        let body = match marker {
            0xC0..=0xFE if marker != 0xD8 && !is_bare(marker) => segment(input)?,
            _ => return Err(NO_JPEG),
        };
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                if header.frame.is_some() {
                    return Err(NO_JPEG);
                }
                header.frame = Some(frame(marker, &body)?);
            }
            0xE1 => header.exif = Exif::read(&body).unwrap_or(header.exif),
            0xEE if body.starts_with(b"Adobe") => header.adobe = body.get(11).copied(),
            _ => {}
        }
        if is_kept(marker, &body) {
            header.kept.extend([0xFF, marker]);
            let length = u16::try_from(body.len().saturating_add(2)).map_err(|_| NO_JPEG)?;
            header.kept.extend(length.to_be_bytes());
            header.kept.extend(&body);
        }
        if header.kept.len() > TABLES {
            return Err(NO_JPEG);
        }
        if marker == 0xDA {
            return Ok(header);
        }
    }
}

fn frame(process: u8, body: &[u8]) -> Result<Frame, Refused> {
    let Some((&[bits, h1, h0, w1, w0, count], rest)) = body.split_first_chunk::<6>() else {
        return Err(NO_JPEG);
    };
    // Lossless, differential and arithmetic processes; nobody's camera writes them.
    if !matches!(process, 0xC0..=0xC2) {
        return Err(Refused("a JPEG of a rare kind (lossless or arithmetic); save it as PNG"));
    }
    if !matches!(count, 1 | 3 | 4) || rest.len() != usize::from(count).saturating_mul(3) {
        return Err(NO_JPEG);
    }
    let size = Size::new(u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into())?;
    let component = |part: &[u8]| match *part {
        [id, factors, _] => (id, factors),
        _ => (0, 0),
    };
    let components = rest.chunks_exact(3).map(component).collect();
    Ok(Frame { process, bits, size, components })
}

/// Copies scans, tables between them and their entropy-coded bytes up to the end of the image; what some
/// cameras append behind it is left out.
fn scans(input: &mut impl BufRead, output: &mut impl Write) -> Result<(), Refused> {
    loop {
        let marker = entropy_coded(input, output)?;
        output.write_all(&[0xFF, marker])?;
        match marker {
            0xD9 => return Ok(()),
            0xC4 | 0xDA | 0xDB | 0xDD => {
                let body = segment(input)?;
                let length = u16::try_from(body.len().saturating_add(2)).map_err(|_| NO_JPEG)?;
                output.write_all(&length.to_be_bytes())?;
                output.write_all(&body)?;
            }
            _ => return Err(NO_JPEG),
        }
    }
}

/// Copies entropy-coded bytes and returns the marker that ends them.
fn entropy_coded(input: &mut impl BufRead, output: &mut impl Write) -> Result<u8, Refused> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        let end = bytes.iter().position(|byte| *byte == 0xFF);
        let plain = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        output.write_all(plain)?;
        let count = plain.len();
        input.consume(count);
        if end.is_none() {
            continue;
        }
        match marker(input)? {
            // Stuffing, and restarts inside a scan.
            stuffing @ (0x00 | 0xD0..=0xD7) => output.write_all(&[0xFF, stuffing])?,
            marker => return Ok(marker),
        }
    }
}

/// The next marker, without its 0xFF and those that fill in front of it.
fn marker(input: &mut impl BufRead) -> Result<u8, Refused> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    if byte != [0xFF] {
        return Err(NO_JPEG);
    }
    while byte == [0xFF] {
        input.read_exact(&mut byte)?;
    }
    let [marker] = byte;
    Ok(marker)
}

/// What follows a segment's length.
fn segment(input: &mut impl Read) -> Result<Vec<u8>, Refused> {
    let mut length = [0; 2];
    input.read_exact(&mut length)?;
    let length = u16::from_be_bytes(length).checked_sub(2).ok_or(NO_JPEG)?;
    let mut body = vec![0; usize::from(length)];
    input.read_exact(&mut body)?;
    Ok(body)
}

/// Markers without a segment.
fn is_bare(marker: u8) -> bool {
    matches!(marker, 0xD0..=0xD9)
}

/// Tables and frames, and the two application segments that say how colours are coded. Everything else may
/// tell where, when and by whom the picture was taken.
fn is_kept(marker: u8, body: &[u8]) -> bool {
    match marker {
        0xE0 => body.starts_with(b"JFIF\0") && body.len() == 14,
        0xEE => body.starts_with(b"Adobe") && body.len() == 12,
        0xE1..=0xEF | 0xFE => false,
        _ => true,
    }
}

fn decode(
    bytes: Vec<u8>,
    size: Size,
    gray: bool,
    turned: Option<u8>,
) -> Result<(Vec<u8>, Size), Refused> {
    let colours = if gray { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .set_max_width(usize::from(size.columns))
        .set_max_height(usize::from(size.rows))
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(colours);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    let data = decoder.decode().map_err(|_| NO_JPEG)?;
    let samples = if gray { 1 } else { 3 };
    let expected = size.pixels().saturating_mul(if gray { 1 } else { 3 });
    if u64::try_from(data.len()) != Ok(expected) {
        return Err(NO_JPEG);
    }
    Ok(match turned {
        Some(turn) => turn_up(&data, size, samples, turn),
        None => (data, size),
    })
}
