//! Archives that are as they should be, and the sample.

use std::io::{Cursor, Write};
use std::sync::atomic::Ordering;

use zip::write::SimpleFileOptions;

use super::build::{
    Raw, World, aside, deflated, element, instance_uid, object, reason_of, stored, zip,
};
use crate::import::FileKind;
use crate::sim::sample::Sample;

#[test]
fn sample_gives_every_slice_and_the_report() {
    let world = World::new();
    let sample = Sample::new(3);
    let unpacked = world.unpack_one("download.zip", &sample.zip().unwrap()).unwrap();
    assert_eq!(unpacked.instances.len(), sample.received());
    assert_eq!(world.seen.load(Ordering::Relaxed), 3);
    for (slice, instance) in (0..).zip(&unpacked.instances) {
        assert_eq!(instance.sop_instance, sample.instance_uid(slice));
        assert_eq!(instance.series, sample.series_uid());
        assert_eq!(instance.facts.study_uid, sample.study_uid());
        assert_eq!(instance.facts.patient, sample.foreign_patient());
        let bytes = world.bytes(&instance.blob);
        assert!(bytes == sample.instance(slice));
        let pixels = instance.layout.pixel_data.unwrap();
        assert_eq!(pixels.ends_at - pixels.element_at, 12 + 512 * 512 * 2);
    }
    let [(FileKind::Pdf, title, blob)] = unpacked.documents.as_slice() else {
        panic!("one document expected")
    };
    assert_eq!(title, "BEFUND");
    assert!(world.bytes(blob) == sample.pdf());
    assert_eq!(unpacked.set_aside.len(), Sample::SET_ASIDE);
    assert!(reason_of(&unpacked, "VIEWER.EXE").contains("program"));
    assert!(reason_of(&unpacked, "AUTORUN.INF").contains("never run"));
}

#[test]
fn sample_medium_lists_what_it_holds() {
    let world = World::new();
    let sample = Sample::new(2);
    let directory = world.unpack_one("DICOMDIR", &sample.directory()).unwrap();
    let names: Vec<_> = aside(&directory).iter().map(|(name, _)| name.to_string()).collect();
    let folder = "DICOM/ST000001/SE000001";
    assert_eq!(names, [format!("{folder}/IM000001"), format!("{folder}/IM000002")]);
}

