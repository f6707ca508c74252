//! A journal that is made small again: nothing that lives is lost, at whatever step it is broken off.

use super::super::store::compact::Step;
use super::*;

fn size(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let found = entry.metadata().unwrap();
        sum += if found.is_dir() { size(&entry.path()) } else { found.len() };
    }
    sum
}

fn holds(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

/// Every record of the folder, and beside them the housekeeping that must go on.
fn records(folder: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let store = Store::open(folder).unwrap();
    store
        .scan(b"", |key, value| {
            if !record::is_housekeeping(key) {
                found.push((key.to_vec(), value.to_vec()));
            }
            Ok(())
        })
        .unwrap();
    found
}

/// A day's imports come and go, as sled sees them: 300 live at a time, each with an event now and then. All are dead
/// in the end. Returns the bytes of a record that died.
fn live_and_let_die(at: &TempDir, imports: u64) -> Vec<u8> {
    let key = |import, sequence: u64| {
        [record::events_of(import).as_slice(), &sequence.to_be_bytes()].concat()
    };
    let mut store = Store::open(&path(at)).unwrap();
    let mut alive = std::collections::VecDeque::new();
    let mut last = Vec::new();
    for number in 0..imports + 300 {
        let mut changes = Vec::new();
        if number < imports {
            alive.push_back((ImportId::new(), 0));
        }
        for (import, next) in &mut alive {
            if *next < 8 && (*next == 0 || (number + *next).is_multiple_of(3)) {
                let mut bytes = vec![0; 4000];
                blake3::Hasher::new().update(&key(*import, *next)).finalize_xof().fill(&mut bytes);
                last.clone_from(&bytes);
                changes.push((key(*import, *next), Some(bytes)));
                *next += 1;
            }
        }
        store.commit([changes]).unwrap();
        if number >= 300 {
            let (gone, events) = alive.pop_front().unwrap();
            let mut changes: Vec<Change> =
                (0..events).map(|sequence| (key(gone, sequence), None)).collect();
            changes.push(record::tombstone(&tombstone(gone, 9)).unwrap());
            store.commit([changes]).unwrap();
        }
    }
    assert!(alive.is_empty());
    last
}

/// Three imports that live, and the clock's reading.
fn keep_three(at: &TempDir) {
    let vault = vault(at);
    let (mut journal, _) = Journal::open(&path(at), vault.clone()).unwrap();
    for _ in 0..3 {
        let import = ImportId::new();
        vault.create(import).unwrap();
        journal.append(&[requested(import), answered(import, 1, 120_000)]).unwrap();
    }
    journal.keep_reading(&Reading { boot_ms: 3, ..Reading::default() }).unwrap();
}

#[test]
fn a_journal_of_the_dead_is_made_small_and_keeps_what_lives() {
    let at = folder();
    let dead = live_and_let_die(&at, 400);
    keep_three(&at);
    let before = records(&path(&at));
    assert!(holds(&path(&at), &dead[..64]), "sled keeps what was deleted");
    let large = size(&path(&at));
    assert!(large > 12 << 20, "{large}");

    let Some(Compacted { after, .. }) = compact(&path(&at)).unwrap() else { panic!() };
    assert!(after < 8 << 20, "{after} bytes of {large}");
    assert!(records(&path(&at)) == before);
    assert!(!holds(at.path(), &dead[..64]), "the dead are gone from the disk");
    assert!(!at.path().join("journal.new").exists());
    // Once is enough.
    assert_eq!(compact(&path(&at)).unwrap(), None);

    let (mut journal, recovered) = open(&at);
    assert_eq!((recovered.imports.len(), recovered.tombstones.len()), (3, 400));
    assert_eq!((recovered.unreadable.len(), recovered.cut), (0, 0));
    assert_eq!(recovered.reading.map(|reading| reading.boot_ms), Some(3));
    let import = recovered.imports[0].0;
    journal.append(&[answered(import, 2, 10)]).unwrap();
    drop(journal);
    let (_, recovered) = open(&at);
    assert_eq!((recovered.imports[0].1.len(), recovered.cut), (3, 0));
}

#[test]
fn a_journal_that_tells_of_a_loss_is_left_as_it_is() {
    let at = folder();
    live_and_let_die(&at, 400);
    keep_three(&at);
    let (mut journal, _) = open(&at);
    // Keys are away, say: no record was cut, and yet every later start has to know.
    journal.keep_loss().unwrap();
    drop(journal);
    assert_eq!(compact(&path(&at)).unwrap(), None);
    let (mut journal, recovered) = open(&at);
    assert_eq!((recovered.cut, recovered.keeps_orphans), (0, true));
    journal.forget_loss().unwrap();
    drop(journal);
    assert!(compact(&path(&at)).unwrap().is_some());
    assert!(!open(&at).1.keeps_orphans);
}

#[test]
fn a_kill_at_any_step_leaves_a_whole_journal() {
    let at = folder();
    live_and_let_die(&at, 100);
    keep_three(&at);
    let before = records(&path(&at));
    let mut left = Vec::new();
    let mut store = Store::open(&path(&at)).unwrap();
    let mut watch = |step: Step| left.push((step, copy_as_it_is(&at)));
    store.compact_watched(&mut watch).unwrap();
    // What was opened is the new one: it takes commits, and they are found again.
    store.commit([vec![(b"x".to_vec(), Some(b"y".to_vec()))]]).unwrap();
    drop(store);
    assert_eq!(records(&path(&at)).len(), before.len() + 1);
    let steps: Vec<Step> = left.iter().map(|(step, _)| *step).collect();
    use Step::{Begun, Exchanged, Filled, Made, Opened, ReadBack, Removed};
    assert_eq!(steps, [Begun, Made, Filled, ReadBack, Exchanged, Opened, Removed]);
    for (step, left) in left {
        fs::set_permissions(path(&left), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(records(&path(&left)) == before, "killed at {step:?}");
        let other = left.path().join("journal.new");
        assert_eq!(other.exists(), !matches!(step, Begun | Removed), "{step:?}");
        // The next start goes on with it and leaves nothing beside it.
        compact(&path(&left)).unwrap();
        assert!(!other.exists(), "{step:?}");
        let (_, recovered) = open(&left);
        assert_eq!((recovered.imports.len(), recovered.cut), (3, 0), "{step:?}");
    }
}

#[test]
fn a_new_folder_that_is_half_done_never_counts() {
    let at = folder();
    keep_three(&at);
    let before = records(&path(&at));
    let other = at.path().join("journal.new");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("db"), b"half").unwrap();
    assert_eq!(compact(&path(&at)).unwrap(), None, "it is small");
    assert!(!other.exists());
    assert!(records(&path(&at)) == before);
    // Nor does one that can't be made: the journal stays as it was.
    fs::write(&other, b"a file").unwrap();
    let mut store = Store::open(&path(&at)).unwrap();
    assert!(store.compact_watched(&mut |_| {}).is_err());
    store.commit([vec![(b"x".to_vec(), Some(b"y".to_vec()))]]).unwrap();
    drop(store);
    assert_eq!(records(&path(&at)).len(), before.len() + 1);
}

#[test]
fn a_fault_of_the_new_folder_is_none_of_the_journal() {
    let at = folder();
    keep_three(&at);
    let before = records(&path(&at));
    let other = at.path().join("journal.new");
    for broken in [Step::Made, Step::Filled] {
        let mut store = Store::open(&path(&at)).unwrap();
        let mut watch = |step: Step| {
            if step == broken {
                // What is looked at before a sync, what goes ahead of sled, and its log.
                fs::remove_dir_all(other.join("blobs")).unwrap();
                fs::remove_file(other.join("ahead")).unwrap();
                fs::write(other.join("db"), vec![1; 1 << 20]).unwrap();
            }
        };
        let error = store.compact_watched(&mut watch).unwrap_err();
        assert!(matches!(error, Error::Apart { .. }), "{broken:?}: {error}");
        assert!(!other.exists(), "{broken:?}");
        // It goes on, and can be made small when the fault is gone.
        store.commit([vec![(b"x".to_vec(), Some(b"y".to_vec()))]]).unwrap();
        store.compact_watched(&mut |_| {}).unwrap();
        store.commit([vec![(b"x".to_vec(), None)]]).unwrap();
        drop(store);
        assert!(records(&path(&at)) == before, "{broken:?}");
    }
}

#[test]
fn a_running_journal_makes_itself_small() {
    let at = folder();
    live_and_let_die(&at, 400);
    keep_three(&at);
    let large = size(&path(&at));
    let (mut journal, recovered) = open(&at);
    let stays = recovered.imports[0].0;
    let vault = vault(&at);
    for _ in 0..64 {
        journal.compact();
        assert!(size(&path(&at)) > 8 << 20, "it is looked at now and then only");
        let import = ImportId::new();
        vault.create(import).unwrap();
        journal.append(&[requested(import)]).unwrap();
        journal.bury(&tombstone(import, 9)).unwrap();
    }
    journal.append(&[answered(stays, 2, 10)]).unwrap();
    journal.compact();
    let small = size(&path(&at));
    assert!(large > 12 << 20 && small < 8 << 20, "{large} to {small}");
    drop(journal);
    let (_, recovered) = open(&at);
    assert_eq!((recovered.imports.len(), recovered.tombstones.len()), (3, 464));
    assert_eq!((recovered.imports[0].1.len(), recovered.cut), (3, 0));
    assert_eq!(compact(&path(&at)).unwrap(), None);
}
