//! `kill -9` at any time, then a restart on the same data folder: nothing is lost, nothing is sent more often
//! than what was in flight.

mod denied;
mod keys;
mod receiving;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lotse::gateway::{ClockSource, Config, Environment, Gateway};
use lotse::import::{ImportId, State, StudyState};
use lotse::sim::sample::Sample;
use lotse::sim::world::World;
use lotse::sim::{pacs, portal, ris};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::hospital::{actor, copy_folder, files_below, shown, until};
use crate::sink::Sink;
use crate::support::{Daemon, PATIENCE, Setup, Site};

/// What may be sent twice by one kill: four associations with four unrecorded outcomes each.
const IN_FLIGHT: usize = 4 * 4;

fn setup(world: &World, pacs: u16) -> Setup {
    Setup::new()
        .peer("ris", "RIS", world.ris.address().port(), &[])
        .worklist_peer("ris")
        .peer("pacs", "PACS", pacs, &[])
        .destination_peer("pacs")
        .portals_on_loopback()
}

/// Takes a folder of the daemon's data to where it looks for nothing.
fn take_away(site: &Site, name: &str) {
    std::fs::rename(site.data_dir().join(name), site.folder().join("away")).unwrap();
}

/// Brings it back, in the place of what was made there meanwhile.
fn bring_back(site: &Site, name: &str) {
    let folder = site.data_dir().join(name);
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(site.folder().join("away"), folder).unwrap();
}

