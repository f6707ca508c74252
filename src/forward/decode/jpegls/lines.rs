//! Lines of samples: prediction, contexts and runs (T.87 annex A).

use super::bits::Bits;
use super::{Broken, Parameters};

/// Signed sums of three gradients of nine regions, their signs folded (T.87 A.3.4).
const CONTEXTS: usize = 365;

/// How many bits tell the rest of a run, by how long runs have been (T.87 A.2.1).
const RUN_BITS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// An order beyond which no code goes: samples have 16 bits.
const MOST_ORDER: u32 = 16;

/// The largest correction of a prediction (T.87 A.6.2).
const CORRECTION: i32 = 128;

/// The lines of one component that a sample looks at. Both have a sample more on either side.
#[derive(Clone)]
pub(super) struct Plane {
    above: Vec<i32>,
    current: Vec<i32>,
}

impl Plane {
    pub(super) fn new(columns: usize) -> Self {
        let line = vec![0; columns.saturating_add(2)];
        Self { above: line.clone(), current: line }
    }

    /// The line that was decoded last.
    pub(super) fn line(&self) -> impl Iterator<Item = i32> + '_ {
        self.current.iter().skip(1).copied()
    }

    /// The last line becomes the one above; its ends are repeated (T.87 A.2.1).
    fn turn(&mut self) {
        std::mem::swap(&mut self.above, &mut self.current);
        let columns = self.above.len().saturating_sub(2);
        let (first, last) = (at(&self.above, 1), at(&self.above, columns));
        if let Some(behind) = self.above.last_mut() {
            *behind = last;
        }
        if let Some(before) = self.current.first_mut() {
            *before = first;
        }
    }

    fn put(&mut self, x: usize, value: i32) {
        if let Some(place) = self.current.get_mut(x) {
            *place = value;
        }
    }

    fn around(&self, x: usize) -> Around {
        let before = x.saturating_sub(1);
        Around {
            left: at(&self.current, before),
            above: at(&self.above, x),
            corner: at(&self.above, before),
            ahead: at(&self.above, x.saturating_add(1)),
        }
    }
}

fn at(line: &[i32], x: usize) -> i32 {
    line.get(x).copied().unwrap_or(0)
}

/// The neighbours a, b, c and d of a sample.
#[derive(Clone, Copy)]
struct Around {
    left: i32,
    above: i32,
    corner: i32,
    ahead: i32,
}

impl Around {
    /// The median edge detector (T.87 A.4.1).
    fn predicted(self) -> i32 {
        let (least, most) = (self.left.min(self.above), self.left.max(self.above));
        if self.corner >= most {
            least
        } else if self.corner <= least {
            most
        } else {
            self.left + self.above - self.corner
        }
    }
}

/// What is known of the errors in one context: their sum, their bias, the correction, their number.
#[derive(Clone, Copy)]
struct Context {
    sum: i64,
    bias: i64,
    correction: i32,
    number: i64,
}

/// The same of samples that end a run.
#[derive(Clone, Copy)]
struct EndOfRun {
    sum: i64,
    number: i64,
    negative: i64,
}

pub(super) struct Lines<'a> {
    bits: Bits<'a>,
    parameters: Parameters,
    /// Number of different errors, and the bits that they need.
    range: i32,
    width: u32,
    /// Longest code.
    limit: u32,
    contexts: Vec<Context>,
    ends: [EndOfRun; 2],
}

impl<'a> Lines<'a> {
    pub(super) fn new(bits: Bits<'a>, parameters: Parameters) -> Self {
        let Parameters { most, near, .. } = parameters;
        let range = (most + 2 * near) / (2 * near + 1) + 1;
        let width = bits_for(range);
        let depth = bits_for(most + 1).max(2);
        let sum = i64::from(((range + 32) / 64).max(2));
        Self {
            bits,
            parameters,
            range,
            width,
            limit: 2 * (depth + depth.max(8)),
            contexts: vec![Context { sum, bias: 0, correction: 0, number: 1 }; CONTEXTS],
            ends: [EndOfRun { sum, number: 1, negative: 0 }; 2],
        }
    }

    /// A place at or before the end of what was decoded.
    pub(super) fn into_end(self) -> usize {
        self.bits.place()
    }

    /// The next line of components that are coded together. `run` is how long their runs have been.
    pub(super) fn next(&mut self, planes: &mut [Plane], run: &mut usize) -> Result<(), Broken> {
        planes.iter_mut().for_each(Plane::turn);
        let columns = planes.first().map_or(0, |plane| plane.above.len().saturating_sub(2));
        let mut x = 1_usize;
        while x <= columns {
            if planes.iter().all(|plane| self.context(plane.around(x)) == 0) {
                x = self.run(planes, x, columns, run)?;
                continue;
            }
            for plane in planes.iter_mut() {
                let around = plane.around(x);
                let value = self.sample(around, self.context(around))?;
                plane.put(x, value);
            }
            x = x.saturating_add(1);
        }
        Ok(())
    }

    /// The regions of the gradients in one number (T.87 A.3.3, A.3.4).
    fn context(&self, around: Around) -> i32 {
        let Around { left, above, corner, ahead } = around;
        81 * self.region(ahead - above)
            + 9 * self.region(above - corner)
            + self.region(corner - left)
    }

    fn region(&self, gradient: i32) -> i32 {
        let [first, second, third] = self.parameters.thresholds;
        let size = gradient.abs();
        let region = if size <= self.parameters.near {
            0
        } else if size < first {
            1
        } else if size < second {
            2
        } else if size < third {
            3
        } else {
            4
        };
        region * gradient.signum()
    }

