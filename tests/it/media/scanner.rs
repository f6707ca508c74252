//! clamd of the package with signatures of our own, in front of the real daemon.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lotse::sim::sample::Sample;
use serde_json::json;
use tempfile::TempDir;

use crate::desk::{Hospital, with_value, zip};
use crate::support::peers::dcmtk;
use crate::support::{program, run};

/// In two parts, so that no scanner takes this source for it.
const EICAR: [&str; 2] =
    ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];

/// A value of an object that the second signature finds wherever it stands.
const ILL: &str = "LOTSE-TEST-SIGNATURE";

/// A folder with signatures in which clamd is started and started again.
struct Clinic(TempDir);

impl Clinic {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(dir.path().join("db")).unwrap();
        let eicar = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n";
        std::fs::write(dir.path().join("db/test.hdb"), eicar).unwrap();
        let hex: String = ILL.bytes().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(dir.path().join("db/test.ndb"), format!("Lotse-Test:0:*:{hex}\n")).unwrap();
        let config = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nTemporaryDirectory {}\nLogFile {}\n",
            path("clamd.ctl"),
            path("db"),
            dir.path().display(),
            path("log")
        );
        std::fs::write(dir.path().join("clamd.conf"), config).unwrap();
        Self(dir)
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("clamd.ctl")
    }

    fn start(&self) -> Clamd {
        let config = self.0.path().join("clamd.conf");
        let child = Command::new(program("clamd"))
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let clamd = Clamd { child, socket: self.socket() };
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            let log = std::fs::read_to_string(self.0.path().join("log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(60), "clamd did not start: {log}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        clamd
    }
}

struct Clamd {
    child: Child,
    socket: PathBuf,
}

impl Drop for Clamd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// DCMTK's sender; whether every object was taken.
async fn storescu(port: u16, files: &[&Path]) -> bool {
    let mut command = dcmtk("storescu", &["-v", "-aet", "STATION", "-aec", "LOTSE"]);
    command.args(["127.0.0.1", &port.to_string()]).args(files);
    let ended = run(&mut command, "").await;
    let said = ended.stdout + &ended.stderr;
    ended.code == 0 && said.contains("Received Store Response (Success)")
}

fn request() -> serde_json::Value {
    json!({"accessionNumber": "A2026004711", "patient": {"patientId": "100234567", "issuer": "KLINIKUM"}})
}

async fn hospital(clinic: &Clinic) -> Hospital {
    let table = format!("[scan]\nclamd-socket = {:?}", clinic.socket());
    let hospital = Hospital::with(|setup| {
        setup.peer("station", "STATION", 1, &["echo", "store"]).table(&table)
    });
    hospital.await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_infected_is_set_aside_and_the_rest_delivered() {
    let clinic = Clinic::new();
    let _clamd = clinic.start();
    let desk = hospital(&clinic).await;
    let sample = desk.world.sample;
    let ill = with_value(&sample.instance(1), (0x0008, 0x1030), "LO", ILL);
    let archive = zip(&[
        ("EICAR.COM", EICAR.concat().as_bytes()),
        ("DICOM/IM1", &sample.instance(0)),
        ("DICOM/IM2", &ill),
        ("BEFUND.PDF", &[sample.pdf(), ILL.into()].concat()),
    ]);
    let id = desk.daemon.api.upload("cd.zip", archive, &request()).await;
    let import = desk.daemon.api.until_state(&id, "Closed").await;
    let counts = &import["counts"];
    assert_eq!((&counts["received"], &counts["delivered"]), (&json!(1), &json!(1)), "{counts}");
    assert_eq!(counts["created"], 0, "{counts}");
    let aside = import["setAside"].as_array().unwrap();
    for (name, signature) in [
        ("EICAR.COM", "Eicar-Test-Signature"),
        ("DICOM/IM2", "Lotse-Test"),
        ("BEFUND.PDF", "Lotse-Test"),
    ] {
        let found = aside.iter().find(|file| file["name"] == name);
        let reason = found.unwrap_or_else(|| panic!("{name} is not set aside: {aside:?}"));
        let reason = reason["reason"].as_str().unwrap();
        assert!(reason.contains("infected") && reason.contains(signature), "{reason}");
    }
    assert_eq!(aside.len(), 3, "{aside:?}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_a_scanner_that_is_stopped() {
    let clinic = Clinic::new();
    let desk = hospital(&clinic).await;
    let api = &desk.daemon.api;
    let archive = zip(&[("DICOM/IM1", &desk.world.sample.instance(0))]);
    let id = api.upload("cd.zip", archive, &request()).await;
    let waiting = api
        .until(&id, "a word about the scanner", |import| {
            import["nextStep"].as_str().is_some_and(|text| text.contains("virus scanner"))
        })
        .await;
    assert_eq!(waiting["state"], "Received", "{waiting}");
    assert!(waiting["nextStep"].as_str().unwrap().contains("start clamd"), "{waiting}");
    // Longer than the first waits between attempts: it is still held, not failed and not taken.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(api.import(&id).await["state"], "Received");
    let _clamd = clinic.start();
    let import = api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], 1);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_an_association_are_scanned_before_they_are_taken() {
    let clinic = Clinic::new();
    let desk = hospital(&clinic).await;
    let folder = desk.world.folder().join("sent");
    std::fs::create_dir(&folder).unwrap();
    let sample = Sample::with_seed(3, 77);
    let ill = with_value(&sample.instance(1), (0x0008, 0x1030), "LO", ILL);
    let (good, bad) = (folder.join("good.dcm"), folder.join("bad.dcm"));
    std::fs::write(&good, sample.instance(0)).unwrap();
    std::fs::write(&bad, ill).unwrap();
    let port = desk.daemon.dicom.port();
    // Nobody looks at it: the sender keeps it.
    assert!(!storescu(port, &[&good]).await);
    let clamd = clinic.start();
    assert!(!storescu(port, &[&bad]).await);
    assert!(storescu(port, &[&good]).await);
    let id = desk.daemon.api.until_from("station").await;
    let import = desk.daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], 1);
    assert!(desk.daemon.log().contains("Lotse-Test"), "{}", desk.daemon.log());
    drop(clamd);
    desk.close().await;
}
