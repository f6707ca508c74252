//! A medium goes in over HTTP, the worklist is DCMTK's, the PACS is Orthanc or DCMTK.

use serde_json::{Value, json};

use crate::support::peers::{Medium, Orthanc, compare, storescp, wlmscpfs, worklist};
use crate::support::{Api, Daemon, Setup};

/// The invented patient's order, as `patients.py` has it.
const ORDER: &str = "A2026-31415";
const PATIENT: &str = "4711007";
const NAME: &str = "MÜSSIG^JÜRGEN";

/// A gateway between a worklist SCP and a PACS, both real.
async fn gateway(setup: Setup, worklist: u16, pacs: u16) -> Daemon {
    setup
        .peer("ris", "RIS", worklist, &[])
        .peer("pacs", "PACS", pacs, &[])
        .worklist_peer("ris")
        .destination_peer("pacs")
        .start()
        .await
}

/// A request that names order and patient.
fn named() -> Value {
    json!({"accessionNumber": ORDER, "patient": {"patientId": PATIENT}})
}

/// Chooses the invented patient's order for every study, as a person would on the command line.
async fn decide_all(daemon: &Daemon, id: &str) {
    let shown = daemon.cli(&["show", id, "--json"]).await.json();
    for study in shown["studies"].as_array().unwrap() {
        let uid = study["studyInstanceUid"].as_str().unwrap();
        let candidates = study["candidates"].as_array().unwrap();
        let ours = candidates.iter().find(|c| c["accessionNumber"] == ORDER);
        let item =
            ours.unwrap_or_else(|| panic!("no candidate: {study:#}"))["itemId"].as_str().unwrap();
        let reason = "the accompanying letter names this order";
        daemon.cli(&["decide", id, uid, item, "--reason", reason]).await.ok();
    }
}

/// Everything that came is delivered, and the rest of the medium is set aside visibly.
async fn delivered(api: &Api, id: &str, medium: &Medium, documents: u64) -> Value {
    let import = api.until_state(id, "Closed").await;
    let counts = &import["counts"];
    assert_eq!(counts["received"], medium.images, "{counts}");
    assert_eq!(counts["delivered"], medium.images, "{counts}");
    assert_eq!(counts["created"], documents, "{counts}");
    assert_eq!(counts["createdDelivered"], documents, "{counts}");
    assert_eq!(import["studies"].as_array().unwrap().len(), medium.studies);
    let aside = import["setAside"].to_string();
    assert!(aside.contains("VIEWER.EXE") && aside.contains("AUTORUN.INF"), "{aside}");
    assert_eq!(import["setAside"].as_array().unwrap().len(), 2, "{aside}");
    import
}

