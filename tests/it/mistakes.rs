//! What an administrator gets wrong, and what `lotse echo` and `lotse peers` say of it.
//!
//! Each mistake is made against a real peer, or a socket that plays the part no package plays; the sentence has to
//! name the cause, not only that it failed.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpSocket;

use crate::support::ca::{Authority, Valid, self_signed};
use crate::support::peers::{Peer, dcmtk, python, storescp};
use crate::support::{Process, Setup, Site, eventually, program, run};

/// pynetdicom with these options, and its port.
pub(crate) async fn pynetdicom(options: &[&str]) -> (Process, u16) {
    let mut arguments = vec!["scp"];
    arguments.extend(options);
    let mut process = Process::start(&mut python("secure.py", &arguments));
    let line = process.says("listening").await;
    let port = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (process, port)
}

/// A site with one peer `pacs` at this port, whose section has these lines too.
fn site(port: u16, lines: &str) -> std::sync::Arc<Site> {
    at(&format!("127.0.0.1:{port}"), lines)
}

fn at(address: &str, lines: &str) -> std::sync::Arc<Site> {
    let peer = format!("[peers.pacs]\nae-title = \"PACS\"\naddress = \"{address}\"\n{lines}");
    Setup::new().table(&peer).write()
}

/// `lotse echo` fails with these words, and `lotse peers` with the same.
async fn says(site: &Site, words: &[&str]) {
    for command in [&["echo", "pacs"][..], &["peers", "pacs"], &["peers", "pacs", "--json"]] {
        let ended = site.cli(command).await;
        assert_eq!(ended.code, 69, "{command:?} {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for word in words {
            assert!(said.contains(word), "{command:?} does not say {word:?}: {said}");
        }
    }
}

