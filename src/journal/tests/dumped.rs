//! Dumps: what was written can be loaded, and only that.

use super::*;

#[tokio::test]
async fn a_dump_can_be_loaded() {
    let (at, journal, [import]) = new_journal();
    journal.append(vec![requested(import)]).await.unwrap();
    journal.append(vec![answered(import, 1, 100_000)]).await.unwrap();
    journal.bury(tombstone(ImportId::new(), 5)).await.unwrap();
    journal.keep_reading(Reading::default()).await.unwrap();
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
