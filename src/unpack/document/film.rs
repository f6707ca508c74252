//! MP4: of its boxes only those that tell codec, size and number of frames (ISO/IEC 14496-12). The film is
//! sent as it came, with what phones note in it (place, device) blanked.

use std::io::{BufRead, Read, Seek, SeekFrom, Write};

use super::Refused;
use super::canvas::Size;
use crate::reconcile::encapsulate::{Codec, Video};

/// Boxes beside each other; a film has a handful, one in fragments has thousands.
const BOXES: usize = 4_096;

/// Brands that are read; a film names about five.
const BRANDS: u64 = 1024;

/// The tables of all samples: hours of film.
const TABLES: u64 = 32 << 20;

/// One fragment of encapsulated pixel data (PS3.5 A.4), with its padding.
const LONGEST: u64 = 0xFFFF_FFFC;

const BROKEN: Refused =
    Refused("a video whose structure is damaged; ask for it again if it is needed");

pub(super) struct Film {
    pub(super) video: Video,
    /// Boxes that are blanked, in order.
    blanks: Vec<Blank>,
}

/// Where the type of a box lies, its body, and its end. Between type and body stands the length of a large one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Blank {
    kind: u64,
    body: u64,
    end: u64,
}

impl Blank {
    fn of(at: u64, body: u64, end: u64) -> Self {
        Self { kind: at.saturating_add(4), body, end }
    }
}

/// One box in memory.
#[derive(Clone, Copy)]
struct Part<'a> {
    kind: [u8; 4],
    /// Where it begins and ends, counted from the beginning of the file.
    at: u64,
    end: u64,
    body: &'a [u8],
    /// Where the body begins in the file.
    body_at: u64,
}

pub(super) fn read<R: BufRead + Seek>(input: &mut R, length: u64) -> Result<Film, Refused> {
    if length > LONGEST {
        return Err(Refused("a video of 4 gigabytes or more, which no object holds; cut it"));
    }
    let mut blanks = Vec::new();
    let (mut at, mut movie, mut media, mut fragmented) = (0, None, false, false);
    for _ in 0..BOXES {
        if at == length {
            break;
        }
        input.seek(SeekFrom::Start(at))?;
        let (kind, head, size) = head(input, length.saturating_sub(at))?;
        let end = at.saturating_add(size);
        match &kind {
            b"moov" if movie.is_none() => {
                if size > TABLES {
                    return Err(Refused("a video with too many frames; cut it"));
                }
                let mut body = Vec::new();
                input.take(size.saturating_sub(head)).read_to_end(&mut body)?;
                movie = Some((body, at.saturating_add(head)));
            }
            b"mdat" => media = true,
            b"moof" => fragmented = true,
            b"uuid" | b"udta" | b"meta" => {
                blanks.push(Blank::of(at, at.saturating_add(head), end));
            }
            b"ftyp" => {
                let mut brands = Vec::new();
                let most = size.saturating_sub(head).min(BRANDS);
                input.take(most).read_to_end(&mut brands)?;
                if is_quicktime(&brands) {
                    return Err(Refused(
                        "a QuickTime film, which DICOM has no name for; save it as MP4",
                    ));
                }
            }
            _ => {}
        }
        at = end;
    }
    if at != length || !(media || fragmented) {
        return Err(BROKEN);
    }
    if fragmented {
        return Err(Refused(
            "a video in fragments, as streams are recorded; save it as a plain MP4",
        ));
    }
    let (movie, body_at) = movie.ok_or(BROKEN)?;
    let video = movie_facts(&movie, body_at, &mut blanks)?;
    blanks.sort_unstable();
    Ok(Film { video, blanks })
}

/// Whether the brands (ISO/IEC 14496-12 4.3) are those of QuickTime and none of an MP4.
fn is_quicktime(brands: &[u8]) -> bool {
    let (brands, _) = brands.as_chunks::<4>();
    let mut other = brands.iter().skip(2);
    brands.first() == Some(b"qt  ")
        && !other.any(|brand| brand.starts_with(b"mp4") || brand.starts_with(b"iso"))
}

/// Type, length of the head, and length of a box of which `most` bytes are there.
fn head(input: &mut impl Read, most: u64) -> Result<([u8; 4], u64, u64), Refused> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    let [a, b, c, d, kind @ ..] = bytes;
    let (head, size) = match u32::from_be_bytes([a, b, c, d]) {
        0 => (8, most),
        1 => {
            let mut large = [0; 8];
            input.read_exact(&mut large)?;
            (16, u64::from_be_bytes(large))
        }
        size => (8, u64::from(size)),
    };
    if size < head || size > most {
        return Err(BROKEN);
    }
    Ok((kind, head, size))
}

/// The boxes of one level.
fn parts(body: &[u8], body_at: u64) -> Result<Vec<Part<'_>>, Refused> {
    let (mut rest, mut at, mut parts) = (body, body_at, Vec::new());
    while !rest.is_empty() {
        if parts.len() >= BOXES {
            return Err(BROKEN);
        }
        // QuickTime ends lists with four zero bytes.
        if rest.len() < 8 {
            break;
        }
        let there = u64::try_from(rest.len()).map_err(|_| BROKEN)?;
        let (kind, head, size) = head(&mut &*rest, there)?;
        let (head_bytes, bytes) = (
            usize::try_from(head).map_err(|_| BROKEN)?,
            usize::try_from(size).map_err(|_| BROKEN)?,
        );
        let body = rest.get(head_bytes..bytes).ok_or(BROKEN)?;
        let end = at.saturating_add(size);
        parts.push(Part { kind, at, end, body, body_at: at.saturating_add(head) });
        rest = rest.get(bytes..).unwrap_or_default();
        at = end;
    }
    Ok(parts)
}

