//! The pictures of a PDF: its images, and what is drawn on its pages by lines and areas.
//!
//! Streams are looked for as they lie in the file, without its tables and trees: a damaged PDF shows its code too,
//! and nothing in it leads in a circle. What is encrypted, and images in JPEG 2000 or JBIG2, are not read.
//! ISO 32000-1 7.3.8 (streams), 7.4 (filters), 8.9 (images).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::ZlibDecoder;

use super::drawing;
use super::picture::{self, Gray};
use super::search::{self, Effort};

/// Streams that are looked at; a release letter has a dozen.
const STREAMS: usize = 2_000;
/// Places that say `stream`; each stream has two.
const KEYWORDS: usize = 4 * STREAMS;
/// Bytes that are searched for numbers in objects of their own, over the whole file.
const SEARCHED: usize = 256 << 20;
/// One stream inflated.
const INFLATED: u64 = 64 << 20;
/// All streams of a file.
const ALL: u64 = 256 << 20;
/// A dictionary before a stream.
const DICTIONARY: usize = 8 << 10;
/// Filters one behind the other.
const FILTERS: usize = 4;
/// An image of less has no code that a camera could read.
const SMALLEST: usize = 21;

pub(super) fn read(file: &[u8], effort: &mut Effort) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = ALL;
    let mut reader = Reader { file, at: 0, keywords: KEYWORDS, searched: Cell::new(SEARCHED) };
    for _ in 0..STREAMS {
        let Some(stream) = reader.next_stream() else { break };
        if left == 0 || effort.is_over() {
            break;
        }
        found.extend(match stream.picture(&mut left, effort) {
            Some(Picture::Image(picture)) => search::codes(&picture, effort),
            Some(Picture::Drawn(picture)) => search::drawn(&picture, effort),
            None => continue,
        });
    }
    found
}

/// Where the reading stands, and how much of it is left.
struct Reader<'a> {
    file: &'a [u8],
    at: usize,
    keywords: usize,
    searched: Cell<usize>,
}

struct Stream<'r, 'a> {
    reader: &'r Reader<'a>,
    dictionary: &'a [u8],
    data: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The stream that begins next; the reading goes on behind it.
    fn next_stream(&mut self) -> Option<Stream<'_, 'a>> {
        let (dictionary, rest) = self.next_begin()?;
        let stream = Stream { reader: self, dictionary, data: rest };
        let told = stream.number(b"/Length").and_then(|length| usize::try_from(length).ok());
        let fits = |length: &usize| {
            let behind = rest.get(*length..).unwrap_or_default();
            let behind = behind.get(..16).unwrap_or(behind);
            behind.trim_ascii_start().starts_with(b"endstream")
        };
        let length = told.filter(fits).or_else(|| find(rest, b"endstream"))?;
        let data = rest.get(..length)?;
        self.at = self.at.saturating_add(length);
        Some(Stream { reader: self, dictionary, data })
    }

    /// The dictionary of the next stream, and all that follows it; the reading goes on there.
    fn next_begin(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        loop {
            self.keywords = self.keywords.checked_sub(1)?;
            let file = self.file;
            let keyword = self.at.saturating_add(find(file.get(self.at..)?, b"stream")?);
            let before = file.get(keyword.saturating_sub(DICTIONARY)..keyword)?;
            self.at = keyword.saturating_add(b"stream".len());
            if before.ends_with(b"end") {
                continue;
            }
            // The dictionary is all that stands between the object's head and the keyword.
            let Some(head) = before.windows(4).rposition(|four| four == b" obj") else { continue };
            let dictionary = before.get(head.saturating_add(4)..)?;
            let rest = file.get(self.at..)?;
            let rest = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")).unwrap_or(rest);
            self.at = file.len().saturating_sub(rest.len());
            return Some((dictionary, rest));
        }
    }

    /// What stands behind this, at or behind the place of the reading, else before it: many files have a stream's
    /// length right behind the stream.
    fn behind(&self, head: &[u8]) -> Option<&'a [u8]> {
        let places = [self.file.get(self.at..)?, self.file];
        for place in places {
            let searched = place.get(..self.searched.get()).unwrap_or(place);
            let found = find(searched, head);
            let cost = found.unwrap_or(searched.len());
            self.searched.set(self.searched.get().saturating_sub(cost));
            if let Some(at) = found {
                return place.get(at.checked_add(head.len())?..);
            }
        }
        None
    }
}

/// Data as far as its filters could be undone.
enum Undone {
    Bytes(Vec<u8>),
    Jpeg(Vec<u8>),
    Fax(Vec<u8>),
}

enum Picture {
    Image(Gray),
    Drawn(Gray),
}

impl Stream<'_, '_> {
    fn picture(&self, left: &mut u64, effort: &mut Effort) -> Option<Picture> {
        let value = |key: &[u8]| self.value(key).unwrap_or_default();
        if value(b"/Subtype").starts_with(b"/Image") {
            return self.image(left).map(Picture::Image);
        }
        let kind = value(b"/Type");
        let is_other = [&b"/ObjStm"[..], b"/XRef", b"/Metadata", b"/EmbeddedFile"]
            .iter()
            .any(|other| kind.starts_with(other));
        if is_other || self.value(b"/Length1").is_some() || self.value(b"/FunctionType").is_some() {
            return None;
        }
        match self.undo(left)? {
            Undone::Bytes(content) => drawing::picture(&content, effort).map(Picture::Drawn),
            Undone::Jpeg(_) | Undone::Fax(_) => None,
        }
    }

