//! Other people's senders give us studies by C-STORE.

use std::process::Command;

use crate::support::peers::{Medium, compare, dcmtk, node, python, storescp, wlmscpfs, worklist};
use crate::support::{Setup, run};

/// What a sender makes of a file.
#[derive(PartialEq)]
enum Sends {
    /// The data set as it lies on disk.
    Verbatim,
    /// What its library makes of it, without private attributes for instance. What it sends to storescp
    /// directly is then what has to arrive by way of the gateway.
    ItsOwn,
}

enum From {
    Scp,
    Folder,
}

/// Lets one sender send all of a medium in one burst to a port, decides as a person, and holds what storescp
/// got against what was sent.
async fn sent_by(send: impl Fn(&str, &[&str]) -> Command, sends: Sends, orders: From) {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &[]).await;
    worklist(&folder.join("wl/RIS"), &[]).await;
    let pacs = storescp(&folder.join("stored"), &[]).await;
    // Peers send from any port; what they listen on does not matter here.
    let setup = setup
        .quiet("2s")
        .peer("station", "STATION", 9, &["echo", "store"])
        .peer("pacs", "PACS", pacs.port, &[])
        .destination_peer("pacs");
    let ris = wlmscpfs(&folder.join("wl")).await;
    let setup = match orders {
        From::Folder => setup.worklist_folder(&folder.join("wl/RIS")),
        From::Scp => setup.peer("ris", "RIS", ris.port, &[]).worklist_peer("ris"),
    };
    let daemon = setup.start().await;

    let files = medium.files();
    let paths: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let (sent, options) = match sends {
        Sends::Verbatim => (medium.originals(), vec!["--no-validation"]),
        Sends::ItsOwn => {
            let sent = folder.join("sent");
            let direct = storescp(&sent, &[]).await;
            run(&mut send(&direct.port.to_string(), &paths), "").await.ok();
            // storescp takes another of the proposed syntaxes than the gateway, which takes the first.
            (sent, vec!["--no-validation", "--any-syntax"])
        }
    };
    let ended = run(&mut send(&daemon.dicom.port().to_string(), &paths), "").await;
    assert_eq!(ended.code, 0, "{}{}\n{}", ended.stdout, ended.stderr, daemon.log());

    let id = daemon.api.until_from("station").await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["kind"], "association");
    assert_eq!(import["counts"]["received"], medium.images);
    assert_eq!(import["studies"].as_array().unwrap().len(), medium.studies);
    for study in import["studies"].as_array().unwrap() {
        let uid = study["studyInstanceUid"].as_str().unwrap();
        let item = study["candidates"][0]["itemId"].as_str().unwrap();
        daemon.cli(&["decide", &id, uid, item, "--reason", "compared by eye"]).await.ok();
    }
    let closed = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(closed["counts"]["delivered"], medium.images);
    compare(&sent, &folder.join("stored"), &options);
}

#[tokio::test(flavor = "multi_thread")]
async fn pynetdicom_sends() {
    let send = |port: &str, files: &[&str]| {
        let mut arguments = vec![port, "STATION", "LOTSE"];
        arguments.extend(files);
        python("send.py", &arguments)
    };
    sent_by(send, Sends::Verbatim, From::Scp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dcmjs_dimse_sends() {
    let send = |port: &str, files: &[&str]| {
        let mut arguments = vec![port, "STATION", "LOTSE"];
        arguments.extend(files);
        node("send.cjs", &arguments)
    };
    sent_by(send, Sends::ItsOwn, From::Folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storescu_sends() {
    let send = |port: &str, files: &[&str]| {
        let mut arguments = vec!["-aet", "STATION", "-aec", "LOTSE", "127.0.0.1", port];
        arguments.extend(files);
        dcmtk("storescu", &arguments)
    };
    sent_by(send, Sends::Verbatim, From::Scp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn echo_both_ways() {
    let setup = Setup::new();
    let pacs = storescp(&setup.folder().join("stored"), &[]).await;
    let daemon = setup
        .peer("station", "STATION", 9, &["echo"])
        .peer("pacs", "PACS", pacs.port, &[])
        .destination_peer("pacs")
        .start()
        .await;
    let port = daemon.dicom.port().to_string();
    let echo = ["-aet", "STATION", "-aec", "LOTSE", "127.0.0.1", &port];
    run(&mut dcmtk("echoscu", &echo), "").await.ok();
    run(&mut python("send.py", &[&port, "STATION", "LOTSE"]), "").await.ok();
    daemon.cli(&["echo", "pacs"]).await.ok();
    // The station is a number without anybody behind it.
    let nobody = daemon.cli(&["echo", "station"]).await;
    assert_eq!(nobody.code, 69, "{nobody:?}");
    assert!(nobody.stderr.contains("nothing listens at"), "{nobody:?}");
}
