//! What writers get wrong and a reader can put right.

use super::{fault, scan};
use crate::dicom::convert::to_explicit_little;
use crate::dicom::sample::{
    self, BIG, EXPLICIT, IMPLICIT, JPEG, declared, element, file, head, implicit, uid,
};
use crate::dicom::scan::{Error, Fault, Limits, scan_data_set};
use crate::dicom::{DataSet, Syntax, Tag, VR};

const UNDEFINED: u32 = u32::MAX;

fn explicit_image() -> Vec<u8> {
    sample::image().write(Syntax::ExplicitLittle)
}

#[test]
fn preamble_and_prefix_may_be_missing() {
    let whole = file(EXPLICIT, &explicit_image());
    let expected = scan(&whole).unwrap();
    for skipped in [128, 132] {
        let found = scan(&whole[skipped..]).unwrap();
        assert_eq!(found.header, expected.header);
        assert_eq!(found.layout.data_set_at, expected.layout.data_set_at - skipped as u64);
    }
}

#[test]
fn meta_group_may_be_missing() {
    for syntax in sample::SYNTAXES {
        let data_set = sample::image().write(syntax);
        for prefix in [vec![], [vec![0; 128], b"DICM".to_vec()].concat()] {
            let found = scan(&[prefix.clone(), data_set.clone()].concat()).unwrap();
            assert_eq!(found.layout.transfer_syntax.as_str(), syntax.native_uid());
            assert_eq!(found.layout.data_set_at, prefix.len() as u64);
        }
    }
}

#[test]
fn group_length_may_be_missing_or_wrong() {
    let whole = file(EXPLICIT, &explicit_image());
    let expected = scan(&whole).unwrap().header;
    let without = [&whole[..132], &whole[144..]].concat();
    assert_eq!(scan(&without).unwrap().header, expected);
    for lie in [0_u32, 4, 1000, u32::MAX] {
        let mut lying = whole.clone();
        lying[140..144].copy_from_slice(&lie.to_le_bytes());
        assert_eq!(scan(&lying).unwrap().header, expected);
    }
}

#[test]
fn syntax_may_be_mislabelled() {
    for declared in [IMPLICIT, EXPLICIT, BIG] {
        for syntax in sample::SYNTAXES {
            let data_set = sample::image().write(syntax);
            let found = scan(&file(declared, &data_set)).unwrap();
            assert_eq!(found.layout.transfer_syntax.as_str(), syntax.native_uid());
            assert_eq!(found.meta.transfer_syntax, Some(uid(declared)));
            let length = data_set.len() as u64;
            let limits = Limits::default();
            let bare = scan_data_set(&mut &*data_set, length, &uid(declared), &limits).unwrap();
            assert_eq!(bare.layout.transfer_syntax.as_str(), syntax.native_uid());
        }
    }
    let implicit = sample::image().write(Syntax::ImplicitLittle);
    let found = scan(&file(JPEG, &implicit)).unwrap();
    assert_eq!(found.layout.transfer_syntax, uid(IMPLICIT));
    assert!(!found.layout.is_implicit);
}

#[test]
fn native_pixels_are_native_whatever_the_label_says() {
    let explicit = explicit_image();
    for label in [JPEG, "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5"] {
        let found = scan(&file(label, &explicit)).unwrap();
        assert_eq!(found.layout.transfer_syntax, uid(EXPLICIT), "{label}");
        assert_eq!(found.layout.syntax(), Syntax::ExplicitLittle);
        let (length, limits) = (explicit.len() as u64, Limits::default());
        let bare = scan_data_set(&mut &*explicit, length, &uid(label), &limits).unwrap();
        assert_eq!(bare.layout.transfer_syntax, uid(EXPLICIT), "{label}");
    }
    // What a private syntax means nobody here knows, and no pixels are as good as fragments.
    let private = "1.2.840.113619.5.99";
    let found = scan(&file(private, &explicit)).unwrap();
    assert_eq!(found.layout.transfer_syntax, uid(private));
    let mut image = sample::image();
    image.put_bytes(Tag(0x7FE0, 0x0010), VR::OB, vec![]);
    let found = scan(&file(JPEG, &image.write(Syntax::ExplicitLittle))).unwrap();
    assert_eq!(found.layout.transfer_syntax, uid(JPEG));
}

