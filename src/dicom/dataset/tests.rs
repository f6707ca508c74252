//! Reading, writing and text of data sets. Hostile bytes are in the tests of `scan`.

use proptest::prelude::*;

use super::{DataSet, Element, Value};
use crate::dicom::sample::{self, SYNTAXES, declared, element, head, implicit, uid};
use crate::dicom::scan::{Error, Fault};
use crate::dicom::{CharacterSets, Syntax, Tag, VR};

const NAME: Tag = Tag(0x0010, 0x0010);
const SETS: Tag = Tag(0x0008, 0x0005);
const SEQUENCE: Tag = Tag(0x0040, 0xA730);

#[test]
fn writes_what_the_standard_says() {
    let mut item = DataSet::default();
    item.put_bytes(Tag(0x0028, 0x0010), VR::US, vec![1, 2]);
    let mut data_set = DataSet::default();
    data_set.put_items(SEQUENCE, vec![item]);
    data_set.put_bytes(Tag(0x0008, 0x0018), VR::UI, b"1.2".to_vec());
    data_set.put_bytes(NAME, VR::PN, b"A^B".to_vec());
    data_set.put_bytes(Tag(0x0008, 0x0000), VR::UL, vec![1, 0, 0, 0]);
    let explicit = [
        element(0x0008, 0x0018, "UI", b"1.2\0"),
        element(0x0010, 0x0010, "PN", b"A^B "),
        declared(0x0040, 0xA730, "SQ", 18),
        head(0xFFFE, 0xE000, 10),
        element(0x0028, 0x0010, "US", &[1, 2]),
    ];
    assert_eq!(data_set.write(Syntax::ExplicitLittle), explicit.concat());
    let big = data_set.write(Syntax::ExplicitBig);
    assert!(
        big.ends_with(&[
            0xFF, 0xFE, 0xE0, 0, 0, 0, 0, 10, 0, 0x28, 0, 0x10, b'U', b'S', 0, 2, 2, 1
        ])
    );
    let written = data_set.write(Syntax::ImplicitLittle);
    assert!(written.starts_with(&implicit(0x0008, 0x0018, b"1.2\0")));
}

#[test]
fn values_too_long_for_the_short_form_become_unknown() {
    for (length, vr) in [(65_534, VR::LO), (65_536, VR::UN)] {
        let mut data_set = DataSet::default();
        data_set.put_bytes(Tag(0x0008, 0x1030), VR::LO, vec![b'a'; length]);
        for syntax in [Syntax::ExplicitLittle, Syntax::ExplicitBig] {
            let read = DataSet::read(&data_set.write(syntax), syntax).unwrap();
            let found = read.get(Tag(0x0008, 0x1030)).unwrap();
            assert_eq!((found.vr, found.bytes().unwrap().len()), (vr, length));
            assert_eq!(read.text(Tag(0x0008, 0x1030)).unwrap().len(), length);
        }
    }
    // Little-endian inside of UN, whatever is around it.
    let mut data_set = DataSet::default();
    data_set.put_bytes(Tag(0x0028, 0x1101), VR::US, [1, 2].repeat(40_000));
    let read = DataSet::read(&data_set.write(Syntax::ExplicitBig), Syntax::ExplicitBig).unwrap();
    assert_eq!(
        read.get(Tag(0x0028, 0x1101)).unwrap().bytes(),
        Some([1, 2].repeat(40_000).as_slice())
    );
}

#[test]
fn odd_values_and_missing_padding() {
    let odd = [element(0x0010, 0x0020, "LO", b"P-1"), element(0x0010, 0x0021, "LO", b"X")].concat();
    let read = DataSet::read(&odd, Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.text(Tag(0x0010, 0x0020)).as_deref(), Some("P-1"));
    let mut fragments = DataSet::default();
    let value = Value::Fragments(vec![vec![], vec![1, 2, 3]]);
    fragments.insert(Tag(0x7FE0, 0x0010), Element { vr: VR::OB, value });
    let read =
        DataSet::read(&fragments.write(Syntax::ExplicitLittle), Syntax::ExplicitLittle).unwrap();
    let value = Value::Fragments(vec![vec![], vec![1, 2, 3, 0]]);
    assert!(read.get(Tag(0x7FE0, 0x0010)).unwrap().value == value);
}

