//! Looking for codes in a picture: at several sizes, made black and white in several ways.

mod finders;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rqrr::PreparedImage;

use super::picture::{Gray, Sums};
use crate::clock::computing_time;

/// Pixels that are looked at for one file, over all attempts.
const LOOKS: usize = 60_000_000;
/// Pixels that are painted for one file; a row and a line in it count as some.
const STROKES: usize = 2_000_000_000;
/// Computing time for one file, whatever it is spent on.
const TIME: Duration = Duration::from_secs(60);
/// The finder multiplies three coordinates, so that more would overflow.
const TILE: usize = 1_200;
/// Of two tiles side by side.
const OVERLAP: usize = 400;
/// Codes of one picture; a sheet has one, sometimes three.
const CODES: usize = 32;
/// Longer sides of the attempts: a photo; a noisy one, or a large code; a scan with a small code in it.
const SIDES: [usize; 4] = [1200, 700, 2400, 4000];
/// Sizes that are looked at once more after one has given a code: the sheet may show another.
const MORE: usize = 1;

/// What is left of the work that one file may make.
pub(super) struct Effort {
    looks: usize,
    strokes: usize,
    begun: Duration,
}

impl Default for Effort {
    fn default() -> Self {
        Self { looks: LOOKS, strokes: STROKES, begun: computing_time() }
    }
}

impl Effort {
    /// Whether so many pixels may be looked at once more.
    fn takes(&mut self, picture: &Gray) -> bool {
        let left = self.looks.checked_sub(picture.pixels.len()).filter(|_| !self.is_over());
        match left {
            Some(left) => self.looks = left,
            // What comes would be made ready only to be refused as well.
            None if picture.longest() <= TILE => self.looks = 0,
            None => {}
        }
        left.is_some()
    }

    /// Whether so many pixels may be painted, or read to be painted smaller.
    pub(super) fn paints(&mut self, pixels: usize) -> bool {
        let left = self.strokes.checked_sub(pixels);
        self.strokes = left.unwrap_or(0);
        left.is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        let late = computing_time().saturating_sub(self.begun) > TIME;
        late || self.looks < 100_000 || self.strokes == 0
    }
}

/// How a picture is made black and white.
#[derive(Clone, Copy)]
enum Way {
    /// Against the mean of its surroundings: uneven light. The side of the square, in parts of the longer side.
    Local(usize),
    /// The same after taking the noise out.
    Smooth(usize),
    /// Against one threshold: a sharp scan of low contrast.
    Global,
}

/// What most photos and scans need; what else there is comes after it, over all sizes.
const FIRST: [Way; 1] = [Way::Local(12)];
const THEN: [Way; 5] =
    [Way::Global, Way::Smooth(12), Way::Local(30), Way::Local(3), Way::Smooth(30)];

