use super::*;

async fn store_one(
    address: SocketAddr,
    pieces: Vec<Vec<u8>>,
    max_pdu: u32,
) -> Result<Status, Error> {
    let remote = Remote { max_pdu, ..remote(address) };
    let mut source = source(pieces);
    call(&remote, &storage(), async |client| {
        client.store(&uid(CT), &uid("1.2.3"), &uid(EXPLICIT), &mut source).await
    })
    .await
}

#[tokio::test]
async fn echoes_on_a_current_thread_runtime() {
    let (address, task) = acceptor(terms()).await;
    let status: Result<Status, Error> =
        call(&remote(address), &storage(), async |client| client.echo().await).await;
    assert_eq!(status.unwrap(), Status::SUCCESS);
    let seen = task.await.unwrap();
    assert_eq!(seen.echoes, 1);
    assert!(matches!(seen.end, Some(Ok(()))), "{:?}", seen.end);
}

#[tokio::test]
async fn stores_objects_of_every_awkward_length() {
    let fragment = MAX_PDU as usize - 6;
    for length in [1, 2, fragment - 1, fragment, fragment + 1, 2 * fragment, 1_000_001] {
        for piece in [7_usize, 4096, fragment, 300_000] {
            if length / piece > 20_000 {
                continue;
            }
            let object: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let pieces = object.chunks(piece).map(<[u8]>::to_vec).collect();
            let (address, task) = acceptor(terms()).await;
            assert_eq!(store_one(address, pieces, MAX_PDU).await.unwrap(), Status::SUCCESS);
            let seen = task.await.unwrap();
            assert!(seen.objects[0].1 == object, "length {length} in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn stores_through_the_smallest_pdus() {
    let object: Vec<u8> = (0..5000_u32).map(|i| u8::try_from(i % 253).unwrap()).collect();
    let (address, task) = acceptor(Terms { max_pdu: MIN_PDU, ..terms() }).await;
    let stored = store_one(address, vec![object.clone()], MIN_PDU).await;
    assert_eq!(stored.unwrap(), Status::SUCCESS);
    assert!(task.await.unwrap().objects[0].1 == object);
}

#[tokio::test]
async fn the_source_of_an_object_that_vanishes_makes_no_short_object() {
    let (address, task) = acceptor(terms()).await;
    let (sender, mut receiver) = mpsc::channel(4);
    sender.send(Chunk::Bytes(Bytes::from(vec![7; 400_000]))).await.unwrap();
    drop(sender);
    let stored: Result<Status, Error> = call(&remote(address), &storage(), async |client| {
        client.store(&uid(CT), &uid("1.2.3"), &uid(EXPLICIT), &mut receiver).await
    })
    .await;
    assert!(matches!(stored, Err(Error::SourceEnded)), "{stored:?}");
    let seen = task.await.unwrap();
    assert!(seen.objects.is_empty());
    assert!(matches!(seen.end, Some(Err(Error::Aborted(Abort::User)))), "{:?}", seen.end);
}

#[tokio::test]
async fn a_call_that_is_dropped_aborts() {
    let (address, task) = acceptor(terms()).await;
    let remote = remote(address);
    let (sender, mut receiver) = mpsc::channel(4);
    sender.send(Chunk::Bytes(Bytes::from(vec![7; 400_000]))).await.unwrap();
    let contexts = storage();
    let store = call(&remote, &contexts, async |client| {
        client.store(&uid(CT), &uid("1.2.3"), &uid(EXPLICIT), &mut receiver).await
    });
    let cut: Result<Result<Status, Error>, _> =
        tokio::time::timeout(Duration::from_millis(300), store).await;
    assert!(cut.is_err());
    let seen = task.await.unwrap();
    assert!(seen.objects.is_empty());
    assert!(matches!(seen.end, Some(Err(Error::Aborted(Abort::User)))), "{:?}", seen.end);
}

#[tokio::test]
async fn work_that_fails_aborts() {
    let (address, task) = acceptor(terms()).await;
    let failed: Result<(), Error> =
        call(&remote(address), &storage(), async |_| Err(Error::SourceEnded)).await;
    assert!(failed.is_err());
    assert!(matches!(task.await.unwrap().end, Some(Err(Error::Aborted(Abort::User)))));
}

#[tokio::test]
async fn a_call_can_be_spawned() {
    let (address, task) = acceptor(terms()).await;
    let remote = remote(address);
    let spawned = tokio::spawn(async move {
        let done: Result<Status, Error> =
            call(&remote, &storage(), async |client| client.echo().await).await;
        done
    });
    assert_eq!(spawned.await.unwrap().unwrap(), Status::SUCCESS);
    task.await.unwrap();
}

#[tokio::test]
async fn many_objects_go_over_one_association() {
    let (address, task) = acceptor(terms()).await;
    let done: Result<(), Error> = call(&remote(address), &storage(), async |client| {
        for number in 0..20 {
            let instance = uid(&format!("1.2.{number}"));
            let mut source = source(vec![vec![number; 70_000]]);
            let status = client.store(&uid(CT), &instance, &uid(IMPLICIT), &mut source).await?;
            assert_eq!(status, Status::SUCCESS);
        }
        Ok(())
    })
    .await;
    done.unwrap();
    let seen = task.await.unwrap();
    assert_eq!(seen.objects.len(), 20);
    assert!(seen.objects.iter().all(|(_, bytes)| bytes.len() == 70_000));
}

#[tokio::test]
async fn an_object_beyond_the_limit_is_cut_off() {
    let (address, task) = acceptor(Terms { max_object: 100_000, ..terms() }).await;
    let stored = store_one(address, vec![vec![1; 64_000]; 100], MAX_PDU).await;
    assert!(matches!(stored, Err(Error::Aborted(_) | Error::Closed(_))), "{stored:?}");
    let seen = task.await.unwrap();
    assert!(matches!(seen.end, Some(Err(Error::TooLarge { .. }))), "{:?}", seen.end);
}
