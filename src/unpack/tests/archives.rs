//! Archives that are as they should be, and the sample.

use std::io::{Cursor, Write};
use std::sync::atomic::Ordering;

use zip::write::SimpleFileOptions;

use super::build::{World, aside, deflated, instance_uid, object, reason_of, stored, zip};
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
    assert_eq!(one.instances[0].blob.sha256, two.instances[0].blob.sha256);
}