#[test]
fn implicit_lengths_may_look_like_letters() {
    // 0x00004853 is "SH" as the VR of a LO element.
    let data_set = implicit(0x0008, 0x0070, &vec![b' '; 0x4853]);
    let found = scan(&file(IMPLICIT, &data_set)).unwrap();
    assert_eq!(found.layout.transfer_syntax, uid(IMPLICIT));
}

#[test]
fn unknown_sequences_are_implicit_inside() {
    let inner = [
        head(0xFFFE, 0xE000, UNDEFINED),
        implicit(0x0010, 0x0020, b"P-1 "),
        head(0x0040, 0xA730, UNDEFINED),
        head(0xFFFE, 0xE000, 0),
        head(0xFFFE, 0xE0DD, 0),
        head(0xFFFE, 0xE00D, 0),
        head(0xFFFE, 0xE0DD, 0),
    ]
    .concat();
    let unknown = declared(0x0009, 0x1001, "UN", UNDEFINED as usize);
    let behind = element(0x0010, 0x0020, "LO", b"P-2 ");
    let data_set = [unknown, inner, behind].concat();
    let found = scan(&file(EXPLICIT, &data_set)).unwrap();
    assert_eq!(found.header, data_set);
    let read = DataSet::read(&found.header, Syntax::ExplicitLittle).unwrap();
    let items = read.items(Tag(0x0009, 0x1001));
    assert_eq!(items[0].text(Tag(0x0010, 0x0020)).as_deref(), Some("P-1"));
    assert_eq!(items[0].items(Tag(0x0040, 0xA730)).len(), 1);
    assert_eq!(read.text(Tag(0x0010, 0x0020)).as_deref(), Some("P-2"));
}

#[test]
fn new_value_representations_have_the_long_form() {
    let new = element(0x0009, 0x1001, "ZZ", b"1234");
    let data_set = [new.clone(), element(0x0010, 0x0020, "LO", b"P-1 ")].concat();
    assert_eq!(scan(&file(EXPLICIT, &data_set)).unwrap().header, data_set);
}

/// What dcm4che and DCMTK read too: the tag tells the representation, or nothing does; the length has two bytes.
#[test]
fn unknown_value_representations_in_the_short_form_are_read() {
    let short = |tag: Tag, vr: &[u8; 2], value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap().to_le_bytes();
        let (group, element) = (tag.group().to_le_bytes(), tag.element().to_le_bytes());
        [&group[..], &element, vr, &length, value].concat()
    };
    let (intent, private) = (Tag(0x0008, 0x0068), Tag(0x0009, 0x1001));
    let (thickness, document) = (Tag(0x0018, 0x0050), Tag(0x0042, 0x0011));
    for vr in [b"UK", b"RE", b"  ", b"??", b"ob"] {
        let data_set = [
            explicit_start(),
            short(intent, vr, b"FOR PRESENTATION"),
            short(private, vr, &[1, 2, 3, 4]),
            element(0x0010, 0x0020, "LO", b"P-1 "),
            short(thickness, vr, b"1.25"),
            short(document, vr, &[5, 6]),
        ]
        .concat();
        let found = scan(&file(EXPLICIT, &data_set)).unwrap();
        assert_eq!(found.header, data_set);
        let read = DataSet::read(&found.header, Syntax::ExplicitLittle).unwrap();
        assert_eq!(read.text(intent).as_deref(), Some("FOR PRESENTATION"));
        assert_eq!(read.text(Tag(0x0010, 0x0020)).as_deref(), Some("P-1"));
        let known = [(intent, VR::CS), (private, VR::UN), (thickness, VR::DS), (document, VR::UN)];
        for (tag, vr) in known {
            assert_eq!(read.get(tag).map(|element| element.vr), Some(vr));
        }
        // Written anew it is what it should have been, on every way.
        let mut anew = Vec::new();
        to_explicit_little(&mut &*data_set, &bare(&data_set).layout, &mut anew).unwrap();
        for written in [anew, read.write(Syntax::ExplicitLittle)] {
            let marks = [
                element(0x0008, 0x0068, "CS", b"FOR PRESENTATION"),
                element(0x0009, 0x1001, "UN", &[1, 2, 3, 4]),
                element(0x0018, 0x0050, "DS", b"1.25"),
                element(0x0042, 0x0011, "UN", &[5, 6]),
            ];
            for mark in marks {
                assert!(written.windows(mark.len()).any(|part| part == mark), "{mark:?}");
            }
        }
    }
    // A wrong guess breaks at the next tag, and a length is held against the rest.
    let long = [short(private, b"??", &[0, 0, 4, 0, 0, 0]), vec![0xFF; 9]].concat();
    assert!(scan(&file(EXPLICIT, &[explicit_start(), long].concat())).is_err());
    let mut cut = [explicit_start(), short(private, b"UK", &[7; 100])].concat();
    cut.truncate(cut.len() - 1);
    assert!(matches!(scan(&file(EXPLICIT, &cut)), Err(Error::Truncated)));
    // Text that was left behind the pixels is none of it.
    let image = explicit_image();
    let end = file(EXPLICIT, &image).len() as u64;
    let text = b"exported by ?? UK ".repeat(10_000);
    let behind = scan(&file(EXPLICIT, &[image, text].concat())).unwrap();
    assert_eq!(behind.layout.ends_at, end);
    // No writer prints this.
    let binary = [explicit_start(), short(private, &[0x01, 0xC3], b"1234")].concat();
    assert_eq!(fault(&file(EXPLICIT, &binary)), Fault::UnknownVr);
}

