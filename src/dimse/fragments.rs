//! A data set cut into P-DATA PDUs of one fragment each, several of them for one write.
//!
//! Most peers take 16 KiB a PDU: written one by one, a CT slice is 32 calls. Invariant: what is handed out are whole
//! PDUs, and only the last one of the data set says that it is the last.

use bytes::BufMut;

use super::message::Place;
use super::wire::PDV_HEADER;

/// So many bytes are gathered for one write; of larger PDUs each is written by itself.
const GATHERED: usize = 128 << 10;

/// PDU type, reserved byte, length; then length, context and control header of the PDV (PS3.8 9.3.5).
const HEAD: usize = 6 + PDV_HEADER as usize;

/// PDUs, the last of them being filled.
pub(super) struct Fragments {
    bytes: Vec<u8>,
    /// Where the PDU being filled begins.
    begun: usize,
    context: u8,
    /// Bytes of a fragment.
    size: usize,
}

impl Fragments {
    /// `size` is the longest fragment that the peer takes.
    pub(super) fn new(context: u8, size: usize) -> Self {
        let room = GATHERED.saturating_add(size).saturating_add(2 * HEAD);
        let mut fragments =
            Self { bytes: Vec::with_capacity(room), begun: 0, context, size: size.max(1) };
        fragments.begin();
        fragments
    }

    fn begin(&mut self) {
        self.begun = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD]);
    }

    fn end(&mut self, place: Place) {
        let filled = self.bytes.len().saturating_sub(self.begun).saturating_sub(HEAD);
        let value = u32::try_from(filled).unwrap_or(u32::MAX).saturating_add(2);
        let control = if place == Place::Last { 2 } else { 0 };
        if let Some(mut head) = self.bytes.get_mut(self.begun..).filter(|rest| rest.len() >= HEAD) {
            head.put_slice(&[4, 0]);
            head.put_u32(value.saturating_add(4));
            head.put_u32(value);
            head.put_slice(&[self.context, control]);
        }
    }

    /// Takes as many of the bytes as go into what is written next. A full fragment is ended only when more bytes
    /// come, because some peers stumble over an empty last one.
    pub(super) fn take<'a>(&mut self, mut bytes: &'a [u8]) -> Taken<'a> {
        while !bytes.is_empty() {
            let filled = self.bytes.len().saturating_sub(self.begun).saturating_sub(HEAD);
            let room = self.size.saturating_sub(filled);
            if room == 0 {
                self.end(Place::Within);
                if self.bytes.len() >= GATHERED {
                    return Taken::Full { rest: bytes };
                }
                self.begin();
                continue;
            }
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.bytes.extend_from_slice(now);
            bytes = later;
        }
        Taken::All
    }

    /// The whole PDUs, behind [`Taken::Full`].
    pub(super) fn pdus(&self) -> &[u8] {
        &self.bytes
    }

    /// They are written; the next is begun.
    pub(super) fn written(&mut self) {
        self.bytes.clear();
        self.begin();
    }

    /// What is left, with the last fragment of the data set.
    pub(super) fn last(&mut self) -> &[u8] {
        self.end(Place::Last);
        &self.bytes
    }
}

/// What became of bytes.
pub(super) enum Taken<'a> {
    All,
    /// What was gathered has to be written before the rest is taken.
    Full {
        rest: &'a [u8],
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts `data`, coming in pieces, and reads the PDUs as a peer would.
    fn through(data: &[u8], piece: usize, size: usize) -> Vec<(u8, Vec<u8>)> {
        let mut fragments = Fragments::new(7, size);
        let mut wire = Vec::new();
        for mut bytes in data.chunks(piece) {
            while let Taken::Full { rest } = fragments.take(bytes) {
                assert!(fragments.pdus().len() <= GATHERED + size + HEAD);
                wire.extend_from_slice(fragments.pdus());
                fragments.written();
                bytes = rest;
            }
        }
        wire.extend_from_slice(fragments.last());
        let mut rest = wire.as_slice();
        let mut found = Vec::new();
        while let [4, 0, a, b, c, d, more @ ..] = rest {
            let pdu = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let (body, next) = more.split_at(pdu);
            assert_eq!(u32::from_be_bytes(body[..4].try_into().unwrap()) as usize, pdu - 4);
            assert_eq!(body[4], 7);
            found.push((body[5], body[6..].to_vec()));
            rest = next;
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn every_byte_goes_out_once_and_only_the_last_fragment_says_so() {
        let data: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        for size in [2, 1018, 16_378, 131_066] {
            for piece in [1_000, 16_378, 131_072, 300_000] {
                for length in [0, 1, size, size + 1, 4 * size, 300_000] {
                    if length / size > 20_000 {
                        continue;
                    }
                    let data = &data[..length.min(data.len())];
                    let found = through(data, piece, size);
                    let joined: Vec<u8> =
                        found.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                    assert!(joined == data, "{size} {piece} {length}");
                    let (last, others) = found.split_last().unwrap();
                    assert_eq!(last.0, 2);
                    assert!(
                        others.iter().all(|(control, bytes)| *control == 0 && bytes.len() == size)
                    );
                    // No empty last fragment but that of an empty data set.
                    assert!(data.is_empty() || !last.1.is_empty());
                }
            }
        }
    }
}
