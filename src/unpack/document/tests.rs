//! Pictures, texts, films and XML, good and hostile, made by code.

#![expect(clippy::arithmetic_side_effects, reason = "sizes of samples are known")]

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

fn tiff_of(pages: &[(u32, u32, bool)]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = ::tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    for (width, height, color) in pages {
        let (w, h) = (u16::try_from(*width).unwrap(), u16::try_from(*height).unwrap());
        if *color {
            let data = gradient(w, h, 3);
            encoder
                .write_image::<::tiff::encoder::colortype::RGB8>(*width, *height, &data)
                .unwrap();
        } else {
            let data = gradient(w, h, 1);
            encoder
                .write_image::<::tiff::encoder::colortype::Gray8>(*width, *height, &data)
                .unwrap();
        }
    }
    bytes.into_inner()
}

#[test]
fn pages_become_frames() {
    let (picture, out) = read_tiff(&tiff_of(&[(64, 50, false), (60, 52, false)])).unwrap();
    assert_eq!((picture.pixels, picture.frames), (Pixels::Gray8, 2));
    assert_eq!((picture.size.columns, picture.size.rows), (64, 52));
    assert_eq!(out.len(), 2 * 64 * 52);
    assert_eq!(out[..64 * 50], gradient(64, 50, 1)[..]);
    assert_eq!(out[64 * 50..64 * 52], [255; 128]);
    assert_eq!(out[64 * 52..64 * 52 + 60], gradient(60, 52, 1)[..60]);
    assert_eq!(out[64 * 52 + 60..64 * 53], [255; 4]);
    let (mixed, out) = read_tiff(&tiff_of(&[(64, 50, true), (64, 50, false)])).unwrap();
    assert_eq!((mixed.pixels, out.len()), (Pixels::Rgb8, 2 * 64 * 50 * 3));
    assert_eq!(out[..64 * 50 * 3], gradient(64, 50, 3)[..]);
}

/// One strip; values as they are in little-endian TIFF.
fn tiff_by_hand(entries: &[(u16, u16, u32, u32)], data: &[u8]) -> Vec<u8> {
    let mut bytes = b"II*\0".to_vec();
    bytes.extend(u32::try_from(8 + data.len()).unwrap().to_le_bytes());
    bytes.extend(data);
    bytes.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend([0; 4]);
    bytes
}

fn bilevel(width: u32, height: u32, photometric: u32) -> Vec<(u16, u16, u32, u32)> {
    vec![
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 1),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, width.div_ceil(8).saturating_mul(height)),
    ]
}

#[test]
fn bilevel_scans_are_black_on_white() {
    for (photometric, first) in [(0, [0, 255, 255]), (1, [255, 0, 0])] {
        let data = [0b1000_0000, 0, 0, 0, 0, 0, 0].repeat(50);
        let (picture, out) =
            read_tiff(&tiff_by_hand(&bilevel(50, 50, photometric), &data)).unwrap();
        assert_eq!((picture.pixels, out.len()), (Pixels::Gray8, 2500));
        assert_eq!(out[..3], first);
    }
}

/// The entries with some of them replaced, or put where they belong.
fn with(
    mut entries: Vec<(u16, u16, u32, u32)>,
    more: &[(u16, u16, u32, u32)],
) -> Vec<(u16, u16, u32, u32)> {
    entries.retain(|entry| more.iter().all(|new| new.0 != entry.0));
    entries.extend(more);
    entries.sort_unstable();
    entries
}

/// Black in the first column of the first row only, as TIFF has it where bits begin with the highest.
fn dotted() -> Vec<u8> {
    let mut data = [0xFF; 7].repeat(50);
    data[0] = 0x7F;
    data
}

#[test]
fn pages_are_turned_as_they_say() {
    // 60 columns and 50 rows; the dot is in the upper left corner as it is stored.
    let mut wide = [0xFF; 8].repeat(50);
    wide[0] = 0x7F;
    for (orientation, columns, at) in [
        (1, 60, 0),
        (2, 60, 59),
        (3, 60, 60 * 50 - 1),
        (4, 60, 60 * 49),
        (5, 50, 0),
        (6, 50, 49),
        (7, 50, 50 * 60 - 1),
        (8, 50, 50 * 59),
        (0, 60, 0),
        (9, 60, 0),
    ] {
        let entries = with(bilevel(60, 50, 1), &[(274, 3, 1, orientation)]);
        let (picture, out) = read_tiff(&tiff_by_hand(&entries, &wide)).unwrap();
        assert_eq!(u32::from(picture.size.columns), columns, "{orientation}");
        assert_eq!(out.len(), 60 * 50);
        let black: Vec<usize> = (0..out.len()).filter(|place| out[*place] == 0).collect();
        assert_eq!(black, [at], "{orientation}");
    }
    // What is too large to be held twice is not delivered lying.
    let entries = with(bilevel(10_000, 9_000, 1), &[(274, 3, 1, 6)]);
    let data = vec![0; 9_000 * 1_250];
    assert!(read_tiff(&tiff_by_hand(&entries, &data)).unwrap_err().0.contains("on its side"));
}

