use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::dicom::scan;
use crate::forward::tests::{BIG, Book, EXPLICIT, House, JPEG};

async fn run(house: &House, folder: &Path, book: &Arc<Book>) -> Ended {
    let permits = Arc::new(Semaphore::new(1));
    deliver(folder, FolderLayout::ByUid, &permits, house.run(book)).await
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_are_whole_and_only_for_us() {
    let house = House::new(&[(EXPLICIT, 300_000), (JPEG, 300), (BIG, 300), ("", 201)]);
    let target = house.folder.path().join("out");
    fs::create_dir(&target).unwrap();
    let book = Arc::new(Book::default());
    assert_eq!(run(&house, &target, &book).await, Ended::Complete);
    assert_eq!(book.outcomes().len(), 4);
    let study = target.join("1.2.3.4");
    assert_eq!(names(&study).len(), 4, "no partial file stays");
    for name in names(&study) {
        let path = study.join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
        let bytes = fs::read(&path).unwrap();
        let length = u64::try_from(bytes.len()).unwrap();
        let scanned =
            scan::scan_file(&mut io::Cursor::new(&bytes), length, &scan::Limits::default());
        assert!(scanned.is_ok());
    }
}

#[tokio::test]
async fn the_same_object_again_is_done_and_another_one_is_not_written_over() {
    let house = House::new(&[(EXPLICIT, 300), (EXPLICIT, 300)]);
    let target = house.folder.path().join("out");
    fs::create_dir(&target).unwrap();
    assert_eq!(run(&house, &target, &Arc::default()).await, Ended::Complete);
    let path = target.join("1.2.3.4").join("1.2.3.4.5.1.dcm");
    let mut other = fs::read(&path).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&path, &other).unwrap();
    let book = Arc::new(Book::default());
    assert_eq!(run(&house, &target, &book).await, Ended::Complete);
    assert!(matches!(book.outcomes()[&0], InstanceOutcome::Delivered { .. }));
    assert!(matches!(book.outcomes()[&1], InstanceOutcome::Refused { .. }));
    assert!(fs::read(&path).unwrap() == other);
}

#[tokio::test]
async fn importing_again_at_another_time_changes_no_file() {
    let house = House::new(&[(EXPLICIT, 300), (JPEG, 300), (BIG, 300), ("", 201)]);
    let target = house.folder.path().join("out");
    fs::create_dir(&target).unwrap();
    assert_eq!(run(&house, &target, &Arc::default()).await, Ended::Complete);
    let study = target.join("1.2.3.4");
    let read = |name: &String| fs::read(study.join(name)).unwrap();
    let before: Vec<_> = names(&study).iter().map(read).collect();
    let permits = Arc::new(Semaphore::new(1));
    let again = async |plan: Plan| {
        let book = Arc::new(Book::default());
        let run = Run { plan, ..house.run(&book) };
        assert_eq!(deliver(&target, FolderLayout::ByUid, &permits, run).await, Ended::Complete);
        assert_eq!(names(&study).iter().map(read).collect::<Vec<_>>(), before);
        let refused =
            |outcome: &InstanceOutcome| matches!(outcome, InstanceOutcome::Refused { .. });
        book.outcomes().values().filter(|outcome| refused(outcome)).count()
    };
    let plan = house.run(&Arc::default()).plan;
    assert_eq!(again(plan.carried_out_at("20300101120000.000+0100")).await, 0);
    // Somebody else's name is no matter of time.
    assert_eq!(again(crate::forward::tests::plan("Anders^Anna")).await, 4);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_not_made() {
    let house = House::new(&[(EXPLICIT, 300)]);
    let target = house.folder.path().join("missing");
    let ended = run(&house, &target, &Arc::default()).await;
    assert!(matches!(ended, Ended::Postponed { pause_destination: true, .. }));
    assert!(!target.exists());
}

#[tokio::test]
async fn the_last_space_is_not_taken() {
    let house = House::new(&[(EXPLICIT, 300)]);
    let target = house.folder.path().join("out");
    fs::create_dir(&target).unwrap();
    let book = Arc::new(Book::default());
    let permits = Arc::new(Semaphore::new(1));
    let by_uid = FolderLayout::ByUid;
    let ended = deliver_above(u64::MAX, &target, by_uid, &permits, house.run(&book)).await;
    let Ended::Postponed { sentence, pause_destination: true } = ended else { panic!("{ended:?}") };
    assert!(sentence.contains("MiB are free") && sentence.contains("space"), "{sentence}");
    assert!(book.outcomes().is_empty() && names(&target.join("1.2.3.4")).is_empty());
    assert!(book.unanswered.lock().unwrap().is_empty());
}
