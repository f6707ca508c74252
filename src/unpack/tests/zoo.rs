//! Objects as they come: one table, each with what becomes of it.

use std::io::Write;

use super::build::{World, data_set, element, instance_uid, meta, object, stored, zip};
use crate::dicom::DerivedUid;

/// Imported.
const IN: &str = "";

const CLASS: &str = "1.2.840.10008.5.1.4.1.1.7";

fn file(syntax: &str, data_set: &[u8]) -> Vec<u8> {
    let rest = [
        element(2, 2, b"UI", CLASS.as_bytes()),
        element(2, 3, b"UI", instance_uid(1).as_bytes()),
        element(2, 0x10, b"UI", syntax.as_bytes()),
    ]
    .concat();
    let length = u32::try_from(rest.len()).unwrap();
    let group = element(2, 0, b"UL", &length.to_le_bytes());
    [&[0; 128][..], b"DICM", &group, &rest, data_set].concat()
}

fn explicit(data_set: &[u8]) -> Vec<u8> {
    file("1.2.840.10008.1.2.1", data_set)
}

/// The usual data set with elements in front of, or instead of, its own.
fn with(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut all: std::collections::BTreeMap<(u16, u16), Vec<u8>> = [
        (8, 0x16, b"UI", CLASS.to_owned()),
        (8, 0x18, b"UI", instance_uid(1)),
        (8, 0x60, b"CS", "OT".to_owned()),
        (0x10, 0x10, b"PN", "BEISPIEL^OTTO".to_owned()),
        (0x10, 0x20, b"LO", "4711".to_owned()),
        (0x20, 0x0d, b"UI", "1.2.276.0.7230010.3.1.2.1".to_owned()),
        (0x20, 0x0e, b"UI", "1.2.276.0.7230010.3.1.3.1".to_owned()),
    ]
    .into_iter()
    .map(|(g, e, vr, value)| ((g, e), element(g, e, vr, value.as_bytes())))
    .collect();
    all.insert((0x7fe0, 0x10), element(0x7fe0, 0x10, b"OW", &[7; 128]));
    for bytes in elements {
        let tag =
            (u16::from_le_bytes([bytes[0], bytes[1]]), u16::from_le_bytes([bytes[2], bytes[3]]));
        all.insert(tag, bytes.clone());
    }
    all.into_values().flatten().collect()
}

fn without(tags: &[(u16, u16)]) -> Vec<u8> {
    let mut rest = &with(&[])[..];
    let mut kept = Vec::new();
    while !rest.is_empty() {
        let tag = (u16::from_le_bytes([rest[0], rest[1]]), u16::from_le_bytes([rest[2], rest[3]]));
        let length = match &rest[4..6] {
            b"OW" => {
                12 + usize::try_from(u32::from_le_bytes(rest[8..12].try_into().unwrap())).unwrap()
            }
            _ => 8 + usize::from(u16::from_le_bytes([rest[6], rest[7]])),
        };
        let (one, behind) = rest.split_at(length);
        if !tags.contains(&tag) {
            kept.extend_from_slice(one);
        }
        rest = behind;
    }
    kept
}

fn implicit() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |g: u16, e: u16, value: &[u8]| {
        let mut value = value.to_vec();
        value.resize(value.len().next_multiple_of(2), 0);
        bytes.extend(g.to_le_bytes());
        bytes.extend(e.to_le_bytes());
        bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend(value);
    };
    put(8, 0x16, CLASS.as_bytes());
    put(8, 0x18, instance_uid(1).as_bytes());
    put(0x10, 0x10, b"BEISPIEL^OTTO");
    put(0x20, 0x0d, b"1.2.276.0.7230010.3.1.2.1");
    put(0x20, 0x0e, b"1.2.276.0.7230010.3.1.3.1");
    put(0x7fe0, 0x10, &[7; 128]);
    bytes
}

