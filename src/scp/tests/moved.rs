//! C-MOVE to our own door: an archive that sends what it likes, on whose behalf it likes, when it likes.

use std::time::Duration;

use super::*;
use crate::dimse::{Flow, Offer, Originator, Request, Retrieve};
use crate::fetch::{
    self, FetchSection, Observer, Patience, PeerSource, Pulled, Retrieval, Sources,
};
use crate::import::{From, Selection, Source};

const DEADLINE: Duration = Duration::from_secs(60);
const STUDY: &str = "1.2.3.100";

/// One object that the archive sends: its instance, its study, and on behalf of which message.
#[derive(Clone, Copy)]
struct Sends {
    instance: &'static str,
    study: &'static str,
    behalf: Behalf,
}

#[derive(Clone, Copy)]
enum Behalf {
    Ours,
    /// Another message ID of ours.
    NotOurs,
    /// Somebody else's C-MOVE.
    Others,
    Unsaid,
}

/// When it sends.
#[derive(Clone, Copy, PartialEq)]
enum When {
    BeforeItsAnswer,
    After,
}

const GOOD: [Sends; 2] = [
    Sends { instance: "1.2.3.1", study: STUDY, behalf: Behalf::Ours },
    Sends { instance: "1.2.3.2", study: STUDY, behalf: Behalf::Ours },
];

struct Deaf;
impl Observer for Deaf {
    fn downloading(&self, _: Option<u64>, _: Option<u64>) {}
    fn received(&self, _: u64) {}
}

fn text(pairs: &[(dicom_core::Tag, VR, &str)]) -> DataSet {
    let mut set = DataSet::default();
    for (tag, vr, text) in pairs {
        set.put_bytes(*tag, *vr, text.as_bytes().to_vec());
    }
    set
}

