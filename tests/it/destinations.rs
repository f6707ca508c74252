//! Destinations that are no PACS on DIMSE: Orthanc by STOW-RS, and a folder that is a file-set.

use std::collections::BTreeMap;
use std::path::Path;

use super::decoding::{import, take};
use super::hospital::files_below;
use super::support::{Setup, peers};

async fn kinds(folder: &Path) -> (std::path::PathBuf, usize) {
    let kinds = folder.join("kinds");
    let made = peers::run_python("kinds.py", &[kinds.to_str().unwrap()]).await.ok();
    (kinds, made.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orthanc_takes_every_kind_of_object_by_stow() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let orthanc = peers::Orthanc::with_dicomweb(&folder.join("orthanc")).await;
    let (kinds, count) = kinds(&folder).await;
    let mut setup = setup.table(&format!(
        "[destinations.archive]\nstow-url = \"http://127.0.0.1:{}/dicom-web/studies\"\nallow-http = true",
        orthanc.peer.port
    ));
    setup = setup.no_folder();
    let daemon = setup.start().await;
    let id = import(&daemon, &kinds).await;
    let closed = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(closed["counts"]["delivered"], count, "{closed}");
    assert_eq!(orthanc.get("/instances").await.as_array().unwrap().len(), count);
    let patients = orthanc.get("/patients?expand").await;
    let patients = patients.as_array().unwrap();
    assert_eq!(patients.len(), 1);
    assert_eq!(patients[0]["MainDicomTags"]["PatientID"], "4711007");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_set_is_one_for_pydicom_dcmtk_and_dicom3tools() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let (kinds, count) = kinds(&folder).await;
    let root = folder.join("medium");
    std::fs::create_dir(&root).unwrap();
    let table = format!("[destinations.medium]\nfolder = {root:?}\nlayout = \"file-set\"");
    let daemon = setup.table(&table).no_folder().start().await;
    let id = import(&daemon, &kinds).await;
    daemon.api.until_state(&id, "Closed").await;
    let count = count.to_string();
    let judged = peers::run_python("fileset.py", &[root.to_str().unwrap(), &count]).await;
    assert!(judged.code == 0, "{}{}", judged.stdout, judged.stderr);

    // The same medium a second time is decided as before, and changes nothing.
    let read = || -> BTreeMap<_, _> {
        files_below(&root)
            .into_iter()
            // The patient's record is written as in the object that was listed last, in its character set.
            .filter(|file| !file.ends_with("DICOMDIR"))
            .map(|file| (file.clone(), std::fs::read(file).unwrap()))
            .collect()
    };
    let before = read();
    let id = take(&daemon, &kinds.join("kinds")).await;
    daemon.api.until_state(&id, "Closed").await;
    let after = read();
    assert!(before.keys().eq(after.keys()), "other files are there");
    let changed: Vec<_> = before
        .iter()
        .filter(|(file, bytes)| after[*file] != **bytes)
        .map(|(file, _)| file)
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
    let judged = peers::run_python("fileset.py", &[root.to_str().unwrap(), &count]).await;
    assert!(judged.code == 0, "{}{}", judged.stdout, judged.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_leads_a_study_and_the_dry_run_says_the_same() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let (kinds, _) = kinds(&folder).await;
    let (one, other) = (folder.join("one"), folder.join("other"));
    std::fs::create_dir(&one).unwrap();
    std::fs::create_dir(&other).unwrap();
    let tables = format!(
        "[destinations.one]\nfolder = {one:?}\n[destinations.other]\nfolder = {other:?}\n\
         [[routes]]\nname = \"by hand\"\ndecided = [\"person\"]\nmodalities = [\"CT\"]\n\
         tags = [{{ tag = \"PatientID\", is = [\"x77*\"] }}]\ndestinations = [\"one\"]\n\
         coercion = {{ study-description = \"prefix\" }}"
    );
    let daemon = setup.table(&tables).no_folder().start().await;
    let object = kinds.join("kinds/ct.dcm");
    let file = object.to_str().unwrap();
    let told = daemon.cli(&["route", file, "--decided", "person", "--json"]).await.ok();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["route"], "by hand");
    assert_eq!(told["destinations"], serde_json::json!(["one"]));
    let met = ["modality CT", "decided by a person", "PatientID is x77*"];
    assert_eq!(told["met"], serde_json::json!(met));
    let told = daemon.cli(&["route", file]).await.ok();
    assert!(told.contains("no route fits: one, other"), "{told}");

    let id = import(&daemon, &object).await;
    let closed = daemon.api.until_state(&id, "Closed").await;
    assert_eq!((files_below(&one).len(), files_below(&other).len()), (1, 0), "{closed}");
    let dumped = std::process::Command::new("dcmdump")
        .args(["-s", "+P", "StudyDescription"])
        .arg(&files_below(&one)[0])
        .output()
        .unwrap();
    let dumped = String::from_utf8_lossy(&dumped.stdout).into_owned();
    assert!(dumped.contains("Import: "), "{dumped}");

    // Whoever looks at the study reads which way it went.
    let why = format!("route by hand: {}", met.join(", "));
    let route = serde_json::json!({"name": "by hand", "destinations": ["one"], "why": why});
    assert_eq!(closed["studies"][0]["route"], route, "{closed}");
    let shown = daemon.cli(&["show", &id]).await.ok();
    assert!(shown.contains(&format!("way: {why}")), "{shown}");

    let (_, site) = daemon.stop().await;
    site.edit(|text| {
        text.replace(
            "[destinations.other]\n",
            "[destinations.other]\nretry = \"1m, 5m, then every 30m for 24h\"\n",
        )
    });
    let checked = site.cli(&["check"]).await.ok();
    let words = "destination other, while it takes nothing: tried again after 1m, 5m, then every 30m; 24h after the first \
                 failure a person is asked";
    assert!(checked.contains(words), "{checked}");
    site.edit(|text| {
        text + "[[routes]]\nname = \"late\"\ndecided = [\"person\"]\nmodalities = [\"ct\"]\ndestinations = [\"nowhere\"]\n\
                tags = [{ tag = \"PatientID\", is = [\"x77*\"] }, { tag = \"Nonsense\" }]\n"
    });
    let checked = site.cli(&["check"]).await;
    assert_eq!(checked.code, 78);
    for words in
        ["[destinations.nowhere]", "route `by hand` before it", "`Nonsense` is no attribute"]
    {
        assert!(checked.stderr.contains(words), "{words}: {}", checked.stderr);
    }
}
