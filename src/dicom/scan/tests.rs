//! What a scan finds, and what it refuses.

mod hostile;
mod lenient;

use super::{Error, Fault, Limits, Scan, scan_data_set, scan_file};
use crate::dicom::sample::{self, BIG, DEFLATED, EXPLICIT, IMPLICIT, JPEG, element, file, uid};
use crate::dicom::{DataSet, PixelData, Syntax, Tag};

fn scan(bytes: &[u8]) -> Result<Scan, Error> {
    scan_with(bytes, &Limits::default())
}

fn scan_with(bytes: &[u8], limits: &Limits) -> Result<Scan, Error> {
    scan_file(&mut &*bytes, bytes.len() as u64, limits)
}

#[track_caller]
fn fault(bytes: &[u8]) -> Fault {
    match scan(bytes) {
        Err(Error::Malformed { fault, .. }) => fault,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn finds_the_pixel_data() {
    for (transfer_syntax, image) in [
        (IMPLICIT, sample::image()),
        (EXPLICIT, sample::image()),
        (BIG, sample::image()),
        (JPEG, sample::encapsulated()),
    ] {
        let syntax = Syntax::of(&uid(transfer_syntax));
        let data_set = image.write(syntax);
        let mut header = image.clone();
        header.remove(Tag(0x7FE0, 0x0010));
        let padding = header.remove(Tag(0xFFFC, 0xFFFC)).unwrap();
        let header = header.write(syntax);
        let tail = padding.encode(Tag(0xFFFC, 0xFFFC), syntax).len() as u64;

        let scan = scan(&file(transfer_syntax, &data_set)).unwrap();
        let at = sample::meta(transfer_syntax).len() as u64;
        let end = at + data_set.len() as u64;
        assert_eq!(scan.header, header);
        assert_eq!(scan.layout.transfer_syntax, uid(transfer_syntax));
        assert_eq!(scan.layout.data_set_at, at);
        assert_eq!(scan.layout.ends_at, end);
        let pixels = PixelData { element_at: at + header.len() as u64, ends_at: end - tail };
        assert_eq!(scan.layout.pixel_data, Some(pixels));
        assert_eq!(scan.layout.header_length(), header.len() as u64);
        assert_eq!(scan.meta.sop_instance, Some(uid("1.2.3.4")));
        assert_eq!(scan.meta.transfer_syntax, Some(uid(transfer_syntax)));

        let length = data_set.len() as u64;
        let bare =
            scan_data_set(&mut &*data_set, length, &uid(transfer_syntax), &Limits::default());
        let bare = bare.unwrap();
        assert_eq!((bare.header, bare.layout.ends_at), (header, length));
    }
}

#[test]
fn reads_no_further_than_told() {
    let data_set = sample::image().write(Syntax::ExplicitLittle);
    let longer = [data_set.clone(), b"next".to_vec()].concat();
    let mut reader = &*longer;
    let limits = Limits::default();
    scan_data_set(&mut reader, data_set.len() as u64, &uid(EXPLICIT), &limits).unwrap();
    assert_eq!(reader, b"next");
}

#[test]
fn inflates() {
    let image = sample::image();
    let data_set = image.write(Syntax::ExplicitLittle);
    let plain = scan(&file(EXPLICIT, &data_set)).unwrap();
    for padding in [0, 1] {
        let deflated = [sample::deflate(&data_set), vec![0; padding]].concat();
        let scan = scan(&file(DEFLATED, &deflated)).unwrap();
        assert_eq!(scan.header, plain.header);
        let (at, plain_at) = (scan.layout.data_set_at, plain.layout.data_set_at);
        assert_eq!(scan.layout.ends_at - at, plain.layout.ends_at - plain_at);
        let (pixels, expected) =
            (scan.layout.pixel_data.unwrap(), plain.layout.pixel_data.unwrap());
        assert_eq!(pixels.element_at - at, expected.element_at - plain_at);
        assert_eq!(pixels.ends_at - at, expected.ends_at - plain_at);
    }
}

#[test]
fn objects_without_pixels_are_all_header() {
    let mut report = sample::image();
    report.remove(Tag(0x7FE0, 0x0010));
    report.remove(Tag(0xFFFC, 0xFFFC));
    let data_set = report.write(Syntax::ExplicitLittle);
    let scan = scan(&file(EXPLICIT, &data_set)).unwrap();
    assert_eq!(scan.layout.pixel_data, None);
    assert_eq!(scan.header, data_set);
    assert_eq!(scan.layout.header_length(), data_set.len() as u64);
}

#[test]
fn float_pixels_are_pixels_and_icons_are_not() {
    let mut icon = DataSet::default();
    icon.put_bytes(Tag(0x7FE0, 0x0010), crate::dicom::VR::OB, vec![1; 4]);
    let mut image = DataSet::default();
    image.put_items(Tag(0x0088, 0x0200), vec![icon]);
    let header = image.write(Syntax::ExplicitLittle);
    for (number, vr) in [(8, "OF"), (9, "OD")] {
        let data_set = [header.clone(), element(0x7FE0, number, vr, &[0; 16])].concat();
        let scan = scan(&file(EXPLICIT, &data_set)).unwrap();
        assert_eq!(scan.header, header);
        let end = Some(scan.layout.ends_at);
        assert_eq!(scan.layout.pixel_data.map(|pixels| pixels.ends_at), end);
    }
}

#[test]
fn messages_carry_no_values() {
    let bytes = file(EXPLICIT, &element(0x0010, 0x0010, "ZZ", b"Secret"));
    let message = scan(&bytes[..bytes.len() - 2]).err().unwrap().to_string();
    assert!(!message.contains("Secret"), "{message}");
    assert!(message.contains("fetch or send it again"), "{message}");
}
