//! Child processes: what they say is kept, and they end with their owner.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PATIENCE, eventually};

/// How long the last words of a process are waited for: something that it started may hold its pipes open.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a process has said so far; cloned handles see the same.
#[derive(Clone, Default)]
pub struct Log {
    text: Arc<Mutex<String>>,
    /// Pipes that may bring more.
    open: Arc<AtomicUsize>,
}

impl Log {
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for what a process that has ended said last.
    async fn ends(&self) {
        let begun = Instant::now();
        while self.open.load(Ordering::Acquire) > 0 && begun.elapsed() < LAST_WORDS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn follow(&self, from: impl std::io::Read + Send + 'static) {
        let log = self.clone();
        log.open.fetch_add(1, Ordering::AcqRel);
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                log.text
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
            log.open.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// A process that runs until it is told to end, or dropped.
pub struct Process {
    name: String,
    child: Child,
    /// Standard output and standard error.
    pub log: Log,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .env("TCP_NODELAY", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started ({error}): run tests/env"));
        let log = Log::default();
        log.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        Self { name, child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs still.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal);
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.log.ends().await;
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not end:\n{}", self.name, self.log.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it says a line with `words`, and gives that line.
    pub async fn says(&mut self, words: &str) -> String {
        let what = format!("{} to say {words:?}", self.name);
        let (log, child, name) = (&self.log, &mut self.child, &self.name);
        eventually(&what, || {
            let ended = child.try_wait().unwrap();
            async move {
                if ended.is_some() {
                    log.ends().await;
                }
                let text = log.text();
                let found = text.lines().find(|line| line.contains(words)).map(str::to_owned);
                assert!(found.is_some() || ended.is_none(), "{name} ended ({ended:?}):\n{text}");
                found
            }
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// -1 if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Standard output, of a command that has to succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "exit code {}:\n{}{}", self.code, self.stdout, self.stderr);
        self.stdout
    }

    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }
}

/// Runs a command to its end, with `input` on standard input.
pub async fn run(command: &mut Command, input: &str) -> Ended {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .env("TCP_NODELAY", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name} cannot be started ({error}): run tests/env"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    std::thread::spawn(move || {
        // A command that does not read its input may close it.
        let _ = stdin.write_all(input.as_bytes());
    });
    let drain = |mut from: Box<dyn std::io::Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = drain(Box::new(child.stdout.take().unwrap()));
    let stderr = drain(Box::new(child.stderr.take().unwrap()));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name} does not end: {}", stderr.join().unwrap());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    Ended {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}
