//! Local copies die in time, and what is dead cannot be read by anybody.

use std::path::Path;
use std::time::Duration;

use lotse::clock::{Clock, Moment};
use lotse::gateway::ClockSource;
use lotse::import::{Blob, End, ImportId, StudyState};
use lotse::journal::{Journal, Recovered};
use lotse::seal::Vault;
use lotse::spool::Spool;
use serde_json::Value;

use crate::hospital::{
    Answered, Hospital, Order, clock_at, copy_folder, files_below, keys_of, some_moment,
};
use crate::needles::{self, Needles};

const SLICES: u16 = 4;
const HOUR: Duration = Duration::from_secs(3600);

async fn undecided(clock: ClockSource) -> (Hospital, ImportId) {
    let hospital = Hospital::start_with(SLICES, clock, |text| text).await;
    let id = hospital.admit(Answered::Yes, Order::Open).await;
    hospital
        .wait(id, "AwaitingDecision", |import| {
            import.studies.iter().any(|s| matches!(s.state, StudyState::AwaitingDecision { .. }))
        })
        .await;
    (hospital, id)
}

fn needles(hospital: &Hospital) -> Needles {
    let texts = needles::of_sample(&hospital.world);
    Needles::new(texts.iter().map(String::as_str))
}

/// Opens a copy of a data folder as somebody would who also has the master key.
async fn open_copy(copy: &Path, master_key: &Path) -> (Spool, Recovered) {
    let (copy, master_key) = (copy.to_owned(), master_key.to_owned());
    let opened = tokio::task::spawn_blocking(move || {
        let vault = Vault::open(&copy.join("keys"), &master_key).unwrap();
        let spool = Spool::open(&copy.join("spool"), vault.clone()).unwrap();
        let (_journal, recovered) = Journal::open(&copy.join("journal"), vault).unwrap();
        (spool, recovered)
    });
    opened.await.unwrap()
}

fn blobs(hospital: &Hospital, id: ImportId) -> Vec<Blob> {
    hospital.import(id).instances.iter().map(|instance| instance.blob.clone()).collect()
}

fn readable(spool: &Spool, id: ImportId, blob: &Blob) -> bool {
    let Ok(import) = spool.import(id) else { return false };
    let Ok(mut reader) = import.read(blob) else { return false };
    std::io::copy(&mut reader, &mut std::io::sink()).is_ok()
}

/// Nothing of the import is left that anybody could read: not in the running gateway, not in its folder, not
/// in a copy of that folder, not in a copy of before whose key file has died too.
async fn assert_unreadable(hospital: &Hospital, id: ImportId, before: &Path, blobs: &[Blob]) {
    let data = hospital.data_dir();
    assert!(hospital.gateway.pipeline.import(id).is_none());
    assert!(keys_of(&data).iter().all(|file| !is_named(file, id)));
    assert!(files_below(&data.join("spool")).iter().all(|file| !is_named(file, id)));
    needles(hospital).assert_absent_below(&data);

    let after = tempfile::tempdir().unwrap();
    copy_folder(&data, after.path());
    let (spool, recovered) = open_copy(after.path(), &hospital.master_key()).await;
    assert!(recovered.imports.iter().all(|(import, _)| *import != id));
    assert!(blobs.iter().all(|blob| !readable(&spool, id, blob)));

    // The copy of before is readable as long as it has the key file.
    let with_key = tempfile::tempdir().unwrap();
    copy_folder(before, with_key.path());
    let (spool, recovered) = open_copy(with_key.path(), &hospital.master_key()).await;
    assert!(recovered.imports.iter().any(|(import, entries)| *import == id && !entries.is_empty()));
    assert!(blobs.iter().all(|blob| readable(&spool, id, blob)));

    let without = tempfile::tempdir().unwrap();
    copy_folder(before, without.path());
    let keys = keys_of(without.path());
    let key = keys.iter().find(|file| is_named(file, id)).expect("a key file named by its import");
    std::fs::remove_file(key).unwrap();
    let (spool, recovered) = open_copy(without.path(), &hospital.master_key()).await;
    assert!(recovered.imports.iter().all(|(import, _)| *import != id));
    assert!(blobs.iter().all(|blob| !readable(&spool, id, blob)));
}

fn is_named(file: &Path, id: ImportId) -> bool {
    file.to_string_lossy().contains(&id.to_string())
}

