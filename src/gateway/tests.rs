use std::time::Duration;

use super::*;
use crate::clock::{Clock, Moment};
use crate::import::{Actor, End, ImportId, Link, Request, State};
use crate::pipeline::Refusal;

fn config(home: &Path) -> Config {
    let pairs = [("XDG_DATA_HOME", home.to_str().unwrap()), ("LOTSE__HTTP__LISTEN", "127.0.0.1:0")];
    let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(None, &Environment(pairs.collect())).unwrap()
}

fn clock() -> Clock {
    Clock::simulated(Moment { wall_ms: jiff::Timestamp::now().as_millisecond(), running_ms: 5_000 })
}

async fn started(config: &Config, clock: &Clock) -> Gateway {
    Gateway::start(config.clone(), ClockSource::Given(clock.clone())).await.unwrap()
}

/// An import with a key; its link leads nowhere that is allowed.
async fn import(gateway: &Gateway) -> ImportId {
    let link = Link::new("http://127.0.0.1:9/x");
    let request = Request { link, ..Request::default() };
    gateway.pipeline.admit(request, Actor("test".into())).await.unwrap()
}

/// One whose pull has ended: it makes the folder, and would make it again.
async fn failed(gateway: &Gateway) -> ImportId {
    let id = import(gateway).await;
    let ended = || matches!(gateway.pipeline.import(id).unwrap().state, State::Failed { .. });
    until("the pull does not fail", ended).await;
    id
}

fn keys(config: &Config) -> usize {
    let files = std::fs::read_dir(config.below("keys")).unwrap();
    files.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "key")).count()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_destroys_nothing_before_its_time() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let (erased, expired) = (import(&gateway).await, import(&gateway).await);
    gateway.stop().await.unwrap();
    std::fs::remove_dir_all(config.below("journal")).unwrap();

    let gateway = started(&config, &clock).await;
    assert_eq!(keys(&config), 2);
    let alarms = gateway.pipeline.snapshot().alarms;
    assert!(alarms.iter().any(|alarm| alarm.contains("holds 2 imports")), "{alarms:?}");
    let actor = || Actor("test".into());
    gateway.pipeline.erase(erased, actor()).await.unwrap();
    assert_eq!(gateway.pipeline.erase(erased, actor()).await, Err(Refusal::Unknown));
    assert_eq!(keys(&config), 1);
    clock.advance(Duration::from_secs(168 * 3600));
    until("the key outlives the limit", || keys(&config) == 0).await;
    until("no tombstone", || gateway.pipeline.tombstones().iter().any(|t| t.id == expired)).await;
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_destroyed_is_tried_again_without_a_flood() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let id = failed(&gateway).await;
    // What is a folder cannot be overwritten.
    let key = config.below("keys").join(format!("{id}.key"));
    std::fs::remove_file(&key).unwrap();
    std::fs::create_dir(&key).unwrap();
    clock.advance(Duration::from_secs(169 * 3600));
    let failures = || {
        let errors = gateway.pipeline.snapshot().last_errors;
        errors.iter().filter(|error| error.stage == "Expire").count()
    };
    until("it is not noted", || failures() == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(failures(), 1, "once, not five times a second");
    std::fs::remove_dir(&key).unwrap();
    clock.advance(Duration::from_secs(60));
    until("it is not tried again", || gateway.pipeline.import(id).is_none()).await;
    gateway.stop().await.unwrap();
}

fn key_of(config: &Config, id: ImportId) -> PathBuf {
    config.below("keys").join(format!("{id}.key"))
}

/// Puts in the place of a key what takes noise, gives noise, and cannot be synced: as a disk that fails.
fn fail_disk_under(key: &Path) {
    std::fs::remove_file(key).unwrap();
    std::os::unix::fs::symlink("/dev/urandom", key).unwrap();
}

