//! Dumps: what was written can be loaded, and only that.

use std::io::{self, BufReader, Read};

use super::super::guard::Guard;
use super::super::record::STORE_VERSION;
use super::*;

#[test]
fn a_dump_can_be_loaded() {
    let (at, mut journal, [import]) = new_journal();
    journal.append(&[requested(import)]).unwrap();
    journal.append(&[answered(import, 1, 100_000)]).unwrap();
    journal.bury(&tombstone(ImportId::new(), 5)).unwrap();
    journal.keep_reading(&Reading::default()).unwrap();
    drop(journal);

    let mut text = Vec::new();
    let count = dump(&path(&at), &mut text).unwrap();
    assert!(!text.windows(6).any(|found| found == &CANARY.as_bytes()[..6]));
    assert!(matches!(load(&path(&at), &mut &*text), Err(Error::NotEmpty { .. })));
    let other = at.path().join("other");
    assert_eq!(load(&other, &mut &*text).unwrap(), count);
    let mut again = Vec::new();
    dump(&other, &mut again).unwrap();
    assert_eq!(text, again);
    let (_, recovered) = Journal::open(
        &other,
        Vault::open(&at.path().join("keys"), &at.path().join("master.key")).unwrap(),
    )
    .unwrap();
    assert!(same(&recovered.imports[0].1, &[requested(import), answered(import, 1, 100_000)]));
    assert_eq!(recovered.tombstones.len(), 1);
}

/// A dump that does something before its last byte.
struct Ending<'a, F> {
    text: &'a [u8],
    before: Option<F>,
}

impl<F: FnOnce()> Read for Ending<'_, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.text.len() <= 1
            && let Some(before) = self.before.take()
        {
            before();
        }
        self.text.read(into)
    }
}

fn loaded(dir: &Path, text: &[u8], before_the_end: impl FnOnce()) -> Result<u64, Error> {
    load(dir, &mut BufReader::with_capacity(1, Ending { text, before: Some(before_the_end) }))
}

/// More records than one commit of a load takes, and their dump.
fn large() -> (TempDir, Vec<u8>) {
    let (at, mut journal, [import]) = new_journal();
    let answers = (1..400).map(|sequence| answered(import, sequence, 50));
    let entries: Vec<Entry> = std::iter::once(requested(import)).chain(answers).collect();
    journal.append(&entries).unwrap();
    journal.keep_reading(&Reading::default()).unwrap();
    journal.keep_keys(&vault(&at).name_folder().unwrap()).unwrap();
    drop(journal);
    let mut text = Vec::new();
    dump(&path(&at), &mut text).unwrap();
    fs::rename(path(&at), at.path().join("before")).unwrap();
    (at, text)
}

/// A start destroys what it finds in the spool and not in the journal, unless the journal is empty.
fn assert_empty(at: &TempDir) {
    compact(&path(at)).unwrap();
    assert!(!at.path().join("journal.new").exists());
    let (_, recovered) = open(at);
    assert!(recovered.imports.is_empty() && recovered.unreadable.is_empty());
    assert!(recovered.reading.is_none() && recovered.keys.is_none() && !recovered.keeps_orphans);
}

#[test]
fn a_load_that_is_cut_off_leaves_the_journal_empty() {
    let (at, text) = large();
    // At 258 records, within a line, and before the last line.
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let cuts = [lines[..260].concat(), text[..text.len() / 2].to_vec(), lines[..404].concat()];
    for cut in cuts {
        let error = load(&path(&at), &mut &*cut).unwrap_err();
        assert!(matches!(error, Error::CutOff), "{error}");
        assert_empty(&at);
    }
    // What a kill leaves, and a start while it is loaded.
    let mut killed = None;
    let meanwhile = || {
        killed = Some(copy_as_it_is(&at));
        assert!(matches!(compact(&path(&at)), Err(Error::Locked { .. })));
    };
    assert_eq!(loaded(&path(&at), &text, meanwhile).unwrap(), 402);
    assert!(!at.path().join("journal.new").exists());
    let killed = killed.unwrap();
    assert!(killed.path().join("journal.new").exists());
    assert_empty(&killed);
    for at in [at, killed] {
        if open(&at).1.imports.is_empty() {
            assert_eq!(load(&path(&at), &mut &*text).unwrap(), 402);
        }
        let (_, recovered) = open(&at);
        assert_eq!((recovered.imports[0].1.len(), recovered.cut), (400, 0));
        assert!(recovered.reading.is_some() && recovered.keys.is_some());
    }
}

