//! Archives that never report, refuse, or are asked by nobody.

use super::*;
use crate::support::peers::run_python;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_asked_again_under_a_new_uid_and_then_a_person_is() {
    let archive = Archive::start("silent").await;
    let (hospital, clock) = hospital(&archive, "commitment-timeout = \"12h\"").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    for request in 1..=3 {
        until("a request that was taken", async || {
            let import = hospital.import(id);
            let taken = commitment(&import)
                .is_some_and(|c| c.asked.len() == request && c.asked.iter().all(|a| a.taken));
            if !taken {
                clock.advance(Duration::from_millis(50));
            }
            taken.then_some(())
        })
        .await;
        assert_eq!(hospital.import(id).studies[0].state.name(), "Confirming", "request {request}");
        clock.advance(HOUR * 12);
    }
    let held = |import: &Import| {
        import.studies.iter().any(|s| matches!(s.state, StudyState::Quarantined { .. }))
    };
    let import = moving(&hospital, &clock, id, "Quarantined", held).await;
    let StudyState::Quarantined { sentence, .. } = &import.studies[0].state else { panic!() };
    assert!(sentence.contains("pacs was asked 3 times"), "{sentence}");
    // What the archive says is read by a thread of its own.
    let three = async || Some(archive.transactions()).filter(|asked| asked.len() >= 3);
    let mut transactions = until("three requests", three).await;
    assert_eq!(transactions.len(), 3);
    transactions.sort_unstable();
    transactions.dedup();
    assert_eq!(transactions.len(), 3, "each has a UID of its own");
    assert!(archive.stored().values().all(|count| *count == 1), "nothing was sent twice");
    // The key does not wait for an archive: it dies at its limit.
    clock.advance(HOUR * (168 - 36));
    assert_eq!(hospital.buried(id).await.end, lotse::import::End::Expired);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_tried_again_with_a_new_uid() {
    let archive = Archive::start("refuse").await;
    let (hospital, clock) = hospital(&archive, "commitment = \"require\"").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let refused = |import: &Import| commitment(import).is_some_and(|c| c.refusals >= 2);
    let import = moving(&hospital, &clock, id, "two refusals", refused).await;
    let note = commitment(&import).unwrap().note.clone().unwrap();
    assert!(note.contains("refused the request for storage commitment"), "{note}");
    archive.write("mode", "later");
    let import = moving(&hospital, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Committed));
    let mut transactions = archive.transactions();
    transactions.sort_unstable();
    transactions.dedup();
    assert_eq!(transactions.len(), archive.transactions().len());
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_and_need_not_commit_is_believed_by_its_answers() {
    let archive = Archive::start("refuse").await;
    let (hospital, clock) = hospital(&archive, "").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let import = moving(&hospital, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Answered));
    let note = commitment(&import).unwrap().note.clone().unwrap();
    assert!(note.contains("refuses our requests"), "{note}");
    assert_eq!(archive.transactions().len(), 3);
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_on_what_was_never_asked_are_answered_and_change_nothing() {
    let archive = Archive::start("hold").await;
    let (hospital, clock) = hospital(&archive, "").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let is_asked = |import: &Import| commitment(import).is_some_and(|c| !c.asked.is_empty());
    let import = moving(&hospital, &clock, id, "a request", is_asked).await;
    let right = commitment(&import).unwrap().asked[0].transaction.to_string();
    let instance = import.instances.get(0).unwrap().sop_instance.to_string();
    let port = hospital.gateway.addresses.dicom[0].port().to_string();
    let report = async |calling: &str, transaction: &str| {
        let arguments = [port.as_str(), calling, transaction, instance.as_str()];
        run_python("commitment_report.py", &arguments).await.ok().trim().to_owned()
    };
    assert_eq!(report("PACS", "2.25.4711").await, "0110", "an unknown transaction");
    assert_eq!(report("RIS", &right).await, "rejected", "not this peer's to report");
    assert_eq!(report("STRANGER", &right).await, "rejected");
    let import = hospital.import(id);
    assert_eq!(commitment(&import).unwrap().committed.len(), 0);
    assert_eq!(import.studies[0].state.name(), "Confirming");
    archive.write("report", "");
    moving(&hospital, &clock, id, "Closed", is_closed).await;
    assert_eq!(report("PACS", &right).await, "0000", "its answer may have been lost");
    assert_eq!(report("PACS", "2.25.4711").await, "0110");
    hospital.stop().await;
}
