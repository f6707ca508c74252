//! Associations by TLS and mutual TLS with implementations that others wrote, both ways.

use std::process::Command;
use std::sync::Arc;

use super::{House, hang_up, tls_port};
use crate::support::ca::{Authority, Valid};
use crate::support::peers::{Medium, Peer, compare, dcmtk, node, storescp, worklist};
use crate::support::{Setup, eventually, run};

#[tokio::test(flavor = "multi_thread")]
async fn three_implementations_call_us_by_mutual_tls() {
    let house = House::new();
    let daemon = Setup::new()
        .peer("station", "STATION", 9, &["echo", "store"])
        .table(&house.listener("required"))
        .start()
        .await;
    let port = tls_port(&daemon).await;
    let pair = Some(&house.station);
    house.echoscu(port, pair).await.ok();
    house.pynetdicom(port, pair, &[]).await.ok();
    let dcmjs = house.dcmjs(port, &house.station).await;
    assert_eq!(dcmjs.code, 0, "{dcmjs:?}");

    // Without a certificate, and with one of a stranger.
    let stranger = Authority::new(&house.ca.file.with_file_name("other"), "stranger");
    let foreign = stranger.pair("station", Valid::Now);
    assert_ne!(house.echoscu(port, None).await.code, 0);
    assert_ne!(house.echoscu(port, Some(&foreign)).await.code, 0);
    assert_ne!(house.pynetdicom(port, None, &[]).await.code, 0);
    assert_ne!(house.pynetdicom(port, Some(&foreign), &[]).await.code, 0);
    assert_ne!(house.dcmjs(port, &foreign).await.code, 0);
    let expired = house.ca.pair("once", Valid::Once);
    assert_ne!(house.echoscu(port, Some(&expired)).await.code, 0);
    let log = daemon.log();
    for words in
        ["it showed no certificate", "none of the authorities", "has expired on 2021-01-01"]
    {
        assert!(log.contains(words), "{words}: {log}");
    }
    // Plain to the TLS listener, and TLS to the plain one.
    let plain = ["-aet", "STATION", "-aec", "LOTSE", "127.0.0.1", &port.to_string()];
    assert_ne!(run(&mut dcmtk("echoscu", &plain), "").await.code, 0);
    assert_ne!(house.echoscu(daemon.dicom.port(), pair).await.code, 0);
    eventually("the log to name both", || {
        let log = daemon.log();
        let both = log.contains("does not speak TLS here")
            && log.contains("speaks TLS and this port is plain");
        std::future::ready(both.then_some(()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_implementations_call_us_by_tls_alone() {
    let house = House::new();
    let daemon = Setup::new()
        .peer("station", "STATION", 9, &["echo"])
        .table(&house.listener("none"))
        .start()
        .await;
    let port = tls_port(&daemon).await;
    house.echoscu(port, None).await.ok();
    house.pynetdicom(port, None, &[]).await.ok();
    assert_eq!(house.dcmjs(port, &house.station).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn we_call_three_implementations_by_mutual_tls() {
    let house = House::new();
    let [certificate, key, ca] = house.files(&house.station);
    let stored = house.ca.file.with_file_name("stored");
    let dcmtk = storescp(&stored, &["+tls", &key, &certificate, "+cf", &ca]).await;
    let secure = ["--tls", &certificate, &key, "--ca", &ca];
    let (_pynetdicom, pynetdicom) = crate::mistakes::pynetdicom(&secure).await;
    let mut dcmjs = Peer::start(|port| {
        node("secure.cjs", &["scp", &port.to_string(), &certificate, &key, &ca])
    })
    .await;
    let peers = [("dcmtk", dcmtk.port), ("pynetdicom", pynetdicom), ("dcmjs", dcmjs.port)];
    // Titles differ, because hosts do not.
    let tables = peers.map(|(name, port)| {
        let title = name.to_uppercase();
        let title = if name == "dcmtk" { "PACS".to_owned() } else { title };
        format!(
            "[peers.{name}]\nae-title = \"{title}\"\naddress = \"localhost:{port}\"\n{}\n",
            house.peer()
        )
    });
    let site = Setup::new().table(&tables.concat()).write();
    for (name, _) in peers {
        site.cli(&["echo", name]).await.ok();
    }
    dcmjs.process.says("echoed").await;
    let mut find = Command::new(crate::support::test_env("venv/bin/python"));
    find.args(["-c", "from pydicom.data import get_testdata_file as f; print(f('CT_small.dcm'))"]);
    let file = run(&mut find, "").await.ok();
    for (name, _) in peers {
        let sent = site.cli(&["send", "--as-it-is", file.trim(), name]).await.ok();
        assert!(sent.contains("stored"), "{name}: {sent}");
    }
    dcmjs.process.says("stored").await;
    assert_eq!(std::fs::read_dir(&stored).unwrap().count(), 1);
    let told = site.cli(&["peers", "--json"]).await.json();
    for peer in told["peers"].as_array().unwrap() {
        assert_eq!(peer["steps"][2]["stage"], "tls", "{peer}");
        assert_eq!(peer["certificate"]["names"][0], "station", "{peer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_arrives_by_mutual_tls_once_our_certificate_is_named() {
    let house = House::new();
    let [certificate, key, ca] = house.files(&house.station);
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let stored = folder.join("stored");
    let pacs = storescp(&stored, &["+tls", &key, &certificate, "+cf", &ca]).await;
    let medium = Medium::make(&folder.join("medium"), &["--studies", "1"]).await;
    worklist(&folder.join("orders"), &[]).await;
    let peer = format!(
        "[peers.pacs]\nae-title = \"PACS\"\naddress = \"localhost:{}\"\ntls = {{ ca-files = [{ca:?}] }}\n",
        pacs.port
    );
    let setup = setup.worklist_folder(&folder.join("orders")).destination_peer("pacs").table(&peer);
    let daemon = setup.start().await;
    let request = serde_json::json!({"accessionNumber": "A2026-31415"});
    let id = daemon.api.upload("medium.zip", medium.zip(), &request).await;
    let told = daemon.api.until(&id, "the missing certificate", |import| {
        let text = format!("{} {}", import["nextStep"], import["studies"]);
        text.contains("wants a certificate of ours and got none")
    });
    told.await;
    let site = Arc::clone(daemon.site());
    site.edit(|text| text.replace(&format!("tls = {{ ca-files = [{ca:?}] }}"), &house.peer()));
    hang_up(&daemon).await;
    // It may wait for a person by now, or still try by itself.
    let retry = format!("/api/v1/imports/{id}/retry");
    let import = eventually("the delivery", || async {
        let import = daemon.api.import(&id).await;
        if import["state"] == "Closed" {
            return Some(import);
        }
        let (code, told) = daemon.api.post(&retry, &serde_json::json!({})).await;
        assert!(code < 300 || code == 409, "{code} {told}");
        None
    })
    .await;
    assert_eq!(import["counts"]["delivered"], medium.images);
    compare(&medium.originals(), &stored, &["--no-validation"]);
}
