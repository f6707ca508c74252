//! How a data set is written, judged by its first element.

use super::Error;
use crate::dicom::{Syntax, Tag, Uid, VR, syntax, vr};

/// Bytes that the judgement needs.
pub(super) const FRONT: u64 = 8;

/// Takes the declared syntax unless the first bytes plainly speak another native one, and tells how the elements
/// are written.
pub(super) fn settle(
    declared: Option<&Uid>,
    first: &[u8],
    length: u64,
) -> Result<(Uid, Syntax), Error> {
    let judged = match declared {
        // What begins like an element is no deflate stream: its first block could not have that length.
        Some(uid) if syntax::is_deflated(uid) && is_convincing(first) => {
            judge(first, length, Syntax::ExplicitLittle)
        }
        // Compressed pixels are what their label says; the elements around them may not be (PS3.5 A.4).
        Some(uid) if !Syntax::is_native(uid) => {
            let own = Syntax::of(uid);
            let is_implicit = own == Syntax::ExplicitLittle
                && !syntax::is_deflated(uid)
                && is_convincing(first)
                && judge(first, length, own) == Some(Syntax::ImplicitLittle);
            return Ok((uid.clone(), if is_implicit { Syntax::ImplicitLittle } else { own }));
        }
        Some(uid) => Some(judge(first, length, Syntax::of(uid)).unwrap_or_else(|| Syntax::of(uid))),
        None if first.is_empty() => None,
        None => judge(first, length, Syntax::ImplicitLittle),
    };
    let told = judged.and_then(|syntax| Some((Uid::new(syntax.native_uid()).ok()?, syntax)));
    told.ok_or(Error::NoTransferSyntax)
}

/// The syntax of the first element; `None` if it fits none. What fits two is as expected.
fn judge(first: &[u8], length: u64, expected: Syntax) -> Option<Syntax> {
    let [g0, g1, e0, e1, v0, v1, l0, l1, ..] = *first else {
        return first.is_empty().then_some(expected);
    };
    let little = Tag(u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
    let big = Tag(u16::from_be_bytes([g0, g1]), u16::from_be_bytes([e0, e1]));
    let implicit_length = u64::from(u32::from_le_bytes([v0, v1, l0, l1]));
    let fits_implicit =
        implicit_length <= length.saturating_sub(8) || implicit_length == 0xFFFF_FFFF;
    match VR::from_binary([v0, v1]) {
        None => (fits_implicit && little.group() < 0xFFFE).then_some(Syntax::ImplicitLittle),
        // Letters may also be the low half of an implicit length, if that is what was expected.
        Some(vr)
            if expected == Syntax::ImplicitLittle && fits_implicit && vr::of_tag(little) != vr =>
        {
            Some(Syntax::ImplicitLittle)
        }
        Some(_) if expected == Syntax::ExplicitBig && !begins(little) => Some(Syntax::ExplicitBig),
        Some(_) if begins(big) && !begins(little) => Some(Syntax::ExplicitBig),
        Some(_) => Some(Syntax::ExplicitLittle),
    }
}

/// Bytes between the file meta group and the data set that belong to neither: elements of a command (PS3.7
/// 6.3.1) that a receiver wrote down with it, or the header of the zlib format around a deflate stream.
pub(super) fn foreign_front(declared: Option<&Uid>, first: &[u8]) -> usize {
    if declared.is_some_and(syntax::is_deflated) {
        // RFC 1950 2.2: method 8, a window of 32 KiB, a check by 31. No raw stream begins so: its first
        // block would be stored and have the complement of its length behind it.
        return match *first {
            [0x78, b, ..] if u16::from_be_bytes([0x78, b]).is_multiple_of(31) => 2,
            _ => 0,
        };
    }
    let mut at = 0_usize;
    while let Some(&[0, 0, e0, e1, a, b, l0, l1]) =
        first.get(at..).and_then(|rest| rest.first_chunk::<8>())
    {
        if [e0, e1, a, b, l0, l1] == [0; 6] {
            return 0;
        }
        let length = match VR::from_binary([a, b]) {
            Some(vr) if vr::is_long(vr) => return 0,
            Some(_) => u32::from(u16::from_le_bytes([l0, l1])),
            None => u32::from_le_bytes([a, b, l0, l1]),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        at = at.saturating_add(8).saturating_add(length);
        if at > first.len() {
            return 0;
        }
    }
    at
}

/// Whether a bare file may begin like this: without a prefix little speaks for DICOM, so much is asked.
pub(super) fn is_convincing(first: &[u8]) -> bool {
    let [g0, g1, e0, e1, v0, v1, ..] = *first else {
        return false;
    };
    let little = Tag(u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
    let big = Tag(u16::from_be_bytes([g0, g1]), u16::from_be_bytes([e0, e1]));
    let is_explicit = VR::from_binary([v0, v1]).is_some();
    (begins(little) && (is_explicit || vr::of_tag(little) != VR::UN))
        || (begins(big) && is_explicit)
}

/// Whether data sets begin with an element of this group: directory, identification or patient.
fn begins(tag: Tag) -> bool {
    matches!(tag.group(), 0x0004 | 0x0008 | 0x0010)
}
