use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use proptest::prelude::*;

use super::Inflater;

fn whole(small: &[u8], length: usize, checksum: u32) -> Option<Vec<u8>> {
    Inflater::new().whole(small, length, checksum).map(<[u8]>::to_vec)
}

fn deflated(bytes: &[u8], level: u32) -> (Vec<u8>, u32) {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    let mut crc = Crc::new();
    crc.update(bytes);
    (encoder.finish().unwrap(), crc.sum())
}

/// Bytes with everything that an encoder knows: noise, runs, repetitions from afar.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..3000);
    let pieces = prop::collection::vec((noise, 0_usize..4, 0_usize..600), 0..12);
    pieces.prop_map(|pieces| {
        let mut bytes = Vec::new();
        for (noise, times, run) in pieces {
            for _ in 0..times {
                bytes.extend_from_slice(&noise);
            }
            bytes.extend(std::iter::repeat_n(noise.first().copied().unwrap_or(0), run));
        }
        bytes
    })
}

proptest! {
    #[test]
    fn what_went_in_comes_out(bytes in bytes(), level in 0_u32..10) {
        let (small, crc) = deflated(&bytes, level);
        prop_assert_eq!(whole(&small, bytes.len(), crc), Some(bytes));
    }

    #[test]
    fn what_was_changed_is_never_taken_for_it(bytes in bytes(), at in any::<usize>(), bit in 0_u32..8) {
        let (mut small, crc) = deflated(&bytes, 6);
        let at = at % small.len();
        small[at] ^= 1 << bit;
        let found = whole(&small, bytes.len(), crc);
        prop_assert!(found.is_none_or(|found| found == bytes));
    }

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..4000), length in 0_usize..10_000) {
        // One checksum in four thousand million would fit.
        prop_assert_eq!(whole(&noise, length, 0x1234_5678), None);
    }
}

#[test]
fn another_length_or_checksum_is_refused() {
    let bytes = vec![7; 5000];
    let (small, crc) = deflated(&bytes, 6);
    assert_eq!(whole(&small, 4999, crc), None);
    assert_eq!(whole(&small, 5001, crc), None);
    assert_eq!(whole(&small, 5000, !crc), None);
    assert_eq!(whole(&small[..small.len() - 1], 5000, crc), None);
    assert_eq!(whole(&[], 0, 0), None);
    assert_eq!(whole(&small, 5000, crc), Some(bytes));
}

#[test]
fn nothing_of_an_entry_is_left_in_the_next() {
    let mut inflater = Inflater::new();
    let (long, long_crc) = deflated(&[7; 5000], 6);
    let (short, short_crc) = deflated(&[8; 10], 6);
    assert_eq!(inflater.whole(&long, 5000, long_crc), Some([7; 5000].as_slice()));
    assert_eq!(inflater.whole(&short, 5000, long_crc), None);
    assert_eq!(inflater.whole(&short, 10, short_crc), Some([8; 10].as_slice()));
}

#[test]
fn a_bomb_stops_at_what_was_declared() {
    let (small, crc) = deflated(&vec![0; 64 << 20], 9);
    assert_eq!(whole(&small, 1000, crc), None);
}
