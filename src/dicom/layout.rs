//! Where things lie inside one stored object.

use serde::{Deserialize, Serialize};

use super::{Syntax, Uid};

/// The layout of one object as the scanner found it. Offsets count bytes of the object as it is stored
/// (for the deflated syntax: bytes of the inflated data set behind `data_set_at`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    pub transfer_syntax: Uid,
    /// Whether the elements are written in Implicit VR although the syntax, which tells of the pixels, is one
    /// of Explicit VR.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_implicit: bool,
    /// Where the data set begins: behind preamble and file meta group, 0 for a bare data set.
    pub data_set_at: u64,
    /// The element Pixel Data, Float Pixel Data or Double Float Pixel Data of the top level.
    #[serde(default)]
    pub pixel_data: Option<PixelData>,
    /// End of the data set.
    pub ends_at: u64,
    /// UIDs that the header does not hold, or holds in a form that is none; they were derived, and have to
    /// be written into the object before it leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<DerivedUid>,
    /// Large binary values in front of the pixel data, such as an encapsulated document. Like pixel data they
    /// are never held in memory: the header has these elements with a length of zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bulk: Vec<Bulk>,
}

/// A large value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bulk {
    pub group: u16,
    pub element: u16,
    /// The items around it, from the outermost; none at the top level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<Around>,
    /// Where the value begins.
    pub value_at: u64,
    /// Its length in bytes, as declared.
    pub length: u32,
}

/// One item around a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Around {
    /// Of the sequence.
    pub group: u16,
    pub element: u16,
    /// The item's number in the sequence, from 0.
    pub item: u32,
    /// Where the length of the sequence stands, if it declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_length_at: Option<u64>,
    /// Where the length of the item stands, if it declares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_length_at: Option<u64>,
}

impl Around {
    /// Where the lengths stand that count what lies inside.
    pub(super) fn lengths_at(&self) -> impl Iterator<Item = u64> {
        [self.sequence_length_at, self.item_length_at].into_iter().flatten()
    }

    /// Whether both are the same item of the same sequence, wherever they lie.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.group, self.element, self.item) == (other.group, other.element, other.item)
    }
}

/// A UID that every object has to have, and this one has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DerivedUid {
    /// From the file meta group.
    SopClass,
    SopInstance,
    Series,
    Study,
}

/// The span of the pixel data element, its tag and length included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PixelData {
    /// Where the element's tag begins.
    pub element_at: u64,
    /// Where the next element would begin.
    pub ends_at: u64,
}

impl Layout {
    /// How the elements are written.
    pub fn syntax(&self) -> Syntax {
        match self.is_implicit {
            true => Syntax::ImplicitLittle,
            false => Syntax::of(&self.transfer_syntax),
        }
    }

    /// Length of the part before the pixel data, without bulk: what coercion reads into memory.
    pub fn header_length(&self) -> u64 {
        let end = self.pixel_data.map_or(self.ends_at, |pixel| pixel.element_at);
        let bulk = self.bulk.iter().map(|bulk| u64::from(bulk.length)).sum();
        end.saturating_sub(self.data_set_at).saturating_sub(bulk)
    }
}
