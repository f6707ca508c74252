//! Bad input is normal input: each gets a sentence that says what to do, and nothing is lost.

use std::os::unix::fs::PermissionsExt as _;

use lotse::sim::portal::{self, Portal, Question};
use lotse::sim::sample::Sample;
use serde_json::{Value, json};

use crate::support::peers::{Medium, run_python, worklist};
use crate::support::{Daemon, Ended, Setup};

/// Bytes that the daemon may hold at most while it takes bombs in.
const MEMORY: u64 = 256 << 20;

#[track_caller]
fn says(sentence: &Value, words: &[&str]) {
    let text = sentence.as_str().unwrap_or_else(|| panic!("no sentence: {sentence}"));
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

async fn gateway() -> (Daemon, Medium) {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &["--studies", "1"]).await;
    worklist(&folder.join("worklist"), &[]).await;
    (setup.portals_on_loopback().start().await, medium)
}

/// An import that is whole goes through, so the daemon works as before.
async fn still_works(daemon: &Daemon, medium: &Medium) {
    let request = json!({"accessionNumber": "A2026-31415"});
    let id = daemon.api.upload("medium.zip", medium.zip(), &request).await;
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], medium.images);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_cut_in_the_middle() {
    let (daemon, medium) = gateway().await;
    let zip = medium.zip();
    let id = daemon.api.upload("medium.zip", zip[..zip.len() / 2].to_vec(), &json!({})).await;
    let import = daemon
        .api
        .until(&id, "the cut archive to be noticed", |import| {
            import["state"] == "Failed"
                || import["setAside"].as_array().is_some_and(|a| !a.is_empty())
        })
        .await;
    let told = format!("{} {}", import["nextStep"], import["setAside"]);
    assert!(told.contains("incomplete or damaged"), "{told}");
    assert!(told.contains("fetch or copy it again"), "{told}");
    assert_eq!(import["counts"]["delivered"], 0);
    still_works(&daemon, &medium).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_dicom() {
    let (daemon, medium) = gateway().await;
    let bytes = b"Dear colleague, the images follow by post.".repeat(20);
    let id = daemon.api.upload("LETTER.DOC", bytes, &json!({})).await;
    let import = daemon
        .api
        .until(&id, "the letter to be set aside", |import| {
            import["setAside"].as_array().is_some_and(|aside| !aside.is_empty())
        })
        .await;
    assert_eq!(import["setAside"][0]["name"], "LETTER.DOC");
    says(&import["setAside"][0]["reason"], &["neither DICOM"]);
    let ended = daemon
        .api
        .until(&id, "a next step", |import| {
            import["nextStep"].as_str().is_some_and(|s| !s.contains("unpacked"))
        })
        .await;
    says(&ended["nextStep"], &["set aside"]);
    still_works(&daemon, &medium).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_set_aside_and_cost_no_memory() {
    let (daemon, medium) = gateway().await;
    let zip = daemon.site().folder().join("hostile.zip");
    let good = medium.files()[0].clone();
    let names =
        run_python("hostile.py", &[zip.to_str().unwrap(), good.to_str().unwrap()]).await.ok();
    let request = json!({"accessionNumber": "A2026-31415"});
    let id = daemon.api.upload("hostile.zip", std::fs::read(&zip).unwrap(), &request).await;
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["received"], 1, "{import:#}");
    assert_eq!(import["counts"]["delivered"], 1);
    let aside = import["setAside"].as_array().unwrap();
    for name in names.split_whitespace() {
        let found = aside.iter().find(|file| file["name"] == name);
        let reason =
            &found.unwrap_or_else(|| panic!("{name} is not set aside: {aside:#?}"))["reason"];
        assert!(reason.as_str().unwrap().len() > 10, "{name}: {reason}");
    }
    assert_eq!(aside.len(), names.split_whitespace().count());
    let peak = daemon.peak_memory();
    println!("peak memory {} MiB", peak >> 20);
    assert!(peak < MEMORY, "the daemon took {} MiB", peak >> 20);
    assert_eq!(daemon.api.status("/readyz").await, 200);
}

/// `lotse serve` that has to refuse to start.
async fn refused(site: &crate::support::Site, code: i32, words: &[&str]) -> Ended {
    let ended = site.cli(&["serve"]).await;
    assert_eq!(ended.code, code, "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {:?}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_misspelt_keys() {
    let site = Setup::new().write();
    site.edit(|text| text.replace("quiet-time", "quite-time").replace("listen =", "lisen ="));
    let text = std::fs::read_to_string(site.config()).unwrap();
    let line = |key: &str| text.lines().position(|line| line.starts_with(key)).unwrap() + 1;
    let (quiet, listen) = (line("quite-time"), line("lisen"));
    refused(
        &site,
        78,
        &[
            &format!("line {quiet}: dicom.quite-time: "),
            "`quiet-time`",
            &format!("line {listen}: http.lisen: "),
            "`listen`",
        ],
    )
    .await;
    // Nothing was made.
    assert!(!site.data_dir().exists());
    let checked = site.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_that_is_missing_or_open() {
    let site = Setup::new().write();
    let key = site.master_key();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(&site, 78, &["master.key", "can be read or written by others", "chmod 0600"]).await;
    let aside = site.folder().join("elsewhere");
    std::fs::rename(&key, &aside).unwrap();
    refused(&site, 78, &["master.key", "is missing", "restore it"]).await;
    // With the key back and closed, everything goes on.
    std::fs::rename(&aside, &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let daemon = site.start().await;
    assert_eq!(daemon.stop().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_written() {
    let site = Setup::new().write();
    let data = site.data_dir();
    // Also root cannot make a folder below a file.
    std::fs::write(site.folder().join("file"), b"").unwrap();
    let below = site.folder().join("file/data");
    site.edit(|text| text.replace(data.to_str().unwrap(), below.to_str().unwrap()));
    refused(&site, 78, &["file/data cannot be used", "is not a folder"]).await;
}

/// A portal with one examination behind its link.
async fn portal() -> Portal {
    let sample = Sample::new(3);
    let archive = sample.write_zip(std::io::Cursor::new(Vec::new())).unwrap().into_inner();
    let birth_date = sample.birth_date().replace('-', "");
    let item = portal::Item::new("1", "application/zip", "CT", archive.clone());
    Portal::start(portal::Config {
        token: "ABC-S1Z-98A".to_owned(),
        questions: vec![Question::birth_date(&birth_date)],
        items: vec![item],
        all: portal::Content::Bytes(archive.into()),
        faults: portal::Faults::default(),
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_to_the_portal() {
    let (daemon, medium) = gateway().await;
    let portal = portal().await;
    let id = daemon.api.import_link(&json!({"link": portal.link()})).await;
    let asking = daemon.api.until_state(&id, "Asking").await;
    assert_eq!(asking["questions"][0]["type"], "PAT_BIRTH_DATE");
    let wrong = r#"{"PAT_BIRTH_DATE": "1901-01-01"}"#;
    daemon.cli_with(&["answer", &id], wrong).await;
    let again = daemon
        .api
        .until(&id, "the question again", |import| {
            import["state"] == "Asking"
                && import["nextStep"].as_str().is_some_and(|s| s.contains("accept"))
        })
        .await;
    says(&again["nextStep"], &["did not accept", "again"]);
    let right = json!({"PAT_BIRTH_DATE": Sample::new(3).birth_date()}).to_string();
    daemon.cli_with(&["answer", &id], &right).await.ok();
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    still_works(&daemon, &medium).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_is_down() {
    let (daemon, medium) = gateway().await;
    let portal = portal().await;
    let link = portal.link();
    portal.stop().await;
    let id = daemon.api.import_link(&json!({"link": link})).await;
    let waiting = daemon
        .api
        .until(&id, "a sentence about the portal", |import| {
            import["nextStep"].as_str().is_some_and(|s| s != "The portal is being asked.")
        })
        .await;
    says(&waiting["nextStep"], &["127.0.0.1", "again"]);
    assert!(!daemon.log().contains("ABC-S1Z-98A"), "the link's token is in the log");
    still_works(&daemon, &medium).await;
}
