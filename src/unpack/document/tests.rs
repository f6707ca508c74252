//! Pictures, texts, films and XML, good and hostile, made by code.

#![expect(clippy::arithmetic_side_effects, reason = "sizes of samples are known")]

mod clinical;
mod films;
mod pages;

use std::io::Cursor;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::canvas::Picture;
use super::{Refused, film, jpeg, pdf, png, text, tiff, xml};
use crate::dicom::{BirthDate, Patient};
use crate::reconcile::encapsulate::{Codec, Pixels, Shot};
use crate::unpack::name::Name;

fn gradient(width: u16, height: u16, channels: u16) -> Vec<u8> {
    let pixel = |y: u16, x: u16| {
        (0..channels)
            .map(move |channel| u8::try_from((x * 3 + y * 2 + channel * 40) % 256).unwrap())
    };
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(y, x))).collect()
}

fn encoded(color: ColorType, set: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let channels = match color {
        ColorType::Luma => 1,
        ColorType::Rgb => 3,
        _ => 4,
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    set(&mut encoder);
    encoder.encode(&gradient(80, 64, channels), 80, 64, color).unwrap();
    bytes
}

fn subsampled() -> Vec<u8> {
    encoded(ColorType::Rgb, |encoder| encoder.set_sampling_factor(SamplingFactor::F_2_2))
}

/// Puts segments behind the start of the image.
fn with_segments(jpeg: &[u8], segments: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    for (marker, body) in segments {
        out.extend([0xFF, *marker]);
        out.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
        out.extend(*body);
    }
    out.extend(&jpeg[2..]);
    out
}

/// Make "Cam", orientation, and a place that nobody may learn.
fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"Exif\0\0MM\0*\0\0\0\x08\0\x02".to_vec();
    bytes.extend(b"\x01\x0f\0\x02\0\0\0\x04Cam\0");
    bytes.extend([1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    bytes.extend(b"\0\0\0\0GPS 52.5N 13.4E");
    bytes
}

fn read_jpeg(bytes: &[u8]) -> Result<(Picture, Vec<u8>), Refused> {
    let mut out = Vec::new();
    let length = u64::try_from(bytes.len()).unwrap();
    jpeg::read(&mut Cursor::new(bytes), length, &mut out).map(|picture| (picture, out))
}

fn read_png(bytes: &[u8]) -> Result<(Picture, Vec<u8>), Refused> {
    let mut out = Vec::new();
    png::read(Cursor::new(bytes), &mut out).map(|picture| (picture, out))
}

fn read_tiff(bytes: &[u8]) -> Result<(Picture, Vec<u8>), Refused> {
    let mut out = Vec::new();
    tiff::read(Cursor::new(bytes), &mut out).map(|picture| (picture, out))
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[test]
fn baseline_is_wrapped_without_place_and_comment() {
    let plain = subsampled();
    let noted = with_segments(&plain, &[(0xE1, &exif(1)), (0xFE, b"Praxis GPS"), (0xED, b"GPS")]);
    let with_more = [noted.as_slice(), b"GPS behind the end"].concat();
    let (picture, out) = read_jpeg(&with_more).unwrap();
    assert_eq!((picture.pixels, picture.shot), (Pixels::JpegYbr, Shot::Camera));
    assert_eq!((picture.size.columns, picture.size.rows), (80, 64));
    assert!(!contains(&out, b"GPS") && out == plain);
    let (gray, out) = read_jpeg(&encoded(ColorType::Luma, |_| {})).unwrap();
    assert_eq!((gray.pixels, gray.shot), (Pixels::JpegGray, Shot::Other));
    assert!(out.starts_with(b"\xff\xd8") && out.ends_with(b"\xff\xd9"));
}

#[test]
fn other_processes_are_decoded() {
    let progressive = encoded(ColorType::Rgb, |encoder| encoder.set_progressive(true));
    let cmyk = encoded(ColorType::Cmyk, |_| {});
    let full =
        encoded(ColorType::Rgb, |encoder| encoder.set_sampling_factor(SamplingFactor::F_1_1));
    for bytes in [progressive, cmyk, full] {
        let (picture, out) = read_jpeg(&bytes).unwrap();
        assert_eq!((picture.pixels, out.len()), (Pixels::Rgb8, 80 * 64 * 3));
        assert!(picture.lossy.is_some());
    }
    let gray = encoded(ColorType::Luma, |encoder| encoder.set_progressive(true));
    let (picture, out) = read_jpeg(&gray).unwrap();
    assert_eq!((picture.pixels, out.len()), (Pixels::Gray8, 80 * 64));
    let near = |a: u8, b: u8| a.abs_diff(b) < 12;
    assert!(out.iter().zip(gradient(80, 64, 1)).filter(|(a, b)| near(**a, *b)).count() > 4_500);
}

#[test]
fn what_exif_says_is_up_is_up() {
    let gray = encoded(ColorType::Luma, |_| {});
    let upright = read_jpeg(&encoded(ColorType::Luma, |e| e.set_progressive(true))).unwrap().1;
    for turn in 2..=8 {
        let (picture, out) = read_jpeg(&with_segments(&gray, &[(0xE1, &exif(turn))])).unwrap();
        let (width, height) = (usize::from(picture.size.columns), usize::from(picture.size.rows));
        assert_eq!((width, height), if turn >= 5 { (64, 80) } else { (80, 64) });
        assert_eq!(out.len(), 80 * 64);
        // Where the upper left corner of the stored picture has to be.
        let corner = match turn {
            2 => width - 1,
            3 => width * height - 1,
            4 => width * (height - 1),
            5 => 0,
            6 => width - 1,
            7 => width * height - 1,
            _ => width * (height - 1),
        };
        assert!(out[corner].abs_diff(upright[0]) < 8, "{turn}");
    }
}

#[test]
fn hostile_jpegs_are_refused() {
    let good = subsampled();
    for end in (0..good.len()).step_by(7) {
        assert!(read_jpeg(&good[..end]).is_err(), "{end}");
    }
    let frame = good.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let mut huge = good.clone();
    huge[frame + 5..frame + 9].fill(0xFF);
    assert!(read_jpeg(&huge).unwrap_err().0.contains("megapixels"));
    let mut none = good.clone();
    none[frame + 5..frame + 7].fill(0);
    assert!(read_jpeg(&none).is_err());
    let mut lossless = good.clone();
    lossless[frame + 1] = 0xC3;
    assert!(read_jpeg(&lossless).unwrap_err().0.contains("lossless"));
    // Progressive ones of 65535 x 1500 are decoded in memory, if at all.
    let mut wide = encoded(ColorType::Rgb, |encoder| encoder.set_progressive(true));
    let frame = wide.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
    wide[frame + 5..frame + 9].copy_from_slice(&[0x05, 0xDC, 0xFF, 0xFF]);
    assert!(read_jpeg(&wide).unwrap_err().0.contains("too large"));
    for at in 2..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 0x41;
        let _ = read_jpeg(&flipped);
    }
}

fn png_of(color: ::png::ColorType, depth: ::png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, 64, 48);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ::png::ColorType::Indexed {
        encoder.set_palette(vec![255, 0, 0, 0, 0, 255]);
        encoder.set_trns(vec![255, 0]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    drop(writer);
    bytes
}

#[test]
fn png_of_every_kind() {
    use ::png::{BitDepth, ColorType};
    let px = 64 * 48;
    let read = |color, depth, data: Vec<u8>| {
        let (picture, out) = read_png(&png_of(color, depth, &data)).unwrap();
        (picture.pixels, out.len() / px, out[..6].to_vec())
    };
    let (one, two) = (BitDepth::One, BitDepth::Sixteen);
    let eight = BitDepth::Eight;
    let found = read(ColorType::Grayscale, one, vec![0b1010_0000; px / 8]);
    assert_eq!(found, (Pixels::Gray8, 1, vec![255, 0, 255, 0, 0, 0]));
    let found = read(ColorType::Grayscale, two, [0x12, 0x34].repeat(px));
    assert_eq!(found, (Pixels::Gray16, 2, [0x34, 0x12].repeat(3)));
    let found = read(ColorType::GrayscaleAlpha, eight, [10, 0].repeat(px));
    assert_eq!(found, (Pixels::Gray8, 1, vec![255; 6]));
    let found = read(ColorType::Rgb, two, [0xFF, 0xFF, 0x80, 0x80, 0, 0].repeat(px));
    assert_eq!(found, (Pixels::Rgb8, 3, vec![255, 128, 0, 255, 128, 0]));
    let found = read(ColorType::Rgba, eight, [0, 100, 200, 128].repeat(px));
    assert_eq!(found, (Pixels::Rgb8, 3, vec![127, 177, 227, 127, 177, 227]));
    let found = read(ColorType::Indexed, eight, [0, 1].repeat(px / 2));
    assert_eq!(found, (Pixels::Rgb8, 3, vec![255, 0, 0, 255, 255, 255]));
}

#[test]
fn hostile_pngs_are_refused() {
    let (gray, eight) = (::png::ColorType::Grayscale, ::png::BitDepth::Eight);
    let good = png_of(gray, eight, &gradient(64, 48, 1));
    for end in 0..good.len() - 12 {
        assert!(read_png(&good[..end]).is_err(), "{end}");
    }
    // A head that claims 65000 x 65000, with its checksum.
    let mut huge = good.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xFD, 0xE8, 0, 0, 0xFD, 0xE8]);
    let mut crc = flate2::Crc::new();
    crc.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    assert!(read_png(&huge).unwrap_err().0.contains("megapixels"));
    // 10000 x 10000 pixels of 48 bits are within the pixels and beyond nothing, but the data are missing.
    huge[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
    huge[24..26].copy_from_slice(&[16, 2]);
    let mut crc = flate2::Crc::new();
    crc.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    assert!(read_png(&huge).is_err());
    for at in 8..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 0x11;
        let _ = read_png(&flipped);
    }
}

#[test]
fn texts_become_utf8() {
    let read = |bytes: &[u8]| {
        let mut out = Vec::new();
        let length = u64::try_from(bytes.len()).unwrap();
        text::read(&mut &*bytes, length, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    assert_eq!(read("Grüße\nEnde\n\n".as_bytes()).unwrap(), "Grüße\r\nEnde");
    assert_eq!(read(b"Gr\xfc\xdfe\r\n\tx").unwrap(), "Grüße\r\n    x");
    assert_eq!(read(b"\xff\xfeG\0r\0\xfc\0").unwrap(), "Grü");
    assert_eq!(read(b"\xef\xbb\xbfx").unwrap(), "x");
    for bad in [b"".as_slice(), b" \r\n ", b"a\0b", b"\x1b[31m", &[b'a'; (1 << 20) + 1]] {
        assert!(read(bad).is_err());
    }
}

#[test]
fn encrypted_pdfs_are_known() {
    let is_encrypted = |bytes: &[u8]| {
        let length = u64::try_from(bytes.len()).unwrap();
        pdf::is_encrypted(&mut Cursor::new(bytes), length).unwrap()
    };
    let filling = "x".repeat(200_000);
    let classic = |key: &str| {
        format!(
            "%PDF-1.4\n{filling}\nxref\n0 1\ntrailer\n<</Size 1{key}>>\nstartxref\n200010\n%%EOF\n"
        )
    };
    let stream = |key: &str| {
        format!(
            "\n%PDF-1.5\n{filling}\n9 0 obj<</Type/XRef{key}/W[1 2 1]>>stream\n{}endstream\nstartxref\n200010\n%%EOF",
            "\u{1}".repeat(70_000)
        )
    };
    let linear = |key: &str| {
        let first = format!("xref\n0 1\ntrailer\n<</Size 1{key}>>\nstartxref\n0\n%%EOF\n");
        format!("%PDF-1.4\n{first}{filling}trailer\n<</Size 1>>\nstartxref\n9\n%%EOF")
    };
    for key in ["/Encrypt 5 0 R", "/Encrypt<</V 2>>"] {
        assert!(is_encrypted(classic(key).as_bytes()));
        assert!(is_encrypted(stream(key).as_bytes()));
        assert!(is_encrypted(linear(key).as_bytes()));
        assert!(is_encrypted(format!("%PDF-1.4\ntrailer\n<<{key}>>").as_bytes()));
    }
    for key in ["", "/EncryptMetadata false"] {
        assert!(!is_encrypted(classic(key).as_bytes()));
        assert!(!is_encrypted(stream(key).as_bytes()));
        assert!(!is_encrypted(linear(key).as_bytes()));
    }
    let told = format!("%PDF-1.4\n(the key /Encrypt in a text){}", classic(""));
    for odd in ["", "%PDF-1.4", "startxref", "startxref\n99999999999999999999", told.as_str()] {
        assert!(!is_encrypted(odd.as_bytes()), "{odd}");
    }
}
