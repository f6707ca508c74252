//! Durable before acknowledged, seen from outside: the system calls of the daemon up to an answer.
//!
//! The same judgement is shown traces with a fault put in, so that it is known to see one.

mod slow_scanner;
mod trace;

use std::process::Command;
use std::time::{Duration, Instant};

use lotse::dicom::{AeTitle, Uid};
use lotse::dimse::{self, Chunk, Proposed, Remote, Timeouts};
use lotse::sim::sample::Sample;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Daemon, PATIENCE, Process, Setup, program};
use slow_scanner::SlowScanner;
use trace::{Call, parse, unsafe_effects};

const TRACED: &str = "trace=openat,write,writev,pwrite64,pwritev,ftruncate,fsync,fdatasync,sync_file_range,sendto,sendmsg";

/// Written beside the journal for a later start to compare, and believed only if it says more than the journal.
const EXEMPT: [&str; 1] = ["guard"];

/// A tracer on all threads of a daemon.
struct Tracer {
    process: Process,
    file: std::path::PathBuf,
}

impl Tracer {
    async fn attach(daemon: &Daemon) -> Self {
        let file = daemon.site().folder().join("trace");
        let mut command = Command::new(program("strace"));
        command.args([
            "-f",
            "-yy",
            "-x",
            "-s",
            "600",
            "-e",
            TRACED,
            "-p",
            &daemon.id().to_string(),
        ]);
        command.arg("-o").arg(&file);
        let mut process = Process::start(&mut command);
        process.says("attached").await;
        // One line for each thread; the last one of them is waited for.
        let threads = format!("/proc/{}/task", daemon.id());
        let begun = Instant::now();
        while process.log.text().matches("attached").count()
            < std::fs::read_dir(&threads).unwrap().count()
            && !process.log.text().contains("with")
        {
            assert!(begun.elapsed() < PATIENCE, "{}", process.log.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { process, file }
    }

    async fn calls(mut self) -> Vec<Call> {
        self.process.signal(Signal::SIGINT);
        self.process.ended().await;
        parse(&std::fs::read_to_string(&self.file).unwrap())
    }
}

fn is_send(call: &Call) -> bool {
    call.on.starts_with("TCP:")
        && matches!(call.name.as_str(), "sendto" | "sendmsg" | "write" | "writev")
}

/// C-STORE-RSP (PS3.7 E.1) with the message ID being responded to.
fn answers_store(message: u8) -> impl Fn(&Call) -> bool {
    let field = r"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80";
    let message = format!(r"\x00\x00\x20\x01\x02\x00\x00\x00\x{message:02x}\x00");
    move |call| is_send(call) && call.arguments.contains(field) && call.arguments.contains(&message)
}

fn answers_accepted(call: &Call) -> bool {
    is_send(call) && call.arguments.contains("HTTP/1.1 202")
}

/// The judgement passes the trace, and fails every trace with one fault put in.
fn assert_in_order(calls: &[Call], daemon: &Daemon, is_answer: impl Fn(&Call) -> bool + Copy) {
    let data = daemon.site().data_dir();
    let judge = |calls: &[Call]| unsafe_effects(calls, &data, &EXEMPT, is_answer);
    assert_eq!(judge(calls), Vec::<String>::new());

    let answer = calls.iter().position(is_answer).unwrap();
    let is_sync = |call: &Call| matches!(call.name.as_str(), "fsync" | "fdatasync");
    for part in [".pack", "/journal/ahead"] {
        // The one that counts is the last before the answer.
        let last =
            calls[..answer].iter().rposition(|call| is_sync(call) && call.on.ends_with(part));
        let last = last.unwrap_or_else(|| panic!("no sync of {part}"));
        let with = |change: &dyn Fn(&mut Call)| {
            let mut calls = calls.to_vec();
            // Earlier ones cover nothing of what was written last.
            change(&mut calls[last]);
            judge(&calls)
        };
        let what = format!("{part}, {:?}", calls[last]);
        assert!(!with(&|call| call.name = "sync_file_range".to_owned()).is_empty(), "{what}");
        assert!(!with(&|call| call.on.push_str(".other")).is_empty(), "{what}");
        assert!(
            !with(&|call| call.result = "-1 EIO (Input/output error)".to_owned()).is_empty(),
            "{what}"
        );
        assert!(!with(&|call| call.ended = usize::MAX).is_empty(), "{what}");
        assert!(!with(&|call| call.begun = 0).is_empty(), "{what}");
    }
    let without = |part: &str| {
        let calls: Vec<_> = calls.iter().filter(|call| !call.on.ends_with(part)).cloned().collect();
        judge(&calls)
    };
    assert!(!without(".pack").is_empty() && !without("/journal/ahead").is_empty());
    assert!(!judge(&calls[..answer]).is_empty(), "a trace without the answer proves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_on_the_device_before_its_response_leaves() {
    let daemon =
        Setup::new().peer("station", "STATION", 104, &["store"]).quiet("60s").start().await;
    let tracer = Tracer::attach(&daemon).await;
    let remote = Remote {
        address: daemon.dicom.to_string(),
        called: AeTitle::new("LOTSE").unwrap(),
        calling: AeTitle::new("STATION").unwrap(),
        timeouts: Timeouts::default(),
        max_pdu: 131_072,
        security: Default::default(),
    };
    let sample = Sample::new(2);
    let class = Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap();
    let syntax = Uid::new("1.2.840.10008.1.2.1").unwrap();
    let proposed = Proposed { sop_class: class.clone(), transfer_syntaxes: vec![syntax.clone()] };
    let sent: Result<(), dimse::Error> = dimse::call(&remote, &[proposed], async |client| {
        for slice in 0..2 {
            let (data, mut chunks) = tokio::sync::mpsc::channel(2);
            let file = sample.instance(slice);
            let meta = u32::from_le_bytes(file[140..144].try_into().unwrap());
            let body = file[144 + usize::try_from(meta).unwrap()..].to_vec();
            data.send(Chunk::Bytes(body.into())).await.unwrap();
            data.send(Chunk::End).await.unwrap();
            let uid = sample.instance_uid(slice);
            assert_eq!(client.store(&class, &uid, &syntax, &mut chunks).await?.0, 0);
        }
        Ok(())
    })
    .await;
    sent.unwrap();
    let calls = tracer.calls().await;
    // The first makes key, folder and pack; the second only appends.
    assert_in_order(&calls, &daemon, &answers_store(1));
    assert_in_order(&calls, &daemon, &answers_store(2));
    assert_eq!(daemon.stop().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_on_the_device_before_202_leaves() {
    let scanner = SlowScanner::start();
    let daemon = Setup::new().table(&scanner.table()).start().await;
    // What is taken up is worked on at once, and that work writes too, which may come before the answer in time and
    // has nothing to do with it. So as many as are unpacked at a time hang in the scanner first.
    let mut held = Vec::new();
    for _ in 0..2 {
        daemon.api.upload("one.dcm", Sample::new(1).instance(0), &json!({})).await;
        held.push(scanner.takes_one().await);
    }
    let tracer = Tracer::attach(&daemon).await;
    daemon.api.upload("cd.zip", Sample::new(3).zip().unwrap(), &json!({})).await;
    let calls = tracer.calls().await;
    assert_in_order(&calls, &daemon, answers_accepted);
    drop((scanner, held));
    assert_eq!(daemon.stop().await.0, 0);
}
