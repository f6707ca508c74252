//! A device that never falls silent: what it sends is delivered all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lotse::dicom::{AeTitle, Uid};
use lotse::dimse::{self, Chunk, Proposed, Remote, Timeouts};
use lotse::sim::sample::Sample;
use lotse::sim::world::World;
use serde_json::json;

use crate::hospital::until;
use crate::sink::Sink;
use crate::support::Setup;

/// The data set of a Part 10 file (PS3.10 7.1).
fn data_set(file: &[u8]) -> bytes::Bytes {
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap());
    bytes::Bytes::copy_from_slice(&file[144 + usize::try_from(length).unwrap()..])
}

/// Sends slice after slice of one study on one association until it is told to stop, and counts the successes.
async fn send(remote: Remote, sample: Sample, ends: Arc<AtomicBool>, stored: Arc<AtomicUsize>) {
    let class = Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap();
    let syntax = Uid::new("1.2.840.10008.1.2.1").unwrap();
    let proposed = Proposed { sop_class: class.clone(), transfer_syntaxes: vec![syntax.clone()] };
    let sent: Result<(), dimse::Error> = dimse::call(&remote, &[proposed], async |client| {
        for slice in 0..sample.slices() {
            if ends.load(Ordering::SeqCst) {
                break;
            }
            let (data, mut chunks) = tokio::sync::mpsc::channel(2);
            data.send(Chunk::Bytes(data_set(&sample.instance(slice)))).await.unwrap();
            data.send(Chunk::End).await.unwrap();
            let uid = sample.instance_uid(slice);
            let status = client.store(&class, &uid, &syntax, &mut chunks).await?;
            assert_eq!(status.0, 0, "slice {slice}");
            stored.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Ok(())
    })
    .await;
    sent.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_falls_silent_is_delivered_while_it_sends() {
    let world = World::start(1).await.unwrap();
    let sink = Sink::start().await;
    let daemon = Setup::new()
        .peer("ris", "RIS", world.ris.address().port(), &[])
        .worklist_peer("ris")
        .peer("pacs", "PACS", sink.port, &[])
        .destination_peer("pacs")
        .peer("station", "STATION", 104, &["store"])
        // It would be an hour before anything went on.
        .quiet("1h")
        .dicom("longest-burst = \"2s\"")
        .start()
        .await;
    let remote = Remote {
        address: daemon.dicom.to_string(),
        called: AeTitle::new("LOTSE").unwrap(),
        calling: AeTitle::new("STATION").unwrap(),
        timeouts: Timeouts::default(),
        max_pdu: 131_072,
        security: Default::default(),
    };
    let sample = Sample::new(5000);
    let (ends, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let sending = tokio::spawn(send(remote, sample, Arc::clone(&ends), Arc::clone(&stored)));

    // The first import is closed and asks a person, while objects keep coming.
    let first = daemon.api.until_from("station").await;
    let import = daemon.api.until_studies(&first, "AwaitingDecision").await;
    let before = stored.load(Ordering::SeqCst);
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let decision = json!({"item": world.sample.item().item_id(), "reason": "asked the patient"});
    let path = format!("/api/v1/imports/{first}/studies/{study}/decision");
    let (status, body) = daemon.api.post(&path, &decision).await;
    assert!(status < 300, "{body}");
    // Later ones follow what was decided, and are delivered without anybody.
    until("a later import that is delivered", async || {
        let imports = daemon.api.imports().await;
        let closed = imports.iter().filter(|i| i["state"] == "Closed").count();
        (imports.len() >= 3 && closed >= 2).then_some(())
    })
    .await;
    assert!(stored.load(Ordering::SeqCst) > before && !sending.is_finished(), "it still sends");
    ends.store(true, Ordering::SeqCst);
    sending.await.unwrap();
    // Nothing fell between two imports.
    let stored = stored.load(Ordering::SeqCst);
    until("all objects at the PACS", async || (sink.requests().len() == stored).then_some(()))
        .await;
    for slice in 0..stored {
        let uid = sample.instance_uid(u16::try_from(slice).unwrap()).to_string();
        assert_eq!(sink.requests().get(&uid), Some(&1), "{uid}");
    }
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}
