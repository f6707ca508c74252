use super::*;
use dicom_ul::pdu::{AssociationAC, PresentationContextResult, PresentationContextResultReason};

fn accepting(raw_contexts: &[(u8, &str)]) -> Pdu {
    let result = |(id, syntax): &(u8, &str)| PresentationContextResult {
        id: *id,
        reason: PresentationContextResultReason::Acceptance,
        transfer_syntax: (*syntax).to_owned(),
    };
    Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        calling_ae_title: "MODALITY".to_owned(),
        called_ae_title: "LOTSE".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: raw_contexts.iter().map(result).collect(),
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    })
}

async fn greet(raw: &mut Raw) {
    raw.read().await.unwrap();
    raw.send(&accepting(&[(1, EXPLICIT), (3, IMPLICIT), (5, IMPLICIT)])).await;
}

fn rsp(message_id: u16, status: Status) -> Command {
    let (sop_class, sop_instance) = (None, None);
    Command::StoreRsp { responded: message_id, sop_class, sop_instance, status }
}

async fn read_object(raw: &mut Raw) -> usize {
    let mut length = 0;
    loop {
        let Some(Pdu::PData { data }) = raw.read().await else {
            return length;
        };
        for value in data {
            if value.value_type == PDataValueType::Data {
                length += value.data.len();
                if value.is_last {
                    return length;
                }
            }
        }
    }
}

async fn store(address: SocketAddr, length: usize) -> Result<Status, Error> {
    let mut source = source(vec![vec![5; 50_000]; length / 50_000]);
    let (remote, contexts) = (remote(address), storage());
    let work = call(&remote, &contexts, async |client| {
        client.store(&uid(CT), &uid("1.2.3"), &uid(EXPLICIT), &mut source).await
    });
    tokio::time::timeout(Duration::from_secs(10), work).await.unwrap()
}

#[tokio::test]
async fn an_abort_while_we_send_is_heard() {
    let (address, task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        for _ in 0..3 {
            raw.read().await;
        }
        raw.send(&wire::abort_pdu(Abort::NotSpecified)).await;
        // It stops reading, but keeps the connection.
        tokio::time::sleep(Duration::from_millis(600)).await;
    })
    .await;
    let stored = store(address, 50_000_000).await;
    assert!(matches!(stored, Err(Error::Aborted(Abort::NotSpecified))), "{stored:?}");
    task.await.unwrap();
}

#[tokio::test]
async fn an_early_refusal_is_kept_until_the_object_is_sent() {
    let (address, task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        raw.read().await;
        raw.command(1, &rsp(1, Status::OUT_OF_RESOURCES)).await;
        assert_eq!(read_object(&mut raw).await, 5_000_000);
        assert_eq!(raw.read().await, Some(Pdu::ReleaseRQ));
        raw.send(&Pdu::ReleaseRP).await;
    })
    .await;
    assert_eq!(store(address, 5_000_000).await.unwrap(), Status::OUT_OF_RESOURCES);
    task.await.unwrap();
}

#[tokio::test]
async fn an_early_success_is_not_believed() {
    let (address, _task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        raw.read().await;
        raw.command(1, &rsp(1, Status::SUCCESS)).await;
        read_object(&mut raw).await;
    })
    .await;
    let stored = store(address, 20_000_000).await;
    assert!(matches!(stored, Err(Error::Protocol { .. })), "{stored:?}");
}

#[tokio::test]
async fn an_answer_to_another_message_is_not_believed() {
    let (address, _task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        read_object(&mut raw).await;
        raw.command(1, &rsp(2, Status::SUCCESS)).await;
        raw.read().await;
    })
    .await;
    let stored = store(address, 100_000).await;
    assert!(matches!(stored, Err(Error::Protocol { .. })), "{stored:?}");
}

#[tokio::test]
async fn a_connection_lost_before_the_answer_is_no_success() {
    let (address, _task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        read_object(&mut raw).await;
    })
    .await;
    let stored = store(address, 100_000).await;
    assert!(matches!(stored, Err(Error::Closed(_))), "{stored:?}");
    assert_eq!(stored.unwrap_err().class(), Class::Retry);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_given_up() {
    for greets in [false, true] {
        let (address, task) = scripted(async move |mut raw| {
            if greets {
                greet(&mut raw).await;
                read_object(&mut raw).await;
            }
            tokio::time::sleep(Duration::from_secs(8)).await;
        })
        .await;
        let stored = store(address, 100_000).await;
        assert!(matches!(stored, Err(Error::TimedOut(_))), "{stored:?}");
        task.abort();
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let (address, task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        tokio::time::sleep(Duration::from_secs(12)).await;
    })
    .await;
    let stored = store(address, 100_000_000).await;
    assert!(matches!(stored, Err(Error::TimedOut(_))), "{stored:?}");
    task.abort();
}

