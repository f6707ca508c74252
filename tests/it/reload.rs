//! The life of the daemon: signals, systemd, one gateway to a data folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lotse::sim::pacs;
use lotse::sim::world::World;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::hospital::until;
use crate::support::{Daemon, Process, Setup, Site, program, root, run};

/// C-ECHO to the daemon as this application entity.
async fn may_echo(daemon: &Daemon, calling: &str) -> bool {
    let mut echo = Command::new(program("echoscu"));
    echo.args(["-aet", calling, "-aec", "LOTSE", "127.0.0.1", &daemon.dicom.port().to_string()]);
    run(&mut echo, "").await.code == 0
}

/// How often the log has a line with these words.
fn lines(daemon: &Daemon, words: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(words)).count()
}

async fn hang_up(daemon: &Daemon, answer: &str) {
    let before = lines(daemon, answer);
    daemon.signal(Signal::SIGHUP);
    until(answer, async || (lines(daemon, answer) > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_all_or_nothing() {
    let daemon = Setup::new().peer("one", "ONE", 104, &["echo"]).start().await;
    let site = Arc::clone(daemon.site());
    assert!(may_echo(&daemon, "ONE").await);
    assert!(!may_echo(&daemon, "TWO").await);

    let two = "\n[peers.two]\nae-title = \"TWO\"\naddress = \"127.0.0.1:105\"\nmay = [\"echo\"]\n";
    site.edit(|text| text + two);
    hang_up(&daemon, "configuration reloaded").await;
    assert!(may_echo(&daemon, "TWO").await);

    // A good part and a fault: neither is taken, and the log names the fault.
    let good = site.config();
    let good = std::fs::read_to_string(good).unwrap();
    let three = two.replace("TWO", "THREE").replace("two", "three");
    site.edit(|text| text.replace(two, "") + &three + "\n[retention]\nlimitt = \"1h\"\n");
    hang_up(&daemon, "not reloaded").await;
    assert!(lines(&daemon, "limitt") > 0, "{}", daemon.log());
    assert!(may_echo(&daemon, "TWO").await && !may_echo(&daemon, "THREE").await);

    // No TOML at all, then nothing at all.
    site.edit(|_| "[[[".to_owned());
    hang_up(&daemon, "not reloaded").await;
    std::fs::remove_file(site.config()).unwrap();
    hang_up(&daemon, "not reloaded").await;

    // What needs a restart is refused, with everything beside it.
    std::fs::write(site.config(), good.replace("\"LOTSE\"", "\"PILOT\"") + &three).unwrap();
    hang_up(&daemon, "restart").await;
    assert!(may_echo(&daemon, "TWO").await && !may_echo(&daemon, "THREE").await);

    std::fs::write(site.config(), good.clone() + &three).unwrap();
    hang_up(&daemon, "configuration reloaded").await;
    assert!(may_echo(&daemon, "TWO").await && may_echo(&daemon, "THREE").await);

    // Names that are taken away are taken away.
    std::fs::write(site.config(), good.replace(two, "")).unwrap();
    hang_up(&daemon, "configuration reloaded").await;
    assert!(!may_echo(&daemon, "TWO").await && may_echo(&daemon, "ONE").await);
    assert_eq!(daemon.stop().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_keeps_what_is_under_way() {
    const SLICES: u16 = 30;
    let world = World::start(SLICES).await.unwrap();
    world.pacs.set_fault(pacs::Fault::Late { millis: 400 });
    let item = world.sample.item();
    let daemon = Setup::new()
        .peer("ris", "RIS", world.ris.address().port(), &[])
        .worklist_peer("ris")
        .peer("pacs", "PACS", world.pacs.address().port(), &[])
        .destination_peer("pacs")
        .portals_on_loopback()
        .start()
        .await;
    let request = json!({
        "link": world.portal.link(),
        "answers": {"PAT_BIRTH_DATE": world.sample.birth_date()},
        "patient": {"patientId": item.patient.id.unwrap().id},
        "accessionNumber": item.accession_number.unwrap().number,
    });
    let id = daemon.api.import_link(&request).await;
    until("some in the PACS", async || (world.pacs.received().len() >= 4).then_some(())).await;
    let log = daemon.log_handle();
    let begun = Instant::now();
    let (code, site) = daemon.stop().await;
    assert_eq!(code, 0, "{}", log.text());
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(log.text().contains("stopped"), "{}", log.text());
    assert!(!site.data_dir().join("control.sock").exists());
    let sent = world.pacs.received().len();
    assert!(sent < usize::from(SLICES), "it stopped in the middle");

    world.pacs.set_fault(pacs::Fault::None);
    let daemon = site.start().await;
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], SLICES);
    let received = world.pacs.received();
    assert_eq!(received.len(), usize::from(SLICES) + 1);
    // An orderly end records every answer that it got; only what it hung up on comes again.
    let repeated = received.values().filter(|object| object.count > 1).count();
    assert!(repeated <= 3, "{repeated}");
    assert_eq!(daemon.stop().await.0, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_has_one_daemon() {
    let mut daemon = Setup::new().start().await;
    let second = daemon.cli(&["serve"]).await;
    assert_ne!(second.code, 0);
    assert!(second.stderr.contains("another"), "a sentence that says why: {}", second.stderr);
    assert!(!second.stderr.contains("panicked"));
    assert!(daemon.lives());
    assert_eq!(daemon.api.status("/healthz").await, 200);
    // The first one's way in is still there.
    assert_eq!(daemon.cli(&["status", "--json"]).await.code, 0);
    assert_eq!(daemon.stop().await.0, 0);
}

/// The end of systemd's notify socket that systemd would hold.
struct Systemd {
    heard: Arc<Mutex<Vec<String>>>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Systemd {
    fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let heard = Arc::new(Mutex::new(vec![]));
        let said = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]);
                said.lock().unwrap().extend(text.lines().map(str::to_owned));
                if text.starts_with("END-OF-TEST") {
                    return;
                }
            }
        });
        Self { heard, path, _folder: folder }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn count(&self, line: &str) -> usize {
        self.heard().iter().filter(|heard| *heard == line).count()
    }

    /// The daemon, watched every second.
    fn starts(&self, site: &Site) -> Process {
        // The watchdog's process number is that of the daemon, which the shell becomes.
        let serve = site.command(&["serve"]);
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "WATCHDOG_PID=$$ exec \"$@\"", "sh"])
            .arg(serve.get_program())
            .args(serve.get_args());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "1000000");
        Process::start(&mut shell)
    }

    async fn hears(&self, line: &str, times: usize) {
        until(line, async || (self.count(line) >= times).then_some(())).await;
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let end = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let _ = end.send_to(b"END-OF-TEST", &self.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_what_happens() {
    let site = Setup::new().peer("one", "ONE", 104, &["echo"]).write();
    let systemd = Systemd::listen();
    let mut process = systemd.starts(&site);
    systemd.hears("READY=1", 1).await;
    // Ready means that every door is open, so nobody has to wait for a word in the log.
    let line = process.says("DICOM door open").await;
    let port = line.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let mut echo = Command::new(program("echoscu"));
    echo.args(["-aet", "ONE", "-aec", "LOTSE", "127.0.0.1", &port]);
    run(&mut echo, "").await.ok();

    systemd.hears("WATCHDOG=1", 3).await;
    assert!(!process.log.text().contains("does not turn"), "{}", process.log.text());
    process.signal(Signal::SIGHUP);
    systemd.hears("READY=1", 2).await;
    let heard = systemd.heard();
    let at = |line: &str| heard.iter().position(|heard| heard.starts_with(line)).unwrap();
    let last_ready = heard.iter().rposition(|heard| heard == "READY=1").unwrap();
    assert!(at("READY=1") < at("RELOADING=1") && at("RELOADING=1") < last_ready, "{heard:?}");
    assert!(heard.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{heard:?}");
    assert_eq!(systemd.count("STOPPING=1"), 0);
    process.signal(Signal::SIGTERM);
    let status = process.ended().await;
    assert!(status.success());
    systemd.hears("STOPPING=1", 1).await;
}

/// As slow as a name server that does not answer: a pipe that nobody writes into.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_slow_to_read_holds_nothing_up() {
    let site = Setup::new().peer("one", "ONE", 104, &["echo"]).write();
    let systemd = Systemd::listen();
    let mut process = systemd.starts(&site);
    systemd.hears("READY=1", 1).await;
    process.says("DICOM door open").await;
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::remove_file(site.config()).unwrap();
    run(Command::new("mkfifo").arg(site.config()), "").await.ok();

    process.signal(Signal::SIGHUP);
    systemd.hears("RELOADING=1", 1).await;
    let before = systemd.count("WATCHDOG=1");
    systemd.hears("WATCHDOG=1", before + 4).await;
    assert_eq!(systemd.count("READY=1"), 1, "it is still being read");
    // Once more while it is read: what comes then counts.
    process.signal(Signal::SIGHUP);
    systemd.hears("RELOADING=1", 2).await;
    let (pipe, second) = (site.config(), format!("{text}\n[retention]\nlimitt = \"1h\"\n"));
    let write = async |text: String| {
        let pipe = pipe.clone();
        tokio::task::spawn_blocking(move || std::fs::write(pipe, text)).await.unwrap().unwrap();
    };
    write(text).await;
    process.says("configuration reloaded").await;
    assert_eq!(systemd.count("READY=1"), 1, "there is more to read");
    write(second).await;
    process.says("limitt").await;
    systemd.hears("READY=1", 2).await;
    process.signal(Signal::SIGTERM);
    assert!(process.ended().await.success());
}

/// The unit with a binary that exists here.
fn unit(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(root().join("systemd/lotse.service")).unwrap();
    let path = folder.join("lotse.service");
    std::fs::write(&path, text.replace("/usr/bin/lotse", env!("CARGO_BIN_EXE_lotse"))).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unit_is_valid_and_confined() {
    let folder = tempfile::tempdir().unwrap();
    let unit = unit(folder.path());
    let mut verify = Command::new(program("systemd-analyze"));
    let verified = run(verify.args(["verify", "--man=no"]).arg(&unit), "").await;
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let ours: Vec<_> =
        verified.stderr.lines().filter(|line| line.contains("lotse.service")).collect();
    assert!(ours.is_empty(), "{ours:?}");

    let mut security = Command::new(program("systemd-analyze"));
    // In tenths; it is 1.2, and above 1.5 the unit has lost one of its confinements.
    security.args(["security", "--offline=true", "--no-pager", "--threshold=15"]).arg(&unit);
    let judged = run(&mut security, "").await;
    let score =
        judged.stdout.lines().find(|line| line.contains("exposure level")).unwrap_or("").to_owned();
    println!("{score}");
    assert_eq!(judged.code, 0, "{score}\n{}", judged.stderr);
    assert!(!score.is_empty());
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Whether the unit has this line, and not only a remark about it.
fn has(unit: &str, line: &str) -> bool {
    unit.lines().any(|found| found.trim() == line)
}

#[test]
fn the_unit_shows_which_boot_it_is() {
    let unit = text("systemd/lotse.service");
    assert!(!has(&unit, "ProcSubset=pid"), "it hides /proc/sys/kernel/random/boot_id");
    assert!(has(&unit, "ProtectKernelTunables=yes") && has(&unit, "ProtectProc=invisible"));
}

#[test]
fn the_unit_does_not_repeat_what_only_a_person_can_mend() {
    let unit = text("systemd/lotse.service");
    let codes = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
    let codes: Vec<&str> = codes.unwrap_or("").split(' ').collect();
    assert_eq!(codes, ["2", "78"]);
}

/// A user namespace of its own takes the meaning from the capability, and strict protection makes folders read-only.
#[test]
fn what_is_told_of_drop_ins_is_enough() {
    let (unit, doc) = (text("systemd/lotse.service"), text("packaging/doc/operation.md"));
    assert!(has(&unit, "PrivateUsers=yes") && has(&unit, "ProtectSystem=strict"));
    for told in [&unit, &doc] {
        for line in
            ["AmbientCapabilities=CAP_NET_BIND_SERVICE", "PrivateUsers=no", "ReadWritePaths=/srv/"]
        {
            assert!(told.contains(line), "{line}");
        }
    }
    let config = text("config/lotse.toml");
    for key in ["# data-dir = ", "folder = \"/srv/delivered\"", "# folder = \"/srv/export\""] {
        let at = config.find(key).unwrap();
        let start = config[..at].rmatch_indices("\n\n").next().map_or(0, |(at, _)| at);
        let end = at + config[at..].find("\n\n").unwrap();
        assert!(config[start..end].contains("ReadWritePaths="), "{key}");
    }
}
