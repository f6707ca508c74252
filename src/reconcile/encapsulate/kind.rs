//! What a created instance is made from, with the facts that its header needs.
//!
//! The facts are taken when the file is unpacked, so that sending reads no more than the bytes. Each kind has
//! its SOP class, transfer syntax and series (PS3.3 A.8, A.32, A.35, A.45).

use std::fmt;

use dicom_dictionary_std::uids;
use serde::{Deserialize, Serialize};

use crate::dicom::Uid;

/// What a created instance is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    Pdf,
    Cda(Cda),
    /// Plain text; the bytes are UTF-8 with CR LF.
    Text(Text),
    Image(Image),
    Video(Video),
}

/// A clinical document; what its header says of itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cda {
    /// Root and extension of the document's id, joined by `^` (PS3.3 C.24.2).
    pub id: String,
    pub code: Option<DocumentCode>,
}

impl fmt::Debug for Cda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cda(…)")
    }
}

/// A LOINC code: which kind of document it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentCode {
    pub value: String,
    pub meaning: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// BLAKE3 of the file as it came, hexadecimal.
    pub source: String,
}

/// A picture, ready to be sent: pixels as they are stored, or the JPEG stream that is wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// BLAKE3 of the file as it came, hexadecimal: decoders may change, and the identity must not.
    pub source: String,
    pub rows: u16,
    pub columns: u16,
    /// Pages; more than one makes a multi-frame object.
    pub frames: u32,
    pub pixels: Pixels,
    pub origin: Shot,
    /// Bytes before lossy compression for each hundred behind it, if there was any.
    pub lossy: Option<u32>,
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// Black and white, eight pixels a byte, the first in the lowest bit (PS3.5 8.1.1): long scans only.
    Bit,
    Gray8,
    Gray16,
    Rgb8,
    /// JPEG Baseline, one component.
    JpegGray,
    JpegRgb,
    /// JPEG Baseline with colour differences.
    JpegYbr,
}

/// How a picture came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shot {
    /// Its Exif names a camera.
    Camera,
    /// A scan, a screen, a drawing.
    Other,
}

/// An MP4 film.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Video {
    /// BLAKE3 of the file as it came, hexadecimal.
    pub source: String,
    pub rows: u16,
    pub columns: u16,
    pub frames: u32,
    /// Mean time between frames in microseconds.
    pub frame_micros: u32,
    pub codec: Codec,
}

/// Codec, profile and level, as far as a transfer syntax names them (PS3.5 8.2.5 to 8.2.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// H.264 High profile up to level 4.1.
    H264High41,
    /// H.264 High profile, level 4.2, two dimensions.
    H264High42,
    /// H.265 Main profile up to level 5.1.
    H265Main51,
}

/// A series of created instances: one for each modality and kind.
pub(super) struct Series {
    pub(super) modality: &'static str,
    /// From a block that scanners do not use, so that a viewer sorts documents behind the images.
    pub(super) number: u32,
    pub(super) description: &'static str,
    /// Part of the UIDs: never to be changed.
    pub(super) key: &'static str,
}

impl FileKind {
    pub fn sop_class(&self) -> Uid {
        uid(match self {
            Self::Pdf => uids::ENCAPSULATED_PDF_STORAGE,
            Self::Cda(_) => uids::ENCAPSULATED_CDA_STORAGE,
            Self::Text(_) => uids::BASIC_TEXT_SR_STORAGE,
            Self::Video(_) => uids::VIDEO_PHOTOGRAPHIC_IMAGE_STORAGE,
            Self::Image(image) => image.sop_class(),
        })
    }

