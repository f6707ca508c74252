mod moved;

use std::io::Read;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use dicom_dictionary_std::{tags, uids};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::dicom::inspect::Found;
use crate::dicom::{CharacterSets, DataSet, Syntax, Uid, VR};
use crate::dimse::{Chunk, Client, Error, Proposed, Remote, call};
use crate::import::{ImportId, Inspected};
use crate::pipeline::{Arrival, Gate, Refusal};
use crate::seal::Vault;
use crate::spool::{self, Sealed, Spool};
use crate::unpack::ScanSection;

const CT: &str = uids::CT_IMAGE_STORAGE;

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

/// A scheduler that keeps what it is told, or refuses.
struct Fake {
    _at: tempfile::TempDir,
    spool: Spool,
    arrival: Mutex<(Arrival, Arc<Gate>)>,
    stored: Mutex<Vec<Inspected>>,
    refuses: Mutex<Option<Refusal>>,
    kinds: Mutex<Vec<Kind>>,
    scan: Mutex<ScanSection>,
    /// `stored` and `keep` wait until this is true.
    gate: watch::Sender<bool>,
    moves: crate::fetch::Moves,
}

#[async_trait]
impl Intake for Fake {
    async fn arrival(&self, kind: Kind) -> Result<Arrival, Refusal> {
        self.kinds.lock().unwrap().push(kind);
        match self.refuses.lock().unwrap().clone() {
            Some(refusal) => Err(refusal),
            None => Ok(self.arrival.lock().unwrap().0.clone()),
        }
    }

    fn scan(&self) -> ScanSection {
        self.scan.lock().unwrap().clone()
    }

    fn moves(&self) -> crate::fetch::Moves {
        self.moves.clone()
    }

    async fn keep(&self, arrival: &Arrival, found: Found, sealed: Sealed) -> Result<(), Refusal> {
        let blob = arrival.spool.group_pack().keep(&[sealed])?.remove(0);
        self.stored(arrival, Inspected::new(found, blob)).await
    }

    async fn stored(&self, _: &Arrival, instance: Inspected) -> Result<(), Refusal> {
        let mut gate = self.gate.subscribe();
        gate.wait_for(|open| *open).await.unwrap();
        self.stored.lock().unwrap().push(instance);
        Ok(())
    }

    fn awaits_reports(&self, _: &str) -> bool {
        false
    }

    async fn reported(&self, _: &str, _: dimse::Report) -> Status {
        Status::PROCESSING_FAILURE
    }

    fn standing(&self, _: &Uid) -> Option<crate::confirm::Standing> {
        None
    }

    fn now(&self) -> crate::clock::Moment {
        Default::default()
    }
}

impl Fake {
    fn new() -> Arc<Self> {
        let at = tempfile::tempdir().unwrap();
        let vault =
            Vault::open_or_create(&at.path().join("keys"), &at.path().join("master.key")).unwrap();
        let spool = Spool::open(&at.path().join("spool"), vault).unwrap();
        let arrival = new_arrival(&spool);
        Arc::new(Self {
            _at: at,
            spool,
            arrival: Mutex::new(arrival),
            stored: Mutex::default(),
            refuses: Mutex::default(),
            kinds: Mutex::default(),
            scan: Mutex::default(),
            gate: watch::Sender::new(true),
            moves: Default::default(),
        })
    }

    fn turn_to_new_import(&self) {
        let mut arrival = self.arrival.lock().unwrap();
        assert!(arrival.1.close_if_empty(), "an object is under way");
        *arrival = new_arrival(&self.spool);
    }
}

/// An intake that holds nothing.
pub(super) fn intake() -> Arc<dyn Intake> {
    Fake::new()
}

fn new_arrival(spool: &Spool) -> (Arrival, Arc<Gate>) {
    let (id, gate) = (ImportId::new(), Arc::new(Gate::default()));
    (Arrival::new(id, spool.create(id).unwrap(), Arc::clone(&gate)), gate)
}