    fn image(&self, left: &mut u64) -> Option<Gray> {
        let side = |key: &[u8]| self.number(key).and_then(|side| usize::try_from(side).ok());
        let (width, height) = (side(b"/Width")?, side(b"/Height")?);
        // What is no size is refused before anything is inflated.
        if width.min(height) < SMALLEST || width.checked_mul(height)? > 64_000_000 {
            return None;
        }
        match self.undo(left)? {
            Undone::Jpeg(bytes) => picture::jpeg(&bytes),
            Undone::Fax(bytes) => picture::tiff(&self.as_tiff(&bytes, width, height)?),
            Undone::Bytes(bytes) => self.samples(bytes, width, height),
        }
    }

    /// Samples in rows; how many channels there are is told by their number.
    fn samples(&self, bytes: Vec<u8>, width: usize, height: usize) -> Option<Gray> {
        let depth = match self.value(b"/ImageMask") {
            Some(mask) if mask.starts_with(b"true") => 1,
            _ => usize::try_from(self.number(b"/BitsPerComponent")?).ok()?,
        };
        let predicted = self.number(b"/Predictor").is_some_and(|predictor| predictor >= 10);
        let row = |channels: usize| {
            let bits = width.checked_mul(channels)?.checked_mul(depth)?;
            bits.div_ceil(8).checked_add(usize::from(predicted))
        };
        let fits = |channels: &usize| {
            row(*channels)
                .and_then(|row| row.checked_mul(height))
                .is_some_and(|all| all <= bytes.len())
        };
        let channels = [4, 3, 1].into_iter().find(fits)?;
        let length = row(channels)?;
        let bytes = if predicted {
            unfilter(&bytes, length, (channels.checked_mul(depth)? / 8).max(1))
        } else {
            bytes
        };
        let length = length.checked_sub(usize::from(predicted))?;
        let bytes = bytes.get(..length.checked_mul(height)?)?;
        match (depth, channels) {
            (1, 1) => picture::bits(bytes, width, height),
            (8, 4) => {
                // Cyan, magenta, yellow and black.
                let light = |pixel: &[u8]| match *pixel {
                    [c, m, y, k] => {
                        let ink = |ink: u8| 255_u8.saturating_sub(ink).saturating_sub(k);
                        picture::luma(ink(c), ink(m), ink(y))
                    }
                    _ => 255,
                };
                Gray::of(width, height, bytes.chunks_exact(4).map(light).collect())
            }
            (8, channels) => Gray::of(width, height, picture::grays(bytes, channels)),
            (2 | 4, 1) => {
                let (each, full) = (8 / depth, if depth == 2 { 3 } else { 15 });
                let mut pixels = Vec::with_capacity(width.checked_mul(height)?);
                for row in bytes.chunks(length) {
                    let parts = row.iter().flat_map(|byte| {
                        (0..each).rev().map(move |part| byte >> (part * depth) & full)
                    });
                    pixels.extend(parts.take(width).map(|part| part.saturating_mul(255 / full)));
                }
                Gray::of(width, height, pixels)
            }
            _ => None,
        }
    }

    /// A fax image with the head that a TIFF has (TIFF 6.0, section 2), so that its reader takes it.
    fn as_tiff(&self, fax: &[u8], width: usize, height: usize) -> Option<Vec<u8>> {
        let scheme: u32 = match self.number(b"/K") {
            Some(k) if k < 0 => 4,
            Some(k) if k > 0 => return None,
            _ => 3,
        };
        let long = |value: usize| u32::try_from(value).ok();
        // Zero is white unless the image says otherwise.
        let black_is_one = self.value(b"/BlackIs1").is_some_and(|told| told.starts_with(b"true"));
        let entries = [
            (256_u16, long(width)?),
            (257, long(height)?),
            (258, 1),
            (259, scheme),
            (262, u32::from(black_is_one)),
            (273, 8),
            (277, 1),
            (278, long(height)?),
            (279, long(fax.len())?),
        ];
        let mut made = b"II*\0".to_vec();
        let directory = fax.len().checked_add(8)?.next_multiple_of(2);
        made.extend(long(directory)?.to_le_bytes());
        made.extend(fax);
        made.resize(directory, 0);
        made.extend(u16::try_from(entries.len()).ok()?.to_le_bytes());
        for (tag, value) in entries {
            made.extend(tag.to_le_bytes());
            made.extend(4_u16.to_le_bytes());
            made.extend(1_u32.to_le_bytes());
            made.extend(value.to_le_bytes());
        }
        made.extend([0; 4]);
        Some(made)
    }

