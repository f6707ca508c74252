//! The worklist while the RIS is down, over a restart, and at its limits.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use lotse::clock::{Clock, Moment};
use lotse::dicom::inspect::Found;
use lotse::dicom::{AeTitle, CharacterSets, DataSet, VR};
use lotse::import::{Inspected, Kind};
use lotse::pipeline::{Arrival, Refusal};
use lotse::scp::{Door, Intake, Limits, serve};
use lotse::spool::Sealed;
use lotse::worklist::{Cache, Entry, Local, LocalKey, Origin, Worklist, WorklistSection};
use tokio_util::sync::CancellationToken;

use super::answerers::wlmscpfs;
use super::{entries, kept};
use crate::support::{Setup, eventually, program};

/// What findscu was told: matches, final status, and all it said.
fn ask(port: u16, calling: &str, options: &[&str]) -> (usize, Option<u16>, String) {
    let mut command = Command::new(program("findscu"));
    command.args(["-d", "-W", "-aet", calling, "-aec", "LOTSE"]).args(options);
    command.args(["127.0.0.1", &port.to_string(), "-k", "PatientName"]);
    let output = command.env("TCP_NODELAY", "1").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let statuses =
        said.lines().filter_map(|line| line.split_once("DIMSE Status")?.1.split_once("0x"));
    let codes = statuses.filter_map(|(_, code)| u16::from_str_radix(code.get(..4)?, 16).ok());
    let (pending, last): (Vec<u16>, Vec<u16>) =
        codes.partition(|code| matches!(code, 0xFF00 | 0xFF01));
    (pending.len(), last.first().copied(), said)
}

fn holds(folder: &Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn modalities_have_their_worklist_while_the_ris_is_down_and_after_a_restart() {
    let folder = entries().await;
    let ris = wlmscpfs(&folder).await;
    let site = Setup::new()
        .peer("ris", "WL", ris.port, &[])
        .worklist_peer("ris")
        .peer("modality", "MODALITY", 104, &["worklist"])
        .peer("sender", "SENDER", 104, &["store"])
        .write();
    let daemon = site.start().await;
    kept(&daemon).await;
    assert_eq!(ask(daemon.dicom.port(), "MODALITY", &[]).0, 12);
    let (matches, _, said) = ask(daemon.dicom.port(), "SENDER", &[]);
    assert!(matches == 0 && said.contains("No Acceptable Presentation Contexts"), "{said}");
    drop(ris);

    assert_eq!(ask(daemon.dicom.port(), "MODALITY", &[]).0, 12);
    let (code, site) = daemon.stop().await;
    assert_eq!(code, 0);
    let data = site.data_dir();
    for needle in ["Müller", "Beispiel^Otto", "A2026003", "1.2.826.0.1.7"] {
        assert!(!holds(&data, needle), "{needle} can be read without the key");
    }

    let daemon = site.start().await;
    let (matches, status, said) = ask(daemon.dicom.port(), "MODALITY", &[]);
    assert_eq!((matches, status), (12, Some(0)), "{said}");
    let list = daemon.cli(&["worklist", "--json"]).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 12);
    assert!(list["notes"].to_string().contains("does not answer"), "{list}");
    let found = daemon.cli_with(&["worklist", "--name", "-"], "otto\n").await.ok();
    assert!(found.contains("Otto") && !found.contains("Anna"), "{found}");
    let status = daemon.api.text("/status").await;
    let metrics = daemon.api.text("/metrics").await;
    assert!(status.contains("\"entries\":12") && status.contains("ageSeconds"), "{status}");
    assert!(metrics.contains("lotse_worklist_kept_entries{source=\"peer ris\"} 12"), "{metrics}");
    assert!(metrics.contains("lotse_worklist_kept_seconds{source=\"peer ris\"}"), "{metrics}");
    for text in [status, metrics, daemon.log()] {
        assert!(
            !text.contains("ller") && !text.contains("Otto") && !text.contains("A2026003"),
            "{text}"
        );
    }
}

/// A door that takes no objects.
struct Closed;

#[async_trait]
impl Intake for Closed {
    fn scan(&self) -> lotse::unpack::ScanSection {
        lotse::unpack::ScanSection::default()
    }

    async fn arrival(&self, _: Kind) -> Result<Arrival, Refusal> {
        Err(Refusal::Stopping)
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

    async fn reported(&self, _: &str, _: lotse::dimse::Report) -> lotse::dimse::Status {
        lotse::dimse::Status::PROCESSING_FAILURE
    }

    fn standing(&self, _: &lotse::dicom::Uid) -> Option<lotse::confirm::Standing> {
        None
    }

    fn now(&self) -> Moment {
        Moment::default()
    }
}

fn many(count: usize) -> Vec<Entry> {
    let sets = CharacterSets::utf8();
    let one = |number: usize| {
        let mut set = DataSet::default();
        let tags = [(0x0010, 0x0010), (0x0010, 0x0020)];
        for ((group, element), vr) in tags.into_iter().zip([VR::PN, VR::LO]) {
            let text = format!("Beispiel {number}");
            assert!(set.put_text(lotse::dicom::Tag(group, element), vr, &text, &sets));
        }
        Entry::new(set, Origin::Peer("test".into())).unwrap()
    };
    (0..count).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_cancels_are_told_by_their_status() {
    let section: WorklistSection = toml::from_str("answer-limit = 300").unwrap();
    let options = section.options(jiff::tz::TimeZone::UTC).unwrap();
    let local = Local::in_memory();
    let clock = Clock::simulated(Moment::default());
    let worklist = Worklist::new(vec![], options, clock).keeping(Cache::in_memory(), local.clone());
    let peers = toml::from_str(
        "[modality]\nae-title = \"MODALITY\"\naddress = \"127.0.0.1:104\"\nmay = [\"worklist\"]",
    );
    let title = AeTitle::new("LOTSE").unwrap();
    let door = Door::new(title, peers.unwrap(), Arc::new(Closed), Limits::default());
    door.set_worklist(worklist);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, door, stop.clone()));

    // Nothing was ever read: that is no empty worklist.
    let ask = move |options: &'static [&'static str]| {
        tokio::task::spawn_blocking(move || ask(port, "MODALITY", options))
    };
    let (matches, status, said) = ask(&[]).await.unwrap();
    assert_eq!((matches, status), (0, Some(0xA700)), "{said}");
    assert!(said.contains("no worklist was read yet"), "{said}");

    let key = LocalKey::new("k").unwrap();
    local.put(&key, many(300)).unwrap();
    assert_eq!(ask(&[]).await.unwrap().1, Some(0));
    local.put(&key, many(301)).unwrap();
    let (matches, status, said) = ask(&[]).await.unwrap();
    assert_eq!((matches, status), (300, Some(0xA700)));
    assert!(said.contains("too many matches"), "{said}");

    // A cancel is heard while answers are under way, sooner or later.
    local.put(&key, many(300)).unwrap();
    eventually("a query to be cancelled", || async {
        let (matches, status, _) = ask(&["--cancel", "1"]).await.unwrap();
        (status == Some(0xFE00) && matches < 300).then_some(())
    })
    .await;
    stop.cancel();
    serving.await.unwrap();
}