#[test]
fn bits_may_begin_with_the_lowest() {
    let reversed = |data: &[u8]| data.iter().map(|byte| byte.reverse_bits()).collect::<Vec<_>>();
    let plain = read_tiff(&tiff_by_hand(&bilevel(50, 50, 1), &dotted())).unwrap().1;
    assert_eq!((plain[0], plain[1]), (0, 255));
    let entries = with(bilevel(50, 50, 1), &[(266, 3, 1, 2)]);
    let turned = read_tiff(&tiff_by_hand(&entries, &reversed(&dotted()))).unwrap().1;
    assert!(plain == turned);
    // Fax: 20 white, 10 black, 20 white in each row. One strip that never ends, as some programs write.
    let bits = ["0010001000000010", "01", &"111".repeat(49), "000000000001000000000001"].concat();
    let bits: Vec<u8> = bits.bytes().map(|bit| bit - b'0').collect();
    let fax: Vec<u8> = bits
        .chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |all, (at, bit)| all | bit << (7 - at)))
        .collect();
    let length = u32::try_from(fax.len()).unwrap();
    for (order, data) in [(1, fax.clone()), (2, reversed(&fax))] {
        for rows in [50, u32::MAX] {
            let entries = with(
                bilevel(50, 50, 0),
                &[(259, 3, 1, 4), (266, 3, 1, order), (278, 4, 1, rows), (279, 4, 1, length)],
            );
            let (_, out) = read_tiff(&tiff_by_hand(&entries, &data)).unwrap();
            for row in out.chunks(50) {
                assert!(row[..20] == [255; 20] && row[20..30] == [0; 10] && row[30..] == [255; 20]);
            }
        }
    }
    // Nobody agrees on what it means for bytes.
    let entries = with(bilevel(50, 50, 1), &[(258, 3, 1, 8), (266, 3, 1, 2), (279, 4, 1, 2500)]);
    assert!(read_tiff(&tiff_by_hand(&entries, &[7; 2500])).unwrap_err().0.contains("as PNG"));
}

#[test]
fn palettes_are_as_long_as_they_have_to_be() {
    let page = |colors: u32| {
        let entries =
            with(bilevel(50, 50, 3), &[(258, 3, 1, 8), (279, 4, 1, 2500), (320, 3, colors, 2508)]);
        read_tiff(&tiff_by_hand(&entries, &[vec![1; 2500], vec![0x80; 100_000]].concat()))
    };
    let (picture, out) = page(768).unwrap();
    assert_eq!((picture.pixels, out[0]), (Pixels::Rgb8, 128));
    // Two thousand pages with the largest tag would keep gigabytes.
    for colors in [767, 769, 50_000] {
        assert!(page(colors).is_err(), "{colors}");
    }
}

#[test]
fn jpeg_strips_are_no_larger_than_strips() {
    let mut jpeg = Vec::new();
    let encoder = Encoder::new(&mut jpeg, 90);
    encoder.encode(&gradient(64, 64, 1), 64, 64, ColorType::Luma).unwrap();
    let read = |jpeg: &[u8]| {
        let length = u32::try_from(jpeg.len()).unwrap();
        let strip = [(258, 3, 1, 8), (259, 3, 1, 7), (279, 4, 1, length)];
        read_tiff(&tiff_by_hand(&with(bilevel(64, 64, 1), &strip), jpeg))
    };
    assert_eq!(read(&jpeg).unwrap().1.len(), 64 * 64);
    let frame = jpeg.windows(2).position(|two| two == [0xFF, 0xC0]).unwrap();
    let sized = |rows: u16, columns: u16| {
        let mut jpeg = jpeg.clone();
        jpeg[frame + 5..frame + 7].copy_from_slice(&rows.to_be_bytes());
        jpeg[frame + 7..frame + 9].copy_from_slice(&columns.to_be_bytes());
        read(&jpeg).map(|_| ()).unwrap_err().0
    };
    for (rows, columns) in [(16_000, 16_000), (65, 64), (64, 65)] {
        assert!(sized(rows, columns).contains("JPEG strips"), "{rows} {columns}");
    }
    // The tables in front may hold no frame of their own.
    let (front, behind) = jpeg.split_at(frame);
    let own = [front, &jpeg[frame..frame + 13], behind].concat();
    assert!(read(&own).is_err());
}

