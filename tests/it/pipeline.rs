//! The ways of an import between admission and end, against simulators that misbehave.

use std::time::Duration;

use lotse::import::{End, State, StudyState};
use lotse::matching::{Authority, Target};
use lotse::sim::sample::Sample;
use lotse::sim::world::World;
use lotse::sim::{pacs, portal, ris};
use serde_json::{Value, json};

use crate::hospital::{Answered, Hospital, Order, actor, files_below, keys_of, until};
use crate::support::Setup;

const SLICES: u16 = 9;

/// Everything of the sample is in the PACS, each instance once, under the local patient.
fn assert_delivered(hospital: &Hospital, times: u32) {
    let received = hospital.world.pacs.received();
    assert_eq!(received.len(), usize::from(hospital.world.sample.slices()) + 1);
    let item = hospital.world.sample.item();
    for (uid, object) in received {
        assert_eq!(object.count, times, "{uid}");
        let header = object.header.expect("a readable header");
        let text =
            |group, element| header.text(lotse::dicom::Tag(group, element)).unwrap_or_default();
        assert_eq!(text(0x0010, 0x0020), item.patient.id.clone().unwrap().id);
        assert_eq!(text(0x0008, 0x0050), item.accession_number.clone().unwrap().number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_a_person_and_a_wrong_answer_is_asked_again() {
    let hospital = Hospital::start(SLICES).await;
    let id = hospital.admit(Answered::No, Order::Named).await;
    let asking = |import: &lotse::import::Import| matches!(import.state, State::Asking { .. });
    hospital.wait(id, "Asking", asking).await;
    let shown = hospital.show(id).await;
    assert_eq!(shown["questions"][0]["type"], "PAT_BIRTH_DATE");

    let path = format!("/api/v1/imports/{id}/answers");
    let wrong = json!({"answers": {"PAT_BIRTH_DATE": "1964-08-13"}});
    let _: Value = hospital.control.post_json(&path, &wrong).await.unwrap();
    hospital
        .wait(id, "Asking with a note", |import| {
            matches!(&import.state, State::Asking { note: Some(_), .. })
        })
        .await;

    let right = json!({"answers": {"PAT_BIRTH_DATE": hospital.world.sample.birth_date()}});
    let _: Value = hospital.control.post_json(&path, &right).await.unwrap();
    let import = hospital.closed(id).await;
    assert_eq!(import.counts().delivered, u64::from(SLICES));
    assert_delivered(&hospital, 1);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_clear_waits_for_a_decision() {
    let hospital = Hospital::start(SLICES).await;
    let id = hospital.admit(Answered::Yes, Order::Open).await;
    let waiting = |import: &lotse::import::Import| {
        import.studies.iter().any(|s| matches!(s.state, StudyState::AwaitingDecision { .. }))
    };
    hospital.wait(id, "AwaitingDecision", waiting).await;
    assert!(hospital.world.pacs.received().is_empty());
    let shown = hospital.show(id).await;
    let study = &shown["studies"][0];
    let uid = study["studyInstanceUid"].as_str().unwrap();
    let right = hospital.world.sample.item().item_id();
    let candidates = study["candidates"].as_array().unwrap();
    assert!(!candidates.is_empty(), "{shown}");
    assert_eq!(candidates[0]["itemId"], json!(right), "the best candidate is the right one");

    let path = format!("/api/v1/imports/{id}/studies/{uid}/decision");
    let unreasoned = json!({"item": right, "reason": " "});
    let refused = hospital.control.post_json::<_, Value>(&path, &unreasoned).await;
    assert!(refused.is_err());
    let decision = json!({"item": right, "reason": "asked the patient"});
    let _: Value = hospital.control.post_json(&path, &decision).await.unwrap();
    let import = hospital.closed(id).await;
    let by = &import.studies[0].work().unwrap().decision.authority;
    assert!(matches!(by, Authority::Person { .. }));
    assert_delivered(&hospital, 1);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worklist_that_cannot_be_asked_is_never_no_match() {
    let hospital = Hospital::start(SLICES).await;
    hospital.world.ris.set_fault(ris::Fault::RefuseAssociation);
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let waits = |least: u32| {
        move |import: &lotse::import::Import| {
            import.studies.iter().any(|study| {
                matches!(study.state, StudyState::AwaitingWorklist { attempts, due: Some(_), .. } if attempts >= least)
            })
        }
    };
    hospital.wait(id, "AwaitingWorklist", waits(1)).await;
    let shown = hospital.show(id).await;
    assert_eq!(shown["studies"][0]["state"], "AwaitingWorklist");
    // An answer that breaks off is none either.
    hospital.world.ris.set_fault(ris::Fault::AbortAfter(1));
    hospital.wait(id, "another attempt", waits(3)).await;
    assert!(hospital.world.pacs.received().is_empty());

    hospital.world.ris.set_fault(ris::Fault::None);
    hospital.closed(id).await;
    assert_delivered(&hospital, 1);
    hospital.stop().await;
}

/// Of two sources the one that holds the order is down: what it told before may be wrong by now.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_only_kept_is_not_filed_under_beside_a_source_that_answers() {
    let world = World::start(SLICES).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let daemon = Setup::new()
        .peer("ris", "RIS", world.ris.address().port(), &[])
        .peer("pacs", "PACS", world.pacs.address().port(), &[])
        .worklist_peer("ris")
        .worklist_folder(folder.path())
        .destination_peer("pacs")
        .retry("200ms", "400ms")
        .start()
        .await;
    let kept = async || {
        let listed = daemon.api.get("/api/v1/worklist").await;
        (!listed["items"].as_array()?.is_empty()).then_some(())
    };
    until("the worklist", kept).await;
    world.ris.set_fault(ris::Fault::RefuseAssociation);
    let item = world.sample.item();
    let id = item.patient.id.unwrap();
    let request = json!({
        "patient": {"patientId": id.id, "issuer": id.issuer},
        "accessionNumber": item.accession_number.unwrap().number,
    });
    let import = daemon.api.upload("cd.zip", world.sample.zip().unwrap(), &request).await;
    daemon.api.until_studies(&import, "AwaitingWorklist").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let shown = daemon.api.import(&import).await;
    assert_eq!(shown["studies"][0]["state"], "AwaitingWorklist", "{shown}");
    assert!(world.pacs.received().is_empty());
    world.ris.set_fault(ris::Fault::None);
    daemon.api.until_state(&import, "Closed").await;
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacs_in_trouble_loses_nothing() {
    let hospital = Hospital::start(24).await;
    let pacs = &hospital.world.pacs;
    pacs.set_fault(pacs::Fault::RefuseAssociation);
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let delivery_waits = |import: &lotse::import::Import| {
        import
            .studies
            .iter()
            .filter_map(|s| s.work())
            .flat_map(|w| &w.deliveries)
            .any(|d| d.due.is_some())
    };
    hospital.wait(id, "a delivery that waits", delivery_waits).await;
    assert_eq!(pacs.requests(), 0);

    for fault in [
        pacs::Fault::OutOfResources { every: 3 },
        pacs::Fault::AbortWithin { bytes: 200_000 },
        pacs::Fault::AbortBeforeResponse,
        pacs::Fault::Congested,
    ] {
        let attempts = |import: &lotse::import::Import| {
            let work = import.studies.iter().filter_map(|s| s.work());
            work.flat_map(|w| &w.deliveries).map(|d| d.attempts).sum::<u32>()
        };
        let before = attempts(&hospital.import(id));
        pacs.set_fault(fault);
        // Two more attempts: the first may have begun under the fault before.
        hospital
            .wait(id, "an attempt under the fault", |import| {
                attempts(import) >= before + 2 || matches!(import.state, State::Closed { .. })
            })
            .await;
    }
    let import = hospital.import(id);
    assert!(!matches!(import.state, State::Closed { .. }), "nothing can be whole yet");
    assert_eq!(import.counts().quarantined, 0, "passing faults need no person");

    pacs.set_fault(pacs::Fault::None);
    let import = hospital.closed(id).await;
    let counts = import.counts();
    assert_eq!((counts.received, counts.delivered), (24, 24));
    assert_eq!((counts.created, counts.created_delivered), (1, 1));
    assert_eq!(pacs.received().len(), 25);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_needs_a_person_and_retry_sends_only_the_rest() {
    let hospital = Hospital::start(SLICES).await;
    let pacs = &hospital.world.pacs;
    pacs.set_fault(pacs::Fault::Answer(lotse::dimse::Status(0xA900)));
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let held = |import: &lotse::import::Import| {
        import
            .studies
            .iter()
            .any(|s| matches!(s.state, StudyState::Quarantined { work: Some(_), .. }))
    };
    let import = hospital.wait(id, "Quarantined", held).await;
    assert_eq!(import.counts().quarantined, u64::from(SLICES));
    pacs.set_fault(pacs::Fault::None);
    hospital.gateway.pipeline.retry(id, actor()).await.unwrap();
    hospital.closed(id).await;
    assert_delivered(&hospital, 1);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_download_ends_it_and_its_key() {
    let hospital = Hospital::start(30).await;
    let slow = portal::Faults { slow: Some(Duration::from_millis(100)), ..Default::default() };
    hospital.world.portal.misbehave(slow);
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    until("bytes", async || {
        let progress = hospital.gateway.pipeline.progress(id)?;
        (progress.stage == "Downloading" && progress.bytes > 100_000).then_some(())
    })
    .await;
    assert_eq!(keys_of(&hospital.data_dir()).len(), 1);
    let path = format!("/api/v1/imports/{id}/cancel");
    let _: Value = hospital.control.post_json(&path, &json!({})).await.unwrap();
    let stone = hospital.buried(id).await;
    assert_eq!(stone.end, End::Cancelled);
    assert_eq!(keys_of(&hospital.data_dir()), Vec::<std::path::PathBuf>::new());
    let spool = hospital.data_dir().join("spool");
    until("an empty spool", async || {
        let left = files_below(&spool);
        left.iter().all(|file| !file.to_string_lossy().contains(&id.to_string())).then_some(())
    })
    .await;
    assert!(hospital.world.pacs.received().is_empty());
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_import_goes_on_after_retry() {
    let hospital = Hospital::start(SLICES).await;
    let gone = portal::Faults { link: portal::AtLink::Status(404), ..Default::default() };
    hospital.world.portal.misbehave(gone);
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    hospital.wait(id, "Failed", |import| matches!(import.state, State::Failed { .. })).await;
    let shown = hospital.show(id).await;
    assert!(!shown["nextStep"].as_str().unwrap().is_empty());
    hospital.world.portal.misbehave(portal::Faults::default());
    let path = format!("/api/v1/imports/{id}/retry");
    let _: Value = hospital.control.post_json(&path, &json!({})).await.unwrap();
    hospital.closed(id).await;
    assert_delivered(&hospital, 1);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_off_is_fetched_again() {
    let hospital = Hospital::start(SLICES).await;
    hospital.world.portal.misbehave(portal::Faults {
        cut: portal::Cut::Connection,
        cut_times: Some(2),
        preparing: 1,
        preparing_seconds: Some(1),
        ..Default::default()
    });
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    hospital.closed(id).await;
    assert_delivered(&hospital, 1);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_import_of_a_study_follows_the_decision_of_the_first() {
    let hospital = Hospital::start(SLICES).await;
    let first = hospital.admit(Answered::Yes, Order::Named).await;
    hospital.closed(first).await;
    // By another way, without a word of patient or order.
    let zip = Sample::new(SLICES).zip().unwrap();
    let length = u64::try_from(zip.len()).unwrap();
    let file = std::io::Cursor::new(zip);
    let accepted: Value = hospital
        .control
        .post_stream("/api/v1/imports", &json!({}), "cd.zip", file, Some(length))
        .await
        .unwrap();
    let second = accepted["id"].as_str().unwrap().parse().unwrap();
    let import = hospital.closed(second).await;
    let decision = &import.studies[0].work().unwrap().decision;
    assert!(matches!(decision.authority, Authority::Earlier));
    let Target::Order(item) = &decision.target else { panic!("an order") };
    assert_eq!(item.item_id(), hospital.world.sample.item().item_id());
    let times: Vec<_> =
        hospital.world.pacs.received().into_values().map(|object| object.count).collect();
    assert!(times.iter().all(|count| (1..=2).contains(count)), "{times:?}");
    assert_eq!(import.counts().delivered, u64::from(SLICES));
    hospital.stop().await;
}
