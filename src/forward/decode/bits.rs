//! Bits and Huffman codes of JPEG's entropy-coded segments (ITU-T T.81 F.2.2).

use super::Broken;

const TRUNCATED: Broken = Broken::Stream("ends too early");
const CODE: Broken = Broken::Stream("has a code that its table does not have");

/// Codes up to this length are looked up at once.
const SHORT: u32 = 9;

/// Reads bits between markers; stuffed zeros are left out.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, the last one lowest.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, held: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xFF {
                if self.bytes.get(self.at.saturating_add(1)) != Some(&0) {
                    return;
                }
                self.at = self.at.saturating_add(1);
            }
            self.at = self.at.saturating_add(1);
            self.held = self.held << 8 | u64::from(byte);
            self.count = self.count.saturating_add(8);
        }
    }

    /// The next bits, zeros behind the last one.
    fn peek(&mut self, count: u32) -> u32 {
        if self.count < count {
            self.fill();
        }
        let bits = match self.count.checked_sub(count) {
            Some(behind) => self.held >> behind,
            None => self.held << count.saturating_sub(self.count),
        };
        let mask = (1_u64 << count).saturating_sub(1);
        u32::try_from(bits & mask).unwrap_or(0)
    }

    fn skip(&mut self, count: u32) -> Result<(), Broken> {
        self.count = self.count.checked_sub(count).ok_or(TRUNCATED)?;
        self.held &= (1_u64 << self.count).saturating_sub(1);
        Ok(())
    }

    pub(super) fn take(&mut self, count: u32) -> Result<u32, Broken> {
        let bits = self.peek(count);
        self.skip(count)?;
        Ok(bits)
    }

    /// A signed number of this many bits, up to 16 (F.2.2.1, EXTEND).
    pub(super) fn signed(&mut self, count: u32) -> Result<i32, Broken> {
        if count == 0 {
            return Ok(0);
        }
        let bits = i32::try_from(self.take(count)?).unwrap_or(0);
        let half = 1_i32 << count.saturating_sub(1);
        Ok(if bits < half { bits - 2 * half + 1 } else { bits })
    }

    /// Goes behind the restart marker of this number.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Broken> {
        (self.held, self.count) = (0, 0);
        let mut rest = self.bytes.iter().skip(self.at);
        let mut skipped = 0_usize;
        while rest.next() == Some(&0xFF) {
            skipped = skipped.saturating_add(1);
        }
        self.at = self.at.saturating_add(skipped);
        if skipped == 0 || self.bytes.get(self.at) != Some(&(0xD0 | (number & 7))) {
            return Err(Broken::Stream("lacks a restart marker"));
        }
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    /// Where the next marker begins, what is left of the last byte dropped.
    pub(super) fn end(&self) -> usize {
        self.at
    }
}

/// One Huffman table (T.81 C).
#[derive(Clone)]
pub(super) struct Table {
    /// Length and value by the next [`SHORT`] bits; length 0 if the code is longer.
    short: Vec<(u8, u8)>,
    /// For each length from 1 to 16: the first code, the place of its value, and how many there are.
    lengths: Vec<(u32, usize, u32)>,
    values: Vec<u8>,
}

impl Table {
    /// Of the number of codes of each length, and their values.
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Result<Self, Broken> {
        let bad = Broken::Stream("has a table that is none");
        let (mut code, mut place) = (0_u32, 0_usize);
        let mut lengths = Vec::with_capacity(16);
        let mut short = vec![(0, 0); 1 << SHORT];
        for (length, count) in (1_u32..).zip(counts) {
            let count = u32::from(*count);
            if code.saturating_add(count) > 1 << length {
                return Err(bad);
            }
            lengths.push((code, place, count));
            for n in 0..count {
                let value = *values.get(place).ok_or(bad)?;
                place = place.saturating_add(1);
                if length <= SHORT {
                    let behind = SHORT.saturating_sub(length);
                    let first = usize::try_from(code.saturating_add(n) << behind).unwrap_or(0);
                    let known = u8::try_from(length).unwrap_or(0);
                    short
                        .iter_mut()
                        .skip(first)
                        .take(1 << behind)
                        .for_each(|s| *s = (known, value));
                }
            }
            code = code.saturating_add(count) << 1;
        }
        Ok(Self { short, lengths, values: values.to_vec() })
    }

    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Result<u8, Broken> {
        let next = bits.peek(SHORT);
        if let Some((length, value)) = self.short.get(usize::try_from(next).unwrap_or(0)).copied()
            && length > 0
        {
            bits.skip(u32::from(length))?;
            return Ok(value);
        }
        let next = bits.peek(16);
        for (length, (first, place, count)) in (1_u32..).zip(&self.lengths).skip(9) {
            let code = next >> 16_u32.saturating_sub(length);
            if let Some(n) = code.checked_sub(*first).filter(|n| n < count) {
                bits.skip(length)?;
                let at = place.saturating_add(usize::try_from(n).unwrap_or(0));
                return self.values.get(at).copied().ok_or(CODE);
            }
        }
        Err(CODE)
    }
}
