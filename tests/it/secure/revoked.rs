//! Certificates that their authority has taken back.

use std::path::Path;

use super::{House, hang_up, logs, tls_port};
use crate::support::Setup;
use crate::support::ca::{Authority, Valid};

/// Writes the authority's list of these pairs over what was there.
fn publish(ca: &Authority, file: &Path, revoked: &[&crate::support::ca::Pair], next: i32) {
    std::fs::write(file, ca.revocation_list(revoked, next)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_certificate_was_taken_back_is_turned_away_from_the_reload_on() {
    let house = House::new();
    let list = house.ca.file.with_file_name("clinic.crl");
    publish(&house.ca, &list, &[], 2099);
    let listener = house.listener("required") + &format!("client-crl = [{list:?}]\n");
    let daemon =
        Setup::new().peer("station", "STATION", 9, &["echo"]).table(&listener).start().await;
    let port = tls_port(&daemon).await;
    let other = house.ca.pair("other", Valid::Now);
    for pair in [&house.station, &other] {
        house.echoscu(port, Some(pair)).await.ok();
    }
    publish(&house.ca, &list, &[&house.station], 2099);
    house.echoscu(port, Some(&house.station)).await.ok();
    hang_up(&daemon).await;
    assert_ne!(house.echoscu(port, Some(&house.station)).await.code, 0);
    logs(&daemon, &["its certificate has been revoked by its authority"]).await;
    house.echoscu(port, Some(&other)).await.ok();

    // A list of another authority says nothing of ours, and is told to.
    let stranger = Authority::new(&house.ca.file.with_file_name("other-ca"), "stranger");
    publish(&stranger, &list, &[], 2099);
    hang_up(&daemon).await;
    assert_ne!(house.echoscu(port, Some(&other)).await.code, 0);
    logs(&daemon, &["whether its certificate has been revoked is not known"]).await;

    // An old list counts, and everybody is told that it is old.
    publish(&house.ca, &list, &[&house.station], 2022);
    hang_up(&daemon).await;
    house.echoscu(port, Some(&other)).await.ok();
    assert_ne!(house.echoscu(port, Some(&house.station)).await.code, 0);
    logs(&daemon, &["dicom.listeners.1.tls: the revocation list of \"CN=authority\""]).await;
    let status = daemon.cli(&["status"]).await.ok();
    assert!(status.contains("revocation list dicom.listeners.1.tls: -"), "{status}");
    assert!(status.contains("is out of date since 2022-01-01"), "{status}");
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.stderr.contains("is out of date since 2022-01-01"), "{checked:?}");
    let metrics = daemon.api.text("/metrics").await;
    let old = "lotse_revocation_list_remaining_seconds{place=\"dicom.listeners.1.tls\",subject=\"CN=authority\"} 0";
    assert!(metrics.contains(old), "{metrics}");

    // What is no list changes nothing.
    std::fs::write(&list, "no list").unwrap();
    let checked = daemon.cli(&["check"]).await;
    assert!(checked.stderr.contains("holds no revocation list"), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_certificate_was_taken_back_is_named() {
    let house = House::new();
    let [certificate, key, _] = house.files(&house.station);
    let (_pacs, port) = crate::mistakes::pynetdicom(&["--tls", &certificate, &key]).await;
    let list = house.ca.file.with_file_name("clinic.crl");
    let peer = format!(
        "[peers.pacs]\nae-title = \"PACS\"\naddress = \"localhost:{port}\"\n\
         tls = {{ ca-files = [{:?}], crl-files = [{list:?}] }}",
        house.ca.file
    );
    let site = Setup::new().table(&peer).write();
    publish(&house.ca, &list, &[&house.ours], 2099);
    site.cli(&["echo", "pacs"]).await.ok();
    publish(&house.ca, &list, &[&house.station], 2099);
    for command in [&["echo", "pacs"][..], &["peers", "pacs"], &["peers", "pacs", "--json"]] {
        let ended = site.cli(command).await;
        assert_eq!(ended.code, 69, "{command:?} {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("has been revoked by its authority"), "{command:?}: {said}");
    }
}