struct House {
    address: SocketAddr,
    fake: Arc<Fake>,
    door: Arc<Door>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn house(limits: Limits) -> House {
    let peer = |title_of: &str, may: &[May]| PeerSection {
        may: may.to_vec(),
        ..toml::from_str(&format!("ae-title = {title_of:?}\naddress = \"127.0.0.1:104\"")).unwrap()
    };
    let peers = BTreeMap::from([
        ("station".to_owned(), peer("STATION", &[May::Echo, May::Store])),
        ("monitor".to_owned(), peer("MONITOR", &[May::Echo])),
        ("ris".to_owned(), peer("RIS", &[])),
        ("archive".to_owned(), peer("ARCHIVE", &[])),
    ]);
    let fake = Fake::new();
    let door = Door::new(title("LOTSE"), peers, Arc::clone(&fake) as Arc<dyn Intake>, limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::clone(&door), stop.clone()));
    House { address, fake, door, stop, task }
}

impl House {
    fn remote(&self, calling: &str) -> Remote {
        Remote {
            address: self.address.to_string(),
            called: title("LOTSE"),
            calling: title(calling),
            timeouts: dimse::Timeouts::default(),
            max_pdu: dimse::MAX_PDU,
            security: Default::default(),
        }
    }
}

fn contexts() -> Vec<Proposed> {
    let syntaxes = vec![uid(uids::EXPLICIT_VR_LITTLE_ENDIAN), uid(uids::IMPLICIT_VR_LITTLE_ENDIAN)];
    vec![
        Proposed { sop_class: uid(CT), transfer_syntaxes: syntaxes.clone() },
        Proposed { sop_class: uid(uids::VERIFICATION), transfer_syntaxes: syntaxes },
    ]
}

fn object(class: &str, instance: &str, syntax: Syntax) -> Vec<u8> {
    object_of(300_000, class, instance, syntax)
}

fn object_of(pixels: usize, class: &str, instance: &str, syntax: Syntax) -> Vec<u8> {
    let mut set = DataSet::default();
    let sets = CharacterSets::utf8();
    for (tag, vr, text) in [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
        (tags::SOP_CLASS_UID, VR::UI, class),
        (tags::SOP_INSTANCE_UID, VR::UI, instance),
        (tags::PATIENT_NAME, VR::PN, "Prüf^Änne"),
        (tags::PATIENT_ID, VR::LO, "P-1"),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.100"),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.101"),
    ] {
        assert!(set.put_text(tag, vr, text, &sets));
    }
    set.put_bytes(tags::PIXEL_DATA, VR::OW, vec![3; pixels]);
    set.write(syntax)
}

async fn store(
    client: &mut Client,
    instance: &str,
    syntax: &str,
    bytes: Vec<u8>,
) -> Result<Status, Error> {
    let (sender, mut receiver) = mpsc::channel(2);
    sender.send(Chunk::Bytes(Bytes::from(bytes))).await.unwrap();
    sender.send(Chunk::End).await.unwrap();
    client.store(&uid(CT), &uid(instance), &uid(syntax), &mut receiver).await
}

async fn store_one(house: &House, instance: &str, bytes: Vec<u8>) -> Result<Status, Error> {
    call(&house.remote("STATION"), &contexts(), async |client| {
        store(client, instance, uids::EXPLICIT_VR_LITTLE_ENDIAN, bytes).await
    })
    .await
}

