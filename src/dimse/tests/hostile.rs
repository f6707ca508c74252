use super::*;

async fn end_of(task: JoinHandle<Seen>) -> Seen {
    tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap()
}

fn aborted(pdu: &Option<Pdu>) -> bool {
    matches!(pdu, Some(Pdu::AbortRQ { .. }))
}

#[tokio::test]
async fn a_data_pdu_of_four_gigabytes_is_aborted_unread() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    raw.command(1, &store_rq(1)).await;
    raw.bytes(&[4, 0, 0xff, 0xff, 0xff, 0xf0]).await;
    raw.bytes(&vec![0; 4 << 20]).await;
    assert!(aborted(&raw.read().await));
    let seen = end_of(task).await;
    assert!(matches!(seen.end, Some(Err(Error::TooLarge { .. }))), "{:?}", seen.end);
}

#[tokio::test]
async fn an_association_pdu_of_four_gigabytes_is_aborted_unread() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::connect(address).await;
    raw.bytes(&[1, 0, 0xff, 0xff, 0xff, 0xf0, 0, 1]).await;
    assert!(aborted(&raw.read().await));
    assert!(matches!(end_of(task).await.end, Some(Err(Error::TooLarge { .. }))));
}

#[tokio::test]
async fn empty_fragments_do_not_truncate() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    raw.command(1, &store_rq(1)).await;
    for (bytes, last) in [(&[1; 10][..], false), (&[], false), (&[2; 10], false), (&[], true)] {
        raw.values(vec![data(bytes, last)]).await;
    }
    assert!(matches!(raw.read_command().await, Command::StoreRsp { status: Status::SUCCESS, .. }));
    raw.send(&Pdu::ReleaseRQ).await;
    assert_eq!(raw.read().await, Some(Pdu::ReleaseRP));
    let seen = end_of(task).await;
    assert_eq!(seen.objects[0].1, [[1; 10], [2; 10]].concat());
}

#[tokio::test]
async fn messages_that_share_pdus_stay_apart() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    let command = |id| value(1, PDataValueType::Command, true, store_rq(id).encode().unwrap());
    raw.values(vec![command(1), data(&[1; 10], false)]).await;
    raw.values(vec![data(&[2; 10], true), command(2), data(&[3; 4], true)]).await;
    for id in [1, 2] {
        match raw.read_command().await {
            Command::StoreRsp { responded, .. } => assert_eq!(responded, id),
            other => panic!("{other:?}"),
        }
    }
    raw.send(&Pdu::ReleaseRQ).await;
    let seen = end_of(task).await;
    assert_eq!(seen.objects[0].1.len(), 20);
    assert_eq!(seen.objects[1].1, vec![3; 4]);
}

#[tokio::test]
async fn a_command_in_fragments_is_joined() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    let command = Command::EchoRq { message_id: 9 }.encode().unwrap();
    let (one, two) = command.split_at(11);
    raw.values(vec![value(3, PDataValueType::Command, false, one.to_vec())]).await;
    raw.values(vec![value(3, PDataValueType::Command, true, two.to_vec())]).await;
    assert!(matches!(raw.read_command().await, Command::EchoRsp { responded: 9, .. }));
    raw.send(&Pdu::ReleaseRQ).await;
    assert_eq!(end_of(task).await.echoes, 1);
}

#[tokio::test]
async fn fragments_out_of_place_are_aborted() {
    let command = |last| value(1, PDataValueType::Command, last, store_rq(1).encode().unwrap());
    let elsewhere = |id| value(id, PDataValueType::Data, true, vec![0; 4]);
    let breaches = [
        vec![data(&[1; 4], true)],
        vec![command(true), data(&[1; 4], false), command(true)],
        vec![command(true), elsewhere(3)],
        vec![command(true), elsewhere(77)],
        vec![command(false), elsewhere(1)],
        vec![value(1, PDataValueType::Command, true, vec![0xff; 100])],
        vec![],
    ];
    for values in breaches {
        let (address, task) = acceptor(terms()).await;
        let mut raw = Raw::associated(address).await;
        raw.values(values.clone()).await;
        assert!(aborted(&raw.read().await), "{values:?}");
        let seen = end_of(task).await;
        assert!(seen.objects.is_empty());
        assert!(matches!(seen.end, Some(Err(Error::Protocol { .. }))), "{:?}", seen.end);
    }
}

#[tokio::test]
async fn a_command_without_end_is_bounded() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    for _ in 0..4 {
        raw.values(vec![value(1, PDataValueType::Command, false, vec![0; 30_000])]).await;
    }
    assert!(aborted(&raw.read().await));
    assert!(matches!(end_of(task).await.end, Some(Err(Error::TooLarge { .. }))));
}

