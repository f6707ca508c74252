//! Whole runs against a PACS on loopback.

mod holdings;
mod support;

use std::collections::HashSet;
use std::time::Duration;

use dicom_dictionary_std::tags;
use tokio::net::TcpListener;

use super::*;
use crate::dicom::{DataSet, Syntax};
use crate::dimse::Rejection;
use crate::web::Credentials;

pub(super) use support::*;

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
async fn every_instance_arrives_once_over_several_associations() {
    let house = House::new(&[(EXPLICIT, 300_000); 24]);
    let pacs = Pacs::start(Door::default(), |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(3);
    let book = Arc::new(Book::default());
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    assert_eq!(book.outcomes().len(), 24);
    let received = pacs.received();
    assert_eq!(received.len(), 24);
    let different: HashSet<&Uid> = received.iter().map(|(uid, ..)| uid).collect();
    assert_eq!(different.len(), 24);
    for (_, syntax, data) in &received {
        assert_eq!(syntax.as_str(), EXPLICIT);
        let read = DataSet::read(data, Syntax::ExplicitLittle).unwrap();
        assert_eq!(read.text(tags::PATIENT_ID).as_deref(), Some("4711"));
        assert!(read.get(tags::PIXEL_DATA).unwrap().bytes() == Some(&pixels(300_000)));
    }
    let total: usize = received.iter().map(|(_, _, data)| data.len()).sum();
    assert_eq!(*book.bytes.lock().unwrap(), u64::try_from(total).unwrap());
}

#[tokio::test]
async fn each_status_leads_to_its_outcome() {
    let codes =
        [0x0000, 0xB000, 0xB006, 0xB007, 0x0111, 0xA900, 0xC000, 0x0117, 0x0122, 0x0124, 0xA779];
    let house = House::new(&vec![(EXPLICIT, 10); codes.len()]);
    let pacs = Pacs::start(Door::default(), move |n, _| Reply::Status(codes[n as usize])).await;
    let (name, destinations) = pacs.destinations(2);
    let book = Arc::new(Book::default());
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    let delivered = [0x0000, 0xB000, 0xB006, 0xB007].map(Some);
    let expected: Vec<Option<u16>> = delivered.into_iter().chain([None; 7]).collect();
    let statuses: Vec<_> = book.statuses().into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn out_of_resources_stops_the_run_and_keeps_the_rest() {
    let house = House::new(&[(EXPLICIT, 10); 6]);
    let full = |n, times| Reply::Status(if n == 2 && times == 1 { 0xA700 } else { 0 });
    let pacs = Pacs::start(Door::default(), full).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book::default());
    let ended = destinations.deliver(&name, house.run(&book)).await;
    assert!(is_paused(&ended) && sentence(&ended).contains("out of resources"), "{ended:?}");
    assert_eq!(book.statuses(), vec![(0, Some(0)), (1, Some(0))]);
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    assert_eq!(book.outcomes().len(), 6);
    assert_eq!(pacs.received().len(), 7);
}

#[tokio::test]
async fn a_processing_failure_does_not_keep_the_others_back() {
    let house = House::new(&[(EXPLICIT, 10); 5]);
    let pacs =
        Pacs::start(Door::default(), |n, _| Reply::Status(if n == 0 { 0x0110 } else { 0 })).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book::default());
    let ended = destinations.deliver(&name, house.run(&book)).await;
    assert!(matches!(ended, Ended::Postponed { pause_destination: false, .. }));
    assert_eq!(book.outcomes().into_keys().collect::<Vec<_>>(), vec![1, 2, 3, 4]);
}

#[tokio::test]
async fn an_object_that_makes_the_peer_abort_does_not_keep_the_others_back() {
    let house = House::new(&[(EXPLICIT, 10); 5]);
    let reply = |n, _| {
        if n == 1 { Reply::Abort } else { Reply::Status(0) }
    };
    let pacs = Pacs::start(Door::default(), reply).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book::default());
    let ended = destinations.deliver(&name, house.run(&book)).await;
    assert!(matches!(ended, Ended::Postponed { pause_destination: false, .. }), "{ended:?}");
    assert_eq!(book.outcomes().into_keys().collect::<Vec<_>>(), vec![0, 2, 3, 4]);
    let sent = pacs.received();
    assert_eq!(sent.len(), 5, "what was held ready was sent once");
}

