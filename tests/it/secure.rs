//! TLS on every door and on every call, with implementations that others wrote at the other end.

mod access;
mod dicom;
mod hl7;
mod http;
mod renewal;
mod revoked;

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::ca::{Authority, Pair, Valid};
use crate::support::peers::{dcmtk, node, python};
use crate::support::{Daemon, Ended, eventually, program, run};

/// A hospital with an authority, our certificate and that of the station.
struct House {
    _folder: tempfile::TempDir,
    ca: Authority,
    ours: Pair,
    station: Pair,
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "authority");
        let (ours, station) = (ca.pair("lotse", Valid::Now), ca.pair("station", Valid::Now));
        Self { _folder: folder, ca, ours, station }
    }

    /// `tls` of a listener.
    fn listener(&self, client: &str) -> String {
        let ca = if client == "none" {
            String::new()
        } else {
            format!("client-ca = [{:?}]\n", self.ca.file)
        };
        format!(
            "[[dicom.listeners]]\naddress = \"127.0.0.1:0\"\n[dicom.listeners.tls]\ncertificate = {:?}\n\
             key = {:?}\n{ca}client = {client:?}\n",
            self.ours.certificate, self.ours.key
        )
    }

    /// `tls` of a peer that we call, with our certificate.
    fn peer(&self) -> String {
        format!(
            "tls = {{ ca-files = [{:?}], certificate = {:?}, key = {:?} }}",
            self.ca.file, self.ours.certificate, self.ours.key
        )
    }

    /// The station's files as pynetdicom's and node's arguments.
    fn files(&self, pair: &Pair) -> [String; 3] {
        [&pair.certificate, &pair.key, &self.ca.file].map(|path| text(path).to_owned())
    }

    async fn echoscu(&self, port: u16, pair: Option<&Pair>) -> Ended {
        let port = port.to_string();
        let mut arguments =
            vec!["-v", "-aet", "STATION", "-aec", "LOTSE", "+cf", text(&self.ca.file)];
        match pair {
            Some(pair) => arguments.extend(["+tls", text(&pair.key), text(&pair.certificate)]),
            None => arguments.push("+tla"),
        }
        arguments.extend(["localhost", &port]);
        run(&mut dcmtk("echoscu", &arguments), "").await
    }

    async fn pynetdicom(&self, port: u16, pair: Option<&Pair>, more: &[&str]) -> Ended {
        let port = port.to_string();
        let mut arguments =
            vec!["scu", "--port", &port, "--ae", "STATION", "--ca", text(&self.ca.file)];
        if let Some(pair) = pair {
            arguments.extend(["--tls", text(&pair.certificate), text(&pair.key)]);
        }
        arguments.extend(more);
        run(&mut python("secure.py", &arguments), "").await
    }

    async fn dcmjs(&self, port: u16, pair: &Pair) -> Ended {
        let (port, files) = (port.to_string(), self.files(pair));
        let mut arguments = vec!["scu", port.as_str(), "STATION", "LOTSE"];
        arguments.extend(files.iter().map(String::as_str));
        run(&mut node("secure.cjs", &arguments), "").await
    }
}

/// The second listener of a daemon, which is the one with TLS.
async fn tls_port(daemon: &Daemon) -> u16 {
    eventually("the TLS listener", || {
        let log = daemon.log();
        let lines = log.lines().filter(|line| line.contains("DICOM door open"));
        let port = lines.filter_map(|line| {
            let address = line.split("address=").nth(1)?.split_whitespace().next()?;
            address.rsplit(':').next()?.parse::<u16>().ok()
        });
        let other = port.into_iter().find(|port| *port != daemon.dicom.port());
        std::future::ready(other)
    })
    .await
}

fn lines(daemon: &Daemon, words: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(words)).count()
}

async fn hang_up(daemon: &Daemon) {
    let before = lines(daemon, "configuration reloaded");
    daemon.signal(Signal::SIGHUP);
    eventually("the reload", || {
        std::future::ready((lines(daemon, "configuration reloaded") > before).then_some(()))
    })
    .await;
}

/// A key that does not belong to our certificate: a reload is refused and changes nothing of what is shown at `port`, and
/// a check says why, which is returned.
async fn wrong_pair_refused(house: &House, daemon: &Daemon, port: u16) -> String {
    const WHY: &str = "does not belong to the certificate";
    let (before, shown) = (lines(daemon, "not reloaded"), fingerprint(house, port).await);
    std::fs::copy(&house.station.key, &house.ours.key).unwrap();
    daemon.signal(Signal::SIGHUP);
    eventually("the refusal", || {
        std::future::ready((lines(daemon, "not reloaded") > before).then_some(()))
    })
    .await;
    assert!(daemon.log().contains(WHY), "{}", daemon.log());
    assert_eq!(fingerprint(house, port).await, shown);
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.stderr.contains(WHY), "{checked:?}");
    checked.stderr
}

/// What a listener shows, by OpenSSL.
async fn fingerprint(house: &House, port: u16) -> String {
    let mut command = Command::new(program("openssl"));
    command
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile"])
        .arg(&house.ca.file);
    command.arg("-cert").arg(&house.station.certificate).arg("-key").arg(&house.station.key);
    let shown = run(&mut command, "").await;
    let begin = shown.stdout.find("-----BEGIN").unwrap_or_else(|| panic!("{shown:?}"));
    let mut command = Command::new(program("openssl"));
    command.args(["x509", "-noout", "-fingerprint", "-sha256"]);
    let told = run(&mut command, &shown.stdout[begin..]).await.ok();
    let digits = told.trim().split('=').nth(1).unwrap().replace(':', "").to_lowercase();
    format!("sha256:{digits}")
}

/// The log comes to have all of these.
async fn logs(daemon: &Daemon, words: &[&str]) {
    eventually(&format!("the log to say {words:?}"), || {
        let log = daemon.log();
        std::future::ready(words.iter().all(|words| log.contains(words)).then_some(()))
    })
    .await;
}
