//! Orders that a person names and that are no candidates of the study: they are held against it like the others.

use std::time::Duration;

use lotse::dicom::{BirthDate, Item, PatientId, PersonName, Sex};
use lotse::gateway::ClockSource;
use lotse::import::{Import, StudyState};
use lotse::sim::ris::{Fault, Ris};
use serde_json::{Value, json};

use crate::hospital::{Answered, Hospital, Order, clock_at, some_moment};

/// An order of somebody else altogether.
fn of_somebody_else(item: &Item) -> Item {
    let mut other = item.clone();
    other.patient.id = Some(PatientId { id: "0815".into(), issuer: None });
    other.patient.name = PersonName::new("Wieland^Otto");
    other.patient.birth_date = BirthDate::parse("19310207");
    other.patient.sex = Sex::Male;
    other.accession_number.as_mut().unwrap().number = "Z99".into();
    other.requested_procedure_id = Some("Z99".into());
    other.study_uid = None;
    // The sample's day is over, and a listing is of today.
    let today = jiff::Zoned::now().strftime("%Y%m%d").to_string();
    other.steps.iter_mut().for_each(|step| step.start_date = Some(today.clone()));
    other
}

/// A study that waits for a person, and where it is decided.
async fn waiting(hospital: &Hospital) -> (lotse::import::ImportId, String) {
    let id = hospital.admit(Answered::Yes, Order::Open).await;
    let waits = |import: &Import| {
        import.studies.iter().any(|s| matches!(s.state, StudyState::AwaitingDecision { .. }))
    };
    let import = hospital.wait(id, "AwaitingDecision", waits).await;
    (id, format!("/api/v1/imports/{id}/studies/{}/decision", import.studies[0].uid))
}

/// How the gateway names that order, once for each time that it is told.
async fn named(hospital: &Hospital) -> Vec<String> {
    let (listed, _) = hospital.gateway.pipeline.worklist(None, None).await.unwrap();
    let is_meant = |item: &&Item| item.accession_number.as_ref().is_some_and(|n| n.number == "Z99");
    listed.iter().filter(is_meant).map(Item::item_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_against_an_order_that_is_no_candidate_is_looked_at_and_kept() {
    let (clock, source) = clock_at(some_moment());
    let hospital = Hospital::start_with(1, source, |text| text).await;
    // It comes when the study waits already, and before that is matched anew.
    hospital.world.ris.set_items(vec![]);
    let (id, path) = waiting(&hospital).await;
    let item = hospital.world.sample.item();
    let mut other = of_somebody_else(&item);
    other.patient.name = item.patient.name;
    hospital.world.ris.set_items(vec![other]);
    clock.advance(Duration::from_secs(60));
    let names = named(&hospital).await;
    let [name] = names.as_slice() else { panic!("{names:?}") };

    let mut body = json!({"item": name, "confirmed": false, "reason": "told so"});
    let told = hospital.control.post_json::<_, Value>(&path, &body).await.unwrap_err().to_string();
    assert!(told.contains("look again at the order"), "{told}");
    for what in ["birth date", "sex"] {
        assert!(told.contains(what), "{what}: {told}");
    }
    assert!(!told.contains("1931"), "{told}");
    assert_eq!(hospital.show(id).await["studies"][0]["state"], "AwaitingDecision");

    body["confirmed"] = json!(true);
    let _: Value = hospital.control.post_json(&path, &body).await.unwrap();
    let import = hospital.closed(id).await;
    let decision = &import.studies[0].work().unwrap().decision;
    let overridden = decision.overridden.join("; ");
    for what in ["birth date", "sex"] {
        assert!(overridden.contains(what), "{what}: {overridden}");
    }
    assert!(!decision.evidence.is_empty());
    let number = decision.target.patient().id.as_ref().map(|id| id.id.as_str());
    assert_eq!(number, Some("0815"));
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_two_patients_is_refused_though_it_is_no_candidate() {
    let second = Ris::start(vec![], Fault::None).await.unwrap();
    let address = second.address();
    let hospital = Hospital::start_with(1, ClockSource::System, |text| {
        format!(
            "{text}\n[peers.second]\nae-title = \"SECOND\"\naddress = \"{address}\"\n\
             [[worklist.sources]]\npeer = \"second\"\n"
        )
    })
    .await;
    let item = hospital.world.sample.item();
    let one = of_somebody_else(&item);
    let mut other = one.clone();
    other.patient.birth_date = BirthDate::parse("19620930");
    hospital.world.ris.set_items(vec![item, one]);
    second.set_items(vec![other]);
    let (id, path) = waiting(&hospital).await;
    let names = named(&hospital).await;
    assert_eq!(names.len(), 2);
    assert_eq!(names[0], names[1], "told twice, under one name");
    let body = json!({"item": names[0], "confirmed": true, "reason": "told so"});
    let told = hospital.control.post_json::<_, Value>(&path, &body).await.unwrap_err().to_string();
    assert!(told.contains("with different patients"), "{told}");
    assert_eq!(hospital.show(id).await["studies"][0]["state"], "AwaitingDecision");
    hospital.stop().await;
    second.stop().await;
}
