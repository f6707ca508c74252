//! Who closes first (PS3.8 9.2, Sta13).

use tokio::io::DuplexStream;

use super::super::wire::{Inbound, Outbound, abort_pdu, split};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn ends(linger: Duration) -> (Inbound, Outbound, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let timeouts = Timeouts { association: Duration::from_secs(600), ..hasty() };
    let (inbound, outbound) = split(Box::new(ours), MAX_PDU, &timeouts, linger);
    (inbound, outbound, theirs)
}

/// Says an A-ABORT and closes.
fn closing(mut inbound: Inbound, mut outbound: Outbound) -> JoinHandle<()> {
    let last = abort_pdu(Abort::User);
    tokio::spawn(async move { outbound.close(&mut inbound, Some(&last)).await })
}

async fn done(closing: JoinHandle<()>) {
    tokio::time::timeout(PATIENCE, closing).await.unwrap().unwrap();
}

#[tokio::test]
async fn behind_our_last_word_the_peer_closes_first() {
    let (inbound, outbound, mut peer) = ends(Duration::from_secs(600));
    let closing = closing(inbound, outbound);
    let mut last = [0; 10];
    peer.read_exact(&mut last).await.unwrap();
    assert_eq!(last[0], 7);
    // What was on its way meanwhile changes nothing (AA-6).
    peer.write_all(&[4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 3]).await.unwrap();
    let mut more = [0; 1];
    let end = tokio::time::timeout(Duration::from_millis(300), peer.read(&mut more)).await;
    assert!(end.is_err() && !closing.is_finished(), "we closed first: {end:?}");
    peer.shutdown().await.unwrap();
    done(closing).await;
    assert_eq!(peer.read(&mut more).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_never_closes_is_closed_on() {
    let (inbound, outbound, mut peer) = ends(Duration::from_millis(200));
    done(closing(inbound, outbound)).await;
    let mut all = Vec::new();
    peer.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 10);
    // Nor does it help to go on talking, or not to read.
    let (inbound, outbound, mut peer) = ends(Duration::from_millis(200));
    let closing = closing(inbound, outbound);
    let talking = async { while peer.write_all(&[0; 4096]).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, talking).await.unwrap();
    done(closing).await;
}

#[tokio::test]
async fn one_who_talks_more_than_is_read_is_closed_on() {
    let (inbound, outbound, mut peer) = ends(Duration::from_secs(600));
    let closing = closing(inbound, outbound);
    let talking = async { while peer.write_all(&[0; 64 << 10]).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, talking).await.unwrap();
    done(closing).await;
}

#[tokio::test]
async fn after_a_release_too_the_peer_closes_first() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    raw.send(&Pdu::ReleaseRQ).await;
    assert!(matches!(raw.read().await, Some(Pdu::ReleaseRP)));
    raw.0.shutdown().await.unwrap();
    assert!(raw.read().await.is_none());
    let seen = tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(matches!(seen.end, Some(Ok(()))), "{:?}", seen.end);
}
