//! Recorded exchanges: a recipe's own test, replayed without a network through the same client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

use super::outcome::Outcome;
use super::run::{Ending, Pace};
use super::shelf::Shelf;
use super::state::State;
use super::trace::Silent;
use super::{Recipe, Silence};
use crate::fetch::{Error, FetchSection, Halt};
use crate::import::Link;
use crate::web::{Client, HeaderMap, Recorded, Recording, Visit};

/// `[[samples]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Sample {
    name: String,
    link: String,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    /// What is answered when the recipe pauses.
    #[serde(default)]
    later: BTreeMap<String, String>,
    ends: Ends,
    /// How many files come.
    #[serde(default)]
    files: Option<usize>,
    exchanges: Vec<Exchange>,
}

/// How a sample has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ends {
    Done,
    /// Something is asked that the answers do not hold.
    Asked,
    WrongFactor,
    Expired,
    Locked,
    Unknown,
    Preparing,
    NeedsPerson,
    PortalChanged,
    PortalDown,
}

/// One request with its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Exchange {
    /// `GET https://…` or `POST https://…`.
    request: String,
    /// What is sent, exactly.
    #[serde(default)]
    body: Option<String>,
    /// `Name: value` lines that the request has to have.
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    answer_headers: Vec<String>,
    #[serde(default)]
    answer: String,
    /// A file instead of a text: `zip` or `dicom`, as small as they can be.
    #[serde(default)]
    answer_file: Option<Stub>,
}

fn ok() -> u16 {
    200
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stub {
    Zip,
    Dicom,
}

impl Stub {
    fn bytes(self) -> Vec<u8> {
        match self {
            // The end record alone: an archive without entries (APPNOTE 4.3.16).
            Self::Zip => [b"PK\x05\x06".as_slice(), &[0; 18]].concat(),
            // Preamble and prefix (PS3.10 7.1).
            Self::Dicom => [&[0; 128], b"DICM".as_slice()].concat(),
        }
    }
}

/// The exchanges in order, and what went wrong with them.
struct Tape {
    exchanges: Vec<Exchange>,
    at: Mutex<(usize, Option<String>)>,
}

impl Recording for Tape {
    fn answer(
        &self,
        method: &str,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Recorded> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let request = format!("{method} {url}");
        let number = at.0.saturating_add(1);
        let Some(exchange) = self.exchanges.get(at.0) else {
            at.1 = Some(format!("request {number} was not recorded: {request}"));
            return None;
        };
        let wrong = if exchange.request.trim() != request {
            Some(format!("request {number} is {request}, recorded is {}", exchange.request))
        } else if exchange.body.as_ref().is_some_and(|wanted| wanted.as_bytes() != body) {
            let sent = String::from_utf8_lossy(body);
            Some(format!("request {number} ({request}) sends `{sent}`"))
        } else {
            let lacks = |line: &&String| {
                let (name, value) = pair(line);
                headers.get(name.as_str()).and_then(|value| value.to_str().ok()) != Some(&value)
            };
            let lacking = exchange.headers.iter().find(lacks);
            lacking.map(|line| format!("request {number} ({request}) lacks the header `{line}`"))
        };
        if wrong.is_some() {
            at.1 = wrong;
            return None;
        }
        at.0 = number;
        let body = match exchange.answer_file {
            Some(file) => file.bytes(),
            None => exchange.answer.clone().into_bytes(),
        };
        Some(Recorded {
            status: exchange.status,
            headers: exchange.answer_headers.iter().map(|line| pair(line)).collect(),
            body: Bytes::from(body),
        })
    }
}

/// `Name: value`
fn pair(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.trim().to_ascii_lowercase(), value.trim().to_owned())
}

/// What became of one sample.
pub struct Replayed {
    pub name: String,
    /// What is wrong; `None` if it ended as it has to. Samples are made up, so nothing in it is secret.
    pub fault: Option<String>,
}

impl Recipe {
    /// Replays every sample.
    ///
    /// # Errors
    /// If the client cannot be set up.
    pub async fn replay(&self) -> Result<Vec<Replayed>, Error> {
        let client = Client::new(&BTreeMap::new())?;
        let mut replayed = Vec::new();
        for sample in &self.file.samples {
            let fault = self.replay_one(&client, sample).await.err();
            replayed.push(Replayed { name: sample.name.clone(), fault });
        }
        Ok(replayed)
    }