#[tokio::test]
async fn objects_arrive_whole_and_inspected() {
    let house = house(Limits::default()).await;
    let explicit = object(CT, "1.2.3.1", Syntax::ExplicitLittle);
    let implicit = object(CT, "1.2.3.2", Syntax::ImplicitLittle);
    let done: Result<(), Error> = call(&house.remote("STATION"), &contexts(), async |client| {
        let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        assert_eq!(store(client, "1.2.3.1", syntax, explicit.clone()).await?, Status::SUCCESS);
        house.fake.turn_to_new_import();
        let syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN;
        assert_eq!(store(client, "1.2.3.2", syntax, implicit.clone()).await?, Status::SUCCESS);
        Ok(())
    })
    .await;
    done.unwrap();
    let stored = house.fake.stored.lock().unwrap();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0].sop_instance, uid("1.2.3.1"));
    assert_eq!(stored[0].layout.data_set_at, 0);
    assert_eq!(stored[0].facts.study_uid, uid("1.2.3.100"));
    assert_eq!(stored[1].layout.transfer_syntax, uid(uids::IMPLICIT_VR_LITTLE_ENDIAN));
    let mut bytes = Vec::new();
    let arrival = house.fake.arrival.lock().unwrap().0.clone();
    arrival.spool.read(&stored[1].blob).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes == implicit);
    let kinds = house.fake.kinds.lock().unwrap();
    let expected = Kind::Association { peer: "station".to_owned(), ae_title: title("STATION") };
    assert!(kinds.iter().all(|kind| *kind == expected));
}

#[tokio::test]
async fn objects_of_every_size_arrive_by_their_way() {
    let house = house(Limits::default()).await;
    // Sealed when it is whole, sealed while it comes, written while it comes; and in another order on the same
    // association.
    let sizes = [10_000, 300_000, 3_000_000, 120_000, 131_072, 1_100_000, 20];
    let done: Result<(), Error> = call(&house.remote("STATION"), &contexts(), async |client| {
        for (number, size) in sizes.into_iter().enumerate() {
            let instance = format!("1.2.3.{number}");
            let bytes = object_of(size, CT, &instance, Syntax::ExplicitLittle);
            let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
            assert_eq!(store(client, &instance, syntax, bytes).await?, Status::SUCCESS, "{size}");
        }
        Ok(())
    })
    .await;
    done.unwrap();
    let spool = house.fake.arrival.lock().unwrap().0.spool.clone();
    let stored = house.fake.stored.lock().unwrap();
    for (number, size) in sizes.into_iter().enumerate() {
        let mut bytes = Vec::new();
        spool.read(&stored[number].blob).unwrap().read_to_end(&mut bytes).unwrap();
        let sent = object_of(size, CT, &format!("1.2.3.{number}"), Syntax::ExplicitLittle);
        assert!(bytes == sent, "{size}");
    }
    // What is sealed in memory and not small shares a pack.
    assert_eq!(stored[1].blob.pack, stored[5].blob.pack);
    assert_ne!(stored[1].blob.pack, stored[0].blob.pack);
    assert_ne!(stored[1].blob.pack, stored[2].blob.pack);
}