/// dcm4che issue 159: a sequence of unknown representation, its elements as they were in the explicit data set.
#[test]
fn unknown_sequences_may_be_explicit_inside() {
    let unknown = |inside: &[u8], length: Option<usize>| {
        let item = head(0xFFFE, 0xE000, length.map_or(UNDEFINED, |n| u32::try_from(n).unwrap()));
        let end = [head(0xFFFE, 0xE00D, 0), head(0xFFFE, 0xE0DD, 0)].concat();
        let end = if length.is_some() { &end[8..] } else { &end[..] };
        [&declared(0x0010, 0x2202, "UN", UNDEFINED as usize), &item, inside, end].concat()
    };
    let code = [
        element(0x0008, 0x0100, "SH", b"G-A100"),
        element(0x0008, 0x0102, "SH", b""),
        element(0x0009, 0x0010, "LO", b"MAKER "),
        element(0x0009, 0x1001, "DS", b"1.5 "),
        element(0x0040, 0xA730, "SQ", &head(0xFFFE, 0xE000, 0)),
    ]
    .concat();
    let private = [element(0x0009, 0x1001, "LO", b"private "), code[..14].to_vec()].concat();
    let rest = [
        element(0x0010, 0x0020, "LO", b"P-1 "),
        // So much that the letters would fit as a length.
        element(0x7FE0, 0x0010, "OW", &vec![3; 1 << 20]),
    ]
    .concat();
    for (inside, length, tag) in [
        (&code, None, Tag(0x0008, 0x0100)),
        (&code, Some(code.len()), Tag(0x0008, 0x0100)),
        (&private, Some(private.len()), Tag(0x0009, 0x1001)),
    ] {
        let data_set = [explicit_start(), unknown(inside, length), rest.clone()].concat();
        let found = scan(&file(EXPLICIT, &data_set)).unwrap();
        assert!(found.layout.pixel_data.is_some());
        let read = DataSet::read(&found.header, Syntax::ExplicitLittle).unwrap();
        assert_eq!(read.text(Tag(0x0010, 0x0020)).as_deref(), Some("P-1"));
        let items = read.items(Tag(0x0010, 0x2202));
        assert!(items[0].text(tag).is_some());
        let expected = DataSet::read(inside, Syntax::ExplicitLittle).unwrap();
        assert!(items[0] == expected);
        let mut anew = Vec::new();
        to_explicit_little(&mut &*data_set, &bare(&data_set).layout, &mut anew).unwrap();
        for written in [anew, read.write(Syntax::ExplicitLittle)] {
            let again = DataSet::read(&written, Syntax::ExplicitLittle).unwrap();
            assert!(again.items(Tag(0x0010, 0x2202)) == items);
            assert!(written.windows(6).any(|part| part == b"\x10\0\x02\x22SQ"));
        }
    }
    // Letters that are a length stay one.
    let implicit = implicit(0x0008, 0x0104, &vec![b'a'; 0x544C]);
    for length in [None, Some(implicit.len())] {
        let data_set = [explicit_start(), unknown(&implicit, length), rest.clone()].concat();
        let found = scan(&file(EXPLICIT, &data_set)).unwrap();
        let read = DataSet::read(&found.header, Syntax::ExplicitLittle).unwrap();
        let item = &read.items(Tag(0x0010, 0x2202))[0];
        assert_eq!(item.iter().count(), 1, "{length:?}");
    }
}

