//! What a PDF page draws by areas and lines, as a picture: most letters draw their codes so, module by module.
//!
//! A content stream is taken by itself, whatever page or form it belongs to, and the picture is as large as what it
//! paints: where it stands on the page says nothing of a code. Text, images, clipping and patterns are left out.
//! ISO 32000-1 8.5 (paths), 8.4.2 (graphics state), 8.6.8 (colour).

use super::picture::{Gray, luma};
use super::search::Effort;

/// Longer side of the picture. A code of 2 cm on A4 has 4 pixels a module then.
const SIDE: u16 = 4_500;
/// Operators of one stream.
const OPERATORS: usize = 2_000_000;
/// Points of all that is painted.
const POINTS: usize = 4_000_000;
/// Saved states, one in another.
const DEPTH: usize = 64;
/// Numbers before one operator; a matrix has six.
const OPERANDS: usize = 8;
/// Fewer areas make no code.
const LEAST: usize = 8;
/// What a row, and a line that goes through it, cost beside the pixels.
const ROW: usize = 32;

#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
}

/// `[a b c d e f]` (8.3.4).
#[derive(Clone, Copy)]
struct Matrix([f64; 6]);

impl Matrix {
    fn apply(self, point: Point) -> Point {
        let [a, b, c, d, e, f] = self.0;
        Point { x: a * point.x + c * point.y + e, y: b * point.x + d * point.y + f }
    }

    /// First this, then the other.
    fn then(self, other: Self) -> Self {
        let [a, b, c, d, e, f] = self.0;
        let [g, h, i, j, k, l] = other.0;
        Self([
            a * g + b * i,
            a * h + b * j,
            c * g + d * i,
            c * h + d * j,
            e * g + f * i + k,
            e * h + f * j + l,
        ])
    }
}

#[derive(Clone, Copy)]
struct State {
    matrix: Matrix,
    fill: u8,
    stroke: u8,
    width: f64,
}

/// One area in one shade; its outlines are closed.
struct Area {
    outlines: Vec<Vec<Point>>,
    shade: u8,
}

#[derive(Default)]
struct Page {
    areas: Vec<Area>,
    points: usize,
    /// The path that is being made.
    path: Vec<Vec<Point>>,
}

/// The picture of a content stream; `None` if it does not draw enough to be one, or so much that it is none.
pub(super) fn picture(content: &[u8], effort: &mut Effort) -> Option<Gray> {
    let page = interpret(content);
    let outlines: usize = page.areas.iter().map(|area| area.outlines.len()).sum();
    if outlines < LEAST {
        return None;
    }
    paint(&page.areas, effort)
}

fn interpret(content: &[u8]) -> Page {
    let mut page = Page::default();
    let mut state =
        State { matrix: Matrix([1., 0., 0., 1., 0., 0.]), fill: 0, stroke: 0, width: 1. };
    let mut saved = Vec::new();
    let mut numbers: Vec<f64> = Vec::new();
    let mut rest = content;
    let mut count = 0;
    while let Some(word) = next_word(&mut rest) {
        if let Some(number) = number(word) {
            if numbers.len() < OPERANDS {
                numbers.push(number);
            }
            continue;
        }
        count += 1;
        if count > OPERATORS || page.points > POINTS {
            break;
        }
        match (word, numbers.as_slice()) {
            (b"q", _) if saved.len() < DEPTH => saved.push(state),
            (b"Q", _) => state = saved.pop().unwrap_or(state),
            (b"cm", &[a, b, c, d, e, f]) => {
                state.matrix = Matrix([a, b, c, d, e, f]).then(state.matrix);
            }
            (b"w", &[width]) => state.width = width,
            (b"g" | b"rg" | b"k" | b"sc" | b"scn", colour) => state.fill = shade(colour),
            (b"G" | b"RG" | b"K" | b"SC" | b"SCN", colour) => state.stroke = shade(colour),
            (b"m", &[x, y]) => page.path.push(vec![Point { x, y }]),
            // Of a curve its end will do: codes have none.
            (b"l", &[x, y]) | (b"c", &[_, _, _, _, x, y]) | (b"v" | b"y", &[_, _, x, y]) => {
                if let Some(outline) = page.path.last_mut() {
                    outline.push(Point { x, y });
                    page.points += 1;
                }
            }
            (b"h", _) => page.close(),
            (b"re", &[x, y, width, height]) => {
                let corner = |dx, dy| Point { x: x + dx, y: y + dy };
                let corners = [(0., 0.), (width, 0.), (width, height), (0., height), (0., 0.)];
                page.path.push(corners.into_iter().map(|(dx, dy)| corner(dx, dy)).collect());
                page.points += 4;
            }
            (b"f" | b"F" | b"f*", _) => page.fill(&state),
            (b"S", _) => page.stroke(&state),
            (b"s", _) => {
                page.close();
                page.stroke(&state);
            }
            (b"B" | b"B*" | b"b" | b"b*", _) => page.fill(&state),
            (b"n", _) => page.path.clear(),
            // The bytes of an image within the stream are no operators.
            (b"ID", _) => rest = behind_image(rest),
            _ => {}
        }
        numbers.clear();
    }
    page
}

