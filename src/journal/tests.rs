use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::migrate::LAYOUT;
use super::record::{PART, VERSION};
use super::store::Store;
use super::*;
use crate::import::{Actor, Counts, End, Kind, Request};

/// A patient's name that must not be found on the disk.
const CANARY: &str = "CANARY^SYNTHETIC";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn vault(at: &TempDir) -> Vault {
    Vault::open_or_create(&at.path().join("keys"), &at.path().join("master.key")).unwrap()
}

fn path(at: &TempDir) -> PathBuf {
    at.path().join("journal")
}

fn open(at: &TempDir) -> (Journal, Recovered) {
    Journal::open(&path(at), vault(at)).unwrap()
}

/// A new journal, and imports whose keys are there.
fn new_journal<const IMPORTS: usize>() -> (TempDir, Journal, [ImportId; IMPORTS]) {
    let at = folder();
    let vault = vault(&at);
    let imports = std::array::from_fn(|_| ImportId::new());
    for import in &imports {
        vault.create(*import).unwrap();
    }
    let (journal, _) = Journal::open(&path(&at), vault).unwrap();
    (at, journal, imports)
}

fn moment(ms: u64) -> Moment {
    Moment { wall_ms: 5, running_ms: ms }
}

fn requested(import: ImportId) -> Entry {
    let event = Event::Requested { kind: Kind::Upload, request: Request::default() };
    Entry { import, sequence: 0, at: moment(7), event }
}

/// The canary, and behind it what nothing makes much shorter.
fn noise(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ^ ";
    let mut random = 1_u64;
    let letters = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(LETTERS[usize::try_from(random >> 58).unwrap()])
    });
    CANARY.chars().chain(letters).take(length).collect()
}

fn answered(import: ImportId, sequence: u64, length: usize) -> Entry {
    let answers = BTreeMap::from([("PAT_NAME".to_owned(), noise(length))]);
    let event = Event::Answered { answers, actor: Actor("test".to_owned()) };
    Entry { import, sequence, at: moment(sequence), event }
}

fn tombstone(id: ImportId, ended: u64) -> Tombstone {
    let (created, ended) = (moment(1), moment(ended));
    let counts = Counts::default();
    Tombstone { id, kind: Some(Kind::Upload), created, ended, end: End::Erased, counts }
}

