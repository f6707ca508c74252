//! What is not DICOM goes through the rooms it goes through in the gateway, over a real association to the
//! simulated PACS, and comes out as objects that other people's programs take.

mod pictures;
pub(crate) mod samples;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lotse::dicom::{AeTitle, DataSet, Syntax, Uid};
use lotse::dimse::{MAX_PDU, Remote, Timeouts};
use lotse::forward::{
    Brake, Destination, Destinations, Ended, Gone, Recorder, Run, Stored, Target,
};
use lotse::import::{
    Compressed, DestinationName, File, ImportId, Instance, InstanceOutcome, Origin,
};
use lotse::reconcile::encapsulate::{FileKind, identifiers};
use lotse::reconcile::{self, Local, Site};
use lotse::seal::Vault;
use lotse::sim::pacs::{Fault, Pacs};
use lotse::sim::sample::Sample;
use lotse::spool::{ImportSpool, Spool};
use lotse::unpack::{Limits, ScanSection, Terms, Unpacked, unpack};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Book(Mutex<BTreeMap<u32, InstanceOutcome>>);

#[async_trait::async_trait]
impl Recorder for Book {
    async fn record(&self, outcomes: Vec<(u32, InstanceOutcome)>) -> Result<(), Gone> {
        self.0.lock().unwrap().extend(outcomes);
        Ok(())
    }

    fn sent_bytes(&self, _bytes: u64) {}

    fn unanswered(&self, _number: u32) {}
}

struct House {
    folder: tempfile::TempDir,
    spool: ImportSpool,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let vault = Vault::open_or_create(&at("keys"), &at("master")).unwrap();
        let spool = Spool::open(&at("spool"), vault).unwrap().create(ImportId::new()).unwrap();
        Self { folder, spool }
    }

    fn unpack(&self, files: &[(&str, Vec<u8>)]) -> Unpacked {
        let mut pack = self.spool.pack().unwrap();
        let mut put = |(name, bytes): &(&str, Vec<u8>)| {
            let blob = pack.append(&mut Cursor::new(bytes), u64::MAX).unwrap();
            File { name: (*name).to_owned(), blob }
        };
        let files: Vec<File> = files.iter().map(&mut put).collect();
        pack.sync().unwrap();
        let (cancel, seen) = (CancellationToken::new(), AtomicU64::new(0));
        let scan = ScanSection::default();
        let terms = Terms { limits: &Limits::default(), scan: &scan, password: None };
        unpack(&self.spool, &files, &terms, &cancel, &seen).unwrap()
    }

    /// Sends all documents as one study and returns the files that the PACS wrote, by title.
    async fn deliver(&self, unpacked: &Unpacked) -> BTreeMap<String, (FileKind, PathBuf)> {
        let sample = Sample::new(1);
        let facts = self.unpack(&[("IM1", sample.instance(0))]).instances.remove(0).facts;
        let site = Site::new(AeTitle::new("LOTSE").unwrap(), "Klinikum Beispiel");
        let at = "2026-03-04T05:06:07+01:00[Europe/Berlin]".parse().unwrap();
        let plan = reconcile::plan(Local::Order(&sample.item()), &facts, &site, &at);
        let mut instances = Vec::new();
        let mut expected = BTreeMap::new();
        let stored = self.folder.path().join("pacs");
        for (number, (kind, title, blob)) in (0..).zip(&unpacked.documents) {
            let (sop_instance, series) =
                identifiers(&facts.study_uid, kind, &blob.digest.to_string());
            let path = stored.join(format!("{sop_instance}.dcm"));
            expected.insert(title.clone(), (kind.clone(), path));
            let origin = Origin::Created { kind: kind.clone(), title: title.clone() };
            let sop_class = kind.sop_class();
            let blob = blob.clone();
            let instance = Instance { sop_class, sop_instance, series, blob, origin };
            instances.push((number, Arc::new(instance)));
        }
        let count = instances.len();
        let pacs = Pacs::start(Fault::None, Some(&stored)).await.unwrap();
        let remote = Remote {
            address: pacs.address().to_string(),
            called: AeTitle::new("PACS").unwrap(),
            calling: AeTitle::new("LOTSE").unwrap(),
            timeouts: Timeouts { connect: Duration::from_secs(5), ..Timeouts::default() },
            max_pdu: MAX_PDU,
            security: Default::default(),
        };
        let target = Target::Peer { name: "pacs".into(), remote };
        let name = DestinationName("pacs".into());
        let destination = Destination::new(target, 2);
        let destinations = Destinations::new(BTreeMap::from([(name.clone(), destination)]));
        let book = Arc::new(Book::default());
        let run = Run {
            study: facts.study_uid.clone(),
            facts: facts.as_ref().clone(),
            plan,
            compressed: Compressed::default(),
            stored: Stored::Nothing,
            may_hold: Arc::default(),
            overridden: vec![],
            instances,
            spool: self.spool.clone(),
            brake: Brake::default(),
            recorder: Arc::clone(&book) as Arc<dyn Recorder>,
        };
        assert_eq!(destinations.deliver(&name, run).await, Ended::Complete);
        let outcomes = book.0.lock().unwrap().clone();
        let delivered =
            |outcome: &InstanceOutcome| matches!(outcome, InstanceOutcome::Delivered { status: 0 });
        assert_eq!(outcomes.values().filter(|outcome| delivered(outcome)).count(), count);
        pacs.stop().await;
        expected
    }
}