#[tokio::test]
async fn what_does_not_fit_or_can_not_be_read_is_refused_and_the_next_goes_on() {
    let house = house(Limits::default()).await;
    let good = object(CT, "1.2.3.1", Syntax::ExplicitLittle);
    let cut = good[..good.len() - 100].to_vec();
    let other_class = object(uids::MR_IMAGE_STORAGE, "1.2.3.1", Syntax::ExplicitLittle);
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    file.extend_from_slice(&good);
    let cases = [
        ("1.2.3.9", good.clone(), Status::DOES_NOT_MATCH_CLASS),
        ("1.2.3.1", other_class, Status::DOES_NOT_MATCH_CLASS),
        ("1.2.3.1", cut, Status::CANNOT_UNDERSTAND),
        ("1.2.3.1", file, Status::CANNOT_UNDERSTAND),
        ("1.2.3.1", Vec::new(), Status::CANNOT_UNDERSTAND),
        ("1.2.3.1", vec![0xff; 5000], Status::CANNOT_UNDERSTAND),
        ("1.2.3.1", good, Status::SUCCESS),
    ];
    let done: Result<(), Error> = call(&house.remote("STATION"), &contexts(), async |client| {
        for (place, (instance, bytes, expected)) in cases.into_iter().enumerate() {
            let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
            assert_eq!(store(client, instance, syntax, bytes).await?, expected, "case {place}");
        }
        Ok(())
    })
    .await;
    done.unwrap();
    assert_eq!(house.fake.stored.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_scanner_that_is_demanded_and_not_there_takes_nothing() {
    let house = house(Limits::default()).await;
    let missing = ScanSection { clamd_socket: Some("/nonexistent".into()), clamd_required: true };
    *house.fake.scan.lock().unwrap() = missing.clone();
    let send = async |instance| {
        store_one(&house, instance, object(CT, instance, Syntax::ExplicitLittle)).await.unwrap()
    };
    assert_eq!(send("1.2.3.1").await, Status::OUT_OF_RESOURCES);
    assert!(house.fake.stored.lock().unwrap().is_empty());
    let small = object_of(10_000, CT, "1.2.3.2", Syntax::ExplicitLittle);
    let refused = store_one(&house, "1.2.3.2", small.clone()).await.unwrap();
    assert_eq!(refused, Status::OUT_OF_RESOURCES);
    let spool = house.fake.arrival.lock().unwrap().0.spool.clone();
    assert_eq!(spool.recover().unwrap().blobs.len(), 1, "the small one was not written");
    *house.fake.scan.lock().unwrap() = ScanSection { clamd_required: false, ..missing };
    assert_eq!(send("1.2.3.1").await, Status::SUCCESS);
    assert_eq!(house.fake.stored.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn refusals_of_the_scheduler_reach_the_peer() {
    let house = house(Limits::default()).await;
    let cases = [
        (Refusal::Full("3 bytes left".to_owned()), Status::OUT_OF_RESOURCES),
        (Refusal::Stopping, Status::OUT_OF_RESOURCES),
        (Refusal::from(spool::Error::Full), Status::OUT_OF_RESOURCES),
        (Refusal::from(spool::Error::Gone), Status::PROCESSING_FAILURE),
    ];
    for (refusal, expected) in cases {
        *house.fake.refuses.lock().unwrap() = Some(refusal);
        let bytes = object(CT, "1.2.3.1", Syntax::ExplicitLittle);
        assert_eq!(store_one(&house, "1.2.3.1", bytes).await.unwrap(), expected);
    }
    assert!(house.fake.stored.lock().unwrap().is_empty());
}

#[tokio::test]
async fn success_waits_for_the_record() {
    let house = house(Limits::default()).await;
    house.fake.gate.send_replace(false);
    let sending = store_one(&house, "1.2.3.1", object(CT, "1.2.3.1", Syntax::ExplicitLittle));
    tokio::pin!(sending);
    let early = tokio::time::timeout(Duration::from_millis(400), &mut sending).await;
    assert!(early.is_err());
    house.fake.gate.send_replace(true);
    assert_eq!(sending.await.unwrap(), Status::SUCCESS);
}

#[tokio::test]
async fn only_known_callers_come_in_and_get_what_they_may() {
    let house = house(Limits::default()).await;
    let echo = async |remote: Remote| -> Result<Status, Error> {
        call(&remote, &contexts(), async |client| client.echo().await).await
    };
    assert_eq!(echo(house.remote("MONITOR")).await.unwrap(), Status::SUCCESS);
    let rejected = |result: Result<Status, Error>| match result {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    };
    assert_eq!(rejected(echo(house.remote("STRANGER")).await), Rejection::CallingUnknown);
    assert_eq!(rejected(echo(house.remote("RIS")).await), Rejection::NotPermitted);
    let wrong = Remote { called: title("OTHER"), ..house.remote("STATION") };
    assert_eq!(rejected(echo(wrong).await), Rejection::CalledUnknown);
    let accepted: Result<Vec<Uid>, Error> =
        call(&house.remote("MONITOR"), &contexts(), async |client| Ok(client.accepted(&uid(CT))))
            .await;
    assert!(accepted.unwrap().is_empty());
    house.door.set_peers(BTreeMap::new());
    assert_eq!(rejected(echo(house.remote("MONITOR")).await), Rejection::CallingUnknown);
}

/// What is logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

#[tokio::test]
async fn the_log_names_the_cause_of_a_refusal_and_no_other() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let house = house(Limits::default()).await;
    let elsewhere: PeerSection =
        toml::from_str("ae-title = \"AWAY\"\naddress = \"192.0.2.1:104\"\nmay = [\"echo\"]")
            .unwrap();
    let unshown: PeerSection = toml::from_str(
        "ae-title = \"SHY\"\naddress = \"127.0.0.1:104\"\nmay = [\"echo\"]\n\
         certificates = [\"shy\"]",
    )
    .unwrap();
    let peers = [("away".to_owned(), elsewhere), ("shy".to_owned(), unshown)];
    house.door.set_peers(peers.into());
    for (title, cause, others) in [
        ("STRANGER", "add it under [peers]", ["networks", "`may`"]),
        ("AWAY", "add the address to the peer's `networks`", ["under [peers]", "`may`"]),
        ("SHY", "it has to show a certificate", ["under [peers]", "`may`"]),
    ] {
        let refused: Result<Status, Error> =
            call(&house.remote(title), &contexts(), async |client| client.echo().await).await;
        assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
        let mut said = String::new();
        while !said.contains("association not accepted") {
            tokio::time::sleep(Duration::from_millis(5)).await;
            said.push_str(&log.text());
        }
        assert!(said.contains(cause) && said.contains(title), "{said}");
        assert!(others.iter().all(|other| !said.contains(other)), "{said}");
    }
}

#[tokio::test]
async fn too_many_associations_are_told_to_come_later() {
    let house = house(Limits { associations: 1, ..Limits::default() }).await;
    let done: Result<(), Error> = call(&house.remote("STATION"), &contexts(), async |client| {
        let second: Result<Status, Error> =
            call(&house.remote("STATION"), &contexts(), async |client| client.echo().await).await;
        match second {
            Err(Error::Rejected(Rejection::LimitExceeded)) => {}
            other => panic!("{other:?}"),
        }
        client.echo().await?;
        Ok(())
    })
    .await;
    done.unwrap();
}

#[tokio::test]
async fn a_stop_lets_the_object_under_way_end() {
    let house = house(Limits::default()).await;
    house.fake.gate.send_replace(false);
    let (remote, contexts) = (house.remote("STATION"), contexts());
    let fake = Arc::clone(&house.fake);
    let stop = house.stop.clone();
    let work = call(&remote, &contexts, async |client| {
        let opening = async {
            while fake.kinds.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
            tokio::time::sleep(Duration::from_millis(100)).await;
            fake.gate.send_replace(true);
        };
        let bytes = object(CT, "1.2.3.1", Syntax::ExplicitLittle);
        let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let (status, ()) = tokio::join!(store(client, "1.2.3.1", syntax, bytes), opening);
        assert_eq!(status?, Status::SUCCESS);
        client.echo().await
    });
    let after: Result<Status, Error> = work.await;
    assert!(matches!(after, Err(Error::Aborted(_) | Error::Closed(_))), "{after:?}");
    tokio::time::timeout(Duration::from_secs(10), house.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_the_grace() {
    let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
    let house = house(limits).await;
    house.fake.gate.send_replace(false);
    let bytes = object(CT, "1.2.3.1", Syntax::ExplicitLittle);
    let (sent, ()) = tokio::join!(store_one(&house, "1.2.3.1", bytes), async {
        while house.fake.kinds.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        house.stop.cancel();
    });
    assert!(matches!(sent, Err(Error::Aborted(_) | Error::Closed(_))), "{sent:?}");
    assert!(house.fake.stored.lock().unwrap().is_empty());
}

#[test]
fn the_section_reads_as_promised() {
    let section: DicomSection = toml::from_str(
        "ae-title = \"LOTSE\"\nquiet-time = \"45s\"\nlongest-burst = \"1h\"\n[[listeners]]\naddress = \"0.0.0.0:11112\"",
    )
    .unwrap();
    assert_eq!(section.quiet_time, Duration::from_secs(45));
    assert_eq!(section.longest_burst, Duration::from_secs(3600));
    assert_eq!(section.listeners.len(), 1);
    assert_eq!(section.associations.get(), 64);
    assert_eq!(section.unknown_sop_classes, UnknownClasses::Accept);
    let default: DicomSection = toml::from_str("").unwrap();
    assert_eq!(default, DicomSection::default());
    for wrong in [
        "quiet-time = 30",
        "quiet-time = \"30\"",
        "quiet-time = \"0s\"",
        "quiet-time = \"9h\"",
        "longest-burst = \"1s\"",
        "longest-burst = \"13h\"",
        "ae-titel = \"X\"",
        "[[listeners]]\naddress = \"somewhere\"",
        "[[listeners]]\naddress = \"0.0.0.0:1\"\ntls = {}",
        "[[listeners]]\naddress = \"0.0.0.0:1\"\ntls = { certificate = \"a\", key = \"b\", client = \"maybe\" }",
        "associations = 0",
        "unknown-sop-classes = \"ask\"",
        // JPIP keeps the pixels elsewhere.
        "transfer-syntaxes = [\"1.2.840.10008.1.2.4.94\"]",
        "transfer-syntaxes = [\"jpeg\"]",
    ] {
        assert!(toml::from_str::<DicomSection>(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_taken_for_storage_is_configured() {
    const JPEG: &str = uids::JPEG_BASELINE8_BIT;
    const UNKNOWN: &str = "1.2.840.10008.5.1.4.1.1.999";
    const PRIVATE: &str = "1.3.6.1.4.1.5962.301.9";
    let house = house(Limits::default()).await;
    let syntaxes = [uids::IMPLICIT_VR_LITTLE_ENDIAN, JPEG, uids::EXPLICIT_VR_LITTLE_ENDIAN];
    // One context each: the peer of the test proposes pairs, so it is asked at the door.
    let taken = |offer: &Offer, class: &str| {
        let contexts = [(class, &syntaxes[..])];
        dimse::taken(&contexts, std::slice::from_ref(offer))
    };
    let section: DicomSection = toml::from_str(&format!(
        "unknown-sop-classes = \"refuse\"\ntransfer-syntaxes = [\"1.2.840.10008.1.2.4.90\", {JPEG:?}]"
    ))
    .unwrap();
    let default = DicomSection::default().storage();
    assert_eq!(taken(&default, CT), [uids::EXPLICIT_VR_LITTLE_ENDIAN]);
    assert_eq!(taken(&default, UNKNOWN).len(), 1);
    assert_eq!(taken(&default, PRIVATE).len(), 1);
    let strict = section.storage();
    assert_eq!(taken(&strict, CT), [JPEG]);
    assert!(taken(&strict, UNKNOWN).is_empty() && taken(&strict, PRIVATE).is_empty());

    // The door takes it over from the next association on.
    let private = vec![Proposed {
        sop_class: uid(PRIVATE),
        transfer_syntaxes: vec![uid(uids::EXPLICIT_VR_LITTLE_ENDIAN)],
    }];
    let accepted = async || {
        let found: Result<_, Error> = call(&house.remote("STATION"), &private, async |client| {
            Ok(client.accepted(&uid(PRIVATE)))
        })
        .await;
        found.unwrap().len()
    };
    assert_eq!(accepted().await, 1);
    house.door.set_storage(strict);
    assert_eq!(accepted().await, 0);
}
