//! Compressed pixel data decoded for a destination that takes no compressed images.
//!
//! Owns what is decoded, what the header says of the pixels afterwards, and the native element. Invariants: no
//! more than one frame is in memory, and never more than the header declares; a frame whose stream is not what
//! the header says ends the object instead of filling it up.

mod bits;
mod dct;
mod frames;
mod jpeg;
mod jpeg2000;
mod jpegls;
mod lossless;
mod rle;
mod shape;
mod walk;

use std::io::{Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use dicom_dictionary_std::{tags, uids};

use self::frames::Frames;
use self::shape::Shape;
use super::object::{Closed, Fault, PIECE};
use crate::dicom::{DataSet, Layout, Syntax, Tag, Uid, VR, Value};

/// Longest value that a native element can have: its length is even and `FFFFFFFF` means something else
/// (PS3.5 7.1.1).
const LONGEST_VALUE: u64 = 0xFFFF_FFFE;

/// Where fragments lie, for readers that jump; of no meaning without fragments (PS3.3 C.7.6.3.1).
const OFFSETS: [Tag; 3] = [Tag(0x7FE0, 0x0001), Tag(0x7FE0, 0x0002), Tag(0x7FE0, 0x0003)];

/// Frames of more samples are decoded one at a time: while that is done each costs sixteen bytes a sample.
const LARGE: usize = 8 << 20;
static TURN: Mutex<()> = Mutex::new(());

/// How frames are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// RLE Lossless (PS3.5 G).
    Rle,
    /// Processes 1, 2 and 4 of ITU-T T.81: Baseline and Extended.
    JpegDct,
    /// Process 14 of ITU-T T.81, any selection value.
    JpegLossless,
    /// ISO/IEC 15444-1, reversible or not.
    Jpeg2000,
    /// ITU-T T.87, near-lossless too.
    JpegLs,
}

impl Codec {
    /// What decodes objects of this transfer syntax, if anything does.
    pub(super) fn of(transfer_syntax: &Uid) -> Option<Self> {
        match transfer_syntax.as_str() {
            uids::RLE_LOSSLESS => Some(Self::Rle),
            uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT => Some(Self::JpegDct),
            uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => Some(Self::JpegLossless),
            uids::JPEG2000_LOSSLESS | uids::JPEG2000 => Some(Self::Jpeg2000),
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Some(Self::JpegLs),
            _ => None,
        }
    }

    /// How the stream of a frame begins, where there is one that can be told.
    fn start(self) -> Option<&'static [u8]> {
        match self {
            Self::Rle => None,
            Self::JpegDct | Self::JpegLossless | Self::JpegLs => Some(&[0xFF, 0xD8]),
            Self::Jpeg2000 => Some(&[0xFF, 0x4F, 0xFF, 0x51]),
        }
    }

    fn decode(self, stream: &[u8], shape: &Shape) -> Result<Vec<u8>, Broken> {
        // Large frames one after the other, however many associations there are.
        let large = shape.pixels().saturating_mul(shape.samples) > LARGE;
        let _turn = large.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
        // Nothing of a stranger's file may end more than its own delivery, whatever a library thinks of it.
        let decoded = std::panic::catch_unwind(|| match self {
            Self::Rle => rle::decode(stream, shape),
            Self::JpegDct | Self::JpegLossless => jpeg::decode(stream, shape),
            Self::Jpeg2000 => jpeg2000::decode(stream, shape),
            Self::JpegLs => jpegls::decode(stream, shape),
        });
        let pixels = decoded.unwrap_or(Err(Broken::Stream("broke the decoder")))?;
        if pixels.len() == shape.frame() { Ok(pixels) } else { Err(Broken::Size) }
    }
}

/// Why a frame cannot be decoded; nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("its compressed stream {0}")]
    Stream(&'static str),
    #[error("its compressed stream is not as large as the header says")]
    Size,
    #[error("it has {0}, which is not decoded here")]
    Unsupported(&'static str),
    #[error("uncompressed it would be longer than an object can be")]
    TooLong,
    #[error("its frames cannot be told apart")]
    Frames,
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        Self::Object(format!(
            "the destination does not take the object as it is compressed, and it cannot be decoded: {broken}; \
             enable its transfer syntax there or choose another destination, then retry"
        ))
    }
}

/// Pixel data that leave decoded.
pub(super) struct Decoding {
    codec: Codec,
    shape: Shape,
    frames: Frames,
    /// Of an object with one frame: decoded before anything leaves.
    only: Option<Vec<u8>>,
}

