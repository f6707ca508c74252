//! Archives that lie, break, bomb or lead elsewhere.

use std::io::Read;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;

use super::build::{Raw, World, aside, deflated, object, reason_of, stored, zip, zip_parts};
use crate::unpack::clamd::Scanner;
use crate::unpack::meter::{Budget, Fault, Meter, RATIO_FREE, Source};
use crate::unpack::{Class, Error, Limits, ScanSection};

/// The archive has one bad entry between two good ones: those are read, and the bad one has its reason.
fn set_aside_alone(bad: Raw, part: &str) {
    let world = World::new();
    let archive = zip(&[stored("A", &object(1)), bad, deflated("C", &object(3))]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!(unpacked.instances.len(), 2, "{part}");
    let [(_, reason)] = aside(&unpacked)[..] else { panic!("{part}: one file set aside expected") };
    assert!(reason.contains(part), "{reason}");
    assert!(unpacked.documents.is_empty());
}

#[test]
fn names_that_lead_elsewhere_are_only_names() {
    let world = World::new();
    let names = [
        "../../../../etc/cron.d/x",
        "/etc/passwd",
        "C:\\Windows\\x.dll",
        "..",
        "\u{0}",
        "a\nb",
        "CON",
        "%n%s",
    ];
    let entries: Vec<Raw> =
        (1..).zip(names).map(|(number, name)| stored(name, &object(number))).collect();
    let unpacked = world.unpack_one("../../a.zip", &zip(&entries)).unwrap();
    assert_eq!(unpacked.instances.len(), names.len());
    let texts: Vec<Raw> = names.iter().map(|name| stored(name, b"x")).collect();
    let unpacked = world.unpack_one("a.zip", &zip(&texts)).unwrap();
    assert_eq!(unpacked.set_aside.len(), names.len());
    assert!(unpacked.set_aside.iter().all(|file| !file.name.contains(['\n', '\0', '\\'])));
}

#[test]
fn links_passwords_and_strange_methods_are_set_aside() {
    let link = Raw { attributes: 0o120_777 << 16, ..stored("B", b"/etc/passwd") };
    set_aside_alone(link, "link");
    set_aside_alone(Raw { method: 12, ..stored("B", &object(2)) }, "not supported");
    set_aside_alone(Raw { method: 99, ..stored("B", &object(2)) }, "damaged");
    set_aside_alone(Raw { method: 9, ..stored("B", &object(2)) }, "not supported");
}

#[test]
fn damaged_entries_are_set_aside() {
    let good = deflated("B", &object(2));
    set_aside_alone(Raw { crc: !good.crc, ..good.clone() }, "damaged");
    let mut flipped = good.clone();
    let middle = flipped.bytes.len() / 2;
    flipped.bytes[middle] ^= 0x55;
    set_aside_alone(flipped, "damaged");
    let mut short = good.clone();
    short.bytes.truncate(middle);
    short.compressed = u32::try_from(middle).unwrap();
    set_aside_alone(short, "damaged");
    set_aside_alone(Raw { at: Some(4_000_000_000), ..good.clone() }, "damaged");
    set_aside_alone(Raw { at: Some(7), ..good }, "damaged");
    let pdf = deflated("B.pdf", b"%PDF-1.4 and more");
    set_aside_alone(Raw { crc: 1, ..pdf }, "damaged");
}

#[test]
fn sizes_that_lie_are_not_believed() {
    let good = deflated("B", &object(2));
    set_aside_alone(Raw { size: good.size + 2, ..good.clone() }, "damaged");
    set_aside_alone(Raw { size: good.size - 2, ..good.clone() }, "damaged");
    set_aside_alone(Raw { size: u32::MAX - 1, ..good.clone() }, "damaged");
    set_aside_alone(Raw { size: 1, ..good.clone() }, "damaged");
    set_aside_alone(Raw { size: 0, ..good.clone() }, "damaged");
    set_aside_alone(Raw { size: 0, name: b"B/".to_vec(), ..good.clone() }, "damaged");
    set_aside_alone(deflated("B", b""), "empty");
    // Reaches into the entries behind it; deflate ends where it ends.
    let world = World::new();
    let archive = zip(&[Raw { compressed: 4_000, ..good }, deflated("C", &object(3))]);
    assert_eq!(world.unpack_one("a.zip", &archive).unwrap().instances.len(), 2);
}

#[test]
fn what_was_written_before_a_fault_does_not_stay() {
    let mut world = World::new();
    // The second one breaks the bound when the first is spooled.
    world.limits = Limits { total_bytes: 700, ..Limits::default() };
    let archive = zip(&[stored("A", &object(1)), stored("b.pdf", &[b'%'; 4096])]);
    let file = world.put("a.zip", &archive);
    let packs = world.packs();
    for _ in 0..3 {
        let fault = world.unpack(std::slice::from_ref(&file)).err();
        assert!(matches!(fault, Some(Error::TooLarge { .. })), "{fault:?}");
    }
    assert_eq!(world.packs(), packs);
}

#[test]
fn a_spool_that_is_away_may_come_back() {
    let world = World::new();
    let file = world.put("a.zip", &zip(&[stored("A", &object(1))]));
    let files = std::slice::from_ref(&file);
    let (packs, away) = (world.dir().join("spool"), world.dir().join("away"));
    std::fs::rename(&packs, &away).unwrap();
    let fault = world.unpack(files).err().unwrap();
    assert_eq!(fault.class(), Class::Retry);
    assert!(fault.sentence().contains("bring the spool folder back"), "{}", fault.sentence());
    std::fs::rename(&away, &packs).unwrap();
    assert_eq!(world.unpack(files).unwrap().instances.len(), 1);
    // Other bytes than were written will not be the right ones later.
    let pack = packs.join(world.spool.id().to_string()).join(format!("{:04}.pack", file.blob.pack));
    std::fs::write(&pack, vec![0; usize::try_from(pack.metadata().unwrap().len()).unwrap()])
        .unwrap();
    assert_eq!(world.unpack(files).err().unwrap().class(), Class::Quarantine);
}

#[test]
fn cut_anywhere_is_told_as_cut() {
    let world = World::new();
    let whole = zip(&[stored("A", &object(1)), deflated("B", &object(2))]);
    for end in (5..whole.len()).step_by(37).chain([whole.len() - 1]) {
        let error = world.unpack_one("a.zip", &whole[..end]).err();
        assert!(matches!(error, Some(Error::Cut { file: 1 })), "cut at {end}");
    }
    let error = world.unpack_one("Müller, Erika.zip", &whole[..300]).err().unwrap();
    assert_eq!(error.class(), Class::Useless);
    assert!(error.sentence().contains("incomplete") && !error.sentence().contains("ller"));
}

#[test]
fn whole_archive_inside_a_cut_one_does_not_stand_for_it() {
    let world = World::new();
    let inner = zip(&[stored("X", &object(9))]);
    let outer = zip_parts(&[stored("A", &object(1)), stored("inner.zip", &inner)], 2);
    let error = world.unpack_one("a.zip", &outer.bytes[..outer.directory]).err();
    assert!(matches!(error, Some(Error::Cut { file: 1 })));
}

#[test]
fn second_archive_is_named_by_its_number() {
    let world = World::new();
    let whole = zip(&[stored("A", &object(1))]);
    let files = [world.put("a.zip", &whole), world.put("b.zip", &whole[..whole.len() - 9])];
    assert!(matches!(world.unpack(&files).err(), Some(Error::Cut { file: 2 })));
}

#[test]
fn counts_that_lie_are_told() {
    let world = World::new();
    let entries = [stored("A", &object(1)), stored("B", &object(2)), stored("C", &object(3))];
    let fewer = zip_parts(&entries, 2).bytes;
    let unpacked = world.unpack_one("a.zip", &fewer).unwrap();
    assert_eq!(unpacked.instances.len(), 2);
    assert!(reason_of(&unpacked, "a.zip").contains("more files"));
    let more = zip_parts(&entries, 900).bytes;
    assert!(matches!(world.unpack_one("a.zip", &more).err(), Some(Error::Cut { .. })));
}

#[test]
fn broken_table_of_contents_is_told() {
    let world = World::new();
    let mut parts =
        zip_parts(&[stored("A", &object(1)), stored("B", &object(2)), stored("C", &object(3))], 3);
    // The second listing: 46 bytes and one letter behind the first.
    parts.bytes[parts.directory + 47] = b'X';
    let unpacked = world.unpack_one("a.zip", &parts.bytes).unwrap();
    assert_eq!(unpacked.instances.len(), 1);
    assert!(reason_of(&unpacked, "a.zip").contains("2 of 3 files were not read"));
}

#[test]
fn too_many_entries_are_refused_before_reading() {
    let mut world = World::new();
    world.limits.entries = 3;
    let entries: Vec<Raw> = (1..5).map(|n| stored("A", &object(n))).collect();
    let error = world.unpack_one("a.zip", &zip(&entries)).err();
    assert!(matches!(error, Some(Error::TooManyEntries { file: 1, entries: 4, limit: 3 })));
}

#[test]
fn large_entries_are_set_aside_and_large_totals_refused() {
    let mut world = World::new();
    let size = u64::try_from(object(1).len()).unwrap();
    world.limits.entry_bytes = size;
    let large = deflated("B", &[object(2), vec![0; 2_000]].concat());
    let archive = zip(&[deflated("A", &object(1)), large.clone()]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!(unpacked.instances.len(), 1);
    assert!(reason_of(&unpacked, "B").contains("larger than the limit"));
    // The same when the declared size hides it.
    let archive = zip(&[Raw { size: 900, ..large }]);
    assert_eq!(world.unpack_one("a.zip", &archive).unwrap().set_aside.len(), 1);

    world.limits = Limits { total_bytes: 3 * size, ..Limits::default() };
    let entries: Vec<Raw> = (1..4).map(|n| deflated("A", &object(n))).collect();
    let files = [world.put("a.zip", &zip(&entries)), world.put("b.zip", &zip(&entries))];
    assert_eq!(world.unpack(&files[..1]).unwrap().instances.len(), 3);
    let error = world.unpack(&files).err().unwrap();
    assert!(matches!(error, Error::TooLarge { .. }));
}

#[test]
fn bounds_of_the_whole_are_the_same_for_several_threads() {
    let mut world = World::new();
    let entries: Vec<Raw> = (0..40).map(|n| deflated("A", &object(n))).collect();
    let archive = zip(&entries);
    let length = entries.iter().map(|entry| u64::from(entry.size)).sum();
    for _ in 0..10 {
        world.limits = Limits { total_bytes: length, ..Limits::default() };
        assert_eq!(world.unpack_one("a.zip", &archive).unwrap().instances.len(), 40);
        world.limits.total_bytes = length - 1;
        let error = world.unpack_one("a.zip", &archive).err().unwrap();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
}

#[test]
fn bombs_stop() {
    let mut world = World::new();
    world.limits.ratio = 10;
    let size = usize::try_from(RATIO_FREE).unwrap() + (2 << 20);
    let mut bomb = b"%PDF-1.4\n".to_vec();
    bomb.resize(size, 0);
    let archive = zip(&[deflated("A.pdf", &bomb)]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert!(unpacked.documents.is_empty());
    assert!(reason_of(&unpacked, "A.pdf").contains("deflate bomb"));
}

#[test]
fn entries_that_share_their_bytes_stop_at_the_ratio_of_the_archive() {
    let mut world = World::new();
    world.limits.ratio = 10;
    let mut bytes = b"%PDF-1.4\n".to_vec();
    bytes.resize(4 << 20, 0);
    let first = deflated("A.pdf", &bytes);
    let mut entries = vec![first.clone(); 1];
    entries.resize(20, Raw { at: Some(0), ..first });
    let error = world.unpack_one("a.zip", &zip(&entries)).err();
    assert!(matches!(error, Some(Error::Bomb { file: 1, ratio: 10 })));
}

/// Reads endless zeros that claim to come from a huge archive; nothing of it was really read.
fn endless(limits: &Limits) -> (Option<Fault>, u64) {
    let cancel = CancellationToken::new();
    let section = ScanSection::default();
    let (scanner, seen) = (Scanner::new(&section), AtomicU64::new(0));
    let budget = Budget::new(limits, &cancel, 0, (1, 1 << 40), &scanner, &seen);
    let (_source, record) = Source::new(std::io::empty());
    let mut zeros = std::io::repeat(0);
    let mut meter = Meter::new(&mut zeros, &budget, &record);
    let mut chunk = vec![0; 1 << 20];
    let mut read = 0_u64;
    while let Ok(count) = meter.read(&mut chunk) {
        read = read.saturating_add(u64::try_from(count).unwrap());
    }
    assert!(meter.read(&mut chunk).is_err());
    (meter.fault(), read)
}

#[test]
fn bounds_count_bytes_that_were_really_read() {
    let mib = 1 << 20;
    let usual = Limits { ratio: 10, ..Limits::default() };
    assert_eq!(endless(&usual), (Some(Fault::EntryRatio), RATIO_FREE));
    let small = Limits { entry_bytes: 3 * mib, ..usual };
    assert_eq!(endless(&small), (Some(Fault::EntryTooLarge), 3 * mib));
    let few = Limits { total_bytes: 2 * mib, ..usual };
    assert_eq!(endless(&few), (Some(Fault::TotalTooLarge), 2 * mib));
}

#[test]
fn stopping_stops_at_once() {
    let world = World::new();
    let file = world.put("a.zip", &zip(&[stored("A", &object(1))]));
    world.cancel.cancel();
    assert!(matches!(world.unpack(&[file]).err(), Some(Error::Cancelled)));
    let limits = Limits::default();
    let section = ScanSection::default();
    let scanner = Scanner::new(&section);
    let budget = Budget::new(&limits, &world.cancel, 0, (1, 1), &scanner, &world.seen);
    let (_source, record) = Source::new(std::io::empty());
    let mut zeros = std::io::repeat(0);
    let mut meter = Meter::new(&mut zeros, &budget, &record);
    assert!(meter.read(&mut [0; 8]).is_err());
    assert_eq!(meter.fault(), Some(Fault::Cancelled));
}

#[test]
fn bytes_that_are_no_archive_are_set_aside() {
    let world = World::new();
    for bytes in [b"hello".as_slice(), &[0; 4_000], b"<html>404</html>", b"PK", b"{}"] {
        let unpacked = world.unpack_one("download.zip", bytes).unwrap();
        assert_eq!((unpacked.instances.len(), unpacked.set_aside.len()), (0, 1));
    }
    assert!(matches!(
        world.unpack_one("x", b"PK\x03\x04 and nothing").err(),
        Some(Error::Cut { .. })
    ));
}

#[test]
fn any_single_wrong_byte_is_survived() {
    let world = World::new();
    let whole = zip(&[deflated("A", &object(1)), stored("B.PDF", b"%PDF-1.4 x")]);
    for at in (0..whole.len()).step_by(3) {
        let mut broken = whole.clone();
        broken[at] ^= 0xFF;
        if let Ok(unpacked) = world.unpack_one("a.zip", &broken) {
            let kept = unpacked.instances.len() + unpacked.documents.len();
            assert!(kept + unpacked.set_aside.len() >= 1, "byte {at}");
        }
    }
}
