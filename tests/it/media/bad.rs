//! Bad archives and objects (`peers/bad_media.py`), each uploaded by itself to one daemon: each ends as
//! `tests/golden/bad.tsv` says, in time, in little memory, and nothing of it leaves the data folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::peers::run_python;
use crate::support::{Setup, test_env};

/// The daemon's memory, whatever comes.
const MOST: u64 = 256 << 20;

/// From the upload to its end, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

/// Whether nothing more happens without a person.
fn has_ended(import: &Value) -> bool {
    let waits =
        |study: &Value| matches!(study["state"].as_str(), Some("AwaitingDecision" | "Quarantined"));
    match import["state"].as_str() {
        Some("Closed" | "Failed" | "Asking") => true,
        Some("Unpacked") => import["studies"].as_array().unwrap().iter().all(waits),
        _ => false,
    }
}

/// What became of it, in a line.
fn outcome(import: &Value) -> String {
    let mut told = vec![import["state"].as_str().unwrap().to_owned()];
    for what in ["received", "created"] {
        if import["counts"][what] != 0 {
            told.push(format!("{what} {}", import["counts"][what]));
        }
    }
    if import["state"] == "Failed" || import["state"] == "Asking" {
        told.push(import["nextStep"].as_str().unwrap().to_owned());
    }
    let aside = import["setAside"].as_array().unwrap();
    // Long lists say the same of each.
    for file in aside.iter().take(3) {
        told.push(format!("set aside: {}", file["reason"].as_str().unwrap()));
    }
    told.join(" | ")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_medium_ends_as_it_was_looked_at() {
    let setup = Setup::new();
    let folder = setup.folder().join("bad");
    let count: usize =
        run_python("bad_media.py", &[folder.to_str().unwrap()]).await.ok().trim().parse().unwrap();
    assert!(count >= 80, "{count}");
    let outside = setup.folder().to_owned();
    let daemon = setup.start().await;
    let before = names(&outside);
    let mut table = BTreeMap::new();
    let mut slowest = (Duration::ZERO, String::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        let begun = Instant::now();
        let file = reqwest::multipart::Part::bytes(bytes).file_name(name.clone());
        let form = reqwest::multipart::Form::new().text("request", "{}").part("file", file);
        let sent = daemon.api.request(reqwest::Method::POST, "/api/v1/imports").multipart(form);
        let answer = sent.send().await.unwrap();
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        let told = if status == 202 {
            let id = body["id"].as_str().unwrap();
            outcome(&daemon.api.until(id, &format!("the end of {name}"), has_ended).await)
        } else {
            assert!((400..500).contains(&status), "{name}: {status} {body}");
            format!("refused {status}: {}", body["detail"].as_str().unwrap_or_default())
        };
        assert!(begun.elapsed() < DEADLINE, "{name} took {:?}", begun.elapsed());
        slowest = slowest.max((begun.elapsed(), name.clone()));
        table.insert(name, told);
    }
    let peak = daemon.peak_memory();
    println!("{} media, peak {} MiB, slowest {slowest:?}", table.len(), peak >> 20);
    assert_eq!(table.len(), count);
    assert!(peak < MOST, "the daemon took {} MiB", peak >> 20);
    assert_eq!(daemon.api.status("/readyz").await, 200);
    assert_eq!(names(&outside), before, "nothing lies beside the data folder");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    same_as_golden(&table);
    assert_eq!(daemon.stop().await.0, 0);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn same_as_golden(table: &BTreeMap<String, String>) {
    let found: String = table.iter().map(|(name, told)| format!("{name}\t{told}\n")).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bad.tsv");
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let kept = test_env("").join("bad.tsv");
    std::fs::write(&kept, &found).unwrap();
    let changed: Vec<&str> =
        found.lines().filter(|line| !expected.lines().any(|old| old == *line)).collect();
    assert!(
        expected == found,
        "{} bad media end otherwise; look at each, then copy {}: {:#}",
        changed.len(),
        kept.display(),
        json!(changed)
    );
}