    async fn replay_one(&self, client: &Client, sample: &Sample) -> Result<(), String> {
        let link = match Link::new(&sample.link) {
            Some(link) => link,
            None => self.link(&sample.link).ok_or("its link is neither a link nor a code")?,
        };
        if let Some(pattern) = &self.file.rules.link
            && !pattern.is_match(&super::tail(link.url()))
        {
            return Err("its link does not fit `link` under [match]".to_owned());
        }
        let tape =
            Arc::new(Tape { exchanges: sample.exchanges.clone(), at: Mutex::new((0, None)) });
        let section = FetchSection::default();
        let hosts = self.hosts_for(link.url(), &[]);
        let mut state = self.start(&link);
        let mut answers = sample.answers.clone();
        let keeper = Silence::default();
        let mut paused = false;
        let ended = loop {
            let visit = Visit::new(client, &hosts, self.file.limits.redirects, state.jar.clone());
            let visit = visit.replayed(Arc::clone(&tape) as Arc<dyn Recording>);
            let run = self.run(&link, &answers, &section, (&keeper, &Silent), visit, state);
            let run = super::run::Run { shelf: Shelf::nowhere(), pace: Pace::Recorded, ..run };
            let ended = Box::pin(run.go()).await;
            let kept = keeper.kept().as_ref().and_then(State::unpack);
            let waits = matches!(ended, Ok(Ending::Asked { .. })) && !paused;
            match kept.filter(|kept| kept.paused && waits && !sample.later.is_empty()) {
                Some(kept) => {
                    answers.extend(sample.later.clone());
                    state = State { answered: true, ..kept };
                    paused = true;
                }
                None => break ended,
            }
        };
        let (at, wrong) = {
            let at = tape.at.lock().unwrap_or_else(PoisonError::into_inner);
            (at.0, at.1.clone())
        };
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let (ends, files) = match &ended {
            Ok(Ending::Done { seen, .. }) => (Ends::Done, Some(seen.len())),
            Ok(Ending::Asked { note: Some(_), .. }) => (Ends::WrongFactor, None),
            Ok(Ending::Asked { note: None, .. }) => (Ends::Asked, None),
            Ok(Ending::Preparing { .. }) => (Ends::Preparing, None),
            Err(Halt::Fault(error)) => match of_error(error) {
                Some(ends) => (ends, None),
                None => return Err(format!("it ends with: {}", error.sentence())),
            },
            Err(Halt::Ended(_)) => return Err("it ends early".to_owned()),
        };
        if ends != sample.ends {
            let why = match &ended {
                Err(Halt::Fault(error)) => format!(": {}", error.sentence()),
                _ => String::new(),
            };
            return Err(format!("it ends {ends:?}, not {:?}{why}", sample.ends));
        }
        if at != sample.exchanges.len() {
            return Err(format!(
                "only {at} of {} recorded requests were made",
                sample.exchanges.len()
            ));
        }
        if sample.files.is_some_and(|wanted| files != Some(wanted)) {
            return Err(format!("{} files came, not as told", files.unwrap_or(0)));
        }
        Ok(())
    }
}

fn of_error(error: &Error) -> Option<Ends> {
    Some(match error {
        Error::Portal { outcome, .. } => match outcome {
            Outcome::WrongFactor => Ends::WrongFactor,
            Outcome::Expired => Ends::Expired,
            Outcome::Locked => Ends::Locked,
            Outcome::Unknown => Ends::Unknown,
            Outcome::Preparing => Ends::Preparing,
            Outcome::NeedsPerson => Ends::NeedsPerson,
            Outcome::PortalChanged => Ends::PortalChanged,
            Outcome::PortalDown => Ends::PortalDown,
        },
        Error::Unavailable { .. } => Ends::PortalDown,
        Error::Unknown { .. } => Ends::Unknown,
        Error::Page { .. } => Ends::PortalChanged,
        _ => return None,
    })
}
