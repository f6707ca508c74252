//! Worklists that others serve, asked by us: every name arrives as it is, whatever its character set.

use std::process::Command;

use serde_json::{Value, json};

use super::{entries, kept};
use crate::support::peers::{Peer, python};
use crate::support::{Setup, free_port, program};

/// Patient IDs with the family name as a person reads it, one for each way to write it.
const NAMES: [(&str, &str); 7] = [
    ("1001", "Müller"),
    ("1002", "Müller"),
    ("1004", "Yamada"),
    ("1005", "Иванов"),
    ("1006", "Yıldız"),
    ("42", "Groß"),
    ("1011", "Käse"),
];

/// What the gateway sees of this server, by patient ID; `missing` are names that the server itself can't give.
async fn check(called: &str, port: u16, missing: &[&str]) {
    let setup = Setup::new().peer("ris", called, port, &[]).worklist_peer("ris");
    let daemon = setup.start().await;
    let health = kept(&daemon).await;
    assert_eq!(health["kept"][0]["entries"], 12, "{health}");
    let list = daemon.cli(&["worklist", "--json"]).await.json();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 12, "{list}");
    for (id, name) in NAMES.iter().filter(|(id, _)| !missing.contains(id)) {
        let item = items.iter().find(|item| item["patient"]["patientId"] == *id);
        let shown = item.map_or(Value::Null, |item| item["patient"]["name"].clone());
        assert!(shown.as_str().unwrap_or("").contains(name), "{id}: {name} arrived as {shown}");
    }
    assert!(list["notes"].as_array().unwrap().is_empty(), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wlmscpfs_is_read() {
    let folder = entries().await;
    let server = wlmscpfs(&folder).await;
    check("WL", server.port, &[]).await;
}

pub async fn wlmscpfs(folder: &tempfile::TempDir) -> Peer {
    let parent = folder.path().to_owned();
    Peer::start(move |port| {
        let mut command = Command::new(program("wlmscpfs"));
        command.args(["-s", "-dfr", "-csk", "-dfp"]).arg(&parent).arg(port.to_string());
        command
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_keys_is_read() {
    let folder = entries().await;
    let entries = folder.path().join("WL").display().to_string();
    let server =
        Peer::start(move |port| python("wl_serve.py", &[&port.to_string(), &entries])).await;
    check("RIS", server.port, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orthancs_worklist_plugin_is_read() {
    let folder = entries().await;
    let (home, dicom) = (folder.path().to_owned(), free_port());
    let server = Peer::start(move |http| {
        let settings = json!({
            "Name": "RIS", "StorageDirectory": home, "IndexDirectory": home, "HttpPort": http,
            "DicomPort": dicom, "DicomAet": "RIS", "DicomCheckCalledAet": false, "DefaultEncoding": "Utf8",
            "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomAlwaysAllowFindWorklist": true,
            "Plugins": ["/usr/share/orthanc/plugins/libModalityWorklists.so"],
            "Worklists": { "Enable": true, "Database": home.join("WL"), "FilterIssuerAet": false, "LimitAnswers": 0 },
        });
        let file = home.join("orthanc.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        let mut command = Command::new(program("Orthanc"));
        command.arg(&file);
        command
    })
    .await;
    // Orthanc 1.10 drops what follows the first of several sets: `Kse^Kbi`, declared as UTF-8, is all it gives.
    check("RIS", dicom, &["1011"]).await;
    drop(server);
}
