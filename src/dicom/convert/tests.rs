use std::io::{self, Read};

use proptest::prelude::*;

use super::{to_explicit_little, to_implicit_little};
use crate::dicom::sample::{
    self, BIG, DEFLATED, EXPLICIT, IMPLICIT, JPEG, declared, element, file, uid,
};
use crate::dicom::scan::{Error, Fault, Limits, scan_data_set, scan_file};
use crate::dicom::{DataSet, Layout, Syntax, Tag, VR};

/// Scans a file and converts its data set.
fn explicit(bytes: &[u8]) -> Vec<u8> {
    let layout = scan_file(&mut &*bytes, bytes.len() as u64, &Limits::default()).unwrap().layout;
    let mut out = Vec::new();
    let data_set = &bytes[usize::try_from(layout.data_set_at).unwrap()..];
    to_explicit_little(&mut &*data_set, &layout, &mut out).unwrap();
    out
}

fn layout(transfer_syntax: &str, bytes: &[u8]) -> Layout {
    let limits = Limits::default();
    scan_data_set(&mut &*bytes, bytes.len() as u64, &uid(transfer_syntax), &limits).unwrap().layout
}

#[test]
fn every_native_syntax_becomes_explicit_little() {
    let image = sample::image();
    for (transfer_syntax, bytes) in [
        (IMPLICIT, image.write(Syntax::ImplicitLittle)),
        (BIG, image.write(Syntax::ExplicitBig)),
        (EXPLICIT, image.write(Syntax::ExplicitLittle)),
        (DEFLATED, sample::deflate(&image.write(Syntax::ExplicitLittle))),
    ] {
        for padding in [0, 3] {
            let padded = [bytes.clone(), vec![0; padding]].concat();
            let out = explicit(&file(transfer_syntax, &padded));
            assert!(DataSet::read(&out, Syntax::ExplicitLittle).unwrap() == image);
            assert_eq!(layout(EXPLICIT, &out).ends_at, out.len() as u64);
        }
    }
}

#[test]
fn encapsulated_pixels_keep_their_fragments() {
    let image = sample::encapsulated();
    let out = explicit(&file(JPEG, &image.write(Syntax::ExplicitLittle)));
    assert!(DataSet::read(&out, Syntax::ExplicitLittle).unwrap() == image);
    let bytes = image.write(Syntax::ExplicitLittle);
    let mut out = Vec::new();
    let result = to_implicit_little(&mut &*bytes, &layout(JPEG, &bytes), &mut out);
    assert!(matches!(result, Err(Error::Malformed { fault: Fault::Encapsulated, .. })));
}

#[test]
fn values_of_signed_pixels_are_signed() {
    let padding = Tag(0x0028, 0x0120);
    let values = |representation: u8| {
        let mut set = DataSet::default();
        set.put_bytes(Tag(0x0028, 0x0103), VR::US, vec![representation, 0]);
        set.put_bytes(padding, VR::US, vec![0x30, 0xF8]);
        set.put_bytes(Tag(0x0028, 0x1101), VR::US, vec![0x30, 0xF8]);
        set
    };
    let mut bare = values(0);
    bare.remove(Tag(0x0028, 0x0103));
    let mut image = values(1);
    image.put_bytes(Tag(0x0008, 0x0018), VR::UI, b"1.2".to_vec());
    image.put_items(Tag(0x0088, 0x0200), vec![bare, values(0), values(1)]);
    image.put_bytes(Tag(0x7FE0, 0x0010), VR::OW, vec![0; 300_000]);
    let bytes = image.write(Syntax::ImplicitLittle);
    // What the label says of the elements may be wrong.
    for (label, bytes) in [(IMPLICIT, bytes.clone()), (BIG, bytes.clone())] {
        let out = DataSet::read(&explicit(&file(label, &bytes)), Syntax::ExplicitLittle).unwrap();
        assert!(out == DataSet::read(&bytes, Syntax::ImplicitLittle).unwrap(), "{label}");
        assert_eq!(out.get(padding).unwrap().vr, VR::SS);
        let items = out.items(Tag(0x0088, 0x0200)).iter();
        let found: Vec<VR> = items.map(|item| item.get(padding).unwrap().vr).collect();
        assert_eq!(found, [VR::SS, VR::US, VR::SS], "{label}");
    }
    // What carries its own keeps it.
    let big = image.write(Syntax::ExplicitBig);
    assert!(DataSet::read(&explicit(&file(BIG, &big)), Syntax::ExplicitLittle).unwrap() == image);
}

