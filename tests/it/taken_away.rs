//! Destinations that a reload takes out of the configuration.

use lotse::gateway::{ClockSource, Config, Environment};
use lotse::import::{DestinationName, Import, ImportId, StudyState};
use lotse::sim::pacs::{Fault, Pacs};
use serde_json::{Value, json};

use crate::hospital::{Answered, Hospital, Order, actor, request};

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
