//! QR codes on release sheets: every sample that can be read is read, and nothing is misread.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use lotse::fetch::code;
use lotse::sim::sample::Sample;
use lotse::sim::world::World;
use serde_json::{Value, json};

use crate::desk::zip;
use crate::hospital::keys_of;
use crate::sink::Sink;
use crate::support::{Daemon, Setup, run, script, test_env};

/// Makes the samples, or two sheets that show one link; gives them by name, with the text that each holds.
async fn samples(folder: &Path, link: Option<&str>) -> BTreeMap<String, String> {
    let mut command = Command::new(test_env("venv/bin/python"));
    command.arg(script("codes.py")).arg(folder).args(link);
    run(&mut command, "").await.ok();
    let list = std::fs::read_to_string(folder.join("codes.tsv")).unwrap();
    let line = |line: &str| {
        let (name, text) = line.split_once('\t').unwrap();
        (name.to_owned(), text.to_owned())
    };
    list.lines().map(line).collect()
}

/// What is read in these files.
async fn read_every_second(
    folder: &Path,
    names: impl Iterator<Item = &String>,
) -> Vec<(String, Vec<String>)> {
    let files: Vec<_> = names.map(|name| (name.clone(), folder.join(name))).collect();
    let reading = tokio::task::spawn_blocking(move || {
        let read = |path: &Path| code::read(&std::fs::read(path).unwrap());
        let each = files.into_iter().map(|(name, path)| (name, read(&path).into_iter().collect()));
        each.collect()
    });
    reading.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_read_and_none_is_misread() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), None).await;
    let (mut read, mut empty, mut wrong) = (0, 0, vec![]);
    // Two at a time: it is work for the processor, and a small machine has two.
    let (first, second) = tokio::join!(
        read_every_second(folder.path(), samples.keys().step_by(2)),
        read_every_second(folder.path(), samples.keys().skip(1).step_by(2)),
    );
    for (name, found) in first.into_iter().chain(second) {
        match (samples[&name].as_str(), found.as_slice()) {
            ("", []) => empty += 1,
            (wanted, [one]) if wanted == one => read += 1,
            (_, found) => wrong.push((name.clone(), found.len())),
        }
    }
    println!("{read} codes read, {empty} files without one");
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(read >= 30 && empty >= 10, "{read} read, {empty} empty");
    let several = std::fs::read(folder.path().join("several.png")).unwrap();
    let texts = code::read(&several);
    assert_eq!(texts.len(), 2);
    assert!(matches!(code::link(&texts), code::Meant::Several));
}

async fn daemon(world: &World, pacs: u16) -> Daemon {
    Setup::new()
        .peer("ris", "RIS", world.ris.address().port(), &[])
        .worklist_peer("ris")
        .peer("pacs", "PACS", pacs, &[])
        .destination_peer("pacs")
        .portals_on_loopback()
        .start()
        .await
}

fn order(world: &World) -> Value {
    let item = world.sample.item();
    let id = item.patient.id.unwrap();
    json!({
        "patient": {"patientId": id.id, "issuer": id.issuer},
        "accessionNumber": item.accession_number.unwrap().number,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_of_the_sheet_is_the_link() {
    let world = World::start(4).await.unwrap();
    let sink = Sink::start().await;
    let daemon = daemon(&world, sink.port).await;
    let folder = tempfile::tempdir().unwrap();
    let link = world.portal.link();
    assert_eq!(samples(folder.path(), Some(&link)).await.len(), 2);

    // Uploaded at the desk: the portal asks its question, as if the link had been pasted.
    let photo = std::fs::read(folder.path().join("photo.jpg")).unwrap();
    let id = daemon.api.upload("IMG_0815.jpg", photo, &order(&world)).await;
    let import = daemon.api.until_state(&id, "Asking").await;
    assert_eq!((&import["kind"], &import["source"]), (&json!("link"), &json!("127.0.0.1")));
    assert_eq!(daemon.api.imports().await.len(), 1, "nothing is left of the upload");
    let keys = keys_of(&daemon.site().data_dir());
    assert_eq!(keys.len(), 1, "{keys:?}");
    let answers = json!({"answers": {"PAT_BIRTH_DATE": world.sample.birth_date()}});
    let (status, body) = daemon.api.post(&format!("/api/v1/imports/{id}/answers"), &answers).await;
    assert!(status < 300, "{body}");
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], 4);
    assert_eq!(sink.requests().len(), 5, "the slices and one PDF");

    // The letter as a PDF, given on the command line.
    let letter = folder.path().join("letter.pdf");
    let ended = daemon.cli(&["import", letter.to_str().unwrap(), "--json"]).await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let made: Value = serde_json::from_str(&ended.stdout).unwrap();
    let import = daemon.api.until_state(made["id"].as_str().unwrap(), "Asking").await;
    assert_eq!(import["kind"], "link");

    let token = link.rsplit(['=', '/']).next().unwrap();
    assert!(token.len() > 5, "{token}");
    let said = daemon.log();
    assert!(!said.contains(&link) && !said.contains(token), "the link is in the log");
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sheet_stays_what_it_is() {
    let world = World::start(1).await.unwrap();
    let sink = Sink::start().await;
    let daemon = daemon(&world, sink.port).await;
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    samples(folder.path(), Some(&world.portal.link())).await;
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();

    // A letter with a code beside DICOM objects belongs to them.
    let slice = Sample::new(1).instance(0);
    let (letter, photo) = (read("letter.pdf"), read("photo.jpg"));
    let archive = zip(&[("IM1", &slice), ("letter.pdf", &letter), ("photo.jpg", &photo)]);
    let id = daemon.api.upload("cd.zip", archive, &json!({})).await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["kind"], "upload");
    let form = reqwest::multipart::Form::new()
        .part("file", reqwest::multipart::Part::bytes(letter.clone()).file_name("letter.pdf"))
        .part("file", reqwest::multipart::Part::bytes(slice).file_name("IM1"));
    let request = daemon.api.request(reqwest::Method::POST, "/api/v1/imports").multipart(form);
    let made: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(made["kind"], "upload", "{made}");

    // Two codes: a person says which.
    samples(other.path(), None).await;
    let several = std::fs::read(other.path().join("several.png")).unwrap();
    let request = daemon.api.request(reqwest::Method::POST, "/api/v1/imports");
    let answer = request.header("content-type", "image/png").body(several).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 422);
    let problem: Value = answer.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("different places"), "{problem}");

    // No code, or one that is no link: an upload as before.
    for name in ["letter.pdf", "bare.png"] {
        let bytes = std::fs::read(other.path().join(name)).unwrap();
        let id = daemon.api.upload(name, bytes, &json!({})).await;
        let import = daemon.api.until_state(&id, "Failed").await;
        assert_eq!(import["kind"], "upload", "{name}");
    }
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}
