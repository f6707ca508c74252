//! Pages of TIFF.

use super::*;

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
