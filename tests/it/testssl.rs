//! What testssl.sh finds at our TLS listener.

use std::process::Command;

use serde_json::Value;

use crate::support::ca::{Authority, Valid};
use crate::support::{PATIENCE, Process, Setup, free_port, program};

/// Findings of testssl.sh with these options, as its identifier, severity and text.
async fn findings(options: &[&str]) -> Vec<(String, String, String)> {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let ca = Authority::new(&folder.join("ca"), "authority");
    let (pair, port) = (ca.pair("lotse", Valid::Now), free_port());
    let daemon = setup.table(&format!(
        "[[dicom.listeners]]\naddress = \"127.0.0.1:{port}\"\n\
         tls = {{ certificate = {:?}, key = {:?}, client = \"none\" }}",
        pair.certificate, pair.key
    ));
    let mut daemon = daemon.start().await;
    let report = folder.join("testssl.json");
    let mut command = Command::new(program("testssl"));
    command.env("TERM", "dumb").args(["--quiet", "--color", "0", "--warnings", "batch"]);
    command.args(options).arg("--jsonfile").arg(&report).arg(format!("127.0.0.1:{port}"));
    let mut scan = Process::start(&mut command);
    let begun = std::time::Instant::now();
    // It takes its time on a busy machine.
    while scan.lives() {
        assert!(begun.elapsed() < PATIENCE * 8, "{}", scan.log.text());
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(daemon.lives());
    let told = std::fs::read_to_string(&report).unwrap_or_else(|_| panic!("{}", scan.log.text()));
    let told: Vec<Value> = serde_json::from_str(&told).unwrap();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    told.iter().map(|one| (text(one, "id"), text(one, "severity"), text(one, "finding"))).collect()
}

fn is_weak(severity: &str) -> bool {
    matches!(severity, "LOW" | "MEDIUM" | "HIGH" | "CRITICAL" | "FATAL")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_weak_protocol_or_cipher() {
    let found = findings(&["-p", "-s", "-f"]).await;
    let of = |id: &str| {
        let one = found.iter().find(|(found, ..)| found == id);
        one.map_or_else(|| panic!("no {id} in {found:#?}"), |(_, _, finding)| finding.as_str())
    };
    for id in [
        "SSLv2",
        "SSLv3",
        "TLS1",
        "TLS1_1",
        "cipherlist_NULL",
        "cipherlist_aNULL",
        "cipherlist_EXPORT",
        "cipherlist_LOW",
        "cipherlist_3DES_IDEA",
        "cipherlist_AVERAGE",
    ] {
        assert_eq!(of(id), "not offered", "{id}");
    }
    for id in ["TLS1_2", "cipherlist_STRONG", "PFS"] {
        assert_eq!(of(id), "offered", "{id}");
    }
    assert!(of("TLS1_3").starts_with("offered"), "{found:#?}");
    let weak: Vec<_> = found.iter().filter(|(_, severity, _)| is_weak(severity)).collect();
    assert!(weak.is_empty(), "{weak:#?}");
    println!("{} findings, none weak", found.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: cargo test --test it testssl -- --ignored --nocapture"]
async fn no_known_weakness_of_tls() {
    let found = findings(&["-p", "-s", "-f", "-S", "-P", "-U", "-E"]).await;
    // Who trusts the test's own authority is not what is asked.
    let own = ["cert_chain_of_trust", "cert_revocation", "cert_validityPeriod", "DNS_CAArecord"];
    let weak = found.iter().filter(|(id, severity, _)| is_weak(severity) && !own.contains(&&**id));
    let weak: Vec<_> = weak.collect();
    assert!(weak.is_empty(), "{weak:#?}");
    println!("{} findings, none weak", found.len());
}
