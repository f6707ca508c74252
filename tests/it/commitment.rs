//! Storage commitment with a real archive (pynetdicom, Orthanc) and a clock of our own.

mod orthanc;
mod provider;
mod refused;
mod silent;

use std::sync::Arc;
use std::time::Duration;

use lotse::clock::Clock;
use lotse::import::{Assurance, Commitment, Import, ImportId, Stand, StudyState};

use crate::hospital::{Answered, Hospital, Order, clock_at, some_moment, until};
use crate::support::peers::{Peer, python};

const SLICES: u16 = 5;
const HOUR: Duration = Duration::from_secs(3600);

/// An archive that commits as its `mode` says.
struct Archive {
    peer: Peer,
    folder: tempfile::TempDir,
}

impl Archive {
    async fn start(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        std::fs::write(folder.path().join("mode"), mode).unwrap();
        let peer =
            Peer::start(|port| python("commitment_scp.py", &[&port.to_string(), &path])).await;
        Self { peer, folder }
    }

    fn write(&self, name: &str, text: &str) {
        // At once whole: the archive reads it at any time.
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.folder.path().join(name)).unwrap();
    }

    /// The last words of the lines that begin with `word`.
    fn lines(&self, word: &str) -> Vec<Vec<String>> {
        let text = self.peer.process.log.text();
        let of_word = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        of_word.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    fn transactions(&self) -> Vec<String> {
        self.lines("asked").into_iter().map(|line| line[0].clone()).collect()
    }

    /// How its first report was answered.
    async fn answer(&self) -> String {
        until("an answer to a report", async || Some(self.lines("reported").first()?[1].clone()))
            .await
    }

    /// How often each instance was stored.
    fn stored(&self) -> std::collections::BTreeMap<String, usize> {
        let mut stored = std::collections::BTreeMap::new();
        for line in self.lines("stored") {
            *stored.entry(line[0].clone()).or_default() += 1;
        }
        stored
    }
}

/// A hospital whose PACS is the archive, on a clock that is moved by hand.
async fn hospital(archive: &Archive, keys: &str) -> (Hospital, Clock) {
    let (clock, source) = clock_at(some_moment());
    let (port, keys) = (archive.peer.port, keys.to_owned());
    let hospital = Hospital::start_with(SLICES, source, move |text| {
        let (before, after) = text.split_once("[peers.pacs]").unwrap();
        let (_, after) = after.split_once("[[worklist.sources]]").unwrap();
        let text = format!(
            "{before}[peers.pacs]\nae-title = \"PACS\"\naddress = \"127.0.0.1:{port}\"\n\n[[worklist.sources]]{after}"
        );
        text.replace("[destinations.pacs]\n", &format!("[destinations.pacs]\n{keys}\n"))
    })
    .await;
    tell(archive, &hospital);
    (hospital, clock)
}

fn tell(archive: &Archive, hospital: &Hospital) {
    archive.write("gateway", &hospital.gateway.addresses.dicom[0].port().to_string());
}

fn commitment(import: &Import) -> Option<&Commitment> {
    Some(&import.studies.first()?.work()?.deliveries.first()?.commitment)
}

/// Moves the clock on until the import is as wanted: what waits between attempts is simulated too.
async fn moving(
    hospital: &Hospital,
    clock: &Clock,
    id: ImportId,
    what: &str,
    reached: impl Fn(&Import) -> bool,
) -> Arc<Import> {
    until(what, async || {
        let import = hospital.import(id);
        assert!(import.counts().is_conserved(), "{:?}", import.counts());
        if reached(&import) {
            return Some(import);
        }
        clock.advance(Duration::from_millis(200));
        None
    })
    .await
}

fn is_closed(import: &Import) -> bool {
    import.state.name() == "Closed"
}

