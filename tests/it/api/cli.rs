//! The commands of the command line against the running daemon, with their exit codes.

use lotse::sim::{pacs, portal, ris};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::desk::{Hospital, zip};
use super::super::support::{Ended, Setup, run};
use super::{canaries, waiting_study};

impl Ended {
    /// What it says on standard error, of a command that ended with `code`.
    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.len() > 10, "it says why: {:?}", self.stderr);
        self.stderr
    }
}

#[tokio::test]
async fn an_import_is_walked_on_the_command_line() {
    let desk = Hospital::open().await;
    let (daemon, sample) = (&desk.daemon, desk.world.sample);
    let import =
        daemon.cli_with(&["import", "-", "--json"], &desk.world.portal.link()).await.json();
    let id = import["id"].as_str().unwrap();
    daemon.api.until_state(id, "Asking").await;
    let shown = daemon.cli(&["show", id]).await.ok();
    assert!(shown.contains("question PAT_BIRTH_DATE"), "{shown}");

    daemon.cli_with(&["answer", id], "1964-08-12").await.fails(65);
    daemon.cli_with(&["answer", id], "{\"7\": \"x\"}").await.fails(65);
    let wrong = json!({"PAT_BIRTH_DATE": "1999-12-31"}).to_string();
    daemon.cli_with(&["answer", id], &wrong).await.ok();
    daemon
        .api
        .until(id, "the question again", |import| {
            import["nextStep"].as_str().unwrap().contains("did not accept")
        })
        .await;
    let right = json!({"PAT_BIRTH_DATE": sample.birth_date()}).to_string();
    daemon.cli_with(&["answer", id], &right).await.ok();
    daemon.api.until_studies(id, "AwaitingDecision").await;
    daemon.cli_with(&["answer", id], &right).await.fails(1);

    let shown = daemon.cli(&["show", id, "--json"]).await.json();
    let best = &shown["studies"][0]["candidates"][0];
    let text = daemon.cli(&["show", id, "--explain"]).await.ok();
    for part in [
        "MUSTERFRAU-GRÜN^ERIKA",
        "Musterfrau-Gruen^Erika",
        "1. item",
        "birthDate",
        "! ",
        "set aside",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let uid = sample.study_uid().to_string();
    let item = best["itemId"].as_str().unwrap();
    daemon.cli(&["decide", id, &uid, item]).await.fails(2);
    daemon.cli(&["decide", id, &uid, "--reason", "x"]).await.fails(2);
    daemon.cli(&["decide", id, &uid, item, "--reject", "--reason", "x"]).await.fails(2);
    daemon.cli(&["decide", id, &uid, "0000", "--reason", "x"]).await.fails(65);
    daemon.cli(&["decide", id, "1.2.3", item, "--reason", "x"]).await.fails(65);
    daemon.cli(&["decide", id, &uid, item, "--reason", "compared"]).await.ok();
    daemon.api.until_state(id, "Closed").await;
    let text = daemon.cli(&["show", id]).await.ok();
    assert!(text.contains("PatientID: RP-0815-4711 -> 100234567"), "{text}");
    assert!(text.contains("to pacs: Delivered, 4 delivered, 0 failed"), "{text}");
    let uid_of_us = nix::unistd::geteuid().as_raw();
    let shown = daemon.cli(&["show", id, "--json"]).await.json();
    assert_eq!(shown["studies"][0]["decision"]["actor"], format!("uid:{uid_of_us}"));

    let list = daemon.cli(&["imports"]).await.ok();
    assert!(list.contains(id) && list.contains("Closed"), "{list}");
    let list = daemon.cli(&["imports", "--state", "Asking", "--json"]).await.json();
    assert_eq!(list, json!({"total": 0, "imports": []}));
    daemon.cli(&["retry", id]).await.fails(1);
    daemon.cli(&["erase", id]).await.ok();
    assert_eq!(daemon.cli(&["show", id, "--json"]).await.json()["state"], "Erased");
    daemon.cli(&["show", "01900000070008000000000000000001"]).await.fails(65);
    daemon.cli(&["show", "../worklist"]).await.fails(2);

    let log = daemon.log();
    for canary in canaries(&desk) {
        assert!(!log.contains(&canary), "{canary} in {log}");
    }
    desk.close().await;
}

#[tokio::test]
async fn files_folders_and_requests_are_imported() {
    let desk = Hospital::open().await;
    let (daemon, sample) = (&desk.daemon, desk.world.sample);
    // Another study than the portal's: what was decided once is followed, or asked about.
    let cd = lotse::sim::sample::Sample::with_seed(2, 77);
    let folder = desk.world.folder().join("cd");
    std::fs::create_dir_all(folder.join("IMAGES")).unwrap();
    for slice in 0..2 {
        std::fs::write(folder.join(format!("IMAGES/IM{slice}")), cd.instance(slice)).unwrap();
    }
    std::fs::write(folder.join("notes.xyz"), "text").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("passwd")).unwrap();
    let ended = daemon.cli(&["import", folder.to_str().unwrap(), "--follow"]).await;
    assert_eq!(ended.code, 1, "it needs a person: {}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("AwaitingDecision"), "{}", ended.stdout);
    let import = &daemon.api.imports().await[0];
    let import = daemon.api.import(import["id"].as_str().unwrap()).await;
    assert_eq!(import["counts"]["received"], 2);
    assert_eq!(import["setAside"].as_array().unwrap().len(), 1, "a link is not followed: {import}");
    let id = import["id"].as_str().unwrap();
    let patient =
        json!({"patientId": "4711", "name": "Muster^Erika", "birthDate": "1964-08-12", "sex": "F"});
    let uid = cd.study_uid().to_string();
    let arguments = ["decide", id, &uid, "--no-order", "--reason", "no order will come"];
    daemon.cli_with(&arguments, "Muster").await.fails(65);
    let careful = [&arguments[..], &["--look-again"]].concat();
    let told = daemon.cli_with(&careful, &patient.to_string()).await.fails(1);
    assert!(told.contains("look again at the patient"), "another name: {told}");
    daemon.cli_with(&arguments, &patient.to_string()).await.ok();
    daemon.api.until_state(id, "Closed").await;

    // One file, and a destination that does not exist.
    let file = desk.world.folder().join("one.zip");
    let other = lotse::sim::sample::Sample::with_seed(1, 41);
    std::fs::write(&file, zip(&[("A", &other.instance(0))])).unwrap();
    let file = file.to_str().unwrap();
    let said = daemon.cli(&["import", file, "--to", "nowhere"]).await.fails(65);
    assert!(said.contains("destination"), "{said}");
    let id = daemon.cli(&["import", file, "--to", "pacs"]).await.ok();
    daemon.api.until_studies(id.trim(), "AwaitingDecision").await;
    let uid = other.study_uid().to_string();
    daemon.cli(&["decide", id.trim(), &uid, "--reject", "--reason", "of somebody else"]).await.ok();
    daemon.api.until_state(id.trim(), "Closed").await;
    daemon.cli(&["import", "/nowhere/at/all"]).await.fails(65);
    daemon.cli(&["import"]).await.fails(65);

    // A whole request: delivered without a person, and followed line by line.
    let request = json!({
        "link": desk.world.portal.link(),
        "answers": {"PAT_BIRTH_DATE": sample.birth_date()},
        "patient": {"patientId": "100234567", "issuer": "KLINIKUM"},
        "accessionNumber": "A2026004711",
    });
    let other_study = desk.world.pacs.received().len();
    let lines =
        daemon.cli_with(&["import", "-", "--follow", "--json"], &request.to_string()).await.ok();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "Closed", "{lines}");
    assert!(desk.world.pacs.received().len() > other_study);
    daemon.cli_with(&["import", "-"], "{\"link\": 1}").await.fails(65);
    daemon.cli_with(&["import", "-"], "two\nlines").await.fails(65);
    daemon.cli_with(&["import", "-"], "").await.fails(65);
    let said = daemon.cli_with(&["import", "-"], "no link").await.fails(65);
    assert!(said.contains("https://"), "it says how: {said}");

    // A portal that fails, cancelled and erased by hand.
    let faults = portal::Faults { link: portal::AtLink::Status(404), ..portal::Faults::default() };
    desk.world.portal.misbehave(faults);
    let ended = daemon.cli_with(&["import", "-", "--follow"], &desk.world.portal.link()).await;
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    desk.world.portal.misbehave(portal::Faults::default());
    let id = daemon.cli_with(&["import", "-"], &desk.world.portal.link()).await.ok();
    daemon.api.until_state(id.trim(), "Asking").await;
    daemon.cli(&["cancel", id.trim()]).await.ok();
    assert_eq!(daemon.api.import(id.trim()).await["state"], "Cancelled");
    desk.close().await;
}