#[tokio::test]
async fn an_unknown_ae_title_pauses_the_destination_and_names_both() {
    let house = House::new(&[(EXPLICIT, 10)]);
    let door = Door { rejects: Some(Rejection::CalledUnknown), ..Door::default() };
    let pacs = Pacs::start(door, |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(2);
    let book = Arc::new(Book::default());
    let ended = destinations.deliver(&name, house.run(&book)).await;
    assert!(is_paused(&ended));
    assert!(sentence(&ended).contains("PACS") && sentence(&ended).contains("LOTSE"), "{ended:?}");
    assert!(book.outcomes().is_empty());
}

#[tokio::test]
async fn a_peer_that_is_down_postpones() {
    let house = House::new(&[(EXPLICIT, 10); 3]);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (name, destinations) = destinations(free, 3);
    let book = Arc::new(Book::default());
    let ended = destinations.deliver(&name, house.run(&book)).await;
    assert!(is_paused(&ended), "{ended:?}");
}

#[tokio::test]
async fn a_peer_that_takes_fewer_associations_still_gets_everything() {
    let house = House::new(&[(EXPLICIT, 10); 9]);
    let pacs = Pacs::start(Door { most: 1, ..Door::default() }, |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(4);
    let book = Arc::new(Book::default());
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    assert_eq!(book.outcomes().len(), 9);
}

#[tokio::test]
async fn a_peer_that_takes_only_implicit_gets_native_objects_rewritten() {
    let house =
        House::new(&[(EXPLICIT, 400), (IMPLICIT, 400), (JPEG, 400), (DEFLATED, 400), (BIG, 400)]);
    let door = Door { offers: only_implicit, ..Door::default() };
    let pacs = Pacs::start(door, |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book::default());
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    let statuses: Vec<_> = book.statuses().into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, vec![Some(0), Some(0), None, Some(0), Some(0)]);
    let Some(InstanceOutcome::Refused { sentence, .. }) = book.outcomes().remove(&2) else {
        panic!()
    };
    assert!(sentence.contains("cannot be decoded"), "{sentence}");
    for (instance, syntax, data) in pacs.received() {
        assert_eq!(syntax.as_str(), IMPLICIT);
        let read = DataSet::read(&data, Syntax::ImplicitLittle).unwrap();
        assert_eq!(read.text(tags::PATIENT_ID).as_deref(), Some("4711"));
        assert!(read.get(tags::PIXEL_DATA).unwrap().bytes() == Some(&pixels(400)), "{instance}");
        assert_eq!(read.u16(tags::ROWS), Some(2));
    }
}

#[tokio::test]
async fn a_document_arrives_as_encapsulated_pdf() {
    let house = House::new(&[("", 201)]);
    let pacs = Pacs::start(Door::default(), |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book::default());
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    let received = pacs.received();
    let read = DataSet::read(&received[0].2, Syntax::ExplicitLittle).unwrap();
    let document = read.get(tags::ENCAPSULATED_DOCUMENT).unwrap().bytes().unwrap();
    assert!(document.starts_with(&pixels(201)));
    assert_eq!(read.text(tags::PATIENT_ID).as_deref(), Some("4711"));
}

#[tokio::test]
async fn a_cancelled_run_ends_though_the_peer_is_silent() {
    let house = House::new(&[(EXPLICIT, 10); 3]);
    let pacs = Pacs::start(Door::default(), |_, _| Reply::Stall).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book::default());
    let run = house.run(&book);
    let brake = run.brake.clone();
    let delivered = destinations.deliver(&name, run);
    let cancelled = async {
        while pacs.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        brake.cancel();
    };
    let both = async { tokio::join!(delivered, cancelled).0 };
    let ended = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert!(matches!(ended, Ended::Postponed { pause_destination: false, .. }));
    assert!(book.outcomes().is_empty());
}

#[tokio::test]
async fn a_stopped_run_hears_and_records_the_answers_to_what_is_on_the_wire() {
    let house = House::new(&[(EXPLICIT, 10); 12]);
    let pacs = Pacs::start(Door::default(), |_, _| Reply::Slowly).await;
    let (name, destinations) = pacs.destinations(3);
    let book = Arc::new(Book::default());
    let run = house.run(&book);
    let brake = run.brake.clone();
    let stopped = async {
        while pacs.received().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        brake.stop();
    };
    let (ended, ()) = tokio::join!(destinations.deliver(&name, run), stopped);
    assert!(matches!(ended, Ended::Postponed { pause_destination: false, .. }), "{ended:?}");
    let (came, known) = (pacs.received().len(), book.outcomes().len());
    assert!((2..12).contains(&came), "{came}");
    assert_eq!(known, came, "nothing that came is without its outcome");
    // The next start sends the others, and nothing twice.
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    assert_eq!(pacs.received().len(), 12);
}