fn child<'a>(part: Part<'a>, kind: &[u8; 4]) -> Result<Part<'a>, Refused> {
    let inner = parts(part.body, part.body_at)?;
    inner.into_iter().find(|inner| inner.kind == *kind).ok_or(BROKEN)
}

fn movie_facts(movie: &[u8], body_at: u64, blanks: &mut Vec<Blank>) -> Result<Video, Refused> {
    let mut found = None;
    for part in parts(movie, body_at)? {
        match &part.kind {
            b"udta" | b"meta" | b"uuid" => blanks.push(Blank::of(part.at, part.body_at, part.end)),
            b"trak" => {
                for inner in parts(part.body, part.body_at)? {
                    if matches!(&inner.kind, b"udta" | b"meta" | b"uuid") {
                        blanks.push(Blank::of(inner.at, inner.body_at, inner.end));
                    }
                }
                let media = child(part, b"mdia")?;
                let handler = child(media, b"hdlr")?;
                if handler.body.get(8..12) == Some(b"vide") {
                    if found.is_some() {
                        return Err(Refused(
                            "a video with several pictures at once; save one of them",
                        ));
                    }
                    found = Some(track(media)?);
                }
            }
            _ => {}
        }
    }
    found.ok_or(Refused("a recording without a picture"))
}

fn track(media: Part<'_>) -> Result<Video, Refused> {
    let (scale, duration) = times(child(media, b"mdhd")?.body).ok_or(BROKEN)?;
    let table = child(child(media, b"minf")?, b"stbl")?;
    let sizes = child(table, b"stsz").or_else(|_| child(table, b"stz2"))?;
    let frames = long(sizes.body, 8).filter(|frames| *frames > 0).ok_or(BROKEN)?;
    let description = child(table, b"stsd")?;
    // After version and count, the first entry; others would change codec in the middle.
    if long(description.body, 4) != Some(1) {
        return Err(Refused("a video that changes its coding; save it anew"));
    }
    let entries = description.body.get(8..).ok_or(BROKEN)?;
    let entry = parts(entries, 0)?.into_iter().next().ok_or(BROKEN)?;
    // VisualSampleEntry: 78 bytes of fields, then boxes.
    let width = short(entry.body, 24).ok_or(BROKEN)?;
    let height = short(entry.body, 26).ok_or(BROKEN)?;
    let size = Size::new(width.into(), height.into())?;
    let inner = parts(entry.body.get(78..).ok_or(BROKEN)?, 0)?;
    let configuration = |kind: &[u8; 4]| {
        inner.iter().find(|part| part.kind == *kind).map(|part| part.body).ok_or(BROKEN)
    };
    let codec = match &entry.kind {
        b"avc1" | b"avc3" => h264(configuration(b"avcC")?),
        b"hvc1" | b"hev1" => h265(configuration(b"hvcC")?),
        _ => None,
    };
    let codec = codec.ok_or(Refused(
        "a video whose codec, profile or level DICOM has no name for; save it as H.264 High profile, level 4.1",
    ))?;
    let micros = u128::from(duration)
        .saturating_mul(1_000_000)
        .checked_div(u128::from(scale).saturating_mul(u128::from(frames)));
    let frame_micros = micros.and_then(|time| u32::try_from(time).ok()).filter(|time| *time > 0);
    Ok(Video {
        source: String::new(),
        rows: size.rows,
        columns: size.columns,
        frames: i32::try_from(frames).ok().and_then(|n| u32::try_from(n).ok()).ok_or(BROKEN)?,
        frame_micros: frame_micros.ok_or(BROKEN)?,
        codec,
    })
}

/// Units in a second, and duration in them.
fn times(body: &[u8]) -> Option<(u32, u64)> {
    match body.first()? {
        0 => Some((long(body, 12)?, long(body, 16)?.into())),
        1 => {
            let (high, low) = (long(body, 24)?, long(body, 28)?);
            Some((long(body, 20)?, (u64::from(high) << 32) | u64::from(low)))
        }
        _ => None,
    }
}

/// AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3): profile 100 is High, which is 4:2:0 in 8 bits.
fn h264(record: &[u8]) -> Option<Codec> {
    match *record.first_chunk::<4>()? {
        [1, 100, _, 1..=41] => Some(Codec::H264High41),
        [1, 100, _, 42] => Some(Codec::H264High42),
        _ => None,
    }
}

/// HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3): Main profile, Main tier, level 5.1 is 153.
fn h265(record: &[u8]) -> Option<Codec> {
    let (profile, level) = (record.get(1)?, record.get(12)?);
    (*profile == 1 && *level <= 153).then_some(Codec::H265Main51)
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Copies the file; boxes to be blanked become `free` ones full of zeros, so that nothing moves.
pub(super) fn copy(
    film: &Film,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), Refused> {
    let mut at = 0;
    for Blank { kind, body, end } in &film.blanks {
        pass(input, kind.saturating_sub(at), output)?;
        pass(input, 4, &mut std::io::sink())?;
        output.write_all(b"free")?;
        pass(input, body.saturating_sub(kind.saturating_add(4)), output)?;
        let blank = end.saturating_sub(*body);
        pass(input, blank, &mut std::io::sink())?;
        std::io::copy(&mut std::io::repeat(0).take(blank), output)?;
        at = *end;
    }
    std::io::copy(input, output)?;
    Ok(())
}

fn pass(input: &mut impl Read, length: u64, output: &mut impl Write) -> Result<(), Refused> {
    let copied = std::io::copy(&mut input.by_ref().take(length), output)?;
    if copied == length { Ok(()) } else { Err(BROKEN) }
}