#[test]
fn bytes_that_claim_to_be_a_sequence_are_none() {
    let mut data_set = DataSet::default();
    data_set.put_bytes(SEQUENCE, VR::SQ, vec![1, 2, 3, 4]);
    let read =
        DataSet::read(&data_set.write(Syntax::ExplicitLittle), Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.get(SEQUENCE).unwrap().vr, VR::UN);
}

/// An item in Implicit VR Little Endian.
fn implicit_item(inner: &[u8]) -> Vec<u8> {
    [head(0xFFFE, 0xE000, u32::try_from(inner.len()).unwrap()), inner.to_vec()].concat()
}

#[test]
fn known_sequences_under_un_are_read_as_items() {
    let deep = implicit(0x0040, 0xA730, &implicit_item(&implicit(0x0010, 0x0020, b"P-1 ")));
    let items = [implicit_item(&implicit(0x0010, 0x0010, b"A^B ")), implicit_item(&deep)].concat();
    let un = element(0x0040, 0xA730, "UN", &items);
    let explicit = [declared(0x0008, 0x1140, "SQ", un.len() + 8), implicit_item(&un)].concat();
    for (bytes, is_nested) in [(un, false), (explicit, true)] {
        let read = DataSet::read(&bytes, Syntax::ExplicitLittle).unwrap();
        let holder = if is_nested { &read.items(Tag(0x0008, 0x1140))[0] } else { &read };
        let [first, second] = holder.items(SEQUENCE) else { panic!("two items expected") };
        assert_eq!(first.text(NAME).as_deref(), Some("A^B"));
        let inner = &second.items(SEQUENCE)[0];
        assert_eq!(inner.text(Tag(0x0010, 0x0020)).as_deref(), Some("P-1"));
        assert_eq!(holder.get(SEQUENCE).unwrap().vr, VR::SQ);
        for syntax in SYNTAXES {
            assert!(DataSet::read(&read.write(syntax), syntax).unwrap() == read);
        }
    }
    // As it was in an explicit data set, too.
    let items = implicit_item(&element(0x0010, 0x0010, "PN", b"A^B "));
    let read = DataSet::read(&element(0x0040, 0xA730, "UN", &items), Syntax::ExplicitLittle);
    assert_eq!(read.unwrap().items(SEQUENCE)[0].text(NAME).as_deref(), Some("A^B"));
    // What is none stays as it came: a private one, bytes of something else, a cut item, a known text.
    for (group, number, value) in [
        (0x0009, 0x1001, items.as_slice()),
        (0x0040, 0xA730, b"rubbish!"),
        (0x0040, 0xA730, &items[..items.len() - 2]),
        (0x0040, 0xA730, b""),
        (0x0010, 0x0010, &items),
    ] {
        let bytes = element(group, number, "UN", value);
        let read = DataSet::read(&bytes, Syntax::ExplicitLittle).unwrap();
        assert_eq!(read.get(Tag(group, number)).unwrap().bytes(), Some(value));
        assert_eq!(read.write(Syntax::ExplicitLittle), bytes);
    }
}

#[test]
fn sequences_under_un_count_against_the_limits() {
    // Each level of the one inside of the other.
    let nested = |depth: usize| {
        (0..depth).fold(Vec::new(), |inner, _| implicit(0x0040, 0xA730, &implicit_item(&inner)))
    };
    let around = |count: usize, inner: &[u8]| {
        (0..count)
            .fold(inner.to_vec(), |inner, _| element(0x0040, 0xA730, "SQ", &implicit_item(&inner)))
    };
    for (outside, inside, is_read) in
        [(0, 64, true), (0, 65, false), (32, 32, true), (33, 32, false)]
    {
        let un = element(0x0040, 0xA730, "UN", &implicit_item(&nested(inside - 1)));
        let bytes = around(outside, &un);
        let read = DataSet::read(&bytes, Syntax::ExplicitLittle).unwrap();
        let mut set = &read;
        for _ in 0..outside {
            set = &set.items(SEQUENCE)[0];
        }
        assert_eq!(!set.items(SEQUENCE).is_empty(), is_read, "{outside} {inside}");
    }
    // Two values that are within the number of elements each, and not together.
    let many = implicit_item(b"").repeat(1_100_000);
    let one = element(0x0008, 0x1140, "UN", &many);
    let both = [one.clone(), element(0x0040, 0xA730, "UN", &many)].concat();
    let read = DataSet::read(&both, Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.items(Tag(0x0008, 0x1140)).len(), 1_100_000);
    assert!(read.get(SEQUENCE).unwrap().bytes().is_some());
    let known = element(0x0040, 0xA730, "SQ", &many);
    let both = DataSet::read(&[one, known].concat(), Syntax::ExplicitLittle);
    assert!(matches!(both, Err(Error::TooManyElements(_))));
}

