//! Sequential JPEG without its pixels: every code of a scan is read, so that a stream which ends early is known
//! (ITU-T T.81 F.2).

use super::Broken;
use super::bits::{Bits, Table};

/// Samples along an edge of a block.
const EDGE: usize = 8;

pub(super) struct Scan<'a> {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Sampling factors of all components of the frame.
    pub(super) frame: &'a [(usize, usize)],
    /// Those of this scan: factors, and tables of the first and of the other coefficients.
    pub(super) components: Vec<((usize, usize), Table, Table)>,
    /// Units between restart markers; 0 for none.
    pub(super) restart: usize,
}

impl Scan<'_> {
    /// Returns where the next marker begins.
    pub(super) fn to_end(&self, bytes: &[u8], at: usize) -> Result<usize, Broken> {
        let none = Broken::Stream("has components of a size that is none");
        let widest = self.frame.iter().map(|(across, _)| *across).max().unwrap_or(0);
        let highest = self.frame.iter().map(|(_, down)| *down).max().unwrap_or(0);
        if self
            .frame
            .iter()
            .any(|(across, down)| !(1..=4).contains(across) || !(1..=4).contains(down))
        {
            return Err(none);
        }
        let blocks = |length: usize, factor: usize, of: usize| {
            let own = length.saturating_mul(factor).div_ceil(of);
            own.div_ceil(EDGE)
        };
        // A scan of one component has blocks, one of several has units of them (T.81 A.2).
        let units = match self.components.as_slice() {
            [((across, down), ..)] => blocks(self.columns, *across, widest)
                .saturating_mul(blocks(self.rows, *down, highest)),
            _ => {
                let across = self.columns.div_ceil(EDGE.saturating_mul(widest));
                across.saturating_mul(self.rows.div_ceil(EDGE.saturating_mul(highest)))
            }
        };
        let is_alone = self.components.len() == 1;
        let mut bits = Bits::new(bytes, at);
        let mut restarts = 0_u8;
        for unit in 0..units {
            if unit > 0 && unit.checked_rem(self.restart) == Some(0) {
                bits.restart(restarts)?;
                restarts = restarts.wrapping_add(1);
            }
            for ((across, down), dc, ac) in &self.components {
                let count = if is_alone { 1 } else { across.saturating_mul(*down) };
                for _ in 0..count {
                    block(&mut bits, dc, ac)?;
                }
            }
        }
        Ok(bits.end())
    }
}

fn block(bits: &mut Bits<'_>, dc: &Table, ac: &Table) -> Result<(), Broken> {
    let bad = Broken::Stream("has a coefficient that is none");
    let size = u32::from(dc.decode(bits)?);
    if size > 15 {
        return Err(bad);
    }
    bits.take(size)?;
    let mut n = 1_usize;
    while n < 64 {
        let coded = ac.decode(bits)?;
        match (usize::from(coded >> 4), u32::from(coded & 15)) {
            (15, 0) => n = n.saturating_add(16),
            (_, 0) => break,
            (run, size) => {
                n = n.saturating_add(run).saturating_add(1);
                bits.take(size)?;
            }
        }
    }
    Ok(())
}
