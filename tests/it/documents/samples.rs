//! One file of each kind, made by code.

use std::io::Cursor;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use lotse::sim::sample::Sample;

pub const METADATA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
 xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><rim:RegistryObjectList>
<rim:ExtrinsicObject id="d1" mimeType="application/pdf"><rim:Slot name="URI"><rim:ValueList>
<rim:Value>DOC0001.PDF</rim:Value></rim:ValueList></rim:Slot><rim:Name>
<rim:LocalizedString value="Befund Thorax"/></rim:Name></rim:ExtrinsicObject>
</rim:RegistryObjectList></lcm:SubmitObjectsRequest>"#;

const CDA: &str = r#"<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument xmlns="urn:hl7-org:v3">
<id root="1.2.276.0.76.4.7" extension="A-7"/><code code="11490-0" codeSystem="2.16.840.1.113883.6.1"
 displayName="Physician Discharge summary"/><title>Arztbrief</title></ClinicalDocument>"#;

fn gradient(width: u32, height: u32, channels: u32) -> Vec<u8> {
    let pixel =
        |y: u32, x: u32| (0..channels).map(move |channel| ((x * 2 + y + channel * 70) % 256) as u8);
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(y, x))).collect()
}

fn jpeg(color: ColorType, set: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let channels = match color {
        ColorType::Luma => 1,
        ColorType::Rgb => 3,
        _ => 4,
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    set(&mut encoder);
    encoder.encode(&gradient(120, 91, channels), 120, 91, color).unwrap();
    bytes
}

/// Exif with a maker, which way is up, and nothing else.
fn photo(orientation: u8) -> Vec<u8> {
    let plain = jpeg(ColorType::Rgb, |_| {});
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x0f\0\x02\0\0\0\x04Cam\0".to_vec();
    exif.extend([1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&plain[..2], b"\xff\xe1", &length, &exif, &plain[2..]].concat()
}

fn png(color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 101, 77);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette((0..=255).flat_map(|i| [i, 255 - i, 77]).collect::<Vec<u8>>());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    drop(writer);
    bytes
}

fn tiff(pages: &[(u32, u32, u8)]) -> Vec<u8> {
    use tiff::encoder::colortype::{Gray8, Gray16, RGB8};
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    for (width, height, kind) in pages {
        match kind {
            3 => encoder.write_image::<RGB8>(*width, *height, &gradient(*width, *height, 3)),
            2 => {
                let words: Vec<u16> =
                    gradient(*width, *height, 1).iter().map(|v| u16::from(*v) * 200).collect();
                encoder.write_image::<Gray16>(*width, *height, &words)
            }
            _ => encoder.write_image::<Gray8>(*width, *height, &gradient(*width, *height, 1)),
        }
        .unwrap();
    }
    bytes.into_inner()
}

/// Bits, most significant first, with Exp-Golomb codes (ITU-T H.264, 9.1).
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, count: u32, value: u32) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(&mut self, value: u32) -> &mut Self {
        let length = u32::BITS - (value + 1).leading_zeros();
        self.put(length - 1, 0).put(length, value + 1)
    }

    /// A NAL unit: stop bit, and no three bytes that look like a start code.
    fn unit(&mut self, head: u8) -> Vec<u8> {
        self.put(1, 1);
        while !self.0.len().is_multiple_of(8) {
            self.put(1, 0);
        }
        let mut out = vec![head];
        for byte in
            self.0.chunks(8).map(|bits| bits.iter().fold(0, |b, bit| b << 1 | u8::from(*bit)))
        {
            if byte <= 3 && out.ends_with(&[0, 0]) {
                out.push(3);
            }
            out.push(byte);
        }
        out
    }
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
}