#[test]
fn order_and_duplicates() {
    let one = element(0x0010, 0x0020, "LO", b"P-1 ");
    let other = element(0x0010, 0x0020, "LO", b"P-2 ");
    let before = element(0x0008, 0x0060, "CS", b"CT");
    let read =
        DataSet::read(&[one.clone(), before.clone(), one.clone()].concat(), Syntax::ExplicitLittle);
    assert_eq!(read.unwrap().iter().count(), 2);
    let result =
        DataSet::read(&[one.clone(), before, other.clone()].concat(), Syntax::ExplicitLittle);
    let duplicate = Fault::Duplicate(Tag(0x0010, 0x0020));
    assert!(matches!(result, Err(Error::Malformed { fault, .. }) if fault == duplicate));
    let item = [one, other].concat();
    let item = [head(0xFFFE, 0xE000, u32::try_from(item.len()).unwrap()), item].concat();
    let nested = element(0x0040, 0xA730, "SQ", &item);
    assert!(DataSet::read(&nested, Syntax::ExplicitLittle).is_err());
}

#[test]
fn implicit_takes_its_vr_from_the_dictionary() {
    let data_set = [
        implicit(0x0009, 0x0010, b"PRIVATE "),
        implicit(0x0009, 0x1001, b"1234"),
        implicit(0x0010, 0x0010, b"A^B "),
        implicit(0x0028, 0x0106, &[1, 0]),
        implicit(0x6002, 0x3000, &[1, 0]),
        implicit(0x7FE0, 0x0010, &[1, 0]),
    ];
    let read = DataSet::read(&data_set.concat(), Syntax::ImplicitLittle).unwrap();
    let found: Vec<_> = read.iter().map(|(_, element)| element.vr).collect();
    assert_eq!(found, [VR::LO, VR::UN, VR::PN, VR::US, VR::OW, VR::OW]);
}

/// Pixel Representation and Pixel Padding Value, without representation.
fn padded(representation: u8) -> Vec<u8> {
    let representation = implicit(0x0028, 0x0103, &[representation, 0]);
    [representation, implicit(0x0028, 0x0120, &[0x30, 0xF8])].concat()
}

#[test]
fn values_of_signed_pixels_are_signed() {
    let values = [0x0106, 0x0107, 0x0108, 0x0109, 0x0120, 0x0121, 0x1101, 0x3002];
    let vrs = |representation: u8| {
        let mut bytes = implicit(0x0028, 0x0103, &[representation, 0]);
        bytes.extend(values.iter().flat_map(|tag| implicit(0x0028, *tag, &[0x30, 0xF8])));
        let read = DataSet::read(&bytes, Syntax::ImplicitLittle).unwrap();
        read.iter().skip(1).map(|(_, element)| element.vr).collect::<Vec<_>>()
    };
    assert_eq!(vrs(0), [VR::US; 8]);
    assert_eq!(vrs(1), [VR::SS, VR::SS, VR::SS, VR::SS, VR::SS, VR::SS, VR::US, VR::US]);
    // What carries its own keeps it.
    let own =
        [element(0x0028, 0x0103, "US", &[1, 0]), element(0x0028, 0x0120, "US", &[0x30, 0xF8])];
    let read = DataSet::read(&own.concat(), Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.get(PADDING).unwrap().vr, VR::US);
}

const PADDING: Tag = Tag(0x0028, 0x0120);

