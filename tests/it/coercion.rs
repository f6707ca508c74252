//! Coercion of every kind of object, held against dumps that were looked at.
//!
//! `peers/kinds.py` makes the objects; they go through a whole gateway, decided by a person, and are dumped as a
//! difference of header before and after. `tests/golden/coercion` has the dumps. After a change that is meant,
//! `BLESS=1 cargo test --test it coercion` writes them anew; look at what git says of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use lotse::dicom::{
    AeTitle, BirthDate, CharacterSets, DataSet, Element, Item, Patient, PatientId, PersonName, Sex,
    StudyFacts, Syntax, Uid, Value, scan,
};
use lotse::reconcile::{self, Change, Local, NewValue, Plan, Site, Tail};
use serde_json::json;

use super::hospital::files_below;
use super::support::{Setup, peers, root};

/// So many kinds of objects are looked at; PS3.4 B.5 has more, few of which anybody brings along.
const KINDS: usize = 25;

/// The invented patient's orders, as `patients.py` has them.
const ORDERS: [&str; 2] = ["A2026-31415", "A2026-27182"];

async fn kinds(folder: &Path) -> PathBuf {
    let kinds = folder.join("kinds");
    let made = peers::run_python("kinds.py", &[kinds.to_str().unwrap()]).await.ok();
    assert!(made.trim().parse::<usize>().unwrap() >= KINDS);
    kinds
}

/// Files of a folder and those below it, by name without ending.
fn named(folder: &Path) -> BTreeMap<String, PathBuf> {
    let files = files_below(folder);
    let name = |path: &PathBuf| {
        let inside = path.strip_prefix(folder).unwrap().with_extension("");
        (inside.display().to_string(), path.clone())
    };
    files.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_object_is_coerced_as_it_was_looked_at() {
    let setup = Setup::new();
    let (folder, orders) = (setup.folder().to_owned(), setup.folder().join("orders"));
    peers::worklist(&orders, &[ORDERS[0], "CT", ORDERS[1], "MR"]).await;
    let originals = kinds(&folder).await;
    let daemon = setup.worklist_folder(&orders).start().await;
    let taken = daemon.cli(&["import", originals.to_str().unwrap(), "--json"]).await;
    let taken: serde_json::Value = serde_json::from_str(&taken.stdout).unwrap();
    let id = taken["id"].as_str().unwrap();

    let import = daemon.api.until_studies(id, "AwaitingDecision").await;
    let items = daemon.api.get("/api/v1/worklist").await;
    let ours = ORDERS.map(|number| {
        let mut listed = items["items"].as_array().unwrap().iter();
        listed.find(|item| item["accessionNumber"] == number).unwrap()["itemId"].clone()
    });
    // One study under an order, one under a patient whose name no Latin-1 object can hold, one under two orders.
    let choices = [
        ("Objekte", json!({"item": ours[0], "reason": "compared"})),
        (
            "Texte",
            json!({"noOrder": {"patientId": "4711008", "issuer": "HAUS", "name": "Łęcki^Paweł",
                   "birthDate": "1956-11-05", "sex": "M"}, "reason": "compared"}),
        ),
        ("Aufträge", json!({"items": ours, "reason": "both were asked for"})),
    ];
    let mut studies: Vec<_> = import["studies"].as_array().unwrap().iter().collect();
    studies.sort_by_key(|study| std::cmp::Reverse(study["counts"]["received"].as_u64()));
    assert_eq!(studies.len(), choices.len());
    for (study, (_, choice)) in studies.iter().zip(&choices) {
        let uid = study["studyInstanceUid"].as_str().unwrap();
        let changes = format!("/api/v1/imports/{id}/studies/{uid}/changes");
        if choice.get("item").is_some() {
            let preview = daemon
                .api
                .get(&format!("{changes}?item={}", choice["item"].as_str().unwrap()))
                .await;
            let name =
                preview["changes"].as_array().unwrap().iter().find(|c| c["name"] == "PatientID");
            assert_eq!(
                (&name.unwrap()["before"], &name.unwrap()["after"]),
                (&json!("X77-123"), &json!("4711007"))
            );
        }
        let path = format!("/api/v1/imports/{id}/studies/{uid}/decision");
        let (status, body) = daemon.api.post(&path, choice).await;
        assert_eq!(status, 200, "{body}");
    }
    daemon.api.until_state(id, "Closed").await;
    let told = daemon.cli(&["show", id, "--original"]).await.ok();
    assert!(told.contains("PatientID: X77-123 -> 4711007"), "{told}");

    let (delivered, dumps) = (folder.join("delivered"), folder.join("dumps"));
    let checked = peers::run_python(
        "coercion.py",
        &[&originals, &delivered, &dumps].map(|path| path.to_str().unwrap()),
    )
    .await;
    assert!(checked.code == 0, "{}{}", checked.stdout, checked.stderr);
    originals_of_a_file(&daemon, &folder, &originals).await;
    hold_against_golden(&dumps);
}

fn hold_against_golden(dumps: &Path) {
    let golden = root().join("tests/golden/coercion");
    let found = named(dumps);
    if std::env::var_os("BLESS").is_some() {
        let _ = std::fs::remove_dir_all(&golden);
        for (name, path) in &found {
            let target = golden.join(name).with_extension("txt");
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(path, target).unwrap();
        }
    }
    let expected = named(&golden);
    assert!(expected.len() >= KINDS);
    let names = |files: &BTreeMap<String, PathBuf>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&expected), names(&found));
    for (name, path) in expected {
        let (old, new) = (
            std::fs::read_to_string(path).unwrap(),
            std::fs::read_to_string(&found[&name]).unwrap(),
        );
        let first = old.lines().zip(new.lines()).find(|(old, new)| old != new);
        assert!(old == new, "{name} is coerced otherwise: {first:?}; look at it, then BLESS=1");
    }
}