    /// A sample by itself (T.87 A.4 to A.6).
    fn sample(&mut self, around: Around, folded: i32) -> Result<i32, Broken> {
        let Parameters { most, near, reset, .. } = self.parameters;
        let sign = if folded < 0 { -1 } else { 1 };
        let index = usize::try_from(folded.unsigned_abs()).unwrap_or(0);
        let Some(context) = self.contexts.get_mut(index) else { return Err(super::PARAMETERS) };
        let predicted = (around.predicted() + sign * context.correction).clamp(0, most);
        let k = order(context.sum, context.number);
        let mapped = self.bits.golomb(k, self.limit, self.width)?;
        let half = mapped >> 1;
        let turned = near == 0 && k == 0 && 2 * context.bias <= -context.number;
        let error = match (mapped & 1 == 1, turned) {
            (false, false) | (true, true) => half,
            (true, false) | (false, true) => -half - 1,
        };
        context.learn(error, near, reset);
        Ok(self.rebuilt(predicted, sign * error))
    }

    /// A prediction with its error: within what samples can be (T.87 A.4.5).
    fn rebuilt(&self, predicted: i32, error: i32) -> i32 {
        let Parameters { most, near, .. } = self.parameters;
        let step = 2 * near + 1;
        let mut value = predicted.saturating_add(error.saturating_mul(step));
        if value < -near {
            value = value.saturating_add(self.range * step);
        } else if value > most + near {
            value = value.saturating_sub(self.range * step);
        }
        value.clamp(0, most)
    }

    /// Equal samples, and the one that ends them (T.87 A.7); gives the place behind.
    fn run(
        &mut self,
        planes: &mut [Plane],
        from: usize,
        columns: usize,
        run: &mut usize,
    ) -> Result<usize, Broken> {
        let bits = |run: usize| RUN_BITS.get(run).copied().unwrap_or(15);
        let mut to = from;
        let behind = columns.saturating_add(1);
        loop {
            if self.bits.take(1)? == 0 {
                let rest = usize::try_from(self.bits.take(bits(*run))?).unwrap_or(usize::MAX);
                to = to.saturating_add(rest);
                break;
            }
            let whole = 1_usize << bits(*run);
            let rest = behind.saturating_sub(to);
            to = to.saturating_add(whole.min(rest));
            if whole <= rest {
                *run = run.saturating_add(1).min(RUN_BITS.len() - 1);
            }
            if to == behind {
                break;
            }
        }
        if to > behind {
            return Err(Broken::Stream("has a run that is longer than its line"));
        }
        for plane in planes.iter_mut() {
            let value = at(&plane.current, from.saturating_sub(1));
            for x in from..to {
                plane.put(x, value);
            }
        }
        if to == behind {
            return Ok(to);
        }
        let alone = planes.len() == 1;
        for plane in planes.iter_mut() {
            let Around { left, above, .. } = plane.around(to);
            let limit = self.limit.saturating_sub(bits(*run)).saturating_sub(1);
            // Of samples that are coded together only the one kind is told apart.
            let is_near = alone && (left - above).abs() <= self.parameters.near;
            let error = self.end_of_run(is_near, limit)?;
            let value = if is_near {
                self.rebuilt(left, error)
            } else {
                self.rebuilt(above, if left > above { -error } else { error })
            };
            plane.put(to, value);
        }
        *run = run.saturating_sub(1);
        Ok(to.saturating_add(1))
    }

    /// The error of a sample that ends a run (T.87 A.7.2).
    fn end_of_run(&mut self, is_near: bool, limit: u32) -> Result<i32, Broken> {
        let [far, near] = &mut self.ends;
        let end = if is_near { near } else { far };
        let kind = i32::from(is_near);
        let sum = if is_near { end.sum + (end.number >> 1) } else { end.sum };
        let k = order(sum, end.number);
        let coded = self.bits.golomb(k, limit, self.width)?;
        let mapped = coded.saturating_add(kind);
        let is_odd = mapped & 1 == 1;
        let size = (mapped + i32::from(is_odd)) / 2;
        let more_negative = k != 0 || 2 * end.negative >= end.number;
        let error = if more_negative == is_odd { -size } else { size };
        end.sum += i64::from((coded + 1 - kind) >> 1);
        end.negative += i64::from(error < 0);
        if end.number == i64::from(self.parameters.reset) {
            end.sum >>= 1;
            end.number >>= 1;
            end.negative >>= 1;
        }
        end.number += 1;
        Ok(error)
    }
}

impl Context {
    /// T.87 A.6.1 and A.6.2.
    fn learn(&mut self, error: i32, near: i32, reset: i32) {
        self.bias += i64::from(error) * i64::from(2 * near + 1);
        self.sum += i64::from(error.unsigned_abs());
        if self.number == i64::from(reset) {
            self.sum >>= 1;
            self.bias >>= 1;
            self.number >>= 1;
        }
        self.number += 1;
        if self.bias <= -self.number {
            self.bias = (self.bias + self.number).max(1 - self.number);
            self.correction = (self.correction - 1).max(-CORRECTION);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.number).min(0);
            self.correction = (self.correction + 1).min(CORRECTION - 1);
        }
    }
}

/// The order of the code by the mean size of errors (T.87 A.5.1).
fn order(sum: i64, number: i64) -> u32 {
    (0..MOST_ORDER).find(|k| number << k >= sum).unwrap_or(MOST_ORDER)
}

/// Bits that so many values need.
fn bits_for(values: i32) -> u32 {
    i32::BITS - (values - 1).max(0).leading_zeros()
}
