//! Compressed images for destinations that take nothing compressed, judged by DCMTK and GDCM.

use std::path::{Path, PathBuf};
use std::process::Command;

use lotse::dicom::scan;
use serde_json::{Value, json};

use super::hospital::files_below;
use super::support::{Daemon, Setup, peers, program, run};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// DCMTK's storage SCP that takes Explicit VR Little Endian and nothing else, for which it has no option.
fn only_explicit(folder: &Path, classes: &[String]) -> impl Fn(u16) -> Command + use<> {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.with_extension("cfg");
    let contexts: Vec<_> = (1..)
        .zip(classes)
        .map(|(n, class)| format!("PresentationContext{n} = {class}\\Explicit\n"))
        .collect();
    let text = format!(
        "[[TransferSyntaxes]]\n[Explicit]\nTransferSyntax1 = LittleEndianExplicit\n[[PresentationContexts]]\n\
         [Storage]\n{}[[Profiles]]\n[Default]\nPresentationContexts = Storage\n",
        contexts.concat()
    );
    std::fs::write(&file, text).unwrap();
    let folder = folder.to_owned();
    move |port| {
        let mut command = Command::new(program("storescp"));
        command.args(["--fork", "+B", "-aet", "PACS", "-od"]).arg(&folder);
        command.arg("-xf").arg(&file).arg("Default").arg(port.to_string());
        command
    }
}

pub(super) async fn take(daemon: &Daemon, folder: &Path) -> String {
    let taken = daemon.cli(&["import", folder.to_str().unwrap(), "--json"]).await;
    let taken: Value = serde_json::from_str(&taken.stdout).unwrap();
    taken["id"].as_str().unwrap().to_owned()
}

/// Imports a folder and files its studies under a patient without an order.
pub(super) async fn import(daemon: &Daemon, folder: &Path) -> String {
    let id = take(daemon, folder).await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    for study in import["studies"].as_array().unwrap() {
        let uid = study["studyInstanceUid"].as_str().unwrap();
        let path = format!("/api/v1/imports/{id}/studies/{uid}/decision");
        let choice = json!({"noOrder": {"patientId": "4711007", "name": "Müßig^Jürgen",
                            "birthDate": "1956-11-05", "sex": "M"}, "reason": "compared"});
        let (status, body) = daemon.api.post(&path, &choice).await;
        assert_eq!(status, 200, "{body}");
    }
    id
}

async fn sources(folder: &Path) -> (PathBuf, usize) {
    let made = peers::run_python("compressed.py", &[folder.to_str().unwrap()]).await.ok();
    (folder.join("sources"), made.trim().lines().last().unwrap().parse().unwrap())
}

async fn judge(sources: &Path, received: &Path, syntax: &str) {
    let arguments = [sources, received].map(|path| path.to_str().unwrap());
    let judged = peers::run_python("decoded.py", &[arguments[0], arguments[1], syntax]).await;
    println!("{}", judged.stdout);
    assert!(judged.code == 0, "{}", judged.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_without_compressed_syntaxes_gets_the_same_pixels() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let (sources, count) = sources(&folder).await;
    let classes: std::collections::BTreeSet<String> = files_below(&sources)
        .iter()
        .map(|path| {
            let mut file = std::fs::File::open(path).unwrap();
            let length = file.metadata().unwrap().len();
            let scan = scan::scan_file(&mut file, length, &scan::Limits::default()).unwrap();
            scan.meta.sop_class.unwrap().to_string()
        })
        .collect();
    let classes: Vec<_> = classes.into_iter().collect();
    let (one, other) = (folder.join("implicit"), folder.join("explicit"));
    let implicit = peers::storescp(&one, &["+xi"]).await;
    let explicit = peers::Peer::start(only_explicit(&other, &classes)).await;
    let setup = setup.peer("implicit", "PACS", implicit.port, &[]);
    let setup = setup.peer("explicit", "ARCHIVE", explicit.port, &[]);
    let daemon = setup.destination_peer("implicit").destination_peer("explicit").start().await;
    let id = import(&daemon, &sources).await;
    daemon.api.until_state(&id, "Closed").await;
    assert_eq!(files_below(&one).len(), count);
    judge(&sources, &one, IMPLICIT).await;
    judge(&sources, &other, EXPLICIT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_held_studies_and_takes_nothing_compressed_gets_the_same_pixels() {
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let (sources, count) = sources(&folder).await;
    let (moved, got) = (folder.join("moved"), folder.join("got"));
    std::fs::create_dir_all(&got).unwrap();
    let asker = peers::storescp(&moved, &["+xi", "-aet", "ASKER"]).await;
    let daemon = setup.peer("asker", "ASKER", asker.port, &["query", "retrieve"]).start().await;
    let id = import(&daemon, &sources).await;
    let import = daemon.api.until_state(&id, "Closed").await;
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let (uid, port) = (format!("StudyInstanceUID={study}"), daemon.dicom.port().to_string());
    let keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", &uid, "127.0.0.1", &port];
    let names = ["-S", "-aet", "ASKER", "-aec", "LOTSE"];
    let arguments = [&names[..], &["-aem", "ASKER"], &keys].concat();
    run(&mut peers::dcmtk("movescu", &arguments), "").await.ok();
    assert_eq!(files_below(&moved).len(), count);
    judge(&sources, &moved, IMPLICIT).await;
    // What getscu proposes if nothing is said: everything uncompressed, Explicit VR Little Endian first.
    let arguments = [&names[..], &["-od", got.to_str().unwrap()], &keys].concat();
    run(&mut peers::dcmtk("getscu", &arguments), "").await.ok();
    assert_eq!(files_below(&got).len(), count);
    judge(&sources, &got, EXPLICIT).await;
}
