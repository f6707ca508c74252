//! Bytes of objects for tests, made element by element so that they can be wrong on purpose.

use std::io::Write as _;

use proptest::prelude::*;

use super::{DataSet, Element, Patient, StudyFacts, Syntax, Tag, Uid, VR, Value, vr};

pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(crate) const BIG: &str = "1.2.840.10008.1.2.2";
pub(crate) const JPEG: &str = "1.2.840.10008.1.2.4.70";

pub(crate) fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

/// Of a study that tells nothing but its UID.
pub(crate) fn facts(study: &str) -> StudyFacts {
    StudyFacts {
        study_uid: uid(study),
        patient: Patient::default(),
        other_ids: vec![],
        other_names: vec![],
        accession_number: None,
        study_date: None,
        study_description: None,
        modality: None,
        body_part: None,
        institution: None,
        identity_removed: false,
    }
}

/// An element in Explicit VR Little Endian, its length as it is.
pub(crate) fn element(group: u16, element: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    [declared(group, element, vr, value.len()), value.to_vec()].concat()
}

/// Tag, VR and any length in Explicit VR Little Endian.
pub(crate) fn declared(group: u16, element: u16, vr: &str, length: usize) -> Vec<u8> {
    let mut out = [group.to_le_bytes(), element.to_le_bytes()].concat();
    out.extend(vr.as_bytes());
    if VR::from_binary(vr.as_bytes().try_into().unwrap()).is_none_or(vr::is_long) {
        out.extend([0, 0]);
        out.extend(u32::try_from(length).unwrap().to_le_bytes());
    } else {
        out.extend(u16::try_from(length).unwrap().to_le_bytes());
    }
    out
}

/// An item, a delimiter or an implicit element: tag and 32-bit length.
pub(crate) fn head(group: u16, element: u16, length: u32) -> Vec<u8> {
    let tag = [group.to_le_bytes(), element.to_le_bytes()].concat();
    [tag, length.to_le_bytes().to_vec()].concat()
}

pub(crate) fn implicit(group: u16, element: u16, value: &[u8]) -> Vec<u8> {
    [head(group, element, u32::try_from(value.len()).unwrap()), value.to_vec()].concat()
}

