//! HL7 v2 with parts that others wrote: orders from the package `hl7`, acknowledgements read by `hl7apy`, a patient
//! index on `hl7apy`.

use std::net::SocketAddr;

use lotse::sim::his;
use lotse::sim::sample::Sample;
use reqwest::Method;
use serde_json::{Value, json};

use crate::desk::zip;
use crate::support::peers::{Peer, python};
use crate::support::{Api, Daemon, Setup, free_port, run};

fn head(kind: &str, control_id: &str) -> String {
    format!(
        "MSH|^~\\&|KIS|HAUS|LOTSE|RAD|20260301101500||{kind}|{control_id}|P|2.5||||||UNICODE UTF-8\r"
    )
}

const PID: &str = "PID|1||42^^^KLINIKUM||Müller^Änne^^^Dr.^^L||19700305|F\r";

fn order(control: &str, number: &str) -> String {
    format!(
        "ORC|{control}|{number}|{number}\rOBR|1|{number}|{number}|CTA^CT Abdomen^99RAD||||||||||||||A{number}|\
         RP{number}||||||CT\r"
    )
}

/// A site that takes orders on a port, and that port.
fn site(setup: Setup) -> (Setup, u16) {
    let port = free_port();
    let listener = format!(
        "[hl7]\nauthority = \"KLINIKUM\"\n[[hl7.listeners]]\naddress = \"127.0.0.1:{port}\"\n\
         senders = [\"127.0.0.1\"]\napplications = [\"KIS\", \"HIS\"]"
    );
    (setup.table(&listener), port)
}

async fn send(port: u16, messages: &[String]) -> Vec<Value> {
    let mut command = python("hl7_send.py", &[&port.to_string()]);
    let told = run(&mut command, &json!(messages).to_string()).await.ok();
    serde_json::from_str::<Vec<Value>>(&told).unwrap()
}

