//! The worklist against parts that others wrote: DCMTK, pynetdicom and dcmjs-dimse ask us; DCMTK, Orthanc and
//! pynetdicom answer us. The cases are data: `worklist_scp/cases.txt` over `worklist_scp/entries.txt`.

mod answerers;
mod askers;
mod charsets;
mod keeping;
mod table;

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Daemon, Setup, eventually, root, run, script, test_env};

/// The entries and the cases.
fn data(name: &str) -> PathBuf {
    root().join("tests/it/worklist_scp").join(name)
}

/// Today where the gateway is.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().in_tz("Europe/Berlin").unwrap().date()
}

/// The `.wl` files of all entries, in a folder as wlmscpfs wants it; gives the folder above.
async fn entries() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(test_env("venv/bin/python"));
    command.arg(script("wl_entries.py")).arg(data("entries.txt")).arg(folder.path().join("WL"));
    command.arg(today().strftime("%Y%m%d").to_string());
    run(&mut command, "").await.ok();
    folder
}

/// Waits until the gateway keeps something, all of it whole.
async fn kept(daemon: &Daemon) -> serde_json::Value {
    eventually("the worklist to be kept", || async {
        let status = daemon.api.get("/status").await;
        let kept = status["worklist"]["kept"].as_array().cloned().unwrap_or_default();
        let whole = !kept.is_empty() && kept.iter().all(|slot| slot["extent"] == "whole");
        whole.then_some(status["worklist"].clone())
    })
    .await
}

/// A gateway that modalities may ask, with the entries as its worklist.
async fn gateway(folder: &tempfile::TempDir) -> Daemon {
    let setup = Setup::new().worklist_folder(&folder.path().join("WL"));
    let daemon = setup
        .peer("modality", "MODALITY", 104, &["echo", "worklist"])
        .peer("sender", "SENDER", 104, &["store"])
        .start()
        .await;
    kept(&daemon).await;
    daemon
}