#[test]
fn an_item_without_pixel_representation_has_that_around_it() {
    let item = |content: &[u8]| {
        [head(0xFFFE, 0xE000, u32::try_from(content.len()).unwrap()), content.to_vec()].concat()
    };
    let bare = implicit(0x0028, 0x0120, &[0x30, 0xF8]);
    let items = [item(&bare), item(&padded(0)), item(&padded(1))].concat();
    let early = Tag(0x0008, 0x1140);
    for (around, wanted) in [(1, [VR::SS, VR::US, VR::SS]), (0, [VR::US, VR::US, VR::SS])] {
        // One before the representation that holds for it, one behind.
        let bytes =
            [implicit(0x0008, 0x1140, &items), padded(around), implicit(0x0088, 0x0200, &items)];
        let read = DataSet::read(&bytes.concat(), Syntax::ImplicitLittle).unwrap();
        for sequence in [early, Tag(0x0088, 0x0200)] {
            let found = read.items(sequence).iter().map(|item| item.get(PADDING).unwrap().vr);
            assert_eq!(found.collect::<Vec<_>>(), wanted, "{sequence}");
        }
    }
    // A sequence that came as UN is implicit, whatever is around it.
    let unknown = [
        &[0x09, 0x00, 0x01, 0x10, b'U', b'N', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF][..],
        &items,
        &head(0xFFFE, 0xE0DD, 0),
        &element(0x0028, 0x0103, "US", &[1, 0]),
        &element(0x0028, 0x0120, "US", &[0x30, 0xF8]),
    ];
    let read = DataSet::read(&unknown.concat(), Syntax::ExplicitLittle).unwrap();
    let sequence = Tag(0x0009, 0x1001);
    assert_eq!(read.get(sequence).unwrap().vr, VR::SQ);
    let found = read.items(sequence).iter().map(|item| item.get(PADDING).unwrap().vr);
    assert_eq!(found.collect::<Vec<_>>(), [VR::SS, VR::US, VR::SS]);
    assert_eq!(read.get(PADDING).unwrap().vr, VR::US);
}

#[test]
fn text_is_trimmed_and_decoded() {
    let mut data_set = DataSet::default();
    data_set.put_bytes(SETS, VR::CS, b"ISO_IR 100".to_vec());
    for (vr, raw, text) in [
        (VR::PN, b" M\xFCller^Anna  ".as_slice(), Some("Müller^Anna")),
        (VR::LO, b"\0\0", None),
        (VR::LO, b"  ", None),
        (VR::LO, b"", None),
        (VR::LT, b"  two  ", Some("  two")),
        (VR::UI, b"1.2\0", Some("1.2")),
        (VR::LO, b"a\\b ", Some("a\\b")),
        // (0010,0010) is PN by the dictionary.
        (VR::UN, b"M\xFCller^Anna", Some("Müller^Anna")),
        (VR::US, &[65, 65], None),
    ] {
        data_set.put_bytes(NAME, vr, raw.to_vec());
        assert_eq!(data_set.text(NAME).as_deref(), text, "{vr:?} {raw:?}");
    }
    data_set.put_items(NAME, vec![]);
    assert_eq!(data_set.text(NAME), None);
    assert_eq!(data_set.text(Tag(0x0010, 0x0020)), None);
}

#[test]
fn typed_values() {
    let image = sample::image();
    assert_eq!(image.uid(Tag(0x0020, 0x000D)), Some(uid("1.2.3")));
    assert_eq!(image.uid(NAME), None);
    assert_eq!(image.u16(Tag(0x0028, 0x0010)), Some(2));
    assert_eq!(image.items(NAME).len(), 0);
    let big = DataSet::read(&image.write(Syntax::ExplicitBig), Syntax::ExplicitBig).unwrap();
    assert_eq!(big.u16(Tag(0x0028, 0x0010)), Some(2));
}

#[test]
fn put_text_holds_or_refuses() {
    let mut data_set = DataSet::default();
    let latin1 = CharacterSets::parse(Some(b"ISO_IR 100"));
    assert!(data_set.put_text(NAME, VR::PN, "Müller", &latin1));
    assert_eq!(data_set.get(NAME).unwrap().bytes(), Some(b"M\xFCller".as_slice()));
    assert!(!data_set.put_text(NAME, VR::PN, "Şahin", &latin1));
    assert_eq!(data_set.get(NAME).unwrap().bytes(), Some(b"M\xFCller".as_slice()));
    assert!(!data_set.put_text(Tag(0x0008, 0x0060), VR::CS, "Ü", &CharacterSets::utf8()));
    assert!(data_set.put_text(Tag(0x0008, 0x0018), VR::UI, "1.2", &latin1));
    assert_eq!(data_set.get(Tag(0x0008, 0x0018)).unwrap().bytes(), Some(b"1.2\0".as_slice()));
}