#[tokio::test]
async fn a_recorder_that_is_gone_ends_the_run() {
    let house = House::new(&[(EXPLICIT, 10); 12]);
    let pacs = Pacs::start(Door::default(), |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book { gone: true, ..Book::default() });
    let ended = destinations.deliver(&name, house.run(&book)).await;
    assert_ne!(ended, Ended::Complete);
    assert!(pacs.received().len() <= ledger::UNRECORDED + 1);
}

/// The pack of the house's only import.
fn pack(folder: &std::path::Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.map(|path| if path.is_dir() { pack(&path) } else { path });
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |found| found.len());
    files.max_by_key(size).unwrap_or_default()
}

#[tokio::test]
async fn a_damaged_local_copy_is_refused_and_the_others_go() {
    let mut house = House::new(&[
        (EXPLICIT, 3_000_000),
        (EXPLICIT, 3_000_000),
        (EXPLICIT, 100),
        (EXPLICIT, 100),
    ]);
    Arc::make_mut(&mut house.instances[2].1).blob.at += 3;
    house.damage(1);
    let pacs = Pacs::start(Door::default(), |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(1);
    let book = Arc::new(Book::default());
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    let statuses: Vec<_> = book.statuses().into_iter().map(|(_, status)| status).collect();
    assert_eq!(statuses, vec![Some(0), None, None, Some(0)]);
}

#[tokio::test]
async fn an_unknown_destination_is_a_sentence() {
    let house = House::new(&[]);
    let (_, destinations) = destinations("127.0.0.1:9".parse().unwrap(), 1);
    let book = Arc::new(Book::default());
    let ended = destinations.deliver(&DestinationName("none".into()), house.run(&book)).await;
    assert!(sentence(&ended).contains("no destination none"));
}

#[test]
fn sections_have_exactly_one_target() {
    let section = |text: &str| toml::from_str::<DestinationSection>(text);
    assert_eq!(section("peer = 'pacs'").unwrap().target(), Ok(TargetSection::Peer("pacs".into())));
    assert_eq!(section("folder = '/x'").unwrap().target(), Ok(TargetSection::Folder("/x".into())));
    assert_eq!(section("").unwrap().target(), Err(vec![Faulty::NotOneTarget]));
    let stow = |more: &str| section(&format!("stow-url = '{more}")).unwrap().target();
    assert!(matches!(stow("https://x/studies'"), Ok(TargetSection::Stow(_, Credentials::Nobody))));
    assert!(stow("http://x/studies'\nallow-http = true\nuser = 'a'\npassword-file = '/p'").is_ok());
    for (more, fault) in [
        ("http://x/studies'", Faulty::StowUrl),
        ("ftp://x/studies'", Faulty::StowUrl),
        ("https://u:p@x/studies'", Faulty::StowUrl),
        ("https://x/studies'\nuser = 'a'", Faulty::Credentials),
        ("https://x/studies'\nexisting-study = 'ask'", Faulty::AskedFolder),
        ("https://x/studies'\ncommitment = 'require'", Faulty::VouchingFolder),
        ("https://x/studies'\nbandwidth = '20 Mbit/s'", Faulty::BandwidthToFolder),
        ("https://x/studies'\nfolder = '/x'", Faulty::NotOneTarget),
    ] {
        assert_eq!(stow(more), Err(vec![fault]), "{more}");
    }
    let keys = section("peer = 'p'\ntoken-file = '/t'").unwrap().target();
    assert_eq!(keys, Err(vec![Faulty::StowKeys]));
    let both =
        section("peer = 'p'\nfolder = '/x'\nassociations = 0").unwrap().target().unwrap_err();
    assert!(both.contains(&Faulty::NotOneTarget) && both.contains(&Faulty::Associations));
    assert!(section("per = 'pacs'").is_err());
    assert_eq!(section("peer = 'pacs'").unwrap().associations(), 4);
}

#[tokio::test]
async fn more_contexts_than_one_association_holds_arrive_over_several() {
    // Explicit and Implicit VR for each of 70 classes: 140 presentation contexts.
    let mut house = House::new(&[(EXPLICIT, 10); 70]);
    for (n, instance) in &mut house.instances {
        Arc::make_mut(instance).sop_class = uid(&format!("1.2.840.10008.5.1.4.1.1.{n}"));
    }
    let pacs = Pacs::start(Door::default(), |_, _| Reply::Status(0)).await;
    let (name, destinations) = pacs.destinations(2);
    let book = Arc::new(Book::default());
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    let different: HashSet<Uid> = pacs.received().into_iter().map(|(uid, ..)| uid).collect();
    assert_eq!((different.len(), pacs.received().len()), (70, 70));
}
