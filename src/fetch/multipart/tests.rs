use super::*;

const TYPE: &str = "multipart/related; type=\"application/dicom\"; boundary=\"x y\"";

/// Everything that a body gives, pushed in pieces of `size`.
fn read(content_type: &str, body: &[u8], size: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let mut parser = Multipart::new(content_type, 10)?;
    let mut pieces = body.chunks(size);
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut open = false;
    loop {
        match parser.step()? {
            Step::Part(_) => {
                assert!(!open);
                open = true;
                parts.push(Vec::new());
            }
            Step::Bytes(bytes) => {
                assert!(open && !bytes.is_empty());
                parts.last_mut().unwrap().extend_from_slice(&bytes);
            }
            Step::PartEnds => {
                assert!(open);
                open = false;
            }
            Step::Ends => {
                parser.end()?;
                return Ok(parts);
            }
            Step::More => match pieces.next() {
                Some(piece) => parser.push(piece),
                None => return parser.end().map(|()| parts),
            },
        }
    }
}

#[test]
fn parts_come_out_as_they_went_in_however_they_are_cut() {
    let tricky = b"\r\n--x\r\n--x z\r\n--x y!\r\n-".as_slice();
    let mut body =
        b"some preamble\r\n--x y \t\r\nContent-Type: application/dicom; a=b\r\nContent-Length: "
            .to_vec();
    body.extend_from_slice(tricky.len().to_string().as_bytes());
    body.extend_from_slice(b"\r\n\r\n");
    body.extend_from_slice(tricky);
    body.extend_from_slice(b"\r\n--x y\r\n\r\nsecond\r\n\r\n--x y--\r\nepilogue");
    for size in [1, 2, 3, 7, 64, 4096] {
        let parts = read(TYPE, &body, size).unwrap();
        assert_eq!(parts, [tricky.to_vec(), b"second\r\n".to_vec()], "in pieces of {size}");
    }
    let at_once = b"--x y\r\n\r\nalone\r\n--x y--";
    assert_eq!(read(TYPE, at_once, 5).unwrap(), [b"alone".to_vec()]);
    assert_eq!(read(TYPE, b"--x y--", 5).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn what_lies_or_breaks_off_is_refused() {
    let head = "--x y\r\nContent-Type: application/dicom\r\n";
    let long = "a".repeat(LONGEST_PREAMBLE + 200);
    let many = "--x y\r\n\r\nz\r\n".repeat(11);
    let wide = format!("--x y\r\nx: {}", "a".repeat(LONGEST_HEADERS + 20));
    let cases: Vec<(String, Fault)> = vec![
        (String::new(), Fault::NoBoundary),
        (long, Fault::NoBoundary),
        ("--other\r\n\r\nabc\r\n--other--".into(), Fault::NoBoundary),
        (format!("{head}\r\nabc"), Fault::Cut),
        (format!("{head}\r\nabc\r\n--x y"), Fault::Cut),
        (format!("{head}\r\nabc\r\n--x y\r\n"), Fault::Cut),
        (format!("{head}Content-Length: 4\r\n\r\nabc\r\n--x y--"), Fault::Length),
        (format!("{head}Content-Length: 2\r\n\r\nabc\r\n--x y--"), Fault::Length),
        (format!("{head}Content-Length: many\r\n\r\nabc\r\n--x y--"), Fault::Length),
        (format!("{head}Content-Encoding: gzip\r\n\r\nabc\r\n--x y--"), Fault::Headers),
        ("--x y\r\nno header\r\n\r\nabc\r\n--x y--".into(), Fault::Headers),
        (wide, Fault::Headers),
        (many, Fault::TooManyParts),
    ];
    for (body, fault) in cases {
        for size in [1, 1000, 1 << 20] {
            let front = body.get(..60).unwrap_or(&body);
            assert_eq!(read(TYPE, body.as_bytes(), size), Err(fault), "{front:?}");
        }
    }
    let boundary = "b".repeat(LONGEST_BOUNDARY + 1);
    for kind in [
        "text/html; boundary=x",
        "multipart/related",
        "multipart/related; boundary=",
        "multipart/related; boundary=\"a\tb\"",
        &format!("multipart/related; boundary={boundary}"),
    ] {
        assert_eq!(read(kind, b"--x--", 5), Err(Fault::Type), "{kind}");
    }
}

#[test]
fn parts_of_a_recipe_s_portal_are_the_same_however_they_come() {
    let kind = "multipart/related; boundary=b";
    let body =
        b"preamble\r\n--b\r\nContent-Type: application/dicom\r\n\r\none\r\n-\r\n--\r\n--b  \r\n\
        \r\n\r\n--b\r\nX: y\r\n\r\nthree\r\r\n--b--\r\nepilogue";
    for size in 1..body.len() {
        let parts = read(kind, body, size).unwrap();
        assert_eq!(parts, [&b"one\r\n-\r\n--"[..], b"", b"three\r"], "{size}");
    }
    assert_eq!(read(kind, b"--b--", 3).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(read(kind, b"--b\r\n\r\nx\r\n--b--", 2).unwrap(), [b"x".to_vec()]);
    for bad in [&b""[..], b"--b", b"--b\r\n\r\nx", b"--b\r\n\r\nx\r\n--c--", b"--b?\r\n", b"x"] {
        assert!(read(kind, bad, 4).is_err(), "{bad:?}");
    }
    assert!(read(kind, &vec![b'x'; 100_000], 1000).is_err());
    let endless = [b"--b\r\n".to_vec(), vec![b'x'; 100_000]].concat();
    assert!(read(kind, &endless, 1000).is_err());
    let spaced = "multipart/related; type=\"application/dicom\"; boundary=\"a b\"";
    assert_eq!(read(spaced, b"--a b--", 3).unwrap(), Vec::<Vec<u8>>::new());
    for bad in
        ["application/json", "multipart/related", "multipart/related; boundary=", "multipart"]
    {
        assert_eq!(read(bad, b"--b--", 3), Err(Fault::Type), "{bad}");
    }
}
