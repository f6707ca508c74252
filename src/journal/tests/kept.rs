//! What became of records that were kept: a log that is cut, a layout of before, another user's folder.

use super::super::guard::Guard;
use super::super::record::{COMMITS, STORE_VERSION};
use super::*;
use crate::seal::hex;

/// A journal of layout 1 (`tests/golden/journal-1`), with the keys that its events are sealed with.
fn of_layout_one() -> TempDir {
    let at = folder();
    let golden = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-1").join(name);
        fs::read_to_string(path).unwrap()
    };
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        hex::decode_into(text.trim().as_bytes(), &mut bytes).unwrap();
        bytes
    };
    let keep = |path: PathBuf, bytes: Vec<u8>| {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    keep(at.path().join("master.key"), decode(&golden("master.key")));
    fs::create_dir(at.path().join("keys")).unwrap();
    let key = golden("key.hex");
    let (name, key) = key.split_once(' ').unwrap();
    keep(at.path().join("keys").join(name), decode(key));
    let db = sled::Config::new().path(path(&at)).open().unwrap();
    for line in golden("dump.jsonl").lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(record) = line.get("record") else { continue };
        let part = |name: &str| decode(record[name].as_str().unwrap());
        db.insert(part("key"), part("value")).unwrap();
    }
    db.insert(STORE_VERSION, &[1]).unwrap();
    db.flush().unwrap();
    drop(db);
    at
}

fn assert_whole(recovered: &Recovered) {
    let [(_, entries)] = recovered.imports.as_slice() else {
        panic!("{}", recovered.imports.len())
    };
    let sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [0, 1, 2]);
    let Event::Answered { answers, .. } = &entries[2].event else { panic!() };
    assert_eq!(answers["PAT_NAME"].len(), 9000);
    assert_eq!((recovered.tombstones.len(), recovered.unreadable.len()), (1, 0));
    assert_eq!(recovered.reading.as_ref().map(|reading| reading.boot_ms), Some(3));
    assert_eq!(recovered.cut, 0);
}

#[test]
fn a_journal_of_layout_one_is_brought_up_to_date() {
    let at = of_layout_one();
    let (mut journal, recovered) = open(&at);
    assert_whole(&recovered);
    let import = recovered.imports[0].0;
    journal.append(&[answered(import, 3, 10)]).unwrap();
    drop(journal);

    let store = Store::open(&path(&at)).unwrap();
    assert_eq!(store.get(STORE_VERSION).unwrap().as_deref(), Some(&[LAYOUT][..]));
    // The migration and the event.
    assert_eq!(store.get(COMMITS).unwrap().as_deref(), Some(&2_u64.to_be_bytes()[..]));
    drop(store);
    let (_, recovered) = open(&at);
    assert_eq!(recovered.imports[0].1.len(), 4);
    assert_eq!(recovered.cut, 0);
}

#[test]
fn a_dump_of_layout_one_is_loaded() {
    let at = of_layout_one();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal-1/dump.jsonl");
    let other = at.path().join("other");
    assert_eq!(load(&other, &mut &*fs::read(golden).unwrap()).unwrap(), 6);
    let (_, recovered) = Journal::open(&other, vault(&at)).unwrap();
    assert_whole(&recovered);
}

#[test]
fn a_log_that_was_cut_is_told() {
    let (at, mut journal, [import]) = new_journal();
    journal.append(&[requested(import)]).unwrap();
    drop(journal);
    // Every stop brings to the store what went ahead of it.
    for sequence in 1..40 {
        let (mut journal, _) = open(&at);
        journal.append(&[answered(import, sequence, 2000)]).unwrap();
        drop(journal);
    }
    assert_eq!(open(&copy_as_it_is(&at)).1.cut, 0);

    // As a device leaves it that kept the beginning of the log and lost the rest of it.
    let whole = copy_as_it_is(&at);
    let db = path(&whole).join("db");
    let mut bytes = fs::read(&db).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used / 2..].fill(0);
    fs::write(&db, &bytes).unwrap();
    match Journal::open(&path(&whole), vault(&whole)) {
        Ok((journal, recovered)) => {
            assert!(recovered.cut > 0, "{} events came back", recovered.imports.len());
            drop(journal);
            // Told at every start, whatever is kept meanwhile, until nothing is left of it.
            for _ in 0..3 {
                let (mut journal, again) = open(&whole);
                assert_eq!((again.cut, again.keeps_orphans), (recovered.cut, true));
                journal.keep_reading(&Reading::default()).unwrap();
            }
            // What was cut off is still in the log, for who can bring it back.
            assert_eq!(compact(&path(&whole)).unwrap(), None);
            let (mut journal, _) = open(&whole);
            journal.forget_loss().unwrap();
            drop(journal);
            let after = open(&whole).1;
            assert_eq!((after.cut, after.keeps_orphans), (0, false));
        }
        // The store itself saw it.
        Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error}"),
    }
}

#[test]
fn a_guard_says_only_what_it_knows() {
    let at = folder();
    let guard = Guard::open(at.path()).unwrap();
    assert_eq!(guard.number(), 0);
    guard.note(7);
    assert_eq!(Guard::open(at.path()).unwrap().number(), 7);
    guard.note(u64::MAX);
    assert_eq!(guard.number(), u64::MAX);
    let file = at.path().join("guard");
    for damaged in [&[][..], &[0; 16], &[1; 16], &[0xff; 15], &7_u64.to_be_bytes()] {
        fs::write(&file, damaged).unwrap();
        assert_eq!(Guard::open(at.path()).unwrap().number(), 0, "{damaged:?}");
    }
}
