//! Bits of JPEG-LS's entropy-coded segments, and the limited Golomb code over them (T.87 A.5.3, C.1).

use super::{Broken, TRUNCATED};

const CODE: Broken = Broken::Stream("has a code that JPEG-LS does not know");

/// Reads bits up to the next marker. Behind a byte `FF` one bit is stuffed.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The byte before was `FF`.
    is_stuffed: bool,
    /// The next bits, the last one lowest.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, is_stuffed: false, held: 0, count: 0 }
    }

    /// No further than this was read.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            let next = self.bytes.get(self.at.saturating_add(1));
            if byte == 0xFF && next.is_none_or(|next| *next >= 0x80) {
                return;
            }
            let bits = if self.is_stuffed { 7 } else { 8 };
            self.held = self.held << bits | u64::from(byte);
            self.count = self.count.saturating_add(bits);
            self.is_stuffed = byte == 0xFF;
            self.at = self.at.saturating_add(1);
        }
    }

    fn skip(&mut self, count: u32) {
        self.count = self.count.saturating_sub(count);
        self.held &= (1_u64 << self.count).saturating_sub(1);
    }

    /// At most 32 bits.
    pub(super) fn take(&mut self, count: u32) -> Result<i32, Broken> {
        if self.count < count {
            self.fill();
        }
        let behind = self.count.checked_sub(count).ok_or(TRUNCATED)?;
        let bits = self.held >> behind;
        self.skip(count);
        i32::try_from(bits).map_err(|_| CODE)
    }

    /// Zeros before the next one, which is read too; at most `most`.
    fn zeros(&mut self, most: u32) -> Result<u32, Broken> {
        let mut zeros = 0_u32;
        loop {
            if self.count == 0 {
                self.fill();
            }
            if self.count == 0 {
                return Err(TRUNCATED);
            }
            let shift = 64_u32.saturating_sub(self.count);
            let leading = (self.held << shift).leading_zeros().min(self.count);
            zeros = zeros.saturating_add(leading);
            if zeros > most {
                return Err(CODE);
            }
            if leading < self.count {
                self.skip(leading.saturating_add(1));
                return Ok(zeros);
            }
            self.skip(leading);
        }
    }

    /// A number in a Golomb code of order `k` that has at most `limit` bits, with `width` bits for large ones.
    pub(super) fn golomb(&mut self, k: u32, limit: u32, width: u32) -> Result<i32, Broken> {
        let most = limit.saturating_sub(width).saturating_sub(1);
        let high = self.zeros(most)?;
        if high == most {
            return Ok(self.take(width)?.saturating_add(1));
        }
        let high = i32::try_from(high).map_err(|_| CODE)?;
        Ok((high << k) | self.take(k)?)
    }
}