#[test]
fn equal_names_are_all_read() {
    let world = World::new();
    let archive =
        zip(&[deflated("IM1", &object(1)), deflated("IM1", &object(2)), stored("IM1", &object(3))]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    let found: Vec<_> = unpacked.instances.iter().map(|i| i.sop_instance.to_string()).collect();
    assert_eq!(found, [instance_uid(1), instance_uid(2), instance_uid(3)]);
    assert!(unpacked.set_aside.is_empty());
}

#[test]
fn folders_are_no_files() {
    let world = World::new();
    let archive = zip(&[stored("DICOM/", b""), stored("DICOM/IM1", &object(1))]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!((unpacked.instances.len(), aside(&unpacked).len()), (1, 0));
}

#[test]
fn empty_archive_is_told() {
    let world = World::new();
    let unpacked = world.unpack_one("leer.zip", &zip(&[])).unwrap();
    assert!(unpacked.instances.is_empty());
    assert_eq!(aside(&unpacked), [("leer.zip", "the archive is empty")]);
}

#[test]
fn zip64_and_bytes_in_front_are_read() {
    let world = World::new();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("IM1", SimpleFileOptions::default().large_file(true)).unwrap();
    writer.write_all(&object(1)).unwrap();
    let zip64 = writer.finish().unwrap().into_inner();
    assert_eq!(world.unpack_one("a.zip", &zip64).unwrap().instances.len(), 1);
    let shifted = [b"HTTP garbage\r\n\r\n".as_slice(), &zip64].concat();
    assert_eq!(world.unpack_one("a.ZIP", &shifted).unwrap().instances.len(), 1);
}

#[test]
fn sizes_behind_the_bytes_are_read() {
    // As writers do that stream: flag 3, sizes in the table of contents and in a descriptor.
    let world = World::new();
    let mut writer = zip::ZipWriter::new_stream(Vec::new());
    for number in 1..4 {
        writer.start_file(format!("IM{number}"), SimpleFileOptions::default()).unwrap();
        writer.write_all(&object(number)).unwrap();
    }
    let archive = writer.finish().unwrap().into_inner();
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!((unpacked.instances.len(), aside(&unpacked).len()), (3, 0));
}

#[test]
fn names_of_old_systems_are_shown() {
    let world = World::new();
    let mut entry = stored("M?LLER.LOG", b"text");
    entry.name = b"M\x9aLLER.LOG".to_vec();
    let unpacked = world.unpack_one("a.zip", &zip(&[entry])).unwrap();
    assert_eq!(unpacked.set_aside[0].name, "MÜLLER.LOG");
}

#[test]
fn several_archives_are_one_import() {
    let world = World::new();
    let files = [
        world.put("1.zip", &zip(&[stored("IM1", &object(1))])),
        world.put("2.zip", &zip(&[stored("IM2", &object(2)), stored("B.PDF", b"%PDF-1.4\n%%EOF")])),
        world.put("IM3", &object(3)),
    ];
    let unpacked = world.unpack(&files).unwrap();
    assert_eq!((unpacked.instances.len(), unpacked.documents.len()), (3, 1));
}

#[test]
fn same_bytes_have_the_same_hash_wherever_they_came_from() {
    let world = World::new();
    let one = world.unpack_one("IM", &object(1)).unwrap();
    let two = world.unpack_one("a.zip", &zip(&[deflated("X", &object(1))])).unwrap();
    assert_eq!(one.instances[0].blob.digest, two.instances[0].blob.digest);
}

#[test]
fn threads_do_not_change_what_comes_out() {
    // Long entries between short ones, so that those behind them are ready first.
    let entries: Vec<_> = (0..60)
        .map(|number| match number % 5 {
            0 => deflated(&format!("IM{number}"), &long_object(number, 400_000)),
            1 => stored(&format!("TEXT{number}.inf"), b"setup"),
            2 => Raw { crc: 1, ..deflated(&format!("BAD{number}"), &object(number)) },
            3 => deflated(&format!("INNER{number}.zip"), &zip(&[stored("IM", &object(number))])),
            _ => deflated(&format!("IM{number}"), &object(number)),
        })
        .collect();
    let archive = zip(&entries);
    let run = || {
        let world = World::new();
        let unpacked = world.unpack_one("a.zip", &archive).unwrap();
        let found: Vec<_> = unpacked.instances.iter().map(|i| i.sop_instance.to_string()).collect();
        let aside: Vec<_> =
            aside(&unpacked).iter().map(|(name, why)| format!("{name}: {why}")).collect();
        let same = unpacked.instances.iter().zip([0, 3, 4]).all(|(instance, number)| {
            let bytes = world.bytes(&instance.blob);
            bytes == if number % 5 == 0 { long_object(number, 400_000) } else { object(number) }
        });
        assert!(same);
        assert_eq!(world.seen.load(Ordering::Relaxed), 36);
        (found, aside)
    };
    let (found, aside) = run();
    let listed = (0..60).filter(|number| matches!(number % 5, 0 | 3 | 4));
    assert_eq!(found, listed.map(instance_uid).collect::<Vec<_>>());
    let names: Vec<_> = aside.iter().map(|line| line.split_once(':').unwrap().0).collect();
    let listed = (0..60).filter_map(|number| match number % 5 {
        1 => Some(format!("TEXT{number}.inf")),
        2 => Some(format!("BAD{number}")),
        _ => None,
    });
    assert_eq!(names, listed.collect::<Vec<_>>());
    for _ in 0..5 {
        assert_eq!(run(), (found.clone(), aside.clone()));
    }
}

#[test]
fn long_objects_take_turns_and_all_come_out() {
    let world = World::new();
    let length = 17 << 20;
    let mut entries: Vec<_> = (0..3)
        .map(|number| deflated(&format!("L{number}"), &long_object(number, length)))
        .collect();
    entries.insert(1, deflated("S", &object(9)));
    let unpacked = world.unpack_one("a.zip", &zip(&entries)).unwrap();
    let found: Vec<_> = unpacked.instances.iter().map(|i| i.sop_instance.to_string()).collect();
    assert_eq!(found, [0, 9, 1, 2].map(instance_uid));
    let lengths = unpacked.instances.iter().map(|instance| instance.blob.length);
    assert_eq!(lengths.filter(|long| *long > u64::from(length)).count(), 3);
}

/// An object with so many bytes of pixel data, which do not deflate to nothing.
fn long_object(number: u32, length: u32) -> Vec<u8> {
    let bytes = object(number);
    let (front, _) = bytes.split_at(bytes.len() - 128 - 12);
    let pixels: Vec<u8> =
        (0..length).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0] & 0x3F).collect();
    [front.to_vec(), element(0x7fe0, 0x10, b"OW", &pixels)].concat()
}
