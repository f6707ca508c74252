//! Keys that are away at a start: a disk that was not mounted is no order to destroy anything.

use std::fs;
use std::sync::Arc;

use lotse::sim::world::World;
use serde_json::json;

use super::{bring_back, bytes_below, setup, take_away};
use crate::support::{Daemon, Site};

/// A daemon that holds so many imports, all of them undecided.
async fn holding(world: &World, imports: usize) -> (Daemon, Vec<String>) {
    let site = setup(world, world.pacs.address().port()).write();
    let daemon = site.start().await;
    let mut ids = vec![];
    for _ in 0..imports {
        let id = daemon.api.upload("cd.zip", world.sample.zip().unwrap(), &json!({})).await;
        daemon.api.until_studies(&id, "AwaitingDecision").await;
        ids.push(id);
    }
    (daemon, ids)
}

fn bytes_of(site: &Site, id: &str) -> u64 {
    bytes_below(&site.data_dir().join("spool").join(id))
}

async fn alarms(daemon: &Daemon) -> String {
    daemon.api.get("/status").await["alarms"].to_string()
}

/// Takes the keys away, starts twice without them, and brings them back.
async fn away_and_back(imports: usize, take: impl Fn(&Arc<Site>)) {
    let world = World::start(3).await.unwrap();
    let (daemon, ids) = holding(&world, imports).await;
    let (_, site) = daemon.stop().await;
    take_away(&site, "keys");
    take(&site);
    let mut site = site;
    for start in ["first", "second"] {
        let daemon = site.start().await;
        let alarms = alarms(&daemon).await;
        let told = format!("the keys of {imports} imports are missing");
        assert!(alarms.contains(&told) && alarms.contains("mount it"), "{start}: {alarms}");
        assert!(ids.iter().all(|id| bytes_of(&site, id) > 0), "{start}: bytes are gone");
        assert_eq!(daemon.api.imports().await.len(), 0, "{start}: no tombstone, no import");
        site = daemon.stop().await.1;
    }
    bring_back(&site, "keys");
    let daemon = site.start().await;
    for id in &ids {
        let import = daemon.api.until_studies(id, "AwaitingDecision").await;
        assert_eq!(import["counts"]["received"], 3);
    }
    assert_eq!(alarms(&daemon).await, "[]");
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_keys_that_is_missing_destroys_nothing() {
    away_and_back(1, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_in_the_place_of_one_key_destroys_nothing() {
    away_and_back(1, |site| fs::create_dir(site.data_dir().join("keys")).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_folder_in_the_place_of_one_key_destroys_nothing() {
    away_and_back(1, |site| {
        let keys = site.data_dir().join("keys");
        fs::create_dir(&keys).unwrap();
        fs::write(keys.join("lotse-keys"), "0123456789abcdef0123456789abcdef\n").unwrap();
    })
    .await;
}

/// The disk of the keys is away over a weekend without an import, and one comes before it is back.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_under_the_mount_point_outlives_the_mounting() {
    let world = World::start(3).await.unwrap();
    let site = setup(&world, world.pacs.address().port()).write();
    let (_, site) = site.start().await.stop().await;
    take_away(&site, "keys");
    let daemon = site.start().await;
    assert!(alarms(&daemon).await.contains("the folder of keys is not the one of the last start"));
    let id = daemon.api.upload("cd.zip", world.sample.zip().unwrap(), &json!({})).await;
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    let (_, mut site) = daemon.stop().await;
    let (keys, under) = (site.data_dir().join("keys"), site.folder().join("under"));
    fs::rename(&keys, &under).unwrap();
    fs::rename(site.folder().join("away"), &keys).unwrap();
    for start in ["first", "second"] {
        let daemon = site.start().await;
        assert!(alarms(&daemon).await.contains("the keys of 1 imports are missing"), "{start}");
        assert!(bytes_of(&site, &id) > 0, "{start}: bytes are gone");
        site = daemon.stop().await.1;
    }
    let key = format!("{id}.key");
    fs::rename(under.join(&key), keys.join(&key)).unwrap();
    let daemon = site.start().await;
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    let (_, site) = daemon.stop().await;
    let daemon = site.start().await;
    assert_eq!(alarms(&daemon).await, "[]");
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

/// As an administrator would who looks what is wrong, before the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_makes_no_folder_in_the_place_of_the_keys() {
    away_and_back(1, |site| {
        assert!(site.command(&["check"]).output().unwrap().status.success());
        assert!(!site.data_dir().join("keys").exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_in_the_place_of_several_keys_destroys_nothing() {
    away_and_back(2, |site| fs::create_dir(site.data_dir().join("keys")).unwrap()).await;
}

/// A journal from a backup tells of imports that have ended since: their keys and packs are gone.
#[tokio::test(flavor = "multi_thread")]
async fn imports_of_which_only_records_are_left_can_be_erased() {
    let world = World::start(3).await.unwrap();
    let (daemon, ids) = holding(&world, 2).await;
    let site = daemon.kill().await;
    for id in &ids {
        fs::remove_file(site.data_dir().join(format!("keys/{id}.key"))).unwrap();
        fs::remove_dir_all(site.data_dir().join("spool").join(id)).unwrap();
    }
    let daemon = site.start().await;
    let told = alarms(&daemon).await;
    assert!(told.contains("the keys of 2 imports are missing"), "{told}");
    assert!(ids.iter().all(|id| told.contains(id)), "{told}");
    daemon.cli(&["erase", &ids[0]]).await.ok();
    assert!(alarms(&daemon).await.contains(&ids[1]), "the other one still needs a person");
    daemon.cli(&["erase", &ids[1]]).await.ok();
    assert_eq!(alarms(&daemon).await, "[]");
    let (_, site) = daemon.stop().await;
    let daemon = site.start().await;
    assert_eq!(alarms(&daemon).await, "[]");
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

/// Without the key of the first of so many imports, killed, and started again: its bytes are gone, and that is told,
/// since nobody knows what became of its images.
async fn first_key_gone(imports: usize) -> (World, Daemon, Vec<String>) {
    let world = World::start(3).await.unwrap();
    let (daemon, ids) = holding(&world, imports).await;
    let site = daemon.kill().await;
    fs::remove_file(site.data_dir().join(format!("keys/{}.key", ids[0]))).unwrap();
    let daemon = site.start().await;
    assert_eq!(bytes_of(&site, &ids[0]), 0);
    let alarms = alarms(&daemon).await;
    let told = format!("cut off while it destroyed import {}", ids[0]);
    assert!(alarms.contains(&told) && alarms.contains("fetch it again"), "{alarms}");
    (world, daemon, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_key_that_is_gone_is_a_death_cut_short() {
    let (world, daemon, _) = first_key_gone(1).await;
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_that_is_gone_among_others_is_a_death_cut_short() {
    let (world, daemon, ids) = first_key_gone(2).await;
    daemon.api.until_studies(&ids[1], "AwaitingDecision").await;
    assert!(!alarms(&daemon).await.contains(&ids[1]));
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}
