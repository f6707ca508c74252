//! Every case of the table, asked by real modalities' software.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Stdio};

use lotse::dicom::{CharacterSets, VR};
use serde_json::Value;

use super::table::{Case, Wanted, cases};
use super::{entries, gateway};
use crate::support::peers::Peer;
use crate::support::{program, run, script, test_env};

/// What an asker was told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    status: u16,
    pending: Vec<u16>,
    steps: Vec<String>,
}

impl Told {
    fn sorted(mut self) -> Self {
        self.steps.sort();
        self
    }
}

fn check(case: &Case, told: &Told, faults: &mut Vec<String>) {
    let is_right = match &case.wanted {
        Wanted::Failure(status) => told.status == *status && told.steps.is_empty(),
        Wanted::Steps(steps, pending) => {
            told.status == 0
                && told.steps == *steps
                && told.pending.iter().all(|status| status == pending)
        }
    };
    if !is_right {
        faults.push(format!(
            "{} ({}): wanted {:?}, got {told:04X?}",
            case.name, case.clause, case.wanted
        ));
    }
}

/// A key as findscu takes it, its value in the bytes of the query's character set.
fn argument(case: &Case, place: char, keyword: &str, value: &str) -> OsString {
    let path = match place {
        '>' => "ScheduledProcedureStepSequence[0].",
        '#' => "RequestedProcedureCodeSequence[0].",
        _ => "",
    };
    let sets = CharacterSets::parse(case.charset().map(str::as_bytes));
    let vr = if keyword.contains("Name") { VR::PN } else { VR::LO };
    let mut bytes = format!("{path}{keyword}=").into_bytes();
    bytes.extend(sets.encode(value, vr).expect("the set of the query holds its keys"));
    OsString::from_vec(bytes)
}

fn findscu(case: &Case, called: &str, port: u16) -> Told {
    let mut command = Command::new(program("findscu"));
    command.args(["-d", "-W", "-aet", "MODALITY", "-aec", called, "127.0.0.1", &port.to_string()]);
    let mut has = |place: char, keyword: &str| {
        if !case.keys.iter().any(|key| (key.0, key.1.as_str()) == (place, keyword)) {
            command.arg("-k").arg(argument(case, place, keyword, ""));
        }
    };
    has(' ', "PatientName");
    has('>', "ScheduledProcedureStepID");
    for (place, keyword, value) in &case.keys {
        command.arg("-k").arg(argument(case, *place, keyword, value));
    }
    let output = command.env("TCP_NODELAY", "1").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    read_findscu(&text)
}

/// From the debug log: each answer's status, and the step in its data set.
fn read_findscu(text: &str) -> Told {
    let mut told = Told { status: 0xFFFF, pending: vec![], steps: vec![] };
    let answers = text.split_once("Received Find Response").map_or("", |(_, answers)| answers);
    let statuses = text.lines().filter_map(|line| line.split_once("DIMSE Status"));
    for (_, rest) in statuses {
        let code = rest.split_once("0x").map_or("", |(_, code)| code.get(..4).unwrap_or(""));
        match u16::from_str_radix(code, 16) {
            Ok(code @ (0xFF00 | 0xFF01)) => told.pending.push(code),
            Ok(code) => told.status = code,
            Err(_) => {}
        }
    }
    for line in answers.lines() {
        if let Some((_, value)) = line.split_once("(0040,0009) SH [") {
            told.steps.push(value.split(']').next().unwrap().trim().to_owned());
        }
    }
    told.sorted()
}

fn read_json(text: &str) -> Vec<(String, Told)> {
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("said {line}"));
        let numbers = |key: &str| {
            let list = value[key].as_array().unwrap().iter();
            list.map(|n| n.as_u64().unwrap() as u16).collect::<Vec<_>>()
        };
        let steps = value["steps"].as_array().unwrap().iter();
        let told = Told {
            status: value["status"].as_u64().unwrap_or(0xFFFF) as u16,
            pending: numbers("pending"),
            steps: steps.map(|step| step.as_str().unwrap().to_owned()).collect(),
        };
        (value["name"].as_str().unwrap().to_owned(), told.sorted())
    };
    // dcmjs-dimse logs where it answers.
    text.lines().filter(|line| line.starts_with('{')).map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn findscu_gets_what_the_standard_says() {
    let folder = entries().await;
    let daemon = gateway(&folder).await;
    let mut faults = vec![];
    let mut asked = 0;
    for case in cases().iter().filter(|case| case.is_for('f')) {
        check(case, &findscu(case, "LOTSE", daemon.dicom.port()), &mut faults);
        asked += 1;
    }
    assert!(asked >= 60, "only {asked} cases");
    assert!(faults.is_empty(), "{} of {asked}:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wlmscpfs_says_the_same_or_the_table_says_why_not() {
    let folder = entries().await;
    let parent = folder.path().to_owned();
    let server = Peer::start(move |port| {
        let mut command = Command::new(program("wlmscpfs"));
        command.args(["-s", "-dfr", "-csk", "-dfp"]).arg(&parent).arg(port.to_string());
        command
    })
    .await;
    let mut faults = vec![];
    for case in cases().iter().filter(|case| case.is_for('f')) {
        let told = findscu(case, "WL", server.port);
        let ours = match &case.wanted {
            Wanted::Steps(steps, _) => steps.clone(),
            Wanted::Failure(_) => vec![],
        };
        let listed = case.wlmscpfs.as_ref().map_or(&ours, |(steps, _)| steps);
        if told.steps != *listed {
            faults.push(format!(
                "{} ({}): listed {listed:?}, it gives {told:04X?}",
                case.name, case.clause
            ));
        }
        if case.wlmscpfs.as_ref().is_some_and(|(_, why)| why.is_empty()) {
            faults.push(format!("{}: no reason is given", case.name));
        }
    }
    assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
}

async fn ask_by_script(command: &mut Command, asker: &str) {
    let folder = entries().await;
    let daemon = gateway(&folder).await;
    let chosen: Vec<Case> =
        cases().into_iter().filter(|case| asker.chars().any(|asker| case.is_for(asker))).collect();
    let file = folder.path().join("cases.json");
    let list: Vec<Value> = chosen.iter().map(Case::json).collect();
    std::fs::write(&file, serde_json::to_vec(&list).unwrap()).unwrap();
    command.arg(daemon.dicom.port().to_string()).arg("LOTSE").arg(&file);
    let told = read_json(&run(command, "").await.ok());
    let mut faults = vec![];
    for case in &chosen {
        match told.iter().find(|(name, _)| *name == case.name) {
            Some((_, told)) => check(case, told, &mut faults),
            None => faults.push(format!("{}: no answer", case.name)),
        }
    }
    assert!(chosen.len() >= 60, "only {} cases", chosen.len());
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), chosen.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pynetdicom_gets_what_the_standard_says() {
    let mut command = Command::new(test_env("venv/bin/python"));
    command.arg(script("wl_ask.py"));
    ask_by_script(&mut command, "pF").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dcmjs_dimse_gets_what_the_standard_says() {
    let mut command = Command::new(program("node"));
    command.arg(script("wl_ask.cjs")).env("NODE_PATH", test_env("node/node_modules"));
    ask_by_script(&mut command, "d").await;
}