/// Answers one association of the archive.
async fn archive(
    stream: TcpStream,
    from: SocketAddr,
    door: Remote,
    sends: Vec<Sends>,
    when: When,
    statuses: Arc<Mutex<Vec<u16>>>,
) -> Result<(), Error> {
    let offers = || [Offer::query().to_vec(), Offer::retrieve().to_vec()].concat();
    let mut association =
        dimse::accept_tcp(stream, from, &Terms::default(), |_| Ok(offers())).await?;
    while let Some(request) = association.next_request().await? {
        match request {
            Request::Find(find) => {
                let level = find.identifier.text(tags::QUERY_RETRIEVE_LEVEL).unwrap();
                let found = match level.as_str() {
                    "STUDY" => vec![text(&[(tags::STUDY_INSTANCE_UID, VR::UI, STUDY)])],
                    "SERIES" => vec![text(&[(tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3.101")])],
                    _ => ["1.2.3.1", "1.2.3.2"]
                        .map(|uid| text(&[(tags::SOP_INSTANCE_UID, VR::UI, uid)]))
                        .into(),
                };
                for set in &found {
                    assert_eq!(association.respond_match(&find, set).await?, Flow::Continue);
                }
                association.respond_find(&find, Status::SUCCESS).await?;
            }
            Request::Retrieve(request) => {
                assert_eq!(request.destination(), Some("LOTSE"));
                let ours = request.originator(association.caller());
                let sending = send_all(door.clone(), ours, sends.clone(), Arc::clone(&statuses));
                if when == When::BeforeItsAnswer {
                    sending.await;
                    association
                        .respond_retrieve(&request, Status::SUCCESS, Default::default(), None)
                        .await?;
                } else {
                    association
                        .respond_retrieve(&request, Status::SUCCESS, Default::default(), None)
                        .await?;
                    tokio::spawn(sending);
                }
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

async fn send_all(
    door: Remote,
    ours: Originator,
    sends: Vec<Sends>,
    statuses: Arc<Mutex<Vec<u16>>>,
) {
    let sent: Result<(), Error> = call(&door, &contexts(), async |client| {
        for one in &sends {
            let bytes = object(CT, one.instance, Syntax::ExplicitLittle);
            let bytes = replaced(bytes, STUDY.as_bytes(), one.study.as_bytes());
            let (sender, mut chunks) = mpsc::channel(2);
            sender.send(Chunk::Bytes(Bytes::from(bytes))).await.unwrap();
            sender.send(Chunk::End).await.unwrap();
            let syntax = uid(uids::EXPLICIT_VR_LITTLE_ENDIAN);
            let (class, instance) = (uid(CT), uid(one.instance));
            let originator = match one.behalf {
                Behalf::Ours => Some(ours.clone()),
                Behalf::NotOurs => {
                    let message_id = ours.message_id.wrapping_add(900);
                    Some(Originator { message_id, ..ours.clone() })
                }
                Behalf::Others => Some(Originator { ae_title: title("ELSE"), ..ours.clone() }),
                Behalf::Unsaid => None,
            };
            let status = match originator {
                Some(originator) => {
                    client.store_for(&originator, (&class, &instance, &syntax), &mut chunks).await?
                }
                None => client.store(&class, &instance, &syntax, &mut chunks).await?,
            };
            statuses.lock().unwrap().push(status.0);
        }
        Ok(())
    })
    .await;
    if sent.is_err() {
        statuses.lock().unwrap().push(0xFFFF);
    }
}

fn replaced(bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    let mut bytes = bytes;
    bytes[at..at + from.len()].copy_from_slice(to);
    bytes
}

/// Fetches the study by C-MOVE; gives the number of files or the sentence, and what the archive was answered.
async fn fetched(sends: &[Sends], when: When) -> (Result<usize, String>, Vec<u16>, House) {
    let house = house(Limits::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (door, statuses) = (house.remote("ARCHIVE"), Arc::new(Mutex::new(Vec::new())));
    let (sends, seen) = (sends.to_vec(), Arc::clone(&statuses));
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            let one = archive(stream, from, door.clone(), sends.clone(), when, Arc::clone(&seen));
            tokio::spawn(one);
        }
    });
    let remote = Remote { address: address.to_string(), ..house.remote("LOTSE") };
    let remote = Remote { called: title("ARCHIVE"), ..remote };
    let peers = [("archive".to_owned(), PeerSource { remote, how: Retrieve::Move })];
    let retrieval = Retrieval {
        from: From {
            source: Source::Peer("archive".to_owned()),
            selection: Selection { study_instance_uid: Some(uid(STUDY)), ..Default::default() },
        },
        sources: Sources {
            peers: Arc::new(peers.into()),
            listener: Some(title("LOTSE")),
            patience: Patience { late: Duration::from_secs(3), ..Patience::default() },
            ..Sources::default()
        },
        spool: house.fake.spool.create(ImportId::new()).unwrap(),
        cancel: CancellationToken::new(),
        observer: Arc::new(Deaf),
        section: FetchSection::default(),
        moves: house.fake.moves.clone(),
    };
    let ended = tokio::time::timeout(DEADLINE, fetch::retrieve(&retrieval)).await.unwrap();
    let ended = match ended {
        Ok(Pulled::Done { files, .. }) => Ok(files.len()),
        Ok(_) => panic!("neither files nor a fault"),
        Err(error) => Err(error.to_string()),
    };
    let statuses = statuses.lock().unwrap().clone();
    (ended, statuses, house)
}

#[tokio::test]
async fn objects_find_their_import_with_and_without_an_originator() {
    for behalf in [Behalf::Ours, Behalf::Unsaid] {
        let sends = GOOD.map(|one| Sends { behalf, ..one });
        let (ended, statuses, house) = fetched(&sends, When::BeforeItsAnswer).await;
        assert_eq!((ended, statuses), (Ok(2), vec![0, 0]));
        assert!(house.fake.kinds.lock().unwrap().is_empty(), "an import of its own was begun");
    }
    let (ended, _, _) = fetched(&GOOD, When::After).await;
    assert_eq!(ended, Ok(2), "objects behind the final answer");
}

#[tokio::test]
async fn objects_of_other_studies_and_requests_are_refused() {
    let foreign = Sends { instance: "1.2.3.9", study: "1.2.3.900", behalf: Behalf::Ours };
    let (ended, statuses, _) = fetched(&[foreign, GOOD[0], GOOD[1]], When::BeforeItsAnswer).await;
    assert_eq!((ended, statuses), (Ok(2), vec![0x0124, 0, 0]));
    // An instance that the query listed, but of another study.
    let dressed = Sends { study: "1.2.3.900", behalf: Behalf::Unsaid, ..GOOD[0] };
    let (ended, statuses, _) = fetched(&[dressed, GOOD[1]], When::BeforeItsAnswer).await;
    assert!(ended.unwrap_err().contains("handed over 1 of them"));
    assert_eq!(statuses, [0x0124, 0]);
    for behalf in [Behalf::NotOurs, Behalf::Others] {
        let sends = GOOD.map(|one| Sends { behalf, ..one });
        let (ended, statuses, house) = fetched(&sends, When::BeforeItsAnswer).await;
        assert!(ended.unwrap_err().contains("handed over 0 of them"));
        assert_eq!(statuses, [0x0124, 0x0124]);
        assert!(house.fake.stored.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn success_with_fewer_objects_is_no_success() {
    let (ended, statuses, house) = fetched(&GOOD[..1], When::BeforeItsAnswer).await;
    assert!(ended.unwrap_err().contains("handed over 1 of them"));
    assert_eq!(statuses, [0]);
    // What comes when the retrieval is over is nobody's: the archive may not store.
    let refused = call(&house.remote("ARCHIVE"), &contexts(), async |_| Ok::<(), Error>(())).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::NotPermitted))), "{refused:?}");
}
