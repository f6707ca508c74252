//! HL7 by TLS: orders that come, patients that are asked for.

use std::sync::Arc;

use serde_json::json;

use super::{House, hang_up};
use crate::support::ca::{Authority, Pair, Valid};
use crate::support::peers::{Peer, python};
use crate::support::{Setup, eventually, run};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_comes_by_mutual_tls() {
    let (house, port) = (House::new(), crate::support::free_port());
    let listener = house
        .listener("required")
        .replace("dicom.", "hl7.")
        .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let listener = format!("[hl7]\nauthority = \"KLINIKUM\"\n{listener}");
    let daemon = Setup::new().table(&listener).start().await;
    let order = "MSH|^~\\&|KIS|H|LOTSE|H|20260102030405||ORM^O01^ORM_O01|T1|P|2.5.1|||||DEU|UNICODE UTF-8\r\
                 PID|1||PHANTOM-7^^^KLINIKUM||PHANTOM^SECURE||19700101|F\r\
                 ORC|NW|P7|F7\rOBR|1|P7|F7|CT^CT||||||||||||||A2026-777||||||CT||||||||||||20260102";
    let orders = serde_json::json!([order]).to_string();
    let send = async |pair: Option<&Pair>| {
        let mut arguments = vec![port.to_string()];
        arguments.extend(pair.map(|pair| house.files(pair)).into_iter().flatten());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        run(&mut python("hl7_send.py", &arguments), &orders).await
    };
    let told = send(Some(&house.station)).await.ok();
    assert!(told.contains("\"verdict\": \"AA\""), "{told}");
    assert_ne!(send(Some(&house.ca.pair("once", Valid::Once))).await.code, 0);
    assert_ne!(send(None).await.code, 0);
    eventually("the log to name both", || {
        let log = daemon.log();
        let both = log.contains("HL7 sender turned away: TLS: its certificate has expired")
            && log.contains("HL7 sender turned away: TLS: the other side does not speak TLS here");
        std::future::ready(both.then_some(()))
    })
    .await;
    let status = daemon.cli(&["status", "--json"]).await.json();
    assert_eq!(status["certificates"][0]["place"], "hl7.listeners.0.tls");
}

#[tokio::test(flavor = "multi_thread")]
async fn patients_are_asked_for_by_mutual_tls() {
    let house = House::new();
    let [certificate, key, ca] = house.files(&house.station);
    let index =
        Peer::start(|port| python("pdq_server.py", &[&port.to_string(), &certificate, &key, &ca]))
            .await;
    let stranger = Authority::new(&house.ca.file.with_file_name("other"), "stranger");
    let pdq = |tls: &str| {
        format!(
            "[worklist.pdq]\naddress = \"localhost:{}\"\nauthority = \"KLINIKUM\"\ntimeout = \"20s\"\n{tls}\n",
            index.port
        )
    };
    let by = |files: &str| format!("tls = {{ {files} }}");
    let ours = by(&format!(
        "ca-files = [{:?}], certificate = {:?}, key = {:?}",
        house.ca.file, house.ours.certificate, house.ours.key
    ));
    let mut now = pdq("");
    let daemon = Setup::new().table(&now).start().await;
    let site = Arc::clone(daemon.site());
    let mut ask = async |next: String| {
        let before = std::mem::replace(&mut now, next);
        site.edit(|text| text.replace(&before, &now));
        hang_up(&daemon).await;
        daemon.api.post("/api/v1/patients", &json!({"patientId": "4711"})).await
    };
    for (tls, told) in [
        (by(&format!("ca-files = [{:?}]", stranger.file)), "none of the authorities we trust"),
        (
            by(&format!("ca-files = [{:?}]", house.ca.file)),
            "wants a certificate of ours and got none",
        ),
        (
            by(&format!("ca-files = [{:?}], server-name = \"mpi\"", house.ca.file)),
            "its certificate is for station",
        ),
    ] {
        let (status, answer) = ask(pdq(&tls)).await;
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("the patient index: TLS: ") && detail.contains(told), "{answer}");
        assert!(status >= 400, "{status}");
    }
    let (status, found) = ask(pdq(&ours)).await;
    assert_eq!((status, &found["complete"]), (200, &json!(true)), "{found}");
    assert_eq!(found["patients"][0]["name"], "Müller^Änne");
    let status = daemon.cli(&["status", "--json"]).await.json();
    let places: Vec<_> = status["certificates"].as_array().unwrap().iter().collect();
    assert!(places.iter().any(|one| one["place"] == "worklist.pdq.tls"), "{places:?}");
    daemon.cli(&["check"]).await.ok();

    // A pair that does not belong together is not taken over.
    std::fs::copy(&house.station.key, &house.ours.key).unwrap();
    let checked = daemon.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
    assert!(checked.stderr.contains("worklist.pdq.tls: the key"), "{checked:?}");
}