fn same(left: &[Entry], right: &[Entry]) -> bool {
    let parts = |entries: &[Entry]| {
        entries.iter().map(|e| (e.import, e.sequence, e.at, e.event.clone())).collect::<Vec<_>>()
    };
    parts(left) == parts(right)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a machine would find that stopped now.
fn copy_as_it_is(at: &TempDir) -> TempDir {
    let to = folder();
    copy(at.path(), to.path());
    to
}

#[test]
fn events_come_back_in_order() {
    let at = folder();
    let vault = vault(&at);
    let (one, two) = (ImportId::new(), ImportId::new());
    vault.create(one).unwrap();
    vault.create(two).unwrap();
    let (mut journal, recovered) = Journal::open(&path(&at), vault).unwrap();
    assert!(recovered.imports.is_empty() && recovered.reading.is_none());
    journal.append(&[]).unwrap();
    journal.append(&[requested(two)]).unwrap();
    journal.append(&[requested(one), answered(one, 1, 10)]).unwrap();
    for sequence in 1..300 {
        journal.append(&[answered(two, sequence, 50)]).unwrap();
    }
    let reading = Reading { moment: moment(9), boot_ms: 3, boot_id: "b".to_owned(), is_last: true };
    journal.keep_reading(&reading).unwrap();
    let paused = BTreeSet::from(["pacs", "archive"].map(|name| DestinationName(name.to_owned())));
    journal.keep_paused(&BTreeSet::new()).unwrap();
    journal.keep_paused(&paused).unwrap();
    drop(journal);

    let (mut journal, recovered) = open(&at);
    assert_eq!(recovered.paused, paused);
    let [(a, first), (b, second)] = recovered.imports.as_slice() else { panic!() };
    assert_eq!((*a, *b), (one, two));
    assert!(same(first, &[requested(one), answered(one, 1, 10)]));
    let expected: Vec<Entry> = std::iter::once(requested(two))
        .chain((1..300).map(|sequence| answered(two, sequence, 50)))
        .collect();
    assert!(same(second, &expected));
    assert_eq!(recovered.reading, Some(reading));
    assert!(recovered.unreadable.is_empty());
    journal.append(&[answered(one, 2, 1)]).unwrap();
}

#[test]
fn a_machine_that_stops_loses_nothing_acknowledged() {
    let at = folder();
    let (mut journal, _) = open(&at);
    let vault = vault(&at);
    // The journal's own vault finds the key file.
    let import = ImportId::new();
    vault.create(import).unwrap();
    journal.append(&[requested(import)]).unwrap();
    for sequence in 1..60 {
        journal.append(&[answered(import, sequence, 3000)]).unwrap();
        if sequence % 7 == 0 {
            let copy = copy_as_it_is(&at);
            let (_, recovered) = open(&copy);
            assert!(recovered.unreadable.is_empty());
            assert_eq!(recovered.imports[0].1.len(), usize::try_from(sequence).unwrap() + 1);
        }
    }
}

#[test]
fn large_events_come_back() {
    let (at, mut journal, [import]) = new_journal();
    journal.append(&[requested(import)]).unwrap();
    let lengths = [PART - 200, PART, PART + 1, 10 * PART, 20 << 20];
    for (length, sequence) in lengths.into_iter().zip(1..) {
        journal.append(&[answered(import, sequence, length)]).unwrap();
    }
    let blobs = fs::read_dir(path(&at).join("blobs")).unwrap().count();
    assert_eq!(blobs, 0, "sled keeps everything in its log");
    let copy = copy_as_it_is(&at);
    drop(journal);
    for at in [at, copy] {
        let (_, recovered) = open(&at);
        let entries = &recovered.imports[0].1;
        for (length, sequence) in lengths.into_iter().zip(1..) {
            let found = &entries[usize::try_from(sequence).unwrap()];
            assert!(same(std::slice::from_ref(found), &[answered(import, sequence, length)]));
        }
    }
}

#[test]
fn an_event_beyond_measure_is_refused() {
    let (_at, mut journal, [import]) = new_journal();
    let error = journal.append(&[Entry { sequence: 0, ..answered(import, 0, 65 << 20) }]);
    assert!(matches!(error, Err(Error::TooLong { .. })));
    journal.append(&[requested(import)]).unwrap();
}

#[test]
fn a_sequence_has_no_gap() {
    let (at, mut journal, [import, other]) = new_journal();
    let refused = |result| matches!(result, Err(Error::OutOfOrder { .. }));
    assert!(refused(journal.append(&[answered(import, 2, 1)])));
    journal.append(&[requested(import)]).unwrap();
    assert!(refused(journal.append(&[requested(import)])));
    assert!(refused(journal.append(&[answered(import, 2, 1)])));
    // All or none.
    let mixed = vec![requested(other), answered(import, 1, 1), answered(import, 3, 1)];
    assert!(refused(journal.append(&mixed)));
    journal.append(&[answered(import, 1, 1), answered(import, 2, 1)]).unwrap();
    journal.append(&[answered(other, 1, 1)]).unwrap();
    drop(journal);
    let (mut journal, recovered) = open(&at);
    assert_eq!(recovered.imports.iter().map(|(_, entries)| entries.len()).sum::<usize>(), 4);
    assert!(refused(journal.append(&[answered(import, 2, 1)])));
    journal.append(&[answered(import, 3, 1), answered(other, 2, 1)]).unwrap();
}

#[test]
fn an_import_without_a_key_takes_nothing() {
    let at = folder();
    let (mut journal, _) = open(&at);
    let error = journal.append(&[requested(ImportId::new())]);
    assert!(matches!(error, Err(Error::Seal(_))));
}

#[test]
fn buried_imports_leave_a_tombstone() {
    let at = folder();
    let vault = vault(&at);
    let (dead, alive) = (ImportId::new(), ImportId::new());
    vault.create(dead).unwrap();
    vault.create(alive).unwrap();
    let (mut journal, _) = Journal::open(&path(&at), vault.clone()).unwrap();
    journal.append(&[requested(alive)]).unwrap();
    journal.append(&[requested(dead), answered(dead, 1, 50_000)]).unwrap();
    vault.destroy(dead).unwrap();
    journal.bury(&tombstone(dead, 100)).unwrap();
    journal.bury(&tombstone(dead, 100)).unwrap();
    let error = journal.append(&[answered(dead, 2, 1)]);
    assert!(matches!(error, Err(Error::Buried(_))));
    drop(journal);

    let (mut journal, recovered) = open(&at);
    assert_eq!(recovered.imports.len(), 1);
    assert_eq!(recovered.tombstones, [tombstone(dead, 100)]);
    assert!(recovered.unreadable.is_empty());
    let error = journal.append(&[requested(dead)]);
    assert!(matches!(error, Err(Error::Buried(_))));
    assert_eq!(journal.forget(moment(100)).unwrap(), 0);
    assert_eq!(journal.forget(moment(101)).unwrap(), 1);
    assert_eq!(journal.forget(moment(101)).unwrap(), 0);
    drop(journal);
    assert!(open(&at).1.tombstones.is_empty());
}

#[test]
fn nothing_readable_lies_on_the_disk() {
    let (at, mut journal, [import]) = new_journal();
    // Short enough not to be deflated, and long.
    let answers =
        [answered(import, 1, 5000), answered(import, 2, 12_000), answered(import, 3, 20_000)];
    journal.append(&[vec![requested(import)], answers.to_vec()].concat()).unwrap();
    drop(journal);
    let mut files = vec![path(&at)];
    let mut seen = 0;
    while let Some(next) = files.pop() {
        let mode = fs::metadata(&next).unwrap().permissions().mode();
        if next.is_dir() {
            files.extend(fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()));
            if next == path(&at) {
                assert_eq!(mode & 0o777, 0o700);
            }
            continue;
        }
        seen += 1;
        let bytes = fs::read(&next).unwrap();
        for word in ["CANARY", "PAT_NAME", "answers"] {
            let found = bytes.windows(word.len()).any(|found| found == word.as_bytes());
            assert!(!found, "{word} in {}", next.display());
        }
    }
    assert!(seen >= 2);
}