#[tokio::test]
async fn a_release_while_we_send_is_an_error() {
    let (address, _task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        raw.read().await;
        raw.send(&Pdu::ReleaseRQ).await;
        read_object(&mut raw).await;
    })
    .await;
    let stored = store(address, 20_000_000).await;
    assert!(matches!(stored, Err(Error::Released(_))), "{stored:?}");
}

#[tokio::test]
async fn refused_contexts_without_a_syntax_are_read() {
    let (address, _task) = scripted(async |mut raw| {
        raw.read().await.unwrap();
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, &accepting(&[(5, IMPLICIT)])).unwrap();
        // Two results of four bytes: refused, no transfer syntax sub-item; one with a reason nobody knows.
        bytes.extend([0x21, 0, 0, 4, 1, 0, 3, 0, 0x21, 0, 0, 4, 3, 0, 9, 0]);
        let length = u32::try_from(bytes.len() - 6).unwrap();
        bytes[2..6].copy_from_slice(&length.to_be_bytes());
        raw.bytes(&bytes).await;
        raw.read().await;
        raw.send(&Pdu::ReleaseRP).await;
    })
    .await;
    let found: Result<(Vec<Uid>, Vec<Uid>), Error> =
        call(&remote(address), &storage(), async |client| {
            Ok((client.accepted(&uid(CT)), client.accepted(&uid(uids::VERIFICATION))))
        })
        .await;
    let (ct, verification) = found.unwrap();
    assert!(ct.is_empty());
    assert_eq!(verification, [uid(IMPLICIT)]);
}

#[tokio::test]
async fn a_syntax_that_was_not_proposed_is_no_acceptance() {
    let (address, _task) = scripted(async |mut raw| {
        raw.read().await.unwrap();
        raw.send(&accepting(&[(1, "1.2.840.10008.1.2.2"), (77, EXPLICIT)])).await;
        raw.read().await;
        raw.send(&Pdu::ReleaseRP).await;
    })
    .await;
    let stored: Result<Status, Error> = call(&remote(address), &storage(), async |client| {
        match client.store(&uid(CT), &uid("1.2"), &uid(EXPLICIT), &mut source(vec![])).await {
            Err(Error::ContextRefused { .. }) => Ok(Status::CLASS_NOT_SUPPORTED),
            other => other,
        }
    })
    .await;
    assert_eq!(stored.unwrap(), Status::CLASS_NOT_SUPPORTED);
}

#[tokio::test]
async fn a_release_collision_ends_well() {
    let (address, task) = scripted(async |mut raw| {
        greet(&mut raw).await;
        assert_eq!(raw.read().await, Some(Pdu::ReleaseRQ));
        raw.send(&Pdu::ReleaseRQ).await;
        assert_eq!(raw.read().await, Some(Pdu::ReleaseRP));
        raw.send(&Pdu::ReleaseRP).await;
    })
    .await;
    let done: Result<(), Error> = call(&remote(address), &storage(), async |_| Ok(())).await;
    done.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn other_servers_are_named() {
    for (greeting, spoken) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Spoken::Http),
        (b"\x15\x03\x03\x00\x02\x02\x0a", Spoken::Tls),
        (b"220 mail ESMTP\r\n", Spoken::Unknown),
    ] {
        let (address, _task) = scripted(async move |mut raw| {
            raw.bytes(greeting).await;
            raw.read().await;
        })
        .await;
        let found: Result<(), Error> = call(&remote(address), &storage(), async |_| Ok(())).await;
        match found {
            Err(error @ Error::NotDicom(found)) => {
                assert_eq!(found, spoken);
                assert_eq!(error.class(), Class::Configuration);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn connecting_fails_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let refused: Result<(), Error> = call(&remote(closed), &storage(), async |_| Ok(())).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    let nowhere = Remote { address: "pacs.invalid:104".to_owned(), ..remote(closed) };
    let unknown: Result<(), Error> = call(&nowhere, &storage(), async |_| Ok(())).await;
    assert!(matches!(unknown, Err(Error::Resolve(_))), "{unknown:?}");
    let malformed = Remote { address: "no port".to_owned(), ..remote(closed) };
    let unknown: Result<(), Error> = call(&malformed, &storage(), async |_| Ok(())).await;
    assert!(matches!(unknown, Err(Error::Resolve(_))), "{unknown:?}");
}
