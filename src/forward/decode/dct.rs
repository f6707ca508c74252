//! Sequential JPEG of more than 8 bits: Huffman-coded blocks of cosine coefficients (ITU-T T.81 F.2).

use std::sync::LazyLock;

use super::Broken;
use super::bits::{Bits, Table};

/// Samples along an edge of a block.
const EDGE: usize = 8;

/// Where each coefficient of a stream belongs in its block (T.81 figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// `COSINES[x][u]`: what coefficient u gives to sample x (T.81 A.3.3).
static COSINES: LazyLock<[[f32; EDGE]; EDGE]> = LazyLock::new(|| {
    let mut table = [[0.0; EDGE]; EDGE];
    for (x, row) in (0_u8..).zip(table.iter_mut()) {
        for (u, cosine) in (0_u8..).zip(row.iter_mut()) {
            let scale = if u == 0 { std::f32::consts::FRAC_1_SQRT_2 } else { 1.0 };
            let angle = f32::from(2 * x + 1) * f32::from(u) * std::f32::consts::PI / 16.0;
            *cosine = scale * angle.cos() / 2.0;
        }
    }
    table
});

/// The one component of a gray image.
pub(super) struct Scan<'a> {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) precision: u32,
    pub(super) dc: &'a Table,
    pub(super) ac: &'a Table,
    /// In the order of the stream.
    pub(super) quantisation: &'a [u16; 64],
    /// Blocks between restart markers; 0 for none.
    pub(super) restart: usize,
}

impl Scan<'_> {
    /// Returns where the next marker begins.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        at: usize,
        pixels: &mut [u16],
    ) -> Result<usize, Broken> {
        let mut bits = Bits::new(bytes, at);
        let (mut before, mut done, mut restarts) = (0, 0_usize, 0_u8);
        for top in (0..self.rows).step_by(EDGE) {
            for left in (0..self.columns).step_by(EDGE) {
                if self.restart > 0 && done > 0 && done.checked_rem(self.restart) == Some(0) {
                    bits.restart(restarts)?;
                    restarts = restarts.wrapping_add(1);
                    before = 0;
                }
                let block = self.block(&mut bits, &mut before)?;
                let rows = pixels.chunks_exact_mut(self.columns).skip(top).take(EDGE);
                for (samples, line) in inverse(&block).iter().zip(rows) {
                    for (sample, pixel) in samples.iter().zip(line.iter_mut().skip(left)) {
                        *pixel = self.sample(*sample);
                    }
                }
                done = done.saturating_add(1);
            }
        }
        Ok(bits.end())
    }

    /// One block of coefficients, brought back to their size.
    fn block(&self, bits: &mut Bits<'_>, before: &mut i32) -> Result<[[f32; EDGE]; EDGE], Broken> {
        let bad = Broken::Stream("has a coefficient that is none");
        let mut block = [[0.0; EDGE]; EDGE];
        let mut put = |n: usize, value: i32| {
            let place = ZIGZAG.get(n).ok_or(bad)?;
            let row = block.get_mut(place / EDGE).ok_or(bad)?;
            let factor = self.quantisation.get(n).copied().ok_or(bad)?;
            let value = i16::try_from(value).map_err(|_| bad)?;
            *row.get_mut(place % EDGE).ok_or(bad)? = f32::from(value) * f32::from(factor);
            Ok(())
        };
        let size = u32::from(self.dc.decode(bits)?);
        if size > 15 {
            return Err(bad);
        }
        *before = before.saturating_add(bits.signed(size)?);
        put(0, *before)?;
        let mut n = 1_usize;
        while n < 64 {
            let coded = self.ac.decode(bits)?;
            let (run, size) = (usize::from(coded >> 4), u32::from(coded & 15));
            match (run, size) {
                (15, 0) => n = n.saturating_add(16),
                (_, 0) => break,
                _ => {
                    n = n.saturating_add(run);
                    let value = bits.signed(size)?;
                    put(n, value)?;
                    n = n.saturating_add(1);
                }
            }
        }
        Ok(block)
    }

    /// Level shift and bounds (T.81 A.3.1).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float is clamped to the type's range by the language"
    )]
    fn sample(&self, value: f32) -> u16 {
        let middle = f32::from(1_u16 << self.precision.saturating_sub(1).min(15));
        let highest = middle * 2.0 - 1.0;
        (value + middle).round().clamp(0.0, highest) as u16
    }
}

/// Rows, then columns.
fn inverse(block: &[[f32; EDGE]; EDGE]) -> [[f32; EDGE]; EDGE] {
    let once = |from: &[[f32; EDGE]; EDGE]| {
        // Along each row, written transposed, so that doing it twice ends upright.
        let mut to = [[0.0; EDGE]; EDGE];
        for (x, cosines) in COSINES.iter().enumerate() {
            if let Some(out) = to.get_mut(x) {
                for (value, row) in out.iter_mut().zip(from) {
                    *value = row.iter().zip(cosines).map(|(a, b)| a * b).sum();
                }
            }
        }
        to
    };
    once(&once(block))
}
