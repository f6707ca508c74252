//! Studies fetched from a real archive: WADO-RS, C-GET and C-MOVE from Orthanc, C-GET and C-MOVE from DCMTK's
//! `dcmqrscp`. What arrives at the destination is held against what the archive was given.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::peers::{Medium, Orthanc, Peer, compare, dcmtk, storescp, worklist};
use crate::support::{Daemon, Setup, free_port, program, run};

/// What the headers of a medium say, as `patients.py` has it.
const FOREIGN_ID: &str = "X77-123";
const FOREIGN_ACCESSION: &str = "FREMD-5";

/// A gateway between an archive, whose tables are given, and a PACS that keeps every byte.
async fn gateway(setup: Setup, port: u16, pacs: &Peer, tables: &str) -> Daemon {
    let wl = setup.folder().join("wl");
    worklist(&wl, &[]).await;
    let site = setup
        .worklist_folder(&wl)
        .peer("pacs", "PACS", pacs.port, &[])
        .destination_peer("pacs")
        .table(tables)
        .write();
    let at = format!("127.0.0.1:{port}");
    site.edit(|text| text.replacen("127.0.0.1:0", &at, 1));
    site.start().await
}

/// Asks for studies, decides as a person, and waits for the end.
async fn fetch(daemon: &Daemon, from: Value, medium: &Medium) {
    let request = json!({"from": from}).to_string();
    let accepted = daemon.site().cli_with(&["import", "-", "--json"], &request).await;
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], medium.images, "{}", daemon.log());
    assert_eq!(import["counts"]["duplicate"], 0);
    assert_eq!(import["setAside"], json!([]));
    assert_eq!(import["studies"].as_array().unwrap().len(), medium.studies);
    for study in import["studies"].as_array().unwrap() {
        let uid = study["studyInstanceUid"].as_str().unwrap();
        let item = study["candidates"][0]["itemId"].as_str().unwrap();
        daemon.cli(&["decide", &id, uid, item, "--reason", "compared by eye"]).await.ok();
    }
    let closed = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(closed["counts"]["delivered"], medium.images);
}

async fn orthanc_with(folder: &Path, medium: &Medium) -> Orthanc {
    let plugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";
    assert!(Path::new(plugin).exists(), "orthanc-dicomweb is missing; run tests/env");
    let orthanc = Orthanc::start_with(folder, json!({"Plugins": [plugin]})).await;
    for file in medium.files() {
        orthanc.upload(std::fs::read(file).unwrap()).await;
    }
    orthanc
}

#[tokio::test(flavor = "multi_thread")]
async fn from_orthanc_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let medium = Medium::make(&folder.path().join("medium"), &["--syntaxes"]).await;
    let orthanc = orthanc_with(&folder.path().join("orthanc"), &medium).await;
    for how in ["dicomweb", "get", "move"] {
        let setup = Setup::new();
        let stored = setup.folder().join("stored");
        let (pacs, port) = (storescp(&stored, &[]).await, free_port());
        let tables = match how {
            "dicomweb" => {
                let url = format!("http://127.0.0.1:{}/dicom-web", orthanc.peer.port);
                format!("[dicomweb.archive]\nurl = \"{url}\"")
            }
            how => format!(
                "[peers.archive]\nae-title = \"ORTHANC\"\naddress = \"127.0.0.1:{}\"\nretrieve = \"{how}\"",
                orthanc.dicom
            ),
        };
        let daemon = gateway(setup, port, &pacs, &tables).await;
        orthanc.knows("lotse", "LOTSE", port).await;
        let from = match how {
            "dicomweb" => json!({"dicomweb": "archive", "accessionNumber": FOREIGN_ACCESSION}),
            _ => json!({"peer": "archive", "patientId": FOREIGN_ID}),
        };
        fetch(&daemon, from, &medium).await;
        compare(
            &medium.originals(),
            &stored,
            &["--no-validation", "--any-syntax", "--any-padding"],
        );
    }
}

/// `dcmqrscp` with one storage area that `medium` is sent to; `port` is where we listen.
async fn dcmqrscp(folder: &Path, medium: &Medium, port: u16) -> Peer {
    let area = folder.join("area");
    std::fs::create_dir_all(&area).unwrap();
    let configured = |own: u16| {
        let text = format!(
            "NetworkTCPPort = {own}\nMaxPDUSize = 16384\nMaxAssociations = 16\n\
             HostTable BEGIN\nlotse = (LOTSE, 127.0.0.1, {port})\nHostTable END\n\
             VendorTable BEGIN\nVendorTable END\n\
             AETable BEGIN\nARCHIVE {} RW (500, 1024mb) ANY\nAETable END\n",
            area.display()
        );
        let file = folder.join("dcmqrscp.cfg");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program("dcmqrscp"));
        command.args(["-v", "-c"]).arg(&file);
        command
    };
    let archive = Peer::start(configured).await;
    let own = archive.port.to_string();
    let mut arguments = vec!["-R", "-nh", "-aet", "LOTSE", "-aec", "ARCHIVE", "127.0.0.1", &own];
    let files: Vec<_> = medium.files();
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    run(&mut dcmtk("storescu", &arguments), "").await.ok();
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn from_dcmqrscp_by_get_and_move() {
    let folder = tempfile::tempdir().unwrap();
    let medium = Medium::make(&folder.path().join("medium"), &[]).await;
    for how in ["get", "move"] {
        let setup = Setup::new();
        let stored = setup.folder().join("stored");
        let (pacs, port) = (storescp(&stored, &[]).await, free_port());
        let archive = dcmqrscp(&folder.path().join(how), &medium, port).await;
        let tables = format!(
            "[peers.archive]\nae-title = \"ARCHIVE\"\naddress = \"127.0.0.1:{}\"\nretrieve = \"{how}\"",
            archive.port
        );
        let daemon = gateway(setup, port, &pacs, &tables).await;
        fetch(&daemon, json!({"peer": "archive", "patientId": FOREIGN_ID}), &medium).await;
        compare(
            &medium.originals(),
            &stored,
            &["--no-validation", "--any-syntax", "--any-padding"],
        );
    }
}