/// A delivered file tells what it was, and is rebuilt from what it tells.
async fn originals_of_a_file(daemon: &super::support::Daemon, folder: &Path, originals: &Path) {
    for name in ["kinds/ct", "texts/coerced-before", "kinds/pdf", "orders/two-orders-ct"] {
        let before = read(&originals.join(name).with_extension("dcm"));
        let uid = before.0.uid(dicom_dictionary_std::tags::SOP_INSTANCE_UID).unwrap();
        let files = files_below(&folder.join("delivered"));
        let file =
            files.iter().find(|file| file.display().to_string().contains(uid.as_str())).unwrap();
        let told = daemon.cli(&["show", "--original", file.to_str().unwrap()]).await.ok();
        assert!(
            told.contains("COERCE by LOTSE") && told.contains("PatientID: X77-123 -> "),
            "{told}"
        );
        let output = folder.join("restored.dcm");
        daemon
            .cli(&[
                "show",
                "--original",
                file.to_str().unwrap(),
                "--output",
                output.to_str().unwrap(),
            ])
            .await
            .ok();
        let restored = read(&output);
        assert_same(name, &restored.0, &before.0);
        std::fs::remove_file(&output).unwrap();
    }
}

fn read(path: &Path) -> (DataSet, Syntax, Vec<u8>) {
    let mut file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let found = scan::scan_file(&mut file, length, &scan::Limits::default()).unwrap();
    let syntax = Syntax::of(&found.layout.transfer_syntax);
    (DataSet::read(&found.header, syntax).unwrap(), syntax, found.header)
}

/// The same values, absent and empty ones alike; text in whatever set.
#[track_caller]
fn assert_same(name: &str, found: &DataSet, expected: &DataSet) {
    let mut sets = [found.clone(), expected.clone()];
    for data in &mut sets {
        data.re_encode(&CharacterSets::utf8());
    }
    let [found, expected] = &sets;
    let is_empty = |element: &&Element| match &element.value {
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Items(items) => items.is_empty(),
        Value::Fragments(fragments) => fragments.is_empty(),
    };
    let there = |data: &DataSet, tag| data.get(tag).filter(|value| !is_empty(value)).cloned();
    for (tag, _) in found.iter().chain(expected.iter()) {
        let same = there(found, tag).map(|e| e.value) == there(expected, tag).map(|e| e.value);
        assert!(same, "{name}: {tag} is not what it was");
    }
}

fn plan(name: &str, facts: &StudyFacts) -> Plan {
    let item = Item {
        patient: Patient {
            id: Some(PatientId { id: "4711007".into(), issuer: Some("HAUS".into()) }),
            name: PersonName::new(name),
            birth_date: BirthDate::parse("19561106"),
            sex: Sex::Male,
        },
        requested_procedure_description: Some("Fremdaufnahmen einlesen".into()),
        referring_physician: Some("Überweis^Ute".into()),
        ..Item::default()
    };
    let site = Site::new(AeTitle::new("LOTSE").unwrap(), "Klinikum Beispiel");
    let at = "2026-03-04T05:06:07+01:00[Europe/Berlin]".parse().unwrap();
    reconcile::plan(Local::Order(&item), facts, &site, &at)
}

#[tokio::test]
async fn coercing_twice_equals_once_and_what_was_is_rebuilt_for_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = kinds(folder.path()).await;
    for (kind, path) in named(&kinds) {
        let (before, syntax, header) = read(&path);
        let facts = {
            let mut file = File::open(&path).unwrap();
            let length = file.metadata().unwrap().len();
            let found = scan::scan_file(&mut file, length, &scan::Limits::default()).unwrap();
            lotse::dicom::inspect::inspect(found).unwrap().facts
        };
        let class: Uid = before.uid(dicom_dictionary_std::tags::SOP_CLASS_UID).unwrap();
        for name in ["MÜSSIG^JÜRGEN", "Łęcki^Paweł", "王^小东"] {
            let plan = plan(name, &facts);
            let once = reconcile::coerce(&plan, &header, syntax, &class).unwrap();
            let twice = reconcile::coerce(&plan, &once.header, syntax, &class).unwrap();
            assert!(twice.header == once.header && twice.tail == Tail::Verbatim, "{kind}");
            let after = DataSet::read(&once.header, syntax).unwrap();
            assert_same(&kind, &reconcile::before(&after, 1).unwrap(), &before);
            assert_same(&kind, &reconcile::original(&after, "LOTSE").unwrap(), &before);

            // A second house coerces what the first delivered; both can be taken back.
            let mut second = plan.clone();
            second.modifying_system = "ANDERE".into();
            second.date_time = "20270101000000+0100".into();
            for change in &mut second.changes {
                if let Change::Set(new) = change
                    && new.tag == (0x0010, 0x0020)
                {
                    new.value = NewValue::Text("0815".into());
                }
            }
            let further = reconcile::coerce(&second, &once.header, syntax, &class).unwrap();
            let further = DataSet::read(&further.header, syntax).unwrap();
            assert_same(&kind, &reconcile::before(&further, 1).unwrap(), &after);
            assert_same(&kind, &reconcile::before(&further, 2).unwrap(), &before);
            assert_same(&kind, &reconcile::original(&further, "LOTSE").unwrap(), &before);
        }
    }
}