fn of_two_sets() -> DataSet {
    let mut own = DataSet::default();
    own.put_bytes(SETS, VR::CS, b"ISO_IR 144".to_vec());
    own.put_bytes(NAME, VR::PN, b"\xBB\xEE".to_vec());
    let mut inherits = DataSet::default();
    inherits.put_bytes(NAME, VR::PN, b"J\xE9r\xF4me".to_vec());
    inherits.put_bytes(Tag(0x0009, 0x1001), VR::UN, b"\xE9\xE9".to_vec());
    let mut data_set = DataSet::default();
    data_set.put_bytes(SETS, VR::CS, b"ISO_IR 100".to_vec());
    data_set.put_bytes(Tag(0x0008, 0x0060), VR::CS, b"CT".to_vec());
    data_set.put_bytes(NAME, VR::PN, b"M\xFCller".to_vec());
    data_set.put_items(SEQUENCE, vec![own, inherits]);
    data_set
}

#[test]
fn re_encoding_reaches_nested_text() {
    let mut data_set = of_two_sets();
    data_set.re_encode(&CharacterSets::utf8());
    assert_eq!(data_set.text(SETS).as_deref(), Some("ISO_IR 192"));
    assert_eq!(data_set.get(NAME).unwrap().bytes(), Some("Müller ".as_bytes()));
    let sets = data_set.character_sets();
    let items = data_set.items(SEQUENCE);
    assert_eq!(items[0].text_in(NAME, &sets).as_deref(), Some("Лю"));
    assert_eq!(items[0].get(SETS), None);
    assert_eq!(items[1].text_in(NAME, &sets).as_deref(), Some("Jérôme"));
    assert_eq!(items[1].get(Tag(0x0009, 0x1001)).unwrap().bytes(), Some(b"\xE9\xE9".as_slice()));
}

#[test]
fn known_texts_under_un_are_re_encoded() {
    let mut data_set = of_two_sets();
    data_set.put_bytes(NAME, VR::UN, b"M\xFCller".to_vec());
    data_set.put_bytes(Tag(0x0009, 0x0010), VR::UN, b"J\xE9".to_vec());
    data_set.put_bytes(Tag(0x0028, 0x0010), VR::UN, b"\xE9\xE9".to_vec());
    let mut cyrillic = data_set.clone();
    cyrillic.re_encode(&CharacterSets::parse(Some(b"ISO_IR 144")));
    for mut changed in [data_set, cyrillic] {
        changed.re_encode(&CharacterSets::utf8());
        assert_eq!(changed.text(SETS).as_deref(), Some("ISO_IR 192"));
        let name = changed.get(NAME).unwrap();
        assert_eq!((name.vr, name.bytes()), (VR::UN, Some("Müller ".as_bytes())));
        let bytes = |tag| changed.get(tag).unwrap().bytes();
        assert_eq!(bytes(Tag(0x0009, 0x0010)), Some(b"J\xE9".as_slice()));
        assert_eq!(bytes(Tag(0x0028, 0x0010)), Some(b"\xE9\xE9".as_slice()));
    }
}

#[test]
fn re_encoding_loses_nothing() {
    let mut data_set = of_two_sets();
    data_set.re_encode(&CharacterSets::parse(Some(b"ISO_IR 148")));
    assert_eq!(data_set.text(SETS).as_deref(), Some("ISO_IR 192"));
    let mut data_set = of_two_sets();
    data_set.re_encode(&CharacterSets::parse(Some(b"ISO 2022 IR 100\\ISO 2022 IR 144")));
    assert_eq!(
        data_set.items(SEQUENCE)[0].get(NAME).unwrap().bytes(),
        Some(b"\x1b-L\xBB\xEE ".as_slice())
    );
    let mut ascii = DataSet::default();
    ascii.put_bytes(SETS, VR::CS, b"ISO_IR 100".to_vec());
    ascii.put_bytes(NAME, VR::PN, b"Doe".to_vec());
    ascii.re_encode(&CharacterSets::parse(None));
    assert_eq!(ascii.get(SETS), None);
}

#[test]
fn debug_is_redacted() {
    assert_eq!(format!("{:?}", sample::image()), "DataSet(redacted)");
}

proptest! {
    #[test]
    fn what_was_written_reads_the_same(data_set in sample::data_sets()) {
        for syntax in SYNTAXES {
            let written = data_set.write(syntax);
            let read = DataSet::read(&written, syntax).unwrap();
            prop_assert!(read == data_set);
            prop_assert!(written.len() % 2 == 0);
        }
    }
}
