//! The daemon itself: `lotse serve`, found by what it logs.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use nix::sys::signal::Signal;

use super::process::Log;
use super::{Api, Ended, Process, Site, eventually};

/// A running daemon; killed when it is dropped.
pub struct Daemon {
    process: Process,
    site: Arc<Site>,
    pub http: SocketAddr,
    pub dicom: SocketAddr,
    pub api: Api,
}

/// Ready, or as ready as it can be without its spool folder.
async fn is_up(api: &Api) -> bool {
    let Ok(answer) = api.request(reqwest::Method::GET, "/readyz").send().await else {
        return false;
    };
    answer.status().is_success()
        || answer.text().await.is_ok_and(|text| text.contains("bring the spool folder back"))
}

impl Daemon {
    /// Starts `command` (`lotse serve` of this site) and waits until it is ready.
    pub async fn start(site: Arc<Site>, mut command: Command) -> Self {
        let mut process = Process::start(&mut command);
        let dicom = address(&process.says("DICOM door open").await);
        let open = process.says("console open").await;
        let (http, by_tls) = (address(&open), open.contains("https://"));
        let token = std::fs::read_to_string(site.data_dir().join("api.token")).unwrap();
        let api = if by_tls { Api::over_tls } else { Api::new }(http, token.trim());
        eventually("the daemon to be ready", || async {
            // A door with TLS may want a certificate; the control socket never does.
            let ready = match by_tls {
                true => site.cli(&["status"]).await.code == 0,
                false => is_up(&api).await,
            };
            ready.then_some(())
        })
        .await;
        Self { process, site, http, dicom, api }
    }

    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn lives(&mut self) -> bool {
        self.process.lives()
    }

    /// Everything that it logged so far.
    pub fn log(&self) -> String {
        self.process.log.text()
    }

    /// The log, also after the daemon is gone.
    pub fn log_handle(&self) -> Log {
        self.process.log.clone()
    }

    pub async fn says(&mut self, words: &str) -> String {
        self.process.says(words).await
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// A command of the command line that talks to this daemon.
    pub async fn cli(&self, arguments: &[&str]) -> Ended {
        self.site.cli(arguments).await
    }

    pub async fn cli_with(&self, arguments: &[&str], input: &str) -> Ended {
        self.site.cli_with(arguments, input).await
    }

    /// `kill -9`; the site can be started again.
    pub async fn kill(mut self) -> Arc<Site> {
        self.process.signal(Signal::SIGKILL);
        self.process.ended().await;
        Arc::clone(&self.site)
    }

    /// SIGTERM, and waits for the orderly end. Gives the exit code with the site.
    pub async fn stop(mut self) -> (i32, Arc<Site>) {
        self.process.signal(Signal::SIGTERM);
        let status = self.process.ended().await;
        (status.code().unwrap_or(-1), Arc::clone(&self.site))
    }

    /// The largest resident set so far, in bytes (VmHWM).
    pub fn peak_memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// What identifies the invented patients, their orders and links, in `peers/patients.py` and in the simulators.
const CANARIES: [&str; 16] = [
    "X77-123",
    "4711007",
    "Müßig",
    "MÜSSIG",
    "19561105",
    "1956-11-05",
    "Musterfrau",
    "MUSTERFRAU",
    "19640812",
    "1964-08-12",
    "RP-0815-4711",
    "RP99120047",
    "100234567",
    "A2026004711",
    "Beispiel^Otto",
    "ABC-S1Z-98A",
];

impl Drop for Daemon {
    /// No test's daemon may have logged any of it, whatever the test was about.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let log = without_ids(&self.log());
        let leaked: Vec<_> = CANARIES.iter().filter(|canary| log.contains(**canary)).collect();
        assert!(leaked.is_empty(), "the log tells {leaked:?}:\n{log}");
    }
}

/// The log without the random IDs of imports, whose digits may read like anything.
fn without_ids(log: &str) -> String {
    const KEY: &str = "import=";
    let mut parts = log.split(KEY);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        text + KEY + rest
    })
}

#[test]
fn only_ids_are_left_out_of_the_log() {
    let log = "a import=0194711007ab event=1 import=ff 4711007";
    assert_eq!(without_ids(log), "a import= event=1 import= 4711007");
}

/// The value of `address=` in a log line.
fn address(line: &str) -> SocketAddr {
    let value = line.split("address=").nth(1).unwrap_or_else(|| panic!("no address in {line:?}"));
    value.split_whitespace().next().unwrap().parse().unwrap()
}
