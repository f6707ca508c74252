//! The scan that foreign bytes meet first.
//!
//! It walks one object to its end, streaming, and yields where things lie and the bytes before the pixel data.
//! Invariant: only what passed here reaches a reader that believes lengths. Memory is bounded by
//! [`Limits::header`], whatever the object declares.

mod error;
mod meta;
mod start;

#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read};

use flate2::bufread::DeflateDecoder;

pub use error::{Error, Fault};
pub use meta::Meta;

use super::walk::{Extent, Header, Step, Walk};
use super::{Bulk, Layout, PixelData, Syntax, Tag, Uid, VR, bulk, syntax, vr};

/// Buffer between a reader and the walk: large enough that reading costs more than calling.
const BUFFER: usize = 64 << 10;
/// A file without `DICM` that breaks off this early never was DICOM.
const CONVINCING_ELEMENTS: u64 = 8;

/// Bounds of a walk.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nested sequences.
    pub depth: usize,
    /// Elements, items and fragments of all levels.
    pub elements: u64,
    /// Bytes before the pixel data that are kept in memory.
    pub header: u64,
    /// Bytes that a deflated data set may inflate to.
    pub inflated: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // What DCMTK reads; real objects stay below 20.
            depth: 64,
            // A slide of 100 x 100 thousand pixels has half a million fragments.
            elements: 4_000_000,
            // Functional groups of large multi-frame objects reach tens of megabytes, and so do contours.
            header: 64 << 20,
            // As long as the longest value without fragments.
            inflated: 4 << 30,
        }
    }
}

/// What a walk over one object found.
pub struct Scan {
    pub layout: Layout,
    /// The data set's bytes before the pixel data (inflated if it was deflated), in the object's own syntax.
    pub header: Vec<u8>,
    /// What the file meta group says, if there is one.
    pub meta: Meta,
}

/// Walks a bare data set of `length` bytes (C-STORE) to its end.
pub fn scan_data_set(
    reader: &mut dyn Read,
    length: u64,
    transfer_syntax: &Uid,
    limits: &Limits,
) -> Result<Scan, Error> {
    let mut reader = reader.take(length);
    let front = read_front(&mut reader, start::FRONT)?;
    let syntax = start::settle(Some(transfer_syntax), &front, length)?;
    let reader = front.as_slice().chain(reader);
    walk(reader, Part { at: 0, ends_at: length }, syntax, Meta::default(), limits)
        .map_err(|(error, _)| error)
}

/// Walks a file of `length` bytes: preamble and file meta group if there are any, then the data set.
///
/// Preamble, prefix and meta group may be missing, the group length may lie, and a data set that is plainly
/// not written as the meta group says is read as it is; [`Layout::transfer_syntax`] then tells the truth.
pub fn scan_file(reader: &mut dyn Read, length: u64, limits: &Limits) -> Result<Scan, Error> {
    let mut reader = reader.take(length);
    let (meta, front) = meta::read(&mut reader)?;
    let first = usize::try_from(meta.data_set_at).ok().and_then(|at| front.get(at..));
    let first = first.unwrap_or_default();
    // Read over, so that they are never sent.
    let over = start::foreign_front(meta.transfer_syntax.as_ref(), first);
    let first = first.get(over..).unwrap_or_default();
    let at = meta.data_set_at.saturating_add(over as u64);
    let bare = !meta.is_marked;
    if bare && !start::is_convincing(first) {
        return Err(Error::NotDicom);
    }
    let syntax = start::settle(meta.transfer_syntax.as_ref(), first, length.saturating_sub(at))?;
    let part = Part { at, ends_at: length };
    walk(first.chain(reader), part, syntax, meta.clone(), limits).map_err(|(error, elements)| {
        match error {
            Error::Truncated | Error::Malformed { .. } | Error::TooDeep(_)
                if bare && elements < CONVINCING_ELEMENTS =>
            {
                Error::NotDicom
            }
            error => error,
        }
    })
}

/// Where the data set lies in the stored object.
#[derive(Clone, Copy)]
struct Part {
    at: u64,
    ends_at: u64,
}

