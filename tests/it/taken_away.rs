//! Destinations that a reload takes out of the configuration, and a retry that means some of them.

use lotse::gateway::{ClockSource, Config, Environment};
use lotse::import::{DestinationName, Import, ImportId, StudyState};
use lotse::sim::pacs::{Fault, Pacs};
use serde_json::{Value, json};

use crate::hospital::{Answered, Hospital, Order, actor, request, until};

const SLICES: u16 = 2;

/// A second destination, and its section.
fn archive(archive: &Pacs, more: &str) -> String {
    format!(
        "\n[peers.archive]\nae-title = \"ARCHIVE\"\naddress = \"{}\"\n\
         [destinations.archive]\npeer = \"archive\"\n{more}\n",
        archive.address()
    )
}

async fn reload(hospital: &mut Hospital, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(&hospital.file).unwrap();
    std::fs::write(&hospital.file, change(text)).unwrap();
    let config = Config::load(Some(&hospital.file), &Environment::default()).unwrap();
    hospital.gateway.reload(config).await.unwrap();
}

async fn post(hospital: &Hospital, path: &str, body: &Value) -> Result<Value, String> {
    hospital.control.post_json(path, body).await.map_err(|error| error.to_string())
}

/// The sentence with which a study waits for a person.
async fn held(hospital: &Hospital, id: ImportId) -> String {
    let sentence = |import: &Import| match &import.studies.first()?.state {
        StudyState::Quarantined { sentence, .. } => Some(sentence.clone()),
        _ => None,
    };
    let import = hospital.wait(id, "Quarantined", |import| sentence(import).is_some()).await;
    sentence(&import).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_was_never_sent_is_not_taken_for_one_that_was() {
    let other = Pacs::start(Fault::None, None).await.unwrap();
    let more = archive(&other, "");
    let mut hospital = Hospital::start_with(SLICES, ClockSource::System, |text| text + &more).await;
    hospital.world.pacs.set_fault(Fault::Congested);
    let mut wanted = request(&hospital.world, Answered::Yes, Order::Named);
    wanted.destination = Some(DestinationName("pacs".into()));
    let id = hospital.gateway.pipeline.admit(wanted, actor()).await.unwrap();
    let tried = |import: &Import| {
        let work = import.studies.first().and_then(|study| study.work());
        work.is_some_and(|work| work.deliveries[0].attempts > 0)
    };
    hospital.wait(id, "a first attempt", tried).await;
    reload(&mut hospital, |text| text.replace("[destinations.pacs]\npeer = \"pacs\"\n", "")).await;
    let sentence = held(&hospital, id).await;
    assert!(sentence.contains("pacs is not configured any more"), "{sentence}");
    let import = hospital.import(id);
    let study = &import.studies[0];
    assert!(import.may_decide(study), "nothing of it was sent");
    let path = format!("/api/v1/imports/{id}/studies/{}/decision", study.uid);
    post(&hospital, &path, &json!({"reject": true, "reason": "no PACS"})).await.unwrap();
    let shown = hospital.show(id).await;
    let next = shown["studies"][0]["nextStep"].as_str().unwrap();
    assert!(next.contains("it is not sent"), "{next}");
    hospital.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_destination_that_is_taken_away_keeps_no_study() {
    let other = Pacs::start(Fault::None, None).await.unwrap();
    let more = archive(&other, "");
    let mut hospital = Hospital::start_with(SLICES, ClockSource::System, |text| text + &more).await;
    let path = |word: &str| format!("/api/v1/destinations/archive/{word}");
    post(&hospital, &path("pause"), &json!({})).await.unwrap();
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    until("the study to wait", async || {
        let status: Value = hospital.control.get_json("/status").await.unwrap();
        let health = &status["destinations"]["archive"];
        (health["state"] == "paused" && health["waitingStudies"] == 1).then_some(())
    })
    .await;
    reload(&mut hospital, |text| text.replace(&more, "")).await;
    let sentence = held(&hospital, id).await;
    assert!(sentence.contains("archive is not configured any more"), "{sentence}");

    let refused = post(&hospital, &path("pause"), &json!({})).await.unwrap_err();
    assert!(refused.contains("there is no destination"), "{refused}");
    post(&hospital, &path("resume"), &json!({})).await.unwrap();
    let refused = post(&hospital, &path("resume"), &json!({})).await.unwrap_err();
    assert!(refused.contains("there is no destination"), "it goes on already: {refused}");

    reload(&mut hospital, |text| text + &more).await;
    post(&hospital, &format!("/api/v1/imports/{id}/retry"), &json!({})).await.unwrap();
    let import = hospital.closed(id).await;
    assert_eq!(import.counts().delivered, u64::from(SLICES));
    for pacs in [&hospital.world.pacs, &other] {
        assert!(pacs.received().values().all(|object| object.count == 1), "nothing twice");
    }
    hospital.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_wakes_the_destinations_that_the_import_waits_for() {
    let other = Pacs::start(Fault::Congested, None).await.unwrap();
    let more = archive(&other, "retry = \"every 30m\"");
    let hospital = Hospital::start_with(SLICES, ClockSource::System, |text| text + &more).await;
    let retry = async |id: ImportId| {
        post(&hospital, &format!("/api/v1/imports/{id}/retry"), &json!({})).await
    };
    let archive = async || {
        let status: Value = hospital.control.get_json("/status").await.unwrap();
        status["destinations"]["archive"].clone()
    };
    hospital.admit(Answered::Yes, Order::Named).await;
    until("a rest", async || (archive().await["state"] == "resting").then_some(())).await;
    let second = hospital.admit(Answered::Yes, Order::Named).await;
    until("the second to wait", async || (archive().await["waitingStudies"] == 1).then_some(()))
        .await;
    other.set_fault(Fault::None);

    assert!(retry(ImportId::new()).await.is_err(), "nobody knows it");
    let mut elsewhere = request(&hospital.world, Answered::No, Order::Named);
    elsewhere.destination = Some(DestinationName("pacs".into()));
    let elsewhere = hospital.gateway.pipeline.admit(elsewhere, actor()).await.unwrap();
    hospital.wait(elsewhere, "Asking", |import| import.state.name() == "Asking").await;
    assert!(retry(elsewhere).await.is_err(), "it waits for an answer");
    assert_eq!(archive().await["state"], "resting", "it was not meant");

    retry(second).await.unwrap();
    hospital.closed(second).await;
    assert!(other.received().values().all(|object| object.count == 1), "sent once");
    hospital.stop().await;
    other.stop().await;
}
