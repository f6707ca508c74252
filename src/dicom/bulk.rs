//! Large values that stay where they are while their header is rewritten.
//!
//! Invariant: a header that was read without its bulk says a length of zero for each of these elements, and
//! [`places`] finds every one of them again after whatever was done to the header, or fails.

use super::scan::{self, Limits};
use super::walk::{Extent, Step, Walk};
use super::{Bulk, Syntax, Tag, VR};

/// Values longer than this are left out of the header.
pub const LONG: u32 = 1 << 20;

/// So many at most: the places are looked for in every object that has any.
pub(super) const MOST: usize = 64;

/// The bytes that hold the length, directly in front of the value (PS3.5 7.1.2 and 7.1.3, long form).
pub const LENGTH: usize = 4;

/// Whether values of this representation are bytes that nobody looks into: no text, which may have to be
/// converted, and no sequence.
pub(super) fn is_opaque(vr: VR) -> bool {
    matches!(vr, VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN)
}

/// Where in `header` the values of `bulk` belong, in the order of the header, each with its bulk.
///
/// # Errors
/// If the header cannot be walked, or one of the elements is not in it.
pub fn places(
    header: &[u8],
    syntax: Syntax,
    bulk: &[Bulk],
) -> Result<Vec<(usize, Bulk)>, scan::Error> {
    let extent = Extent::At(header.len() as u64);
    let mut walk = Walk::new(header, 0, extent, syntax, &Limits::default());
    let mut places = Vec::with_capacity(bulk.len());
    loop {
        let is_top = walk.at_top();
        match walk.next()? {
            Step::End(_) => break,
            Step::Element(element) if is_top && element.length == 0 => {
                let wanted = bulk.iter().find(|b| Tag(b.group, b.element) == element.tag);
                if let Some(bulk) = wanted {
                    let at = usize::try_from(walk.at()).map_err(|_| scan::Error::Truncated)?;
                    places.push((at, *bulk));
                }
            }
            _ => {}
        }
    }
    if places.len() == bulk.len() { Ok(places) } else { Err(scan::Error::Truncated) }
}
