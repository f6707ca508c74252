//! Transfer syntaxes as far as the bytes of a data set depend on them.
//!
//! Owns the mapping of transfer syntax UIDs to ways of writing elements. How pixels are compressed is no
//! concern of it.

use dicom_dictionary_std::uids;

use super::Uid;

/// Implicit VR Little Endian with big-endian pixels, a private syntax of GE.
const GE_IMPLICIT: &str = "1.2.840.113619.5.2";

/// How the elements of a data set are written (PS3.5 7.1 and 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

impl Syntax {
    /// Of a transfer syntax UID: implicit for 1.2.840.10008.1.2, big for …1.2.2, explicit little for every
    /// other (encapsulated, deflated after inflation, private). One private syntax is known to be implicit.
    pub fn of(transfer_syntax: &Uid) -> Self {
        match transfer_syntax.as_str() {
            uids::IMPLICIT_VR_LITTLE_ENDIAN | GE_IMPLICIT => Self::ImplicitLittle,
            #[expect(deprecated, reason = "retired from the standard, still found on old discs")]
            uids::EXPLICIT_VR_BIG_ENDIAN => Self::ExplicitBig,
            _ => Self::ExplicitLittle,
        }
    }

    /// The transfer syntax that means this writing and uncompressed pixels.
    pub fn native_uid(self) -> &'static str {
        match self {
            Self::ImplicitLittle => uids::IMPLICIT_VR_LITTLE_ENDIAN,
            Self::ExplicitLittle => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            #[expect(deprecated, reason = "retired from the standard, still found on old discs")]
            Self::ExplicitBig => uids::EXPLICIT_VR_BIG_ENDIAN,
        }
    }

    /// Whether `transfer_syntax` is one of the three that [`Syntax::native_uid`] names.
    pub fn is_native(transfer_syntax: &Uid) -> bool {
        Self::of(transfer_syntax).native_uid() == transfer_syntax.as_str()
    }

    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::ExplicitBig => u16::from_be_bytes(bytes),
            Self::ImplicitLittle | Self::ExplicitLittle => u16::from_le_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::ExplicitBig => u32::from_be_bytes(bytes),
            Self::ImplicitLittle | Self::ExplicitLittle => u32::from_le_bytes(bytes),
        }
    }

    pub(super) fn u16_bytes(self, value: u16) -> [u8; 2] {
        match self {
            Self::ExplicitBig => value.to_be_bytes(),
            Self::ImplicitLittle | Self::ExplicitLittle => value.to_le_bytes(),
        }
    }

    pub(super) fn u32_bytes(self, value: u32) -> [u8; 4] {
        match self {
            Self::ExplicitBig => value.to_be_bytes(),
            Self::ImplicitLittle | Self::ExplicitLittle => value.to_le_bytes(),
        }
    }
}

/// Whether the standard says of `transfer_syntax` that pixels lie in fragments (PS3.5 A.4). What private ones mean
/// is not known.
pub(super) fn is_encapsulated(transfer_syntax: &Uid) -> bool {
    let uid = transfer_syntax.as_str();
    uid == uids::RLE_LOSSLESS || uid.starts_with("1.2.840.10008.1.2.4.")
}

/// Whether the data set behind the meta group is deflated (1.2.840.10008.1.2.1.99, PS3.5 A.5).
pub fn is_deflated(transfer_syntax: &Uid) -> bool {
    transfer_syntax.as_str() == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
}
