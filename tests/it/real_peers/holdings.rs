//! An archive that holds a study before it comes: for somebody else, or for us.

use serde_json::{Value, json};

use super::super::support::{Daemon, Setup, eventually, peers, run};

/// Orthanc with the foreign object, and a gateway that delivers to it; the object as a path.
async fn archive(folder: &std::path::Path) -> (peers::Orthanc, Daemon, String) {
    let orthanc = peers::Orthanc::start(&folder.join("orthanc")).await;
    let kinds = folder.join("kinds");
    peers::run_python("kinds.py", &[kinds.to_str().unwrap()]).await.ok();
    let object = kinds.join("kinds/ct.dcm").display().to_string();
    let port = orthanc.dicom.to_string();
    let sent = ["-aec", "PACS", "127.0.0.1", &port, &object];
    run(&mut peers::dcmtk("storescu", &sent), "").await.ok();
    let setup = Setup::new().peer("pacs", "PACS", orthanc.dicom, &[]).destination_peer("pacs");
    (orthanc, setup.start().await, object)
}

async fn decide(daemon: &Daemon, id: &str, patient: &str, reason: &str) {
    let import = daemon.api.import(id).await;
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let choice = json!({"noOrder": {"patientId": patient, "name": "Müßig^Jürgen", "birthDate": "1956-11-05",
                        "sex": "M"}, "reason": reason});
    let path = format!("/api/v1/imports/{id}/studies/{study}/decision");
    let (status, body) = daemon.api.post(&path, &choice).await;
    assert_eq!(status, 200, "{body}");
}

async fn import(daemon: &Daemon, object: &str) -> String {
    let taken = daemon.cli(&["import", object, "--json"]).await;
    let taken: Value = serde_json::from_str(&taken.stdout).unwrap();
    let id = taken["id"].as_str().unwrap().to_owned();
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_the_archive_holds_for_another_patient_waits_for_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let (orthanc, daemon, object) = archive(folder.path()).await;
    let id = import(&daemon, &object).await;
    decide(&daemon, &id, "4711007", "by name").await;
    let held = daemon.api.until_studies(&id, "Quarantined").await;
    let sentence = held["studies"][0]["nextStep"].as_str().unwrap();
    assert!(sentence.contains("holds this study for another patient"), "{sentence}");
    assert_eq!(orthanc.get("/instances").await.as_array().unwrap().len(), 1);

    // A retry asks again, and hears the same.
    let (status, _) = daemon.api.post(&format!("/api/v1/imports/{id}/retry"), &json!({})).await;
    assert_eq!(status, 200);
    daemon.api.until_studies(&id, "Quarantined").await;

    // A third patient is as wrong: what was said of the first is not overridden for this one.
    decide(&daemon, &id, "4711008", "a slip").await;
    daemon.api.until_studies(&id, "Quarantined").await;
    assert_eq!(orthanc.get("/instances").await.as_array().unwrap().len(), 1);

    // The patient that the archive knows it under is the right one after all.
    decide(&daemon, &id, "X77-123", "the archive is right").await;
    let closed = daemon.api.until_state(&id, "Closed").await;
    let decision = &closed["studies"][0]["decision"];
    assert!(decision["overridden"].as_array().is_none_or(Vec::is_empty), "{decision}");
    let patients = orthanc.get("/patients?expand").await;
    assert_eq!(patients.as_array().unwrap().len(), 1, "{patients}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_may_decide_against_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let (orthanc, daemon, object) = archive(folder.path()).await;
    let id = import(&daemon, &object).await;
    decide(&daemon, &id, "4711007", "by name").await;
    daemon.api.until_studies(&id, "Quarantined").await;
    decide(&daemon, &id, "4711007", "the archive is wrong and will be corrected").await;
    daemon.api.until_state(&id, "Closed").await;
    eventually("both patients in the archive", || async {
        (orthanc.get("/patients").await.as_array().unwrap().len() == 2).then_some(())
    })
    .await;
}
