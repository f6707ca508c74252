//! `kill -9` while something is arriving: what was answered is there, what was not may be gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lotse::dicom::{AeTitle, Uid};
use lotse::dimse::{self, Chunk, Proposed, Remote, Timeouts};
use lotse::sim::sample::Sample;
use lotse::sim::world::World;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{bytes_below, setup};
use crate::hospital::{keys_of, until};
use crate::sink::Sink;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_not_acknowledged_is_gone_after_a_kill() {
    let world = World::start(1).await.unwrap();
    let site = setup(&world, world.pacs.address().port()).write();
    let daemon = site.start().await;
    let zip = Sample::new(24).zip().unwrap();
    let token = std::fs::read_to_string(site.data_dir().join("api.token")).unwrap();
    let head = format!(
        "POST /api/v1/imports HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/zip\r\nContent-Length: {}\r\n\r\n",
        daemon.http,
        token.trim(),
        zip.len()
    );
    let mut stream = tokio::net::TcpStream::connect(daemon.http).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&zip[..zip.len() / 2]).await.unwrap();
    let spool = site.data_dir().join("spool");
    until("bytes in the spool", async || (bytes_below(&spool) > 1_000_000).then_some(())).await;
    assert_eq!(keys_of(&site.data_dir()).len(), 1);
    let site = daemon.kill().await;
    drop(stream);
    let daemon = site.start().await;
    assert_eq!(daemon.api.imports().await.len(), 0);
    assert_eq!(keys_of(&site.data_dir()), Vec::<std::path::PathBuf>::new());
    let left = bytes_below(&spool);
    assert!(left < 4096, "{left} bytes left in the spool");
    // The same upload again is taken whole, as if nothing had been.
    let id = daemon.api.upload("cd.zip", zip, &json!({})).await;
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

/// The data set of a Part 10 file (PS3.10 7.1).
fn data_set(file: &[u8]) -> bytes::Bytes {
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap());
    bytes::Bytes::copy_from_slice(&file[144 + usize::try_from(length).unwrap()..])
}

/// Sends slices until the other side is gone; counts the answers with success.
async fn send(remote: Remote, sample: Sample, answered: Arc<AtomicUsize>) {
    let class = Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap();
    let syntax = Uid::new("1.2.840.10008.1.2.1").unwrap();
    let proposed = Proposed { sop_class: class.clone(), transfer_syntaxes: vec![syntax.clone()] };
    let sent: Result<(), dimse::Error> = dimse::call(&remote, &[proposed], async |client| {
        for slice in 0..sample.slices() {
            let (data, mut chunks) = tokio::sync::mpsc::channel(2);
            data.send(Chunk::Bytes(data_set(&sample.instance(slice)))).await.unwrap();
            data.send(Chunk::End).await.unwrap();
            let uid = sample.instance_uid(slice);
            let status = client.store(&class, &uid, &syntax, &mut chunks).await?;
            assert_eq!(status.0, 0);
            answered.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    })
    .await;
    drop(sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_were_answered_are_there_after_a_kill() {
    let world = World::start(1).await.unwrap();
    let sink = Sink::start().await;
    // Nobody calls the station, so any port will do for it.
    let site =
        setup(&world, sink.port).peer("station", "STATION", 104, &["store"]).quiet("3s").write();
    let sample = Sample::new(200);
    let mut site = site;
    let mut daemon = site.start().await;
    let mut answered_before = 0;
    for _ in 0..2 {
        let remote = Remote {
            address: daemon.dicom.to_string(),
            called: AeTitle::new("LOTSE").unwrap(),
            calling: AeTitle::new("STATION").unwrap(),
            timeouts: Timeouts::default(),
            max_pdu: 131_072,
            security: Default::default(),
        };
        let answered = Arc::new(AtomicUsize::new(0));
        let sending = tokio::spawn(send(remote, sample, Arc::clone(&answered)));
        let enough = answered_before + 10;
        until("answers", async || (answered.load(Ordering::SeqCst) >= enough).then_some(())).await;
        site = daemon.kill().await;
        sending.await.unwrap();
        answered_before = answered_before.max(answered.load(Ordering::SeqCst));
        daemon = site.start().await;
    }
    // Two bursts, or one if the restart was quick: together they hold what was answered, and at most the
    // object that was under way beside it.
    let imports = daemon.api.imports().await;
    let mut most = 0;
    for import in &imports {
        let received = import["counts"]["received"].as_u64().unwrap();
        most = most.max(usize::try_from(received).unwrap());
    }
    assert!(
        (answered_before..=answered_before + 1).contains(&most),
        "{answered_before} answered, {most} there"
    );

    // They are whole: all of them reach the PACS.
    let id = imports.iter().max_by_key(|import| import["counts"]["received"].as_u64()).unwrap();
    let id = id["id"].as_str().unwrap().to_owned();
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let decision = json!({"item": world.sample.item().item_id(), "reason": "asked the patient"});
    let path = format!("/api/v1/imports/{id}/studies/{study}/decision");
    let (status, body) = daemon.api.post(&path, &decision).await;
    assert!(status < 300, "{body}");
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"].as_u64(), u64::try_from(most).ok());
    let requests = sink.requests();
    for slice in 0..answered_before {
        let uid = sample.instance_uid(u16::try_from(slice).unwrap()).to_string();
        assert_eq!(requests.get(&uid), Some(&1), "{uid}");
    }
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}