    /// In which the object is written; there is no other.
    pub fn transfer_syntax(&self) -> Uid {
        uid(match self {
            Self::Image(image) if image.pixels.is_wrapped() => uids::JPEG_BASELINE8_BIT,
            Self::Video(video) => match video.codec {
                Codec::H264High41 => uids::MPEG4HP41,
                Codec::H264High42 => uids::MPEG4HP422D,
                Codec::H265Main51 => uids::HEVCMP51,
            },
            Self::Pdf | Self::Cda(_) | Self::Text(_) | Self::Image(_) => {
                uids::EXPLICIT_VR_LITTLE_ENDIAN
            }
        })
    }

    /// BLAKE3 of the file as it came, where that is not the digest of the stored bytes.
    pub(super) fn source(&self) -> Option<&str> {
        match self {
            Self::Pdf | Self::Cda(_) => None,
            Self::Text(text) => Some(&text.source),
            Self::Image(image) => Some(&image.source),
            Self::Video(video) => Some(&video.source),
        }
    }

    /// Whether the class has the SC Equipment module (PS3.3 C.8.6.1).
    pub(super) fn is_captured(&self) -> bool {
        match self {
            Self::Pdf | Self::Cda(_) => true,
            Self::Text(_) | Self::Video(_) => false,
            Self::Image(image) => !image.is_photograph(),
        }
    }

    pub(super) fn series(&self) -> Series {
        let (modality, number, description, key) = match self {
            Self::Pdf => ("DOC", 9001, "Imported documents", "pdf"),
            Self::Cda(_) => ("SR", 9002, "Imported clinical documents", "cda"),
            Self::Text(_) => ("SR", 9003, "Imported texts", "text"),
            Self::Image(image) if image.is_photograph() => {
                ("XC", 9005, "Imported photographs", "photograph")
            }
            Self::Image(_) => ("OT", 9004, "Imported images", "image"),
            Self::Video(_) => ("XC", 9006, "Imported videos", "video"),
        };
        Series { modality, number, description, key }
    }
}

impl Image {
    /// VL Photographic has 8 bits, and JPEG only with colour differences (PS3.3 C.8.12.1).
    pub(super) fn is_photograph(&self) -> bool {
        let fits = !matches!(self.pixels, Pixels::Bit | Pixels::Gray16 | Pixels::JpegRgb);
        self.frames == 1 && self.origin == Shot::Camera && fits
    }

    fn sop_class(&self) -> &'static str {
        match self.pixels {
            _ if self.is_photograph() => uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE,
            _ if self.frames == 1 => uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
            Pixels::Bit => uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE,
            Pixels::Gray8 | Pixels::JpegGray => {
                uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE
            }
            Pixels::Gray16 => uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
            Pixels::Rgb8 | Pixels::JpegRgb | Pixels::JpegYbr => {
                uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE
            }
        }
    }
}

impl Pixels {
    /// A JPEG stream that is wrapped as it came.
    pub fn is_wrapped(self) -> bool {
        !matches!(self, Self::Bit | Self::Gray8 | Self::Gray16 | Self::Rgb8)
    }

    pub(super) fn bits(self) -> u16 {
        match self {
            Self::Bit => 1,
            Self::Gray16 => 16,
            Self::Gray8 | Self::Rgb8 | Self::JpegGray | Self::JpegRgb | Self::JpegYbr => 8,
        }
    }

    pub(super) fn samples(self) -> u16 {
        if matches!(self, Self::Bit | Self::Gray8 | Self::Gray16 | Self::JpegGray) { 1 } else { 3 }
    }

    pub(super) fn photometric(self) -> &'static str {
        match self {
            Self::Bit | Self::Gray8 | Self::Gray16 | Self::JpegGray => "MONOCHROME2",
            Self::Rgb8 | Self::JpegRgb => "RGB",
            // YBR_FULL is no value for photographs (PS3.3 C.8.12.1.1.1); decoders go by the stream.
            Self::JpegYbr => "YBR_FULL_422",
        }
    }
}

fn uid(text: &'static str) -> Uid {
    #[expect(clippy::expect_used, reason = "constants of the standard; a test reads all of them")]
    Uid::new(text).expect("a UID of the standard")
}