fn longs(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// A true MP4 of two gray pictures of 64 x 64: H.264 High profile, macroblocks as plain samples (I_PCM).
fn film() -> Vec<u8> {
    let mut set = Bits::default();
    set.put(24, 0x0064_0028).ue(0).ue(1).ue(0).ue(0).put(2, 0).ue(0).ue(2).ue(0).put(1, 0);
    set.0.drain(..24);
    let set = set.ue(3).ue(3).put(1, 1).put(1, 1).put(1, 0).put(1, 0).unit(0x67);
    let set = [&set[..1], &[100, 0, 40], &set[1..]].concat();
    let mut picture = Bits::default();
    let picture =
        picture.ue(0).ue(0).put(2, 0).ue(0).ue(0).ue(0).put(3, 0).ue(0).ue(0).ue(0).put(3, 0);
    let picture = picture.unit(0x68);
    let mut frames = Vec::new();
    for number in 0..2 {
        let mut slice = Bits::default();
        // IDR slice of intra macroblocks: frame_num 0, idr_pic_id, no marking, QP unchanged.
        slice.ue(0).ue(7).ue(0).put(4, 0).ue(number).put(2, 0).ue(0);
        for block in 0..16_u32 {
            slice.ue(25);
            while !(slice.0.len()).is_multiple_of(8) {
                slice.put(1, 0);
            }
            for sample in 0..384 {
                slice.put(8, if sample < 256 { 40 + block * 10 + number } else { 128 });
            }
        }
        let unit = slice.unit(0x65);
        frames.push([longs(&[unit.len() as u32]), unit].concat());
    }
    let sizes: Vec<u32> = frames.iter().map(|frame| frame.len() as u32).collect();
    let mut configuration = vec![1, 100, 0, 40, 0xFF, 0xE1];
    configuration.extend((set.len() as u16).to_be_bytes());
    configuration.extend(&set);
    configuration.push(1);
    configuration.extend((picture.len() as u16).to_be_bytes());
    configuration.extend(&picture);
    configuration.extend([0xFD, 0xF8, 0xF8, 0]);
    let mut fields = [0; 78];
    fields[7] = 1;
    fields[25] = 64;
    fields[27] = 64;
    let entry = boxed(b"avc1", &[fields.as_slice(), &boxed(b"avcC", &configuration)].concat());
    let head = boxed(b"ftyp", b"isom\0\0\x02\0isomavc1");
    let offset = head.len() as u32 + 8;
    let table = [
        boxed(b"stsd", &[longs(&[0, 1]), entry].concat()),
        boxed(b"stts", &longs(&[0, 1, 2, 40])),
        boxed(b"stsc", &longs(&[0, 1, 1, 2, 1])),
        boxed(b"stsz", &longs(&[0, 0, 2, sizes[0], sizes[1]])),
        boxed(b"stco", &longs(&[0, 1, offset])),
    ]
    .concat();
    let handler = [longs(&[0, 0]), b"vide".to_vec(), vec![0; 13]].concat();
    let media = [
        boxed(b"mdhd", &longs(&[0, 0, 0, 1000, 80, 0x55C4_0000])),
        boxed(b"hdlr", &handler),
        boxed(b"minf", &boxed(b"stbl", &table)),
    ]
    .concat();
    let movie = boxed(b"moov", &boxed(b"trak", &boxed(b"mdia", &media)));
    [head, boxed(b"mdat", &frames.concat()), movie].concat()
}

/// Names without extension are the titles.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    use png::{BitDepth, ColorType as Png};
    let (gray, color) = (gradient(101, 77, 1), gradient(101, 77, 3));
    vec![
        ("report.pdf", Sample::new(1).pdf()),
        ("letter.xml", CDA.as_bytes().to_vec()),
        ("note.txt", "Lunge frei.\nKein Erguß.\n".into()),
        ("baseline.jpg", jpeg(ColorType::Rgb, |_| {})),
        ("graylevels.jpg", jpeg(ColorType::Luma, |_| {})),
        ("full.jpg", jpeg(ColorType::Rgb, |e| e.set_sampling_factor(SamplingFactor::F_1_1))),
        ("photo.jpg", photo(1)),
        ("turned.jpg", photo(6)),
        ("progressive.jpg", jpeg(ColorType::Rgb, |encoder| encoder.set_progressive(true))),
        ("cmyk.jpg", jpeg(ColorType::Cmyk, |_| {})),
        ("gray.png", png(Png::Grayscale, BitDepth::Eight, &gray)),
        ("wide.png", png(Png::Grayscale, BitDepth::Sixteen, &gradient(202, 77, 1))),
        ("color.png", png(Png::Rgb, BitDepth::Eight, &color)),
        ("alpha.png", png(Png::Rgba, BitDepth::Eight, &gradient(101, 77, 4))),
        ("palette.png", png(Png::Indexed, BitDepth::Eight, &gray)),
        ("single.tif", tiff(&[(90, 80, 3)])),
        ("fax.tif", tiff(&[(90, 80, 1), (88, 81, 1), (90, 80, 1)])),
        ("words.tif", tiff(&[(90, 80, 2), (90, 80, 2)])),
        ("letter.tif", tiff(&[(90, 80, 3), (90, 80, 1)])),
        ("film.mp4", film()),
    ]
}
