//! Pictures as grey values: decoded under limits, made smaller or larger.

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// A telephone takes 50 million.
const PIXELS: usize = 64_000_000;
/// What a decoder may hold beside the pixels.
const BESIDE: usize = 64 << 20;

/// Grey values, row by row, 0 is black.
#[derive(Clone)]
pub(super) struct Gray {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

impl Gray {
    /// `None` if it would be empty or too large.
    pub(super) fn new(width: usize, height: usize, value: u8) -> Option<Self> {
        let count = area(width, height)?;
        Some(Self { width, height, pixels: vec![value; count] })
    }

    pub(super) fn of(width: usize, height: usize, pixels: Vec<u8>) -> Option<Self> {
        (area(width, height)? == pixels.len()).then_some(Self { width, height, pixels })
    }

    pub(super) fn at(&self, x: usize, y: usize) -> u8 {
        self.pixels.get(y.saturating_mul(self.width).saturating_add(x)).copied().unwrap_or(255)
    }

    pub(super) fn longest(&self) -> usize {
        self.width.max(self.height)
    }

    /// The same picture with its longer side so long: averages where it gets smaller, between neighbours where it
    /// gets larger.
    pub(super) fn scaled(&self, longest: usize) -> Option<Self> {
        let of = |side: usize| {
            side.saturating_mul(longest).checked_div(self.longest()).map(|side| side.max(1))
        };
        let (width, height) = (of(self.width)?, of(self.height)?);
        let mut made = Self::new(width, height, 0)?;
        let smaller = longest <= self.longest();
        let columns = spans(self.width, width);
        let rows = spans(self.height, height);
        let mut into = made.pixels.iter_mut();
        for &(top, bottom) in &rows {
            for &(left, right) in &columns {
                let value =
                    if smaller { self.mean(left, right, top, bottom) } else { self.at(left, top) };
                if let Some(pixel) = into.next() {
                    *pixel = value;
                }
            }
        }
        Some(if smaller { made } else { made.smooth(longest.div_ceil(self.longest().max(1))) })
    }

    fn mean(&self, left: usize, right: usize, top: usize, bottom: usize) -> u8 {
        let (mut sum, mut count) = (0_u64, 0_u64);
        for y in top..bottom {
            let from = y.saturating_mul(self.width);
            let row = self.pixels.get(from.saturating_add(left)..from.saturating_add(right));
            for pixel in row.unwrap_or_default() {
                sum = sum.saturating_add(u64::from(*pixel));
                count = count.saturating_add(1);
            }
        }
        narrow(sum.checked_div(count).unwrap_or(255))
    }

    /// Each pixel becomes the mean of the square of this side around it.
    pub(super) fn smooth(&self, side: usize) -> Self {
        let half = side / 2;
        let sums = Sums::of(self);
        let mut made = self.clone();
        let mut into = made.pixels.iter_mut();
        for y in 0..self.height {
            for x in 0..self.width {
                if let Some(pixel) = into.next() {
                    *pixel = sums.mean(x, y, half);
                }
            }
        }
        made
    }
}

/// Sums of all pixels above and left, to have the mean of any rectangle at once.
pub(super) struct Sums {
    width: usize,
    height: usize,
    sums: Vec<u64>,
}

impl Sums {
    pub(super) fn of(picture: &Gray) -> Self {
        let stride = picture.width.saturating_add(1);
        let mut sums = vec![0_u64; stride];
        sums.reserve(picture.pixels.len().saturating_add(picture.height));
        for row in picture.pixels.chunks(picture.width.max(1)) {
            let above = sums.len().saturating_sub(stride);
            let mut left = 0_u64;
            sums.push(0);
            for (pixel, x) in row.iter().zip(1_usize..) {
                left = left.saturating_add(u64::from(*pixel));
                let over = sums.get(above.saturating_add(x)).copied().unwrap_or(0);
                sums.push(left.saturating_add(over));
            }
        }
        Self { width: picture.width, height: picture.height, sums }
    }

    fn sum(&self, x: usize, y: usize) -> u64 {
        let at = y.saturating_mul(self.width.saturating_add(1)).saturating_add(x);
        self.sums.get(at).copied().unwrap_or(0)
    }

