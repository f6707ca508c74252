//! Writing a stored data set anew in another native syntax, as a stream.
//!
//! Invariant: pixel data pass through in portions, whatever their size; values keep their meaning, only byte
//! order, VR and the form of lengths change. Sequences come out with undefined length, because the length of
//! what follows is not known yet; group lengths are left out.

#[cfg(test)]
mod tests;

use std::io::{BufReader, Read, Write};

use dicom_dictionary_std::tags;
use flate2::bufread::DeflateDecoder;

use super::dataset::{head, header, written_vr};
use super::scan::{Error, Fault, Limits};
use super::vr::{self, Pixels};
use super::walk::{Extent, Header, ITEM, ITEM_END, SEQUENCE_END, Step, UNDEFINED, Walk};
use super::{Layout, Syntax, syntax};

/// Portion of a value in memory; a multiple of every unit that is swapped.
const PORTION: u64 = 64 << 10;

/// Streams a data set stored as deflated, explicit big endian or implicit into Explicit VR Little Endian.
/// `reader` stands at the data set.
///
/// # Errors
///
/// Those of the walk; IO errors of either side.
pub fn to_explicit_little(
    reader: &mut dyn Read,
    layout: &Layout,
    out: &mut dyn Write,
) -> Result<(), Error> {
    convert(reader, layout, Syntax::ExplicitLittle, out)
}

/// Streams any data set into Implicit VR Little Endian, for peers that take nothing else. `reader` stands at
/// the data set.
///
/// # Errors
///
/// [`Fault::Encapsulated`] if the pixel data are compressed, and as [`to_explicit_little`].
pub fn to_implicit_little(
    reader: &mut dyn Read,
    layout: &Layout,
    out: &mut dyn Write,
) -> Result<(), Error> {
    convert(reader, layout, Syntax::ImplicitLittle, out)
}

fn convert(
    reader: &mut dyn Read,
    layout: &Layout,
    to: Syntax,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let (at, length) = (layout.data_set_at, layout.ends_at.saturating_sub(layout.data_set_at));
    let from = layout.syntax();
    let limits = Limits { inflated: length, header: u64::MAX, ..Limits::default() };
    // Both end where the scan saw the end: padding behind it is not read again.
    let extent = Extent::At(layout.ends_at);
    if syntax::is_deflated(&layout.transfer_syntax) {
        let inflated = BufReader::new(DeflateDecoder::new(BufReader::new(reader)));
        write(&mut Walk::new(inflated, at, extent, from, &limits), to, out)
    } else {
        write(
            &mut Walk::new(BufReader::new(reader.take(length)), at, extent, from, &limits),
            to,
            out,
        )
    }
}

fn write(walk: &mut Walk<impl Read>, to: Syntax, out: &mut dyn Write) -> Result<(), Error> {
    let mut written = Vec::with_capacity(usize::try_from(PORTION).unwrap_or(0));
    // What holds in the items that are open, outermost first, and in the data set around them.
    let (mut around, mut pixels) = (Vec::new(), Pixels::default());
    loop {
        written.clear();
        match walk.next()? {
            Step::Element(found) if found.tag.element() == 0 => continue,
            Step::Element(found) => pixels = element(walk, &found, pixels, to, out)?,
            Step::SequenceBegins(found) => {
                header(found.tag, super::VR::SQ, UNDEFINED, to, &mut written);
            }
            Step::ItemBegins(_) => {
                around.push(pixels);
                head(ITEM, UNDEFINED, to, &mut written);
            }
            Step::ItemEnds => {
                pixels = around.pop().unwrap_or_default();
                head(ITEM_END, 0, to, &mut written);
            }
            Step::SequenceEnds | Step::FragmentsEnd => head(SEQUENCE_END, 0, to, &mut written),
            Step::FragmentsBegin(found) if to == Syntax::ImplicitLittle => {
                return Err(Fault::Encapsulated.at(found.at));
            }
            Step::FragmentsBegin(found) => {
                header(found.tag, super::VR::OB, UNDEFINED, to, &mut written);
            }
            Step::Fragment(found) => {
                head(ITEM, found.length.saturating_add(found.length % 2), to, &mut written);
                out.write_all(&written)?;
                walk.copy_value(out)?;
                written.clear();
                written.resize(usize::from(found.length % 2 == 1), 0);
            }
            Step::End(_) => return Ok(()),
        }
        out.write_all(&written)?;
    }
}

/// Writes one element; gives the Pixel Representation that holds for what follows. It comes before the values that
/// need it, in the order of tags; only an item that stands before it and has none of its own is read as unsigned.
fn element(
    walk: &mut Walk<impl Read>,
    found: &Header,
    mut pixels: Pixels,
    to: Syntax,
    out: &mut dyn Write,
) -> Result<Pixels, Error> {
    let is_odd = found.length % 2 == 1;
    let length = found.length.saturating_add(u32::from(is_odd));
    let mut portion = Vec::new();
    let vr = match found.syntax {
        Syntax::ImplicitLittle => pixels.vr(found.tag, found.vr),
        Syntax::ExplicitLittle | Syntax::ExplicitBig => found.vr,
    };
    header(found.tag, written_vr(vr, length), length, to, &mut portion);
    out.write_all(&portion)?;
    let swapped = (found.syntax == Syntax::ExplicitBig) != (to == Syntax::ExplicitBig);
    while walk.read_value(&mut portion, PORTION)? {
        if swapped {
            vr::swap(&mut portion, found.vr);
        }
        if found.tag == tags::PIXEL_REPRESENTATION
            && let Some(value) = portion.first_chunk()
        {
            pixels = Pixels::of(to.u16(*value));
        }
        out.write_all(&portion)?;
    }
    if is_odd {
        out.write_all(&[vr::padding(found.vr)])?;
    }
    Ok(pixels)
}
