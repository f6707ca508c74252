//! Our side of the modality worklist as its user, against servers that others wrote: wlmscpfs, pynetdicom, Orthanc's
//! worklist plugin.

use std::time::Duration;

use jiff::civil::date;
use lotse::clock::{Clock, Moment};
use lotse::dicom::{AeTitle, Item};
use lotse::dimse::{MAX_PDU, Remote, Timeouts};
use lotse::matching::Completeness;
use lotse::worklist::{
    Answer, Ask, CharacterSetKey, Manners, Options, Source, Times, Worklist, WorklistSection,
};

use crate::support::peers::{Peer, dcmtk, python, wlmscpfs, worklist};
use crate::support::{free_port, program};

fn options() -> Options {
    WorklistSection::default().options(jiff::tz::TimeZone::get("Europe/Berlin").unwrap()).unwrap()
}

/// The worklist of one peer; the day is that of the entries of `mwl_scp.py`.
fn list(port: u16, options: Options, manners: Manners) -> Worklist {
    let day = date(2024, 3, 10).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let clock =
        Clock::simulated(Moment { wall_ms: day.timestamp().as_millisecond(), running_ms: 0 });
    list_at(port, options, manners, clock)
}

fn list_at(port: u16, options: Options, manners: Manners, clock: Clock) -> Worklist {
    let remote = Remote {
        address: format!("127.0.0.1:{port}"),
        called: AeTitle::new("RIS").unwrap(),
        calling: AeTitle::new("LOTSE").unwrap(),
        timeouts: Timeouts { response: Duration::from_secs(20), ..Timeouts::default() },
        max_pdu: MAX_PDU,
        security: Default::default(),
    };
    Worklist::new(vec![Source::Peer { name: "ris".into(), remote, manners }], options, clock)
}

async fn pynetdicom(manner: &'static str) -> Peer {
    Peer::start(move |port| python("mwl_scp.py", &[&port.to_string(), manner])).await
}

fn broad() -> Ask {
    Ask { broad: true, ..Ask::default() }
}

fn by_number(number: &str) -> Ask {
    Ask { accession_number: Some(number.into()), ..Ask::default() }
}

fn name(item: &Item) -> &str {
    item.patient.name.as_ref().unwrap().as_str()
}

