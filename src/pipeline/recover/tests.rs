use std::fs;

use super::*;
use crate::seal::Vault;

const NOW: Moment = Moment { wall_ms: 1_800_000_000_000, running_ms: 1_000_000 };

/// A spool with a key, and without its folder.
fn unlisted(at: &std::path::Path) -> Spool {
    let vault = Vault::open_or_create(&at.join("keys"), &at.join("master.key")).unwrap();
    let spool = Spool::open(&at.join("spool"), vault).unwrap();
    spool.create(ImportId::new()).unwrap();
    fs::remove_dir_all(at.join("spool")).unwrap();
    spool
}

#[test]
fn a_spool_that_cannot_be_listed_is_not_an_empty_one() {
    let at = tempfile::tempdir().unwrap();
    let spool = unlisted(at.path());
    let told = |recovery: &Recovery| {
        assert!(recovery.alarms.iter().any(|alarm| alarm.contains("cannot be listed")));
        assert_eq!(recovery.keys, Keys::AsBefore);
    };
    let reading = Some(Reading { moment: NOW, ..Reading::default() });
    // Something was lost before: that is not over.
    let marked =
        Recovered { reading: reading.clone(), keeps_orphans: true, ..Recovered::default() };
    let recovery = recover(marked, &spool, NOW);
    told(&recovery);
    assert_eq!(recovery.loss, Loss::Known);
    // Nothing was: a key without records stays this time.
    let recovery = recover(Recovered { reading, ..Recovered::default() }, &spool, NOW);
    told(&recovery);
    assert_eq!(recovery.loss, Loss::Known);
    // A journal without anything may have been lost.
    let recovery = recover(Recovered::default(), &spool, NOW);
    told(&recovery);
    assert_eq!(recovery.loss, Loss::Keep);
    assert_eq!(fs::read_dir(at.path().join("keys")).unwrap().count(), 1);
}
