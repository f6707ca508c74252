//! The virus scanner, played by a thread that speaks INSTREAM; the real one is in `tests/it`.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use super::build::{World, object, reason_of, stored, zip};
use crate::unpack::{Error, ScanSection};

/// Answers as clamd would that knows one signature: the bytes `VIRUS`. Longer files than `most` are refused.
fn clamd(path: &std::path::Path, most: usize) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut command = [0; 10];
            stream.read_exact(&mut command).unwrap();
            assert_eq!(&command, b"zINSTREAM\0");
            let mut bytes = Vec::new();
            let answer = loop {
                let mut length = [0; 4];
                stream.read_exact(&mut length).unwrap();
                let length = u32::from_be_bytes(length);
                if length == 0 {
                    let infected = bytes.windows(5).any(|part| part == b"VIRUS");
                    break if infected { "stream: Test.Sig FOUND\0" } else { "stream: OK\0" };
                }
                let mut chunk = vec![0; usize::try_from(length).unwrap()];
                stream.read_exact(&mut chunk).unwrap();
                bytes.extend(chunk);
                if bytes.len() > most {
                    break "INSTREAM size limit exceeded. ERROR\0";
                }
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

fn world(most: Option<usize>, required: bool) -> (World, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clamd.ctl");
    if let Some(most) = most {
        clamd(&path, most);
    }
    let mut world = World::new();
    world.scan = ScanSection { clamd_socket: Some(path), clamd_required: required };
    (world, dir)
}

fn ill() -> Vec<u8> {
    let mut bytes = object(2);
    bytes[10..15].copy_from_slice(b"VIRUS");
    bytes
}

#[test]
fn infected_files_are_set_aside_and_the_others_go_on() {
    let (world, _dir) = world(Some(usize::MAX), true);
    let archive = zip(&[stored("A", &object(1)), stored("B", &ill()), stored("c.txt", b"VIRUS")]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!((unpacked.instances.len(), unpacked.documents.len()), (1, 0));
    for name in ["B", "c.txt"] {
        assert!(reason_of(&unpacked, name).contains("Test.Sig"), "{name}");
    }
    let unpacked = world.unpack_one("B", &ill()).unwrap();
    assert!(reason_of(&unpacked, "B").contains("infected"));
    for (text, count) in [(&b"VIRUS"[..], 0), (b"well", 1)] {
        let unpacked = world.unpack_one("c.txt", text).unwrap();
        assert_eq!((unpacked.documents.len(), unpacked.set_aside.len()), (count, 1 - count));
    }
    let nested = zip(&[stored("x.zip", &archive)]);
    let unpacked = world.unpack_one("a.zip", &nested).unwrap();
    assert_eq!((unpacked.instances.len(), unpacked.set_aside.len()), (1, 2));
}

#[test]
fn absent_scanner_holds_the_import_if_it_is_required() {
    let (world, _dir) = world(None, true);
    let archive = zip(&[stored("A", &object(1))]);
    assert!(matches!(world.unpack_one("a.zip", &archive).err(), Some(Error::Scanner)));
    assert!(matches!(world.unpack_one("A", &object(1)).err(), Some(Error::Scanner)));
    let file = world.put("a.zip", &archive);
    let packs = world.packs();
    for _ in 0..3 {
        assert!(world.unpack(std::slice::from_ref(&file)).is_err());
    }
    assert_eq!(world.packs(), packs, "what was written in vain stays");
}

#[test]
fn absent_scanner_is_told_if_it_is_not_required() {
    let (world, _dir) = world(None, false);
    let archive = zip(&[stored("A", &object(1)), stored("B", &object(2))]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!((unpacked.instances.len(), unpacked.set_aside.len()), (2, 1));
    assert!(reason_of(&unpacked, "(virus scan)").contains("unscanned"));
}

#[test]
fn files_beyond_the_scanner_are_set_aside_if_it_is_required() {
    for required in [true, false] {
        let (world, _dir) = world(Some(300), required);
        let archive = zip(&[stored("A", &object(1)), stored("b.txt", b"x")]);
        let unpacked = world.unpack_one("a.zip", &archive).unwrap();
        let told = unpacked.set_aside.iter().any(|file| file.reason.contains("StreamMaxLength"));
        assert_eq!((unpacked.instances.len(), told), (usize::from(!required), required));
    }
}
