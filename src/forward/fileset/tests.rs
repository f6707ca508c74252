use std::collections::BTreeSet;
use std::fs;

use dicom_dictionary_std::{tags, uids};

use super::*;
use crate::dicom::{Syntax, Tag};
use crate::forward::tests::{BIG, Book, EXPLICIT, House, JPEG, plan, uid};
use crate::forward::{Ended, FolderLayout, Gone, Recorder, Run, folder};
use crate::import::InstanceOutcome;
use crate::reconcile::{Change, NewValue};

async fn deliver(root: &Path, run: Run) -> Ended {
    let permits = Arc::new(tokio::sync::Semaphore::new(1));
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
    let book = Arc::new(Book::default());
    assert_eq!(deliver(&root, house.run(&book)).await, Ended::Complete);
    assert!(book.statuses().iter().all(|(_, status)| *status == Some(0)));
    let expected = ["ENCAP DOC", "IMAGE", "IMAGE", "IMAGE", "PATIENT", "SERIES", "STUDY"];
    assert_eq!(kinds(&root), expected);
    let before = fs::read(root.join("DICOMDIR")).unwrap();

    let later = |book: &Arc<Book>| {
        let run = house.run(book);
        Run { plan: run.plan.carried_out_at("20300101120000.000+0100"), ..run }
    };
    let book = Arc::new(Book::default());
    assert_eq!(deliver(&root, later(&book)).await, Ended::Complete);
    assert!(book.statuses().iter().all(|(_, status)| *status == Some(0)));
    assert!(fs::read(root.join("DICOMDIR")).unwrap() == before);

    // Without a DICOMDIR that can be read there is one again.
    for broken in [&before[..before.len() / 2], b"nonsense", b""] {
        fs::write(root.join("DICOMDIR"), broken).unwrap();
        assert_eq!(deliver(&root, later(&Arc::default())).await, Ended::Complete);
        assert_eq!(kinds(&root), expected);
    }

    // Another patient's study with the same objects is not written over.
    let book = Arc::new(Book::default());
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
    let run = house.run(&Arc::default());
    let one = Run { instances: vec![house.instances[0].clone()], ..run };
    assert_eq!(deliver(&root, one).await, Ended::Complete);
    let at = |n: usize, tried| {
        let instance = &house.instances[n].1;
        path(&root, &place(&uid("1.2.3.4"), &instance.series, &instance.sop_instance, tried))
    };
    // As if both UIDs had the same hash.
    fs::rename(at(0, 0), at(1, 0)).unwrap();
    assert_eq!(deliver(&root, house.run(&Arc::default())).await, Ended::Complete);
    assert!(at(1, 1).exists() && at(0, 0).exists());
}

/// The file IDs that are listed, and how many patients.
fn listed(root: &Path) -> (Vec<String>, usize) {
    let kinds = kinds(root);
    let records = followed(&fs::read(root.join("DICOMDIR")).unwrap());
    let files = records.iter().filter_map(|record| record.text(tags::REFERENCED_FILE_ID));
    (files.collect(), kinds.iter().filter(|kind| *kind == "PATIENT").count())
}

#[tokio::test]
async fn what_was_moved_away_and_came_for_another_patient_is_listed_once() {
    let house = House::new(&[(EXPLICIT, 300), (JPEG, 300)]);
    let root = house.folder.path().join("set");
    fs::create_dir(&root).unwrap();
    assert_eq!(deliver(&root, house.run(&Arc::default())).await, Ended::Complete);
    let [study, ..] = place(&uid("1.2.3.4"), &uid("1.2.3.4"), &uid("1.2.3.4"), 0);
    fs::remove_dir_all(root.join(study)).unwrap();
    let mut other = plan("Anders^Anna");
    for change in &mut other.changes {
        if let Change::Set(element) = change
            && Tag(element.tag.0, element.tag.1) == tags::PATIENT_ID
        {
            element.value = NewValue::Text("0815".into());
        }
    }
    assert_eq!(other.patient().unwrap().id, "0815");
    let book = Arc::new(Book::default());
    let run = Run { plan: other, ..house.run(&book) };
    assert_eq!(deliver(&root, run).await, Ended::Complete);
    assert_eq!(book.statuses(), [(0, Some(0)), (1, Some(0))]);
    let (mut files, patients) = listed(&root);
    files.sort();
    files.dedup();
    assert_eq!((files.len(), patients), (2, 1), "{files:?}");
    assert_eq!(kinds(&root), ["IMAGE", "IMAGE", "PATIENT", "SERIES", "STUDY"]);
    // What is gone is not listed any more when another study comes.
    fs::remove_file(root.join(files.remove(0).replace('\\', "/"))).unwrap();
    fs::create_dir(root.join("S0000000")).unwrap();
    assert!(list(&root, "S0000000").unwrap().is_empty());
    assert_eq!(listed(&root), (files, 1));
}

/// Cuts the first object as soon as the second is on its way.
struct Cutting {
    book: Arc<Book>,
    root: PathBuf,
}

#[async_trait::async_trait]
impl Recorder for Cutting {
    async fn record(&self, outcomes: Vec<(u32, InstanceOutcome)>) -> Result<(), Gone> {
        self.book.record(outcomes).await
    }

    fn sent_bytes(&self, _: u64) {
        let first = place(&uid("1.2.3.4"), &uid("1.2.3.4.5"), &uid("1.2.3.4.5.0"), 0);
        if let Ok(file) = OpenOptions::new().write(true).open(path(&self.root, &first)) {
            file.set_len(100).unwrap();
        }
    }

    fn unanswered(&self, number: u32) {
        self.book.unanswered(number);
    }
}

#[tokio::test]
async fn what_cannot_be_listed_is_not_delivered() {
    let house = House::new(&[(EXPLICIT, 300), (EXPLICIT, 300)]);
    let root = house.folder.path().join("set");
    fs::create_dir(&root).unwrap();
    let book = Arc::new(Book::default());
    let recorder = Cutting { book: Arc::clone(&book), root: root.clone() };
    let run = Run { recorder: Arc::new(recorder), ..house.run(&book) };
    let ended = deliver(&root, run).await;
    let Ended::Postponed { sentence, pause_destination: false } = ended else {
        panic!("{ended:?}")
    };
    assert!(sentence.contains("cannot be read back"), "{sentence}");
    assert_eq!(book.statuses(), [(1, Some(0))]);
    assert_eq!(*book.unanswered.lock().unwrap(), [0].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_do_not_know_of_each_other_list_everything() {
    let house = House::new(&[(EXPLICIT, 300); 8]);
    for round in 0..12 {
        let root = house.folder.path().join(format!("set{round}"));
        fs::create_dir(&root).unwrap();
        let mut runs = tokio::task::JoinSet::new();
        for instance in house.instances.clone() {
            let book = Arc::new(Book::default());
            let run = Run { instances: vec![instance], ..house.run(&book) };
            let root = root.clone();
            runs.spawn(async move { deliver(&root, run).await });
        }
        while let Some(ended) = runs.join_next().await {
            assert_eq!(ended.unwrap(), Ended::Complete);
        }
        assert_eq!(listed(&root).0.len(), 8, "round {round}");
    }
}

#[test]
fn names_are_those_of_media_and_differ() {
    let names: BTreeSet<String> =
        (0..10_000).map(|n| name('I', &uid(&format!("1.2.{n}")), 0)).collect();
    assert_eq!(names.len(), 10_000);
    assert!(names.iter().all(|name| name.len() == 8 && name.starts_with('I')));
    assert_ne!(name('I', &uid("1.2"), 0), name('I', &uid("1.2"), 1));
}