#[test]
fn pages_together_are_no_longer_than_the_file() {
    let one = tiff_by_hand(&bilevel(64, 64, 1), &[0; 512]);
    assert!(read_tiff(&one).is_ok());
    // A second directory for the same strip.
    let directory = &one[520..];
    let mut two = [&one[..], directory].concat();
    let end = one.len();
    two[end - 4..end].copy_from_slice(&u32::try_from(end).unwrap().to_le_bytes());
    assert!(read_tiff(&two).unwrap_err().0.contains("longer than the file"));
    let entries = with(bilevel(64, 64, 1), &[(279, 4, 1, 10_000)]);
    assert!(read_tiff(&tiff_by_hand(&entries, &[0; 512])).is_err());
}

#[test]
fn hostile_tiffs_are_refused() {
    let good = tiff_of(&[(64, 50, false), (64, 50, true)]);
    for end in (0..good.len()).step_by(131) {
        let _ = read_tiff(&good[..end]);
    }
    // Headers and directories, and a little of the pixels.
    let plain = |at: &usize| (200..3_100).contains(at) || (3_600..12_700).contains(at);
    for at in (0..good.len()).filter(|at| !plain(at) || at % 97 == 0) {
        let mut flipped = good.clone();
        flipped[at] ^= 0x21;
        let _ = read_tiff(&flipped);
    }
    let refused = |bytes: &[u8]| read_tiff(bytes).unwrap_err().0;
    assert!(refused(&tiff_by_hand(&bilevel(60_000, 60_000, 0), &[0; 16])).contains("megapixels"));
    assert!(refused(&tiff_by_hand(&bilevel(10_000, 10_000, 0), &[0; 16])).contains("TIFF"));
    assert!(refused(&tiff_by_hand(&bilevel(20, 90, 0), &[0; 270])).contains("icon"));
    assert!(read_tiff(&tiff_by_hand(&bilevel(0, 0, 0), &[0; 16])).is_err());
    // A directory that names itself as the next one.
    let mut endless = tiff_by_hand(&bilevel(64, 64, 0), &[0; 512]);
    let end = endless.len();
    endless[end - 4..].copy_from_slice(&520_u32.to_le_bytes());
    assert!(read_tiff(&endless).is_err());
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

fn read_xml(name: &str, text: &str) -> Result<xml::Document, Refused> {
    let length = u64::try_from(text.len()).unwrap();
    xml::read(&mut text.as_bytes(), length, &Name::new(name))
}

const CDA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- made for a test --><ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2.276.0.76" extension="A&amp;7"/>
<code code="11490-0" codeSystem="2.16.840.1.113883.6.1" displayName="Arztbrief"/><title>Brief &lt;1&gt;
 M&#252;ller</title><component><section><title>Other</title><id root="9.9"/></section></component></ClinicalDocument>"#;

#[test]
fn clinical_documents_tell_their_identity() {
    let Ok(xml::Document::Clinical(cda, title, patient)) = read_xml("a.xml", CDA) else {
        panic!("CDA")
    };
    assert_eq!(patient, Patient::default());
    assert_eq!(cda.id, "1.2.276.0.76^A&7");
    assert_eq!(cda.code.unwrap().meaning, "Arztbrief");
    assert_eq!(title.as_deref(), Some("Brief <1> Müller"));
}

#[test]
fn clinical_documents_tell_their_patient() {
    let told = |targets: &str| {
        let target = "<component><section>";
        let text = CDA.replace(target, &format!("{targets}{target}"));
        match read_xml("a.xml", &text) {
            Ok(xml::Document::Clinical(_, _, patient)) => patient,
            other => panic!("{other:?}"),
        }
    };
    let target = |inner: &str| {
        let role = format!("<patientRole><id root=\"1.2\"/><patient>{inner}</patient>");
        format!("<recordTarget>{role}</patientRole></recordTarget>")
    };
    let erika = target(
        "<name><given>Erika</given> <given>Anna</given><family>Muster</family></name>
         <name use=\"BIR\"><family>Beispiel</family></name><birthTime value=\"19640812103000+0100\"/>",
    );
    let found = told(&erika);
    assert_eq!(found.birth_date, BirthDate::parse("19640812"));
    assert_eq!(found.name.unwrap().as_str(), "Muster^Erika Anna");
    // Twins say nothing, and neither does half a date.
    assert_eq!(told(&erika.repeat(2)), Patient::default());
    let half = target("<name>Erika Muster</name><birthTime value=\"1964\"/>");
    assert_eq!(told(&half), Patient::default());
    let author = erika.replace("recordTarget", "author");
    assert_eq!(told(&author), Patient::default());
}

/// A walk over all attributes for each that stands there twice would take minutes.
#[test]
fn attributes_by_the_hundred_thousand_are_read_once() {
    let many: String = (0..200_000).map(|n| format!(" a{n}=\"\"")).collect();
    let text = CDA.replace("<title>", &format!("<code{many}{many}/><title>"));
    let begun = std::time::Instant::now();
    assert!(matches!(read_xml("a.xml", &text), Ok(xml::Document::Clinical(..))));
    assert!(begun.elapsed().as_secs() < 20);
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

#[test]
fn hostile_xml_is_refused() {
    let root = CDA.find("<ClinicalDocument").unwrap();
    let outside = r#"<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>"#;
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>"#;
    for kind in [outside, bomb] {
        let text = format!("{}{kind}{}", &CDA[..root], &CDA[root..]);
        assert!(read_xml("a.xml", &text).unwrap_err().0.contains("document type"));
    }
    let entity = CDA.replace("&lt;", "&x;");
    assert!(read_xml("a.xml", &entity).is_err());
    let deep = format!("<ClinicalDocument>{}", "<a>".repeat(100_000));
    assert!(read_xml("a.xml", &deep).is_err());
    for end in 0..CDA.len() {
        if CDA.is_char_boundary(end) {
            assert!(read_xml("a.xml", &CDA[..end]).is_err(), "{end}");
        }
    }
    assert!(read_xml("a.xml", "<config/>").unwrap_err().0.contains("not a clinical"));
    assert!(read_xml("a.xml", "<ClinicalDocument/>").unwrap_err().0.contains("identifier"));
}

#[test]
fn metadata_of_a_medium_names_its_documents() {
    let text = r#"<lcm:SubmitObjectsRequest xmlns:lcm="l" xmlns:rim="r"><rim:RegistryObjectList>
        <rim:ExtrinsicObject mimeType="application/pdf"><rim:Slot name="hash"><rim:ValueList><rim:Value>ab</rim:Value>
        </rim:ValueList></rim:Slot><rim:Slot name="URI"><rim:ValueList><rim:Value>DOC0001.PDF</rim:Value></rim:ValueList>
        </rim:Slot><rim:Name><rim:LocalizedString value="Befund Thorax"/></rim:Name><rim:Classification><rim:Name>
        <rim:LocalizedString value="class"/></rim:Name></rim:Classification></rim:ExtrinsicObject>
        <rim:ExtrinsicObject><rim:Name><rim:LocalizedString value="no file"/></rim:Name></rim:ExtrinsicObject>
        </rim:RegistryObjectList></lcm:SubmitObjectsRequest>"#;
    let Ok(xml::Document::Titles(titles)) = read_xml("IHE_XDM/SUBSET01/METADATA.XML", text) else {
        panic!("titles")
    };
    let expected = ("IHE_XDM/SUBSET01/DOC0001.PDF".to_owned(), "Befund Thorax".to_owned());
    assert_eq!(titles.0.into_iter().collect::<Vec<_>>(), [expected]);
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&length, kind.as_slice(), body].concat()
}

fn movie(entry: &[u8; 4], configuration: &[u8]) -> Vec<u8> {
    let mut fields = [0; 78];
    fields[24..28].copy_from_slice(&[2, 0x80, 1, 0xE0]);
    let entry = boxed(entry, &[&fields, configuration].concat());
    let description = boxed(b"stsd", &[[0, 0, 0, 0, 0, 0, 0, 1].as_slice(), &entry].concat());
    let sizes = boxed(b"stsz", &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 50]);
    let table = boxed(b"stbl", &[description, sizes].concat());
    let mut header = [0; 24];
    header[12..16].copy_from_slice(&1000_u32.to_be_bytes());
    header[16..20].copy_from_slice(&2000_u32.to_be_bytes());
    let handler = boxed(b"hdlr", b"\0\0\0\0\0\0\0\0vide\0\0\0\0\0\0\0\0\0\0\0\0");
    let media = [boxed(b"mdhd", &header), handler, boxed(b"minf", &table)].concat();
    let place = boxed(b"udta", b"\0\0\0\x14\xa9xyz+52.5+013.4");
    let track = boxed(b"trak", &[boxed(b"mdia", &media), place.clone()].concat());
    let head = boxed(b"ftyp", b"isom\0\0\0\0");
    [head, boxed(b"moov", &[track, place].concat()), boxed(b"mdat", &[7; 30])].concat()
}

