use async_trait::async_trait;

use super::super::Intake;
use super::verdict::{look_at_all, report};
use super::*;
use crate::confirm::Standing;
use crate::dicom::inspect::Found;
use crate::dimse::Reference;
use crate::import::{Inspected, Kind};
use crate::pipeline::{Arrival, Refusal};
use crate::spool::Sealed;
use crate::unpack::ScanSection;

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn promise(n: u32) -> Promise {
    Promise {
        peer: "ct1".into(),
        transaction: uid(&format!("2.25.{n}")),
        instances: vec![(uid("1.2.840.10008.5.1.4.1.1.2"), uid(&format!("1.2.3.{n}")))],
        verdicts: vec![],
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
    assert!(promises.take(promise(1)).await.is_ok());
    assert!(promises.take(promise(2)).await.is_ok());
    promises.settle("ct1", &promise(1).transaction, Next::Done).await;
    promises.settle("ct2", &promise(2).transaction, Next::Done).await;
    let again = Promises::open(vault.clone(), path.clone()).unwrap();
    assert_eq!(*again.list(), [Arc::new(promise(2))], "another peer's word does not settle it");
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"1.2.3.2"), "it is sealed");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(Promises::open(vault, path), Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn a_repeated_request_is_one_and_a_uid_is_used_once() {
    let promises = Promises::in_memory();
    let instance = |n: u32| promise(n).instances[0].clone();
    let asking = |instances: &[u32], due: Moment| Promise {
        instances: instances.iter().map(|n| instance(*n)).collect(),
        due,
        ..promise(1)
    };
    let now = Moment::default();
    promises.take(asking(&[1, 2], now.after(FIRST_WAIT))).await.unwrap();
    promises.settle("ct1", &promise(1).transaction, Next::Later(now.after(LONGEST_WAIT))).await;
    let kept = promises.find("ct1", &promise(1).transaction).unwrap();
    promises.note(vec![(kept, vec![Verdict::Kept, Verdict::Open])]);
    for instances in [[1, 2], [2, 1]] {
        let kept = promises.take(asking(&instances, now.after(FIRST_WAIT))).await.unwrap();
        assert_eq!(kept.instances, asking(&[1, 2], now).instances);
        assert_eq!(kept.verdicts, [Verdict::Kept, Verdict::Open], "what is known is not lost");
        assert_eq!(kept.due, now.after(FIRST_WAIT), "it listens again");
    }
    for instances in [&[1][..], &[1, 2, 3], &[1, 3]] {
        let answer = promises.take(asking(instances, now)).await;
        assert_eq!(answer, Err(Status::DUPLICATE_TRANSACTION));
    }
    assert_eq!(promises.len(), 1);
    let other = Promise { peer: "ct2".into(), ..asking(&[3], now) };
    assert!(promises.take(other).await.is_ok(), "each peer has its own");
}

#[tokio::test]
async fn a_peer_that_asks_much_leaves_room_for_the_others() {
    let promises = Promises::in_memory();
    let of = |peer: &str, n: u32| Promise { peer: peer.into(), ..promise(n) };
    let takes = async |peer: &str| {
        let mut taken = 0;
        while promises.take(of(peer, taken)).await.is_ok() {
            taken += 1;
        }
        taken
    };
    // What was taken before is all but what the first three may have.
    promises.list().extend((0..9_000).map(|n| Arc::new(of("ct0", n))));
    assert_eq!(takes("ct1").await, 500);
    assert_eq!(promises.take(of("ct1", 999_999)).await, Err(Status::RESOURCE_LIMITATION));
    assert_eq!((takes("ct2").await, takes("ct3").await), (250, 125));
    let heard = promise(7).transaction;
    promises.settle("ct1", &heard, Next::Done).await;
    assert_eq!(
        promises.take(of("ct1", 999_999)).await,
        Err(Status::RESOURCE_LIMITATION),
        "still half"
    );
    assert!(promises.take(of("ct4", 0)).await.is_ok());
}

#[tokio::test]
async fn references_are_shared_too() {
    let promises = Promises::in_memory();
    let naming = |peer: &str, n: u32, references: usize| {
        let one = promise(n).instances[0].clone();
        Promise { peer: peer.into(), instances: vec![one; references], ..promise(n) }
    };
    assert!(promises.take(naming("ct1", 1, 400_000)).await.is_ok());
    assert_eq!(promises.take(naming("ct1", 2, 100_001)).await, Err(Status::RESOURCE_LIMITATION));
    assert_eq!(promises.take(naming("ct2", 3, 300_001)).await, Err(Status::RESOURCE_LIMITATION));
    assert!(promises.take(naming("ct2", 3, 300_000)).await.is_ok());
    let why = has_room(&promises.list(), &naming("ct1", 2, 1)).unwrap_err();
    assert!(why.contains("may name 350000 now"), "{why}");
}

#[tokio::test]
async fn waits_grow() {
    let promises = Promises::in_memory();
    for n in 0..4 {
        assert!(promises.take(promise(n)).await.is_ok());
    }
    let now = Moment::default();
    let mut waits = vec![];
    for _ in 0..9 {
        promises.settle("ct1", &promise(3).transaction, Next::Later(now)).await;
        waits.push(promises.list()[3].due.since(now).as_secs());
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 900, 900]);
}

/// A scheduler that knows of so many instances `1.2.3.N` how they stand.
#[derive(Default)]
struct Known(Mutex<BTreeMap<Uid, Standing>>);