#[tokio::test]
async fn worklist_status_and_peers_are_asked() {
    let desk = Hospital::open().await;
    let daemon = &desk.daemon;
    let list = daemon.cli(&["worklist", "--json"]).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    let today = list["items"][0]["startDate"].as_str().unwrap();
    assert_eq!(daemon.cli(&["worklist", "--date", today]).await.ok().lines().count(), 4);
    assert_eq!(daemon.cli(&["worklist", "--date", "1999-01-31"]).await.ok().trim(), "no items");
    let one = daemon.cli_with(&["worklist", "--name", "-"], "beispiel\n").await.ok();
    assert!(one.lines().count() == 1 && one.contains("Beispiel^Otto"), "{one}");
    daemon.cli(&["worklist", "--date", "tomorrow"]).await.fails(65);
    daemon.cli(&["worklist", "--name", "Beispiel"]).await.fails(2);

    waiting_study(&desk, 51).await;
    let status = daemon.cli(&["status", "--json"]).await.json();
    assert_eq!(status["studies"]["AwaitingDecision"], 1);
    let text = daemon.cli(&["status"]).await.ok();
    assert!(text.contains("destination pacs: ready"), "{text}");

    daemon.cli(&["echo", "ris"]).await.ok();
    let said = daemon.cli(&["echo", "nobody"]).await.fails(65);
    assert!(said.contains("ris") && said.contains("pacs"), "it names those there are: {said}");
    let good = daemon.cli(&["check", "--peers"]).await.ok();
    assert!(good.contains("peer pacs: answers") && good.contains("worklist: 4 items"), "{good}");
    desk.world.pacs.set_fault(pacs::Fault::RefuseAssociation);
    desk.world.ris.set_fault(ris::Fault::RefuseAssociation);
    daemon.cli(&["echo", "pacs"]).await.fails(69);
    let said = daemon.cli(&["check", "--peers"]).await.fails(69);
    assert!(said.contains("peer pacs") && said.contains("worklist"), "{said}");
    let kept = daemon.cli(&["worklist"]).await.ok();
    assert_eq!(kept.lines().filter(|line| line.contains(" order ")).count(), 4, "{kept}");

    let statement = daemon.cli(&["conformance", "--format", "json"]).await.json();
    assert!(statement["sopClasses"].as_array().unwrap().len() > 50);
    assert!(daemon.cli(&["conformance"]).await.ok().contains("Modality Worklist"));
    desk.close().await;
}

