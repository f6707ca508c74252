//! Orthanc as the archive: it reports on an association of its own.

use crate::support::{Setup, eventually, free_port, peers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orthanc_commits_on_an_association_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = folder.path().join("kinds");
    peers::run_python("kinds.py", &[kinds.to_str().unwrap()]).await.ok();
    let object = kinds.join("kinds/ct.dcm").display().to_string();
    // Orthanc has to know where to report.
    let port = free_port();
    let orthanc =
        peers::Orthanc::start_knowing(&folder.path().join("orthanc"), &[("LOTSE", port)]).await;
    let setup = Setup::new()
        .peer("pacs", "PACS", orthanc.dicom, &[])
        .destination_peer_with("pacs", "commitment = \"require\"")
        .listen(port);
    let daemon = setup.start().await;
    let taken = daemon.cli(&["import", &object, "--json"]).await;
    let taken: serde_json::Value = serde_json::from_str(&taken.stdout).unwrap();
    let id = taken["id"].as_str().unwrap().to_owned();
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let choice = serde_json::json!({"noOrder": {"patientId": "4711007", "name": "Müßig^Jürgen",
        "birthDate": "1956-11-05", "sex": "M"}, "reason": "by name"});
    let path = format!("/api/v1/imports/{id}/studies/{study}/decision");
    let (status, body) = daemon.api.post(&path, &choice).await;
    assert_eq!(status, 200, "{body}");
    let closed = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(closed["studies"][0]["deliveries"][0]["assurance"], "committed", "{closed}");
    eventually("the object in Orthanc", || async {
        (orthanc.get("/instances").await.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
}
