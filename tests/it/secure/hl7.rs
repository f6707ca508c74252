//! HL7 by TLS: orders that come, patients that are asked for.

use super::House;
use crate::support::ca::{Pair, Valid};
use crate::support::peers::python;
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