#[tokio::test]
async fn without_a_daemon_a_command_says_so() {
    let site = Setup::new().write();
    for arguments in [&["imports"][..], &["status"], &["worklist"], &["import", "/etc/hostname"]] {
        let said = site.cli(arguments).await.fails(69);
        assert!(said.contains("lotse serve"), "{said}");
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    }
    site.cli(&["check"]).await.ok();
    site.cli(&["frobnicate"]).await.fails(2);
    assert_eq!(site.cli(&["--version"]).await.code, 0);

    // The dry run needs none.
    let text = |vr: &str, value: &str| json!({"vr": vr, "Value": [value]});
    let name = json!({"vr": "PN", "Value": [{"Alphabetic": "Muster^Erika"}]});
    let item = json!({
        "00080050": text("SH", "A1"), "00100010": name, "00100020": text("LO", "4711"),
        "00100030": text("DA", "19640812"), "00100040": text("CS", "F"), "00401001": text("SH", "P1"),
        "00400100": {"vr": "SQ", "Value": [{"00080060": text("CS", "CT"), "00400002": text("DA", "20260310")}]},
    });
    let study = json!({"study": {
        "0020000D": text("UI", "1.2.3"), "00080060": text("CS", "CT"), "00100010": name,
        "00100020": text("LO", "X"), "00100030": text("DA", "19640812"), "00100040": text("CS", "F"),
    }});
    let (worklist, studies) = (site.folder().join("w.ndjson"), site.folder().join("s.ndjson"));
    std::fs::write(&worklist, format!("{item}\n")).unwrap();
    std::fs::write(&studies, format!("{study}\n")).unwrap();
    let (worklist, studies) = (worklist.to_str().unwrap(), studies.to_str().unwrap());
    let dry = ["match", "--worklist", worklist, "--studies", studies];
    let told = site.cli(&dry).await.json();
    assert_eq!((&told["studyInstanceUid"], &told["decision"]), (&json!("1.2.3"), &json!("person")));
    assert_eq!(told["candidates"][0]["accessionNumber"], "A1");
    let told = site.cli(&[&dry[..], &["--policy", "automatic"]].concat()).await.json();
    assert_eq!((&told["decision"], &told["patientId"]), (&json!("automatic"), &json!("4711")));
    let told =
        site.cli(&[&dry[..], &["--policy", "automatic", "--incomplete"]].concat()).await.json();
    assert_eq!(told["decision"], "person", "an incomplete answer proves nothing");
    site.cli(&[&dry[..], &["--policy", "none"]].concat()).await.fails(2);
    site.cli(&["match", "--worklist", "/nowhere", "--studies", studies]).await.fails(65);
    site.cli(&["match", "--worklist", studies, "--studies", "/dev/null"]).await.fails(65);

    // A configuration that is wrong, everywhere the same code.
    site.edit(|text| text.replace("quiet-time", "quite-time"));
    for arguments in [&["check"][..], &["serve"], &["echo", "ris"]] {
        let said = site.cli(arguments).await.fails(78);
        assert!(said.contains("quiet-time"), "with a suggestion: {said}");
    }
    let mut command = site.command(&["--config", "/nowhere/lotse.toml", "check"]);
    assert!(matches!(run(&mut command, "").await.code, 2 | 78));
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    // A daemon that refuses, as ours does for a user that is neither root nor its own.
    let site = Setup::new().write();
    let path = site.folder().join("strange.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = r#"{"title":"Forbidden","detail":"run the command with sudo"}"#;
            let head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nConnection: close";
            let _ = stream
                .write_all(
                    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
                )
                .await;
        }
    });
    let mut command = site.command(&["imports"]);
    command.env("LOTSE_SOCKET", &path);
    let said = run(&mut command, "").await.fails(77);
    assert!(said.contains("with sudo"), "{said}");
    server.abort();
}
