//! Changing elements of a header without touching any other byte.
//!
//! Invariant: what is not edited comes out as it went in, byte for byte, except for group lengths, which an edit
//! would make wrong.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::scan::Limits;
use super::walk::{Extent, Step, Walk};
use super::{Element, Syntax, Tag, scan};

/// Rewrites the top level of `header`: elements in `edits` are replaced, added in tag order, or removed
/// (`None`); every other element is copied byte for byte. Group lengths are dropped.
///
/// `header` is what a scan kept, so edits have to lie before the pixel data. Where the tags are out of order, an
/// edit goes before the first greater one, and every occurrence of an edited tag is replaced by the one edit.
///
/// # Errors
///
/// Those of the walk, if `header` is not a whole data set of that syntax.
pub fn patch(
    header: &[u8],
    syntax: Syntax,
    edits: &BTreeMap<Tag, Option<Element>>,
) -> Result<Vec<u8>, scan::Error> {
    let extent = Extent::At(header.len() as u64);
    let mut walk = Walk::new(header, 0, extent, syntax, &Limits::default());
    let mut edits = Edits { all: edits, left: edits.clone(), syntax };
    let mut out = Vec::with_capacity(header.len());
    let mut kept_from = None;
    loop {
        let at_top = walk.at_top();
        let (at, tag) = match walk.next()? {
            Step::Element(found) | Step::SequenceBegins(found) | Step::FragmentsBegin(found)
                if at_top =>
            {
                (found.at, Some(found.tag))
            }
            Step::End(at) => (at, None),
            _ => continue,
        };
        if let Some(from) = kept_from.take() {
            out.extend_from_slice(span(header, from, at));
        }
        let Some(tag) = tag else {
            edits.write_rest(&mut out);
            return Ok(out);
        };
        edits.write_before(tag, &mut out);
        let is_group_length = tag.element() == 0;
        kept_from = (!is_group_length && !edits.all.contains_key(&tag)).then_some(at);
    }
}

struct Edits<'a> {
    all: &'a BTreeMap<Tag, Option<Element>>,
    left: BTreeMap<Tag, Option<Element>>,
    syntax: Syntax,
}

impl Edits<'_> {
    /// Writes the edits whose place is before or at `tag`.
    fn write_before(&mut self, tag: Tag, out: &mut Vec<u8>) {
        while let Some(first) = self.left.first_entry().filter(|first| *first.key() <= tag) {
            let (tag, element) = first.remove_entry();
            if let Some(element) = element {
                out.append(&mut element.encode(tag, self.syntax));
            }
        }
    }

    fn write_rest(&mut self, out: &mut Vec<u8>) {
        self.write_before(Tag(0xFFFF, 0xFFFF), out);
    }
}

fn span(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    range.and_then(|(from, to)| bytes.get(from..to)).unwrap_or_default()
}
