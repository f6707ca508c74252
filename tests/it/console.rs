//! The console in a real browser: headless Chromium walks the import desk's ways, from login to delivered.
//!
//! The browser's part is in `console/*.cjs`; every one of them fails on a dialog, a script error, a breach of
//! the content security policy or a failed request. Screens are kept in `target/test-env/screens`.

use std::process::Command;

use lotse::sim::{pacs, portal};
use serde_json::{Value, json};

use super::desk::{Hospital, SCRIPT, hostile_image, zip};
use super::support::peers::Orthanc;
use super::support::{Setup, program, root, run, test_env};

/// Runs a script against the desk; gives what it prints as JSON.
async fn browse(desk: &Hospital, script: &str, more: Value) -> Value {
    let screens = test_env("node").with_file_name("screens");
    std::fs::create_dir_all(&screens).unwrap();
    let token_file = desk.daemon.site().data_dir().join("api.token");
    let mut stage = json!({
        "base": format!("http://{}", desk.daemon.http),
        "token": std::fs::read_to_string(token_file).unwrap().trim(),
        "chromium": program("chromium"),
        "profile": desk.daemon.site().folder().join("session.json"),
        "screens": screens,
        "link": desk.world.portal.link(),
        "birthDate": desk.world.sample.birth_date(),
    });
    for (key, value) in more.as_object().unwrap() {
        stage[key] = value.clone();
    }
    let mut command = Command::new(program("node"));
    command
        .arg(root().join("tests/it/console").join(script))
        .env("NODE_PATH", test_env("node/node_modules"));
    let ended = run(&mut command, &stage.to_string()).await;
    assert_eq!(ended.code, 0, "{script}:\n{}{}", ended.stdout, ended.stderr);
    let last = ended.stdout.lines().last().unwrap_or("null");
    serde_json::from_str(last).unwrap_or(Value::Null)
}

#[tokio::test]
async fn a_link_is_walked_to_delivered() {
    let desk = Hospital::open().await;
    let sample = desk.world.sample;
    let seen = browse(&desk, "walk.cjs", json!({"accession": "A2026004711"})).await;

    let import = desk.daemon.api.import(seen["id"].as_str().unwrap()).await;
    assert_eq!(import["state"], "Closed", "{import}");
    let decision = &import["studies"][0]["decision"];
    assert_eq!(decision["accessionNumber"], "A2026004711");
    assert_eq!(decision["patient"]["patientId"], "100234567");
    assert_eq!(decision["by"], "person");
    assert_eq!(decision["actor"], "console");
    assert_eq!(decision["reason"], "Name und Geburtsdatum verglichen");
    let counts = &import["counts"];
    assert_eq!(counts["delivered"], sample.received());
    assert_eq!(desk.world.pacs.received().len(), sample.received() + 1, "images and report");
    desk.close().await;
}

#[tokio::test]
async fn what_comes_from_outside_is_text() {
    let mut question = portal::Question::birth_date("19640812");
    question.texts = vec![("en".to_owned(), format!("{SCRIPT} Birth date\u{202e}?"))];
    let desk = Hospital::open().await;
    let sample = desk.world.sample;
    let image = hostile_image(&sample);
    let archive = zip(&[
        ("DICOM/IM1", &image),
        ("<img src=x onerror=alert(3)>.xyz", b"text"),
        ("\u{202e}gpj.exe", b"MZ"),
        ("'\"><svg onload=alert(4)>.js", b"alert(5)"),
    ]);
    let portal = portal::Portal::start(portal::Config {
        token: "X".to_owned(),
        questions: vec![question],
        items: vec![],
        all: portal::Content::Bytes(archive.clone().into()),
        faults: portal::Faults::default(),
    })
    .await
    .unwrap();
    let file = desk.world.folder().join("hostile.zip");
    std::fs::write(&file, &archive).unwrap();
    let more = json!({"file": file, "hostileLink": portal.link()});
    let seen = browse(&desk, "hostile.cjs", more).await;

    let import = desk.daemon.api.import(seen["id"].as_str().unwrap()).await;
    let study = &import["studies"][0];
    assert_eq!(study["decision"]["patient"]["patientId"], "4711", "{import}");
    assert_eq!(import["state"], "Closed");
    assert_eq!(import["setAside"].as_array().unwrap().len(), 3);
    portal.stop().await;
    desk.close().await;
}

#[tokio::test]
async fn trouble_is_told_and_can_be_acted_on() {
    let slow = |setup: Setup| setup.retry("5m", "5m");
    let desk = Hospital::with(slow).await;
    desk.world.pacs.set_fault(pacs::Fault::RefuseAssociation);
    let order = json!({"accession": "A2026004711", "patientId": "100234567"});
    let first = browse(&desk, "trouble.cjs", order).await;
    assert_eq!(desk.world.pacs.received().len(), 0);

    desk.world.pacs.set_fault(pacs::Fault::None);
    browse(&desk, "again.cjs", json!({"id": first["id"]})).await;
    let import = desk.daemon.api.import(first["id"].as_str().unwrap()).await;
    assert_eq!(import["state"], "Closed", "{import}");
    assert_eq!(import["studies"][0]["decision"]["by"], "rule", "the request named the order");
    desk.close().await;
}

#[tokio::test]
async fn many_tabs_do_not_freeze_each_other() {
    let desk = Hospital::open().await;
    let seen = browse(&desk, "tabs.cjs", json!({})).await;
    let import = desk.daemon.api.import(seen["id"].as_str().unwrap()).await;
    assert_eq!(import["studies"][0]["state"], "Rejected", "{import}");
    desk.close().await;
}

#[tokio::test]
async fn an_archive_is_asked_for_a_study() {
    let folder = tempfile::tempdir().unwrap();
    let orthanc = Orthanc::with_dicomweb(folder.path()).await;
    let url = format!("http://127.0.0.1:{}/dicom-web", orthanc.peer.port);
    let archives = format!(
        "[dicomweb.archive]\nurl = \"{url}\"\n[peers.modality]\nae-title = \"MODALITY\"\n\
         address = \"127.0.0.1:{}\"\nretrieve = \"get\"",
        orthanc.dicom
    );
    let desk = Hospital::with(|setup| setup.table(&archives)).await;
    for slice in 0..3 {
        orthanc.store(desk.world.sample.instance(slice)).await;
    }
    let seen = browse(&desk, "archive.cjs", json!({"foreign": "RP-0815-4711"})).await;
    let import = desk.daemon.api.import(seen["id"].as_str().unwrap()).await;
    assert_eq!(import["counts"]["received"], 3, "{import}");
    assert_eq!(import["source"], "archive");
    desk.close().await;
}
