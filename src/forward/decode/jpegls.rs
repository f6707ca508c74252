//! JPEG-LS (ITU-T T.87), lossless and near-lossless: markers and parameters; the lines are decoded in `lines`.
//!
//! Our own, since what there is for Rust binds a library in C++ or knows one component only. Not decoded: mapping
//! tables, restart intervals, and the colour transforms that one encoder added to the standard; DICOM has none of
//! them. Invariant: every parameter is checked before a bit is read by it.

mod bits;
mod lines;

use self::bits::Bits;
use self::lines::{Lines, Plane};
use super::{Broken, Shape};

const TRUNCATED: Broken = Broken::Stream("ends too early");
const PARAMETERS: Broken = Broken::Stream("has parameters that JPEG-LS does not know");

/// Statistics are halved after so many samples of a context (T.87 C.2.4.1.1).
const RESET: i32 = 64;

/// Segments before the image; encoders write a handful.
const MOST_SEGMENTS: usize = 1000;

/// What the coding depends on (T.87 C.2.4.1.1).
#[derive(Clone, Copy, Debug)]
struct Parameters {
    /// The largest sample.
    most: i32,
    /// By which a sample may differ from what it was.
    near: i32,
    /// Between the regions of a gradient.
    thresholds: [i32; 3],
    reset: i32,
}

/// What a preset segment says; zero is the default.
#[derive(Clone, Copy, Default)]
struct Preset {
    most: i32,
    thresholds: [i32; 3],
    reset: i32,
}

/// How the components of a scan lie (T.87 C.2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interleave {
    /// A scan for each.
    Not,
    Lines,
    Samples,
}

pub(super) fn decode(stream: &[u8], shape: &Shape) -> Result<Vec<u8>, Broken> {
    let mut at = 2_usize;
    if !stream.starts_with(&[0xFF, 0xD8]) {
        return Err(Broken::Stream("does not begin as JPEG-LS"));
    }
    let mut frame = None;
    let mut preset = Preset::default();
    let mut pixels = vec![0; shape.frame()];
    let mut done = 0_usize;
    for _ in 0..MOST_SEGMENTS {
        let (marker, body, next) = segment(stream, at)?;
        at = next;
        match marker {
            0xF7 => frame = Some(Frame::read(body, shape)?),
            0xF8 => preset = read_preset(body)?,
            0xDD => return Err(Broken::Unsupported("restart intervals in JPEG-LS")),
            0xE8 if body.starts_with(b"mrfx") && body.get(4) != Some(&0) => {
                return Err(Broken::Unsupported("a colour transform of its own in JPEG-LS"));
            }
            0xDA => {
                let frame = frame.as_ref().ok_or(PARAMETERS)?;
                let scan = Scan::read(body, frame, &preset)?;
                let planes = done..done.saturating_add(scan.components);
                if planes.end > shape.samples {
                    return Err(Broken::Size);
                }
                done = planes.end;
                at = scan.decode(stream, at, shape, planes.start, &mut pixels)?;
                if done == shape.samples {
                    return Ok(pixels);
                }
            }
            0xD9 => return Err(TRUNCATED),
            // Applications' own and comments.
            0xE0..=0xEF | 0xFE => {}
            _ => return Err(Broken::Stream("is not JPEG-LS")),
        }
    }
    Err(Broken::Stream("has more segments than an image needs"))
}

/// Marker, contents, and where the next one begins. What stands before the marker is passed over.
fn segment(stream: &[u8], at: usize) -> Result<(u8, &[u8], usize), Broken> {
    let rest = stream.get(at..).ok_or(TRUNCATED)?;
    let found = rest.windows(2).position(|two| matches!(two, [0xFF, 0x80..=0xFE]));
    let at = at.saturating_add(found.ok_or(TRUNCATED)?);
    let marker = *stream.get(at.saturating_add(1)).ok_or(TRUNCATED)?;
    if marker == 0xD9 {
        return Ok((marker, &[], at.saturating_add(2)));
    }
    let begin = at.saturating_add(4);
    let length = usize::from(two(stream, at.saturating_add(2))?);
    let end = at.saturating_add(2).saturating_add(length);
    let body = stream.get(begin..end).ok_or(TRUNCATED)?;
    Ok((marker, body, end))
}

fn two(bytes: &[u8], at: usize) -> Result<u16, Broken> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TRUNCATED)?;
    Ok(u16::from_be_bytes(*bytes))
}

fn one(bytes: &[u8], at: usize) -> Result<u8, Broken> {
    bytes.get(at).copied().ok_or(TRUNCATED)
}

/// The frame header, held against the object's.
struct Frame {
    /// Bits of a sample.
    precision: u32,
}

impl Frame {
    fn read(body: &[u8], shape: &Shape) -> Result<Self, Broken> {
        let precision = u32::from(one(body, 0)?);
        let (rows, columns) = (usize::from(two(body, 1)?), usize::from(two(body, 3)?));
        let components = usize::from(one(body, 5)?);
        if (rows, columns, components) != (shape.rows, shape.columns, shape.samples) {
            return Err(Broken::Size);
        }
        let each = body.get(6..).unwrap_or(&[]).chunks(3);
        if each.take(components).any(|component| component.get(1) != Some(&0x11)) {
            return Err(Broken::Unsupported("components that are sampled apart"));
        }
        if !(2..=16).contains(&precision) {
            return Err(PARAMETERS);
        }
        if usize::try_from(precision.div_ceil(8)).unwrap_or(usize::MAX) > shape.bytes {
            return Err(Broken::Unsupported("more bits than are allocated"));
        }
        Ok(Self { precision })
    }
}

