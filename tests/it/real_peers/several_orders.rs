//! One study that answers two orders of its patient, from DCMTK's worklist to Orthanc.

use serde_json::{Value, json};

use super::super::support::peers::{Orthanc, run_python, wlmscpfs, worklist};
use super::super::support::{Daemon, Setup};

const ORDERS: [&str; 2] = ["A2026-31415", "A2026-27182"];

async fn import(daemon: &Daemon, object: &std::path::Path) -> String {
    let taken = daemon.cli(&["import", object.to_str().unwrap(), "--json"]).await;
    let taken: Value = serde_json::from_str(&taken.stdout).unwrap();
    taken["id"].as_str().unwrap().to_owned()
}

/// What Orthanc has of one class.
async fn held(orthanc: &Orthanc, class: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for id in orthanc.get("/instances").await.as_array().unwrap() {
        let path = format!("/instances/{}/simplified-tags", id.as_str().unwrap());
        let tags = orthanc.get(&path).await;
        if tags["SOPClassUID"] == class {
            found.push(tags);
        }
    }
    found
}

fn numbers(items: &Value, key: &str) -> Vec<String> {
    let items = items.as_array().unwrap();
    items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_that_answers_two_orders_reaches_orthanc_under_both() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let kinds = folder.join("kinds");
    run_python("kinds.py", &[kinds.to_str().unwrap()]).await.ok();
    worklist(&folder.join("wl/RIS"), &[ORDERS[0], "CT", ORDERS[1], "CT"]).await;
    let ris = wlmscpfs(&folder.join("wl")).await;
    let orthanc = Orthanc::start(&folder.join("orthanc")).await;
    let setup = setup.peer("ris", "RIS", ris.port, &[]).peer("pacs", "PACS", orthanc.dicom, &[]);
    let daemon = setup.worklist_peer("ris").destination_peer("pacs").start().await;
    let api = &daemon.api;

    let (image, report) = ("orders/two-orders-ct.dcm", "orders/two-orders-sr.dcm");
    let id = import(&daemon, &kinds.join(image)).await;
    let waiting = api.until_studies(&id, "AwaitingDecision").await;
    let study = &waiting["studies"][0];
    let uid = study["studyInstanceUid"].as_str().unwrap();
    let item = |number: &str| {
        let candidates = study["candidates"].as_array().unwrap();
        let ours = candidates.iter().find(|c| c["accessionNumber"] == number);
        ours.unwrap()["itemId"].as_str().unwrap().to_owned()
    };
    let ours = ORDERS.map(item);
    let worklist = api.get("/api/v1/worklist").await;
    let stranger = worklist["items"].as_array().unwrap().iter();
    let stranger = stranger.clone().find(|item| item["patient"]["patientId"] == "4711001").unwrap();

    // Orders of two patients are refused, at every door.
    let decision = format!("/api/v1/imports/{id}/studies/{uid}/decision");
    let both = json!({"items": [ours[0], stranger["itemId"]], "reason": "x"});
    let (status, refused) = api.post(&decision, &both).await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("different patients"), "{refused}");
    let stranger = stranger["itemId"].as_str().unwrap();
    let refused = daemon.cli(&["decide", &id, uid, &ours[0], stranger, "--reason", "x"]).await;
    assert!(refused.code == 65 && refused.stderr.contains("different patients"));
    assert_eq!(api.import(&id).await["studies"][0]["state"], "AwaitingDecision");

    // What it will be, before anybody confirms.
    let changes =
        format!("/api/v1/imports/{id}/studies/{uid}/changes?item={},{}", ours[0], ours[1]);
    let changes = api.get(&changes).await;
    let after = |name: &str| {
        let rows = changes["changes"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).map(|row| row["after"].clone())
    };
    assert_eq!(after("AccessionNumber"), Some(Value::Null), "the orders have two");
    let requests = after("RequestAttributesSequence").unwrap().to_string();
    assert!(ORDERS.iter().all(|number| requests.contains(number)), "{requests}");

    // An order that is gone meanwhile is not filed under.
    let entry = folder.join("wl/RIS/order2.wl");
    std::fs::rename(&entry, entry.with_extension("off")).unwrap();
    let both = json!({"items": ours, "reason": "x"});
    let (status, refused) = api.post(&decision, &both).await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("does not hold this order any more"));
    std::fs::rename(entry.with_extension("off"), &entry).unwrap();

    let decided = ["decide", &id, uid, &ours[0], &ours[1], "--reason", "the letter asks for both"];
    daemon.cli(&decided).await.ok();
    let closed = api.until_state(&id, "Closed").await;
    let decision = &closed["studies"][0]["decision"];
    assert_eq!(numbers(&decision["items"], "accessionNumber"), ORDERS);
    assert_eq!((&decision["accessionNumber"], &decision["by"]), (&Value::Null, &json!("person")));
    let told = daemon.cli(&["show", &id, "--explain"]).await.ok();
    assert!(ORDERS.iter().all(|number| told.contains(&format!("order {number}"))), "{told}");
    let told = daemon.cli(&["show", &id, "--original"]).await.ok();
    assert!(told.contains("AccessionNumber: FREMD-5 -> "), "{told}");
    assert_eq!(api.get(&format!("/api/v1/imports?q={}", ORDERS[1])).await["total"], 1);

    // An instance that comes late, and the same one again, go where the study is.
    for (late, instances) in [(report, 2), (image, 2)] {
        let second = import(&daemon, &kinds.join(late)).await;
        let closed = api.until_state(&second, "Closed").await;
        let decision = &closed["studies"][0]["decision"];
        assert_eq!(decision["by"], "earlier", "{decision}");
        assert_eq!(numbers(&decision["items"], "accessionNumber"), ORDERS);
        assert_eq!(orthanc.get("/instances").await.as_array().unwrap().len(), instances);
    }
    for (class, sequence) in [
        ("1.2.840.10008.5.1.4.1.1.2", "RequestAttributesSequence"),
        ("1.2.840.10008.5.1.4.1.1.88.11", "ReferencedRequestSequence"),
    ] {
        let found = held(&orthanc, class).await;
        assert_eq!(found.len(), 1);
        let tags = &found[0];
        assert_eq!(tags["PatientID"], "4711007");
        assert_eq!(tags["AccessionNumber"], "", "they differ in it");
        assert_eq!(tags["RequestedProcedureDescription"], "Fremdaufnahmen einlesen", "both say so");
        assert_eq!(numbers(&tags[sequence], "AccessionNumber"), ORDERS);
        assert_eq!(numbers(&tags[sequence], "RequestedProcedureID"), ["RP1", "RP2"]);
        let original = &tags["OriginalAttributesSequence"][0]["ModifiedAttributesSequence"][0];
        assert_eq!(original["AccessionNumber"], "FREMD-5");
        assert_eq!(numbers(&original[sequence], "AccessionNumber"), ["FREMD-5"]);
    }
}
