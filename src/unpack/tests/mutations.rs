//! Mutated media, the same ones every time: nothing panics, nothing is lost, everything ends. The short form of
//! the targets in `tests/fuzz`.

use super::build::{World, deflated, directory, object, stored, zip};
use super::containers::{gz, tar_of, usual_image};
use crate::unpack::Limits;

/// A generator that needs no crate (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below).unwrap()).unwrap()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.next(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.next(bytes.len());
            match self.next(6) {
                0 => bytes[at] ^= 1 << self.next(8),
                1 => bytes[at] = [0, 0xff, 0x7f, 0x80][self.next(4)],
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill([0, 0xff][self.next(2)]);
                }
                4 => {
                    let end = (at + self.next(64)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    let end = (at + self.next(64)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    let to = self.next(bytes.len());
                    bytes.splice(to..to, part);
                }
            }
        }
    }
}

#[test]
fn mutated_media_never_panic() {
    let mut world = World::new();
    world.limits = Limits { entries: 100, entry_bytes: 1 << 20, total_bytes: 4 << 20, ratio: 100 };
    world.password = Some("secret".to_owned());
    let listing = directory(&[(1, "DICOM\\IM1"), (2, "DICOM\\IM2")]);
    let whole = zip(&[
        stored("DICOMDIR", &listing),
        deflated("DICOM/IM1", &object(1)),
        stored("x.zip", &zip(&[stored("IM", &object(3))])),
    ]);
    let tar = tar_of(&["A", "B"]);
    let seeds = [whole, tar.clone(), gz(&tar), gz(&object(1)), usual_image(), object(1), listing];
    let mut dice = Dice(0x10f5_e000_5eed);
    for round in 0..150 {
        for seed in &seeds {
            let mut bytes = seed.clone();
            // The front of an image is empty.
            let (front, mut rest) = match bytes.len() > 40_000 {
                true => (bytes[..16 * 2048].to_vec(), bytes.split_off(16 * 2048)),
                false => (Vec::new(), bytes),
            };
            dice.mutate(&mut rest);
            let bytes = [front, rest].concat();
            let name = if round % 2 == 0 { "arrival.iso" } else { "DICOMDIR" };
            if let Ok(unpacked) = world.unpack_one(name, &bytes) {
                for instance in &unpacked.instances {
                    assert!(instance.layout.ends_at <= instance.blob.length);
                }
            }
        }
    }
}