fn walk(
    reader: impl Read,
    part: Part,
    (transfer_syntax, syntax): (Uid, Syntax),
    meta: Meta,
    limits: &Limits,
) -> Result<Scan, (Error, u64)> {
    let is_implicit = syntax != Syntax::of(&transfer_syntax);
    let (at, reader) = (part.at, BufReader::with_capacity(BUFFER, reader));
    let (reader, extent): (Box<dyn Read + '_>, _) = if syntax::is_deflated(&transfer_syntax) {
        let inflated = BufReader::with_capacity(BUFFER, DeflateDecoder::new(reader));
        (Box::new(inflated), Extent::Inflated(limits.inflated))
    } else {
        (Box::new(reader), Extent::At(part.ends_at))
    };
    let mut walk = Walk::new(reader, at, extent, syntax, limits);
    // What has to be written anew is held in memory as a whole.
    let mut bulk = Vec::new();
    let most = match (extent, syntax) {
        (Extent::At(_), Syntax::ImplicitLittle | Syntax::ExplicitLittle) => bulk::MOST,
        _ => 0,
    };
    let found = match find_pixel_data(&mut walk, extent, (&mut bulk, most)) {
        Ok(found) => found,
        Err(error) => return Err((error, walk.elements())),
    };
    let (pixel_data, ends_at) = (found.pixel_data, found.ends_at);
    // The pixels, or if there are none the elements, are not what the label says: it was put on something else.
    let lies = match found.pixels {
        Pixels::Fragments => false,
        Pixels::Native => is_implicit || syntax::is_encapsulated(&transfer_syntax),
        Pixels::None => is_implicit,
    };
    let native = lies.then(|| Uid::new(syntax.native_uid()).ok()).flatten();
    let is_implicit = is_implicit && !lies;
    let elements = walk.elements();
    let mut header = walk.into_kept();
    bulk::leave_out(&mut header, at, &bulk).map_err(|error| (error, elements))?;
    Ok(Scan {
        layout: Layout {
            transfer_syntax: native.unwrap_or(transfer_syntax),
            is_implicit,
            data_set_at: at,
            pixel_data,
            ends_at,
            derived: vec![],
            bulk,
        },
        header,
        meta,
    })
}

/// What a walk to the end found.
struct Walked {
    pixel_data: Option<PixelData>,
    pixels: Pixels,
    ends_at: u64,
}

/// How the value of the pixel data is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pixels {
    /// There is no such element, or it is empty.
    None,
    Native,
    Fragments,
}

fn find_pixel_data(
    walk: &mut Walk<impl Read>,
    extent: Extent,
    (bulk, most_bulk): (&mut Vec<Bulk>, usize),
) -> Result<Walked, Error> {
    walk.keep();
    let mut pixels = Pixels::None;
    let mut pixel_data: Option<PixelData> = None;
    let mut is_open = false;
    loop {
        let at_top = walk.at_top();
        let step = match (walk.next(), extent) {
            (Ok(step), _) => step,
            // What was deflated is damaged, not longer than it should be.
            (Err(error), Extent::Inflated(_)) => return Err(error),
            (Err(error), Extent::At(_)) => match (pixel_data, walk.rubbish_at(&error)) {
                (Some(pixels), Some(at)) if at_top && at > pixels.element_at => Step::End(at),
                _ => return Err(error),
            },
        };
        let (at, tag) = match step {
            Step::Element(header) | Step::SequenceBegins(header) | Step::FragmentsBegin(header)
                if at_top =>
            {
                (header.at, Some(header.tag))
            }
            Step::End(at) => (at, None),
            Step::Element(header) if pixel_data.is_none() => {
                leave_out(walk, &header, (bulk, most_bulk))?;
                continue;
            }
            _ => continue,
        };
        if let (true, Some(pixels)) = (is_open, pixel_data.as_mut()) {
            pixels.ends_at = at;
            is_open = false;
        }
        match (tag, pixel_data) {
            (None, _) => return Ok(Walked { pixel_data, pixels, ends_at: at }),
            (Some(tag), None) if is_pixel_data(tag) => {
                walk.stop_keeping(at);
                pixel_data = Some(PixelData { element_at: at, ends_at: at });
                is_open = true;
                pixels = match step {
                    Step::FragmentsBegin(_) => Pixels::Fragments,
                    Step::Element(header) if header.length > 0 => Pixels::Native,
                    _ => Pixels::None,
                };
            }
            // Identity that stands behind the pixels would escape coercion (PS3.5 7.1: ascending order).
            (Some(_), None) => {
                if let Step::Element(header) = step {
                    leave_out(walk, &header, (bulk, most_bulk))?;
                }
            }
            (Some(tag), Some(_)) if tag < Tag(0x7FE0, 0x0001) => {
                return Err(Fault::OutOfOrder.at(at));
            }
            _ => {}
        }
    }
}

/// Leaves the value out of what is kept, if it is one that nobody looks into.
fn leave_out(
    walk: &mut Walk<impl Read>,
    header: &Header,
    (bulk, most): (&mut Vec<Bulk>, usize),
) -> Result<(), Error> {
    // What is known although it came as UN is looked into: a sequence, or a text.
    let vr = if header.vr == VR::UN { vr::of_tag(header.tag) } else { header.vr };
    if header.length <= bulk::LONG || !bulk::is_opaque(vr) || bulk.len() >= most {
        return Ok(());
    }
    let within = walk.within();
    // Of two values in one place nobody would know which is which; the reader refuses them.
    if !bulk::has(bulk, header.tag, &within) {
        let (value_at, length) = (walk.leave_value_out()?, header.length);
        let Tag(group, element) = header.tag;
        bulk.push(Bulk { group, element, within, value_at, length });
    }
    Ok(())
}

/// Pixel Data, Float Pixel Data or Double Float Pixel Data.
fn is_pixel_data(tag: Tag) -> bool {
    matches!(tag, Tag(0x7FE0, 0x0008 | 0x0009 | 0x0010))
}

/// Reads up to `most` bytes, fewer only at the end.
fn read_front(reader: &mut dyn Read, most: u64) -> io::Result<Vec<u8>> {
    let mut front = Vec::new();
    reader.take(most).read_to_end(&mut front)?;
    Ok(front)
}