fn whole(answer: &Answer) -> bool {
    answer.completeness == Completeness::Complete
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pattern_of_question_finds_its_answers() {
    let ris = pynetdicom("utf8").await;
    let all = list(ris.port, options(), Manners::default());
    let answer = all.ask(&broad()).await.unwrap();
    assert_eq!((answer.items.len(), whole(&answer)), (60, true), "{:?}", answer.notes);
    let answer = all.ask(&by_number("A7")).await.unwrap();
    assert_eq!((answer.items.len(), whole(&answer)), (1, false), "one order proves nothing");
    let patient = Ask { patient_id: Some("4712".into()), ..Ask::default() };
    assert_eq!(all.ask(&patient).await.unwrap().items.len(), 1);
    // One query for each value, since lists are not allowed.
    let narrowed = |modalities: &[&str], stations: &[&str]| {
        let mut options = options();
        options.modalities = modalities.iter().map(|&m| m.to_owned()).collect();
        options.stations = stations.iter().map(|s| AeTitle::new(s).unwrap()).collect();
        list(ris.port, options, Manners::default())
    };
    for (modalities, stations, count) in [
        (&["OT"][..], &[][..], 30),
        (&["OT", "CT"], &[], 60),
        (&[], &["IMPORT"], 30),
        (&["OT", "CT"], &["IMPORT", "CT1"], 60),
        (&["MR"], &[], 0),
    ] {
        let answer = narrowed(modalities, stations).ask(&broad()).await.unwrap();
        assert_eq!(
            (answer.items.len(), whole(&answer)),
            (count, true),
            "{modalities:?} {stations:?}"
        );
    }
    let both = Ask {
        accession_number: Some("A7".into()),
        patient_id: Some("478".into()),
        broad: true,
        ..Ask::default()
    };
    let answer = narrowed(&["MR"], &[]).ask(&both).await.unwrap();
    assert_eq!((answer.items.len(), whole(&answer)), (2, true));
    // Read again before use: as it is, and gone.
    let item = all.ask(&by_number("A7")).await.unwrap().items.remove(0);
    assert!(all.reread(&item).await.unwrap() == Some(item.clone()));
    let gone = Item { accession_number: None, requested_procedure_id: Some("X".into()), ..item };
    assert!(all.reread(&gone).await.unwrap().is_none());
    // Another window.
    let later = date(2025, 3, 10).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let clock =
        Clock::simulated(Moment { wall_ms: later.timestamp().as_millisecond(), running_ms: 0 });
    let answer =
        list_at(ris.port, options(), Manners::default(), clock).ask(&broad()).await.unwrap();
    assert_eq!((answer.items.len(), whole(&answer)), (0, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_read_in_the_set_of_the_peer() {
    for manner in ["utf8", "latin1", "silent", "warn"] {
        let ris = pynetdicom(manner).await;
        let answer =
            list(ris.port, options(), Manners::default()).ask(&by_number("A3")).await.unwrap();
        assert_eq!(name(&answer.items[0]), "Müßig^Jürgen", "{manner}");
    }
    let ris = pynetdicom("japanese").await;
    let manners = Manners { character_set_key: CharacterSetKey::LeftOut, ..Manners::default() };
    let answer = list(ris.port, options(), manners).ask(&by_number("A3")).await.unwrap();
    assert_eq!(name(&answer.items[0]), "Yamada^Tarou=山田^太郎");
    // A peer that tells nothing is read in its own set, not in that of the house.
    let ris = pynetdicom("silent").await;
    let turkish =
        Manners { fallback_character_set: Some("ISO_IR 148".into()), ..Manners::default() };
    let answer = list(ris.port, options(), turkish).ask(&by_number("A3")).await.unwrap();
    assert_eq!(name(&answer.items[0]), "Müßig^Jürgen", "these letters are the same in both");
    let greek = Manners { fallback_character_set: Some("ISO_IR 126".into()), ..Manners::default() };
    let answer = list(ris.port, options(), greek).ask(&by_number("A3")).await.unwrap();
    assert_eq!(name(&answer.items[0]), "Mόίig^Jόrgen");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_capped_or_failed_is_incomplete() {
    for (manner, count) in [("cap", 50), ("fail", 5), ("ignore", 60), ("empty", 0)] {
        let ris = pynetdicom(manner).await;
        let answer = list(ris.port, options(), Manners::default()).ask(&broad()).await.unwrap();
        assert_eq!(answer.items.len(), count, "{manner}");
        assert_eq!(
            whole(&answer),
            matches!(manner, "ignore" | "empty"),
            "{manner}: {:?}",
            answer.notes
        );
    }
    let ris = pynetdicom("ignore").await;
    let answer = list(ris.port, options(), Manners::default()).ask(&by_number("A7")).await.unwrap();
    assert_eq!(answer.items.len(), 1, "filtered here again");
    let ris = pynetdicom("refuse").await;
    assert!(list(ris.port, options(), Manners::default()).ask(&broad()).await.is_err());
    // Above the limit C-CANCEL is sent, and heard.
    let ris = pynetdicom("utf8").await;
    let limited = Options { limit: 7, ..options() };
    let answer = list(ris.port, limited, Manners::default()).ask(&broad()).await.unwrap();
    assert_eq!((answer.items.len(), whole(&answer)), (7, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_deaf_to_a_cancel_keeps_nobody_waiting() {
    let ris = pynetdicom("endless").await;
    let mut limited = Options { limit: 10, ..options() };
    limited.modalities = vec!["OT".into(), "CT".into()];
    let asked = list(ris.port, limited, Manners::default());
    let answer = tokio::time::timeout(Duration::from_secs(60), asked.ask(&broad())).await;
    let answer = answer.expect("it ends").unwrap();
    assert_eq!(
        answer.items.len(),
        20,
        "the second query had an association of its own: {:?}",
        answer.notes
    );
    assert!(!whole(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_adjusted_where_it_is_agreed_on() {
    let ris = pynetdicom("zone").await;
    let adjusted = Manners { times: Times::Adjusted, ..Manners::default() };
    let answer = list(ris.port, options(), adjusted.clone()).ask(&by_number("A3")).await.unwrap();
    assert_eq!(answer.items.len(), 1, "the offset came with the question");
    assert!(list(ris.port, options(), Manners::default()).ask(&by_number("A3")).await.is_err());
    // A server that knows nothing of it is asked as ever.
    let folder = tempfile::tempdir().unwrap();
    worklist(&folder.path().join("RIS"), &[]).await;
    let ris = wlmscpfs(folder.path()).await;
    let answer = list(ris.port, options(), adjusted).ask(&by_number("A2026-31415")).await.unwrap();
    assert_eq!(answer.items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dcmtk_and_orthanc_answer_the_same() {
    let folder = tempfile::tempdir().unwrap();
    worklist(&folder.path().join("RIS"), &["A1", "CT", "A2", "MR"]).await;
    let dcmtk_ris = wlmscpfs(folder.path()).await;
    let dicom = free_port();
    let orthanc = Peer::start(|http| {
        let plugins = ["/usr/share/orthanc/plugins/libModalityWorklists.so"];
        let settings = serde_json::json!({
            "Name": "RIS", "StorageDirectory": folder.path().join("db"), "IndexDirectory": folder.path().join("db"),
            "HttpPort": http, "DicomPort": dicom, "DicomAet": "RIS", "DicomCheckCalledAet": false,
            "DicomAlwaysAllowFind": true, "DicomAlwaysAllowFindWorklist": true, "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false, "Plugins": plugins,
            "DicomModalities": {"lotse": ["LOTSE", "127.0.0.1", 1]},
            "Worklists": {"Enable": true, "Database": folder.path().join("RIS"), "FilterIssuerAet": false},
        });
        let file = folder.path().join("orthanc.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        let mut command = std::process::Command::new(program("Orthanc"));
        command.arg(&file);
        command
    })
    .await;
    crate::support::eventually("Orthanc's DICOM port", || {
        std::future::ready(
            dcmtk("echoscu", &["127.0.0.1", &dicom.to_string()])
                .status()
                .unwrap()
                .success()
                .then_some(()),
        )
    })
    .await;
    let now = Moment { wall_ms: jiff::Timestamp::now().as_millisecond(), running_ms: 0 };
    for port in [dcmtk_ris.port, dicom] {
        let asked = list_at(port, options(), Manners::default(), Clock::simulated(now));
        let answer = asked.ask(&broad()).await.unwrap();
        let mut numbers: Vec<_> =
            answer.items.iter().map(|item| item.accession_number.clone().unwrap().number).collect();
        numbers.sort();
        assert_eq!(numbers, ["A1", "A2", "A2026-90", "A2026-91"], "{:?}", answer.notes);
        assert!(whole(&answer));
        let one = asked.ask(&by_number("A2")).await.unwrap();
        assert_eq!(one.items.len(), 1);
        assert_eq!(one.items[0].steps[0].modality.as_deref(), Some("MR"));
        assert!(name(&one.items[0]).to_lowercase().starts_with("m"), "{}", one.items.len());
    }
    drop(orthanc);
}