/// The texts of the codes in a picture.
pub(super) fn codes(picture: &Gray, effort: &mut Effort) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut made: Vec<Gray> = Vec::new();
    for ways in [&FIRST[..], &THEN[..]] {
        let mut more = MORE;
        for (index, side) in sides(picture.longest()).into_iter().enumerate() {
            if made.len() <= index {
                let size = if side == picture.longest() {
                    Some(picture.clone())
                } else {
                    picture.scaled(side)
                };
                made.extend(size);
            }
            let Some(size) = made.get(index) else { break };
            for way in ways {
                attempt(size, *way, effort, &mut found);
            }
            if !found.is_empty() {
                if more == 0 {
                    break;
                }
                more -= 1;
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    found
}

/// The texts of the codes in a picture that was drawn, so that it is sharp and black on white.
pub(super) fn drawn(picture: &Gray, effort: &mut Effort) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // As it is for a small code on its page, smaller for one that is the whole page.
    if !effort.paints(picture.pixels.len()) {
        return found;
    }
    for size in [picture.scaled(TILE).as_ref(), Some(picture)].into_iter().flatten() {
        attempt(size, Way::Global, effort, &mut found);
    }
    found
}

/// The sizes of the attempts. A small picture is made larger, for codes of a few pixels a module.
fn sides(longest: usize) -> Vec<usize> {
    let mut sides: Vec<usize> = SIDES.into_iter().filter(|side| *side < longest).collect();
    if sides.len() < SIDES.len() {
        let place = sides.len().min(1);
        sides.insert(place, longest);
    }
    if longest < SIDES.into_iter().min().unwrap_or(0) {
        sides.push(longest.saturating_mul(3));
    }
    sides
}

fn attempt(picture: &Gray, way: Way, effort: &mut Effort, found: &mut BTreeSet<String>) {
    if !effort.takes(picture) {
        return;
    }
    let mut black = binary(picture, way);
    // White on black is seldom, and large where it is.
    let inverse = picture.longest() <= TILE && matches!(way, Way::Local(12) | Way::Global);
    for inverted in 0..=u8::from(inverse) {
        if inverted == 1 {
            black.iter_mut().for_each(|pixel| *pixel ^= 1);
        }
        for tile in tiles(&black, picture.width) {
            let count = finders::count(&tile.black, tile.width);
            if !(3..=finders::MOST).contains(&count) {
                continue;
            }
            found.extend(tile.texts());
        }
    }
}

/// A part of a picture in black and white, no larger than the finder can reckon with.
struct Tile {
    width: usize,
    /// 1 where it is black, row by row.
    black: Vec<u8>,
}

impl Tile {
    fn texts(&self) -> Vec<String> {
        let at = |x: usize, y: usize| {
            let at = y.saturating_mul(self.width).saturating_add(x);
            self.black.get(at).copied().unwrap_or(0) == 1
        };
        let height = self.black.len().checked_div(self.width).unwrap_or(0);
        // The finder is not ours: what makes it panic is not read.
        let texts = catch_unwind(AssertUnwindSafe(|| {
            let mut image = PreparedImage::prepare_from_bitmap(self.width, height, at);
            let grids = image.detect_grids();
            grids.iter().take(CODES).filter_map(text).collect::<Vec<_>>()
        }));
        texts.unwrap_or_default()
    }
}

/// The parts of a large picture. They overlap by as much as a code may take that is small in it; a larger one is
/// seen whole when the picture is made smaller.
fn tiles(black: &[u8], width: usize) -> impl Iterator<Item = Tile> {
    let height = black.len().checked_div(width).unwrap_or(0);
    let begins = |length: usize| (0..length.saturating_sub(OVERLAP).max(1)).step_by(TILE - OVERLAP);
    begins(height).flat_map(move |top| {
        begins(width).map(move |left| {
            let wide = TILE.min(width.saturating_sub(left));
            let rows = black.chunks(width.max(1)).skip(top).take(TILE);
            let part =
                |row: &[u8]| row.get(left..left.saturating_add(wide)).unwrap_or_default().to_vec();
            Tile { width: wide, black: rows.flat_map(part).collect() }
        })
    })
}

/// The whole text of a code whose error correction came out even.
fn text<G: rqrr::BitGrid>(grid: &rqrr::Grid<G>) -> Option<String> {
    let mut bytes = Vec::new();
    grid.decode_to(&mut bytes).ok()?;
    // UTF-8 as everybody writes it, or Latin-1 as the standard has it.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// 1 where it is black.
fn binary(picture: &Gray, way: Way) -> Vec<u8> {
    let against = |picture: &Gray, parts: usize| {
        let half = (picture.longest() / parts / 2).max(5);
        let sums = Sums::of(picture);
        let mut black = Vec::with_capacity(picture.pixels.len());
        for y in 0..picture.height {
            for x in 0..picture.width {
                // A little darker than its surroundings, or paper would be full of specks.
                let mean = u16::from(sums.mean(x, y, half));
                black.push(u8::from(u16::from(picture.at(x, y)) * 100 < mean * 93));
            }
        }
        black
    };
    match way {
        Way::Local(parts) => against(picture, parts),
        Way::Smooth(parts) => against(&picture.smooth(3), parts),
        Way::Global => {
            let threshold = otsu(picture);
            picture.pixels.iter().map(|pixel| u8::from(*pixel <= threshold)).collect()
        }
    }
}

/// The threshold that parts the grey values best (Otsu, 1979).
fn otsu(picture: &Gray) -> u8 {
    let mut counts = [0_u64; 256];
    for pixel in &picture.pixels {
        if let Some(count) = counts.get_mut(usize::from(*pixel)) {
            *count = count.saturating_add(1);
        }
    }
    let weigh = |value: u8, count: u64| f64::from(value) * as_float(count);
    let all = as_float(counts.iter().sum());
    let sum: f64 = (0_u8..=255).zip(counts).map(|(value, count)| weigh(value, count)).sum();
    let (mut below, mut sum_below, mut best) = (0.0, 0.0, (0.0, 127_u8));
    for (value, count) in (0_u8..=255).zip(counts) {
        below += as_float(count);
        sum_below += weigh(value, count);
        let above = all - below;
        if below < 1.0 || above < 1.0 {
            continue;
        }
        let apart = sum_below / below - (sum - sum_below) / above;
        let between = below * above * apart * apart;
        if between > best.0 {
            best = (between, value);
        }
    }
    best.1
}

fn as_float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
