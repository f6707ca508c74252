use super::*;
use crate::dicom::DataSet;
use crate::dicom::sample::{self, EXPLICIT, IMPLICIT, declared, element, file, head, implicit};
use crate::dicom::scan::{Fault, Scan, scan_file};

const UNDEFINED: u32 = u32::MAX;
const REGISTRATION: Tag = Tag(0x0064, 0x0002);
const GRIDS: Tag = Tag(0x0064, 0x0005);
const GRID: Tag = Tag(0x0064, 0x0009);

fn scan(bytes: &[u8]) -> Scan {
    scan_file(&mut &*bytes, bytes.len() as u64, &Limits::default()).unwrap()
}

fn grid(byte: u8) -> Vec<u8> {
    vec![byte; usize::try_from(LONG).unwrap() + 4]
}

/// Two registrations with a grid each, and a small value behind them.
fn registrations() -> DataSet {
    let registration = |byte| {
        let mut grids = DataSet::default();
        grids.put_bytes(GRID, VR::OF, grid(byte));
        grids.put_bytes(Tag(0x0065, 0x0010), VR::LO, b"small ".to_vec());
        let mut registration = DataSet::default();
        registration.put_items(GRIDS, vec![DataSet::default(), grids]);
        registration
    };
    let mut object = sample::image();
    object.put_items(REGISTRATION, vec![registration(1), registration(2)]);
    object
}

/// The same with delimiters in the place of lengths.
fn open(value: &[u8], last: &[u8]) -> Vec<u8> {
    let begin = |tag: Tag| {
        let sequence = declared(tag.group(), tag.element(), "SQ", UNDEFINED as usize);
        [sequence, head(0xFFFE, 0xE000, UNDEFINED)].concat()
    };
    let end = [head(0xFFFE, 0xE00D, 0), head(0xFFFE, 0xE0DD, 0)].concat();
    [
        element(0x0008, 0x0060, "CS", b"CT"),
        begin(REGISTRATION),
        begin(GRIDS),
        element(GRID.group(), GRID.element(), "OF", value),
        end.clone(),
        last.to_vec(),
        end,
    ]
    .concat()
}

/// Puts everything where it belongs, as it is done on the way out.
fn whole(bytes: &[u8], scan: &Scan) -> Vec<u8> {
    let mut header = scan.header.clone();
    let places = put_back(&mut header, scan.layout.syntax(), &scan.layout.bulk).unwrap();
    let (mut out, mut from) = (Vec::new(), 0);
    for (at, value) in places {
        out.extend_from_slice(&header[from..at]);
        let value_at = usize::try_from(value.value_at).unwrap();
        out.extend_from_slice(&bytes[value_at..][..usize::try_from(value.length).unwrap()]);
        from = at;
    }
    out.extend_from_slice(&header[from..]);
    out
}

#[test]
fn values_inside_of_sequences_are_left_out_and_come_back() {
    let implicit_in_unknown = [
        element(0x0008, 0x0060, "CS", b"CT"),
        declared(0x0064, 0x0002, "UN", UNDEFINED as usize),
        head(0xFFFE, 0xE000, u32::try_from(grid(3).len() + 8).unwrap()),
        implicit(0x0064, 0x0009, &grid(3)),
        head(0xFFFE, 0xE0DD, 0),
    ]
    .concat();
    for (transfer_syntax, data_set, count) in [
        (EXPLICIT, registrations().write(Syntax::ExplicitLittle), 2),
        (IMPLICIT, registrations().write(Syntax::ImplicitLittle), 2),
        (EXPLICIT, open(&grid(3), &[]), 1),
        (EXPLICIT, implicit_in_unknown, 1),
    ] {
        let bytes = file(transfer_syntax, &data_set);
        let scan = scan(&bytes);
        assert_eq!(scan.layout.bulk.len(), count);
        assert!(scan.header.len() < 2000, "{}", scan.header.len());
        assert_eq!(scan.layout.header_length(), scan.header.len() as u64);
        let read = DataSet::read(&scan.header, scan.layout.syntax()).unwrap();
        assert!(!read.items(REGISTRATION).is_empty());
        let header_ends = scan.layout.pixel_data.map_or(bytes.len() as u64, |p| p.element_at);
        let [from, to] =
            [scan.layout.data_set_at, header_ends].map(|at| usize::try_from(at).unwrap());
        assert!(whole(&bytes, &scan) == bytes[from..to]);
        // Read from the object piece by piece, it says the same.
        let mut header = bytes[from..to].to_vec();
        for value in scan.layout.bulk.iter().rev() {
            let at = usize::try_from(value.value_at).unwrap() - from;
            header.drain(at..at + usize::try_from(value.length).unwrap());
        }
        leave_out(&mut header, scan.layout.data_set_at, &scan.layout.bulk).unwrap();
        assert!(header == scan.header);
    }
}

#[test]
fn a_record_of_before_is_a_value_of_the_top_level() {
    let text = r#"{"group":66,"element":17,"valueAt":300,"length":2000000}"#;
    let bulk: Bulk = serde_json::from_str(text).unwrap();
    assert!(bulk.within.is_empty());
    assert_eq!(serde_json::to_string(&bulk).unwrap(), text);
}

#[test]
fn nothing_is_put_into_another_place() {
    let bytes = file(EXPLICIT, &registrations().write(Syntax::ExplicitLittle));
    let scan = scan(&bytes);
    let mut read = DataSet::read(&scan.header, Syntax::ExplicitLittle).unwrap();
    let items = read.items(REGISTRATION).to_vec();
    for changed in [vec![items[0].clone()], vec![DataSet::default(), items[0].clone()], vec![]] {
        read.put_items(REGISTRATION, changed);
        let mut header = read.write(Syntax::ExplicitLittle);
        assert!(put_back(&mut header, Syntax::ExplicitLittle, &scan.layout.bulk).is_err());
    }
}

#[test]
fn of_two_values_in_one_place_none_is_lost() {
    let value = |byte| element(GRID.group(), GRID.element(), "OF", &grid(byte));
    for (second, is_same) in [(1, true), (2, false)] {
        let data_set = [value(1), value(second)].concat();
        let scan = scan(&file(EXPLICIT, &data_set));
        assert_eq!(scan.layout.bulk.len(), 1);
        let read = DataSet::read(&scan.header, Syntax::ExplicitLittle);
        let fault = Fault::Duplicate(GRID);
        assert!(
            matches!(read, Err(scan::Error::Malformed { fault: f, .. }) if f == fault),
            "{is_same}"
        );
    }
}

#[test]
fn more_than_the_limit_of_a_header_may_lie_inside_of_sequences() {
    let header = 4 << 20;
    let limits = Limits { header, ..Limits::default() };
    let large = vec![7; usize::try_from(header).unwrap() + 2];
    let bytes = file(EXPLICIT, &open(&large, &[]));
    assert!(scan_file(&mut &*bytes, bytes.len() as u64, &limits).is_ok());
    // Text is not left out, and what is said of it can be done.
    let text = element(0x0040, 0xA160, "UT", &large);
    let bytes = file(EXPLICIT, &open(&[1, 2], &text));
    let error = scan_file(&mut &*bytes, bytes.len() as u64, &limits).err().unwrap();
    let sentence = error.to_string();
    assert!(matches!(error, scan::Error::HeaderTooLarge(_)), "{sentence}");
    assert!(!sentence.contains("raise"), "{sentence}");
}
