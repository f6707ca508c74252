//! Objects that break readers: each one an error, at once, in little memory.

use std::io::{self, Read};

use proptest::prelude::*;

use super::{fault, scan, scan_with};
use crate::dicom::sample::{
    self, DEFLATED, EXPLICIT, IMPLICIT, JPEG, declared, element, file, head, uid,
};
use crate::dicom::scan::{Error, Fault, Limits, scan_data_set, scan_file};
use crate::dicom::{DataSet, Syntax, Tag};

const UNDEFINED: u32 = u32::MAX;

fn nested(depth: usize) -> Vec<u8> {
    let level =
        [declared(0x0040, 0xA730, "SQ", UNDEFINED as usize), head(0xFFFE, 0xE000, UNDEFINED)]
            .concat();
    let end = [head(0xFFFE, 0xE00D, 0), head(0xFFFE, 0xE0DD, 0)].concat();
    [level.repeat(depth), end.repeat(depth)].concat()
}

/// The same with declared lengths.
fn nested_by_length(depth: usize) -> Vec<u8> {
    let mut data_set = Vec::new();
    for _ in 0..depth {
        let item =
            [head(0xFFFE, 0xE000, u32::try_from(data_set.len()).unwrap()), data_set].concat();
        data_set = element(0x0040, 0xA730, "SQ", &item);
    }
    data_set
}

#[test]
fn nesting_is_bounded() {
    for object in [nested, nested_by_length] {
        let deepest = object(64);
        assert!(scan(&file(EXPLICIT, &deepest)).is_ok());
        let read = DataSet::read(&deepest, Syntax::ExplicitLittle).unwrap();
        assert!(
            DataSet::read(&read.write(Syntax::ImplicitLittle), Syntax::ImplicitLittle).unwrap()
                == read
        );
        for depth in [65, 1000] {
            assert!(matches!(scan(&file(EXPLICIT, &object(depth))), Err(Error::TooDeep(64))));
            let read = DataSet::read(&object(depth), Syntax::ExplicitLittle);
            assert!(matches!(read, Err(Error::TooDeep(64))));
        }
    }
    for depth in [20_000, 200_000] {
        assert!(matches!(scan(&file(EXPLICIT, &nested(depth))), Err(Error::TooDeep(64))));
    }
}

#[test]
fn nesting_of_unknown_sequences_is_bounded_too() {
    let level = [head(0x0009, 0x1001, UNDEFINED), head(0xFFFE, 0xE000, UNDEFINED)].concat();
    let deep = level.repeat(20_000);
    assert!(matches!(scan(&file(IMPLICIT, &deep)), Err(Error::TooDeep(64))));
    let outer = declared(0x0009, 0x1001, "UN", UNDEFINED as usize);
    let deep = [outer, head(0xFFFE, 0xE000, UNDEFINED), deep].concat();
    assert!(matches!(scan(&file(EXPLICIT, &deep)), Err(Error::TooDeep(64))));
}

#[test]
fn declared_lengths_are_held_against_the_rest() {
    for (group, number, vr, length) in [
        (0x7FE0, 0x0010, "OW", 0xFFFF_FFFE),
        (0x7FE0, 0x0010, "OW", 0x7FFF_FFFE),
        (0x0008, 0x0119, "UC", 0xC000_0000),
        (0x0009, 0x1001, "OB", 0xC000_0000),
        (0x0009, 0x1001, "UN", 0xFFFF_FFFE),
        (0x0040, 0xA730, "SQ", 0xFFFF_FFF0),
    ] {
        let data_set = [
            element(0x0008, 0x0060, "CS", b"CT"),
            declared(group, number, vr, length),
            vec![b'x'; 100],
        ]
        .concat();
        assert!(matches!(scan(&file(EXPLICIT, &data_set)), Err(Error::Truncated)));
        let read = DataSet::read(&data_set, Syntax::ExplicitLittle);
        assert!(matches!(read, Err(Error::Truncated)));
    }
}

/// Gives zeros without end and counts them.
struct Zeros {
    front: io::Cursor<Vec<u8>>,
    given: u64,
}

