//! Peers that are unknown, refuse, are overloaded, or away: it is said what to do, and everything arrives
//! when they are back.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::peers::{
    Medium, Peer, compare, dcmtk, python, storescp, storescp_command, wlmscpfs_command, worklist,
};
use crate::support::{Daemon, Setup, free_port, run};

const ORDER: &str = "A2026-31415";

async fn upload(daemon: &Daemon, medium: &Medium) -> String {
    let request = json!({"accessionNumber": ORDER});
    daemon.api.upload("medium.zip", medium.zip(), &request).await
}

/// A gateway with the PACS at this port and a folder of orders; one study to import.
async fn gateway(pacs: u16) -> (Daemon, Medium) {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &["--studies", "2"]).await;
    worklist(&folder.join("orders"), &[]).await;
    let setup = setup.worklist_folder(&folder.join("orders")).destination_peer("pacs");
    (setup.peer("pacs", "PACS", pacs, &[]).start().await, medium)
}

/// Waits until a delivery says these words, and gives the import.
async fn until_said(daemon: &Daemon, id: &str, words: &[&str]) -> Value {
    let fits = |import: &Value| {
        let text = format!("{} {}", import["nextStep"], import["studies"]);
        words.iter().all(|word| text.contains(word))
    };
    daemon.api.until(id, &format!("{words:?} of a delivery"), fits).await
}

async fn arrives(daemon: &Daemon, id: &str, medium: &Medium, stored: &Path) {
    let import = daemon.api.until_state(id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], medium.images);
    compare(&medium.originals(), stored, &["--no-validation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_are_turned_away() {
    let setup = Setup::new().peer("station", "STATION", 9, &["echo"]).peer("mute", "MUTE", 9, &[]);
    let mut daemon = setup.start().await;
    let port = daemon.dicom.port().to_string();
    // source 1 (user): reason 3 calling AE title, 7 called AE title not recognised (PS3.8 9.3.4)
    let send = async |calling: &str, called: &str| {
        run(&mut python("send.py", &[&port, calling, called]), "").await
    };
    let stranger = send("STRANGER", "LOTSE").await;
    assert_eq!(stranger.code, 2, "{stranger:?}");
    assert!(stranger.stdout.contains("source 1 reason 3"), "{stranger:?}");
    daemon.says("add it under [peers]").await;
    let astray = send("STATION", "OTHER").await;
    assert_eq!(astray.code, 2, "{astray:?}");
    assert!(astray.stdout.contains("source 1 reason 7"), "{astray:?}");
    daemon.says("correct it at the peer").await;
    let mute = send("MUTE", "LOTSE").await;
    assert_eq!(mute.code, 2, "{mute:?}");
    daemon.says("see the key `may` of the peer").await;
    for (calling, called) in [("STRANGER", "LOTSE"), ("STATION", "OTHER")] {
        let echo = ["-aet", calling, "-aec", called, "127.0.0.1", &port];
        let ended = run(&mut dcmtk("echoscu", &echo), "").await;
        assert_ne!(ended.code, 0, "{ended:?}");
        assert!(ended.stderr.contains("Not Recognized"), "{ended:?}");
    }
    // One that may echo only cannot store.
    let medium = Medium::make(&daemon.site().folder().join("medium"), &["--studies", "1"]).await;
    let files = medium.files();
    let store =
        ["-aet", "STATION", "-aec", "LOTSE", "127.0.0.1", &port, files[0].to_str().unwrap()];
    assert_ne!(run(&mut dcmtk("storescu", &store), "").await.code, 0);
    assert!(daemon.api.imports().await.is_empty(), "nothing is begun for those turned away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacs_that_refuses_the_association() {
    let folder = tempfile::tempdir().unwrap();
    let pacs = storescp(folder.path(), &["--refuse"]).await;
    let port = pacs.port;
    let (daemon, medium) = gateway(port).await;
    let id = upload(&daemon, &medium).await;
    // While an attempt is under way the next step says that, so both are waited for.
    let words = ["rejected the association", "tried again by itself"];
    let import = until_said(&daemon, &id, &words).await;
    assert_eq!(import["counts"]["delivered"], 0);
    drop(pacs);
    let _pacs = Peer::start_on(port, storescp_command(folder.path(), &[])).await.unwrap();
    arrives(&daemon, &id, &medium, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacs_that_is_out_of_resources_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().to_str().unwrap().to_owned();
    let sink =
        Peer::start(|port| python("sink.py", &[&port.to_string(), &stored, "A700", "12"])).await;
    let (daemon, medium) = gateway(sink.port).await;
    let id = upload(&daemon, &medium).await;
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], medium.images);
    let said = sink.process.log.text();
    assert_eq!(said.matches("A700 ").count(), 12, "{said}");
    // Nothing that was stored is sent again.
    assert_eq!(said.matches("0000 ").count(), medium.images, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacs_that_does_not_understand_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().to_str().unwrap().to_owned();
    let sink =
        Peer::start(|port| python("sink.py", &[&port.to_string(), &stored, "C000", "1"])).await;
    let (daemon, medium) = gateway(sink.port).await;
    let id = upload(&daemon, &medium).await;
    let import = daemon
        .api
        .until(&id, "one instance to be refused", |import| {
            let studies = import["studies"].as_array().map_or(&[][..], Vec::as_slice);
            import["counts"]["delivered"] == medium.images - 1
                && studies.iter().any(|study| study["state"] == "Quarantined")
        })
        .await;
    let next = import["nextStep"].as_str().unwrap();
    assert!(next.contains("C000"), "{next}");
    daemon.cli(&["retry", &id]).await.ok();
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], medium.images);
    let said = sink.process.log.text();
    assert_eq!(
        said.matches("0000 ").count(),
        medium.images,
        "only the refused one goes again: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacs_that_is_down_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (daemon, medium) = gateway(port).await;
    let id = upload(&daemon, &medium).await;
    let import = until_said(&daemon, &id, &["nothing listens at", "tried again by itself"]).await;
    assert_eq!(import["counts"]["inFlight"], medium.images);
    let _pacs = Peer::start_on(port, storescp_command(folder.path(), &[])).await.unwrap();
    arrives(&daemon, &id, &medium, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worklist_that_is_down_and_comes_back() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &["--studies", "1"]).await;
    worklist(&folder.join("wl/RIS"), &[]).await;
    let port = free_port();
    let setup = setup.peer("ris", "RIS", port, &[]).worklist_peer("ris");
    let daemon = setup.start().await;
    let id = upload(&daemon, &medium).await;
    let import = daemon
        .api
        .until(&id, "the worklist to be waited for", |import| {
            import["studies"][0]["state"] == "AwaitingWorklist"
                && import["nextStep"].as_str().is_some_and(|s| s.contains("asked again by itself"))
        })
        .await;
    let next = import["nextStep"].as_str().unwrap();
    assert!(next.contains("nothing listens at") || next.contains("Nothing listens at"), "{next}");
    let _ris = Peer::start_on(port, wlmscpfs_command(&folder.join("wl"))).await.unwrap();
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], medium.images);
    assert_eq!(import["studies"][0]["decision"]["by"], "rule");
}
