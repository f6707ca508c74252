//! No word of a patient, no link, no answer leaves the gateway by a side door: log, metrics, status, names of
//! files, process list, environment, or the bytes that lie in the data folder.

use std::process::Command;
use std::time::Duration;

use lotse::dicom::{Patient, PatientId, PersonName};
use lotse::sim::sample::Sample;
use lotse::sim::world::World;
use lotse::sim::{pacs, portal, ris};
use serde_json::json;

use crate::hospital::until;
use crate::needles::{self, Needles};
use crate::support::{Daemon, Setup, run, script, test_env};

/// What only this test brings in.
const ANSWER: &str = "1911-11-23";
const LINK_TOKEN: &str = "KANARIE-T0K3N";
const REASON: &str = "Grund des Kanarienvogels";
const FILE: &str = "Kanarienvogel_Kunigunde_CD.zip";
const SENT: [(&str, &str); 8] = [
    ("PatientName", "Zeisig-Stieglitz^Zacharias"),
    ("PatientID", "ZZ-443-VOGEL"),
    ("IssuerOfPatientID", "VOLIERE NORDWEST"),
    ("PatientBirthDate", "19070214"),
    ("PatientSex", "M"),
    ("AccessionNumber", "ACCVOGEL7719"),
    ("StudyInstanceUID", "2.25.77190042117719004211"),
    ("StudyDescription", "Gefiederaufnahme in zwei Ebenen"),
];
/// By a person for a study without an order.
const FILED: [&str; 4] = ["LOCVOGEL-991", "Ammer^Adelgunde", "1923-04-05", "19230405"];

fn needles(world: &World) -> Needles {
    let mut texts = needles::of_sample(world);
    texts
        .extend([ANSWER, "19111123", LINK_TOKEN, REASON, FILE, "Kanarienvogel"].map(str::to_owned));
    texts.extend(SENT.iter().map(|(_, text)| (*text).to_owned()).filter(|text| text.len() >= 6));
    texts.extend(["Stieglitz", "Zacharias", "1907-02-14", "Adelgunde"].map(str::to_owned));
    texts.extend(FILED.map(str::to_owned));
    // Orders that nobody chose are somebody's too.
    for item in world.sample.worklist() {
        texts.push(item.patient.name.unwrap().as_str().to_owned());
        texts.push(item.patient.id.unwrap().id);
        texts.push(item.accession_number.unwrap().number);
    }
    let texts: std::collections::BTreeSet<_> = texts.into_iter().collect();
    Needles::new(texts.iter().map(String::as_str))
}

/// Everything that can be seen from outside or from the disk at this moment.
async fn look(daemon: &Daemon, needles: &Needles) {
    for path in ["/status", "/metrics", "/healthz"] {
        needles.assert_absent(path, daemon.api.text(path).await.as_bytes());
    }
    let ready = daemon.api.request(reqwest::Method::GET, "/readyz").send().await.unwrap();
    needles.assert_absent("/readyz", ready.text().await.unwrap().as_bytes());
    for file in ["cmdline", "environ", "comm", "status"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", daemon.id())).unwrap();
        needles.assert_absent(file, &bytes);
    }
    let files = needles.assert_absent_below(&daemon.site().data_dir());
    assert!(files >= 4, "{files} files only: key, pack, journal and token at least");
    needles.assert_absent("the log", daemon.log().as_bytes());
}

