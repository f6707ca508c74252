//! Preamble, prefix and file meta group (PS3.10 7.1).
//!
//! The group is walked while its elements last: its declared length is often missing or wrong, and decides
//! only where a deflated data set begins, whose bytes may look like anything.

use std::io::Read;

use super::{Error, Fault};
use crate::dicom::walk::UNDEFINED;
use crate::dicom::{Uid, VR, syntax, vr};

/// Preamble and prefix.
const PREAMBLE: usize = 128;
const PREFIX: &[u8] = b"DICM";
/// First portion that is read, enough for nearly every meta group.
const PORTION: u64 = 8 << 10;
/// The meta group holds a few UIDs; private information of more than this is not what it is for.
const MOST: u64 = 1 << 20;

/// What the file meta group says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Media Storage SOP Class UID (0002,0002).
    pub sop_class: Option<Uid>,
    /// Media Storage SOP Instance UID (0002,0003).
    pub sop_instance: Option<Uid>,
    /// As the group declares it; [`Layout`](crate::dicom::Layout) has the syntax that was found.
    pub transfer_syntax: Option<Uid>,
    pub(super) data_set_at: u64,
    /// Whether prefix or meta group say that this is DICOM.
    pub(super) is_marked: bool,
}

/// Reads the meta group; yields it with the bytes that were read, those behind it included.
pub(super) fn read(reader: &mut dyn Read) -> Result<(Meta, Vec<u8>), Error> {
    let mut front = Vec::new();
    let mut portion = PORTION;
    loop {
        let before = front.len();
        reader.take(portion.saturating_sub(before as u64)).read_to_end(&mut front)?;
        let is_all = (front.len() as u64) < portion;
        match parse(&front) {
            Parsed::Whole(meta) => return Ok((meta, front)),
            Parsed::Cut if is_all => return Err(Error::Truncated),
            Parsed::Cut if portion >= MOST => return Err(Fault::MetaTooLarge.at(0)),
            Parsed::Cut => portion = portion.saturating_mul(4).min(MOST),
            Parsed::End(meta) if is_all => return Ok((meta, front)),
            Parsed::End(_) => portion = portion.saturating_mul(4).min(MOST),
            Parsed::Wrong(error) => return Err(error),
        }
    }
}

enum Parsed {
    Whole(Meta),
    /// Nothing but the meta group so far.
    End(Meta),
    /// More bytes are needed.
    Cut,
    Wrong(Error),
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut meta = Meta::default();
    let prefixed = |at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(PREFIX));
    let mut at = 0;
    for start in [PREAMBLE, 0] {
        if prefixed(start) {
            meta.is_marked = true;
            at = start + PREFIX.len();
            break;
        }
    }
    let mut declared_end = None;
    loop {
        meta.data_set_at = at as u64;
        let deflated = meta.transfer_syntax.as_ref().is_some_and(syntax::is_deflated);
        if deflated && declared_end == Some(at) {
            return Parsed::Whole(meta);
        }
        let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return Parsed::End(meta);
        };
        let (value_at, length) = match Element::parse(head, bytes, at) {
            Element::Other => return Parsed::Whole(meta),
            Element::Cut => return Parsed::Cut,
            Element::Meta { value_at, length: UNDEFINED } => {
                return Parsed::Wrong(Fault::UndefinedLength.at(value_at as u64));
            }
            Element::Meta { value_at, length } => (value_at, length),
        };
        if u64::from(length) > MOST {
            return Parsed::Wrong(Fault::MetaTooLarge.at(at as u64));
        }
        meta.is_marked = true;
        let ends_at = value_at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let Some(value) = bytes.get(value_at..ends_at) else {
            return Parsed::Cut;
        };
        let uid = || std::str::from_utf8(value).ok().and_then(|text| Uid::new(text).ok());
        match u16::from_le_bytes([head[2], head[3]]) {
            0x0000 => {
                declared_end = value
                    .first_chunk()
                    .and_then(|length| usize::try_from(u32::from_le_bytes(*length)).ok())
                    .and_then(|length| ends_at.checked_add(length));
            }
            0x0002 => meta.sop_class = uid(),
            0x0003 => meta.sop_instance = uid(),
            0x0010 => meta.transfer_syntax = uid(),
            _ => {}
        }
        at = ends_at;
    }
}

/// One element where the meta group may go on.
enum Element {
    Meta {
        value_at: usize,
        length: u32,
    },
    /// The group ends before it.
    Other,
    /// More bytes are needed.
    Cut,
}

impl Element {
    /// Written in Explicit VR Little Endian; some writers forget the VR.
    fn parse(head: &[u8; 8], bytes: &[u8], at: usize) -> Self {
        let [g0, g1, _, _, v0, v1, l0, l1] = *head;
        if u16::from_le_bytes([g0, g1]) != 0x0002 {
            return Self::Other;
        }
        let behind = at.saturating_add(8);
        match VR::from_binary([v0, v1]) {
            Some(vr) if !vr::is_long(vr) => {
                Self::Meta { value_at: behind, length: u16::from_le_bytes([l0, l1]).into() }
            }
            Some(_) => match bytes.get(behind..).and_then(|rest| rest.first_chunk()) {
                Some(length) => {
                    let length = u32::from_le_bytes(*length);
                    Self::Meta { value_at: behind.saturating_add(4), length }
                }
                None => Self::Cut,
            },
            None => Self::Meta { value_at: behind, length: u32::from_le_bytes([v0, v1, l0, l1]) },
        }
    }
}
