//! Building a tree from a walk, with a stack of our own.

use std::io::Read;

use dicom_dictionary_std::tags;

use super::{DataSet, Element, Value};
use crate::dicom::scan::{Error, Fault, Limits};
use crate::dicom::vr::{self, Pixels};
use crate::dicom::walk::{Extent, Step, Walk};
use crate::dicom::{Syntax, Tag, VR};

/// Elements and items of one tree. Each costs about a hundred bytes of memory, so this is less than the scanner
/// allows; a multi-frame object of ten thousand frames has half a million.
const ELEMENTS: u64 = 2_000_000;

enum Open {
    Sequence { tag: Tag, vr: VR, items: Vec<DataSet> },
    Item(DataSet),
    Fragments { tag: Tag, fragments: Vec<Vec<u8>> },
}

pub(super) fn read(bytes: &[u8], syntax: Syntax) -> Result<DataSet, Error> {
    let limits = Limits { elements: ELEMENTS, ..Limits::default() };
    let (data_set, _) = tree(bytes, bytes.len() as u64, syntax, &limits)?;
    Ok(data_set)
}

/// A data set of `length` bytes, and how many elements and items it has.
fn tree<R: Read>(
    reader: R,
    length: u64,
    syntax: Syntax,
    limits: &Limits,
) -> Result<(DataSet, u64), Error> {
    let mut walk = Walk::new(reader, 0, Extent::At(length), syntax, limits);
    let mut top = DataSet::default();
    let mut stack: Vec<Open> = Vec::new();
    // Elements that the walk does not count, since it takes what they are in for bytes.
    let mut hidden = 0_u64;
    loop {
        let step = walk.next()?;
        let elements = walk.elements().saturating_add(hidden);
        if elements > limits.elements {
            return Err(Error::TooManyElements(limits.elements));
        }
        match step {
            Step::Element(header) if header.tag.element() == 0 => {}
            Step::Element(header) => {
                let mut value = walk.value()?;
                if header.syntax == Syntax::ExplicitBig {
                    vr::swap(&mut value, header.vr);
                }
                let depth = stack.iter().filter(|open| !matches!(open, Open::Item(_))).count();
                let left = Limits {
                    elements: limits.elements.saturating_sub(elements),
                    depth: limits.depth.saturating_sub(depth),
                    ..*limits
                };
                let element = match unknown_sequence(header.tag, header.vr, &value, &left) {
                    Some((items, count)) => {
                        hidden = hidden.saturating_add(count);
                        Element { vr: VR::UN, value: Value::Items(items) }
                    }
                    None => Element { vr: header.vr, value: Value::Bytes(value) },
                };
                put(&mut stack, &mut top, header.tag, element);
            }
            Step::SequenceBegins(header) => {
                // What came as UN is implicit inside (PS3.5 6.2.2); `represent` needs to know.
                let vr = if header.vr == VR::UN { VR::UN } else { VR::SQ };
                stack.push(Open::Sequence { tag: header.tag, vr, items: Vec::new() });
            }
            Step::ItemBegins(_) => stack.push(Open::Item(DataSet::default())),
            Step::FragmentsBegin(header) => {
                stack.push(Open::Fragments { tag: header.tag, fragments: Vec::new() });
            }
            Step::Fragment(_) => {
                let value = walk.value()?;
                if let Some(Open::Fragments { fragments, .. }) = stack.last_mut() {
                    fragments.push(value);
                }
            }
            Step::ItemEnds => {
                if let Some(Open::Item(mut item)) = stack.pop() {
                    settle(&mut item, walk.at())?;
                    if let Some(Open::Sequence { items, .. }) = stack.last_mut() {
                        items.push(item);
                    }
                }
            }
            Step::SequenceEnds | Step::FragmentsEnd => {
                let (tag, element) = match stack.pop() {
                    Some(Open::Sequence { tag, vr, items }) => {
                        (tag, Element { vr, value: Value::Items(items) })
                    }
                    Some(Open::Fragments { tag, fragments }) => {
                        (tag, Element { vr: VR::OB, value: Value::Fragments(fragments) })
                    }
                    Some(Open::Item(_)) | None => continue,
                };
                put(&mut stack, &mut top, tag, element);
            }
            Step::End(at) => {
                settle(&mut top, at)?;
                represent(&mut top, syntax, Pixels::default());
                return Ok((top, walk.elements().saturating_add(hidden)));
            }
        }
    }
}

/// The items of a sequence that somebody who did not know it passed on as UN: they are in Implicit VR Little Endian,
/// whatever is around them (PS3.5 6.2.2). With a length of its own the walk takes such a value for bytes. `None` if
/// it is something else, or no items.
fn unknown_sequence(tag: Tag, vr: VR, value: &[u8], left: &Limits) -> Option<(Vec<DataSet>, u64)> {
    if vr != VR::UN || value.is_empty() || vr::of_tag(tag) != VR::SQ {
        return None;
    }
    // With an undefined length the walk looks how its elements were written, which some do as they were. Each call has
    // less of the depth.
    let mut head = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    head.extend_from_slice(b"UN\0\0\xff\xff\xff\xff");
    let end = b"\xfe\xff\xdd\xe0\0\0\0\0";
    let length =
        (head.len() as u64).saturating_add(value.len() as u64).saturating_add(end.len() as u64);
    let read = tree(head.chain(value).chain(&end[..]), length, Syntax::ExplicitLittle, left);
    let (mut holder, count) = read.ok()?;
    match holder.remove(tag)?.value {
        Value::Items(items) => Some((items, count)),
        Value::Bytes(_) | Value::Fragments(_) => None,
    }
}

/// Puts a finished element into the data set it stands in.
fn put(stack: &mut [Open], top: &mut DataSet, tag: Tag, element: Element) {
    match stack.last_mut() {
        Some(Open::Item(item)) => item.elements.push((tag, element)),
        _ => top.elements.push((tag, element)),
    }
}

/// Gives values of pixels that came without a VR the one that follows from Pixel Representation: the data set's own,
/// else that `around` it. At the end, since a sequence may stand before the representation that holds for it. No
/// deeper than the walk allowed.
fn represent(data_set: &mut DataSet, syntax: Syntax, around: Pixels) {
    let pixels = data_set.u16(tags::PIXEL_REPRESENTATION).map_or(around, Pixels::of);
    for (tag, element) in &mut data_set.elements {
        match &mut element.value {
            Value::Items(items) => {
                let within = if element.vr == VR::UN { Syntax::ImplicitLittle } else { syntax };
                element.vr = VR::SQ;
                items.iter_mut().for_each(|item| represent(item, within, pixels));
            }
            Value::Bytes(_) if syntax == Syntax::ImplicitLittle => {
                element.vr = pixels.vr(*tag, element.vr);
            }
            Value::Bytes(_) | Value::Fragments(_) => {}
        }
    }
}

/// Brings the elements into order. Two values for one tag would leave open which of them is the patient's; the
/// same one twice does no harm.
fn settle(data_set: &mut DataSet, at: u64) -> Result<(), Error> {
    let elements = &mut data_set.elements;
    if !elements.is_sorted_by(|(a, _), (b, _)| a < b) {
        elements.sort_by_key(|(tag, _)| *tag);
        elements.dedup();
        let mut pairs = elements.iter().zip(elements.iter().skip(1));
        if let Some(((tag, _), _)) = pairs.find(|((a, _), (b, _))| a == b) {
            return Err(Fault::Duplicate(*tag).at(at));
        }
    }
    elements.shrink_to_fit();
    Ok(())
}
