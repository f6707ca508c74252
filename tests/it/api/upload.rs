//! Files over HTTP: every form of body, and those that never come to their end.

use std::time::Duration;

use lotse::sim::sample::Sample;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::super::desk::{Hospital, zip};
use super::super::support::eventually;
use super::{Answer, get, token};

const IMPORTS: &str = "/api/v1/imports";

async fn send_form(desk: &Hospital, form: Form) -> Answer {
    let request = desk.daemon.api.request(Method::POST, IMPORTS).multipart(form);
    Answer::of(request.send().await.unwrap()).await
}

async fn send_body(desk: &Hospital, kind: &str, body: Vec<u8>) -> Answer {
    let request =
        desk.daemon.api.request(Method::POST, IMPORTS).header("content-type", kind).body(body);
    Answer::of(request.send().await.unwrap()).await
}

fn file(name: &str, bytes: Vec<u8>) -> Part {
    Part::bytes(bytes).file_name(name.to_owned())
}

#[tokio::test]
async fn files_come_as_form_archive_or_instance() {
    let desk = Hospital::open().await;
    let (api, sample) = (&desk.daemon.api, desk.world.sample);
    let archive = sample.zip().unwrap();

    // A form whose request names the order: delivered without a person.
    let request = json!({"accessionNumber": "A2026004711", "patient": {"patientId": "100234567", "issuer": "KLINIKUM"}});
    let form =
        Form::new().text("request", request.to_string()).part("file", file("cd.zip", archive));
    let answer = send_form(&desk, form).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let id = answer.body["id"].as_str().unwrap();
    let import = api.until_state(id, "Closed").await;
    assert_eq!((&import["kind"], &import["counts"]["delivered"]), (&json!("upload"), &json!(3)));
    assert_eq!(import["setAside"].as_array().unwrap().len(), Sample::SET_ASIDE);

    // A bare archive, a bare instance, and several files of one form.
    let other = Sample::with_seed(2, 31);
    let answer = send_body(&desk, "application/zip", zip(&[("A", &other.instance(0))])).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    api.until_studies(answer.body["id"].as_str().unwrap(), "AwaitingDecision").await;
    let answer = send_body(&desk, "application/dicom", Sample::with_seed(1, 32).instance(0)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let import = api.until_studies(answer.body["id"].as_str().unwrap(), "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], 1);
    let third = Sample::with_seed(2, 33);
    let form = Form::new()
        .part("file", file("1.dcm", third.instance(0)))
        .part("file", file("../../2.dcm", third.instance(1)))
        .part("file", file("notes.xyz", b"text".to_vec()));
    let answer = send_form(&desk, form).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let import = api.until_studies(answer.body["id"].as_str().unwrap(), "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], 2);
    assert_eq!(import["setAside"][0]["name"], "notes.xyz");

    // What is no DICOM is taken and told.
    let answer = send_body(&desk, "application/zip", b"PK\x03\x04 not at all".to_vec()).await;
    assert_eq!(answer.status, 202);
    let id = answer.body["id"].as_str().unwrap();
    let import = api
        .until(id, "a verdict", |import| {
            matches!(import["state"].as_str(), Some("Failed" | "Unpacked" | "Closed"))
        })
        .await;
    assert!(import["studies"].as_array().unwrap().is_empty());
    assert!(import["nextStep"].as_str().unwrap().len() > 20, "{import}");
    desk.close().await;
}

#[tokio::test]
async fn a_form_that_is_not_as_documented_leaves_nothing() {
    let desk = Hospital::open().await;
    let image = desk.world.sample.instance(0);
    let one = || file("a.dcm", image.clone());
    let long = "x".repeat(70_000);
    let forms: Vec<(Form, u16)> = vec![
        (Form::new().text("request", "{}"), 422),
        (Form::new().text("request", "{").part("file", one()), 400),
        (Form::new().text("request", "{\"patientId\": 1}").part("file", one()), 400),
        (Form::new().text("request", "{\"link\": \"https://a.example\"}").part("file", one()), 422),
        (Form::new().text("request", "{\"destination\": \"nowhere\"}").part("file", one()), 422),
        (Form::new().text("request", long).part("file", one()), 413),
        (Form::new().part("file", one()).text("request", "{}"), 422),
        (Form::new().text("other", "1").part("file", one()), 422),
    ];
    for (number, (form, status)) in forms.into_iter().enumerate() {
        let answer = send_form(&desk, form).await;
        assert_eq!(answer.status, status, "form {number}: {}", answer.body);
        answer.refused(status);
    }
    let answer = send_body(&desk, "multipart/form-data", b"x".to_vec()).await;
    answer.refused(400);
    send_body(&desk, "multipart/form-data; boundary=b", b"--b\r\n".to_vec()).await.refused(400);
    send_body(&desk, "application/zip", Vec::new()).await.refused(422);
    let gone = || async { (desk.keys() == 0 && desk.spooled() == 0).then_some(()) };
    eventually("no file to be left", gone).await;
    assert_eq!(get(&desk, IMPORTS).await.body["total"], 0);
    desk.close().await;
}

#[tokio::test]
async fn an_upload_that_is_cut_leaves_nothing() {
    let desk = Hospital::open().await;
    let (http, token) = (desk.daemon.http, token(&desk));
    let image = desk.world.sample.instance(0);
    let head =
        format!("POST {IMPORTS} HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\n");
    let bare = format!("{head}Content-Type: application/zip\r\nContent-Length: 9000000\r\n\r\n");
    let form = format!(
        "{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.dcm\"\r\n\r\n"
    );
    let chunked = format!(
        "{head}Content-Type: application/dicom\r\nTransfer-Encoding: chunked\r\n\r\n7ffff\r\n"
    );
    for head in [bare, form, chunked] {
        let mut stream = tokio::net::TcpStream::connect(http).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&image[..300_000]).await.unwrap();
        eventually("the upload to be under way", || async { (desk.keys() > 0).then_some(()) })
            .await;
        let list = get(&desk, IMPORTS).await;
        assert_eq!(list.body["total"], 0, "it is no import before it is whole");
        drop(stream);
        let gone = || async { (desk.keys() == 0 && desk.spooled() == 0).then_some(()) };
        eventually("key and bytes to be gone", gone).await;
    }
    assert_eq!(get(&desk, IMPORTS).await.body["imports"], Value::Array(vec![]));
    // The same at the end of the daemon.
    let mut stream = tokio::net::TcpStream::connect(http).await.unwrap();
    let bare = format!("{head}Content-Type: application/zip\r\nContent-Length: 9000000\r\n\r\n");
    stream.write_all(bare.as_bytes()).await.unwrap();
    stream.write_all(&image[..300_000]).await.unwrap();
    eventually("the upload to be under way", || async { (desk.keys() > 0).then_some(()) }).await;
    let Hospital { world, daemon } = desk;
    let begun = std::time::Instant::now();
    let (code, site) = daemon.stop().await;
    assert_eq!(code, 0);
    assert!(begun.elapsed() < Duration::from_secs(25));
    let daemon = site.start().await;
    let desk = Hospital { world, daemon };
    assert_eq!((desk.keys(), desk.spooled()), (0, 0), "cleared at the next start at the latest");
    drop(stream);
    desk.close().await;
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let desk = Hospital::open().await;
    let large = vec![0x5a; 40 << 20];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}{IMPORTS}", desk.daemon.http);
    let kind = "application/zip";
    let stranger = client.post(&url).header("content-type", kind).body(large.clone());
    Answer::of(stranger.send().await.unwrap()).await.refused(401);
    let wrong = client.post(&url).bearer_auth("0".repeat(64)).header("content-type", kind);
    Answer::of(wrong.body(large.clone()).send().await.unwrap()).await.refused(401);
    send_body(&desk, "text/plain", large.clone()).await.refused(415);
    let form = Form::new()
        .text("request", "{\"destination\": \"nowhere\"}")
        .part("file", file("a.zip", large.clone()));
    let answer = send_form(&desk, form).await;
    assert!(answer.refused(422).contains("destination"), "{}", answer.body);
    let path = desk.world.folder().join("large.zip");
    std::fs::write(&path, &large).unwrap();
    let ended = desk.daemon.cli(&["import", path.to_str().unwrap(), "--to", "nowhere"]).await;
    assert_eq!(ended.code, 65, "{}", ended.stderr);
    assert!(ended.stderr.contains("destination"), "{}", ended.stderr);
    assert_eq!((desk.keys(), desk.spooled()), (0, 0));
    desk.close().await;
}
