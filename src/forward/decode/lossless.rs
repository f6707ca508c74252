//! Lossless JPEG: differences to a prediction from neighbours (ITU-T T.81 H).

use super::Broken;
use super::bits::{Bits, Table};

/// One scan: its components lie beside each other in what comes out.
pub(super) struct Scan<'a> {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Place of each component of this scan among all of them, with its table.
    pub(super) components: Vec<(usize, &'a Table)>,
    /// Components of the frame.
    pub(super) samples: usize,
    pub(super) precision: u32,
    /// Selection value 1 to 7 (Table H.1).
    pub(super) predictor: u8,
    /// Low bits that are left out.
    pub(super) shift: u32,
    /// Pixels between restart markers; 0 for none.
    pub(super) restart: usize,
}

impl Scan<'_> {
    /// Decodes into `pixels`, which has all components of all pixels. Returns where the next marker begins.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        at: usize,
        pixels: &mut [u16],
    ) -> Result<usize, Broken> {
        if self.restart.checked_rem(self.columns).unwrap_or(0) != 0 {
            return Err(Broken::Unsupported("restart markers inside a line"));
        }
        if self.shift >= self.precision || !(1..=7).contains(&self.predictor) {
            return Err(Broken::Stream("has a predictor that is none"));
        }
        let lines = self.restart.checked_div(self.columns).unwrap_or(0);
        let stride = self.columns.saturating_mul(self.samples);
        let mut bits = Bits::new(bytes, at);
        let start = 1_u16 << self.precision.saturating_sub(self.shift).saturating_sub(1).min(15);
        // Before the first line, and of it: nothing is read from them, see `line`.
        let mut above: Vec<u16> = vec![0; stride];
        let mut restarts = 0_u8;
        for (row, line) in pixels.chunks_exact_mut(stride).enumerate().take(self.rows) {
            let is_first = row.checked_rem(lines).unwrap_or(row) == 0;
            if is_first && row > 0 {
                bits.restart(restarts)?;
                restarts = restarts.wrapping_add(1);
            }
            self.line(&mut bits, line, (!is_first).then_some(&above), start)?;
            above.copy_from_slice(line);
        }
        if self.shift > 0 {
            for (place, _) in &self.components {
                let own = pixels.iter_mut().skip(*place).step_by(self.samples);
                own.for_each(|sample| *sample <<= self.shift);
            }
        }
        Ok(bits.end())
    }

    fn line(
        &self,
        bits: &mut Bits<'_>,
        line: &mut [u16],
        above: Option<&Vec<u16>>,
        start: u16,
    ) -> Result<(), Broken> {
        let mut left = [0_u16; 4];
        let mut corner = [0_u16; 4];
        let mut first = true;
        for (column, pixel) in line.chunks_exact_mut(self.samples).enumerate() {
            let over = above.and_then(|above| {
                let at = column.saturating_mul(self.samples);
                above.get(at..at.saturating_add(self.samples))
            });
            for (place, table) in &self.components {
                let category = u32::from(table.decode(bits)?);
                let difference = match category {
                    0..=15 => bits.signed(category)?,
                    16 => 32768,
                    _ => return Err(Broken::Stream("has a difference that is none")),
                };
                let above = over.and_then(|over| over.get(*place)).copied();
                let (Some(left), Some(corner), Some(sample)) =
                    (left.get_mut(*place), corner.get_mut(*place), pixel.get_mut(*place))
                else {
                    return Err(Broken::Size);
                };
                let predicted = match above {
                    None if first => i32::from(start),
                    None => i32::from(*left),
                    Some(above) if first => i32::from(above),
                    Some(above) => self.predicted(*left, above, *corner),
                };
                let value = predicted.wrapping_add(difference) & 0xFFFF;
                *sample = u16::try_from(value).unwrap_or(0);
                *left = *sample;
                *corner = above.unwrap_or(0);
            }
            first = false;
        }
        Ok(())
    }

    /// Table H.1.
    fn predicted(&self, left: u16, above: u16, corner: u16) -> i32 {
        let (a, b, c) = (i32::from(left), i32::from(above), i32::from(corner));
        match self.predictor {
            1 => a,
            2 => b,
            3 => c,
            4 => a + b - c,
            5 => a + ((b - c) >> 1),
            6 => b + ((a - c) >> 1),
            _ => (a + b) >> 1,
        }
    }
}
