//! What the header says of the pixels, before and after decoding (PS3.3 C.7.6.3).

use dicom_dictionary_std::tags;

use super::{Broken, Codec, number, put_number};
use crate::dicom::{DataSet, VR};

/// Samples of one frame: a film scanned at 50 µm has 50 million; what is larger is cut into tiles, and costs
/// sixteen bytes a sample while it is decoded.
const MOST_SAMPLES: usize = 64 << 20;

/// How the colours of three samples are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// As they come out, whatever they are.
    Kept,
    /// Luminance and two differences, which come out as RGB.
    Converted,
}

/// One frame after decoding: rows, columns and samples, those of a pixel beside each other.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// 1 or 3.
    pub(super) samples: usize,
    /// Of a sample: 1, 2, or 4 for RLE only.
    pub(super) bytes: usize,
    pub(super) frames: usize,
    pub(super) colours: Colours,
    /// `None` if it stays.
    photometric: Option<&'static str>,
}

impl Shape {
    pub(super) fn read(header: &DataSet, codec: Codec) -> Result<Self, Broken> {
        let frames = match header.text(tags::NUMBER_OF_FRAMES) {
            None => 1,
            Some(text) => text.trim().parse::<usize>().map_err(|_| Broken::Frames)?,
        };
        let (rows, columns) = (number(header, tags::ROWS), number(header, tags::COLUMNS));
        let samples = number(header, tags::SAMPLES_PER_PIXEL);
        let bytes = match (number(header, tags::BITS_ALLOCATED), codec) {
            (8, _) => 1,
            (16, _) => 2,
            (32, Codec::Rle) => 4,
            _ => return Err(Broken::Unsupported("a number of bits that is no whole byte")),
        };
        if !matches!(samples, 1 | 3) {
            return Err(Broken::Unsupported("another number of samples than one or three"));
        }
        if rows == 0 || columns == 0 || frames == 0 {
            return Err(Broken::Size);
        }
        if rows.saturating_mul(columns).saturating_mul(samples) > MOST_SAMPLES {
            return Err(Broken::Unsupported("frames of more than 64 million samples"));
        }
        let told = header.text(tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        let (colours, photometric) = match (samples, codec, told.as_str()) {
            (1, ..) => (Colours::Kept, None),
            (_, Codec::JpegDct, "YBR_FULL" | "YBR_FULL_422") => (Colours::Converted, Some("RGB")),
            // The stream itself says whether its components are transformed.
            (_, Codec::Jpeg2000, "YBR_ICT" | "YBR_RCT") => (Colours::Kept, Some("RGB")),
            (_, _, "RGB" | "YBR_FULL") => (Colours::Kept, None),
            _ => return Err(Broken::Unsupported("a photometric interpretation of its own")),
        };
        Ok(Self { rows, columns, samples, bytes, frames, colours, photometric })
    }

    pub(super) fn pixels(&self) -> usize {
        self.rows.saturating_mul(self.columns)
    }

    /// Bytes of a frame.
    pub(super) fn frame(&self) -> usize {
        self.pixels().saturating_mul(self.samples).saturating_mul(self.bytes)
    }

    /// Bytes of all frames.
    pub(super) fn length(&self) -> u64 {
        let frame = u64::try_from(self.frame()).unwrap_or(u64::MAX);
        frame.saturating_mul(u64::try_from(self.frames).unwrap_or(u64::MAX))
    }

    /// Says what the pixels are now. What was lost before stays told (PS3.3 C.7.6.1.1.5).
    pub(super) fn write(&self, header: &mut DataSet, codec: Codec) {
        if self.samples > 1 {
            put_number(header, tags::PLANAR_CONFIGURATION, 0);
        }
        if let Some(photometric) = self.photometric {
            let value = photometric.as_bytes().to_vec();
            header.put_bytes(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, value);
        }
        if codec == Codec::JpegDct {
            header.put_bytes(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, b"01".to_vec());
        }
    }
}
