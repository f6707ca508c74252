//! Others ask us for what is still held: pynetdicom and DCMTK query and fetch it, as it would be delivered, and see
//! nothing before it is decided.

use serde_json::json;

use crate::support::peers::{Medium, compare, dcmtk, run_python, storescp, worklist};
use crate::support::{Daemon, Setup, run};

const LOCAL_ID: &str = "4711007";
const LOCAL_ACCESSION: &str = "A2026-31415";

async fn find(daemon: &Daemon, keys: &[&str]) -> String {
    let port = daemon.dicom.port().to_string();
    let mut arguments = vec!["-S", "-aet", "ASKER", "-aec", "LOTSE"];
    arguments.extend(keys.iter().flat_map(|key| ["-k", key]));
    arguments.extend(["127.0.0.1", &port]);
    let ended = run(&mut dcmtk("findscu", &arguments), "").await;
    format!("{}{}", ended.stdout, ended.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn decided_studies_are_found_and_fetched_as_they_would_be_delivered() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &[]).await;
    let wl = folder.join("wl");
    worklist(&wl, &[]).await;
    let asker = storescp(&folder.join("moved"), &["-aet", "ASKER"]).await;
    let daemon = setup
        .worklist_folder(&wl)
        .peer("asker", "ASKER", asker.port, &["query", "retrieve"])
        .peer("stranger", "STRANGER", 9, &["echo"])
        // Another one of the same title lives elsewhere: what the asker fetches is not sent there.
        .table(
            "[peers.abroad]\nae-title = \"ASKER\"\naddress = \"192.0.2.1:104\"\nmay = [\"echo\"]",
        )
        .start()
        .await;
    let id = daemon.api.upload("medium.zip", medium.zip(), &json!({})).await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;

    // Nobody has decided whose it is: it is not there.
    let keys = ["QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientID", "PatientName"];
    let told = find(&daemon, &keys).await;
    assert!(!told.contains("X77-123") && !told.contains("Pending"), "{told}");

    for study in import["studies"].as_array().unwrap() {
        let uid = study["studyInstanceUid"].as_str().unwrap();
        let item = study["candidates"][0]["itemId"].as_str().unwrap();
        daemon.cli(&["decide", &id, uid, item, "--reason", "compared by eye"]).await.ok();
    }
    daemon.api.until_state(&id, "Closed").await;

    // DCMTK sees the local patient, and no trace of the foreign identity.
    let told = find(&daemon, &keys).await;
    assert!(told.contains(LOCAL_ID) && !told.contains("X77-123"), "{told}");

    // pynetdicom asks level by level, and fetches by C-GET with role selection.
    let (port, got) = (daemon.dicom.port().to_string(), folder.join("got"));
    let told = run_python("qr_ask.py", &[&port, got.to_str().unwrap()]).await.json();
    assert_eq!(told["patients"], json!([LOCAL_ID]), "{told}");
    let studies = told["studies"].as_array().unwrap();
    assert_eq!(studies.len(), medium.studies, "{told}");
    for study in studies {
        assert_eq!(study["patient"], LOCAL_ID);
        assert_eq!(study["accession"], LOCAL_ACCESSION);
        assert_eq!(told["seriesOf"][study["uid"].as_str().unwrap()], study["series"], "{told}");
    }
    let counted: u64 = studies.iter().map(|study| study["instances"].as_u64().unwrap()).sum();
    assert_eq!((counted, &told["images"]), (medium.images as u64, &json!(medium.images)));
    assert_eq!((&told["foreign"], &told["foreignStatus"]), (&json!(0), &json!(0)));
    assert_eq!(told["withoutStudy"], 0xA900);
    assert_eq!(told["wrongLevel"], 0xA900);
    assert_eq!(told["getWithoutStudy"], 0xA900);
    assert_eq!(told["got"], medium.images, "{told}\n{}", daemon.log());
    assert!(told["getStatuses"].as_array().unwrap().iter().all(|status| *status == json!(0)));
    compare(&medium.originals(), &got, &["--no-validation", "--any-syntax", "--any-padding"]);

    // DCMTK has them moved, and fetches one study by C-GET.
    for study in studies {
        let uid = format!("StudyInstanceUID={}", study["uid"].as_str().unwrap());
        let asked = [
            "-S",
            "-aet",
            "ASKER",
            "-aec",
            "LOTSE",
            "-aem",
            "ASKER",
            "-k",
            "QueryRetrieveLevel=STUDY",
            "-k",
            &uid,
            "127.0.0.1",
            &port,
        ];
        run(&mut dcmtk("movescu", &asked), "").await.ok();
    }
    compare(&medium.originals(), &folder.join("moved"), &["--no-validation"]);
    let (one, to) = (&studies[0], folder.join("one"));
    std::fs::create_dir_all(&to).unwrap();
    let uid = format!("StudyInstanceUID={}", one["uid"].as_str().unwrap());
    let asked = [
        "-S",
        "-aet",
        "ASKER",
        "-aec",
        "LOTSE",
        "-od",
        to.to_str().unwrap(),
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        &uid,
        "127.0.0.1",
        &port,
    ];
    run(&mut dcmtk("getscu", &asked), "").await.ok();
    assert_eq!(std::fs::read_dir(&to).unwrap().count() as u64, one["instances"].as_u64().unwrap());

    // A destination that is no peer; a peer that may not ask.
    let asked = [
        "-v",
        "-S",
        "-aet",
        "ASKER",
        "-aec",
        "LOTSE",
        "-aem",
        "NOWHERE",
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        &uid,
        "127.0.0.1",
        &port,
    ];
    let ended = run(&mut dcmtk("movescu", &asked), "").await;
    let words = format!("{}{}", ended.stdout, ended.stderr);
    assert!(words.contains("MoveDestinationUnknown") || words.contains("0xa801"), "{words}");
    let asked = [
        "-S",
        "-aet",
        "STRANGER",
        "-aec",
        "LOTSE",
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        "PatientID",
        "127.0.0.1",
        &port,
    ];
    let ended = run(&mut dcmtk("findscu", &asked), "").await;
    assert_ne!(ended.code, 0, "a peer that may only echo was answered");

    // What is erased is gone.
    daemon.cli(&["erase", &id]).await.ok();
    let told = find(&daemon, &keys).await;
    assert!(!told.contains(LOCAL_ID), "{told}");
}
