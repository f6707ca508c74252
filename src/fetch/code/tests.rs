use std::io::Write as _;

use super::*;

fn texts(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn only_one_link_is_meant() {
    let meant = |all: &[&str]| match link(&texts(all)) {
        Meant::None => "none".to_owned(),
        Meant::One(link) => link.url().to_string(),
        Meant::Several => "several".to_owned(),
    };
    assert_eq!(meant(&[]), "none");
    assert_eq!(meant(&["4F7K-92MX", "WIFI:T:WPA;S:x;;", "tel:+49", "javascript:alert(1)"]), "none");
    assert_eq!(meant(&["ftp://a.example/", "file:///etc/passwd", "data:text/html,x"]), "none");
    assert_eq!(meant(&["4711", "https://a.example/x"]), "https://a.example/x");
    assert_eq!(meant(&["http://b.example/", "https://a.example/x"]), "https://a.example/x");
    assert_eq!(meant(&["http://b.example/"]), "http://b.example/");
    assert_eq!(meant(&["https://a.example/x", "https://a.example/y"]), "several");
    assert_eq!(meant(&[" https://a.example/x ", "https://a.example/x"]), "https://a.example/x");
}

#[test]
fn only_pictures_and_documents_are_looked_at() {
    for head in
        [&b"\xff\xd8\xff\xe0"[..], b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"junk %PDF-1.4"]
    {
        assert!(may_show(head));
    }
    for head in [&b""[..], b"PK\x03\x04", b"\0\0DICM", b"<html>", b"\xff\xd8"] {
        assert!(!may_show(head));
    }
}

fn document(streams: &[(&str, &[u8])]) -> Vec<u8> {
    let mut made = b"%PDF-1.7\n".to_vec();
    for (dictionary, data) in streams {
        write!(made, "1 0 obj <<{dictionary}>>\nstream\n").unwrap();
        made.extend_from_slice(data);
        made.extend_from_slice(b"\nendstream\nendobj\n");
    }
    made
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut made = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    made.write_all(bytes).unwrap();
    made.finish().unwrap()
}

#[test]
fn hostile_documents_show_nothing() {
    let bomb = deflated(&vec![b'0'; 80 << 20]);
    let nested = [b"q ".repeat(100_000), b"1 1 m 2 2 l S ".repeat(4)].concat();
    let far = b"1e9 9999999999999999999999999999999999 m 0 -99999999999 l 5 5 l f ".repeat(20);
    let strings = b"(".repeat(100_000);
    let cases: Vec<Vec<u8>> = vec![
        document(&[("/Length 99999999999999999999", b"x")]),
        document(&[("/Length -5", b"x")]),
        document(&[("/Length 1 0 R", b"x")]),
        document(&[("/Filter /FlateDecode", &bomb)]),
        document(&[(
            "/Filter [/FlateDecode /FlateDecode /FlateDecode /FlateDecode /FlateDecode]",
            &bomb,
        )]),
        document(&[("/Subtype /Image /Width 99999999 /Height 99999999 /BitsPerComponent 8", b"x")]),
        document(&[("/Subtype /Image /Width 4000 /Height 4000 /BitsPerComponent 0", b"x")]),
        document(&[("/Subtype /Image /Width 4000 /Height 4000 /BitsPerComponent 77", &[7; 9000])]),
        document(&[(
            "/Subtype /Image /Width 100 /Height 100 /BitsPerComponent 8 /Predictor 15",
            &[4; 20_000],
        )]),
        document(&[("/Subtype /Image /Width 100 /Height 100 /Filter /DCTDecode", b"\xff\xd8\xff")]),
        document(&[(
            "/Subtype /Image /Width 100 /Height 100 /K -1 /Filter /CCITTFaxDecode",
            &[0; 50],
        )]),
        document(&[("", &nested), ("", &far), ("", &strings), ("", b"ID ID ID"), ("", b"/ / % ")]),
        b"%PDF-1.7 1 0 obj stream".to_vec(),
        b"%PDF-1.7 endstream stream stream".repeat(1000),
    ];
    for (number, case) in cases.iter().enumerate() {
        assert!(read(case).is_empty(), "case {number}");
        for cut in [10, case.len() / 2, case.len().saturating_sub(12)] {
            assert!(read(&case[..cut.min(case.len())]).is_empty(), "case {number} cut at {cut}");
        }
    }
}

#[test]
fn pictures_that_lie_about_their_size_are_not_decoded() {
    let mut png =
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\0\0\0\0".to_vec();
    png.extend_from_slice(&[0; 64]);
    assert!(read(&png).is_empty());
    let jpeg = b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0?\0\xff\xd9";
    assert!(read(jpeg).is_empty());
    let tiff = b"II*\0\x08\0\0\0\x02\0\0\x01\x04\0\x01\0\0\0\xff\xff\xff\x7f\x01\x01\x04\0\x01\0\0\0\xff\xff\xff\x7f\0\0\0\0";
    assert!(read(tiff).is_empty());
}

/// What a file may take of a processor, in a build that is not optimised.
fn in_time(file: &[u8]) {
    let before = crate::clock::computing_time();
    assert!(read(file).is_empty());
    let took = crate::clock::computing_time().saturating_sub(before);
    assert!(took < std::time::Duration::from_secs(40), "{took:?}");
}

#[test]
fn a_million_areas_over_each_other_end_soon() {
    let areas = deflated(&b"0 0 9 9 re f\n".repeat(1_000_000));
    assert!(areas.len() < 300_000, "{}", areas.len());
    let one = ("/Filter /FlateDecode", areas.as_slice());
    in_time(&document(&[one, one, one]));
    // One path of many lines through every row.
    let lines = [b"0 0 m ".to_vec(), b"1 9 l 2 0 l ".repeat(300_000), b"f".to_vec()].concat();
    let lines = [lines, b"0 0 1 1 re f ".repeat(8)].concat();
    in_time(&document(&[("/Filter /FlateDecode", &deflated(&lines))]));
}

#[test]
fn keywords_and_numbers_elsewhere_end_soon() {
    in_time(&[b"%PDF-1.7 ".to_vec(), b"stream".repeat(5_000_000)].concat());
    let mut lengths = b"%PDF-1.7\n".to_vec();
    lengths.extend(b"1 0 obj <</Length 9 0 R>>\nstream\nx\nendstream\nendobj\n".repeat(2_000));
    lengths.resize(30 << 20, b' ');
    in_time(&lengths);
}