/// What Orthanc's REST API says of every instance.
async fn orthanc_shows(orthanc: &Orthanc, instances: usize) {
    let ids = orthanc.get("/instances").await;
    assert_eq!(ids.as_array().unwrap().len(), instances);
    for id in ids.as_array().unwrap() {
        let tags =
            orthanc.get(&format!("/instances/{}/simplified-tags", id.as_str().unwrap())).await;
        assert_eq!(tags["PatientID"], PATIENT);
        assert_eq!(tags["PatientName"], NAME);
        assert_eq!(tags["AccessionNumber"], ORDER);
        if tags["SOPClassUID"] == "1.2.840.10008.5.1.4.1.1.104.1" {
            continue;
        }
        let original = &tags["OriginalAttributesSequence"][0]["ModifiedAttributesSequence"][0];
        assert_eq!(original["PatientID"], "X77-123", "{original:#}");
        assert_eq!(original["PatientName"], "Müßig^Jürgen", "{original:#}");
        assert_eq!(original["AccessionNumber"], "FREMD-5", "{original:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_reaches_orthanc_under_the_order_that_the_request_names() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &["--pdf"]).await;
    worklist(&folder.join("wl/RIS"), &[]).await;
    let ris = wlmscpfs(&folder.join("wl")).await;
    let orthanc = Orthanc::start(&folder.join("orthanc")).await;
    let daemon = gateway(setup, ris.port, orthanc.dicom).await;

    let id = daemon.api.upload("medium.zip", medium.zip(), &named()).await;
    let import = delivered(&daemon.api, &id, &medium, 1).await;
    for study in import["studies"].as_array().unwrap() {
        assert_eq!(study["decision"]["by"], "rule");
        for change in study["changes"].as_array().unwrap() {
            assert!(!change["name"].as_str().unwrap().is_empty(), "{change}");
            assert_ne!(change["before"], change["after"], "{change}");
        }
        assert_eq!(study["decision"]["accessionNumber"], ORDER);
    }
    orthanc_shows(&orthanc, medium.images + 1).await;
    orthanc.export(&folder.join("exported")).await;
    compare(&medium.originals(), &folder.join("exported"), &["--pdf", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_reaches_orthanc_under_the_order_that_a_person_chooses() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &[]).await;
    worklist(&folder.join("wl/RIS"), &[ORDER, "CT", "A2026-2", "MR"]).await;
    let ris = wlmscpfs(&folder.join("wl")).await;
    let orthanc = Orthanc::start(&folder.join("orthanc")).await;
    let daemon = gateway(setup, ris.port, orthanc.dicom).await;

    let id = daemon.api.upload("medium.zip", medium.zip(), &json!({})).await;
    let waiting = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert!(waiting["nextStep"].as_str().unwrap().ends_with("Choose the order it belongs to."));
    assert_eq!(orthanc.get("/instances").await, json!([]), "nothing leaves undecided");
    decide_all(&daemon, &id).await;
    let import = delivered(&daemon.api, &id, &medium, 0).await;
    for study in import["studies"].as_array().unwrap() {
        assert_eq!(study["decision"]["by"], "person");
    }
    orthanc_shows(&orthanc, medium.images).await;
    orthanc.export(&folder.join("exported")).await;
    compare(&medium.originals(), &folder.join("exported"), &["--no-validation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_reaches_storescp_under_the_order_that_the_request_names() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &[]).await;
    worklist(&folder.join("wl/RIS"), &[]).await;
    let ris = wlmscpfs(&folder.join("wl")).await;
    let pacs = storescp(&folder.join("stored"), &[]).await;
    let daemon = gateway(setup, ris.port, pacs.port).await;

    let id = daemon.api.upload("medium.zip", medium.zip(), &named()).await;
    delivered(&daemon.api, &id, &medium, 0).await;
    compare(&medium.originals(), &folder.join("stored"), &["--no-validation"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_that_contradicts_itself_reaches_storescp_when_a_person_chooses() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium =
        Medium::make(&folder.join("medium"), &["--studies", "2", "--pdf", "--identity-removed"])
            .await;
    worklist(&folder.join("wl/RIS"), &[]).await;
    let ris = wlmscpfs(&folder.join("wl")).await;
    let pacs = storescp(&folder.join("stored"), &[]).await;
    let daemon = gateway(setup, ris.port, pacs.port).await;

    // The request names the order, but headers that say that they are of nobody keep the rules from filing.
    let id = daemon.api.upload("medium.zip", medium.zip(), &named()).await;
    let waiting = daemon.api.until_studies(&id, "AwaitingDecision").await;
    let said = waiting["studies"][0]["matching"]["contradictions"].to_string();
    assert!(said.contains("patient identity was removed"), "{said}");
    decide_all(&daemon, &id).await;
    delivered(&daemon.api, &id, &medium, 1).await;
    compare(&medium.originals(), &folder.join("stored"), &["--pdf", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_examination_in_every_transfer_syntax_reaches_storescp() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let medium = Medium::make(&folder.join("medium"), &["--syntaxes"]).await;
    worklist(&folder.join("wl/RIS"), &[]).await;
    let ris = wlmscpfs(&folder.join("wl")).await;
    let pacs = storescp(&folder.join("stored"), &[]).await;
    let daemon = gateway(setup, ris.port, pacs.port).await;

    let id = daemon.api.upload("medium.zip", medium.zip(), &named()).await;
    delivered(&daemon.api, &id, &medium, 0).await;
    // Deflated and big-endian objects may be written anew; compressed pixels stay as they came.
    compare(&medium.originals(), &folder.join("stored"), &["--any-syntax"]);
}