async fn post_ok(daemon: &Daemon, path: &str, body: serde_json::Value) {
    let (status, body) = daemon.api.post(path, &body).await;
    assert!(status < 300, "{path}: {status} {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_patient_leaks() {
    let world = World::start(3).await.unwrap();
    let needles = needles(&world);
    let site = Setup::new()
        .peer("ris", "RIS", world.ris.address().port(), &[])
        .worklist_peer("ris")
        .peer("pacs", "PACS", world.pacs.address().port(), &["echo"])
        .destination_peer("pacs")
        .peer("station", "STATION", 104, &["store"])
        .portals_on_loopback()
        .write();
    let mut command = site.command(&["serve"]);
    command.env("LOTSE_LOG", "lotse=trace");
    let daemon = Daemon::start(site.clone(), command).await;
    let api = &daemon.api;

    // A link whose portal is down, then wants an answer, gets a wrong one, then the right one; its worklist
    // is down, then there; its PACS refuses, then takes it.
    world
        .portal
        .misbehave(portal::Faults { link: portal::AtLink::Status(503), ..Default::default() });
    let link = api.import_link(&json!({"link": world.portal.link()})).await;
    until("a fault of the portal", async || {
        let status = api.get("/status").await;
        (!status["lastErrors"].as_array()?.is_empty()).then_some(())
    })
    .await;
    world.portal.misbehave(portal::Faults::default());
    api.until_state(&link, "Asking").await;
    look(&daemon, &needles).await;
    let answers = format!("/api/v1/imports/{link}/answers");
    post_ok(&daemon, &answers, json!({"answers": {"PAT_BIRTH_DATE": ANSWER}})).await;
    api.until(&link, "the question again", |import| {
        import["state"] == "Asking" && world.portal.counts().logins >= 1
    })
    .await;
    world.ris.set_fault(ris::Fault::RefuseAssociation);
    world.portal.misbehave(portal::Faults {
        cut: portal::Cut::Connection,
        cut_times: Some(1),
        slow: Some(Duration::from_millis(1)),
        ..Default::default()
    });
    post_ok(&daemon, &answers, json!({"answers": {"PAT_BIRTH_DATE": world.sample.birth_date()}}))
        .await;
    api.until_studies(&link, "AwaitingWorklist").await;
    until("an attempt that failed", async || {
        let status = api.get("/status").await;
        status["lastErrors"].to_string().contains("Worklist").then_some(())
    })
    .await;
    look(&daemon, &needles).await;
    world.ris.set_fault(ris::Fault::None);
    let import = api.until_studies(&link, "AwaitingDecision").await;
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    world.pacs.set_fault(pacs::Fault::AbortWithin { bytes: 100_000 });
    let decision = format!("/api/v1/imports/{link}/studies/{study}/decision");
    post_ok(&daemon, &decision, json!({"item": world.sample.item().item_id(), "reason": REASON}))
        .await;
    api.until(&link, "a delivery that failed", |import| {
        import["studies"][0]["deliveries"][0]["lastError"].is_string()
    })
    .await;
    look(&daemon, &needles).await;
    world.pacs.set_fault(pacs::Fault::Answer(lotse::dimse::Status(0xC123)));
    api.until_studies(&link, "Quarantined").await;
    look(&daemon, &needles).await;
    world.pacs.set_fault(pacs::Fault::None);
    post_ok(&daemon, &format!("/api/v1/imports/{link}/retry"), json!({})).await;
    api.until_state(&link, "Closed").await;

    // A link that leads nowhere.
    let nowhere = world.portal.link().replace("ABC-S1Z-98A", LINK_TOKEN);
    let failed =
        api.import_link(&json!({"link": nowhere, "answers": {"PAT_BIRTH_DATE": ANSWER}})).await;
    api.until(&failed, "a failure or a question", |import| {
        import["state"] == "Failed" || import["state"] == "Asking" || import["state"] == "Requested"
    })
    .await;

    // Uploads: one that is a study, one that is nothing, one that is cut.
    let item = world.sample.worklist().swap_remove(1);
    let request = json!({
        "patient": {"patientId": item.patient.id.unwrap().id},
        "accessionNumber": item.accession_number.unwrap().number,
    });
    let zip = Sample::with_seed(2, 7).zip().unwrap();
    let upload = api.upload(FILE, zip.clone(), &request).await;
    api.until_studies(&upload, "AwaitingDecision").await;
    let nothing = api.upload(FILE, b"Kanarienvogel".to_vec(), &json!({})).await;
    api.until_state(&nothing, "Failed").await;
    let cut = api.upload(FILE, zip[..zip.len() / 2].to_vec(), &json!({})).await;
    api.until(&cut, "an end", |import| {
        import["state"] == "Failed" || import["state"] == "Unpacked" || import["state"] == "Closed"
    })
    .await;

    // From a peer by C-STORE, filed by a person without an order.
    let sent: serde_json::Map<_, _> =
        SENT.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
    let mut send = Command::new(test_env("venv").join("bin/python"));
    send.arg(script("one_object.py")).args([
        "127.0.0.1",
        &daemon.dicom.port().to_string(),
        "STATION",
        "LOTSE",
    ]);
    let status = run(&mut send, &json!(sent).to_string()).await.ok();
    assert_eq!(status.trim(), "0000");
    let arrived = api.until_from("station").await;
    let import = api.until_studies(&arrived, "AwaitingDecision").await;
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let decision = format!("/api/v1/imports/{arrived}/studies/{study}/decision");
    let [id, name, birth_date, _] = FILED;
    let patient = json!({"patientId": id, "name": name, "birthDate": birth_date, "sex": "F"});
    post_ok(&daemon, &decision, json!({"noOrder": patient, "confirmed": true, "reason": REASON}))
        .await;
    api.until_state(&arrived, "Closed").await;

    // What is wrong by itself, with words of a patient in it.
    let wrong = [
        ("/api/v1/imports", json!({"link": format!("gopher://{LINK_TOKEN}/{}", SENT[0].1)})),
        ("/api/v1/imports", json!({"link": nowhere, (SENT[0].1): SENT[1].1})),
        (decision.as_str(), json!({"item": SENT[0].1, "reason": REASON})),
        (answers.as_str(), json!({"answers": {(SENT[0].1): ANSWER}})),
    ];
    for (path, body) in wrong {
        let (status, body) = api.post(path, &body).await;
        assert!((400..500).contains(&status), "{path}: {status} {body}");
    }
    let strange = format!("/api/v1/imports/{}?{LINK_TOKEN}", SENT[1].1);
    assert_eq!(api.status(&strange).await, 404);
    let worklist = api.get("/api/v1/worklist?name=beispiel").await;
    assert!(
        worklist.to_string().contains("Beispiel"),
        "the worklist itself may be seen with the token"
    );
    let list = api.get("/api/v1/imports?q=zeisig-stieglitz").await;
    assert_eq!(list["total"], 1);
    // With the token it is all there, so it would have been found elsewhere.
    assert!(
        !needles
            .found_in(api.text(&format!("/api/v1/imports/{arrived}")).await.as_bytes())
            .is_empty()
    );
    look(&daemon, &needles).await;

    // And over a restart and the end.
    let log = daemon.log_handle();
    let site = daemon.kill().await;
    let mut command = site.command(&["serve"]);
    command.env("LOTSE_LOG", "lotse=trace");
    let daemon = Daemon::start(site, command).await;
    look(&daemon, &needles).await;
    let erased = daemon.api.request(reqwest::Method::DELETE, &format!("/api/v1/imports/{upload}"));
    assert!(erased.send().await.unwrap().status().is_success());
    look(&daemon, &needles).await;
    let second = daemon.log_handle();
    let (code, site) = daemon.stop().await;
    assert_eq!(code, 0);
    let token = std::fs::read_to_string(site.data_dir().join("api.token")).unwrap();
    for log in [log.text(), second.text()] {
        assert!(!log.contains(token.trim()), "{log}");
        needles.assert_absent("the log", log.as_bytes());
        assert!(!log.contains("panicked"), "{log}");
        assert!(log.contains("import"), "the log was looked at");
    }
    needles.assert_absent_below(&site.data_dir());
    world.stop().await;
}

/// What people see of a type under `{:?}`, which is what a panic or a careless log line would show.
#[test]
fn debug_of_a_patient_tells_nothing() {
    let patient = Patient {
        id: Some(PatientId { id: SENT[1].1.to_owned(), issuer: Some(SENT[2].1.to_owned()) }),
        name: PersonName::new(SENT[0].1),
        ..Patient::default()
    };
    let needles = Needles::new([SENT[0].1, SENT[1].1, SENT[2].1, "Stieglitz"]);
    needles.assert_absent(
        "Debug",
        format!("{patient:?} {:?} {:?}", patient.id, patient.name).as_bytes(),
    );
    let sample = Sample::new(1);
    let shown =
        format!("{:?} {:?} {:?}", sample.item(), sample.foreign_patient(), sample.worklist());
    Needles::new(["Musterfrau", "100234567", "A2026004711"])
        .assert_absent("Debug", shown.as_bytes());
}
