use std::time::Duration;

use super::*;
use crate::clock::{Clock, Moment};
use crate::import::{Actor, ImportId, Link, Request, State};
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
    let id = import(&gateway).await;
    // The pull makes the folder, and would make it again.
    let ended = || matches!(gateway.pipeline.import(id).unwrap().state, State::Failed { .. });
    until("the pull does not fail", ended).await;
    // What is no folder cannot be removed as one.
    let spool = config.below("spool").join(id.to_string());
    std::fs::remove_dir_all(&spool).unwrap();
    std::fs::write(&spool, b"").unwrap();
    clock.advance(Duration::from_secs(169 * 3600));
    let failures = || {
        let errors = gateway.pipeline.snapshot().last_errors;
        errors.iter().filter(|error| error.stage == "Expire").count()
    };
    until("it is not noted", || failures() == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(failures(), 1, "once, not five times a second");
    std::fs::remove_file(&spool).unwrap();
    clock.advance(Duration::from_secs(60));
    until("it is not tried again", || gateway.pipeline.import(id).is_none()).await;
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
    gateway.stop().await.unwrap();
}