/// Runs a program that has to be there; what it said, if it failed.
fn program(name: &str, arguments: &[&str], path: &Path) -> Result<String, String> {
    let output = Command::new(name).args(arguments).arg(path).stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("{name} does not run ({error}); run tests/env"));
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    if output.status.success() { Ok(said.into_owned()) } else { Err(format!("{name}: {said}")) }
}

fn decodes(path: &Path, kind: &FileKind) -> Result<(), String> {
    program("dcmdump", &["-q", "+L", "--print-short"], path)?;
    let verdict =
        Command::new("dciodvfy").arg(path).output().expect("dciodvfy runs: run tests/env");
    let verdict = String::from_utf8_lossy(&verdict.stderr).into_owned();
    let errors: Vec<&str> = verdict.lines().filter(|line| line.starts_with("Error")).collect();
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    let info = program("gdcminfo", &[], path)?;
    let FileKind::Image(image) = kind else {
        return Ok(());
    };
    if !info.contains(&format!("Dimensions: ({},{},", image.columns, image.rows)) {
        return Err(format!("gdcminfo: {info}"));
    }
    let picture = path.with_extension("pnm");
    let tool = if image.pixels.is_wrapped() { "dcmj2pnm" } else { "dcm2pnm" };
    let said = Command::new(tool).args(["-q", "+on"]).arg(path).arg(&picture).output();
    let said = said.unwrap_or_else(|error| panic!("{tool} does not run ({error}); run tests/env"));
    if !said.status.success() {
        return Err(format!("{tool}: {}", String::from_utf8_lossy(&said.stderr)));
    }
    // Decoded by GDCM, all pixels of it.
    let raw = path.with_extension("raw.dcm");
    let converted = Command::new("gdcmconv").arg("--raw").arg(path).arg(&raw).output();
    let converted = converted.expect("gdcmconv runs: run tests/env");
    if !converted.status.success() {
        return Err(format!("gdcmconv: {}", String::from_utf8_lossy(&converted.stderr)));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_arrives_valid_and_readable() {
    let house = House::new();
    let unpacked = house.unpack(&samples::files());
    let aside: Vec<_> = unpacked.set_aside.iter().map(|file| (&file.name, &file.reason)).collect();
    assert!(aside.is_empty(), "{aside:?}");
    let objects = house.deliver(&unpacked).await;
    assert_eq!(objects.len(), samples::files().len());
    let mut faults = Vec::new();
    for (title, (kind, path)) in &objects {
        if let Err(fault) = decodes(path, kind) {
            faults.push(format!("{title}: {fault}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let classes: BTreeMap<&str, String> = objects
        .iter()
        .map(|(title, (kind, _))| (title.as_str(), kind.sop_class().to_string()))
        .collect();
    for (title, class) in [
        ("report", "104.1"),
        ("Arztbrief", "104.2"),
        ("note", "88.11"),
        ("baseline", ".7"),
        ("photo", "77.1.4"),
        ("turned", "77.1.4"),
        ("progressive", ".7"),
        ("fax", "7.2"),
        ("letter", "7.4"),
        ("film", "77.1.4.1"),
    ] {
        assert!(classes[title].ends_with(class), "{title}: {}", classes[title]);
    }
    orthanc_takes(&objects).await;
}

#[test]
fn same_file_has_the_same_identity_and_other_files_another() {
    let study = Uid::new("1.2.3").unwrap();
    let identities = || -> Vec<_> {
        let unpacked = House::new().unpack(&samples::files());
        unpacked
            .documents
            .iter()
            .map(|(kind, _, blob)| identifiers(&study, kind, &blob.digest.to_string()))
            .collect()
    };
    let first = identities();
    assert_eq!(first, identities());
    let different: std::collections::BTreeSet<_> =
        first.iter().map(|(instance, _)| instance).collect();
    assert_eq!(different.len(), first.len());
}

/// Sends all to an Orthanc and asks it back for each.
async fn orthanc_takes(objects: &BTreeMap<String, (FileKind, PathBuf)>) {
    let folder = tempfile::tempdir().unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (http, dicom) = (free(), free());
    let config = serde_json::json!({
        "Name": "documents", "StorageDirectory": folder.path().join("db"),
        "IndexDirectory": folder.path().join("db"), "HttpPort": http, "DicomPort": dicom,
        "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [],
    });
    let path = folder.path().join("orthanc.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let program = ["/usr/sbin/Orthanc", "Orthanc"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    let program = program.expect("Orthanc runs: run tests/env");
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut orthanc =
        Command::new(program).arg(&path).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let answers = tokio::task::spawn_blocking({
        let objects = objects.clone();
        move || {
            objects
                .iter()
                .map(|(title, (_, path))| (title.clone(), upload(http, path)))
                .collect::<Vec<_>>()
        }
    })
    .await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    orthanc.kill().unwrap();
    orthanc.wait().unwrap();
    for (title, answer) in answers.unwrap() {
        let answer = answer.unwrap_or_else(|error| panic!("{title}: {error}; {log}"));
        assert!(answer.contains("\"Status\" : \"Success\""), "{title}: {answer}");
    }
}

/// `POST /instances`, until the server is there.
fn upload(port: u16, path: &Path) -> std::io::Result<String> {
    use std::io::{Read, Write};
    let body = std::fs::read(path)?;
    let started = std::time::Instant::now();
    let mut stream = loop {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) if started.elapsed() > Duration::from_secs(30) => return Err(error),
            Err(_) => std::thread::park_timeout(Duration::from_millis(50)),
        }
    };
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = format!(
        "POST /instances HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Titles come from the medium where it tells them.
#[tokio::test]
async fn a_medium_names_its_documents() {
    let house = House::new();
    let unpacked = house.unpack(&[
        ("IHE_XDM/SUBSET01/METADATA.XML", samples::METADATA.as_bytes().to_vec()),
        ("IHE_XDM/SUBSET01/DOC0001.PDF", Sample::new(1).pdf()),
    ]);
    assert_eq!(unpacked.documents[0].1, "Befund Thorax");
    assert_eq!(unpacked.set_aside.len(), 1);
    let (_, path) = &house.deliver(&unpacked).await["Befund Thorax"];
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(4).position(|part| part == [8, 0, 5, 0]).unwrap();
    let data_set = DataSet::read(&bytes[at..], Syntax::ExplicitLittle).unwrap();
    let title = data_set.text(lotse::dicom::Tag(0x0042, 0x0010));
    assert_eq!(title.as_deref(), Some("Befund Thorax"));
}