    fn undo(&self, left: &mut u64) -> Option<Undone> {
        let mut bytes = self.data.to_vec();
        let filters = self.value(b"/Filter").unwrap_or_default();
        let filters = match filters.strip_prefix(b"[") {
            Some(list) => list.split(|byte| *byte == b']').next().unwrap_or_default(),
            None => filters.get(..name_length(filters)).unwrap_or_default(),
        };
        let names = filters.split(|byte| *byte == b'/').map(<[u8]>::trim_ascii);
        for name in names.filter(|name| !name.is_empty()).take(FILTERS) {
            bytes = match name {
                b"FlateDecode" | b"Fl" => inflate(&bytes, left)?,
                b"ASCII85Decode" | b"A85" => ascii85(&bytes),
                b"ASCIIHexDecode" | b"AHx" => ascii_hex(&bytes),
                b"DCTDecode" | b"DCT" => return Some(Undone::Jpeg(bytes)),
                b"CCITTFaxDecode" | b"CCF" => return Some(Undone::Fax(bytes)),
                _ => return None,
            };
        }
        Some(Undone::Bytes(bytes))
    }

    /// What stands behind a key.
    fn value(&self, key: &[u8]) -> Option<&[u8]> {
        let mut rest = self.dictionary;
        loop {
            rest = rest.get(find(rest, key)?.checked_add(key.len())?..)?;
            if rest.first().is_none_or(|next| !next.is_ascii_alphanumeric()) {
                return Some(rest.trim_ascii_start());
            }
        }
    }

    /// A number, here or in an object of its own.
    fn number(&self, key: &[u8]) -> Option<i64> {
        let value = self.value(key)?;
        let mut words = value.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
        let first = words.next()?;
        if let (Some(generation), Some(b"R")) = (words.next(), words.next()) {
            let head = [b"\n", first, b" ", generation, b" obj"].concat();
            let rest = self.reader.behind(&head)?.trim_ascii_start();
            return integer(rest.split(|byte| !byte.is_ascii_digit() && *byte != b'-').next()?);
        }
        integer(first)
    }
}

fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A name with its slash.
fn name_length(text: &[u8]) -> usize {
    let rest = text.get(1..).unwrap_or_default();
    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count().saturating_add(1)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0_usize;
    loop {
        let rest = text.get(from..)?;
        let at = from.saturating_add(rest.iter().position(|byte| *byte == first)?);
        if text.get(at..)?.starts_with(what) {
            return Some(at);
        }
        from = at.saturating_add(1);
    }
}

/// As much as came out: a stream may be cut off.
fn inflate(bytes: &[u8], left: &mut u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let _ = ZlibDecoder::new(bytes).take(INFLATED.min(*left)).read_to_end(&mut out);
    *left = left.saturating_sub(u64::try_from(out.len()).unwrap_or(u64::MAX));
    (!out.is_empty()).then_some(out)
}

/// Groups of five characters are four bytes (7.4.3).
fn ascii85(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut group, mut count) = (0_u32, 0_usize);
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        match byte {
            b'z' if count == 0 => out.extend([0; 4]),
            b'!'..=b'u' => {
                group = group.wrapping_mul(85).wrapping_add(u32::from(byte - b'!'));
                count += 1;
                if count == 5 {
                    out.extend(group.to_be_bytes());
                    (group, count) = (0, 0);
                }
            }
            _ => break,
        }
    }
    if count > 1 {
        for _ in count..5 {
            group = group.wrapping_mul(85).wrapping_add(84);
        }
        out.extend(group.to_be_bytes().into_iter().take(count - 1));
    }
    out
}

fn ascii_hex(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> =
        text.iter().take_while(|byte| **byte != b'>').filter_map(|byte| digit(*byte)).collect();
    let byte = |pair: &[u8]| match *pair {
        [high, low] => high << 4 | low,
        [high] => high << 4,
        _ => 0,
    };
    digits.chunks(2).map(byte).collect()
}

/// Undoes PNG's prediction of rows (PNG 9.2), which begin with the number of their filter.
fn unfilter(bytes: &[u8], length: usize, pixel: usize) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut above = vec![0; length.saturating_sub(1)];
    for row in bytes.chunks_exact(length.max(2)) {
        let Some((filter, row)) = row.split_first() else { break };
        let mut made: Vec<u8> = Vec::with_capacity(row.len());
        for (x, byte) in row.iter().enumerate() {
            let before = x.checked_sub(pixel);
            let left = before.and_then(|x| made.get(x)).copied().unwrap_or(0);
            let corner = before.and_then(|x| above.get(x)).copied().unwrap_or(0);
            let up = above.get(x).copied().unwrap_or(0);
            let guess = match filter {
                1 => left,
                2 => up,
                3 => picture::narrow((u64::from(left) + u64::from(up)) / 2),
                4 => paeth(left, up, corner),
                _ => 0,
            };
            made.push(byte.wrapping_add(guess));
        }
        out.extend(&made);
        above = made;
    }
    out
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let (to_left, to_up, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if to_left <= to_up && to_left <= to_corner {
        left
    } else if to_up <= to_corner {
        up
    } else {
        corner
    }
}

#[cfg(test)]
mod tests;