impl Page {
    fn close(&mut self) {
        if let Some(outline) = self.path.last_mut()
            && let Some(first) = outline.first().copied()
        {
            outline.push(first);
        }
    }

    fn fill(&mut self, state: &State) {
        let outlines: Vec<Vec<Point>> = std::mem::take(&mut self.path)
            .into_iter()
            .filter(|outline| outline.len() > 2)
            .map(|outline| outline.into_iter().map(|point| state.matrix.apply(point)).collect())
            .collect();
        if !outlines.is_empty() {
            self.areas.push(Area { outlines, shade: state.fill });
        }
    }

    /// Every straight part as an area as wide as the line.
    fn stroke(&mut self, state: &State) {
        let mut outlines = Vec::new();
        for outline in std::mem::take(&mut self.path) {
            for pair in outline.windows(2) {
                let [from, to] = *pair else { continue };
                let (dx, dy) = (to.x - from.x, to.y - from.y);
                let length = dx.hypot(dy);
                if length <= 0. {
                    continue;
                }
                let (x, y) = (-dy / length * state.width / 2., dx / length * state.width / 2.);
                let corners = [
                    Point { x: from.x + x, y: from.y + y },
                    Point { x: to.x + x, y: to.y + y },
                    Point { x: to.x - x, y: to.y - y },
                    Point { x: from.x - x, y: from.y - y },
                ];
                outlines.push(corners.map(|corner| state.matrix.apply(corner)).to_vec());
                self.points += 4;
            }
        }
        // One area each, or parts that cross would cancel out.
        let shade = state.stroke;
        self.areas.extend(outlines.into_iter().map(|one| Area { outlines: vec![one], shade }));
    }
}

/// The areas over each other, the first below, on white.
fn paint(areas: &[Area], effort: &mut Effort) -> Option<Gray> {
    let points = || areas.iter().flat_map(|area| area.outlines.iter().flatten());
    if points().any(|point| !point.x.is_finite() || !point.y.is_finite()) {
        return None;
    }
    let least = |of: fn(&Point) -> f64| points().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&Point) -> f64| points().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (left, right) = (least(|point| point.x), most(|point| point.x));
    let (bottom, top) = (least(|point| point.y), most(|point| point.y));
    let (wide, high) = (right - left, top - bottom);
    let side = f64::from(SIDE);
    let scale = side / wide.max(high);
    if !scale.is_finite() || wide.min(high) * scale < 21. {
        return None;
    }
    // A quiet zone around it, or a code alone on its page would not be found.
    let margin = side / 12.;
    let of = |length: f64| pixel(length * scale + 2. * margin, usize::from(SIDE) * 2);
    let (width, height) = (of(wide).max(1), of(high).max(1));
    if !effort.paints(width.saturating_mul(height)) {
        return None;
    }
    let mut picture = Gray::new(width, height, 255)?;
    for area in areas {
        let place = |point: &Point| Point {
            x: (point.x - left) * scale + margin,
            y: (top - point.y) * scale + margin,
        };
        let placed: Vec<Vec<Point>> =
            area.outlines.iter().map(|outline| outline.iter().map(place).collect()).collect();
        for group in groups(&placed) {
            fill(&mut picture, group, area.shade, effort)?;
        }
    }
    Some(picture)
}

/// Rectangles of one path are painted each by itself: that costs their own rows only. Other outlines may be holes in
/// each other, and are painted together.
fn groups(outlines: &[Vec<Point>]) -> Vec<&[Vec<Point>]> {
    if outlines.iter().all(|outline| outline.len() <= 6) {
        outlines.chunks(1).collect()
    } else {
        vec![outlines]
    }
}