#[tokio::test]
async fn empty_fragments_without_end_are_bounded() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    raw.command(1, &store_rq(1)).await;
    for _ in 0..20 {
        raw.values(vec![data(&[], false); 100]).await;
    }
    assert!(aborted(&raw.read().await));
    assert!(matches!(end_of(task).await.end, Some(Err(Error::Protocol { .. }))));
}

#[tokio::test]
async fn a_trickling_peer_is_cut() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    let begun = tokio::time::Instant::now();
    raw.bytes(&[4, 0, 0, 0, 1, 0]).await;
    let trickle = async {
        loop {
            raw.bytes(&[0]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let seen = tokio::select! { seen = end_of(task) => seen, () = trickle => unreachable!() };
    assert!(matches!(seen.end, Some(Err(Error::TimedOut(_)))), "{:?}", seen.end);
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_silent_peer_is_cut() {
    let (address, task) = acceptor(terms()).await;
    let _raw = Raw::connect(address).await;
    assert!(matches!(end_of(task).await.end, Some(Err(Error::TimedOut(_)))));
}

#[tokio::test]
async fn an_object_that_stops_coming_is_cut() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    raw.command(1, &store_rq(1)).await;
    raw.values(vec![data(&[1; 10], false)]).await;
    let seen = end_of(task).await;
    assert!(seen.objects.is_empty());
    assert!(matches!(seen.end, Some(Err(Error::TimedOut(_)))), "{:?}", seen.end);
}

#[tokio::test]
async fn other_protocols_are_named() {
    let cases: [(&[u8], Spoken); 4] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Spoken::Http),
        (b"\x16\x03\x01\x02\x00\x01\x00", Spoken::Tls),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Spoken::Unknown),
        (&[0xff; 64], Spoken::Unknown),
    ];
    for (bytes, spoken) in cases {
        let (address, task) = acceptor(terms()).await;
        let mut raw = Raw::connect(address).await;
        raw.bytes(bytes).await;
        match end_of(task).await.end {
            Some(Err(Error::NotDicom(found))) => assert_eq!(found, spoken),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_operation_is_answered_and_its_data_dropped() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    // An N-CREATE-RQ with a data set.
    let action = [(0x0100_u16, vec![0x40, 0x01]), (0x0110, vec![5, 0]), (0x0800, vec![0, 0])];
    let mut bytes = Vec::new();
    for (element, content) in action {
        bytes.extend([0, 0]);
        bytes.extend(element.to_le_bytes());
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(content);
    }
    raw.values(vec![value(1, PDataValueType::Command, true, bytes), data(&[9; 50], true)]).await;
    match raw.read().await {
        Some(Pdu::PData { data }) => {
            let bytes = &data[0].data;
            let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
            assert!(has(&[0x00, 0x01, 2, 0, 0, 0, 0x40, 0x81]), "the field of an N-CREATE-RSP");
            assert!(has(&[0x00, 0x09, 2, 0, 0, 0, 0x11, 0x02]), "status 0211");
        }
        other => panic!("{other:?}"),
    }
    raw.command(3, &Command::EchoRq { message_id: 6 }).await;
    assert!(matches!(raw.read_command().await, Command::EchoRsp { responded: 6, .. }));
    raw.send(&Pdu::ReleaseRQ).await;
    assert_eq!(end_of(task).await.echoes, 1);
}

#[tokio::test]
async fn a_class_that_is_not_its_contexts_is_refused() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    let class = uid(uids::MR_IMAGE_STORAGE);
    let command = Command::StoreRq {
        message_id: 1,
        sop_class: class,
        sop_instance: uid("1.2.3"),
        originator: None,
    };
    raw.command(1, &command).await;
    raw.values(vec![data(&[0; 8], true)]).await;
    let answer = raw.read_command().await;
    assert!(
        matches!(answer, Command::StoreRsp { status: Status::CLASS_NOT_SUPPORTED, .. }),
        "{answer:?}"
    );
    drop(raw);
    assert!(end_of(task).await.objects.is_empty());
}

#[tokio::test]
async fn a_connection_closed_within_an_object_makes_no_object() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    raw.command(1, &store_rq(1)).await;
    raw.values(vec![data(&[1; 100], false)]).await;
    drop(raw);
    let seen = end_of(task).await;
    assert!(seen.objects.is_empty());
    assert!(matches!(seen.end, Some(Err(Error::Closed(_)))), "{:?}", seen.end);
}