fn bytes_below(folder: &Path) -> u64 {
    files_below(folder).iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

fn link_request(world: &World) -> Value {
    let item = world.sample.item();
    let id = item.patient.id.unwrap();
    json!({
        "link": world.portal.link(),
        "answers": {"PAT_BIRTH_DATE": world.sample.birth_date()},
        "patient": {"patientId": id.id, "issuer": id.issuer},
        "accessionNumber": item.accession_number.unwrap().number,
    })
}

/// Every instance of the sample once, a created one beside them, and no more than so many repetitions.
fn assert_accounted(sink: &Sink, sample: &Sample, most_each: usize, most_repeated: usize) {
    let requests = sink.requests();
    for slice in 0..sample.slices() {
        let uid = sample.instance_uid(slice).to_string();
        let times = requests.get(&uid).copied().unwrap_or(0);
        assert!((1..=most_each).contains(&times), "{uid} came {times} times");
    }
    assert_eq!(requests.len(), usize::from(sample.slices()) + 1, "the slices and one PDF");
    let repeated = requests.values().sum::<usize>() - requests.len();
    assert!(repeated <= most_repeated, "{repeated} repeated");
}

fn counts_of(import: &Value) -> (u64, u64, u64, u64) {
    let count = |name: &str| import["counts"][name].as_u64().unwrap();
    (count("received"), count("delivered"), count("created"), count("createdDelivered"))
}

/// Waits for the words in the log without losing a millisecond.
async fn at_once(daemon: &Daemon, words: &[&str]) {
    let log = daemon.log_handle();
    let seen = async {
        while !log.text().lines().any(|line| words.iter().all(|word| line.contains(word))) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, seen).await.is_ok(), "{words:?} not in\n{}", log.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_import_survives_a_kill_in_each_of_its_stages() {
    const SLICES: u16 = 60;
    let world = World::start(SLICES).await.unwrap();
    let sink = Sink::start().await;
    let site = setup(&world, sink.port).write();

    // Requested: on the device when it is answered, and tried again while the portal is down.
    let down = portal::Faults { link: portal::AtLink::Status(503), ..Default::default() };
    world.portal.misbehave(down);
    let daemon = site.start().await;
    let id = daemon.api.import_link(&json!({"link": world.portal.link()})).await;
    let site = daemon.kill().await;
    let daemon = site.start().await;
    daemon.api.until_state(&id, "Requested").await;
    let site = daemon.kill().await;

    // Asking.
    world.portal.misbehave(portal::Faults::default());
    let daemon = site.start().await;
    daemon.api.until_state(&id, "Asking").await;
    let site = daemon.kill().await;
    let daemon = site.start().await;
    daemon.api.until_state(&id, "Asking").await;

    // Downloading.
    let slow = portal::Faults { slow: Some(Duration::from_millis(50)), ..Default::default() };
    world.portal.misbehave(slow);
    let answers = json!({"answers": {"PAT_BIRTH_DATE": world.sample.birth_date()}});
    let (status, body) = daemon.api.post(&format!("/api/v1/imports/{id}/answers"), &answers).await;
    assert!(status < 300, "{body}");
    daemon
        .api
        .until(&id, "bytes of a download", |import| {
            import["state"] == "Downloading" && import["progress"]["bytes"].as_u64() > Some(500_000)
        })
        .await;
    let site = daemon.kill().await;

    // Received, that is in the middle of unpacking.
    world.portal.misbehave(portal::Faults::default());
    world.ris.set_fault(ris::Fault::Stall);
    let daemon = site.start().await;
    at_once(&daemon, &["event=\"Received\""]).await;
    let site = daemon.kill().await;

    // AwaitingWorklist: asked, and no answer yet.
    let daemon = site.start().await;
    daemon.api.until_studies(&id, "AwaitingWorklist").await;
    let before = world.ris.queries();
    until("a query", async || (world.ris.queries() > before || before > 0).then_some(())).await;
    let site = daemon.kill().await;

    // AwaitingDecision.
    world.ris.set_fault(ris::Fault::None);
    let daemon = site.start().await;
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    let site = daemon.kill().await;
    let daemon = site.start().await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(sink.total(), 0, "nothing leaves before the decision");

    // Forwarding, several instances in.
    sink.pace(0.1);
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let decision = json!({"item": world.sample.item().item_id(), "reason": "asked the patient"});
    let path = format!("/api/v1/imports/{id}/studies/{study}/decision");
    let (status, body) = daemon.api.post(&path, &decision).await;
    assert!(status < 300, "{body}");
    until("some instances", async || (sink.total() >= 20).then_some(())).await;
    let site = daemon.kill().await;
    let sent = sink.total();
    assert!(sent < usize::from(SLICES), "the kill came in the middle: {sent}");
    sink.pace(0.0);
    let daemon = site.start().await;
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(counts_of(&import), (u64::from(SLICES), u64::from(SLICES), 1, 1));

    // Closed.
    let sent = sink.total();
    let site = daemon.kill().await;
    let daemon = site.start().await;
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(counts_of(&import), (u64::from(SLICES), u64::from(SLICES), 1, 1));
    assert_eq!(daemon.stop().await.0, 0);
    assert_eq!(sink.total(), sent, "what is confirmed is not sent again");
    assert_accounted(&sink, &world.sample, 2, IN_FLIGHT);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_unpacked_again_if_the_kill_came_in_between() {
    const TRIES: usize = 10;
    let world = World::start(1).await.unwrap();
    let mut site = setup(&world, world.pacs.address().port()).write();
    let mut hit = false;
    for seed in 0..TRIES {
        let sample = Sample::with_seed(60, u64::try_from(seed).unwrap());
        let daemon = site.start().await;
        let id = daemon.api.upload("cd.zip", sample.zip().unwrap(), &json!({})).await;
        let log = daemon.log_handle();
        site = daemon.kill().await;
        // A busy machine may be done with it before the kill gets its turn.
        hit = !log.text().contains("event=\"Unpacked\"");
        let daemon = site.start().await;
        let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
        assert_eq!(import["counts"]["received"], 60);
        assert_eq!(import["studies"][0]["counts"]["created"], 1);
        assert_eq!(daemon.log().contains("event=\"Unpacked\""), hit);
        site = daemon.kill().await;
        if hit {
            break;
        }
    }
    assert!(hit, "{TRIES} kills came too late");
    world.stop().await;
}

/// The next number of a row that looks random and is the same each time.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % below
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_end_like_none() {
    const SLICES: u16 = 30;
    const KILLS: usize = 15;
    let world = World::start(SLICES).await.unwrap();
    world
        .portal
        .misbehave(portal::Faults { slow: Some(Duration::from_millis(3)), ..Default::default() });
    let sink = Sink::start().await;
    sink.pace(0.3);
    let mut site = setup(&world, sink.port).write();
    let daemon = site.start().await;
    let id = daemon.api.import_link(&link_request(&world)).await;
    let mut daemon = Some(daemon);
    let mut seed = 0x10_75E0_F1CE;
    let (mut kills, mut retries) = (0, 0);
    while kills < KILLS {
        let running = match daemon.take() {
            Some(daemon) => daemon,
            None => site.start().await,
        };
        let import = running.api.import(&id).await;
        retries += usize::from(press_retry(&running, &id, &import).await);
        if import["state"] == "Closed" {
            site = running.kill().await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(random(&mut seed, 700))).await;
        site = running.kill().await;
        kills += 1;
    }
    assert!(kills >= 5, "{kills} kills only");
    sink.pace(0.0);
    let daemon = site.start().await;
    let import = daemon
        .api
        .until(&id, "the end", |import| import["state"] == "Closed" || needs_retry(import))
        .await;
    retries += usize::from(press_retry(&daemon, &id, &import).await);
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(counts_of(&import), (u64::from(SLICES), u64::from(SLICES), 1, 1));
    assert_accounted(&sink, &world.sample, kills + 1, kills * IN_FLIGHT);
    println!("{kills} kills, {retries} retries, {} requests", sink.total());
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orderly_stops_while_a_study_is_on_the_wire_repeat_nothing() {
    const SLICES: u16 = 30;
    const STOPS: usize = 4;
    let world = World::start(SLICES).await.unwrap();
    let sink = Sink::start().await;
    sink.pace(0.4);
    let mut site = setup(&world, sink.port).write();
    let daemon = site.start().await;
    let id = daemon.api.import_link(&link_request(&world)).await;
    let mut daemon = daemon;
    for stop in 1..=STOPS {
        let before = sink.total();
        until("an object on the wire", async || (sink.total() > before).then_some(())).await;
        let (code, stopped) = daemon.stop().await;
        assert_eq!(code, 0, "stop {stop}");
        assert!(sink.total() < usize::from(SLICES), "stop {stop} came in the middle");
        site = stopped;
        daemon = site.start().await;
    }
    sink.pace(0.0);
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(counts_of(&import), (u64::from(SLICES), u64::from(SLICES), 1, 1));
    assert_accounted(&sink, &world.sample, 1, 0);
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

/// Work that was cut off three times in a row waits for a person instead of looping.
fn needs_retry(import: &Value) -> bool {
    import["state"] == "Failed" || import["studies"][0]["state"] == "Quarantined"
}

async fn press_retry(daemon: &Daemon, id: &str, import: &Value) -> bool {
    if needs_retry(import) {
        let (status, body) =
            daemon.api.post(&format!("/api/v1/imports/{id}/retry"), &json!({})).await;
        assert!(status < 300, "{body}");
    }
    needs_retry(import)
}

/// The data folder as it is at one moment, which is what `kill -9` leaves: nobody writes meanwhile.
fn snapshot(daemon: &Daemon) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    daemon.signal(Signal::SIGSTOP);
    let stat = format!("/proc/{}/stat", daemon.id());
    while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
        std::thread::yield_now();
    }
    copy_folder(&daemon.site().data_dir(), copy.path());
    daemon.signal(Signal::SIGCONT);
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stop_between_two_journal_writes_leads_to_the_same_end() {
    const SLICES: u16 = 6;
    const SNAPSHOTS: usize = 24;
    let world = World::start(SLICES).await.unwrap();
    // Copying takes longer than what goes on between two writes otherwise.
    world.pacs.set_fault(pacs::Fault::Late { millis: 250 });
    let site = setup(&world, world.pacs.address().port()).write();
    let daemon = site.start().await;
    let id: ImportId = daemon.api.import_link(&link_request(&world)).await.parse().unwrap();
    let mut copies = vec![];
    let mut last = vec![];
    loop {
        let copy = snapshot(&daemon);
        let journal = journal_of(copy.path());
        let ended = daemon.api.import(&id.to_string()).await["state"] == "Closed";
        if journal != last && copies.len() < SNAPSHOTS {
            copies.push(copy);
        }
        last = journal;
        if ended {
            break;
        }
    }
    copies.push(snapshot(&daemon));
    daemon.kill().await;
    assert!(copies.len() >= 4, "{} stops only", copies.len());
    println!("{} stops", copies.len());
    for copy in &copies {
        ends_well(&world, &site, copy.path(), id).await;
    }
    world.stop().await;
}

fn journal_of(copy: &Path) -> Vec<u8> {
    let mut files = files_below(&copy.join("journal"));
    files.sort();
    files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect()
}

/// A gateway on a copy of the data folder, with a PACS of its own, brings the import to its end.
async fn ends_well(world: &World, site: &Arc<Site>, copy: &Path, id: ImportId) {
    let pacs = pacs::Pacs::start(pacs::Fault::Congested, None).await.unwrap();
    let text = std::fs::read_to_string(site.config()).unwrap();
    let text = text
        .replace(&site.data_dir().display().to_string(), &copy.display().to_string())
        .replace(&world.pacs.address().to_string(), &pacs.address().to_string());
    let file = copy.with_extension("toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), &Environment::default()).unwrap();
    std::fs::remove_file(&file).unwrap();
    let gateway = Gateway::start(config, ClockSource::System).await.unwrap();
    let before = gateway.pipeline.import(id).expect("it was acknowledged");
    let delivered = before.counts().delivered + before.counts().created_delivered;
    pacs.set_fault(pacs::Fault::None);
    let import = until("the end of an import", async || {
        let import = gateway.pipeline.import(id).unwrap();
        assert!(import.counts().is_conserved());
        let held = import.studies.iter().any(|s| matches!(s.state, StudyState::Quarantined { .. }));
        if matches!(import.state, State::Failed { .. }) || held {
            gateway.pipeline.retry(id, actor()).await.unwrap();
        }
        matches!(import.state, State::Closed { .. }).then_some(import)
    })
    .await;
    let counts = import.counts();
    let slices = u64::from(world.sample.slices());
    assert_eq!((counts.received, counts.delivered), (slices, slices), "{}", shown(&import));
    assert_eq!((counts.created, counts.created_delivered), (1, 1));
    // What had been delivered before is not sent again, all else is.
    let stored = u64::try_from(pacs.received().len()).unwrap();
    assert_eq!(stored, slices + 1 - delivered);
    assert!(pacs.received().values().all(|object| object.count == 1));
    gateway.stop().await.unwrap();
    pacs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_as_destination_holds_whole_files_only() {
    const SLICES: u16 = 40;
    const KILLS: usize = 4;
    let world = World::start(SLICES).await.unwrap();
    let mut site = Setup::new()
        .peer("ris", "RIS", world.ris.address().port(), &[])
        .worklist_peer("ris")
        .portals_on_loopback()
        .write();
    let delivered = site.folder().join("delivered");
    let daemon = site.start().await;
    let id = daemon.api.import_link(&link_request(&world)).await;
    let mut daemon = Some(daemon);
    let finals = || {
        let files = files_below(&delivered);
        files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|ending| ending == "dcm"))
            .count()
    };
    for _ in 0..KILLS {
        let running = match daemon.take() {
            Some(daemon) => daemon,
            None => site.start().await,
        };
        let before = finals();
        let looking = async {
            while finals() < (before + 3).min(usize::from(SLICES) + 1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("files in the folder");
        site = running.kill().await;
    }
    let daemon = site.start().await;
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(counts_of(&import), (u64::from(SLICES), u64::from(SLICES), 1, 1));
    let files = files_below(&delivered);
    assert_eq!(files.len(), usize::from(SLICES) + 1, "nothing half is left: {files:?}");
    for file in files {
        let length = file.metadata().unwrap().len();
        let mut from = std::fs::File::open(&file).unwrap();
        lotse::dicom::scan::scan_file(&mut from, length, &Default::default()).unwrap();
    }
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}
