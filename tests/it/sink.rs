//! A PACS of pynetdicom that counts C-STORE requests per SOP Instance UID.

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::{Process, script, test_env};

pub(crate) struct Sink {
    process: Process,
    pace: tempfile::NamedTempFile,
    pub(crate) port: u16,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let pace = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(test_env("venv").join("bin/python"));
        let mut process = Process::start(command.arg(script("counting_sink.py")).arg(pace.path()));
        let line = process.says("listening ").await;
        let port = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { process, pace, port }
    }

    /// Each answer takes so many seconds from now on.
    pub(crate) fn pace(&self, seconds: f64) {
        std::fs::write(self.pace.path(), seconds.to_string()).unwrap();
    }

    /// C-STORE requests by SOP Instance UID.
    pub(crate) fn requests(&self) -> BTreeMap<String, usize> {
        let mut requests = BTreeMap::new();
        for line in self.process.log.text().lines() {
            if let Some(uid) = line.strip_prefix("stored ") {
                *requests.entry(uid.trim().to_owned()).or_default() += 1;
            }
        }
        requests
    }

    pub(crate) fn total(&self) -> usize {
        self.requests().values().sum()
    }
}
