//! Recorded exchanges: a recipe's own test, replayed without a network through the same client.

mod difference;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::outcome::Outcome;
use super::page::Page;
use super::patient::Expected;
use super::run::{Ending, Pace};
use super::shelf::Shelf;
use super::state::State;
use super::trace::Kept;
use super::{Recipe, Silence};
use crate::fetch::{Error, FetchSection, Halt};
use crate::import::Link;
use crate::web::{Client, HeaderMap, Recorded, Recording, Visit};

/// `[[samples]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) link: String,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    /// What is answered when the recipe pauses.
    #[serde(default)]
    later: BTreeMap<String, String>,
    ends: Ends,
    /// How many files come.
    #[serde(default)]
    files: Option<usize>,
    /// Whom the portal shows.
    #[serde(default)]
    patient: Option<Expected>,
    pub(super) exchanges: Vec<Spanned<Exchange>>,
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

impl Ends {
    /// The word of the recipe.
    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Asked => "asked",
            Self::WrongFactor => Outcome::WrongFactor.word(),
            Self::Expired => Outcome::Expired.word(),
            Self::Locked => Outcome::Locked.word(),
            Self::Unknown => Outcome::Unknown.word(),
            Self::Preparing => Outcome::Preparing.word(),
            Self::NeedsPerson => Outcome::NeedsPerson.word(),
            Self::PortalChanged => Outcome::PortalChanged.word(),
            Self::PortalDown => Outcome::PortalDown.word(),
        }
    }
}

/// One request with its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Exchange {
    /// `GET https://…` or `POST https://…`.
    pub(super) request: String,
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

/// The exchanges in order, how many were made, and what went wrong with them.
struct Tape {
    exchanges: Vec<Exchange>,
    at: Mutex<Played>,
}

#[derive(Default)]
struct Played {
    made: usize,
    wrong: Option<String>,
    /// The last answer that was given.
    last: Option<Page>,
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
        let number = at.made.saturating_add(1);
        let Some(exchange) = self.exchanges.get(at.made) else {
            let request = difference::request(method, url);
            at.wrong = Some(format!("request {number} was not recorded: {request}"));
            return None;
        };
        if let Some(what) = exchange.differs(method, url, headers, body) {
            at.wrong = Some(format!("request {number} {what}"));
            return None;
        }
        at.made = number;
        let body = match exchange.answer_file {
            Some(file) => file.bytes(),
            None => exchange.answer.clone().into_bytes(),
        };
        let headers: Vec<(String, String)> =
            exchange.answer_headers.iter().map(|line| pair(line)).collect();
        at.last = Some(Page::new(exchange.status, url.clone(), headers.clone(), &body));
        Some(Recorded { status: exchange.status, headers, body: Bytes::from(body) })
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
    /// What is wrong, and where; `None` if it ended as it has to. Samples may have been recorded with a real
    /// patient's link, so values are told by their form.
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
        for sample in self.file.samples.iter().map(Spanned::get_ref) {
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
            let pattern = pattern.as_str();
            return Err(format!(
                "its link does not fit `link` under [match], which is `{pattern}`"
            ));
        }
        let exchanges = sample.exchanges.iter().map(|exchange| exchange.get_ref().clone());
        let tape = Arc::new(Tape { exchanges: exchanges.collect(), at: Mutex::default() });
        let trace = Kept::default();
        let ended = self.play(client, sample, (&link, &tape), &trace).await;
        let played = std::mem::take(&mut *tape.at.lock().unwrap_or_else(PoisonError::into_inner));
        let at = |what: String| match trace.step() {
            step if step.is_empty() => what,
            step => format!("step {step}: {what}"),
        };
        if let Some(wrong) = played.wrong {
            return Err(at(trace.with_instead(wrong)));
        }
        let (ends, files) = match &ended {
            Ok(Ending::Done { seen, .. }) => (Ends::Done, Some(seen.len())),
            Ok(Ending::Asked { note: Some(_), .. }) => (Ends::WrongFactor, None),
            Ok(Ending::Asked { note: None, .. }) => (Ends::Asked, None),
            Ok(Ending::Preparing { .. }) => (Ends::Preparing, None),
            Err(Halt::Fault(error)) => match of_error(error) {
                Some(ends) => (ends, None),
                None => return Err(at(format!("it ends with: {}", error.sentence()))),
            },
            Err(Halt::Ended(_)) => return Err(at("it ends early".to_owned())),
        };
        if ends != sample.ends {
            let mut what =
                format!("it ends `{}`, and should end `{}`", ends.word(), sample.ends.word());
            if let Err(Halt::Fault(error)) = &ended {
                let told = told(error);
                let prefix = format!("step {}: ", trace.step());
                what.push_str(&format!(": {}", told.strip_prefix(&prefix).unwrap_or(&told)));
            }
            what = trace.with_instead(what);
            if let Some(why) = played.last.and_then(|page| self.not_judged(sample.ends, &page)) {
                what.push_str(&format!("; {why}"));
            }
            return Err(at(what));
        }
        if let Some(never) = tape.exchanges.get(played.made) {
            let all = tape.exchanges.len();
            let made = played.made;
            let (method, url) = never.request.split_once(' ').unwrap_or(("", ""));
            let url = Url::parse(url.trim()).map(|url| difference::request(method, &url));
            let url = url.unwrap_or_default();
            return Err(at(format!(
                "it ends after {made} of {all} recorded requests; {url} is never made"
            )));
        }
        if let Some(wanted) = sample.files
            && files != Some(wanted)
        {
            return Err(at(format!("{} files came, and {wanted} should", files.unwrap_or(0))));
        }
        if let (Some(expected), Ok(Ending::Done { portal, .. })) = (&sample.patient, &ended)
            && let Some(key) = expected.differs(portal.as_ref())
        {
            return Err(format!("[patient] gives another `{key}` than [samples.patient] says"));
        }
        Ok(())
    }

    async fn play(
        &self,
        client: &Client,
        sample: &Sample,
        (link, tape): (&Link, &Arc<Tape>),
        trace: &Kept,
    ) -> Result<Ending, Halt> {
        let section = FetchSection::default();
        let hosts = self.hosts_for(link.url(), &[]);
        let mut state = self.start(link);
        let mut answers = sample.answers.clone();
        let keeper = Silence::default();
        let mut paused = false;
        loop {
            let visit = Visit::new(client, &hosts, self.file.limits.redirects, state.jar.clone());
            let visit = visit.replayed(Arc::clone(tape) as Arc<dyn Recording>);
            let run = self.run(link, &answers, &section, (&keeper, trace), visit, state);
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
                None => return ended,
            }
        }
    }

    /// Why the last answer is not the outcome that was to be: which rules look for it, and what they met.
    fn not_judged(&self, wanted: Ends, page: &Page) -> Option<String> {
        let rules = self.file.outcomes.iter().map(Spanned::get_ref);
        let mut rules = rules.filter(|rule| rule.outcome.word() == wanted.word());
        let rule = rules.find(|rule| !rule.when.holds(page))?;
        let (place, instead) = (rule.when.place(), rule.when.instead(page));
        Some(format!("the outcome `{}` looks for {place}; {instead}", wanted.word()))
    }
}

/// What a fault says beyond the usual sentence, which is for the import desk.
fn told(error: &Error) -> String {
    match error {
        Error::Portal { told: Some(told), .. } => told.clone(),
        error => error.sentence(),
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