fn trusting(ca: &Authority) -> String {
    format!("tls = {{ ca-files = [{:?}] }}", ca.file)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_a_plain_port_and_plain_to_a_tls_port() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "authority");
    let pair = ca.pair("pacs", Valid::Now);
    let plain = storescp(&folder.path().join("plain"), &[]).await;
    says(&site(plain.port, &trusting(&ca)), &["speaks plain DICOM", "take `tls` from this peer"])
        .await;

    let (key, certificate) = (pair.key.to_str().unwrap(), pair.certificate.to_str().unwrap());
    let tls = ["-ic", "+tls", key, certificate];
    let secure = storescp(&folder.path().join("secure"), &tls).await;
    says(&site(secure.port, ""), &["the port speaks TLS and we called it plain"]).await;
    let good = site(secure.port, &trusting(&ca));
    good.cli(&["echo", "pacs"]).await.ok();

    // pynetdicom closes without a word.
    let (_process, port) = pynetdicom(&["--tls", certificate, key]).await;
    says(&site(port, ""), &["the port speaks TLS and we called it plain"]).await;
    let (_process, port) = pynetdicom(&[]).await;
    says(&site(port, &trusting(&ca)), &["speaks plain DICOM"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_that_are_not_known() {
    let (_process, port) = pynetdicom(&["--check-called", "--ae", "ARCHIVE"]).await;
    says(&site(port, ""), &["it does not have the AE title PACS", "correct `ae-title`"]).await;
    let (_process, port) = pynetdicom(&["--calling", "SOMEBODY"]).await;
    says(&site(port, ""), &["it does not know our AE title LOTSE", "register LOTSE there"]).await;

    // The gateway itself as the peer.
    let daemon = Setup::new().peer("pacs", "PACS", 9, &["echo"]).start().await;
    says(&site(daemon.dicom.port(), ""), &["it does not have the AE title PACS"]).await;
    let called = "\n[peers.pacs]\nae-title = \"LOTSE\"\naddress = \"127.0.0.1:";
    let port = daemon.dicom.port();
    let own = Setup::new().table(&format!("{called}{port}\"")).write();
    says(&own, &["it does not know our AE title LOTSE"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    says(&site(closed, ""), &["nothing listens at 127.0.0.1:"]).await;
    says(&at("pacs.invalid:104", ""), &["pacs.invalid:104 is not known", "name service"]).await;

    // A listener whose queue is full drops what comes, as a firewall does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dropping = socket.listen(1).unwrap();
    let address = dropping.local_addr().unwrap();
    let mut held = vec![];
    loop {
        let connecting = tokio::net::TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_secs(2), connecting).await {
            Ok(connected) => held.push(connected.unwrap()),
            Err(_) => break,
        }
        assert!(held.len() < 16, "the queue does not fill");
    }
    says(&site(address.port(), ""), &["nothing answers at", "firewall"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn something_else_on_the_port() {
    let web = Peer::start(|port| {
        let mut command = Command::new(crate::support::test_env("venv/bin/python"));
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
        command
    })
    .await;
    says(&site(web.port, ""), &["HTTP", "correct the port"]).await;

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let ended = site(port, "").cli(&["echo", "pacs"]).await;
    assert!(ended.stderr.contains("takes the connection and says nothing"), "{ended:?}");

    let banner = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = banner.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = banner.accept().await.unwrap();
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
            let _ = stream.read(&mut [0; 512]).await;
        }
    });
    says(&site(port, ""), &["does not speak DICOM", "correct the port"]).await;
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_do_not_do() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "authority");
    let other = Authority::new(&folder.path().join("other"), "stranger");
    let secure = async |pair: &crate::support::ca::Pair| {
        let (certificate, key) = (pair.certificate.to_str().unwrap(), pair.key.to_str().unwrap());
        pynetdicom(&["--tls", certificate, key]).await
    };
    let (_peer_one, port) = secure(&ca.pair("once", Valid::Once)).await;
    says(&site(port, &trusting(&ca)), &["certificate has expired on 2021-01-01", "renew"]).await;
    let (_peer_two, port) = secure(&ca.pair("later", Valid::Later)).await;
    says(&site(port, &trusting(&ca)), &["not valid yet", "clocks"]).await;
    let (_peer_three, port) = secure(&other.pair("foreign", Valid::Now)).await;
    says(&site(port, &trusting(&ca)), &["none of the authorities", "stranger"]).await;
    let (_peer_four, port) = secure(&ca.pair_of_name("pacs.klinikum.example")).await;
    says(
        &site(port, &trusting(&ca)),
        &["certificate is for pacs.klinikum.example, not for 127.0.0.1", "server-name"],
    )
    .await;
    let named =
        format!("tls = {{ ca-files = [{:?}], server-name = \"pacs.klinikum.example\" }}", ca.file);
    site(port, &named).cli(&["echo", "pacs"]).await.ok();

    // One that signed itself is trusted by what it is.
    let own = self_signed(folder.path(), "alone");
    let (_peer_five, port) = secure(&own).await;
    says(&site(port, &trusting(&ca)), &["self-signed", "fingerprints"]).await;
    let pinned = |fingerprint: &str| format!("tls = {{ fingerprints = [{fingerprint:?}] }}");
    site(port, &pinned(&own.fingerprint)).cli(&["echo", "pacs"]).await.ok();
    let wrong = pinned(&format!("sha256:{}", "00".repeat(32)));
    says(&site(port, &wrong), &["not one of `fingerprints`", &own.fingerprint]).await;
    let (_peer_six, port) = secure(&ca.pair("again", Valid::Once)).await;
    let fingerprint = std::fs::read(folder.path().join("again.crt")).unwrap();
    let fingerprint = lotse::tls::certificates(&folder.path().join("again.crt"))
        .map(|found| lotse::tls::Fingerprint::of(&found[0]).to_string())
        .unwrap_or_else(|_| panic!("{fingerprint:?}"));
    says(&site(port, &pinned(&fingerprint)), &["certificate has expired"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_ours_that_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "authority");
    let other = Authority::new(&folder.path().join("other"), "stranger");
    let pair = ca.pair("pacs", Valid::Now);
    let (certificate, key) = (pair.certificate.to_str().unwrap(), pair.key.to_str().unwrap());
    let authority = ca.file.to_str().unwrap();
    let ours = |pair: &crate::support::ca::Pair| {
        format!(
            "tls = {{ ca-files = [{:?}], certificate = {:?}, key = {:?} }}",
            ca.file, pair.certificate, pair.key
        )
    };
    let (_peer_one, port) = pynetdicom(&["--tls", certificate, key, "--ca", authority]).await;
    let stored = folder.path().join("stored");
    let dcmtk = storescp(&stored, &["+tls", key, certificate, "+cf", authority]).await;
    for port in [port, dcmtk.port] {
        says(&site(port, &trusting(&ca)), &["wants a certificate of ours and got none"]).await;
        site(port, &ours(&ca.pair("lotse", Valid::Now))).cli(&["echo", "pacs"]).await.ok();
        let foreign = site(port, &ours(&other.pair("lotse", Valid::Now)));
        says(&foreign, &["refused our certificate", "known there"]).await;
    }
    let (_peer_two, port) = old_tls(&pair).await;
    says(&site(port, &trusting(&ca)), &["only old TLS"]).await;
}

/// A server that has not learned since 2008.
async fn old_tls(pair: &crate::support::ca::Pair) -> (Peer, u16) {
    let peer = Peer::start(|port| {
        let mut command = Command::new(program("openssl"));
        command.args(["s_server", "-quiet", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-accept"]);
        command.arg(format!("127.0.0.1:{port}"));
        command.arg("-cert").arg(&pair.certificate).arg("-key").arg(&pair.key);
        command
    })
    .await;
    let port = peer.port;
    (peer, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_peer_does_not_grant() {
    let (_process, port) = pynetdicom(&["--no-echo"]).await;
    says(&site(port, ""), &["did not accept class 1.2.840.10008.1.1", "enable it there"]).await;

    let (mut busy, port) = pynetdicom(&["--limit", "1"]).await;
    let held = Process::start(&mut python("hold.py", &[&port.to_string(), "PACS"]));
    eventually("the association to be held", || {
        std::future::ready(held.log.text().contains("held").then_some(()))
    })
    .await;
    says(&site(port, ""), &["too many associations"]).await;
    assert!(busy.lives());
    drop(held);

    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "right horse\n").unwrap();
    let (_process, port) = pynetdicom(&["--user", "gate", "--password", "right horse"]).await;
    let as_user =
        |user: &str| format!("identity = {{ user = {user:?}, password-file = {secret:?} }}");
    site(port, &as_user("gate")).cli(&["echo", "pacs"]).await.ok();
    says(&site(port, &as_user("other")), &["rejected us without a reason", "user identity"]).await;
    let (_process, port) = pynetdicom(&["--token", "right horse"]).await;
    let token = format!("identity = {{ token-file = {secret:?} }}");
    site(port, &token).cli(&["echo", "pacs"]).await.ok();
    let missing = site(port, "identity = { token-file = \"/nowhere/token\" }");
    says(&missing, &["our own identity", "/nowhere/token"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_right_is_shown_whole() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new(folder.path(), "authority");
    let pair = ca.pair("pacs", Valid::Now);
    let (certificate, key) = (pair.certificate.to_str().unwrap(), pair.key.to_str().unwrap());
    let (_process, port) = pynetdicom(&["--tls", certificate, key]).await;
    let site = site(port, &trusting(&ca));
    let told = site.cli(&["peers", "--json"]).await.json();
    let peer = &told["peers"][0];
    assert_eq!(peer["name"], "pacs");
    assert_eq!(peer["ok"], true);
    assert!(peer["certificateDaysLeft"].as_i64().unwrap() > 30_000);
    assert_eq!(peer["certificate"]["fingerprint"], pair.fingerprint);
    let stages: Vec<_> =
        peer["steps"].as_array().unwrap().iter().map(|step| &step["stage"]).collect();
    assert_eq!(stages, ["name", "connection", "tls", "association", "echo", "services"]);
    let ct = peer["services"].as_array().unwrap().iter();
    let ct = ct.clone().find(|one| one["sopClass"] == "1.2.840.10008.5.1.4.1.1.2").unwrap();
    assert_eq!(
        ct["transferSyntaxes"],
        serde_json::json!(["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
    );
    let shown = site.cli(&["peers"]).await.ok();
    for words in ["TLSv1_3", "C-ECHO", "days left", "CT Image Storage: Explicit VR Little Endian"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let checked = site.cli(&["check", "--peers"]).await;
    assert!(checked.stdout.contains("its certificate has"), "{checked:?}");
    let unknown = site.cli(&["peers", "nobody"]).await;
    assert_eq!(unknown.code, 65, "{unknown:?}");
    assert!(unknown.stderr.contains("configured are: pacs"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_hands_over_a_file_and_says_what_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().join("stored");
    let pacs = storescp(&stored, &[]).await;
    let site = site(pacs.port, "");
    let mut find = Command::new(crate::support::test_env("venv/bin/python"));
    find.args(["-c", "from pydicom.data import get_testdata_file as f; print(f('CT_small.dcm'))"]);
    let found = run(&mut find, "").await.ok();
    let file = found.trim();
    let refused = site.cli(&["send", file, "pacs"]).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("lotse import"), "{refused:?}");
    assert_eq!(std::fs::read_dir(&stored).unwrap().count(), 0);
    let sent = site.cli(&["send", "--as-it-is", file, "pacs"]).await.ok();
    assert!(sent.contains("stored"), "{sent}");
    let arrived = std::fs::read_dir(&stored).unwrap().next().unwrap().unwrap().path();
    let dump = async |path: &std::path::Path| {
        run(&mut dcmtk("dcmdump", &["-q", "+L", "-M", path.to_str().unwrap()]), "").await.ok()
    };
    let data_set = |dump: String| dump.split("# Dicom-Data-Set").nth(1).unwrap().to_owned();
    assert_eq!(data_set(dump(&arrived).await), data_set(dump(std::path::Path::new(file)).await));
    let nothing = site.cli(&["send", "--as-it-is", "/etc/hostname", "pacs"]).await;
    assert_eq!(nothing.code, 65, "{nothing:?}");
}
