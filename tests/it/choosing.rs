//! Study selection: a portal's list waits for a person, in the API, the console and the command line, and over
//! a restart; then only what was taken is downloaded, in the session that was opened before.

use lotse::sim::portal::{self, Content, Faults, Portal, Question};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Daemon, Setup};

async fn portal() -> Portal {
    let item = |id: &str, date: &str| portal::Item {
        date: Some(date.to_owned()),
        modalities: Some("CT".to_owned()),
        study_uid: Some(format!("2.25.{date}")),
        patient_name: Some("Beispiel, Berta".to_owned()),
        birth_date: Some("19450712".to_owned()),
        file_count: Some(3),
        ..portal::Item::new(
            id,
            "application/zip",
            &format!("CT of {id}"),
            super::hostile_http::archive(),
        )
    };
    let config = portal::Config {
        token: "ABC-S1Z-98A".to_owned(),
        questions: vec![Question::birth_date("19450712")],
        items: vec![item("first", "20240419"), item("second", "20231001")],
        all: Content::Bytes(super::hostile_http::archive().into()),
        faults: Faults::default(),
    };
    Portal::start(config).await.unwrap()
}

async fn asked(daemon: &Daemon, portal: &Portal) -> String {
    let request = json!({"link": portal.link(), "answers": {"PAT_BIRTH_DATE": "1945-07-12"}});
    let id = daemon.api.import_link(&request).await;
    daemon.api.until_state(&id, "Choosing").await;
    id
}

async fn answer(daemon: &Daemon, id: &str, body: Value) -> u16 {
    daemon.api.post(&format!("/api/v1/imports/{id}/answers"), &body).await.0
}

#[tokio::test]
async fn a_list_of_several_days_waits_and_some_of_it_is_taken() {
    let portal = portal().await;
    let daemon = Setup::new().portals_on_loopback().start().await;
    let id = asked(&daemon, &portal).await;
    assert_eq!(portal.counts().downloads, 0);
    let site = daemon.site().clone();
    daemon.kill().await;
    // It waits over a restart, session and all.
    let daemon = site.start().await;
    let import = daemon.api.import(&id).await;
    assert_eq!(import["state"], "Choosing");
    assert_eq!(import["nextStep"], "The portal has several examinations: choose which to fetch.");
    let choice = &import["choices"][1];
    assert_eq!(choice["key"], "second");
    assert_eq!(choice["date"], "2023-10-01");
    assert_eq!(choice["modalities"], "CT");
    assert_eq!(choice["description"], "CT of second");
    assert_eq!(choice["studyInstanceUid"], "2.25.20231001");
    assert_eq!(choice["files"], 3);
    assert_eq!(choice["patient"]["name"], "Beispiel^Berta");
    assert_eq!(choice["patient"]["birthDate"], "1945-07-12");
    let page = daemon.api.text(&format!("/imports/{id}")).await;
    assert!(page.contains("name=\"choice.second\"") && page.contains("CT of first"), "{page}");

    assert_eq!(answer(&daemon, &id, json!({"choices": []})).await, 422);
    assert_eq!(answer(&daemon, &id, json!({"choices": ["third"]})).await, 422);
    assert_eq!(answer(&daemon, &id, json!({"choices": "some"})).await, 422);
    assert_eq!(answer(&daemon, &id, json!({"answers": {"1": "1945-07-12"}})).await, 409);
    assert_eq!(answer(&daemon, &id, json!({})).await, 400);
    assert_eq!(answer(&daemon, &id, json!({"choices": ["second"]})).await, 200);
    // The sample holds no DICOM object: it came, and one entry of it only.
    let ended = daemon.api.until_state(&id, "Failed").await;
    assert!(ended["nextStep"].as_str().unwrap().contains("DICOM object"), "{}", ended["nextStep"]);
    let note = ended["notes"][0].as_str().unwrap();
    assert!(note.contains("announced 3 files, 1 came"), "{note}");
    let counts = portal.counts();
    assert_eq!((counts.logins, counts.downloads), (1, 1), "the birth date went out once");
    assert_eq!(answer(&daemon, &id, json!({"choices": "all"})).await, 409);
    daemon.stop().await;
}

#[tokio::test]
async fn a_choice_is_made_in_the_console_and_on_the_command_line() {
    let portal = portal().await;
    let daemon = Setup::new().portals_on_loopback().start().await;
    let id = asked(&daemon, &portal).await;
    let origin = format!("http://{}", daemon.http);
    let post = |form: &'static str| {
        daemon
            .api
            .request(Method::POST, &format!("/imports/{id}/choices"))
            .header("origin", &origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    };
    assert_eq!(post("").await.unwrap().status(), 422);
    let taken = post("choice.first=yes").await.unwrap();
    assert!(taken.status().is_success() || taken.status().is_redirection(), "{}", taken.status());
    daemon.api.until_state(&id, "Failed").await;
    assert_eq!(portal.counts().downloads, 1);

    let id = asked(&daemon, &portal).await;
    let ended = daemon.cli_with(&["answer", &id], "{\"choices\": [\"first\", \"second\"]}").await;
    ended.ok();
    daemon.api.until_state(&id, "Failed").await;
    assert_eq!(portal.counts().downloads, 3);
    // What the request says is not asked again, and what the configuration says neither.
    let request = json!({"link": portal.link(), "answers": {"PAT_BIRTH_DATE": "1945-07-12"}, "choices": "all"});
    let id = daemon.api.import_link(&request).await;
    daemon.api.until_state(&id, "Failed").await;
    assert_eq!(portal.counts().downloads, 5);
    daemon.stop().await;
}
