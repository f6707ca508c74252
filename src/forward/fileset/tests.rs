use std::collections::BTreeSet;
use std::fs;

use dicom_dictionary_std::{tags, uids};

use super::*;
use crate::dicom::{Syntax, Tag};
use crate::forward::tests::{BIG, Book, EXPLICIT, House, JPEG, plan, uid};
use crate::forward::{Ended, FolderLayout, Run, folder};
use crate::import::InstanceOutcome;

async fn deliver(root: &Path, run: Run) -> Ended {
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    folder::deliver(root, FolderLayout::FileSet, &permits, run).await
}

/// Every record, found by following offsets as a reader does.
fn followed(bytes: &[u8]) -> Vec<DataSet> {
    let length = u64::try_from(bytes.len()).unwrap();
    let scanned =
        scan::scan_file(&mut io::Cursor::new(bytes), length, &scan::Limits::default()).unwrap();
    assert_eq!(scanned.meta.sop_class.unwrap().as_str(), uids::MEDIA_STORAGE_DIRECTORY_STORAGE);
    let all = DataSet::read(&scanned.header, Syntax::ExplicitLittle).unwrap();
    let offset = |data: &DataSet, tag: Tag| {
        u32::from_le_bytes(data.get(tag).unwrap().bytes().unwrap().try_into().unwrap())
    };
    let first = Tag(0x0004, 0x1200);
    let (mut open, mut found) = (vec![offset(&all, first)], vec![]);
    while let Some(at) = open.pop().filter(|at| *at > 0) {
        let at = usize::try_from(at).unwrap();
        assert_eq!(bytes[at..at + 4], [0xFE, 0xFF, 0x00, 0xE0]);
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        let item = &bytes[at + 8..][..usize::try_from(length).unwrap()];
        let record = DataSet::read(item, Syntax::ExplicitLittle).unwrap();
        open.extend(
            [Tag(0x0004, 0x1400), Tag(0x0004, 0x1420)]
                .map(|t| offset(&record, t))
                .iter()
                .filter(|at| **at > 0),
        );
        found.push(record);
    }
    assert_eq!(found.len(), all.items(tags::DIRECTORY_RECORD_SEQUENCE).len());
    found
}

fn kinds(root: &Path) -> Vec<String> {
    let records = followed(&fs::read(root.join("DICOMDIR")).unwrap());
    for record in &records {
        let Some(file) = record.text(tags::REFERENCED_FILE_ID) else { continue };
        let path = file.split('\\').fold(root.to_owned(), |path, name| path.join(name));
        let (header, _) = header_of(&path).unwrap();
        let listed = record.uid(tags::REFERENCED_SOP_INSTANCE_UID_IN_FILE);
        assert_eq!(listed, header.uid(tags::SOP_INSTANCE_UID));
    }
    let mut kinds: Vec<_> =
        records.iter().map(|record| record.text(tags::DIRECTORY_RECORD_TYPE).unwrap()).collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn what_is_delivered_is_listed_and_importing_again_changes_nothing() {
    let house = House::new(&[(EXPLICIT, 300_000), (JPEG, 300), (BIG, 300), ("", 201)]);
    let root = house.folder.path().join("set");
    fs::create_dir(&root).unwrap();
    let book = std::sync::Arc::new(Book::default());
    assert_eq!(deliver(&root, house.run(&book)).await, Ended::Complete);
    assert!(book.statuses().iter().all(|(_, status)| *status == Some(0)));
    let expected = ["ENCAP DOC", "IMAGE", "IMAGE", "IMAGE", "PATIENT", "SERIES", "STUDY"];
    assert_eq!(kinds(&root), expected);
    let before = fs::read(root.join("DICOMDIR")).unwrap();

    let later = |book: &std::sync::Arc<Book>| {
        let run = house.run(book);
        Run { plan: run.plan.carried_out_at("20300101120000.000+0100"), ..run }
    };
    let book = std::sync::Arc::new(Book::default());
    assert_eq!(deliver(&root, later(&book)).await, Ended::Complete);
    assert!(book.statuses().iter().all(|(_, status)| *status == Some(0)));
    assert!(fs::read(root.join("DICOMDIR")).unwrap() == before);

    // Without a DICOMDIR that can be read there is one again.
    for broken in [&before[..before.len() / 2], b"nonsense", b""] {
        fs::write(root.join("DICOMDIR"), broken).unwrap();
        assert_eq!(deliver(&root, later(&std::sync::Arc::default())).await, Ended::Complete);
        assert_eq!(kinds(&root), expected);
    }

    // Another patient's study with the same objects is not written over.
    let book = std::sync::Arc::new(Book::default());
    let run = Run { plan: plan("Anders^Anna"), ..house.run(&book) };
    assert_eq!(deliver(&root, run).await, Ended::Complete);
    let refused = |outcome: &InstanceOutcome| matches!(outcome, InstanceOutcome::Refused { .. });
    assert_eq!(book.outcomes().values().filter(|outcome| refused(outcome)).count(), 4);
    assert_eq!(kinds(&root), expected);
}

#[tokio::test]
async fn a_name_that_another_object_has_is_not_taken() {
    let house = House::new(&[(EXPLICIT, 300), (EXPLICIT, 300)]);
    let root = house.folder.path().join("set");
    fs::create_dir(&root).unwrap();
    let run = house.run(&std::sync::Arc::default());
    let one = Run { instances: vec![house.instances[0].clone()], ..run };
    assert_eq!(deliver(&root, one).await, Ended::Complete);
    let at = |n: usize, tried| {
        let instance = &house.instances[n].1;
        path(&root, &place(&uid("1.2.3.4"), &instance.series, &instance.sop_instance, tried))
    };
    // As if both UIDs had the same hash.
    fs::rename(at(0, 0), at(1, 0)).unwrap();
    assert_eq!(deliver(&root, house.run(&std::sync::Arc::default())).await, Ended::Complete);
    assert!(at(1, 1).exists() && at(0, 0).exists());
}

#[test]
fn names_are_those_of_media_and_differ() {
    let names: BTreeSet<String> =
        (0..10_000).map(|n| name('I', &uid(&format!("1.2.{n}")), 0)).collect();
    assert_eq!(names.len(), 10_000);
    assert!(names.iter().all(|name| name.len() == 8 && name.starts_with('I')));
    assert_ne!(name('I', &uid("1.2"), 0), name('I', &uid("1.2"), 1));
}
