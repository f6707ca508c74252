//! Small entries inflated in one piece, which takes far less time than a stream of them does.
//!
//! Invariant: what comes out has the declared length and checksum. Everything else is left to the reader that
//! streams, so that damage is judged in one place.

use libdeflater::Decompressor;

/// Entries up to this length, before and after, are inflated in one piece: images of most devices are shorter.
pub(super) const LONGEST: u64 = 3 << 20;

/// Inflates one entry after the other into the same memory: to have it zeroed anew for each would cost a seventh of
/// the time.
pub(super) struct Inflater {
    decoder: Decompressor,
    content: Vec<u8>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { decoder: Decompressor::new(), content: Vec::new() }
    }

    /// `None` if it is not what was declared, or nothing that can be read. Never writes more than `length` bytes.
    pub(super) fn whole(&mut self, input: &[u8], length: usize, checksum: u32) -> Option<&[u8]> {
        if self.content.len() < length {
            self.content.resize(length, 0);
        }
        let content = self.content.get_mut(..length)?;
        let inflated = self.decoder.deflate_decompress(input, content).ok()?;
        (inflated == length && libdeflater::crc32(content) == checksum).then_some(content)
    }
}

#[cfg(test)]
mod tests;