#[test]
fn group_lengths_go_and_odd_values_become_even() {
    let data_set = [
        element(0x0008, 0x0000, "UL", &[0; 4]),
        element(0x0008, 0x0018, "UI", b"1.2"),
        element(0x0010, 0x0020, "LO", b"P-1"),
        element(0x7FE0, 0x0010, "OB", &[1, 2, 3]),
    ];
    let even = [
        element(0x0008, 0x0018, "UI", b"1.2\0"),
        element(0x0010, 0x0020, "LO", b"P-1 "),
        element(0x7FE0, 0x0010, "OB", &[1, 2, 3, 0]),
    ];
    assert_eq!(explicit(&file(EXPLICIT, &data_set.concat())), even.concat());
}

/// Takes everything and keeps nothing but the count.
#[derive(Default)]
struct Count {
    bytes: u64,
    largest: usize,
}

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.largest = self.largest.max(bytes.len());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn pixels_pass_in_portions() {
    let length = 48 << 20;
    let start = declared(0x7FE0, 0x0010, "OW", length);
    let big = [&start[..0], &[0x7F, 0xE0, 0, 0x10, b'O', b'W', 0, 0, 3, 0, 0, 0]].concat();
    let total = (start.len() + length) as u64;
    for (transfer_syntax, start) in [(EXPLICIT, start), (BIG, big)] {
        let whole = || start.clone();
        let pixels = || io::repeat(1).take(length as u64);
        let start = whole();
        let mut reader = start.chain(pixels());
        let limits = Limits::default();
        let scan = scan_data_set(&mut reader, total, &uid(transfer_syntax), &limits).unwrap();
        let start = whole();
        let mut count = Count::default();
        to_explicit_little(&mut start.chain(pixels()), &scan.layout, &mut count).unwrap();
        assert_eq!(count.bytes, total);
        assert!(count.largest <= 64 << 10);
    }
}

#[test]
fn truncated_input_is_an_error() {
    let bytes = sample::image().write(Syntax::ExplicitBig);
    let layout = layout(BIG, &bytes);
    for length in 0..bytes.len() {
        let result = to_explicit_little(&mut &bytes[..length], &layout, &mut io::sink());
        assert!(matches!(result, Err(Error::Truncated)), "{length}");
    }
}

#[test]
fn full_disks_are_told_as_such() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bytes = sample::image().write(Syntax::ExplicitLittle);
    let result = to_explicit_little(&mut &*bytes, &layout(EXPLICIT, &bytes), &mut Full);
    assert!(matches!(result, Err(Error::Io(error)) if error.kind() == io::ErrorKind::StorageFull));
}

proptest! {
    #[test]
    fn conversion_keeps_the_data_set(data_set in sample::data_sets()) {
        for (transfer_syntax, syntax) in
            [(IMPLICIT, Syntax::ImplicitLittle), (EXPLICIT, Syntax::ExplicitLittle), (BIG, Syntax::ExplicitBig)]
        {
            let bytes = data_set.write(syntax);
            let layout = Layout {
                transfer_syntax: uid(transfer_syntax),
                is_implicit: false,
                data_set_at: 0,
                pixel_data: None,
                ends_at: bytes.len() as u64, derived: Vec::new(), bulk: Vec::new(),
            };
            let mut out = Vec::new();
            to_explicit_little(&mut &*bytes, &layout, &mut out).unwrap();
            prop_assert!(DataSet::read(&out, Syntax::ExplicitLittle).unwrap() == data_set);
            let mut out = Vec::new();
            to_implicit_little(&mut &*bytes, &layout, &mut out).unwrap();
            prop_assert!(DataSet::read(&out, Syntax::ImplicitLittle).unwrap() == data_set);
        }
    }
}

#[test]
fn icons_inside_sequences_are_converted_too() {
    let mut icon = DataSet::default();
    icon.put_bytes(Tag(0x7FE0, 0x0010), VR::OW, vec![1, 2, 3, 4]);
    let mut image = DataSet::default();
    image.put_items(Tag(0x0088, 0x0200), vec![icon]);
    let out = explicit(&file(BIG, &image.write(Syntax::ExplicitBig)));
    assert!(DataSet::read(&out, Syntax::ExplicitLittle).unwrap() == image);
}