fn assurance(import: &Import) -> Option<Assurance> {
    commitment(import)?.assurance()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_committed_on_the_association_of_the_request() {
    let archive = Archive::start("all").await;
    let (hospital, clock) = hospital(&archive, "").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let import = moving(&hospital, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Committed));
    assert_eq!(archive.transactions().len(), 1);
    assert_eq!(archive.answer().await, "0000", "the report is answered");
    assert!(archive.stored().values().all(|count| *count == 1));
    let shown = hospital.show(id).await;
    assert_eq!(shown["studies"][0]["deliveries"][0]["assurance"], "committed", "{shown}");
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_committed_on_an_association_of_the_archive() {
    let archive = Archive::start("later").await;
    let (hospital, clock) = hospital(&archive, "").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let import = moving(&hospital, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Committed));
    assert_eq!(archive.answer().await, "0000", "of a peer that may ask nothing of us");
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_archive_lost_is_sent_again_and_only_that() {
    let archive = Archive::start("partly").await;
    let (hospital, clock) = hospital(&archive, "").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let import = moving(&hospital, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Committed));
    // Six objects with the report; the archive lost every second one, once.
    let mut times: Vec<_> = archive.stored().into_values().collect();
    times.sort_unstable();
    assert_eq!(times, [1, 1, 1, 2, 2, 2]);
    let asked = archive.lines("asked");
    let numbers: Vec<_> = asked.iter().map(|line| line[1].as_str()).collect();
    assert_eq!(numbers, ["6", "3"], "the second request is about what was lost");
    assert_ne!(asked[0][0], asked[1][0], "a transaction UID of its own");
    assert_eq!(import.counts().delivered, u64::from(SLICES));
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_may_come_a_restart_later() {
    let archive = Archive::start("hold").await;
    let (hospital, clock) = hospital(&archive, "").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let is_taken = |import: &Import| {
        commitment(import).is_some_and(|c| c.asked.last().is_some_and(|asked| asked.taken))
    };
    moving(&hospital, &clock, id, "a request that was taken", is_taken).await;
    assert_eq!(hospital.import(id).studies[0].state.name(), "Confirming");
    let hospital = hospital.restart(lotse::gateway::ClockSource::Given(clock.clone())).await;
    tell(&archive, &hospital);
    assert!(is_taken(&hospital.import(id)), "it is still known");
    archive.write("report", "");
    let import = moving(&hospital, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Committed));
    assert_eq!(archive.transactions().len(), 1, "it was asked once");
    assert_eq!(archive.answer().await, "0000");
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_does_not_commit_is_believed_by_its_answers_or_by_a_query() {
    let archive = Archive::start("none").await;
    let (asking, clock) = hospital(&archive, "").await;
    let id = asking.admit(Answered::Yes, Order::Named).await;
    let import = moving(&asking, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Answered));
    let note = commitment(&import).unwrap().note.clone().unwrap();
    assert!(note.contains("does not offer storage commitment"), "{note}");
    asking.stop().await;
    assert!(archive.lines("asked").is_empty());

    let (querying, clock) = hospital(&archive, "confirm-by-query = true").await;
    let id = querying.admit(Answered::Yes, Order::Named).await;
    let import = moving(&querying, &clock, id, "Closed", is_closed).await;
    assert_eq!(assurance(&import), Some(Assurance::Found));
    querying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_has_to_commit_and_does_not_is_for_a_person() {
    let archive = Archive::start("none").await;
    let (hospital, clock) = hospital(&archive, "commitment = \"require\"").await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let held = |import: &Import| {
        import.studies.iter().any(|s| matches!(s.state, StudyState::Quarantined { .. }))
    };
    let import = moving(&hospital, &clock, id, "Quarantined", held).await;
    let StudyState::Quarantined { sentence, .. } = &import.studies[0].state else { panic!() };
    assert!(sentence.contains("does not offer storage commitment"), "{sentence}");
    assert!(!matches!(commitment(&import).unwrap().stand, Stand::Assured(_)));
    hospital.stop().await;
}