fn big() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |g: u16, e: u16, vr: &[u8; 2], value: &[u8]| {
        let mut value = value.to_vec();
        value.resize(value.len().next_multiple_of(2), 0);
        bytes.extend(g.to_be_bytes());
        bytes.extend(e.to_be_bytes());
        bytes.extend(vr);
        if vr == b"OW" {
            bytes.extend([0, 0]);
            bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        } else {
            bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        }
        bytes.extend(value);
    };
    put(8, 0x16, b"UI", CLASS.as_bytes());
    put(8, 0x18, b"UI", instance_uid(1).as_bytes());
    put(0x10, 0x10, b"PN", b"BEISPIEL^OTTO");
    put(0x20, 0x0d, b"UI", b"1.2.276.0.7230010.3.1.2.1");
    put(0x20, 0x0e, b"UI", b"1.2.276.0.7230010.3.1.3.1");
    put(0x7fe0, 0x10, b"OW", &[7; 128]);
    bytes
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A sequence of undefined length with as many levels.
fn nested(levels: usize) -> Vec<u8> {
    let open = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff";
    let close = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0";
    [open.repeat(levels), close.repeat(levels)].concat()
}

/// An element with any length field, the long form if it has one.
fn raw(group: u16, number: u16, vr: &[u8; 2], length: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes(), *vr].concat();
    if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN" | b"UT") {
        bytes.extend([0, 0]);
        bytes.extend(length.to_le_bytes());
    } else {
        bytes.extend(u16::try_from(length).unwrap().to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

fn meta_length(length: u32) -> Vec<u8> {
    let mut bytes = object(1);
    bytes[140..144].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn zoo() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let usual = with(&[]);
    let whole = explicit(&usual);
    let uid = |value: &[u8]| explicit(&with(&[element(0x20, 0x0d, b"UI", value)]));
    let behind = |bytes: &[u8]| [&whole[..], bytes].concat();
    let deflated = "1.2.840.10008.1.2.1.99";
    let small = deflate(&usual);
    let command = b"\0\0\0\0\x04\0\0\0\x12\0\0\0\0\0\x00\x01\x02\0\0\0\x01\0";
    let explicit_command = b"\0\0\0\0UL\x04\0\x12\0\0\0\0\0\x00\x01US\x02\0\x01\0";
    let name = |bytes: &[u8]| explicit(&with(&[element(0x10, 0x10, b"PN", bytes)]));
    let set = |term: &[u8], bytes: &[u8]| {
        explicit(&with(&[element(8, 5, b"CS", term), element(0x10, 0x10, b"PN", bytes)]))
    };
    let mut program = whole.clone();
    program[..2].copy_from_slice(b"MZ");
    let mut fragments = raw(0x7fe0, 0x10, b"OB", u32::MAX, b"\xfe\xff\x00\xe0\0\0\0\0");
    fragments.extend(b"\xfe\xff\x00\xe0\x02\0\0\0\xff\xd8");
    let open_fragments = fragments.clone();
    fragments.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
    vec![
        ("plain", whole.clone(), IN),
        ("no preamble", [meta(CLASS, &instance_uid(1)), data_set(1)].concat(), IN),
        ("no file meta, explicit", data_set(1), IN),
        ("no file meta, implicit", implicit(), IN),
        ("no file meta, big endian", big(), IN),
        ("preamble and no file meta", [&[0; 128][..], b"DICM", &usual].concat(), IN),
        ("implicit", file("1.2.840.10008.1.2", &implicit()), IN),
        ("big endian", file("1.2.840.10008.1.2.2", &big()), IN),
        ("called implicit, is explicit", file("1.2.840.10008.1.2", &usual), IN),
        ("called explicit, is implicit", file("1.2.840.10008.1.2.1", &implicit()), IN),
        ("called big, is little", file("1.2.840.10008.1.2.2", &usual), IN),
        ("called little, is big", file("1.2.840.10008.1.2.1", &big()), IN),
        ("called implicit, is big", file("1.2.840.10008.1.2", &big()), IN),
        ("called deflated, is not", file(deflated, &usual), IN),
        ("deflated", file(deflated, &small), IN),
        ("deflated with a zlib header", file(deflated, &zlib(&usual)), IN),
        ("deflated and cut", file(deflated, &small[..small.len() / 2]), "ends in the middle"),
        ("deflated rubbish", file(deflated, &[0xff; 600]), "deflated data are damaged"),
        (
            "deflate bomb",
            file(deflated, &deflate(&with(&[raw(9, 0x10, b"OB", 70 << 20, &vec![0; 70 << 20])]))),
            "before the pixel data",
        ),
        ("unknown transfer syntax", file("1.2.3.4.5", &usual), IN),
        ("group length", explicit(&with(&[element(8, 0, b"UL", &[9, 0, 0, 0])])), IN),
        ("odd length", explicit(&with(&[raw(0x10, 0x40, b"CS", 1, b"M")])), IN),
        (
            "private group",
            explicit(&with(&[
                element(9, 0x10, b"LO", b"ACME"),
                element(9, 0x1001, b"UN", &[1; 9]),
            ])),
            IN,
        ),
        ("sequence of undefined length", explicit(&with(&[nested(1)])), IN),
        ("nested to the limit", explicit(&with(&[nested(64)])), IN),
        ("nested beyond it", explicit(&with(&[nested(65)])), "deeper than 64"),
        ("nested 5000", explicit(&with(&[nested(5_000)])), "deeper than 64"),
        ("nested 100000", explicit(&with(&[nested(100_000)])), "deeper than 64"),
        ("zeros behind", behind(&[0; 999]), IN),
        ("ones behind", behind(&[0xff; 999]), IN),
        ("text behind", behind(b"exported by ACME viewer\r\n"), IN),
        ("three bytes behind", behind(b"\r\n\x1a"), IN),
        ("another file behind", behind(&object(2)), IN),
        ("command in front", explicit(&[&command[..], &usual].concat()), IN),
        ("explicit command in front", explicit(&[&explicit_command[..], &usual].concat()), IN),
        ("no SOP Instance UID", explicit(&without(&[(8, 0x18)])), IN),
        ("no Series Instance UID", explicit(&without(&[(0x20, 0x0e)])), IN),
        ("no Study Instance UID", explicit(&without(&[(0x20, 0x0d)])), IN),
        (
            "no UID but the class",
            [&[0; 128][..], b"DICM", &without(&[(8, 0x18), (0x20, 0x0d), (0x20, 0x0e)])].concat(),
            IN,
        ),
        (
            "neither study nor patient",
            explicit(&without(&[(0x20, 0x0d), (0x10, 0x10), (0x10, 0x20)])),
            "no valid Study Instance UID",
        ),
        (
            "no SOP Class UID",
            [&[0; 128][..], b"DICM", &without(&[(8, 0x16)])].concat(),
            "no valid SOP Class UID",
        ),
        ("UID leads elsewhere", uid(b"../../etc/x"), IN),
        ("UID is absolute", uid(b"/abs/x"), IN),
        ("UID is two dots", uid(b".."), IN),
        ("UID is empty", uid(b""), IN),
        ("UID too long", uid(&b"1.2".repeat(22)), IN),
        ("UID with NUL inside", uid(b"1.2\x003.4"), IN),
        ("UID with letters", uid(b"1.2.A"), IN),
        ("cut in the header", whole[..400].to_vec(), "ends in the middle"),
        ("cut in the pixels", whole[..whole.len() - 9].to_vec(), "ends in the middle"),
        ("cut in the meta group", whole[..180].to_vec(), "does not say how"),
        ("only a prefix", whole[..132].to_vec(), "cannot be used"),
        ("only a meta group", explicit(&[]), "no valid"),
        (
            "length of all ones less one",
            explicit(&with(&[raw(9, 0x10, b"OB", u32::MAX - 1, b"x")])),
            "ends in the middle",
        ),
        (
            "item beyond its sequence",
            explicit(&with(&[raw(0x40, 0x275, b"SQ", 8, b"\xfe\xff\x00\xe0\x40\0\0\0")])),
            "longer than the sequence",
        ),
        (
            "sequence without items",
            explicit(&with(&[raw(0x40, 0x275, b"SQ", 8, b"\x10\0\x10\0PN\0\0")])),
            "where an item has to",
        ),
        (
            "stray delimiter",
            explicit(&[&b"\xfe\xff\x0d\xe0\0\0\0\0"[..], &usual].concat()),
            "cannot be used",
        ),
        ("delimiter in the middle", explicit(&with(&[b"\x18\0\0\0\0\0\0\0".to_vec()])), "unknown"),
        ("unknown VR", explicit(&with(&[raw(0x18, 0x50, b"??", 2, b"ab")])), IN),
        ("VR that is none", explicit(&with(&[raw(0x18, 0x50, b"\x01\xc3", 2, b"ab")])), "unknown"),
        (
            "text of undefined length",
            explicit(&with(&[raw(0x18, 0x50, b"UT", u32::MAX, b"ab")])),
            "no length",
        ),
        ("meta length 0", meta_length(0), IN),
        ("meta length all ones", meta_length(u32::MAX), IN),
        ("meta length lies", meta_length(7), IN),
        (
            "meta value of 4 GB",
            [&[0; 128][..], b"DICM", &raw(2, 0x102, b"OB", u32::MAX - 1, b"x")].concat(),
            "file meta group is too large",
        ),
        (
            "meta value of no length",
            [&[0; 128][..], b"DICM", &raw(2, 0x102, b"OB", u32::MAX, b"x")].concat(),
            "no length",
        ),
        (
            "name behind the pixels",
            behind(&element(0x10, 0x10, b"PN", b"ANDERE^EVA")),
            "out of order",
        ),
        (
            "name twice",
            explicit(
                &[
                    &usual[..usual.len() - 140],
                    &element(0x10, 0x10, b"PN", b"ANDERE^EVA"),
                    &usual[usual.len() - 140..],
                ]
                .concat(),
            ),
            "twice",
        ),
        ("umlauts without a character set", name(b"M\xfcller^J\xf6rg"), IN),
        ("umlauts of another set", set(b"ISO_IR 192", b"M\xfcller^J\xf6rg"), IN),
        ("unknown character set", set(b"ISO_IR 999", b"M\xfcller"), IN),
        ("open escape", set(b"\\ISO 2022 IR 87", b"M\x1b$"), IN),
        ("program in the preamble", program, IN),
        ("name of 64 KB", name(&[b'A'; 65_534]), IN),
        ("name with escapes", name(b"\x1b[31mX\r\n<script>"), IN),
        ("fragments", file("1.2.840.10008.1.2.4.50", &with(&[fragments])), IN),
        (
            "fragments without an end",
            file("1.2.840.10008.1.2.4.50", &with(&[open_fragments])),
            "ends in the middle",
        ),
        ("empty", vec![], "empty"),
        ("zeros", vec![0; 4_096], "neither DICOM"),
        ("ones", vec![0xff; 4_096], "neither DICOM"),
        ("a request", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "neither DICOM"),
    ]
}

#[test]
fn every_object_ends_as_documented() {
    let world = World::new();
    let zoo = zoo();
    assert!(zoo.len() >= 80, "{} objects", zoo.len());
    let mut wrong = Vec::new();
    for (what, bytes, expected) in &zoo {
        let started = std::time::Instant::now();
        let loose = world.unpack_one("IM1", bytes).unwrap();
        let packed = world.unpack_one("a.zip", &zip(&[stored("IM1", bytes)])).unwrap();
        for unpacked in [loose, packed] {
            let aside: Vec<_> = unpacked.set_aside.iter().map(|file| &file.reason).collect();
            let fits = match (unpacked.instances.len(), &aside[..]) {
                (1, []) => *expected == IN,
                (0, [reason]) => *expected != IN && reason.contains(expected),
                _ => false,
            };
            if !fits {
                wrong.push(format!("{what}: {} in, {aside:?}", unpacked.instances.len()));
            }
        }
        assert!(started.elapsed().as_secs() < 20, "{what}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn derived_uids_are_the_same_each_time_and_told() {
    let world = World::new();
    let bare =
        [&[0; 128][..], b"DICM", &without(&[(8, 0x18), (0x20, 0x0d), (0x20, 0x0e)])].concat();
    let once = world.unpack_one("IM1", &bare).unwrap();
    let again = world.unpack_one("a.zip", &zip(&[stored("other", &bare)])).unwrap();
    let (once, again) = (&once.instances[0], &again.instances[0]);
    assert_eq!(once.sop_instance, again.sop_instance);
    assert_eq!((&once.series, &once.facts.study_uid), (&again.series, &again.facts.study_uid));
    assert!(once.sop_instance.as_str().starts_with("2.25."));
    let derived = [DerivedUid::Study, DerivedUid::Series, DerivedUid::SopInstance];
    assert_eq!(once.layout.derived, derived);
    let whole = world.unpack_one("IM1", &object(1)).unwrap();
    assert!(whole.instances[0].layout.derived.is_empty());
}

#[test]
fn rubbish_behind_an_object_is_no_part_of_it() {
    let world = World::new();
    let whole = explicit(&with(&[]));
    let unpacked = world.unpack_one("IM1", &[&whole[..], b"exported by ACME\n"].concat()).unwrap();
    let layout = &unpacked.instances[0].layout;
    assert_eq!(layout.ends_at, u64::try_from(whole.len()).unwrap());
    assert_eq!(layout.pixel_data.unwrap().ends_at, layout.ends_at);
}
