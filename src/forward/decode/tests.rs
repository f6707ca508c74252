//! Streams that are made here, and what a stranger may make of them.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an encoder of small pictures, whose values are looked at bit by bit"
)]

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::dicom::Element;
use crate::forward::tests::{layout, uid};

mod jpegls;

/// An 8 by 8 gray code-stream by OpenJPEG, value `17x + 9y` modulo 256.
const J2K: &str = "ff4fff510029000000000008000000080000000000000000000000080000000800000000000000000001070101ff52000c000000010003\
04040001ff5c000d4040484850484850484850ff640025000143726561746564206279204f70656e4a5045472076657273696f6e20322e352e34\
ff90000a0000000000380001ff93cfb408072fc7da050fa808041f02bfc3ea0383e7060d01ef0b3c62c1f38481f20400221a1057037fdd5fffd9";

fn j2k() -> Vec<u8> {
    let digits: Vec<char> = J2K.chars().collect();
    digits
        .chunks(2)
        .map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn picture() -> Vec<u8> {
    (0..64_u32).map(|n| ((n % 8 * 17 + n / 8 * 9) % 256) as u8).collect()
}

/// Bits behind each other, stuffed.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Out {
    fn put(&mut self, value: u32, count: u32) {
        for n in (0..count).rev() {
            self.held = self.held << 1 | (value >> n & 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.held as u8);
                if self.held == 0xFF {
                    self.bytes.push(0);
                }
                (self.held, self.count) = (0, 0);
            }
        }
    }

    fn fill(&mut self) {
        while self.count > 0 {
            self.put(1, 1);
        }
    }
}

