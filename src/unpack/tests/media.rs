//! The DICOMDIR as a completeness check.

use super::build::{World, aside, directory, object, reason_of, stored, zip};
use crate::unpack::content::Content;
use crate::unpack::name::Name;

const MISSING: &str = "listed in the DICOMDIR but missing from the medium";

#[test]
fn complete_medium_has_nothing_to_tell() {
    let world = World::new();
    let archive = zip(&[
        stored("DICOMDIR", &directory(&[(1, "DICOM\\IM1"), (2, "DICOM\\IM2")])),
        stored("DICOM/IM1", &object(1)),
        stored("DICOM/IM2", &object(2)),
    ]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!(unpacked.instances.len(), 2);
    assert_eq!(aside(&unpacked), []);
}

#[test]
fn renamed_files_are_found_by_uid_and_broken_ones_by_name() {
    let world = World::new();
    let archive = zip(&[
        stored("export/dicom/im2.;1", &object(2)[..300]),
        stored("export/other.dcm", &object(1)),
        stored("export/DICOMDIR", &directory(&[(1, "DICOM\\IM1"), (2, "DICOM\\IM2")])),
    ]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!(unpacked.instances.len(), 1);
    assert_eq!(aside(&unpacked).len(), 1);
    assert!(reason_of(&unpacked, "export/dicom/im2.;1").contains("cannot be used"));
}

#[test]
fn missing_instances_are_named_and_bounded() {
    let world = World::new();
    let listed: Vec<(u32, String)> = (1..=50).map(|n| (n, format!("DICOM\\IM{n:03}"))).collect();
    let listed: Vec<(u32, &str)> = listed.iter().map(|(n, id)| (*n, id.as_str())).collect();
    let archive =
        zip(&[stored("DICOMDIR", &directory(&listed)), stored("DICOM/IM001", &object(1))]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!(unpacked.instances.len(), 1);
    assert_eq!(unpacked.set_aside.len(), 21);
    assert!(unpacked.set_aside.iter().all(|file| file.reason == MISSING));
    assert_eq!(unpacked.set_aside[20].name, "29 more files");
}

#[test]
fn file_ids_are_never_paths() {
    let world = World::new();
    let ids = [(1, "..\\..\\ETC\\PASSWD"), (2, "/etc/passwd"), (3, "a/b"), (4, "")];
    let unpacked = world.unpack_one("DICOMDIR", &directory(&ids)).unwrap();
    assert_eq!(unpacked.set_aside.len(), 4);
    assert!(unpacked.instances.is_empty());
}

#[test]
fn unreadable_directory_hides_no_files() {
    let world = World::new();
    let whole = directory(&[(1, "IM1"), (2, "IM2")]);
    let archive = zip(&[stored("DICOMDIR", &whole[..whole.len() - 30]), stored("IM1", &object(1))]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!(unpacked.instances.len(), 1);
    assert!(reason_of(&unpacked, "DICOMDIR").contains("cannot be read"));
}

#[test]
fn directory_and_files_may_come_side_by_side() {
    let world = World::new();
    let files = [
        world.put("cd/DICOMDIR", &directory(&[(1, "IM1"), (2, "IM2"), (3, "IM3")])),
        world.put("cd/IM1", &object(1)),
        world.put("elsewhere.zip", &zip(&[stored("x", &object(2))])),
    ];
    let unpacked = world.unpack(&files).unwrap();
    assert_eq!(aside(&unpacked), [("CD/IM3", MISSING)]);
}

#[test]
fn class_tells_a_directory_whatever_its_name() {
    let bytes = directory(&[(1, "IM1")]);
    let length = u64::try_from(bytes.len()).unwrap();
    let head = &bytes[..bytes.len().min(1024)];
    assert_eq!(Content::of(head, length, &Name::new("IM0001")), Content::Directory);
}
