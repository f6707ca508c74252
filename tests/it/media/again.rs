//! The same medium a second time adds nothing, wherever it went the first time.

use std::collections::BTreeMap;
use std::path::Path;

use lotse::dicom::{DataSet, Syntax, Tag};
use lotse::sim::sample::Sample;
use serde_json::json;

use crate::desk::{Hospital, zip};
use crate::documents::samples;
use crate::support::peers::Orthanc;

/// The same object without the UIDs that tell it from others, and without a file meta group that has them.
fn without_uids(file: &[u8], also: &[Tag]) -> Vec<u8> {
    let at = file.windows(6).position(|w| w == [8, 0, 5, 0, b'C', b'S']).unwrap();
    let mut data = DataSet::read(&file[at..], Syntax::ExplicitLittle).unwrap();
    data.remove(Tag(0x0008, 0x0018));
    for tag in also {
        data.remove(*tag);
    }
    data.write(Syntax::ExplicitLittle)
}

/// Every file below, with its bytes.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = Vec::new();
    super::files_below(folder, &mut found);
    found.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_media_again_add_nothing_to_a_pacs_and_a_folder() {
    let stand = tempfile::tempdir().unwrap();
    let orthanc = Orthanc::start(&stand.path().join("orthanc")).await;
    let kept = stand.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let desk = Hospital::with(|setup| {
        setup
            .peer("archive", "ARCHIVE", orthanc.dicom, &[])
            .destination_peer("archive")
            .table(&format!("[destinations.folder]\nfolder = {kept:?}"))
    })
    .await;
    let sample = desk.world.sample;
    // One with every kind of document, one whose instances lack UIDs: of the instance alone, of the series too,
    // of the study too.
    let (study, series) = (Tag(0x0020, 0x000D), Tag(0x0020, 0x000E));
    let mut files: Vec<(&str, Vec<u8>)> = samples::files();
    files.push(("DICOM/IM1", sample.instance(0)));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let documents = files.len() - 1;
    let bare = [
        without_uids(&sample.instance(0), &[]),
        without_uids(&sample.instance(1), &[series]),
        without_uids(&sample.instance(2), &[series, study]),
    ];
    let media = [
        (zip(&files), 1, documents),
        (zip(&[("A", &bare[0]), ("B", &bare[1]), ("C", &bare[2])]), 3, 0),
    ];
    let request = json!({"accessionNumber": "A2026004711", "patient": {"patientId": "100234567", "issuer": "KLINIKUM"}});
    let mut first = None;
    for round in 1..=2 {
        for (archive, received, created) in &media {
            let id = desk.daemon.api.upload("cd.zip", archive.clone(), &request).await;
            let import = desk.daemon.api.until_state(&id, "Closed").await;
            let counts = &import["counts"];
            assert_eq!(counts["delivered"], *received, "round {round}: {import:#}");
            assert_eq!(counts["createdDelivered"], *created, "round {round}: {counts}");
            assert_eq!(import["setAside"], json!([]), "round {round}");
        }
        let statistics = orthanc.get("/statistics").await;
        let count = |what: &str| statistics[what].as_u64().unwrap();
        let now = (
            [count("CountInstances"), count("CountSeries"), count("CountStudies")],
            contents(&kept),
        );
        let instances = 1 + documents + 3;
        assert_eq!(now.0[0], instances as u64, "round {round}: {statistics}");
        assert_eq!(now.1.len(), instances, "round {round}");
        match &first {
            None => first = Some(now),
            Some(first) => {
                assert_eq!(first.0, now.0);
                assert!(first.1 == now.1, "a file of the folder was changed");
            }
        }
    }
    desk.close().await;
}

#[test]
fn without_uids_is_what_it_says() {
    let bare = without_uids(&Sample::new(1).instance(0), &[]);
    let data = DataSet::read(&bare, Syntax::ExplicitLittle).unwrap();
    assert!(data.get(Tag(0x0008, 0x0018)).is_none() && data.get(Tag(0x0020, 0x000D)).is_some());
}