fn avc(profile: u8, level: u8) -> Vec<u8> {
    movie(b"avc1", &boxed(b"avcC", &[1, profile, 0, level, 0xFF]))
}

fn read_film(bytes: &[u8]) -> Result<film::Film, Refused> {
    film::read(&mut Cursor::new(bytes), u64::try_from(bytes.len()).unwrap())
}

#[test]
fn films_tell_codec_and_frames_and_lose_their_place() {
    let bytes = avc(100, 31);
    let film = read_film(&bytes).unwrap();
    let video = &film.video;
    assert_eq!((video.columns, video.rows, video.frames), (640, 480, 50));
    assert_eq!((video.frame_micros, video.codec), (40_000, Codec::H264High41));
    let mut out = Vec::new();
    film::copy(&film, &mut bytes.as_slice(), &mut out).unwrap();
    assert_eq!(out.len(), bytes.len());
    assert!(contains(&bytes, b"+52.5") && !contains(&out, b"+52.5"));
    assert_eq!(read_film(&out).unwrap().video, film.video);
    assert_eq!(read_film(&avc(100, 42)).unwrap().video.codec, Codec::H264High42);
    let hevc = boxed(b"hvcC", &[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 120, 0]);
    assert_eq!(read_film(&movie(b"hvc1", &hevc)).unwrap().video.codec, Codec::H265Main51);
}