/// Preamble, prefix and meta group with its length.
pub(crate) fn meta(transfer_syntax: &str) -> Vec<u8> {
    let padded = |text: &str| format!("{text}{}", if text.len() % 2 == 1 { "\0" } else { "" });
    let group = [
        element(2, 1, "OB", &[0, 1]),
        element(2, 2, "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
        element(2, 3, "UI", b"1.2.3.4\0"),
        element(2, 0x10, "UI", padded(transfer_syntax).as_bytes()),
        element(2, 0x12, "UI", b"1.2.3\0"),
    ]
    .concat();
    let length = u32::try_from(group.len()).unwrap();
    [vec![0; 128], b"DICM".to_vec(), element(2, 0, "UL", &length.to_le_bytes()), group].concat()
}

pub(crate) fn file(transfer_syntax: &str, data_set: &[u8]) -> Vec<u8> {
    [meta(transfer_syntax), data_set.to_vec()].concat()
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image with what an inspection looks for, a sequence, a private block, and padding behind its pixels.
pub(crate) fn image() -> DataSet {
    let mut code = DataSet::default();
    code.put_bytes(Tag(0x0008, 0x0100), VR::SH, b"RPID1".to_vec());
    let mut issuer = DataSet::default();
    issuer.put_bytes(Tag(0x0040, 0x0031), VR::UT, b"PORTAL".to_vec());
    let mut other = DataSet::default();
    other.put_bytes(Tag(0x0010, 0x0020), VR::LO, b"OTHER-7".to_vec());
    other.put_bytes(Tag(0x0010, 0x0021), VR::LO, b"ELSEWHERE".to_vec());
    let mut image = DataSet::default();
    for (tag, vr, value) in [
        (Tag(0x0008, 0x0005), VR::CS, "ISO_IR 100".as_bytes()),
        (Tag(0x0008, 0x0016), VR::UI, b"1.2.840.10008.5.1.4.1.1.2"),
        (Tag(0x0008, 0x0018), VR::UI, b"1.2.3.4"),
        (Tag(0x0008, 0x0020), VR::DA, b"20260102"),
        (Tag(0x0008, 0x0050), VR::SH, b"A-1"),
        (Tag(0x0008, 0x0060), VR::CS, b"CT"),
        (Tag(0x0008, 0x0080), VR::LO, b"Klinik S\xFCd"),
        (Tag(0x0008, 0x1030), VR::LO, b"CT Sch\xE4del"),
        (Tag(0x0009, 0x0010), VR::LO, b"PRIVATE"),
        (Tag(0x0009, 0x1001), VR::UN, b"\xFF\x00\x01\x02"),
        (Tag(0x0010, 0x0010), VR::PN, b"M\xFCller^Anna"),
        (Tag(0x0010, 0x0020), VR::LO, b"P-1"),
        (Tag(0x0010, 0x0021), VR::LO, b"FOREIGN"),
        (Tag(0x0010, 0x0030), VR::DA, b"19700102"),
        (Tag(0x0010, 0x0040), VR::CS, b"F"),
        (Tag(0x0018, 0x0015), VR::CS, b"HEAD"),
        (Tag(0x0020, 0x000D), VR::UI, b"1.2.3"),
        (Tag(0x0020, 0x000E), VR::UI, b"1.2.3.1"),
        (Tag(0x0028, 0x0010), VR::US, &[2, 0]),
        (Tag(0x7FE0, 0x0010), VR::OW, &[1, 2, 3, 4, 5, 6, 7, 8]),
        (Tag(0xFFFC, 0xFFFC), VR::OB, &[0; 6]),
    ] {
        image.put_bytes(tag, vr, value.to_vec());
    }
    image.put_items(Tag(0x0008, 0x0051), vec![issuer]);
    image.put_items(Tag(0x0008, 0x1032), vec![code]);
    image.put_items(Tag(0x0010, 0x1002), vec![other, DataSet::default()]);
    image
}

/// The same with encapsulated pixel data.
pub(crate) fn encapsulated() -> DataSet {
    let mut image = image();
    let fragments = Value::Fragments(vec![vec![], vec![0xFF, 0xD8, 0xFF, 0xD9], vec![1, 2]]);
    image.insert(Tag(0x7FE0, 0x0010), Element { vr: VR::OB, value: fragments });
    image
}

/// Tags of every kind of VR that the dictionary gives just this VR.
const KNOWN: [(Tag, VR); 23] = [
    (Tag(0x0008, 0x0001), VR::UL),
    (Tag(0x0008, 0x0016), VR::UI),
    (Tag(0x0008, 0x0020), VR::DA),
    (Tag(0x0008, 0x0060), VR::CS),
    (Tag(0x0008, 0x0119), VR::UC),
    (Tag(0x0008, 0x1030), VR::LO),
    (Tag(0x0008, 0x1190), VR::UR),
    (Tag(0x0009, 0x1002), VR::UN),
    (Tag(0x0010, 0x0010), VR::PN),
    (Tag(0x0010, 0x21B0), VR::LT),
    (Tag(0x0018, 0x0050), VR::DS),
    (Tag(0x0018, 0x6020), VR::SL),
    (Tag(0x0018, 0x605A), VR::FL),
    (Tag(0x0018, 0x9087), VR::FD),
    (Tag(0x0020, 0x0013), VR::IS),
    (Tag(0x0028, 0x0009), VR::AT),
    (Tag(0x0028, 0x0010), VR::US),
    (Tag(0x0028, 0x9503), VR::SS),
    (Tag(0x0040, 0xA160), VR::UT),
    (Tag(0x0042, 0x0011), VR::OB),
    (Tag(0x0064, 0x0009), VR::OF),
    (Tag(0x0066, 0x0040), VR::OL),
    (Tag(0x7FE0, 0x0001), VR::OV),
];

/// Data sets that read as they were written in every syntax.
pub(crate) fn data_sets() -> impl Strategy<Value = DataSet> {
    fn elements() -> impl Strategy<Value = DataSet> {
        let value = prop_oneof![
            40 => prop::collection::vec(any::<u8>(), 0..40),
            1 => prop::collection::vec(any::<u8>(), 65_520..65_534),
        ];
        prop::collection::vec((0..KNOWN.len(), value), 0..6).prop_map(|values| {
            let mut data_set = DataSet::default();
            for (index, mut value) in values {
                let (tag, vr) = KNOWN[index];
                value.truncate(value.len() / 8 * 8);
                data_set.insert(tag, Element { vr, value: Value::Bytes(value) });
            }
            data_set
        })
    }
    elements().prop_recursive(4, 24, 3, |inner| {
        (elements(), prop::collection::vec(inner, 0..3), any::<bool>()).prop_map(
            |(mut outer, items, other)| {
                let tag = if other { Tag(0x0008, 0x1140) } else { Tag(0x0040, 0xA730) };
                outer.put_items(tag, items);
                outer
            },
        )
    })
}

pub(crate) const SYNTAXES: [Syntax; 3] =
    [Syntax::ImplicitLittle, Syntax::ExplicitLittle, Syntax::ExplicitBig];