fn bare(data_set: &[u8]) -> crate::dicom::scan::Scan {
    let (length, limits) = (data_set.len() as u64, Limits::default());
    scan_data_set(&mut &*data_set, length, &uid(EXPLICIT), &limits).unwrap()
}

fn explicit_start() -> Vec<u8> {
    element(0x0008, 0x0060, "CS", b"CT")
}

#[test]
fn zeros_behind_the_data_set_are_padding() {
    let data_set = explicit_image();
    let end = file(EXPLICIT, &data_set).len() as u64;
    for zeros in [1, 2, 7, 8, 9, 100_000] {
        let found = scan(&file(EXPLICIT, &[data_set.clone(), vec![0; zeros]].concat())).unwrap();
        assert_eq!(found.layout.ends_at, end);
        let bare = [explicit_start(), vec![0; zeros]].concat();
        assert_eq!(scan(&file(EXPLICIT, &bare)).unwrap().header, explicit_start());
    }
    let mut garbage = file(EXPLICIT, &[data_set, vec![0; 100]].concat());
    *garbage.last_mut().unwrap() = 1;
    assert_eq!(scan(&garbage).unwrap().layout.ends_at, end);
    // Without pixels in front nobody knows what it is.
    let mut garbage = file(EXPLICIT, &[explicit_start(), vec![0; 100]].concat());
    *garbage.last_mut().unwrap() = 1;
    assert_eq!(fault(&garbage), Fault::WrongGroup(0));
}

#[test]
fn empty_values_are_values() {
    let data_set = [
        element(0x0008, 0x0016, "UI", b""),
        element(0x0028, 0x0103, "US", b""),
        element(0x0028, 0x0106, "US", &[0, 0]),
        element(0x0040, 0xA730, "SQ", b""),
        element(0x7FE0, 0x0010, "OW", b""),
    ]
    .concat();
    let found = scan(&file(EXPLICIT, &data_set)).unwrap();
    let read = DataSet::read(&found.header, Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.u16(Tag(0x0028, 0x0103)), None);
    assert_eq!(read.uid(Tag(0x0008, 0x0016)), None);
    assert!(read.items(Tag(0x0040, 0xA730)).is_empty());
    assert!(found.layout.pixel_data.is_some());
}

#[test]
fn foreign_files_are_not_dicom() {
    for bytes in [
        b"".as_slice(),
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>",
        b"PK\x03\x04\x14\x00\x00\x00\x08\x00",
        b"[autorun]\r\nopen=viewer.exe\r\n",
        b"\x08\x00",
        b"\x08\x00\x05\x00CS\x00\x20short",
        b"\x08\x00\x05\x00\x02\x00\x00\x00ab\x07\x00and then no data set",
        &[0; 4096],
        &[0xFF; 4096],
    ] {
        assert!(matches!(scan(bytes), Err(Error::NotDicom)), "{bytes:?}");
    }
    let named = [vec![0; 128], b"DICM".to_vec()].concat();
    assert!(matches!(scan(&named), Err(Error::NoTransferSyntax)));
}

#[test]
fn elements_around_compressed_pixels_may_be_implicit() {
    let image = sample::encapsulated();
    let found = scan(&file(JPEG, &image.write(Syntax::ImplicitLittle))).unwrap();
    assert_eq!(found.layout.transfer_syntax.as_str(), JPEG);
    assert_eq!(found.layout.syntax(), Syntax::ImplicitLittle);
    assert!(found.layout.pixel_data.is_some());
    let usual = scan(&file(JPEG, &image.write(Syntax::ExplicitLittle))).unwrap();
    assert_eq!(usual.layout.syntax(), Syntax::ExplicitLittle);
}
