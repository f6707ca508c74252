//! Whole runs against a DICOMweb server on loopback that misbehaves.

use dicom_dictionary_std::{tags, uids};

use super::*;
use crate::dicom::{DataSet, Syntax, Tag, VR, scan};
use crate::forward::tests::{BIG, Book, DEFLATED, EXPLICIT, House, IMPLICIT, JPEG, pixels};
use crate::forward::{Destination, Destinations, Target};
use crate::import::DestinationName;
use crate::sim::stow::{self, Fault as Misbehaviour};

fn destinations(url: &str, credentials: Credentials) -> (DestinationName, Destinations) {
    crate::tls::install_provider();
    let stow = Stow::new(url.parse().unwrap(), Way::default(), credentials).unwrap();
    let name = DestinationName("archive".into());
    let destination = Destination::new(Target::Stow(stow), 1);
    (name.clone(), Destinations::new([(name, destination)].into()))
}

async fn run(server: &stow::Stow, house: &House, book: &Arc<Book>) -> Ended {
    let (name, destinations) = destinations(&server.url(), Credentials::Nobody);
    destinations.deliver(&name, house.run(book)).await
}

fn is_paused(ended: &Ended) -> bool {
    matches!(ended, Ended::Postponed { pause_destination: true, .. })
}

fn sentence(ended: &Ended) -> &str {
    match ended {
        Ended::Complete => "complete",
        Ended::Held { sentence } | Ended::Postponed { sentence, .. } => sentence,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_object_arrives_whole_and_coerced_in_few_requests() {
    let objects = [(EXPLICIT, 300_000), (IMPLICIT, 301), (JPEG, 300), (BIG, 300), (DEFLATED, 300)];
    let many: Vec<_> =
        objects.into_iter().chain([(EXPLICIT, 20); 100]).chain([("", 201)]).collect();
    let house = House::new(&many);
    for fault in [Misbehaviour::None, Misbehaviour::Xml] {
        let server = stow::Stow::start(fault, None).await.unwrap();
        let book = Arc::new(Book::default());
        assert_eq!(run(&server, &house, &book).await, Ended::Complete);
        assert!(book.statuses().iter().all(|(_, status)| *status == Some(0)));
        let received = server.received();
        assert_eq!((book.outcomes().len(), received.len(), server.requests()), (106, 106, 3));
        assert!(received.values().all(|one| one.count == 1));
        let first = received.get(&crate::forward::tests::uid("1.2.3.4.5.0")).unwrap();
        let length = u64::try_from(first.file.len()).unwrap();
        let mut reader = std::io::Cursor::new(&first.file);
        let scan = scan::scan_file(&mut reader, length, &scan::Limits::default()).unwrap();
        let start = usize::try_from(scan.layout.data_set_at).unwrap();
        let read = DataSet::read(&first.file[start..], Syntax::ExplicitLittle).unwrap();
        assert_eq!(read.text(tags::PATIENT_ID).as_deref(), Some("4711"));
        assert!(read.get(tags::PIXEL_DATA).unwrap().bytes() == Some(&pixels(300_000)));
        assert_eq!(scan.meta.sop_class.unwrap().as_str(), uids::CT_IMAGE_STORAGE);
    }
}

#[tokio::test]
async fn what_failed_is_told_and_only_what_is_named_is_delivered() {
    let house = House::new(&[(EXPLICIT, 20); 9]);
    let permanent = Misbehaviour::Refuse { every: 3, reason: 0xA900 };
    let server = stow::Stow::start(permanent, None).await.unwrap();
    let book = Arc::new(Book::default());
    assert_eq!(run(&server, &house, &book).await, Ended::Complete);
    let refused: Vec<_> =
        book.statuses().into_iter().filter(|(_, s)| s.is_none()).map(|(n, _)| n).collect();
    assert_eq!(refused, [2, 5, 8]);
    assert_eq!(server.received().len(), 6);

    let server = stow::Stow::start(Misbehaviour::Forget { every: 4 }, None).await.unwrap();
    let book = Arc::new(Book::default());
    let ended = run(&server, &house, &book).await;
    assert!(!is_paused(&ended) && sentence(&ended).contains("does not name 2"), "{ended:?}");
    assert_eq!(book.outcomes().len(), 7);
    server.set_fault(Misbehaviour::None);
    assert_eq!(run(&server, &house, &book).await, Ended::Complete);
    assert_eq!(book.outcomes().len(), 9);
    let twice: Vec<u32> = server.received().values().map(|one| one.count).collect();
    assert_eq!(twice.iter().sum::<u32>(), 11, "{twice:?}");

    let full = Misbehaviour::Refuse { every: 2, reason: 0xA700 };
    let server = stow::Stow::start(full, None).await.unwrap();
    let book = Arc::new(Book::default());
    let ended = run(&server, &house, &book).await;
    assert!(is_paused(&ended) && sentence(&ended).contains("out of resources"), "{ended:?}");
    assert_eq!(book.outcomes().len(), 5);
}

#[tokio::test]
async fn each_http_status_leads_to_its_outcome() {
    let house = House::new(&[(EXPLICIT, 20); 3]);
    for (fault, paused, words) in [
        (Misbehaviour::Answer(503), true, "cannot take anything now"),
        (Misbehaviour::Answer(429), true, "cannot take anything now"),
        (Misbehaviour::Answer(401), true, "token or password"),
        (Misbehaviour::Answer(404), true, "no STOW-RS"),
        (Misbehaviour::Answer(302), false, "archive"),
        (Misbehaviour::Answer(204), true, "does not tell what it stored"),
        (Misbehaviour::Chatter, true, "does not tell what it stored"),
    ] {
        let server = stow::Stow::start(fault, None).await.unwrap();
        let book = Arc::new(Book::default());
        let ended = run(&server, &house, &book).await;
        assert!(sentence(&ended).contains(words), "{fault:?}: {ended:?}");
        assert!(is_paused(&ended) == paused, "{fault:?}: {ended:?}");
        assert_eq!(book.outcomes().len(), 0, "{fault:?}");
    }
    // The request as a whole: what is left when each was sent alone is refused.
    for (fault, delivered) in [
        (Misbehaviour::Answer(400), vec![]),
        (Misbehaviour::Answer(409), vec![]),
        (Misbehaviour::Answer(415), vec![]),
        (Misbehaviour::Answer(413), vec![]),
        (Misbehaviour::Choke { on: 1 }, vec![0, 2]),
        (Misbehaviour::Longest { bytes: 2_000 }, vec![0, 1, 2]),
    ] {
        let server = stow::Stow::start(fault, None).await.unwrap();
        let book = Arc::new(Book::default());
        assert_eq!(run(&server, &house, &book).await, Ended::Complete, "{fault:?}");
        let all = book.statuses();
        let named: Vec<_> = all.iter().filter(|(_, s)| s.is_some()).map(|(n, _)| *n).collect();
        assert_eq!((all.len(), named), (3, delivered), "{fault:?}");
        assert_eq!(server.requests(), 4);
    }
}

/// An RLE image of two by two pixels.
fn compressed() -> Vec<u8> {
    let bytes = crate::forward::tests::object(0, EXPLICIT, &[]);
    let mut data = DataSet::read(&bytes, Syntax::ExplicitLittle).unwrap();
    for (tag, value) in [
        (tags::COLUMNS, 2_u16),
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::BITS_ALLOCATED, 8),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        data.put_bytes(tag, VR::US, value.to_le_bytes().to_vec());
    }
    data.put_bytes(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, b"MONOCHROME2".to_vec());
    let mut frame = vec![1, 0, 0, 0, 64, 0, 0, 0];
    frame.resize(64, 0);
    frame.extend([3, 9, 8, 7, 6, 0]);
    let value = crate::dicom::Value::Fragments(vec![vec![], frame]);
    data.insert(Tag(0x7FE0, 0x0010), crate::dicom::Element { vr: VR::OB, value });
    data.write(Syntax::ExplicitLittle)
}

#[tokio::test]
async fn a_server_that_takes_nothing_compressed_gets_it_decoded() {
    let house = House::with(&[(uids::RLE_LOSSLESS, compressed())]);
    let server = stow::Stow::start(Misbehaviour::OnlyNative, None).await.unwrap();
    let book = Arc::new(Book::default());
    assert_eq!(run(&server, &house, &book).await, Ended::Complete);
    assert_eq!(book.statuses(), [(0, Some(0))]);
    let received = server.received();
    let one = received.values().next().unwrap();
    assert_eq!((one.transfer_syntax.as_str(), server.requests()), (EXPLICIT, 2));
    assert!(one.file.windows(8).any(|bytes| bytes == [4, 0, 0, 0, 9, 8, 7, 6]));

    let mut run = house.run(&Arc::new(Book::default()));
    run.compressed = Compressed::AsIs;
    let book = Arc::new(Book::default());
    run.recorder = Arc::clone(&book) as Arc<dyn crate::forward::Recorder>;
    let (name, destinations) = destinations(&server.url(), Credentials::Nobody);
    assert_eq!(destinations.deliver(&name, run).await, Ended::Complete);
    assert_eq!(book.statuses(), [(0, None)]);
}

#[tokio::test]
async fn a_damaged_copy_is_refused_and_takes_no_other_with_it() {
    let house = House::new(&[(EXPLICIT, 300_000), (EXPLICIT, 3_000_000), (EXPLICIT, 300)]);
    house.damage(1);
    let server = stow::Stow::start(Misbehaviour::None, None).await.unwrap();
    let book = Arc::new(Book::default());
    let ended = run(&server, &house, &book).await;
    assert_eq!(ended, Ended::Complete);
    assert_eq!(book.statuses(), [(0, Some(0)), (1, None), (2, Some(0))]);
    assert_eq!(server.received().len(), 2);
    assert!(server.received().values().all(|one| one.count == 1));
}

#[tokio::test]
async fn secrets_come_from_files_that_may_change() {
    let house = House::new(&[(EXPLICIT, 20)]);
    let file = house.folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let server = stow::Stow::start(Misbehaviour::None, Some("Bearer new")).await.unwrap();
    let (name, to) = destinations(&server.url(), Credentials::Token(file.clone()));
    let book = Arc::new(Book::default());
    let ended = to.deliver(&name, house.run(&book)).await;
    assert!(is_paused(&ended) && sentence(&ended).contains("token or password"), "{ended:?}");
    std::fs::write(&file, "new\n").unwrap();
    assert_eq!(to.deliver(&name, house.run(&book)).await, Ended::Complete);
    let missing = Credentials::Token(house.folder.path().join("missing"));
    assert!(Stow::new(server.url().parse().unwrap(), Way::default(), missing).is_err());
}

#[tokio::test]
async fn a_server_that_is_down_postpones() {
    let house = House::new(&[(EXPLICIT, 20)]);
    let (name, to) = destinations("http://127.0.0.1:9/studies", Credentials::Nobody);
    let book = Arc::new(Book::default());
    let ended = to.deliver(&name, house.run(&book)).await;
    assert!(is_paused(&ended), "{ended:?}");
    assert!(sentence(&ended).contains("127.0.0.1") && !sentence(&ended).contains("studies"));
}

/// Takes what comes and answers each request by the script: 0111 for everything, or hangs up.
async fn hanging_up(at: usize) -> (String, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/studies", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut requests = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
            let boundary = |all: &[u8]| {
                let text = String::from_utf8_lossy(all).into_owned();
                let (_, rest) = text.split_once("boundary=")?;
                rest.split(['\r', '"', ';']).next().map(str::to_owned)
            };
            loop {
                let read = stream.read(&mut buffer).await.unwrap();
                all.extend_from_slice(&buffer[..read]);
                let end = boundary(&all).map(|boundary| format!("--{boundary}--"));
                let ended = end.is_some_and(|end| {
                    all.windows(end.len()).any(|window| window == end.as_bytes())
                });
                if read == 0 || ended {
                    break;
                }
            }
            requests += 1;
            if requests == at {
                continue;
            }
            let failed: Vec<_> = (0..200)
                .map(|n| {
                    serde_json::json!({
                        "00081150": {"vr": "UI", "Value": [uids::CT_IMAGE_STORAGE]},
                        "00081155": {"vr": "UI", "Value": [format!("1.2.3.4.5.{n}")]},
                        "00081197": {"vr": "US", "Value": [0x0111]},
                    })
                })
                .collect();
            let body = serde_json::json!({"00081198": {"vr": "SQ", "Value": failed}}).to_string();
            let head = format!(
                "HTTP/1.1 409 Conflict\r\ncontent-type: application/dicom+json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        }
    });
    (url, server)
}

#[tokio::test]
async fn a_request_that_breaks_makes_only_its_own_duplicates_ours() {
    let house = House::new(&[(EXPLICIT, 20); 120]);
    let (url, server) = hanging_up(2).await;
    let (name, to) = destinations(&url, Credentials::Nobody);
    let book = Arc::new(Book::default());
    let ended = to.deliver(&name, house.run(&book)).await;
    assert!(matches!(ended, Ended::Postponed { .. }), "{ended:?}");
    assert_eq!(*book.unanswered.lock().unwrap(), (50..100).collect());
    assert_eq!(to.deliver(&name, house.run(&book)).await, Ended::Complete);
    let delivered: Vec<u32> =
        book.statuses().into_iter().filter(|(_, s)| s.is_some()).map(|(n, _)| n).collect();
    assert_eq!((book.outcomes().len(), delivered), (120, (50..100).collect()));
    server.abort();
}
