//! Large values that stay where they are while their header is rewritten.
//!
//! Invariant: a header that was read without its bulk says a length of zero for each of these elements, the lengths
//! around them fit what is left, and [`put_back`] finds every one of them again after whatever was done to the
//! header, or fails.

use super::scan::{self, Limits};
use super::walk::{Extent, Step, Walk};
use super::{Around, Bulk, Syntax, Tag, VR};

/// Values longer than this are left out of the header.
pub const LONG: u32 = 1 << 20;

/// So many at most: the places are looked for in every object that has any.
pub(super) const MOST: usize = 64;

/// The bytes that hold the length, directly in front of the value (PS3.5 7.1.2 and 7.1.3, long form).
const LENGTH: usize = 4;

/// Whether values of this representation are bytes that nobody looks into: no text, which may have to be
/// converted, and no sequence.
pub(super) fn is_opaque(vr: VR) -> bool {
    matches!(vr, VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN)
}

/// Whether both are the same element of the same item.
fn is_same((tag, within): (Tag, &[Around]), bulk: &Bulk) -> bool {
    tag == Tag(bulk.group, bulk.element)
        && within.len() == bulk.within.len()
        && within.iter().zip(&bulk.within).all(|(a, b)| a.is_same(b))
}

/// Whether `all` have a value at this place already.
pub(super) fn has(all: &[Bulk], tag: Tag, within: &[Around]) -> bool {
    all.iter().any(|bulk| is_same((tag, within), bulk))
}

/// Makes `header`, which was read from `data_set_at` on without the values of `bulk`, say so.
///
/// # Errors
/// If a length is not where it was.
pub fn leave_out(header: &mut [u8], data_set_at: u64, bulk: &[Bulk]) -> Result<(), scan::Error> {
    // Where something of the object lies in the header.
    let place = |at: u64| {
        let before = bulk.iter().filter(|bulk| bulk.value_at <= at);
        let left_out = before.map(|bulk| u64::from(bulk.length)).sum::<u64>();
        at.checked_sub(data_set_at)?.checked_sub(left_out)
    };
    for value in bulk {
        let own = value.value_at.checked_sub(LENGTH as u64);
        let around = value.within.iter().flat_map(Around::lengths_at);
        for at in own.into_iter().chain(around) {
            change(header, place(at), |length| length.checked_sub(value.length))?;
        }
    }
    Ok(())
}

/// Gives the elements of `bulk`, and what is around them, their lengths again; yields where in `header` the values
/// belong, in the order of the header, each with its bulk.
///
/// # Errors
/// If the header cannot be walked, or one of the elements is not in it.
pub fn put_back(
    header: &mut [u8],
    syntax: Syntax,
    bulk: &[Bulk],
) -> Result<Vec<(usize, Bulk)>, scan::Error> {
    let places = places(header, syntax, bulk)?;
    for (at, place) in &places {
        let own = (*at as u64).checked_sub(LENGTH as u64);
        let around = place.within.iter().flat_map(Around::lengths_at);
        for at in own.into_iter().chain(around) {
            change(header, Some(at), |length| {
                length.checked_add(place.length).filter(|length| *length < u32::MAX)
            })?;
        }
    }
    Ok(places)
}

/// Each with what is around it in `header`.
fn places(header: &[u8], syntax: Syntax, bulk: &[Bulk]) -> Result<Vec<(usize, Bulk)>, scan::Error> {
    let extent = Extent::At(header.len() as u64);
    let mut walk = Walk::new(header, 0, extent, syntax, &Limits::default());
    let mut places = Vec::with_capacity(bulk.len());
    loop {
        match walk.next()? {
            Step::End(_) => break,
            Step::Element(element) if element.length == 0 => {
                let is_wanted = |bulk: &&Bulk| Tag(bulk.group, bulk.element) == element.tag;
                if !bulk.iter().any(|bulk| is_wanted(&bulk)) {
                    continue;
                }
                let within = walk.within();
                let wanted = bulk.iter().find(|bulk| is_same((element.tag, &within), bulk));
                if let Some(wanted) = wanted {
                    let at = usize::try_from(walk.at()).map_err(|_| scan::Error::Truncated)?;
                    places.push((at, Bulk { within, ..wanted.clone() }));
                }
            }
            _ => {}
        }
    }
    if places.len() == bulk.len() { Ok(places) } else { Err(scan::Error::Truncated) }
}

/// Changes the length that stands at `at`; all syntaxes that have bulk are little-endian.
fn change(
    header: &mut [u8],
    at: Option<u64>,
    to: impl FnOnce(u32) -> Option<u32>,
) -> Result<(), scan::Error> {
    let there = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| header.get_mut(at..));
    let length = there.and_then(<[u8]>::first_chunk_mut::<LENGTH>);
    let length = length.ok_or(scan::Error::Truncated)?;
    let new = to(u32::from_le_bytes(*length)).ok_or(scan::Error::Truncated)?;
    *length = new.to_le_bytes();
    Ok(())
}

#[cfg(test)]
mod tests;