impl Read for Zeros {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.front.read(buffer)? {
            0 => {
                buffer.fill(0);
                buffer.len()
            }
            read => read,
        };
        self.given += read as u64;
        Ok(read)
    }
}

#[test]
fn large_values_before_the_pixels_are_refused_unread() {
    let data_set = declared(0x0009, 0x1001, "UT", 3 << 30);
    let mut reader = Zeros { front: io::Cursor::new(data_set), given: 0 };
    let limits = Limits { header: 1 << 20, ..Limits::default() };
    let result = scan_data_set(&mut reader, 5 << 30, &uid(EXPLICIT), &limits);
    assert!(matches!(result, Err(Error::HeaderTooLarge(n)) if n == 1 << 20));
    assert!(reader.given < 1 << 20, "{}", reader.given);
}

#[test]
fn pixels_are_passed_over_without_memory() {
    let data_set =
        [element(0x0008, 0x0060, "CS", b"CT"), declared(0x7FE0, 0x0010, "OW", 64 << 20)].concat();
    let length = data_set.len() as u64 + (64 << 20);
    let mut reader = Zeros { front: io::Cursor::new(data_set), given: 0 };
    let limits = Limits { header: 64, ..Limits::default() };
    let scan = scan_data_set(&mut reader, length, &uid(EXPLICIT), &limits).unwrap();
    assert_eq!(scan.header.len(), 10);
    assert!(scan.header.capacity() <= 128);
    assert_eq!(scan.layout.ends_at, length);
    assert_eq!(reader.given, length);
}

#[test]
fn small_elements_without_end_are_bounded() {
    let items = head(0xFFFE, 0xE000, 0).repeat(1_000_000);
    let sequence = declared(0x0040, 0xA730, "SQ", UNDEFINED as usize);
    let data_set = [sequence, items, head(0xFFFE, 0xE0DD, 0)].concat();
    let bytes = file(EXPLICIT, &data_set);
    assert!(scan(&bytes).is_ok());
    let read = DataSet::read(&data_set, Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.items(Tag(0x0040, 0xA730)).len(), 1_000_000);
    let limits = Limits { elements: 1000, ..Limits::default() };
    assert!(matches!(scan_with(&bytes, &limits), Err(Error::TooManyElements(1000))));
    let limits = Limits { header: 1 << 20, ..Limits::default() };
    assert!(matches!(scan_with(&bytes, &limits), Err(Error::HeaderTooLarge(_))));
    let many = head(0xFFFE, 0xE000, 0).repeat(2_000_001);
    let many = [declared(0x0040, 0xA730, "SQ", many.len()), many].concat();
    let read = DataSet::read(&many, Syntax::ExplicitLittle);
    assert!(matches!(read, Err(Error::TooManyElements(_))));
}

#[test]
fn elements_in_descending_order_cost_no_more() {
    let elements = (0..60_000_u16).rev().map(|n| element(0x0009, n, "LO", b"")).collect::<Vec<_>>();
    let read = DataSet::read(&elements.concat(), Syntax::ExplicitLittle).unwrap();
    assert!(read.iter().map(|(tag, _)| tag).is_sorted());
    assert_eq!(read.iter().count(), 59_999);
}

#[test]
fn meta_groups_lie() {
    let start = [vec![0; 128], b"DICM".to_vec()].concat();
    let endless = [start.clone(), element(2, 0, "UL", &[0xFF; 4])].concat();
    assert!(matches!(scan(&endless), Err(Error::NoTransferSyntax)));
    let huge = [
        start.clone(),
        element(2, 0, "UL", &200_u32.to_le_bytes()),
        declared(2, 1, "OB", 0xF000_0000),
        vec![b'x'; 200],
    ]
    .concat();
    assert_eq!(fault(&huge), Fault::MetaTooLarge);
    let undefined = [start.clone(), declared(2, 1, "UN", UNDEFINED as usize)].concat();
    assert_eq!(fault(&undefined), Fault::UndefinedLength);
    let cut = [start.clone(), declared(2, 1, "OB", 2)].concat();
    assert!(matches!(scan(&cut), Err(Error::Truncated)));

    let repeated = [start, element(2, 0x0102, "OB", &[0; 10])].concat();
    let tail = element(2, 0x0102, "OB", &[0; 10]);
    let mut reader = repeated.chain(io::repeat(0).take(0)).chain(Repeat { bytes: tail, at: 0 });
    let result = scan_file(&mut reader, 1 << 40, &Limits::default());
    assert!(matches!(result, Err(Error::Malformed { fault: Fault::MetaTooLarge, .. })));
}