#[test]
fn the_log_stays_small() {
    let at = folder();
    let vault = vault(&at);
    let (mut journal, _) = Journal::open(&path(&at), vault.clone()).unwrap();
    for _ in 0..40 {
        let import = ImportId::new();
        vault.create(import).unwrap();
        journal.append(&[requested(import), answered(import, 1, 300_000)]).unwrap();
        journal.bury(&tombstone(import, 1)).unwrap();
    }
    let length = fs::metadata(path(&at).join("db")).unwrap().len();
    assert!(length < 16 << 20, "{length}");
    assert_eq!(journal.forget(moment(u64::MAX)).unwrap(), 40);
}

/// A power cut while the store takes what went ahead of it: of the pages written since its last sync, any may have
/// reached the device.
#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    const PAGE: usize = 4096;
    /// Enough for sled to move on to other segments of its log and to use freed ones again.
    const ROUNDS: u64 = 30;
    let at = folder();
    let vault = vault(&at);
    let imports: Vec<ImportId> = (0..4).map(|_| ImportId::new()).collect();
    let (mut journal, _) = Journal::open(&path(&at), vault.clone()).unwrap();
    for import in &imports {
        vault.create(*import).unwrap();
        journal.append(&[requested(*import)]).unwrap();
    }
    let mut random = 1_u64;
    let mut chance = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 33
    };
    let mut buried = 0;
    for round in 1..ROUNDS {
        let old = fs::read(path(&at).join("db")).unwrap();
        let length = if round % 5 == 0 { 30_000 } else { 700 };
        let entries = imports.iter().map(|import| answered(*import, round, length));
        journal.append(&entries.collect::<Vec<_>>()).unwrap();
        let kept = copy_as_it_is(&at);
        // Closed, it brings all of it into the store.
        drop(journal);
        let new = fs::read(path(&at).join("db")).unwrap();
        assert!(old != new, "{round}");
        for cut in 0..3 {
            let mut torn = new.clone();
            if cut == 0 {
                torn.truncate(old.len());
            }
            for start in (0..torn.len()).step_by(PAGE) {
                let end = torn.len().min(start + PAGE);
                if chance() % 2 == 0 {
                    let page = old.iter().skip(start).copied().chain(std::iter::repeat(0));
                    torn[start..end].iter_mut().zip(page).for_each(|(to, from)| *to = from);
                }
            }
            let cut_off = copy_as_it_is(&kept);
            fs::write(path(&cut_off).join("db"), &torn).unwrap();
            let (_, recovered) = open(&cut_off);
            assert!(recovered.unreadable.is_empty(), "{round}.{cut}");
            assert_eq!(recovered.imports.len(), 4, "{round}.{cut}");
            assert_eq!(recovered.tombstones.len(), buried, "{round}.{cut}");
            for (_, entries) in recovered.imports {
                let found = u64::try_from(entries.len()).unwrap();
                assert_eq!(found, round + 1, "{round}.{cut}");
            }
        }
        journal = open(&at).0;
        if round % 3 == 0 {
            let import = ImportId::new();
            vault.create(import).unwrap();
            journal.append(&[requested(import), answered(import, 1, 200_000)]).unwrap();
            journal.bury(&tombstone(import, 1)).unwrap();
            buried += 1;
        }
    }
}

mod crash;
mod damage;
mod dumped;
mod kept;
mod small;