/// Fills by the even-odd rule, at the middle of each row and pixel; `None` if that is more than is left to be done.
fn fill(picture: &mut Gray, outlines: &[Vec<Point>], shade: u8, effort: &mut Effort) -> Option<()> {
    let ys = || outlines.iter().flatten().map(|point| point.y);
    let first = pixel(ys().fold(f64::INFINITY, f64::min), picture.height);
    let last = pixel(ys().fold(0., f64::max) + 1., picture.height);
    let mut edges = Vec::new();
    for outline in outlines {
        let next = outline.iter().skip(1).chain(outline.first());
        edges.extend(outline.iter().zip(next).filter(|(a, b)| (a.y - b.y).abs() > f64::EPSILON));
    }
    edges.sort_by(|(a, b), (c, d)| a.y.min(b.y).total_cmp(&c.y.min(d.y)));
    let mut waiting = edges.into_iter().peekable();
    let mut active: Vec<(&Point, &Point)> = Vec::new();
    let mut middle = f64::from(u32::try_from(first).unwrap_or(u32::MAX)) + 0.5;
    let mut crossings = Vec::new();
    for row in first..last {
        while let Some(edge) = waiting.next_if(|(a, b)| a.y.min(b.y) <= middle) {
            active.push(edge);
        }
        active.retain(|(a, b)| a.y.max(b.y) > middle);
        crossings.clear();
        crossings
            .extend(active.iter().map(|(a, b)| a.x + (middle - a.y) / (b.y - a.y) * (b.x - a.x)));
        crossings.sort_by(f64::total_cmp);
        let mut painted = crossings.len().saturating_add(1).saturating_mul(ROW);
        for pair in crossings.chunks_exact(2) {
            let [from, to] = *pair else { continue };
            let (from, to) = (pixel(from + 0.5, picture.width), pixel(to + 0.5, picture.width));
            let begin = row.saturating_mul(picture.width);
            let span = begin.saturating_add(from)..begin.saturating_add(to);
            if let Some(pixels) = picture.pixels.get_mut(span) {
                pixels.fill(shade);
                painted = painted.saturating_add(pixels.len());
            }
        }
        if !effort.paints(painted) {
            return None;
        }
        middle += 1.;
    }
    Some(())
}

/// The pixel of a place, within the picture.
fn pixel(place: f64, most: usize) -> usize {
    let most_float = f64::from(u32::try_from(most).unwrap_or(u32::MAX));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and `most`, and a float's fraction goes"
    )]
    let place = place.clamp(0., most_float) as usize;
    place.min(most)
}

/// Of one, three or four numbers; a pattern counts as black.
fn shade(colour: &[f64]) -> u8 {
    let part = |value: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 255"
        )]
        let part = (value.clamp(0., 1.) * 255.) as u8;
        part
    };
    match *colour {
        [gray] => part(gray),
        [red, green, blue] => luma(part(red), part(green), part(blue)),
        [c, m, y, k] => {
            let light = |ink: f64| part(1. - (ink + k).min(1.));
            luma(light(c), light(m), light(y))
        }
        _ => 0,
    }
}

fn number(word: &[u8]) -> Option<f64> {
    if !word.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+')) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The next number or operator. Strings, names and comments stand for nothing.
fn next_word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let delimits =
        |byte: &u8| byte.is_ascii_whitespace() || *byte == 0 || b"()<>[]{}/%".contains(byte);
    loop {
        let text = *rest;
        let (first, behind) = text.split_first()?;
        match first {
            b'(' => *rest = behind_string(behind),
            b'%' => {
                let end = behind.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                *rest = behind.get(end?..)?;
            }
            b'/' => {
                let end = behind.iter().position(delimits).unwrap_or(behind.len());
                *rest = behind.get(end..)?;
            }
            b'<' if behind.first().is_some_and(u8::is_ascii_hexdigit) => {
                let end = behind.iter().position(|byte| *byte == b'>').unwrap_or(behind.len());
                *rest = behind.get(end..)?;
            }
            first if delimits(first) => *rest = behind,
            _ => {
                let end = text.iter().position(delimits).unwrap_or(text.len());
                let (word, behind) = text.split_at_checked(end)?;
                *rest = behind;
                return Some(word);
            }
        }
    }
}

/// Behind the bracket that ends a string (7.3.4.2).
fn behind_string(text: &[u8]) -> &[u8] {
    let (mut depth, mut escaped) = (1_usize, false);
    for (byte, behind) in text.iter().zip(1..) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(behind..).unwrap_or_default();
        }
    }
    &[]
}

/// Behind the keyword that ends an image within the stream (8.9.7).
fn behind_image(text: &[u8]) -> &[u8] {
    let ends = |window: &[u8]| {
        matches!(window, [before, b'E', b'I', after]
            if before.is_ascii_whitespace() && after.is_ascii_whitespace())
    };
    let at = text.windows(4).position(ends);
    at.and_then(|at| text.get(at + 3..)).unwrap_or_default()
}