impl Known {
    fn say(&self, standings: &[(u32, Standing)]) {
        let one = |(n, standing): &(u32, Standing)| (uid(&format!("1.2.3.{n}")), *standing);
        *self.0.lock().unwrap() = standings.iter().map(one).collect();
    }
}

#[async_trait]
impl Intake for Known {
    async fn arrival(&self, _: Kind) -> Result<Arrival, Refusal> {
        Err(Refusal::Stopping)
    }

    fn scan(&self) -> ScanSection {
        ScanSection::default()
    }

    async fn keep(&self, _: &Arrival, _: Found, _: Sealed) -> Result<(), Refusal> {
        Err(Refusal::Stopping)
    }

    async fn stored(&self, _: &Arrival, _: Inspected) -> Result<(), Refusal> {
        Err(Refusal::Stopping)
    }

    fn awaits_reports(&self, _: &str) -> bool {
        false
    }

    fn standing(&self, sop_instance: &Uid) -> Option<Standing> {
        self.0.lock().unwrap().get(sop_instance).copied()
    }

    fn now(&self) -> Moment {
        Moment::default()
    }

    async fn reported(&self, _: &str, _: Report) -> Status {
        Status::PROCESSING_FAILURE
    }
}

fn door(known: &Arc<Known>, promises: Promises) -> Arc<Door> {
    let ours = crate::dicom::AeTitle::new("LOTSE").unwrap();
    let intake = Arc::clone(known);
    let door = Door::new(ours, BTreeMap::new(), intake, Default::default());
    door.set_promises(promises);
    door
}

#[tokio::test]
async fn what_became_of_an_instance_is_told_when_its_import_is_gone_too() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, path) = (vault(folder.path()), folder.path().join("requests.sealed"));
    let known = Arc::<Known>::default();
    let begin = || door(&known, Promises::open(vault.clone(), path.clone()).unwrap());
    let class = promise(0).instances[0].0.clone();
    let instances = (0..4).map(|n| (class.clone(), uid(&format!("1.2.3.{n}")))).collect();
    let asked = Promise { instances, ..promise(0) };
    let first = begin();
    assert!(first.promises().take(asked).await.is_ok());
    // Of two studies one waits for a person, and the peer has not sent the last instance yet.
    known.say(&[(0, Standing::Kept), (1, Standing::Failed), (2, Standing::Pending)]);
    look_at_all(&first);
    let noted = std::fs::read(&path).unwrap();
    look_at_all(&first);
    assert_eq!(std::fs::read(&path).unwrap(), noted, "written only when there is something new");
    known.say(&[(2, Standing::Pending), (3, Standing::Kept)]);
    let second = begin();
    assert_eq!(report(&*second.intake, &second.promises().list()[0]), None);
    look_at_all(&second);
    known.say(&[(2, Standing::Kept)]);
    let third = begin();
    look_at_all(&third);
    known.say(&[]);
    let told = report(&*third.intake, &third.promises().list()[0]).unwrap();
    let names = |all: &[Reference]| -> Vec<String> {
        all.iter().map(|one| one.sop_instance.as_str().to_owned()).collect()
    };
    assert_eq!(names(&told.committed), ["1.2.3.0", "1.2.3.2", "1.2.3.3"]);
    let failed: Vec<_> =
        told.failed.iter().map(|(one, why)| (one.sop_instance.as_str(), *why)).collect();
    assert_eq!(failed, [("1.2.3.1", 0x0110)]);
    // While it lives, an import knows better: another object with this UID came.
    known.say(&[(0, Standing::Failed)]);
    let told = report(&*third.intake, &third.promises().list()[0]).unwrap();
    assert_eq!((told.committed.len(), told.failed.len()), (2, 2));
}

#[tokio::test]
async fn what_became_of_an_instance_is_noted_before_its_peer_can_be_told() {
    let known = Arc::<Known>::default();
    let door = door(&known, Promises::in_memory());
    let due = Moment::default().after(LONGEST_WAIT);
    door.promises().take(Promise { due, ..promise(0) }).await.unwrap();
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keep(Arc::clone(&door), stop.clone()));
    known.say(&[(0, Standing::Kept)]);
    let noted = async {
        while door.promises().list()[0].verdicts != [Verdict::Kept] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noted).await.unwrap();
    // Another object with its UID came, and nobody keeps that.
    known.say(&[(0, Standing::Failed)]);
    let noted = async {
        while door.promises().list()[0].verdicts != [Verdict::Failed] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noted).await.unwrap();
    stop.cancel();
    keeping.await.unwrap();
}

#[test]
fn requests_that_an_earlier_version_kept_are_read() {
    let kept = r#"{"peer": "ct1", "transaction": "2.25.3",
        "instances": [["1.2.840.10008.5.1.4.1.1.2", "1.2.3.3"]],
        "asked": {"wall_ms": 0, "running_ms": 0}, "attempts": 0,
        "due": {"wall_ms": 0, "running_ms": 0}}"#;
    assert_eq!(serde_json::from_str::<Promise>(kept).unwrap(), promise(3));
}

#[tokio::test]
async fn a_peer_that_hangs_keeps_no_other_waiting() {
    use crate::dimse::{Offer, Request, Terms};

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
        door.promises().take(Promise { peer: "a".into(), ..promise(n) }).await.unwrap();
    }
    door.promises().take(Promise { peer: "b".into(), ..promise(3) }).await.unwrap();
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
