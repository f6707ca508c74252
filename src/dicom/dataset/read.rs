//! Building a tree from a walk, with a stack of our own.

use super::{DataSet, Element, Value};
use crate::dicom::scan::{Error, Fault, Limits};
use crate::dicom::walk::{Extent, Step, Walk};
use crate::dicom::{Syntax, Tag, VR, vr};

/// Elements and items of one tree. Each costs about a hundred bytes of memory, so this is less than the scanner
/// allows; a multi-frame object of ten thousand frames has half a million.
const ELEMENTS: u64 = 2_000_000;

enum Open {
    Sequence { tag: Tag, items: Vec<DataSet> },
    Item(DataSet),
    Fragments { tag: Tag, fragments: Vec<Vec<u8>> },
}

pub(super) fn read(bytes: &[u8], syntax: Syntax) -> Result<DataSet, Error> {
    let limits = Limits { elements: ELEMENTS, ..Limits::default() };
    let mut walk = Walk::new(bytes, 0, Extent::At(bytes.len() as u64), syntax, &limits);
    let mut top = DataSet::default();
    let mut stack: Vec<Open> = Vec::new();
    loop {
        match walk.next()? {
            Step::Element(header) if header.tag.element() == 0 => {}
            Step::Element(header) => {
                let mut value = walk.value()?;
                if header.syntax == Syntax::ExplicitBig {
                    vr::swap(&mut value, header.vr);
                }
                let element = Element { vr: header.vr, value: Value::Bytes(value) };
                put(&mut stack, &mut top, header.tag, element);
            }
            Step::SequenceBegins(header) => {
                stack.push(Open::Sequence { tag: header.tag, items: Vec::new() });
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
                    Some(Open::Sequence { tag, items }) => {
                        (tag, Element { vr: VR::SQ, value: Value::Items(items) })
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
                return Ok(top);
            }
        }
    }
}

/// Puts a finished element into the data set it stands in.
fn put(stack: &mut [Open], top: &mut DataSet, tag: Tag, element: Element) {
    match stack.last_mut() {
        Some(Open::Item(item)) => item.elements.push((tag, element)),
        _ => top.elements.push((tag, element)),
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