#[test]
fn boxes_with_a_large_length_keep_it() {
    let large = b"\0\0\0\x01udta\0\0\0\0\0\0\0\x20+52.5+013.4/////";
    let bytes = [avc(100, 31), large.to_vec(), boxed(b"free", b"")].concat();
    let film = read_film(&bytes).unwrap();
    let mut out = Vec::new();
    film::copy(&film, &mut bytes.as_slice(), &mut out).unwrap();
    assert!(out.len() == bytes.len() && !contains(&out, b"+52.5"));
    assert_eq!(read_film(&out).unwrap().video, film.video);
    assert!(contains(&out, b"\0\0\0\x01free\0\0\0\0\0\0\0\x20\0\0"));
}

#[test]
fn quicktime_is_not_called_mp4() {
    let with = |brands: &[u8]| {
        let rest = avc(100, 31)[16..].to_vec();
        read_film(&[boxed(b"ftyp", brands), rest].concat()).map(|_| ()).err()
    };
    assert_eq!(with(b"isom\0\0\0\0qt  "), None);
    assert_eq!(with(b"qt  \0\0\0\0qt  mp42"), None);
    assert!(with(b"qt  \0\0\0\0qt  ").unwrap().0.contains("QuickTime"));
}

#[test]
fn hostile_films_are_refused() {
    for (profile, level) in [(66, 30), (77, 31), (100, 51), (110, 40), (0, 0)] {
        assert!(read_film(&avc(profile, level)).is_err_and(|error| error.0.contains("profile")));
    }
    let good = avc(100, 31);
    for end in 0..good.len() {
        assert!(read_film(&good[..end]).is_err(), "{end}");
    }
    for at in 0..good.len() {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut changed = good.clone();
            changed[at] = value;
            let _ = read_film(&changed);
        }
    }
    let mut deep = Vec::new();
    for _ in 0..20_000 {
        deep = boxed(b"trak", &deep);
    }
    assert!(read_film(&[boxed(b"moov", &deep), good[..0].to_vec()].concat()).is_err());
    let many = boxed(b"free", b"").repeat(10_000);
    assert!(read_film(&[boxed(b"moov", &many), many].concat()).is_err());
    let fragments = [good, boxed(b"moof", b"")].concat();
    assert!(read_film(&fragments).is_err_and(|error| error.0.contains("fragments")));
}