/// The disk is well again, and has the noise.
fn mend_disk_under(key: &Path) {
    std::fs::remove_file(key).unwrap();
    std::fs::write(key, [&b"LOTSEGON"[..], &[0x5a; 61]].concat()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_noise_is_not_on_the_device_is_destroyed_again() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let id = failed(&gateway).await;
    let key = key_of(&config, id);
    fail_disk_under(&key);
    let actor = || Actor("test".into());
    let refused = gateway.pipeline.erase(id, actor()).await.unwrap_err().to_string();
    assert!(refused.contains("could not be destroyed"), "{refused}");
    assert!(gateway.pipeline.tombstones().is_empty());
    // An event of an import without a key cannot be kept, and would end everything.
    let refused = gateway.pipeline.retry(id, actor()).await;
    assert!(matches!(refused, Err(Refusal::NotNow(_))), "{refused:?}");
    mend_disk_under(&key);
    clock.advance(Duration::from_secs(60));
    until("it is not tried again", || gateway.pipeline.import(id).is_none()).await;
    assert_eq!(gateway.pipeline.tombstones()[0].end, End::Erased);
    assert_eq!(keys(&config), 0);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_overwritten_are_destroyed_at_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let dead = [failed(&gateway).await, failed(&gateway).await];
    let alive = failed(&gateway).await;
    gateway.stop().await.unwrap();
    dead.iter().for_each(|id| mend_disk_under(&key_of(&config, *id)));
    let gateway = started(&config, &clock).await;
    let stones = gateway.pipeline.tombstones();
    assert!(stones.len() == 2 && stones.iter().all(|stone| dead.contains(&stone.id)));
    assert_eq!(keys(&config), 1);
    assert!(gateway.pipeline.import(alive).is_some());
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_start_cannot_destroy_is_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let actor = Actor("test".into());
    let upload = gateway.pipeline.begin_upload(Request::default(), actor, 0).await.unwrap();
    let key = key_of(&config, upload.id);
    drop(upload);
    gateway.stop().await.unwrap();
    fail_disk_under(&key);
    let gateway = started(&config, &clock).await;
    assert_eq!(keys(&config), 1);
    mend_disk_under(&key);
    clock.advance(Duration::from_secs(60));
    until("it is not tried again", || keys(&config) == 0).await;
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_an_abandoned_upload_is_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let actor = Actor("test".into());
    let upload = gateway.pipeline.begin_upload(Request::default(), actor, 0).await.unwrap();
    let key = key_of(&config, upload.id);
    fail_disk_under(&key);
    gateway.pipeline.abandon_upload(upload).await;
    assert_eq!(keys(&config), 1);
    mend_disk_under(&key);
    // Once it has failed for the scheduler too.
    let noted = || gateway.pipeline.snapshot().last_errors.iter().any(|e| e.stage == "Expire");
    until("the scheduler does not know of it", || noted() || keys(&config) == 0).await;
    clock.advance(Duration::from_secs(60));
    until("it is not tried again", || keys(&config) == 0).await;
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_key_is_damaged_and_the_start_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let id = failed(&gateway).await;
    gateway.stop().await.unwrap();
    let key = key_of(&config, id);
    let mut bytes = std::fs::read(&key).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&key, bytes).unwrap();
    let gateway = started(&config, &clock).await;
    let alarms = gateway.pipeline.snapshot().alarms;
    let told = format!("the key file of import {id} is damaged");
    assert!(alarms.iter().any(|alarm| alarm.contains(&told)), "{alarms:?}");
    assert!(gateway.pipeline.tombstones().is_empty() && keys(&config) == 1);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_with_its_key_though_its_files_stay() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let id = failed(&gateway).await;
    // What is no folder cannot be removed as one.
    let spool = config.below("spool").join(id.to_string());
    std::fs::remove_dir_all(&spool).unwrap();
    std::fs::write(&spool, b"").unwrap();
    let actor = || Actor("test".into());
    gateway.pipeline.erase(id, actor()).await.unwrap();
    assert_eq!(keys(&config), 0);
    assert_eq!(gateway.pipeline.erase(id, actor()).await, Err(Refusal::Unknown));
    // An event of an import without a key cannot be kept, and would end everything.
    assert_eq!(gateway.pipeline.retry(id, actor()).await, Err(Refusal::Unknown));
    let alarms = gateway.pipeline.snapshot().alarms;
    assert!(alarms.iter().any(|alarm| alarm.contains("could not be removed")), "{alarms:?}");
    assert!(gateway.pipeline.tombstones().iter().any(|stone| stone.id == id));
    import(&gateway).await;
    gateway.stop().await.unwrap();
    std::fs::remove_file(&spool).unwrap();
    std::fs::create_dir(&spool).unwrap();
    let gateway = started(&config, &clock).await;
    assert!(!spool.exists(), "the next start removes them");
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_from_a_backup_destroys_nothing_that_came_after_it() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path());
    let hour = 3_600_000;
    let now = jiff::Timestamp::now().as_millisecond();
    let early = Clock::simulated(Moment { wall_ms: now - hour, running_ms: 5_000 });
    started(&config, &early).await.stop().await.unwrap();
    let (journal, backup, newer) =
        (config.below("journal"), home.path().join("backup"), home.path().join("newer"));
    std::fs::rename(&journal, &backup).unwrap();
    let late = Clock::simulated(Moment { wall_ms: now, running_ms: 5_000 + hour.unsigned_abs() });
    let gateway = started(&config, &late).await;
    let id = import(&gateway).await;
    gateway.stop().await.unwrap();
    std::fs::rename(&journal, &newer).unwrap();
    std::fs::rename(&backup, &journal).unwrap();

    for start in 0..2 {
        let gateway = started(&config, &late).await;
        let alarms = gateway.pipeline.snapshot().alarms;
        let told = alarms.iter().any(|alarm| alarm.contains("1 imports have bytes"));
        assert!(told, "start {start}: {alarms:?}");
        assert_eq!(keys(&config), 1, "start {start}");
        gateway.stop().await.unwrap();
    }
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::rename(&newer, &journal).unwrap();
    let gateway = started(&config, &late).await;
    assert!(gateway.pipeline.import(id).is_some());
    assert!(gateway.pipeline.snapshot().alarms.is_empty());
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reload_cannot_change_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path());
    let mut gateway = started(&config, &clock()).await;
    let mut other = config.clone();
    other.spool.reserve = Some("3 GiB".to_owned().try_into().unwrap());
    other.destinations.clear();
    let told = gateway.reload(other).await.unwrap_err().to_string();
    assert!(told.contains("nothing was reloaded"), "{told}");
    assert_eq!(gateway.pipeline.destinations().len(), 1);
    // Half of it would be another zone: what was started with one keeps it.
    let mut other = config.clone();
    other.zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(5));
    other.destinations.clear();
    let told = gateway.reload(other).await.unwrap_err().to_string();
    assert!(told.contains("`timezone`") && told.contains("nothing was reloaded"), "{told}");
    assert_eq!(gateway.pipeline.destinations().len(), 1);
    gateway.reload(config).await.unwrap();
    gateway.stop().await.unwrap();
}

#[test]
fn a_socket_that_may_not_be_looked_at_is_there() {
    use std::io::{Error, ErrorKind};
    assert!(is_there(&Ok(true)) && !is_there(&Ok(false)));
    assert!(is_there(&Err(Error::from(ErrorKind::PermissionDenied))));
    assert!(!is_there(&Err(Error::from(ErrorKind::NotADirectory))));
}

mod objects;
