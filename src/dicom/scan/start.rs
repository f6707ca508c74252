//! How a data set is written, judged by its first element.

use super::Error;
use crate::dicom::{Syntax, Tag, Uid, VR, vr};

/// Bytes that the judgement needs.
pub(super) const FRONT: u64 = 8;

/// Takes the declared syntax unless the first bytes plainly speak another native one.
pub(super) fn settle(declared: Option<&Uid>, first: &[u8], length: u64) -> Result<Uid, Error> {
    let judged = match declared {
        Some(uid) if !Syntax::is_native(uid) => return Ok(uid.clone()),
        Some(uid) => Some(judge(first, length, Syntax::of(uid)).unwrap_or_else(|| Syntax::of(uid))),
        None if first.is_empty() => None,
        None => judge(first, length, Syntax::ImplicitLittle),
    };
    let uid = judged.and_then(|syntax| Uid::new(syntax.native_uid()).ok());
    uid.ok_or(Error::NoTransferSyntax)
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
