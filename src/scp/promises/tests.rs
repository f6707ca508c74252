use super::*;

fn promise(n: u32) -> Promise {
    let uid = |text: &str| Uid::new(text).unwrap();
    Promise {
        peer: "ct1".into(),
        transaction: uid(&format!("2.25.{n}")),
        instances: vec![(uid("1.2.840.10008.5.1.4.1.1.2"), uid(&format!("1.2.3.{n}")))],
        asked: Moment::default(),
        attempts: 0,
        due: Moment::default(),
    }
}

fn vault(folder: &std::path::Path) -> Vault {
    Vault::open_or_create(&folder.join("keys"), &folder.join("master.key")).unwrap()
}

#[tokio::test]
async fn open_requests_outlive_the_process_and_nobody_reads_them_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, path) = (vault(folder.path()), folder.path().join("requests.sealed"));
    let promises = Promises::open(vault.clone(), path.clone()).unwrap();
    assert_eq!(promises.take(promise(1)).await, Status::SUCCESS);
    assert_eq!(promises.take(promise(2)).await, Status::SUCCESS);
    assert_eq!(promises.take(promise(2)).await, Status::DUPLICATE_INVOCATION);
    promises.settle("ct1", &promise(1).transaction, Next::Done).await;
    promises.settle("ct2", &promise(2).transaction, Next::Done).await;
    let again = Promises::open(vault.clone(), path.clone()).unwrap();
    assert_eq!(*again.list(), [promise(2)], "another peer's word does not settle it");
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"1.2.3.2"), "it is sealed");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(Promises::open(vault, path), Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn there_is_a_limit_and_waits_grow() {
    let promises = Promises::in_memory();
    for n in 0..u32::try_from(MOST).unwrap() {
        assert_eq!(promises.take(promise(n)).await, Status::SUCCESS);
    }
    assert_eq!(promises.take(promise(999_999)).await, Status::RESOURCE_LIMITATION);
    let now = Moment::default();
    let mut waits = vec![];
    for _ in 0..9 {
        promises.settle("ct1", &promise(3).transaction, Next::Later(now)).await;
        waits.push(promises.list()[3].due.since(now).as_secs());
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
}

#[tokio::test]
async fn a_peer_that_hangs_keeps_no_other_waiting() {
    use crate::dimse::{Offer, Request, Terms};
    use std::collections::BTreeMap;

    // It lets one in and says nothing.
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = |listener: &tokio::net::TcpListener| -> dimse::PeerSection {
        let address = listener.local_addr().unwrap();
        toml::from_str(&format!("ae-title = \"CT1\"\naddress = \"{address}\"")).unwrap()
    };
    let peers: BTreeMap<String, dimse::PeerSection> =
        [("a".to_owned(), peer(&hanging)), ("b".to_owned(), peer(&listening))].into();
    let ours = crate::dicom::AeTitle::new("LOTSE").unwrap();
    let door = Door::new(ours, peers, super::super::tests::intake(), Default::default());
    for n in 0..3 {
        door.promises().take(Promise { peer: "a".into(), ..promise(n) }).await;
    }
    door.promises().take(Promise { peer: "b".into(), ..promise(3) }).await;
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keep(Arc::clone(&door), stop.clone()));
    let told = async {
        let (stream, from) = listening.accept().await.unwrap();
        let offers = |_: &dimse::Caller| Ok(vec![Offer::commitment()]);
        let terms = Terms::default();
        let mut association = dimse::accept_tcp(stream, from, &terms, offers).await.unwrap();
        let Some(Request::Report(report)) = association.next_request().await.unwrap() else {
            panic!("a report")
        };
        association.respond_report(&report, Status::SUCCESS).await.unwrap();
        assert!(association.next_request().await.unwrap().is_none());
        report.content
    };
    // One answer of the other is waited for for half a minute.
    let told = tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
    assert_eq!(told.transaction, promise(3).transaction);
    while door.promises().len() > 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    keeping.await.unwrap();
}
