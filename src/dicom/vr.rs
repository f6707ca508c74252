//! What follows from a value representation for the bytes of a value (PS3.5 6.2, 7.1.2).

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, VirtualVr};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use super::{Tag, VR};

/// Longest value that fits the 16-bit length field, even as every length has to be.
pub(super) const SHORT_FORM_MAX: usize = 0xFFFE;

/// Whether Explicit VR writes two reserved bytes and a 32-bit length (PS3.5 table 7.1-1).
pub(super) fn is_long(vr: VR) -> bool {
    matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    )
}

/// Bytes that change places together between little and big endian; 1 if there is no byte order.
pub(super) fn unit(vr: VR) -> usize {
    match vr {
        VR::AT | VR::OW | VR::SS | VR::US => 2,
        VR::FL | VR::OF | VR::OL | VR::SL | VR::UL => 4,
        VR::FD | VR::OD | VR::OV | VR::SV | VR::UV => 8,
        _ => 1,
    }
}

/// The byte that makes an odd value even (PS3.5 6.2).
pub(super) fn padding(vr: VR) -> u8 {
    if is_string(vr) && vr != VR::UI { b' ' } else { 0 }
}

/// Whether Specific Character Set governs the value (PS3.5 6.1.2.2).
pub(super) fn is_text(vr: VR) -> bool {
    matches!(vr, VR::LO | VR::LT | VR::PN | VR::SH | VR::ST | VR::UC | VR::UT)
}

/// Whether the value is characters at all.
pub(super) fn is_string(vr: VR) -> bool {
    is_text(vr)
        || matches!(
            vr,
            VR::AE | VR::AS | VR::CS | VR::DA | VR::DS | VR::DT | VR::IS | VR::TM | VR::UI | VR::UR
        )
}

/// Whether backslash and leading spaces belong to the text instead of framing it.
pub(super) fn is_prose(vr: VR) -> bool {
    matches!(vr, VR::LT | VR::ST | VR::UT | VR::UR)
}

/// Pixel Representation (0028,0103) of a data set: how its pixels are to be read, and the values that are told in
/// their unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pixels {
    #[default]
    Unsigned,
    Signed,
}

impl Pixels {
    pub(super) fn of(representation: u16) -> Self {
        if representation == 1 { Self::Signed } else { Self::Unsigned }
    }

    /// The VR of an element that did not carry its own, `by_tag` being that of [`of_tag`]: where the dictionary
    /// has US or SS for a pixel's value, the pixels decide (PS3.3 C.7.5.1, C.7.6.3). Descriptors of lookup tables
    /// count entries as well and stay as they are.
    pub(super) fn vr(self, tag: Tag, by_tag: VR) -> VR {
        match self {
            Self::Signed if PIXEL_VALUES.contains(&tag) => VR::SS,
            Self::Signed | Self::Unsigned => by_tag,
        }
    }
}

const PIXEL_VALUES: [Tag; 6] = [
    tags::SMALLEST_IMAGE_PIXEL_VALUE,
    tags::LARGEST_IMAGE_PIXEL_VALUE,
    tags::SMALLEST_PIXEL_VALUE_IN_SERIES,
    tags::LARGEST_PIXEL_VALUE_IN_SERIES,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
];

/// The VR of an element that does not carry its own, by the dictionary; private elements are UN. For values of
/// pixels see [`Pixels::vr`].
pub(super) fn of_tag(tag: Tag) -> VR {
    match StandardDataDictionary.by_tag(tag).map(|entry| entry.vr()) {
        Some(VirtualVr::Exact(vr)) => vr,
        Some(VirtualVr::Xs) => VR::US,
        Some(VirtualVr::Ox | VirtualVr::Px | VirtualVr::Lt) => VR::OW,
        _ => VR::UN,
    }
}

/// The same, but an element that names the creator of a private block is known too (PS3.5 7.8.1); UN for no other.
pub(super) fn of_named(tag: Tag) -> VR {
    let Tag(group, element) = tag;
    if group % 2 == 1 && (0x0010..0x0100).contains(&element) { VR::LO } else { of_tag(tag) }
}

/// The VR of an element that carries none that is known, and is written in the short form.
pub(super) fn short_of_tag(tag: Tag) -> VR {
    Some(of_tag(tag)).filter(|vr| !is_long(*vr)).unwrap_or(VR::UN)
}

/// Turns every unit of `bytes` round. A rest shorter than one unit stays as it is.
pub(super) fn swap(bytes: &mut [u8], vr: VR) {
    let unit = unit(vr);
    if unit > 1 {
        bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }
}