async fn numbers(api: &Api) -> Vec<String> {
    let told = api.get("/api/v1/worklist").await;
    let items = told["items"].as_array().unwrap().iter();
    let mut numbers: Vec<String> =
        items.map(|item| item["accessionNumber"].as_str().unwrap().to_owned()).collect();
    numbers.sort();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_real_sender_are_kept_changed_and_cancelled() {
    let (setup, port) = site(Setup::new());
    let daemon = setup.start().await;
    let answers = send(
        port,
        &[
            format!("{}{PID}{}", head("ORM^O01^ORM_O01", "C1"), order("NW", "1")),
            format!(
                "{}{PID}{}{}",
                head("OMG^O19^OMG_O19", "C2"),
                order("NW", "2"),
                order("NW", "3")
            ),
            format!(
                "{}{PID}ORC|NW|4|4\rOBR|1|4|4|MRK^MR Kopf^99RAD\rIPC|A4|RP4|1.2.3.4|S4|MR\r",
                head("OMI^O23^OMI_O23", "C3")
            ),
            format!("{}{PID}ORC|CA|2|2\r", head("ORM^O01^ORM_O01", "C4")),
            format!("{}{}", head("ADT^A08^ADT_A01", "C5"), PID.replace("Müller", "Schmidt")),
            format!("{}{PID}{}", head("ORM^O01^ORM_O01", "C6"), "ORC|QQ|9|9\r"),
        ],
    )
    .await;
    let verdicts: Vec<_> = answers.iter().map(|a| a["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["AA", "AA", "AA", "AA", "AA", "AE"], "{answers:#?}");
    let ids: Vec<_> = answers.iter().map(|a| a["answers"].as_str().unwrap()).collect();
    assert_eq!(ids, ["C1", "C2", "C3", "C4", "C5", "C6"]);
    assert_eq!(answers[0]["kind"], "ACK^O01^ACK");
    assert_eq!(answers[5]["place"], "ORC^1^1");
    assert!(answers[5]["sentence"].as_str().unwrap().starts_with("ORC-1: this order control"));
    assert_eq!(numbers(&daemon.api).await, ["A1", "A3", "A4"]);

    // What was acknowledged outlives a crash.
    let site = daemon.kill().await;
    let daemon = site.start().await;
    assert_eq!(numbers(&daemon.api).await, ["A1", "A3", "A4"]);
    let told = daemon.api.get("/api/v1/worklist").await;
    assert!(told["items"].to_string().contains("Schmidt^Änne^^Dr."), "{told:#}");
    let merge = format!(
        "{}{}MRG|42^^^KLINIKUM\r",
        head("ADT^A40^ADT_A39", "D1"),
        PID.replace("42^", "50^")
    );
    let cancel =
        format!("{}{}ORC|CA|1|1\r", head("ORM^O01^ORM_O01", "D2"), PID.replace("42^", "50^"));
    let answers = send(port, &[merge, cancel]).await;
    assert!(answers.iter().all(|answer| answer["verdict"] == "AA"), "{answers:#?}");
    assert_eq!(numbers(&daemon.api).await, ["A3", "A4"]);
    let told = daemon.api.get("/api/v1/worklist").await.to_string();
    assert!(told.contains("\"50\"") && !told.contains("\"42\""), "{told}");
    let log = daemon.log();
    assert!(!log.contains("Müller") && !log.contains("Schmidt"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_of_a_real_sender_are_refused_each_in_a_sentence() {
    let (setup, port) = site(Setup::new());
    let daemon = setup.start().await;
    let good = format!("{}{PID}{}", head("ORM^O01^ORM_O01", "C1"), order("NW", "1"));
    let changed = |from: &str, to: &str| good.replace(from, to);
    let bad = [
        changed("|C1|P|2.5", "||P|2.5"),
        changed("|P|2.5", "|T|2.5"),
        changed("|P|2.5", "|P|3"),
        changed("ORM^O01^ORM_O01", "ORU^R01"),
        changed("ORM^O01^ORM_O01", "ORM^O99"),
        changed("ORM^O01^ORM_O01", ""),
        changed("|KIS|", "|FREMD|"),
        changed("UNICODE UTF-8", "EBCDIC"),
        changed("MSH|", "PID|"),
        changed("^~\\&", "^^\\&"),
        changed("PID|1", "pid|1"),
        changed(PID, ""),
        changed(PID, &PID.repeat(2)),
        changed("42^^^KLINIKUM", ""),
        changed("42^^^KLINIKUM", "42^^^ANDERS"),
        changed("42^^^KLINIKUM", "1^^^A~2^^^B"),
        changed("42^^^KLINIKUM", &format!("{}^^^KLINIKUM", "9".repeat(65))),
        changed("Müller", &"N".repeat(70)),
        changed("19700305", "19700230"),
        changed("19700305", "05.03.1970"),
        changed("19700305", "heute"),
        changed("ORC|NW", "ORC|"),
        changed("ORC|NW", "ORC|ZZ"),
        changed("ORC|NW|1|1\r", ""),
        changed("|A1|", "||"),
        changed("|A1|", "|A12345678901234567|"),
        format!("{good}ZDS|no.uid\r"),
        format!("{good}this is no segment\r"),
        format!("{good}{good}"),
        format!("{}{PID}", head("ADT^A40^ADT_A39", "C9")),
    ];
    assert!(bad.len() >= 25);
    let answers = send(port, &bad).await;
    assert_eq!(answers.len(), bad.len());
    for (message, answer) in bad.iter().zip(&answers) {
        let verdict = answer["verdict"].as_str().unwrap();
        assert!(matches!(verdict, "AE" | "AR"), "{message:?}: {answer}");
        assert!(answer["sentence"].as_str().unwrap().split(' ').count() >= 4, "{answer}");
        assert!(!answer["place"].as_str().unwrap().is_empty(), "{answer}");
    }
    assert!(numbers(&daemon.api).await.is_empty());
    let answers = send(port, &[good]).await;
    assert_eq!(answers[0]["verdict"], "AA", "the connection goes on");
    assert_eq!(numbers(&daemon.api).await, ["A1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_came_by_message_decides_an_import() {
    let (setup, port) = site(Setup::new());
    let daemon = setup.start().await;
    let sample = Sample::new(2);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let order = his::order(&sample.item(), "NW", "1");
    let answers = his::send(address, &[order], his::Manner::Proper).await.unwrap();
    assert!(his::acknowledged(answers[0].as_ref().unwrap()).is_some());
    let number = sample.item().accession_number.unwrap().number;
    let archive = zip(&[("IM1", &sample.instance(0)), ("IM2", &sample.instance(1))]);
    let id = daemon.api.upload("study.zip", archive, &json!({"accessionNumber": number})).await;
    let import = daemon.api.until_state(&id, "Closed").await;
    let decision = &import["studies"][0]["decision"];
    assert_eq!((&decision["by"], &decision["accessionNumber"]), (&json!("rule"), &json!(number)));
    assert_eq!(import["counts"]["delivered"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_waits_is_matched_anew_when_its_order_comes() {
    let (setup, port) = site(Setup::new());
    let daemon = setup.start().await;
    let sample = Sample::new(1);
    // Scheduled for today, as an order to import is.
    let mut item = sample.item();
    item.steps.iter_mut().for_each(|step| (step.start_date, step.start_time) = (None, None));
    let number = item.accession_number.as_ref().unwrap().number.clone();
    let archive = zip(&[("IM1", &sample.instance(0))]);
    let id = daemon.api.upload("study.zip", archive, &json!({"accessionNumber": number})).await;
    daemon.api.until_studies(&id, "AwaitingDecision").await;
    let other = Sample::with_seed(1, 2);
    let archive = zip(&[("IM1", &other.instance(0))]);
    let unnamed = daemon.api.upload("study.zip", archive, &json!({})).await;
    daemon.api.until_studies(&unnamed, "AwaitingDecision").await;

    // An order of somebody else changes nothing, its own decides.
    let foreign = format!("{}{PID}{}", head("ORM^O01^ORM_O01", "C1"), order("NW", "1"));
    let answers = send(port, &[foreign]).await;
    assert_eq!(answers[0]["verdict"], "AA", "{answers:#?}");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let own = his::order(&item, "NW", "2");
    let answers = his::send(address, &[own], his::Manner::Proper).await.unwrap();
    assert!(his::acknowledged(answers[0].as_ref().unwrap()).is_some());
    let import = daemon.api.until_state(&id, "Closed").await;
    let decision = &import["studies"][0]["decision"];
    assert_eq!((&decision["by"], &decision["accessionNumber"]), (&json!("rule"), &json!(number)));
    // What names no order still waits for a person, who now sees it.
    let seen =
        async |import: Value| import["studies"][0]["candidates"].to_string().contains(&number);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !seen(daemon.api.import(&unnamed).await).await {
        assert!(std::time::Instant::now() < deadline, "the list shows the new order");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let states = daemon.api.import(&unnamed).await["studies"][0]["state"].clone();
    assert_eq!(states, "AwaitingDecision");
}

async fn form(daemon: &Daemon, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let origin = format!("http://{}", daemon.http);
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = daemon.api.request(Method::POST, path).header("origin", origin);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_without_an_order_is_looked_up_and_looked_at_twice() {
    let index = Peer::start(|port| python("pdq_server.py", &[&port.to_string()])).await;
    let pdq = format!(
        "[worklist.pdq]\naddress = \"127.0.0.1:{}\"\nauthority = \"KLINIKUM\"\ntimeout = \"5s\"",
        index.port
    );
    let daemon = Setup::new().table(&pdq).start().await;
    let api = &daemon.api;
    let (status, found) = api.post("/api/v1/patients", &json!({"patientId": "4711"})).await;
    assert_eq!((status, &found["complete"]), (200, &json!(true)), "{found}");
    assert_eq!(found["patients"][0]["name"], "Müller^Änne");
    assert_eq!(found["patients"][0]["birthDate"], "1970-03-05");
    let (_, found) =
        api.post("/api/v1/patients", &json!({"name": "Müller", "birthDate": "1981-01-01"})).await;
    assert_eq!(found["patients"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["patients"][0]["patientId"], "4712");
    assert_eq!(api.post("/api/v1/patients", &json!({})).await.0, 422);
    assert_eq!(api.post("/api/v1/patients", &json!({"id": "1"})).await.0, 400);

    // The sample's patient is another one than any that the index knows.
    let sample = Sample::new(1);
    let id = api.upload("study.zip", zip(&[("IM1", &sample.instance(0))]), &json!({})).await;
    api.until_studies(&id, "AwaitingDecision").await;
    let study = format!("/imports/{id}/studies/{}", sample.study_uid());
    let (status, page) =
        form(&daemon, &format!("{study}/patients"), &[("name", "Müller^Änne")]).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("value=\"4711\"") && page.contains("From outside"), "{page}");

    let typed = [
        ("choice", "noOrder"),
        ("patientId", "4711"),
        ("name", "Müller^Änne"),
        ("birthDate", "1970-03-05"),
        ("sex", "F"),
        ("reason", "no order will come"),
    ];
    let (status, page) = form(&daemon, &format!("{study}/decision"), &typed).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Is this the patient?") && page.contains("class=\"against\""), "{page}");
    assert!(page.contains("The patient index knows this patient ID"), "{page}");
    assert_eq!(api.import(&id).await["studies"][0]["state"], "AwaitingDecision", "only looked at");

    let decision = format!("/api/v1{study}/decision");
    let patient = json!({"patientId": "4711", "name": "Müller^Ännchen", "birthDate": "1970-03-05", "sex": "F"});
    let mut body = json!({"noOrder": patient, "confirmed": false, "reason": "no order will come"});
    let (status, told) = api.post(&decision, &body).await;
    assert_eq!(status, 409, "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("the patient index has another name"), "{detail}");
    body["noOrder"]["patientId"] = json!("9999");
    let (_, told) = api.post(&decision, &body).await;
    assert!(told["detail"].as_str().unwrap().contains("knows nobody"), "{told}");
    drop(index);
    let (_, told) = api.post(&decision, &body).await;
    assert!(told["detail"].as_str().unwrap().contains("nobody could look it up"), "{told}");

    let confirmed = [&typed[..], &[("confirmed", "yes")]].concat();
    let (status, page) = form(&daemon, &format!("{study}/decision"), &confirmed).await;
    assert!(matches!(status, 200 | 303), "{status} {page}");
    let import = api.until_state(&id, "Closed").await;
    let made = &import["studies"][0]["decision"];
    assert_eq!((&made["by"], &made["patient"]["patientId"]), (&json!("person"), &json!("4711")));
    let overridden = made["overridden"].to_string();
    assert!(
        overridden.contains("name") && overridden.contains("nobody could look it up"),
        "{overridden}"
    );
}
