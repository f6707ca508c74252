//! Packs that are written to by pieces, off the async threads.

use super::*;

#[tokio::test]
async fn async_packs_keep_what_they_are_given() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap().into_async();
    let bytes = Bytes::from(sample(9 * CHUNK + 1234));
    for piece in [700, 16_384, CHUNK, 131_072, bytes.len()] {
        pack.begin();
        for start in (0..bytes.len()).step_by(piece) {
            let piece = bytes.slice(start..bytes.len().min(start + piece));
            pack.write(piece).await.unwrap();
        }
        let blob = pack.finish().await.unwrap();
        pack.sync().await.unwrap();
        assert_eq!(all(&import, &blob).unwrap(), bytes);
    }
    pack.begin();
    pack.write(bytes.clone()).await.unwrap();
    pack.abandon().await.unwrap();
    pack.begin();
    let blob = pack.finish().await.unwrap();
    assert_eq!(blob.length, 0);
    assert_eq!(import.recover().unwrap().blobs.len(), 6);
}

#[tokio::test]
async fn an_async_pack_that_is_dropped_stays_sound() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap().into_async();
    pack.begin();
    pack.write(Bytes::from_static(b"whole")).await.unwrap();
    let blob = pack.finish().await.unwrap();
    pack.begin();
    pack.write(Bytes::from(sample(20 * CHUNK))).await.unwrap();
    drop(pack);
    assert_eq!(all(&import, &blob).unwrap(), b"whole");
    // Cut by the task or, if it is not that far yet, by recovery.
    while import.recover().unwrap().blobs != [blob.clone()] {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn async_errors_come_with_the_next_call() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap().into_async();
    pack.write(Bytes::from(sample(CHUNK))).await.unwrap();
    let mut calls = 0;
    while pack.write(Bytes::from_static(b"x")).await.is_ok() {
        calls += 1;
        tokio::task::yield_now().await;
        assert!(calls < 1_000_000);
    }
    assert!(pack.write(Bytes::from_static(b"x")).await.is_err());
    assert!(pack.finish().await.is_err());
    pack.begin();
    pack.write(Bytes::from_static(b"fine")).await.unwrap();
    let blob = pack.finish().await.unwrap();
    assert_eq!(all(&import, &blob).unwrap(), b"fine");
    assert!(matches!(pack.finish().await, Err(Error::OutOfTurn(_))));
}
