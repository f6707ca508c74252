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
