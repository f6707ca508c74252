//! The short form of the fuzz targets: the same functions (`tests/fuzz/bodies.rs`) over seeds and the same
//! mutations of them every time, without another toolchain and without coverage. The seeds are left in
//! `target/test-env/fuzz/<target>` for the long form (`tests/fuzz/README.md`).

#[path = "../fuzz/bodies.rs"]
mod bodies;
mod seeds;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use crate::support::test_env;

/// Of each target. The seeds themselves are always run.
const SHORT: Duration = Duration::from_secs(4);

/// At least so many mutations, on a machine that is too busy for more in that time.
const LEAST: usize = 50;

/// Longest answer to one input, however slow the machine: libFuzzer's own limit for the long form.
const SLOWEST: Duration = Duration::from_secs(25);

/// A generator that needs no crate (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap()
    }

    /// Up to four changes: a bit, a byte, a cut, four bytes, a hole, a copy, a part of another seed.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.next(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.next(bytes.len());
            match self.next(7) {
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
                5 => {
                    let end = (at + self.next(64)).min(bytes.len());
                    let part = bytes[at..end].to_vec();
                    let to = self.next(bytes.len());
                    bytes.splice(to..to, part);
                }
                _ => {
                    let from = self.next(other.len());
                    let end = (from + self.next(512)).min(other.len());
                    bytes.splice(at..at, other[from..end].iter().copied());
                }
            }
        }
    }
}

fn run(target: &str, body: fn(&[u8]), seeds: &[Vec<u8>]) {
    let corpus = test_env("").join("fuzz").join(target);
    let _ = std::fs::remove_dir_all(&corpus);
    std::fs::create_dir_all(&corpus).unwrap();
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(corpus.join(format!("seed-{number:03}")), seed).unwrap();
    }
    let try_it = |bytes: &[u8]| {
        let begun = Instant::now();
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| body(bytes)));
        if ended.is_err() || begun.elapsed() > SLOWEST {
            let kept = test_env("").join(format!("fuzz/{target}.failed"));
            std::fs::write(&kept, bytes).unwrap();
            panic!("{target}: see {}; it took {:?}", kept.display(), begun.elapsed());
        }
    };
    seeds.iter().for_each(|seed| try_it(seed));
    let mut dice = Dice(0x10f5_e000_5eed);
    let begun = Instant::now();
    let mut mutations = 0;
    while mutations < LEAST || begun.elapsed() < SHORT {
        let mut bytes = seeds[dice.next(seeds.len())].clone();
        let other = &seeds[dice.next(seeds.len())];
        dice.mutate(&mut bytes, other);
        try_it(&bytes);
        mutations += 1;
    }
    println!("{target}: {} seeds, {mutations} mutations", seeds.len());
}

#[test]
fn archive() {
    run("archive", bodies::archive, &seeds::archives());
}

#[test]
fn recipe() {
    run("recipe", bodies::recipe, &seeds::recipes());
}

#[test]
fn form() {
    run("form", bodies::form, &seeds::pages());
}

#[test]
fn dicomdir() {
    run("dicomdir", bodies::dicomdir, &seeds::directories());
}

#[test]
fn scanner() {
    run("scanner", bodies::scanner, &seeds::objects());
}

#[test]
fn inspect() {
    run("inspect", bodies::inspect, &seeds::objects());
}

#[test]
fn charset() {
    run("charset", bodies::charset, &seeds::texts());
}

#[test]
fn dlx() {
    run("dlx", bodies::dlx, &seeds::portals());
}

#[test]
fn head() {
    run("head", bodies::head, &seeds::heads());
}

#[test]
fn hl7() {
    run("hl7", bodies::hl7, &seeds::messages());
}

#[test]
fn multipart() {
    run("multipart", bodies::multipart, &seeds::multiparts());
}