struct Repeat {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.bytes[self.at % self.bytes.len()];
            self.at += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn truncation_is_noticed() {
    let whole = sample::image().write(Syntax::ExplicitLittle);
    let mut boundaries = Vec::new();
    let mut pixels_end = usize::MAX - 1;
    let mut prefix = DataSet::default();
    boundaries.push(0);
    for (tag, element) in sample::image().iter() {
        prefix.insert(tag, element.clone());
        boundaries.push(prefix.write(Syntax::ExplicitLittle).len());
        if tag == Tag(0x7FE0, 0x0010) {
            pixels_end = prefix.write(Syntax::ExplicitLittle).len();
        }
    }
    for length in 1..whole.len() {
        let result = scan(&file(EXPLICIT, &whole[..length]));
        // One byte behind the pixels is a line feed sooner than the begin of an element.
        let rubbish = length == pixels_end + 1;
        assert_eq!(result.is_ok(), rubbish || boundaries.contains(&length), "{length}");
    }
    // A reader that ends before the length it promised.
    let result = scan_file(&mut &*whole, whole.len() as u64 + 10, &Limits::default());
    assert!(matches!(result, Err(Error::Truncated)));
    let deflated = sample::deflate(&whole);
    assert!(scan(&file(DEFLATED, &deflated[..deflated.len() / 2])).is_err());
}

#[test]
fn delimiters_need_their_place() {
    let name = element(0x0010, 0x0010, "PN", b"ABC^DEF ");
    let stray = head(0xFFFE, 0xE0DD, 0);
    assert_eq!(
        fault(&file(EXPLICIT, &[stray.repeat(3), name.clone()].concat())),
        Fault::StrayDelimiter
    );
    let item = head(0xFFFE, 0xE000, 0);
    assert_eq!(fault(&file(EXPLICIT, &[name.clone(), item].concat())), Fault::StrayDelimiter);
    let sequence = declared(0x0040, 0xA730, "SQ", UNDEFINED as usize);
    assert_eq!(
        fault(&file(EXPLICIT, &[sequence.clone(), name.clone()].concat())),
        Fault::NotAnItem
    );
    let long = head(0xFFFE, 0xE0DD, 8);
    assert_eq!(fault(&file(EXPLICIT, &[sequence, long, name].concat())), Fault::StrayDelimiter);
    let text = declared(0x0040, 0xA160, "UT", UNDEFINED as usize);
    assert_eq!(fault(&file(EXPLICIT, &[text, vec![0; 20]].concat())), Fault::UndefinedLength);
    let pixels =
        [declared(0x7FE0, 0x0010, "OB", UNDEFINED as usize), head(0xFFFE, 0xE000, UNDEFINED)];
    assert_eq!(fault(&file(JPEG, &pixels.concat())), Fault::UndefinedLength);
}

#[test]
fn items_stay_inside_their_sequence() {
    let name = element(0x0010, 0x0010, "PN", b"ABC^DEF ");
    for item in [
        head(0xFFFE, 0xE000, 100),
        [head(0xFFFE, 0xE000, 12), element(0x0010, 0x0010, "PN", b"ABC^DEF ")[..12].to_vec()]
            .concat(),
        [head(0xFFFE, 0xE000, UNDEFINED), declared(0x0010, 0x0010, "PN", 50)].concat(),
    ] {
        let sequence = element(0x0040, 0xA730, "SQ", &item);
        let data_set = [sequence, name.repeat(20)].concat();
        assert_eq!(fault(&file(EXPLICIT, &data_set)), Fault::Overrun);
    }
}

#[test]
fn foreign_groups_are_refused() {
    for group in [0x0000, 0x0002] {
        let data_set =
            [element(0x0008, 0x0060, "CS", b"CT"), element(group, 0x0010, "UI", b"1.2\0")].concat();
        assert_eq!(fault(&file(EXPLICIT, &data_set)), Fault::WrongGroup(group));
    }
}

#[test]
fn identity_behind_the_pixels_is_refused() {
    let data_set =
        [element(0x7FE0, 0x0010, "OW", &[0; 8]), element(0x0010, 0x0010, "PN", b"ABC^DEF ")]
            .concat();
    assert_eq!(fault(&file(EXPLICIT, &data_set)), Fault::OutOfOrder);
}

#[test]
fn inflation_is_bounded() {
    let zeros = vec![0; 32 << 20];
    let pixels = [declared(0x7FE0, 0x0010, "OW", 32 << 20), zeros.clone()].concat();
    let bomb = file(DEFLATED, &sample::deflate(&pixels));
    assert!(bomb.len() < 40_000);
    assert!(scan(&bomb).is_ok());
    let limits = Limits { inflated: 16 << 20, ..Limits::default() };
    assert!(matches!(scan_with(&bomb, &limits), Err(Error::InflatedTooLarge(_))));

    let private = [declared(0x0009, 0x1001, "OB", 32 << 20), zeros.clone()].concat();
    let limits = Limits { header: 1 << 20, ..Limits::default() };
    let bomb = file(DEFLATED, &sample::deflate(&private));
    assert!(matches!(scan_with(&bomb, &limits), Err(Error::HeaderTooLarge(_))));

    let padding = [element(0x0008, 0x0060, "CS", b"CT"), zeros].concat();
    let limits = Limits { inflated: 16 << 20, ..Limits::default() };
    let bomb = file(DEFLATED, &sample::deflate(&padding));
    assert!(matches!(scan_with(&bomb, &limits), Err(Error::InflatedTooLarge(_))));

    let declared_only = file(DEFLATED, &sample::deflate(&declared(0x7FE0, 0x0010, "OW", 1 << 30)));
    assert!(matches!(scan(&declared_only), Err(Error::Truncated)));
    assert_eq!(fault(&file(DEFLATED, &[0xFF; 64])), Fault::Deflate);
}

/// A reader that fails is no malformed object.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("disk"))
    }
}

