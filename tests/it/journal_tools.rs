//! `lotse journal`: on a gateway that does not run, and only there.

use lotse::sim::sample::Sample;
use lotse::sim::world::World;
use serde_json::{Value, json};

use crate::hospital::files_below;
use crate::support::{Setup, Site};

async fn check(site: &Site) -> (i32, Value, String) {
    let ended = site.cli(&["journal", "check", "--json"]).await;
    let found = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
    (ended.code, found, ended.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_is_dumped_loaded_and_checked() {
    let world = World::start(1).await.unwrap();
    let setup =
        Setup::new().peer("ris", "RIS", world.ris.address().port(), &[]).worklist_peer("ris");
    let site = setup.write();
    let nothing = site.cli(&["journal", "dump"]).await;
    assert_eq!(nothing.code, 65, "{}", nothing.stderr);
    assert!(nothing.stderr.contains("there is no journal"), "{}", nothing.stderr);
    assert!(!site.data_dir().join("journal").exists(), "looking makes nothing");

    let daemon = site.start().await;
    let id = daemon.api.upload("cd.zip", Sample::new(20).zip().unwrap(), &json!({})).await;
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    for what in ["dump", "check", "load"] {
        let refused = daemon.cli(&["journal", what]).await;
        assert_ne!(refused.code, 0, "{what}");
        assert!(refused.stderr.contains("stop the other gateway"), "{what}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{what}");
    }
    let (code, site) = daemon.stop().await;
    assert_eq!(code, 0);

    let (code, found, said) = check(&site).await;
    assert_eq!((code, found["faults"].as_array().map(Vec::len)), (0, Some(0)), "{found} {said}");
    // The slices and the report beside them.
    assert_eq!((found["imports"].as_u64(), found["blobs"].as_u64()), (Some(1), Some(21)));

    let dumped = site.cli(&["journal", "dump"]).await;
    assert_eq!(dumped.code, 0, "{}", dumped.stderr);
    let lines: Vec<Value> =
        dumped.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.len() > 5 && lines[0]["lotse-journal"] == 1, "{}", lines[0]);
    assert!(lines[1]["layout"].is_u64(), "{}", lines[1]);
    for canary in ["Müßig", "AwaitingDecision", "studyInstanceUid"] {
        assert!(!dumped.stdout.contains(canary), "what is sealed stays sealed");
    }

    // Into a journal with records it is refused; into an empty one it brings everything back.
    let refused = site.cli_with(&["journal", "load"], &dumped.stdout).await;
    assert!(refused.code != 0 && refused.stderr.contains("empty folder"), "{}", refused.stderr);
    std::fs::rename(site.data_dir().join("journal"), site.folder().join("before")).unwrap();
    let loaded = site.cli_with(&["journal", "load"], &dumped.stdout).await;
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
    assert_eq!(check(&site).await.0, 0);
    let daemon = site.start().await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], 20);
    assert_eq!(daemon.stop().await.0, 0);

    // One byte of one object. The first pack holds the archive, which nothing names any more.
    let mut packs = files_below(&site.data_dir().join("spool"));
    packs.retain(|path| path.extension().is_some_and(|e| e == "pack"));
    packs.sort();
    let pack = packs.iter().skip(1).max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let whole = std::fs::read(pack).unwrap();
    let mut damaged = whole.clone();
    // Within the first object: between objects lie zeros that nobody reads.
    damaged[5000] ^= 1;
    std::fs::write(pack, &damaged).unwrap();
    let (code, found, _) = check(&site).await;
    assert_eq!((code, found["faults"].as_array().map(Vec::len)), (1, Some(1)), "{found}");
    // A pack that is shorter than its records say is told at the start.
    std::fs::write(pack, &whole[..whole.len() / 2]).unwrap();
    let (code, found, _) = check(&site).await;
    assert_eq!(code, 1, "{found}");
    let daemon = site.start().await;
    let status = daemon.api.get("/status").await;
    let alarms = status["alarms"].to_string();
    assert!(alarms.contains(&id) && alarms.contains("are missing"), "{alarms}");
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}
