//! What cannot be read, or must not be opened: it is told, and nothing else suffers.

use super::*;

#[test]
fn what_can_t_be_read_is_told_by_import() {
    let at = folder();
    let vault = vault(&at);
    let mut imports: Vec<ImportId> = (0..6).map(|_| ImportId::new()).collect();
    imports.sort();
    let (mut journal, _) = Journal::open(&path(&at), vault.clone()).unwrap();
    for import in &imports {
        vault.create(*import).unwrap();
        let entries =
            vec![requested(*import), answered(*import, 1, 20_000), answered(*import, 2, 9)];
        journal.append(&entries).unwrap();
    }
    drop(journal);
    vault.destroy(imports[1]).unwrap();
    let key = |import: usize, sequence: u64, part: &[u8]| {
        [b"e/", imports[import].as_bytes().as_slice(), &sequence.to_be_bytes(), part].concat()
    };
    let mut store = Store::open(&path(&at)).unwrap();
    let moved = store.get(&key(0, 2, &[])).unwrap();
    let changes = vec![
        (key(2, 1, &[]), None),
        (key(3, 1, &[0, 0, 0, 2]), None),
        (key(4, 2, &[]), moved),
        (key(5, 2, &[]), Some(vec![1])),
    ];
    store.commit([changes]).unwrap();
    drop(store);

    let (mut journal, recovered) = open(&at);
    assert_eq!(recovered.imports.len(), 1);
    assert_eq!(recovered.imports[0].0, imports[0]);
    let told: Vec<ImportId> = recovered.unreadable.iter().map(|(import, _)| *import).collect();
    assert_eq!(told, imports[1..]);
    for (_, reason) in &recovered.unreadable {
        assert!(!reason.contains("CANARY"), "{reason}");
    }
    for import in &imports[1..] {
        journal.bury(&tombstone(*import, 1)).unwrap();
    }
    drop(journal);
    assert!(open(&at).1.unreadable.is_empty());
}

#[test]
fn after_an_error_of_the_store_nothing_is_taken() {
    let (at, mut journal, [import]) = new_journal();
    journal.append(&[requested(import), answered(import, 1, 4 << 20)]).unwrap();
    // The mark is the next to bring what waits into sled, whose folder cannot be synced meanwhile.
    let blobs = path(&at).join("blobs");
    fs::rename(&blobs, at.path().join("away")).unwrap();
    assert!(matches!(journal.keep_loss(), Err(Error::Broken(_))));
    fs::rename(at.path().join("away"), &blobs).unwrap();
    let later = [
        journal.keep_loss(),
        journal.forget_loss(),
        journal.keep_reading(&Reading::default()),
        journal.append(&[requested(ImportId::new())]),
        journal.bury(&tombstone(import, 1)),
        journal.forget(moment(1)).map(drop),
    ];
    for (number, later) in later.into_iter().enumerate() {
        assert!(matches!(later, Err(Error::Broken(_))), "{number}: {later:?}");
    }
    drop(journal);
    let (_, recovered) = open(&at);
    assert_eq!((recovered.imports[0].1.len(), recovered.cut), (2, 0));
    assert!(recovered.reading.is_none() && recovered.tombstones.is_empty());
}

#[test]
fn hostile_values_are_no_panic() {
    let at = folder();
    drop(open(&at));
    let import = ImportId::new();
    vault(&at).create(import).unwrap();
    let key = |sequence: u64, part: &[u8]| {
        [b"e/", import.as_bytes().as_slice(), &sequence.to_be_bytes(), part].concat()
    };
    let values = [
        (key(0, &[]), vec![]),
        (key(0, &[]), vec![VERSION, 0xff, 0xff, 0xff, 0xff]),
        (key(0, &[]), vec![VERSION, 0, 0, 0, 0]),
        (key(u64::MAX, &[]), vec![VERSION, 0, 0, 0, 1, 9, 9, 9]),
        (key(0, &[0, 0, 0, 1]), vec![0; 100]),
        (key(0, &[0xff; 4]), vec![0; 100]),
    ];
    for (key, value) in values {
        let mut store = Store::open(&path(&at)).unwrap();
        store.commit([vec![(key, Some(value))]]).unwrap();
        drop(store);
        let (_, recovered) = open(&at);
        assert_eq!(recovered.unreadable.len(), 1);
    }
}

#[test]
fn a_newer_journal_is_refused() {
    let event = [b"e/", [0; 16].as_slice(), &[0; 8]].concat();
    let keys =
        [b"c/version".to_vec(), b"c/reading".to_vec(), [b"t/", [1; 16].as_slice()].concat(), event];
    for key in keys {
        let at = folder();
        drop(open(&at));
        let mut store = Store::open(&path(&at)).unwrap();
        store.commit([vec![(key, Some(vec![LAYOUT + 1, 0, 0, 0, 1]))]]).unwrap();
        drop(store);
        let Err(error) = Journal::open(&path(&at), vault(&at)) else { panic!("taken") };
        assert!(matches!(error, Error::Newer { found: 3, .. }), "{error}");
        assert!(error.to_string().contains("install that version"), "{error}");
    }
}

#[test]
fn one_process_at_a_time() {
    let at = folder();
    let (journal, _) = open(&at);
    let Err(error) = Journal::open(&path(&at), vault(&at)) else { panic!("opened twice") };
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(matches!(dump(&path(&at), &mut Vec::new()), Err(Error::Locked { .. })));
    drop(journal);
    open(&at);
}

#[test]
fn unusable_folders_are_explained() {
    let at = folder();
    fs::write(at.path().join("file"), "").unwrap();
    let Err(error) = Journal::open(&at.path().join("file/journal"), vault(&at)) else { panic!() };
    assert!(error.to_string().contains("file is not a folder"), "{error}");

    let journal = path(&at);
    drop(open(&at));
    fs::write(journal.join("conf"), [7; 100]).unwrap();
    let Err(error) = Journal::open(&journal, vault(&at)) else { panic!() };
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

/// sled begins a snapshot under another name whenever it opens, and takes one that it did not end for its newest.
#[test]
fn a_start_that_was_cut_off_leaves_nothing_that_keeps_the_next_from_opening() {
    let at = folder();
    let mut store = Store::open(&path(&at)).unwrap();
    store.commit([vec![(b"x".to_vec(), Some(b"y".to_vec()))]]).unwrap();
    drop(store);
    let begun = path(&at).join("snap.FFFFFFFFFFFFFFFF.generating");
    for left in [&b""[..], b"half of a snapshot"] {
        fs::write(&begun, left).unwrap();
        let store = Store::open(&path(&at)).unwrap();
        assert_eq!(store.get(b"x").unwrap().unwrap(), b"y");
        assert!(!begun.exists());
    }
    // Not while somebody else has it open.
    let store = Store::open(&path(&at)).unwrap();
    fs::write(&begun, b"being written").unwrap();
    assert!(matches!(Store::open(&path(&at)), Err(Error::Locked { .. })));
    assert!(begun.exists());
    drop(store);
}