#[test]
fn a_loss_that_an_empty_journal_tells_of_is_told_when_it_was_filled() {
    let (at, text) = large();
    open(&at).0.keep_loss().unwrap();
    load(&path(&at), &mut &*text).unwrap();
    let (_, recovered) = open(&at);
    assert_eq!((recovered.imports.len(), recovered.keeps_orphans), (1, true));
}

#[test]
fn a_loss_goes_along_with_a_dump() {
    let (at, mut journal, [import]) = new_journal();
    journal.append(&[requested(import)]).unwrap();
    journal.keep_loss().unwrap();
    drop(journal);
    let loaded_again = |at: &TempDir, name: &str| {
        let (mut text, other) = (Vec::new(), at.path().join(name));
        let count = dump(&path(at), &mut text).unwrap();
        assert_eq!(load(&other, &mut &*text).unwrap(), count);
        Journal::open(&other, vault(at)).unwrap().1
    };
    let recovered = loaded_again(&at, "one");
    assert_eq!((recovered.imports.len(), recovered.cut, recovered.keeps_orphans), (1, 0, true));
    // What only the guard tells of, and no commit has noted yet.
    let (at, journal, []) = new_journal();
    drop(journal);
    Guard::open(&path(&at)).unwrap().note(100);
    let recovered = loaded_again(&at, "two");
    assert_eq!((recovered.cut, recovered.keeps_orphans), (99, true));
}

#[test]
fn a_dump_is_loaded_by_its_layout() {
    let record = "{\"record\":{\"key\":\"00\",\"value\":\"01\"}}\n{\"end\":1}\n";
    let layout_of = |dir: &Path| Store::open(dir).unwrap().get(STORE_VERSION).unwrap();
    for layout in ["", "{\"layout\":1}\n", &format!("{{\"layout\":{LAYOUT}}}\n")] {
        let at = folder();
        let text = format!("{{\"lotse-journal\":1}}\n{layout}{record}");
        assert_eq!(load(&path(&at), &mut text.as_bytes()).unwrap(), 1, "{layout}");
        assert_eq!(layout_of(&path(&at)), Some(vec![LAYOUT]), "{layout}");
    }
    let at = folder();
    let newer = LAYOUT + 1;
    let text = format!("{{\"lotse-journal\":1}}\n{{\"layout\":{newer}}}\n{record}");
    let refused = load(&path(&at), &mut text.as_bytes());
    assert!(matches!(refused, Err(Error::NewerDump { found }) if found == newer));
    let mut text = Vec::new();
    dump(&path(&at), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text, format!("{{\"lotse-journal\":1}}\n{{\"layout\":{LAYOUT}}}\n{{\"end\":0}}\n"));
}

#[test]
fn what_is_no_dump_is_refused() {
    let head = "{\"lotse-journal\":1}\n";
    let record = "{\"record\":{\"key\":\"00\",\"value\":\"01\"}}\n";
    let long = format!("{head}{}", "x".repeat(100_000));
    let cases = [
        String::new(),
        "{".to_owned(),
        record.to_owned(),
        head.to_owned(),
        format!("{head}{record}"),
        format!("{head}{record}{{\"end\":2}}\n"),
        format!("{head}{record}{{\"end\":1}}"),
        format!("{head}{head}"),
        format!("{head}{{\"layout\":0}}\n{{\"end\":0}}\n"),
        format!("{head}{record}{{\"layout\":1}}\n{{\"end\":1}}\n"),
        // The number of the last commit.
        format!(
            "{head}{{\"record\":{{\"key\":\"632f636f6d6d697473\",\"value\":\"01\"}}}}\n{{\"end\":1}}\n"
        ),
        format!("{head}{{\"record\":{{\"key\":\"0\",\"value\":\"\"}}}}\n"),
        format!("{head}{{\"record\":{{\"key\":\"zz\",\"value\":\"\"}}}}\n"),
        long,
        "{\"lotse-journal\":2}\n".to_owned(),
    ];
    for (number, case) in cases.iter().enumerate() {
        let at = folder();
        let error = load(&path(&at), &mut case.as_bytes());
        assert!(error.is_err(), "{number}");
    }
    let at = folder();
    let whole = format!("{head}{record}{{\"end\":1}}\n");
    assert_eq!(load(&path(&at), &mut whole.as_bytes()).unwrap(), 1);
}