fn read_preset(body: &[u8]) -> Result<Preset, Broken> {
    match one(body, 0)? {
        1 => {
            let number = |at: usize| two(body, at).map(i32::from);
            let (most, reset) = (number(1)?, number(9)?);
            Ok(Preset { most, thresholds: [number(3)?, number(5)?, number(7)?], reset })
        }
        2 | 3 => Err(Broken::Unsupported("mapping tables in JPEG-LS")),
        _ => Err(PARAMETERS),
    }
}

impl Parameters {
    fn of(precision: u32, near: i32, preset: &Preset) -> Result<Self, Broken> {
        let highest = (1_i32 << precision) - 1;
        let most = if preset.most == 0 { highest } else { preset.most };
        if most > highest || most < 1 || near > (most / 2).min(255) {
            return Err(PARAMETERS);
        }
        let mut thresholds = standard_thresholds(most, near);
        for (own, given) in thresholds.iter_mut().zip(preset.thresholds) {
            if given != 0 {
                *own = given;
            }
        }
        let [first, second, third] = thresholds;
        let ascend = near < first && first <= second && second <= third && third <= most;
        let reset = if preset.reset == 0 { RESET } else { preset.reset };
        if !ascend || !(3..=most.max(255)).contains(&reset) {
            return Err(PARAMETERS);
        }
        Ok(Self { most, near, thresholds, reset })
    }
}

/// T.87 C.2.4.1.1.1.
fn standard_thresholds(most: i32, near: i32) -> [i32; 3] {
    let within = |value: i32, low: i32| if value > most || value < low { low } else { value };
    let raw = if most >= 128 {
        let factor = (most.min(4095) + 128) / 256;
        [factor + 2 + 3 * near, factor * 4 + 3 + 5 * near, factor * 17 + 4 + 7 * near]
    } else {
        let factor = 256 / (most + 1);
        [
            (3 / factor + 3 * near).max(2),
            (7 / factor + 5 * near).max(3),
            (21 / factor + 7 * near).max(4),
        ]
    };
    let first = within(raw[0], near + 1);
    let second = within(raw[1], first);
    [first, second, within(raw[2], second)]
}

/// One scan header.
struct Scan {
    components: usize,
    interleave: Interleave,
    parameters: Parameters,
}

impl Scan {
    fn read(body: &[u8], frame: &Frame, preset: &Preset) -> Result<Self, Broken> {
        let components = usize::from(one(body, 0)?);
        let behind = components.saturating_mul(2).saturating_add(1);
        let tables = body.get(1..behind).ok_or(TRUNCATED)?;
        if tables.chunks(2).any(|component| component.get(1) != Some(&0)) {
            return Err(Broken::Unsupported("mapping tables in JPEG-LS"));
        }
        let near = i32::from(one(body, behind)?);
        let interleave = match one(body, behind.saturating_add(1))? {
            0 if components == 1 => Interleave::Not,
            1 => Interleave::Lines,
            2 => Interleave::Samples,
            _ => return Err(PARAMETERS),
        };
        if components == 0 || one(body, behind.saturating_add(2))? != 0 {
            return Err(PARAMETERS);
        }
        let parameters = Parameters::of(frame.precision, near, preset)?;
        Ok(Self { components, interleave, parameters })
    }

    /// Decodes into the samples from `first` on; gives the place behind the scan.
    fn decode(
        &self,
        stream: &[u8],
        at: usize,
        shape: &Shape,
        first: usize,
        pixels: &mut [u8],
    ) -> Result<usize, Broken> {
        let mut lines = Lines::new(Bits::new(stream, at), self.parameters);
        let mut planes = vec![Plane::new(shape.columns); self.components];
        // Of each component, or of all together.
        let mut runs = vec![0_usize; self.components];
        let line = shape.columns.saturating_mul(shape.samples).saturating_mul(shape.bytes);
        for out in pixels.chunks_exact_mut(line.max(1)) {
            match self.interleave {
                Interleave::Samples => {
                    let run = runs.first_mut().ok_or(PARAMETERS)?;
                    lines.next(&mut planes, run)?;
                }
                Interleave::Not | Interleave::Lines => {
                    for (plane, run) in planes.iter_mut().zip(&mut runs) {
                        lines.next(std::slice::from_mut(plane), run)?;
                    }
                }
            }
            let width = shape.samples.saturating_mul(shape.bytes);
            for (place, plane) in planes.iter().enumerate() {
                let skipped = first.saturating_add(place).saturating_mul(shape.bytes);
                for (pixel, sample) in out.chunks_exact_mut(width).zip(plane.line()) {
                    let bytes = sample.to_le_bytes();
                    for (to, from) in pixel.iter_mut().skip(skipped).take(shape.bytes).zip(bytes) {
                        *to = from;
                    }
                }
            }
        }
        Ok(lines.into_end())
    }
}