    /// Around a pixel, as far to each side.
    pub(super) fn mean(&self, x: usize, y: usize, half: usize) -> u8 {
        let (left, top) = (x.saturating_sub(half), y.saturating_sub(half));
        let right = x.saturating_add(half).saturating_add(1).min(self.width);
        let bottom = y.saturating_add(half).saturating_add(1).min(self.height);
        let area = right.saturating_sub(left).saturating_mul(bottom.saturating_sub(top));
        let sum = self.sum(right, bottom).saturating_add(self.sum(left, top));
        let sum = sum.saturating_sub(self.sum(left, bottom)).saturating_sub(self.sum(right, top));
        narrow(sum.checked_div(u64::try_from(area).unwrap_or(0)).unwrap_or(255))
    }
}

/// Where each of `to` parts of a line begins and ends; none is empty.
fn spans(from: usize, to: usize) -> Vec<(usize, usize)> {
    let place = |part: usize| part.saturating_mul(from).checked_div(to).unwrap_or(0);
    (0..to)
        .map(|part| {
            let begin = place(part);
            (begin, place(part.saturating_add(1)).max(begin.saturating_add(1)))
        })
        .collect()
}

pub(super) fn narrow(value: u64) -> u8 {
    u8::try_from(value).unwrap_or(255)
}

/// As ITU-R BT.601 weighs them.
pub(super) fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = u64::from(red) * 299 + u64::from(green) * 587 + u64::from(blue) * 114;
    narrow(sum / 1000)
}

/// How many pixels, if that is not nothing and not too much.
fn area(width: usize, height: usize) -> Option<usize> {
    width.checked_mul(height).filter(|area| (1..=PIXELS).contains(area))
}

pub(super) fn jpeg(file: &[u8]) -> Option<Gray> {
    let options = DecoderOptions::default()
        .set_max_width(16_384)
        .set_max_height(16_384)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(file), options);
    decoder.decode_headers().ok()?;
    let (width, height) = decoder.dimensions()?;
    area(width, height)?;
    if decoder.input_colorspace() == Some(ColorSpace::RGB)
        || decoder.input_colorspace() == Some(ColorSpace::CMYK)
    {
        // The decoder makes grey of YCbCr only.
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
        area(width.checked_mul(3)?, height)?;
        let pixels = JpegDecoder::new_with_options(Cursor::new(file), options).decode().ok()?;
        return Gray::of(width, height, grays(&pixels, 3));
    }
    Gray::of(width, height, decoder.decode().ok()?)
}

pub(super) fn png(file: &[u8]) -> Option<Gray> {
    let mut decoder =
        png::Decoder::new_with_limits(Cursor::new(file), png::Limits { bytes: BESIDE });
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().ok()?;
    let (width, height) = reader.info().size();
    let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    let channels = reader.output_color_type().0.samples();
    area(width.checked_mul(channels)?, height)?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut pixels).ok()?;
    Gray::of(width, height, grays(&pixels, channels))
}

pub(super) fn tiff(file: &[u8]) -> Option<Gray> {
    let mut limits = tiff::decoder::Limits::default();
    limits.decoding_buffer_size = PIXELS;
    limits.intermediate_buffer_size = BESIDE;
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(file)).ok()?.with_limits(limits);
    let (width, height) = decoder.dimensions().ok()?;
    let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    area(width, height)?;
    let color = decoder.colortype().ok()?;
    let tiff::decoder::DecodingResult::U8(pixels) = decoder.read_image().ok()? else { return None };
    match (color, color.bit_depth()) {
        (tiff::ColorType::Gray(_), 1) => bits(&pixels, width, height),
        (_, 8) => {
            let channels = usize::from(color.num_samples());
            Gray::of(width, height, grays(&pixels, channels))
        }
        _ => None,
    }
}

/// Rows of single bits, each beginning with a byte of its own; 1 is white.
pub(super) fn bits(packed: &[u8], width: usize, height: usize) -> Option<Gray> {
    area(width, height)?;
    let mut pixels = Vec::with_capacity(area(width, height)?);
    for row in packed.chunks(width.div_ceil(8)).take(height) {
        let bits = row.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        pixels.extend(bits.take(width).map(|bit| bit.saturating_mul(255)));
    }
    Gray::of(width, height, pixels)
}

/// Pixels of so many 8-bit channels as grey; what is transparent is white.
pub(super) fn grays(pixels: &[u8], channels: usize) -> Vec<u8> {
    let on_white = |gray: u8, alpha: u8| {
        let (gray, alpha) = (u64::from(gray), u64::from(alpha));
        narrow((gray * alpha + 255 * (255 - alpha)) / 255)
    };
    let one = |pixel: &[u8]| match *pixel {
        [gray] => gray,
        [gray, alpha] => on_white(gray, alpha),
        [red, green, blue] => luma(red, green, blue),
        [red, green, blue, alpha] => on_white(luma(red, green, blue), alpha),
        _ => 255,
    };
    pixels.chunks_exact(channels.max(1)).map(one).collect()
}
