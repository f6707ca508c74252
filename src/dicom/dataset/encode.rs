//! Writing elements (PS3.5 7.1 to 7.5). Recursion follows a tree that the reader or our own code has bounded.

use super::{DataSet, Element, Value};
use crate::dicom::walk::{ITEM, SEQUENCE_END, UNDEFINED};
use crate::dicom::{Syntax, Tag, VR, vr};

pub(super) fn data_set(data_set: &DataSet, syntax: Syntax, out: &mut Vec<u8>) {
    for (tag, one) in data_set.iter().filter(|(tag, _)| tag.element() != 0) {
        element(tag, one, syntax, out);
    }
}

pub(super) fn element(tag: Tag, element: &Element, syntax: Syntax, out: &mut Vec<u8>) {
    match &element.value {
        Value::Bytes(bytes) => value(tag, element.vr, bytes, syntax, out),
        Value::Items(items) => {
            let mut content = Vec::new();
            for item in items {
                let mut inner = Vec::new();
                data_set(item, syntax, &mut inner);
                head(ITEM, length(&inner), syntax, &mut content);
                content.append(&mut inner);
            }
            header(tag, VR::SQ, length(&content), syntax, out);
            out.append(&mut content);
        }
        Value::Fragments(fragments) => {
            header(tag, VR::OB, UNDEFINED, syntax, out);
            for fragment in fragments {
                head(ITEM, length(fragment).next_multiple_of(2), syntax, out);
                out.extend_from_slice(fragment);
                if fragment.len() % 2 == 1 {
                    out.push(0);
                }
            }
            head(SEQUENCE_END, 0, syntax, out);
        }
    }
}

fn value(tag: Tag, vr: VR, bytes: &[u8], syntax: Syntax, out: &mut Vec<u8>) {
    let padded = length(bytes).next_multiple_of(2);
    // Bytes that claim to be a sequence would be read as one.
    let written = written_vr(if vr == VR::SQ { VR::UN } else { vr }, padded);
    header(tag, written, padded, syntax, out);
    let from = out.len();
    out.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        out.push(vr::padding(vr));
    }
    if syntax == Syntax::ExplicitBig
        && written == vr
        && let Some(value) = out.get_mut(from..)
    {
        vr::swap(value, vr);
    }
}

/// A value too long for the short form goes as UN, in little-endian order (PS3.5 6.2.2).
pub(in crate::dicom) fn written_vr(vr: VR, length: u32) -> VR {
    let fits = usize::try_from(length).is_ok_and(|length| length <= vr::SHORT_FORM_MAX);
    if fits || vr::is_long(vr) { vr } else { VR::UN }
}

/// Tag, VR and length of an element.
pub(in crate::dicom) fn header(tag: Tag, vr: VR, length: u32, syntax: Syntax, out: &mut Vec<u8>) {
    if syntax == Syntax::ImplicitLittle {
        return head(tag, length, syntax, out);
    }
    out.extend_from_slice(&syntax.u16_bytes(tag.group()));
    out.extend_from_slice(&syntax.u16_bytes(tag.element()));
    out.extend_from_slice(vr.to_string().as_bytes());
    match u16::try_from(length) {
        Ok(short) if !vr::is_long(vr) => out.extend_from_slice(&syntax.u16_bytes(short)),
        _ => {
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&syntax.u32_bytes(length));
        }
    }
}

/// Tag and 32-bit length of an item, a delimiter or an implicit element.
pub(in crate::dicom) fn head(tag: Tag, length: u32, syntax: Syntax, out: &mut Vec<u8>) {
    out.extend_from_slice(&syntax.u16_bytes(tag.group()));
    out.extend_from_slice(&syntax.u16_bytes(tag.element()));
    out.extend_from_slice(&syntax.u32_bytes(length));
}

/// Values of four gigabytes don't come here: the reader and every maker of data sets stay far below.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(UNDEFINED - 1).min(UNDEFINED - 1)
}