#[test]
fn failing_readers_are_told_apart() {
    let start = file(EXPLICIT, &declared(0x7FE0, 0x0010, "OW", 100_000));
    let mut reader = start.chain(Broken);
    let result = scan_file(&mut reader, 1 << 20, &Limits::default());
    assert!(matches!(result, Err(Error::Io(_))));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, which in 0..4_usize) {
        let syntax = [IMPLICIT, EXPLICIT, sample::BIG, DEFLATED][which];
        let _ = scan(&bytes);
        let _ = scan(&file(syntax, &bytes));
        for syntax in sample::SYNTAXES {
            let _ = DataSet::read(&bytes, syntax);
        }
    }

    #[test]
    fn mutated_objects_never_panic(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let (transfer_syntax, image) = [
            (IMPLICIT, sample::image()),
            (EXPLICIT, sample::image()),
            (sample::BIG, sample::image()),
            (JPEG, sample::encapsulated()),
        ][which].clone();
        let mut bytes = file(transfer_syntax, &image.write(Syntax::of(&uid(transfer_syntax))));
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let length = bytes.len();
        for bytes in [&bytes[..], &bytes[..cut.index(length)]] {
            if let Ok(scan) = scan(bytes) {
                prop_assert!(scan.layout.ends_at <= bytes.len() as u64);
                prop_assert!(scan.layout.header_length() == scan.header.len() as u64);
                let syntax = Syntax::of(&scan.layout.transfer_syntax);
                let read = DataSet::read(&scan.header, syntax);
                let is_duplicate = matches!(read, Err(Error::Malformed { fault: Fault::Duplicate(_), .. }));
                prop_assert!(read.is_ok() || is_duplicate);
                let mut out = Vec::new();
                let data_set = &bytes[usize::try_from(scan.layout.data_set_at).unwrap()..];
                crate::dicom::convert::to_explicit_little(&mut &*data_set, &scan.layout, &mut out).unwrap();
            }
        }
    }
}
