//! Certificates that change under load, and that end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::sys::signal::Signal;

use super::{House, fingerprint, hang_up, tls_port, wrong_pair_refused};
use crate::support::ca::Valid;
use crate::support::peers::python;
use crate::support::{Process, Setup, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_load_and_nobody_is_dropped() {
    let house = Arc::new(House::new());
    let pacs_pair = house.ca.pair("pacs", Valid::Now);
    let [certificate, key, _] = house.files(&pacs_pair);
    let (_pacs, pacs) = crate::mistakes::pynetdicom(&["--tls", &certificate, &key]).await;
    let mut daemon = Setup::new()
        .peer("station", "STATION", 9, &["echo"])
        .table(&format!(
            "[peers.pacs]\nae-title = \"PACS\"\naddress = \"localhost:{pacs}\"\n{}",
            house.peer()
        ))
        .table(&house.listener("required"))
        .start()
        .await;
    let port = tls_port(&daemon).await;
    // An association from before, which lives through all of it.
    let mut held = held(&house, port).await;

    let (stop, echoes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load = (0..3).map(|_| {
        let (house, stop, echoes) = (Arc::clone(&house), Arc::clone(&stop), Arc::clone(&echoes));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let ended = house.echoscu(port, Some(&house.station)).await;
                assert_eq!(ended.code, 0, "{ended:?}");
                echoes.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let load: Vec<_> = load.collect();
    let mut shown = vec![fingerprint(&house, port).await];
    for round in 0..5 {
        let renewed = house.ca.pair(&format!("lotse-{round}"), Valid::Now);
        // Two files can't be replaced at once: the reload comes when both are there.
        std::fs::copy(&renewed.certificate, &house.ours.certificate).unwrap();
        std::fs::copy(&renewed.key, &house.ours.key).unwrap();
        hang_up(&daemon).await;
        let now = fingerprint(&house, port).await;
        assert_eq!(now, renewed.fingerprint);
        shown.push(now);
        let before = echoes.load(Ordering::Relaxed);
        eventually("echoes after the reload", || {
            let more = echoes.load(Ordering::Relaxed) > before + 2;
            std::future::ready(more.then_some(()))
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for one in load {
        one.await.unwrap();
    }
    shown.dedup();
    assert_eq!(shown.len(), 6);

    wrong_pair_refused(&house, &daemon, port).await;
    assert_eq!(fingerprint(&house, port).await, shown[5]);

    // The old association is still there.
    held.signal(Signal::SIGUSR1);
    held.says("0000").await;
    assert!(daemon.lives());
    println!("{} echoes over {} certificates", echoes.load(Ordering::Relaxed), shown.len());
}

/// An association that answers one more C-ECHO when it is signalled.
async fn held(house: &House, port: u16) -> Process {
    let [certificate, key, ca] = house.files(&house.station);
    let port = port.to_string();
    let arguments = [&port, "LOTSE", "STATION", &certificate, &key, &ca].map(|one: &str| one);
    let mut process = Process::start(&mut python("hold.py", &arguments));
    process.says("held").await;
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_certificate_is_told_everywhere() {
    let house = House::new();
    let soon = house.ca.pair("soon", Valid::Soon);
    std::fs::copy(&soon.certificate, &house.ours.certificate).unwrap();
    std::fs::copy(&soon.key, &house.ours.key).unwrap();
    let daemon = Setup::new().table(&house.listener("required")).start().await;
    let status: serde_json::Value = daemon.cli(&["status", "--json"]).await.json();
    let all = status["certificates"].as_array().unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0]["place"], "dicom.listeners.1.tls");
    assert!((8..=10).contains(&all[0]["daysLeft"].as_i64().unwrap()), "{all:?}");
    assert!(all[0]["warning"].as_str().unwrap().contains("renew it and reload"), "{all:?}");
    assert!(all[1].get("warning").is_none(), "{all:?}");
    let shown = daemon.cli(&["status"]).await.ok();
    assert!(shown.contains("days left") && shown.contains("! dicom.listeners.1.tls"), "{shown}");
    let metrics = daemon.api.text("/metrics").await;
    let line =
        metrics.lines().find(|line| line.starts_with("lotse_certificate_remaining_seconds{"));
    let seconds: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((7 * 86_400..=10 * 86_400).contains(&seconds), "{line:?}");
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains("note: dicom.listeners.1.tls"), "{checked:?}");
    assert!(daemon.log().contains("renew it and reload"), "{}", daemon.log());

    // Once it has ended the daemon goes on, and a check says so.
    let once = house.ca.pair("once", Valid::Once);
    std::fs::copy(&once.certificate, &house.ours.certificate).unwrap();
    std::fs::copy(&once.key, &house.ours.key).unwrap();
    hang_up(&daemon).await;
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.stderr.contains("has expired on 2021-01-01"), "{checked:?}");
    let log = daemon.log();
    assert!(log.contains("has expired on 2021-01-01"), "{log}");
    let key = std::fs::read_to_string(&house.ours.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!log.contains(secret) && !checked.stderr.contains(secret));
}
