//! The gateway asked to commit by a modality (pynetdicom).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::peers::{self, python};
use crate::support::{Daemon, Process, Setup, Site, free_port, run};

/// A gateway with a folder as destination, a modality that may store and ask, one object there, and its UID.
async fn with_object() -> (Daemon, u16, String, String) {
    let port = free_port();
    let setup = Setup::new().peer("ct1", "CT1", port, &["store", "commitment"]);
    let kinds = setup.folder().join("kinds");
    peers::run_python("kinds.py", &[kinds.to_str().unwrap()]).await.ok();
    let object = kinds.join("kinds/ct.dcm").display().to_string();
    let daemon = setup.start().await;
    let gateway = daemon.dicom.port().to_string();
    let sent = ["-aet", "CT1", "-aec", "LOTSE", "127.0.0.1", &gateway, &object];
    run(&mut peers::dcmtk("storescu", &sent), "").await.ok();
    let id = daemon.api.until_from("ct1").await;
    let told = run(&mut peers::dcmtk("dcmdump", &["+P", "SOPInstanceUID", &object]), "").await.ok();
    let uid = told.split(['[', ']']).nth(1).unwrap().to_owned();
    (daemon, port, id, uid)
}

async fn decide(daemon: &Daemon, id: &str) {
    let import = daemon.api.until_studies(id, "AwaitingDecision").await;
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let choice = json!({"noOrder": {"patientId": "4711007", "name": "Müßig^Jürgen",
        "birthDate": "1956-11-05", "sex": "M"}, "reason": "by name"});
    let path = format!("/api/v1/imports/{id}/studies/{study}/decision");
    let (status, body): (u16, Value) = daemon.api.post(&path, &choice).await;
    assert_eq!(status, 200, "{body}");
}

fn ask(daemon: &Daemon, port: u16, wait: &str, transaction: &str, uids: &[&str]) -> Process {
    let (gateway, port) = (daemon.dicom.port().to_string(), port.to_string());
    let mut arguments = vec![gateway.as_str(), port.as_str(), wait, transaction];
    arguments.extend(uids);
    Process::start(&mut python("commitment_scu.py", &arguments))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_or_unknown_is_reported_on_the_association_of_the_request() {
    let (daemon, port, id, uid) = with_object().await;
    decide(&daemon, &id).await;
    daemon.api.until_state(&id, "Closed").await;
    let mut modality = ask(&daemon, port, "60", "2.25.11", &[&uid]);
    assert_eq!(modality.says("asked").await, "asked 0000");
    assert_eq!(modality.says("report").await, "report same 1 1 0 -");
    drop(modality);
    let mut modality = ask(&daemon, port, "60", "2.25.12", &[&uid, "1.2.3.4711"]);
    assert_eq!(modality.says("report").await, "report same 2 1 1 0112");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_is_reported_when_it_is_there_and_after_a_restart_too() {
    let (daemon, port, id, uid) = with_object().await;
    let mut modality = ask(&daemon, port, "0.5", "2.25.21", &[&uid]);
    assert_eq!(modality.says("asked").await, "asked 0000");
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    let site: Arc<Site> = daemon.kill().await;
    let daemon = site.start().await;
    assert!(!modality.log.text().contains("report"), "nothing is promised before it is there");
    decide(&daemon, &id).await;
    daemon.api.until_state(&id, "Closed").await;
    assert_eq!(modality.says("report").await, "report new 1 1 0 -");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_ask_is_told_so() {
    let port = free_port();
    let daemon = Setup::new().peer("ct1", "CT1", port, &["store"]).start().await;
    let mut modality = ask(&daemon, port, "1", "2.25.31", &["1.2.3"]);
    let said = modality.says("asked").await;
    assert_ne!(said, "asked 0000");
}
