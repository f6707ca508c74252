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

#[test]
fn what_lies_in_another_folder_of_keys_is_left_alone() {
    let at = tempfile::tempdir().unwrap();
    let vault = || Vault::open_or_create(&at.path().join("keys"), &at.path().join("master.key"));
    let known = vault().unwrap().name_folder().unwrap();
    let spool = Spool::open(&at.path().join("spool"), vault().unwrap()).unwrap();
    let recovered = |keys| {
        let reading = Some(Reading { moment: late(), ..Reading::default() });
        Recovered { reading, keys: Some(keys), ..Recovered::default() }
    };
    let here = |id| spool.list().unwrap().contains(&id);
    // Without a record in the folder that is known, it was never acknowledged.
    let upload = spool.create(ImportId::new()).unwrap().id();
    recover(recovered(known), &spool, late());
    assert!(!here(upload));
    let other = Vault::open_or_create(&at.path().join("other"), &at.path().join("master.key"));
    let other = other.unwrap().name_folder().unwrap();
    let upload = spool.create(ImportId::new()).unwrap().id();
    let recovery = recover(recovered(other), &spool, late());
    assert!(here(upload));
    assert_eq!((recovery.unreadable, recovery.loss), (vec![upload], Loss::Keep));
}

/// Later than any import that a test makes.
fn late() -> Moment {
    let wall_ms = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    Moment { wall_ms, running_ms: 1_000_000 }
}
