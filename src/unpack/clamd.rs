//! Asking a virus scanner: clamd's INSTREAM over its Unix socket.
//!
//! Invariant: every wait has a time, every answer a length, and a file counts as clean only if clamd said so.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Error;

/// clamd reads while it is sent to; a stop of this length is a fault.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// Scanning happens after the last byte; clamd's own limit is 2 minutes.
const ANSWER_TIME: Duration = Duration::from_secs(180);
/// An answer holds the signature's name.
const ANSWER: u64 = 1024;

/// `[scan]`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ScanSection {
    /// clamd's socket; without it nothing is scanned.
    pub clamd_socket: Option<PathBuf>,
    /// Whether imports wait while clamd is not there; otherwise they go on with a remark.
    pub clamd_required: bool,
}

impl Default for ScanSection {
    fn default() -> Self {
        Self { clamd_socket: None, clamd_required: true }
    }
}

/// Asks about one object that came by itself, over an association: what speaks against using it, in words.
/// Blocking, for as long as clamd is given for one file.
///
/// # Errors
/// If the site demands scanning and clamd cannot be asked, or the object cannot be read.
pub fn objection(section: &ScanSection, reader: &mut dyn Read) -> Result<Option<String>, Error> {
    let scanner = Scanner::new(section);
    let verdict = scanner.scan(reader)?;
    if scanner.was_missed() {
        tracing::warn!(
            "the virus scanner could not be reached; an object was taken unscanned, as \
             scan.clamd-required = false allows"
        );
    }
    Ok(scanner.refusal(&verdict))
}

/// The scanner of one import.
pub(super) struct Scanner<'a> {
    section: &'a ScanSection,
    /// It was not there once and is not asked again.
    missed: AtomicBool,
}

/// What clamd said of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Clean,
    /// With the signature's name.
    Infected(String),
    /// Longer than clamd takes.
    TooLong,
    /// Nobody was asked.
    Unscanned,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(section: &'a ScanSection) -> Self {
        Self { section, missed: AtomicBool::new(false) }
    }

    pub(super) fn is_on(&self) -> bool {
        self.section.clamd_socket.is_some() && !self.was_missed()
    }

    pub(super) fn was_missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) -> Session<'_> {
        Session { scanner: self, stream: None, state: Progress::New }
    }

    /// Reads a file to its end for the scanner alone.
    pub(super) fn scan(&self, reader: &mut dyn Read) -> Result<Verdict, Error> {
        if !self.is_on() {
            return Ok(Verdict::Unscanned);
        }
        let mut session = self.begin();
        let mut chunk = vec![0; super::meter::CHUNK];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return session.verdict(),
                Ok(read) => session.take(chunk.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
    }

    /// What a required scan means for a file.
    pub(super) fn refusal(&self, verdict: &Verdict) -> Option<String> {
        match verdict {
            Verdict::Clean | Verdict::Unscanned => None,
            Verdict::Infected(name) => {
                Some(format!("infected, says the virus scanner: {name}; tell the sender"))
            }
            Verdict::TooLong if self.section.clamd_required => Some(
                "longer than the virus scanner takes; raise StreamMaxLength of clamd and import it again"
                    .to_owned(),
            ),
            Verdict::TooLong => None,
        }
    }
}

enum Progress {
    New,
    Sending,
    /// clamd hung up or was never there.
    Broken,
}

/// One file on its way through the scanner.
pub(super) struct Session<'a> {
    scanner: &'a Scanner<'a>,
    stream: Option<UnixStream>,
    state: Progress,
}

impl Session<'_> {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || !self.scanner.is_on() {
            return;
        }
        let sent = match self.state {
            Progress::New => self.connect().and_then(|()| self.send(bytes)),
            Progress::Sending => self.send(bytes),
            Progress::Broken => return,
        };
        self.state = if sent.is_ok() { Progress::Sending } else { Progress::Broken };
    }

    fn connect(&mut self) -> std::io::Result<()> {
        let path = self.scanner.section.clamd_socket.as_deref().unwrap_or("".as_ref());
        let mut stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(WRITE_TIME))?;
        stream.set_read_timeout(Some(ANSWER_TIME))?;
        stream.write_all(b"zINSTREAM\0")?;
        self.stream = Some(stream);
        Ok(())
    }

    /// A chunk is its length, big endian, and its bytes; one of no length is the end.
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
        let stream = self.stream.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(bytes)
    }

    /// Ends the file and waits for the answer.
    pub(super) fn verdict(mut self) -> Result<Verdict, Error> {
        if !self.scanner.is_on() || matches!(self.state, Progress::New) {
            return Ok(Verdict::Unscanned);
        }
        if matches!(self.state, Progress::Sending) && self.send(&[]).is_err() {
            self.state = Progress::Broken;
        }
        let mut answer = Vec::new();
        if let Some(stream) = self.stream.take() {
            // Also after a broken send: clamd says why before it hangs up.
            let _ = stream.take(ANSWER).read_to_end(&mut answer);
        }
        match read_answer(&answer) {
            Some(verdict) => Ok(verdict),
            None if self.scanner.section.clamd_required => Err(Error::Scanner),
            None => {
                self.scanner.missed.store(true, Ordering::Relaxed);
                Ok(Verdict::Unscanned)
            }
        }
    }
}

fn read_answer(answer: &[u8]) -> Option<Verdict> {
    let text = String::from_utf8_lossy(answer);
    let text = text.trim_end_matches(['\0', '\n']).trim();
    if text.contains("size limit exceeded") {
        return Some(Verdict::TooLong);
    }
    let said = text.strip_prefix("stream: ")?;
    if said == "OK" {
        return Some(Verdict::Clean);
    }
    let name = said.strip_suffix(" FOUND")?;
    let name = name.chars().filter(|c| c.is_ascii_graphic()).take(100);
    Some(Verdict::Infected(name.collect()))
}