/// The tombstone in the list, by API, and no word of the patient in it.
async fn assert_listed(hospital: &Hospital, id: ImportId, state: &str) {
    let list: Value = hospital.control.get_json("/api/v1/imports").await.unwrap();
    let found =
        list["imports"].as_array().unwrap().iter().find(|import| import["id"] == id.to_string());
    assert_eq!(found.expect("a tombstone")["state"], state);
    let shown = hospital.show(id).await;
    assert_eq!(shown["state"], state);
    assert_eq!(shown["counts"]["received"], u64::from(SLICES));
    let needles = needles(hospital);
    needles.assert_absent("the list", list.to_string().as_bytes());
    needles.assert_absent("the import", shown.to_string().as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_week_nothing_of_an_unfinished_import_is_readable() {
    let (clock, source) = clock_at(some_moment());
    let (hospital, id) = undecided(source).await;
    let (before, blobs) = (tempfile::tempdir().unwrap(), blobs(&hospital, id));
    copy_folder(&hospital.data_dir(), before.path());
    needles(&hospital).assert_absent_below(before.path());

    clock.advance(168 * HOUR - Duration::from_secs(1));
    hospital.turns().await;
    assert!(hospital.gateway.pipeline.import(id).is_some(), "not a second too early");
    clock.advance(Duration::from_secs(1));
    let stone = hospital.buried(id).await;
    assert_eq!(stone.end, End::Expired);
    assert_unreadable(&hospital, id, before.path(), &blobs).await;
    assert_listed(&hospital, id, "Expired").await;
    // Nothing of it was delivered, and somebody has to know.
    hospital.turns().await;
    let told =
        |alarm: &String| alarm.contains("images were delivered") && alarm.contains(&id.to_string());
    assert!(hospital.gateway.pipeline.snapshot().alarms.iter().any(told));
    let next = hospital.show(id).await["nextStep"].to_string();
    assert!(next.contains("before everything was delivered"), "{next}");

    // It stays dead over a restart, and the tombstone stays.
    let hospital = hospital.restart(ClockSource::Given(clock)).await;
    assert!(hospital.gateway.pipeline.import(id).is_none());
    assert_listed(&hospital, id, "Expired").await;
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_dies_after_its_grace() {
    let (clock, source) = clock_at(some_moment());
    let hospital = Hospital::start_with(SLICES, source, |text| {
        text + "\n[retention]\nlimit = \"100h\"\nafter-delivery = \"6h\"\n"
    })
    .await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    hospital.closed(id).await;
    let (before, blobs) = (tempfile::tempdir().unwrap(), blobs(&hospital, id));
    copy_folder(&hospital.data_dir(), before.path());
    clock.advance(6 * HOUR - Duration::from_secs(1));
    hospital.turns().await;
    assert!(hospital.gateway.pipeline.import(id).is_some());
    clock.advance(Duration::from_secs(1));
    let stone = hospital.buried(id).await;
    assert_eq!((stone.end, stone.counts.delivered), (End::Expired, u64::from(SLICES)));
    hospital.turns().await;
    assert!(hospital.gateway.pipeline.snapshot().alarms.is_empty());
    assert_unreadable(&hospital, id, before.path(), &blobs).await;
    assert_listed(&hospital, id, "Expired").await;
    assert_eq!(hospital.world.pacs.received().len(), usize::from(SLICES) + 1);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_erase_at_once() {
    let (hospital, id) = undecided(ClockSource::System).await;
    let (before, blobs) = (tempfile::tempdir().unwrap(), blobs(&hospital, id));
    copy_folder(&hospital.data_dir(), before.path());
    let path = format!("/api/v1/imports/{id}");
    let _: Value = hospital.control.delete(&path).await.unwrap();
    // Done when it is answered, not some time later.
    assert_unreadable(&hospital, id, before.path(), &blobs).await;
    assert_listed(&hospital, id, "Erased").await;
    assert!(
        hospital.control.delete::<Value>(&path).await.is_err(),
        "there is nothing to erase any more"
    );
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_stops_what_is_under_way() {
    let hospital = Hospital::start(20).await;
    hospital.world.pacs.set_fault(lotse::sim::pacs::Fault::Late { millis: 300 });
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    hospital
        .wait(id, "the first deliveries", |import| {
            import.studies.iter().any(|s| s.work().is_some_and(|w| w.deliveries[0].delivered() > 0))
        })
        .await;
    let _: Value = hospital.control.delete(&format!("/api/v1/imports/{id}")).await.unwrap();
    assert_eq!(hospital.buried(id).await.end, End::Erased);
    assert!(keys_of(&hospital.data_dir()).is_empty());
    hospital.turns().await;
    let sent = hospital.world.pacs.received().len();
    assert!(sent < 20, "{sent}");
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_neither_kills_nor_keeps() {
    let start = some_moment();
    let (hospital, id) = undecided(ClockSource::Given(Clock::simulated(start))).await;
    let week = i64::try_from((200 * HOUR).as_millis()).unwrap();

    let jumped = Moment { wall_ms: start.wall_ms + week, ..start };
    let hospital = hospital.restart(ClockSource::Given(Clock::simulated(jumped))).await;
    hospital.turns().await;
    assert!(hospital.gateway.pipeline.import(id).is_some(), "the wall clock alone kills nothing");

    // Back by as much, while the week passes in running time.
    let passed = u64::try_from((168 * HOUR).as_millis()).unwrap();
    let held = Moment { wall_ms: start.wall_ms - week, running_ms: start.running_ms + passed };
    let hospital = hospital.restart(ClockSource::Given(Clock::simulated(held))).await;
    assert_eq!(hospital.buried(id).await.end, End::Expired, "the wall clock alone keeps nothing");
    hospital.stop().await;
}

/// How a death can be cut short: the key is the first to go, then the packs, then the records.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Overwritten,
    PacksLeft,
    RecordsLeft,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_that_a_kill_cut_short_is_finished_at_the_next_start() {
    for cut in [Cut::Overwritten, Cut::PacksLeft, Cut::RecordsLeft] {
        let (hospital, id) = undecided(ClockSource::System).await;
        let data = hospital.data_dir();
        let Hospital { world, gateway, file, control } = hospital;
        gateway.stop().await.unwrap();
        for path in keys_of(&data) {
            if matches!(cut, Cut::Overwritten) {
                let length = usize::try_from(path.metadata().unwrap().len()).unwrap();
                let mut noise = vec![0x5a; length];
                noise[..8].copy_from_slice(b"LOTSEGON");
                std::fs::write(path, noise).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        if matches!(cut, Cut::RecordsLeft) {
            std::fs::remove_dir_all(data.join("spool").join(id.to_string())).unwrap();
        }
        let gateway = crate::hospital::open(&file, ClockSource::System).await;
        let hospital = Hospital { world, gateway, file, control };
        let stones = hospital.gateway.pipeline.tombstones();
        assert!(stones.iter().any(|stone| stone.id == id), "{cut:?}: no tombstone");
        assert!(!data.join("spool").join(id.to_string()).exists(), "{cut:?}: packs are left");
        let alarms = hospital.gateway.pipeline.snapshot().alarms;
        // Nobody can tell whether all of it had been delivered.
        let told = format!("{alarms:?}");
        let this = format!("cut off while it destroyed import {id}");
        assert!(alarms.len() == 1 && told.contains(&this), "{cut:?}: {told}");
        assert!(keys_of(&data).is_empty());
        hospital.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_key_is_damaged_can_be_erased_and_dies_in_time() {
    for erased in [true, false] {
        let start = some_moment();
        let (hospital, id) = undecided(ClockSource::Given(Clock::simulated(start))).await;
        let data = hospital.data_dir();
        let Hospital { world, gateway, file, control } = hospital;
        gateway.stop().await.unwrap();
        for path in keys_of(&data) {
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
        let (clock, source) = clock_at(start);
        let gateway = crate::hospital::open(&file, source).await;
        let hospital = Hospital { world, gateway, file, control };
        let alarms = hospital.gateway.pipeline.snapshot().alarms;
        assert!(alarms.iter().any(|alarm| alarm.contains(&id.to_string())), "{alarms:?}");
        if erased {
            hospital.gateway.pipeline.erase(id, crate::hospital::actor()).await.unwrap();
            assert_eq!(hospital.buried(id).await.end, End::Erased);
        } else {
            clock.advance(168 * HOUR);
            assert_eq!(hospital.buried(id).await.end, End::Expired);
        }
        assert!(!data.join("spool").join(id.to_string()).exists());
        assert!(keys_of(&data).iter().all(|file| !is_named(file, id)));
        hospital.stop().await;
    }
}