/// A lossless JPEG of one component: every category has a code of five bits. `lines` to a restart interval.
fn lossless(
    values: &[u16],
    columns: usize,
    precision: u8,
    predictor: u8,
    shift: u32,
    lines: usize,
) -> Vec<u8> {
    let rows = values.len() / columns;
    let two = |n: usize| (n as u16).to_be_bytes();
    let mut stream = vec![0xFF, 0xD8, 0xFF, 0xC4, 0, 36, 0];
    stream.extend([0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    stream.extend(0..17);
    stream.extend([0xFF, 0xDD, 0, 4]);
    stream.extend(two(lines * columns));
    stream.extend([0xFF, 0xC3, 0, 11, precision]);
    stream.extend(two(rows));
    stream.extend(two(columns));
    stream.extend([1, 1, 0x11, 0, 0xFF, 0xDA, 0, 8, 1, 1, 0, predictor, 0, shift as u8]);
    let at = |y: usize, x: usize| i32::from(values[y * columns + x] >> shift);
    let mut out = Out::default();
    for y in 0..rows {
        let first = if lines == 0 { y == 0 } else { y % lines == 0 };
        if first && y > 0 {
            out.fill();
            out.bytes.extend([0xFF, 0xD0 | ((y / lines - 1) % 8) as u8]);
        }
        for x in 0..columns {
            let predicted = match (first, x) {
                (true, 0) => 1 << (u32::from(precision) - shift - 1),
                (true, _) => at(y, x - 1),
                (false, 0) => at(y - 1, 0),
                (false, _) => {
                    let (a, b, c) = (at(y, x - 1), at(y - 1, x), at(y - 1, x - 1));
                    [a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1]
                        [usize::from(predictor) - 1]
                }
            };
            let mut difference = at(y, x) - predicted;
            difference = (difference + 32768).rem_euclid(65536) - 32768;
            if difference == -32768 {
                out.put(16, 5);
                continue;
            }
            let category = 32 - difference.unsigned_abs().leading_zeros();
            out.put(category, 5);
            let low = if difference < 0 { difference - 1 } else { difference };
            out.put(low as u32, category);
        }
    }
    out.fill();
    stream.extend(out.bytes);
    stream.extend([0xFF, 0xD9]);
    stream
}

/// One segment of literals and one run.
fn rle(values: &[u8]) -> Vec<u8> {
    let mut stream = vec![1, 0, 0, 0, 64, 0, 0, 0];
    stream.resize(64, 0);
    for part in values.chunks(128) {
        stream.push(part.len() as u8 - 1);
        stream.extend(part);
    }
    stream
}

struct Made {
    rows: u16,
    columns: u16,
    samples: u16,
    bits: u16,
    frames: u32,
}

const EIGHT: Made = Made { rows: 8, columns: 8, samples: 1, bits: 8, frames: 1 };

fn header(made: &Made) -> DataSet {
    let mut data = DataSet::default();
    put_number(&mut data, tags::ROWS, made.rows);
    put_number(&mut data, tags::COLUMNS, made.columns);
    put_number(&mut data, tags::SAMPLES_PER_PIXEL, made.samples);
    put_number(&mut data, tags::BITS_ALLOCATED, made.bits);
    let photometric: &[u8] = if made.samples == 3 { b"RGB" } else { b"MONOCHROME2" };
    data.put_bytes(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric.to_vec());
    data.put_bytes(tags::NUMBER_OF_FRAMES, VR::IS, made.frames.to_string().into_bytes());
    data
}

/// What an object with these fragments, the first of which is the offset table, becomes.
fn decoded(
    made: &Made,
    syntax: &str,
    fragments: Vec<Vec<u8>>,
) -> Result<(DataSet, Vec<u8>), Fault> {
    let mut data = header(made);
    let value = Value::Fragments(fragments);
    data.insert(tags::PIXEL_DATA, Element { vr: VR::OB, value });
    decoded_of(data, syntax)
}

fn decoded_of(data: DataSet, syntax: &str) -> Result<(DataSet, Vec<u8>), Fault> {
    let bytes = data.write(Syntax::ExplicitLittle);
    let layout = layout(&bytes, syntax);
    let mut header = data;
    header.remove(tags::PIXEL_DATA);
    let mut reader = Cursor::new(&bytes);
    let decoding = Decoding::begin(&mut reader, &layout, &mut header)?;
    let mut out = decoding.head(Syntax::ExplicitLittle);
    decoding.stream(&mut reader, &mut |bytes| {
        out.extend_from_slice(&bytes);
        Ok(())
    })?;
    Ok((header, out))
}

fn why<T>(result: Result<T, Fault>) -> String {
    match result {
        Ok(_) => "it was decoded".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn each_codec_gives_the_pixels() {
    let wide: Vec<u16> = picture().iter().map(|value| u16::from(*value) * 257).collect();
    let gray: Vec<u16> = picture().into_iter().map(u16::from).collect();
    for (syntax, stream) in [
        (uids::RLE_LOSSLESS, rle(&picture())),
        (uids::JPEG_LOSSLESS, lossless(&gray, 8, 8, 5, 0, 0)),
        (uids::JPEG2000_LOSSLESS, j2k()),
    ] {
        let (header, out) = decoded(&EIGHT, syntax, vec![vec![], stream]).unwrap();
        assert_eq!(out[..12], *b"\xE0\x7F\x10\x00OB\0\0\x40\0\0\0");
        assert_eq!(out[12..], picture(), "{syntax}");
        assert!(header.get(tags::LOSSY_IMAGE_COMPRESSION).is_none());
    }
    for predictor in 1..=7 {
        for (shift, lines) in [(0, 0), (0, 2), (3, 0)] {
            let stream = lossless(&wide, 8, 16, predictor, shift, lines);
            let shape = Made { bits: 16, ..EIGHT };
            let (_, out) = decoded(&shape, uids::JPEG_LOSSLESS, vec![vec![], stream]).unwrap();
            let expected: Vec<u8> =
                wide.iter().flat_map(|value| (value >> shift << shift).to_le_bytes()).collect();
            assert_eq!(out[12..], expected, "{predictor} {shift} {lines}");
        }
    }
}

#[test]
fn jpeg_of_eight_bits_tells_that_it_was_lossy() {
    let mut stream = Vec::new();
    let rgb: Vec<u8> = picture().iter().flat_map(|value| [*value, 128, 255 - *value]).collect();
    let encoder = jpeg_encoder::Encoder::new(&mut stream, 100);
    encoder.encode(&rgb, 8, 8, jpeg_encoder::ColorType::Rgb).unwrap();
    let mut data = header(&Made { samples: 3, ..EIGHT });
    put_number(&mut data, tags::PLANAR_CONFIGURATION, 1);
    data.put_bytes(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, b"YBR_FULL_422".to_vec());
    let fragments = Value::Fragments(vec![vec![], stream]);
    data.insert(tags::PIXEL_DATA, Element { vr: VR::OB, value: fragments });
    let (header, out) = decoded_of(data, uids::JPEG_BASELINE8_BIT).unwrap();
    assert_eq!(out.len(), 12 + 192);
    let near = out[12..].iter().zip(&rgb).all(|(got, want)| got.abs_diff(*want) < 48);
    assert!(near, "{:?}", &out[12..]);
    assert_eq!(header.text(tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some("RGB"));
    assert_eq!(header.u16(tags::PLANAR_CONFIGURATION), Some(0));
    assert_eq!(header.text(tags::LOSSY_IMAGE_COMPRESSION).as_deref(), Some("01"));
}

#[test]
fn frames_are_found_by_table_by_number_and_by_how_they_begin() {
    let values = |n: u16| (0..64).map(|at| at * 3 + n).collect::<Vec<u16>>();
    let frames: Vec<Vec<u8>> =
        (0..3).map(|n| lossless(&values(n), 8, 16, 1, 0, 0)).map(even).collect();
    let expected: Vec<u8> = (0..3).flat_map(values).flat_map(u16::to_le_bytes).collect();
    let made = Made { bits: 16, frames: 3, ..EIGHT };
    // Each frame in two fragments.
    let mut halves = vec![];
    let (mut basic, mut extended, mut at) = (vec![], vec![], 0_u64);
    for frame in &frames {
        basic.extend((at as u32).to_le_bytes());
        extended.extend(at.to_le_bytes());
        let (one, other) = frame.split_at(frame.len() / 4 * 2);
        at += (frame.len() + 16) as u64;
        halves.extend([one.to_vec(), other.to_vec()]);
    }
    let with = |table: Vec<u8>| [vec![table], halves.clone()].concat();
    for fragments in [[vec![vec![]], frames.clone()].concat(), with(basic), with(vec![])] {
        let (_, out) = decoded(&made, uids::JPEG_LOSSLESS, fragments).unwrap();
        assert_eq!(out[12..], expected);
    }
    let mut data = header(&made);
    data.put_bytes(OFFSETS[0], VR::OV, extended);
    let value = Value::Fragments(with(vec![]));
    data.insert(tags::PIXEL_DATA, Element { vr: VR::OB, value });
    let (header, out) = decoded_of(data, uids::JPEG_LOSSLESS).unwrap();
    assert_eq!(out[12..], expected);
    assert!(header.get(OFFSETS[0]).is_none());
    // RLE has no start to be known by.
    let halves = vec![vec![], rle(&picture()), vec![0, 0]];
    let told = why(decoded(&Made { frames: 3, ..EIGHT }, uids::RLE_LOSSLESS, halves));
    assert!(told.contains("cannot be told apart"), "{told}");
}

fn even(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

#[test]
fn what_cannot_be_native_is_refused_in_a_sentence() {
    let stream = || vec![vec![], rle(&picture())];
    let refused = |made: Made, words: &str| {
        let told = why(decoded(&made, uids::RLE_LOSSLESS, stream()));
        assert!(told.contains(words) && told.contains("then retry"), "{told}");
    };
    refused(Made { rows: 65535, columns: 65535, ..EIGHT }, "64 million");
    refused(
        Made { rows: 8192, columns: 8192, frames: 65, ..EIGHT },
        "longer than an object can be",
    );
    refused(Made { frames: 0, ..EIGHT }, "not as large");
    refused(Made { rows: 0, ..EIGHT }, "not as large");
    refused(Made { rows: 9, ..EIGHT }, "ends too early");
    refused(Made { bits: 12, ..EIGHT }, "no whole byte");
    refused(Made { samples: 4, ..EIGHT }, "one or three");
    let mut icon = header(&EIGHT);
    let value = || Value::Fragments(vec![vec![], rle(&picture())]);
    icon.insert(tags::PIXEL_DATA, Element { vr: VR::OB, value: value() });
    let mut data = icon.clone();
    data.put_items(tags::ICON_IMAGE_SEQUENCE, vec![icon.clone()]);
    let (header, out) = decoded_of(data.clone(), uids::RLE_LOSSLESS).unwrap();
    assert!(header.get(tags::ICON_IMAGE_SEQUENCE).is_none() && out.len() == 76);
    data.put_items(tags::REFERENCED_IMAGE_SEQUENCE, vec![icon]);
    let told = why(decoded_of(data, uids::RLE_LOSSLESS));
    assert!(told.contains("inside a sequence"), "{told}");
}

#[test]
fn a_stream_that_ends_early_is_never_filled_up() {
    let gray: Vec<u16> = picture().into_iter().map(u16::from).collect();
    for (syntax, stream) in [
        (uids::RLE_LOSSLESS, rle(&picture())),
        (uids::JPEG_LOSSLESS, lossless(&gray, 8, 8, 1, 0, 0)),
    ] {
        for keep in 0..stream.len() - 2 {
            let cut = decoded(&EIGHT, syntax, vec![vec![], stream[..keep].to_vec()]);
            assert!(cut.is_err(), "{syntax} {keep}");
        }
    }
}

/// The library that decodes such streams takes an end that comes early for gray, whatever was cut.
#[test]
fn jpeg_of_eight_bits_ends_where_the_image_ends() {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    let rgb: Vec<u8> = (0..120_u32 * 100 * 3).map(|n| (n * 7 % 251) as u8).collect();
    let made = Made { rows: 100, columns: 120, samples: 3, ..EIGHT };
    let read = |stream: Vec<u8>| {
        decoded(&made, uids::JPEG_BASELINE8_BIT, vec![vec![], even(stream)]).map(|_| ())
    };
    for factor in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2] {
        for restart in [0, 5] {
            let mut stream = Vec::new();
            let mut encoder = Encoder::new(&mut stream, 80);
            encoder.set_sampling_factor(factor);
            encoder.set_restart_interval(restart);
            encoder.encode(&rgb, 120, 100, ColorType::Rgb).unwrap();
            read(stream.clone()).unwrap();
            // The end of the image may be missing, but nothing of it.
            read(stream[..stream.len() - 2].to_vec()).unwrap();
            for cut in [4, 40, 400] {
                let mut short = stream[..stream.len() - 2 - cut].to_vec();
                short.extend([0xFF, 0xD9]);
                let told = why(read(short));
                assert!(told.contains("its compressed stream"), "{restart} {cut}: {told}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever comes, the frame has its size or there is a sentence; nothing hangs, nothing panics through.
    #[test]
    fn no_stream_does_harm(
        which in 0_usize..4,
        flips in proptest::collection::vec((0_usize..400, any::<u8>()), 0..6),
        keep in 0_usize..400,
    ) {
        let gray: Vec<u16> = picture().into_iter().map(u16::from).collect();
        let mut baseline = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut baseline, 90);
        encoder.encode(&picture(), 8, 8, jpeg_encoder::ColorType::Luma).unwrap();
        let (syntax, mut stream) = [
            (uids::RLE_LOSSLESS, rle(&picture())),
            (uids::JPEG_LOSSLESS, lossless(&gray, 8, 8, 4, 0, 2)),
            (uids::JPEG2000_LOSSLESS, j2k()),
            (uids::JPEG_BASELINE8_BIT, baseline),
        ][which].clone();
        for (at, value) in flips {
            let length = stream.len();
            stream[at % length] = value;
        }
        if keep < stream.len() && keep % 3 == 0 {
            stream.truncate(keep);
        }
        if let Ok((_, out)) = decoded(&EIGHT, syntax, vec![vec![], stream]) {
            prop_assert_eq!(out.len(), 76);
        }
    }
}

/// The stream of a few bytes that would cut an image of 64 million samples into as many precincts.
#[test]
fn an_image_in_crumbs_is_refused_before_it_costs_anything() {
    let cod = |stream: &[u8]| stream.windows(2).position(|two| two == [0xFF, 0x52]).unwrap();
    let mut blocks = j2k();
    let at = cod(&blocks);
    // Number of levels at 9, code-block width and height at 10 and 11.
    blocks[at + 10] = 0;
    blocks[at + 11] = 0;
    let mut precincts = j2k();
    let at = cod(&precincts);
    precincts[at + 3] += 4;
    precincts[at + 4] |= 1;
    precincts.splice(at + 14..at + 14, [0x00; 4]);
    for stream in [blocks, precincts] {
        let told = why(decoded(&EIGHT, uids::JPEG2000_LOSSLESS, vec![vec![], stream]));
        assert!(told.contains("precincts or code-blocks"), "{told}");
    }
}

/// A header of four million pixels, and eight bytes for each walk over all of them.
#[test]
fn scans_that_hold_nothing_are_refused() {
    let made = Made { rows: 2000, columns: 2000, bits: 16, ..EIGHT };
    let mut stream = vec![0xFF, 0xD8, 0xFF, 0xC3, 0, 11, 16, 7, 208, 7, 208, 1, 1, 0x11, 0];
    for _ in 0..100_000 {
        stream.extend([0xFF, 0xDA, 0, 6, 0, 1, 0, 0]);
    }
    let refused = |made: &Made, stream: Vec<u8>| {
        let told = why(decoded(made, uids::JPEG_LOSSLESS, vec![vec![], stream]));
        assert!(told.contains("does not need"), "{told}");
    };
    refused(&made, even(stream));
    let gray: Vec<u16> = picture().into_iter().map(u16::from).collect();
    let mut twice = lossless(&gray, 8, 8, 1, 0, 0);
    let scan = twice.windows(2).position(|two| two == [0xFF, 0xDA]).unwrap();
    let again = twice[scan..].to_vec();
    twice.truncate(twice.len() - 2);
    twice.extend(again);
    refused(&EIGHT, even(twice));
}

/// Each of the first parts ends where the next one begins, in front of the data: a walk back for twelve bytes.
#[test]
fn parts_that_lead_back_are_refused() {
    let mut stream = j2k();
    stream.truncate(stream.windows(2).position(|two| two == [0xFF, 0x90]).unwrap());
    let first = stream.len();
    let parts: Vec<usize> = (0..4_000).map(|n| first + n * 16).collect();
    let end = first + parts.len() * 16;
    for at in &parts {
        stream.extend([0xFF, 0x90, 0, 10, 0, 0]);
        stream.extend(16_u32.to_be_bytes());
        stream.extend([0, 1]);
        // A comment over everything up to the markers behind.
        stream.extend([0xFF, 0x64]);
        stream.extend(((end - at - 14) as u16).to_be_bytes());
    }
    while stream.len() < 1 << 20 {
        stream.extend([0xFF, 0x64, 0, 2]);
    }
    stream.extend([0xFF, 0x93, 0xFF, 0xD9]);
    let shape = Shape::read(&header(&EIGHT), Codec::Jpeg2000).unwrap();
    let told = jpeg2000::decode(&stream, &shape).unwrap_err().to_string();
    assert!(told.contains("end before their data"), "{told}");
}

#[test]
fn only_what_is_known_is_decoded() {
    for syntax in
        ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.1", "1.2.3"]
    {
        assert_eq!(Codec::of(&uid(syntax)), None);
    }
}
