//! A spool that is away while what it holds is to be unpacked: nothing is lost, and nobody has to press anything.

use lotse::sim::world::World;
use reqwest::Method;
use serde_json::{Value, json};

use super::{bring_back, setup, take_away};
use crate::support::Daemon;

/// An upload that is acknowledged and not unpacked: the virus scanner that it waits for is not there.
async fn waiting(world: &World) -> (Daemon, String) {
    let site = setup(world, world.pacs.address().port()).retry("10m", "10m").write();
    let scanner = "\n[scan]\nclamd-socket = \"/nowhere/clamd.ctl\"\n";
    site.edit(|text| text + scanner);
    let daemon = site.start().await;
    let id = daemon.api.upload("cd.zip", world.sample.zip().unwrap(), &json!({})).await;
    until_told(&daemon, &id, "virus scanner").await;
    let (_, site) = daemon.stop().await;
    site.edit(|text| text.replace(scanner, ""));
    take_away(&site, "spool");
    let daemon = site.start().await;
    let import = until_told(&daemon, &id, "bring the spool folder back").await;
    assert_eq!(import["state"], "Received");
    let next = import["nextStep"].as_str().unwrap();
    assert!(next.ends_with("It is tried again by itself."), "{next}");
    // It would lie below the folder when that is back.
    let sent = daemon.api.request(Method::POST, "/api/v1/imports");
    let sent = sent.header("Content-Type", "application/zip").body(world.sample.zip().unwrap());
    let answer = sent.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 507);
    assert!(answer.text().await.unwrap().contains("bring the spool folder back"));
    (daemon, id)
}

async fn until_told(daemon: &Daemon, id: &str, words: &str) -> Value {
    let told =
        |import: &Value| import["nextStep"].as_str().is_some_and(|next| next.contains(words));
    daemon.api.until(id, words, told).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_the_spool_brought_back_unpacks_what_waited() {
    let world = World::start(9).await.unwrap();
    let (daemon, id) = waiting(&world).await;
    let site = daemon.kill().await;
    bring_back(&site, "spool");
    // At once: the next attempt was minutes away.
    let daemon = site.start().await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], 9);
    daemon.api.upload("cd.zip", world.sample.zip().unwrap(), &json!({})).await;
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_unpacks_at_once_what_waited_for_the_spool() {
    let world = World::start(9).await.unwrap();
    let (daemon, id) = waiting(&world).await;
    bring_back(daemon.site(), "spool");
    daemon.cli(&["retry", &id]).await.ok();
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], 9);
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}