impl Decoding {
    /// Finds the frames, and says in `header` what they are when decoded.
    pub(super) fn begin<R: Read + Seek>(
        reader: &mut R,
        layout: &Layout,
        header: &mut DataSet,
    ) -> Result<Self, Fault> {
        let codec = Codec::of(&layout.transfer_syntax).ok_or(Broken::Unsupported("a codec"))?;
        let shape = Shape::read(header, codec)?;
        if shape.length() > LONGEST_VALUE {
            return Err(Broken::TooLong.into());
        }
        let extended = header.get(OFFSETS[0]).and_then(|element| element.bytes());
        let frames = Frames::find(reader, layout, &shape, codec.start(), extended)?;
        let mut decoding = Self { codec, shape, frames, only: None };
        if decoding.shape.frames == 1 {
            decoding.only = Some(decoding.frame(reader, 0)?);
        }
        for tag in OFFSETS {
            header.remove(tag);
        }
        without_fragments(header)?;
        decoding.shape.write(header, codec);
        Ok(decoding)
    }

    /// Tag, representation and length of the native element (PS3.5 A.1, A.2).
    pub(super) fn head(&self, to: Syntax) -> Vec<u8> {
        let length = self.shape.length();
        let length = length.saturating_add(length % 2);
        let mut head = vec![0xE0, 0x7F, 0x10, 0x00];
        if to != Syntax::ImplicitLittle {
            head.extend_from_slice(if self.shape.bytes == 1 { b"OB\0\0" } else { b"OW\0\0" });
        }
        // Bounded by `LONGEST_VALUE` in `begin`.
        head.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        head
    }

    /// Hands on the value, frame by frame.
    pub(super) fn stream<R: Read + Seek>(
        self,
        reader: &mut R,
        sink: &mut dyn FnMut(Bytes) -> Result<(), Closed>,
    ) -> Result<(), Fault> {
        let mut only = self.only.clone();
        for frame in 0..self.shape.frames {
            let pixels = match only.take() {
                Some(pixels) => pixels,
                None => self.frame(reader, frame)?,
            };
            let mut pixels = Bytes::from(pixels);
            while !pixels.is_empty() {
                let piece = pixels.split_to(pixels.len().min(PIECE));
                sink(piece).map_err(|Closed| Fault::Closed)?;
            }
        }
        if self.shape.length() % 2 == 1 {
            sink(Bytes::from_static(&[0])).map_err(|Closed| Fault::Closed)?;
        }
        Ok(())
    }

    fn frame<R: Read + Seek>(&self, reader: &mut R, frame: usize) -> Result<Vec<u8>, Fault> {
        let fragments = self.frames.of(frame).ok_or(Broken::Frames)?;
        let total: u64 = fragments.iter().map(|fragment| u64::from(fragment.length)).sum();
        // No codec makes that much more of what it is given; the rest is not looked at.
        let most = u64::try_from(self.shape.frame()).unwrap_or(u64::MAX).saturating_mul(2);
        if total > most.saturating_add(1 << 20) {
            return Err(Broken::Stream("is longer than the image").into());
        }
        let mut stream = Vec::with_capacity(usize::try_from(total).unwrap_or(0));
        for fragment in fragments {
            reader.seek(SeekFrom::Start(fragment.at))?;
            let read = reader.by_ref().take(u64::from(fragment.length)).read_to_end(&mut stream)?;
            if u64::try_from(read).ok() != Some(u64::from(fragment.length)) {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(self.codec.decode(&stream, &self.shape)?)
    }
}

/// A native object holds no fragments anywhere. An icon, which is optional (PS3.3 C.7.6.1.1.6), goes without;
/// of anything else nobody here knows what it is worth.
fn without_fragments(header: &mut DataSet) -> Result<(), Broken> {
    let compressed = |items: &[DataSet]| items.iter().any(holds_fragments);
    if compressed(header.items(tags::ICON_IMAGE_SEQUENCE)) {
        header.remove(tags::ICON_IMAGE_SEQUENCE);
    }
    match holds_fragments(header) {
        true => Err(Broken::Unsupported("compressed images inside a sequence")),
        false => Ok(()),
    }
}

fn holds_fragments(data: &DataSet) -> bool {
    let mut waiting = vec![data];
    while let Some(data) = waiting.pop() {
        for (_, element) in data.iter() {
            match &element.value {
                Value::Fragments(_) => return true,
                Value::Items(items) => waiting.extend(items),
                Value::Bytes(_) => {}
            }
        }
    }
    false
}

fn number(header: &DataSet, tag: Tag) -> usize {
    header.u16(tag).map_or(0, usize::from)
}

fn put_number(header: &mut DataSet, tag: Tag, value: u16) {
    header.put_bytes(tag, VR::US, value.to_le_bytes().to_vec());
}

#[cfg(test)]
mod tests;
