//! Carrying out the steps of a recipe.
//!
//! Invariants: an answer of a person goes out once, after it was recorded that it will, and an attempt that
//! cannot know whether it arrived ends instead of sending it again; after that the visit goes on where it
//! stood, or ends. What the portal answers is held against the outcomes before anything is read from it. What
//! one attempt brings is whole: no bookmark stands behind a file, because the next attempt has none of them.

mod asking;
mod dicomweb;
mod files;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::Recipe;
use super::file::Step;
use super::outcome::Outcome;
use super::page::{MOST_BODY, Page};
use super::shelf::{Seen, Shelf};
use super::state::State;
use super::trace::{self, Trace};
use crate::dicom::Patient;
use crate::fetch::{Class, Error, FetchSection, Halt, Observer, Pulled, recognise, store};
use crate::import::{File, Link, Question};
use crate::web::{self, Answer, Call, Visit};

/// Polls wait in place so long; then the import rests and its place is free for another.
const PATIENCE: Duration = Duration::from_secs(20);

/// A download that is cut is begun anew so often before the attempt ends.
const DOWNLOADS: u32 = 3;

/// Between two tries of a download.
const REST: Duration = Duration::from_secs(2);

/// Headers that a recipe may look at; bounded by the client's own limit on their number.
const LONGEST_HEADER: usize = 16 << 10;

/// Whether waits are waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Real,
    /// For a recorded exchange, whose answers are all there.
    Recorded,
    /// Counted as if they had been.
    #[cfg(test)]
    Counted,
}

/// How a run ended without a fault.
pub(super) enum Ending {
    Asked { questions: Vec<Question>, note: Option<String> },
    Preparing { wait: Duration },
    Done { files: Vec<File>, seen: Vec<Seen>, portal: Option<Patient> },
}

/// One attempt.
pub(super) struct Run<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) link: &'a Link,
    pub(super) answers: &'a BTreeMap<String, String>,
    pub(super) section: &'a FetchSection,
    pub(super) observer: &'a dyn Observer,
    pub(super) trace: &'a dyn Trace,
    pub(super) visit: Visit,
    pub(super) state: State,
    pub(super) shelf: Shelf,
    /// As it was before the first step that brings files: they are lost with the attempt.
    pub(super) before_files: Option<Box<State>>,
    pub(super) pace: Pace,
    pub(super) requests: u32,
    pub(super) announced: bool,
}

impl Run<'_> {
    /// Goes on from where the state stands.
    pub(super) async fn go(mut self) -> Result<Ending, Halt> {
        if self.state.in_doubt {
            return Err(Error::LoginInDoubt { host: self.host() }.into());
        }
        match self.steps().await {
            Ok(None) => {}
            Ok(Some(ending)) => return Ok(ending),
            Err(fault) => return Err(fault),
        }
        if self.shelf.is_empty() {
            return Err(Error::Nothing { host: self.host() }.into());
        }
        let portal = self.portal();
        let (files, seen) = self.shelf.close().await?;
        Ok(Ending::Done { files, seen, portal })
    }

    /// The patient whom the portal shows, if the recipe says where.
    fn portal(&self) -> Option<Patient> {
        let shown = self.recipe.file.patient.as_ref()?.get_ref();
        let witness = shown.read(&self.state.lists, &|name, item| self.value(name, item));
        self.say(&format!("the portal's patient: {}", witness.told()));
        let host = self.host();
        let unread = witness.unread.iter().map(|what| {
            format!("{host}: the {what} that the portal shows cannot be read, so it was not compared; have the recipe mended")
        });
        let unread: Vec<String> = unread.collect();
        if !unread.is_empty() {
            unread.iter().for_each(|note| self.say(note));
            self.observer.noted(unread);
        }
        witness.patient
    }

    async fn steps(&mut self) -> Result<Option<Ending>, Halt> {
        let recipe = self.recipe;
        if self.state.next == 0 {
            if self.state.refused && !self.state.answered {
                let questions = self.questions(&|_| true);
                let note = Some(Outcome::WrongFactor.sentence().to_owned());
                return Ok(Some(Ending::Asked { questions, note }));
            }
            if let Some(asked) = self.inputs() {
                return Ok(Some(asked));
            }
            self.state.refused = false;
        }
        while let Some(step) = recipe.file.steps.get(self.state.next).map(toml::Spanned::get_ref) {
            trace::step(self.trace, self.state.next, step);
            if step.brings() && self.before_files.is_none() {
                self.before_files = Some(Box::new(self.state.clone()));
            }
            let ended = if let Some(inputs) = &step.ask {
                self.ask(inputs).await?
            } else if let Some(template) = &step.download {
                self.downloads(step, template).await?
            } else if let Some(base) = &step.dicomweb {
                self.dicomweb(step, base).await?
            } else {
                self.request(step).await?
            };
            if ended.is_some() {
                return Ok(ended);
            }
            self.state.next = self.state.next.saturating_add(1);
            self.state.polls = 0;
            // What brings files is begun anew after a fault; everything before it is not.
            if self.state.spent && !step.brings() {
                self.keep().await?;
            }
        }
        Ok(None)
    }

    fn say(&self, text: &str) {
        self.trace.line(text);
    }

    pub(super) fn host(&self) -> String {
        self.link.host().to_owned()
    }

    pub(super) async fn keep(&mut self) -> Result<(), Error> {
        let (host, what) = (self.host(), "a page is too large to be kept");
        let state = match &mut self.before_files {
            Some(before) if !self.shelf.is_empty() => before.as_mut(),
            _ => &mut self.state,
        };
        state.empty = true;
        state.jar = self.visit.jar().clone();
        let bookmark = state.pack().ok_or(Error::Answer { host, what })?;
        if self.observer.keep(&bookmark).await { Ok(()) } else { Err(Error::Cancelled) }
    }

    // --- requests

    async fn request(&mut self, step: &Step) -> Result<Option<Ending>, Halt> {
        let spends = step.uses(&|name| self.is_input(name));
        let mut waited = Duration::ZERO;
        loop {
            let call = self.call(step)?;
            self.guarded(&call)?;
            let sent = if spends { self.spend(call).await? } else { self.send(call).await? };
            let page = self.read(sent).await.map_err(|error| self.doubted(error, spends))?;
            let judged = self.judge(step, &page).await;
            if let Some(ending) = judged.map_err(|halt| self.in_doubt(halt, spends))? {
                return Ok(Some(ending));
            }
            let until = step.until.as_ref();
            let done = until.is_none_or(|until| until.holds(&page));
            // Between polls a portal answers whatever it likes, if it says no outcome by it.
            if done {
                self.usual(&page).map_err(|error| self.doubted(error, spends))?;
                self.extract(step, &page)?;
                self.state.page = Some(page);
                self.state.in_doubt = false;
                return Ok(None);
            }
            if let Some(until) = until {
                let (place, instead) = (until.place(), until.instead(&page));
                self.trace.instead(&format!("until {place} does not hold yet: {instead}"));
            }
            if let Some(ending) = self.wait(step, &mut waited).await? {
                return Ok(Some(ending));
            }
        }
    }

    /// Sends answers, after it was recorded that they go.
    async fn spend(&mut self, call: Call) -> Result<Answer, Halt> {
        self.state.spent = true;
        self.state.in_doubt = true;
        self.keep().await?;
        match self.send(call).await {
            Ok(answer) => Ok(answer),
            Err(Halt::Fault(Error::Web(error))) if self.visit.sent_nothing(&error) => {
                self.state.in_doubt = false;
                self.keep().await?;
                Err(error.into())
            }
            Err(Halt::Fault(error)) => Err(self.doubted(error, true).into()),
            Err(ended) => Err(ended),
        }
    }

    /// A passing fault while answers were on their way may not be tried again by itself.
    fn doubted(&self, error: Error, spends: bool) -> Error {
        let ours = matches!(error, Error::Spool(_) | Error::Cancelled);
        if spends && !ours && error.class() == Class::Retry {
            return Error::LoginInDoubt { host: self.host() };
        }
        error
    }

    fn in_doubt(&self, halt: Halt, spends: bool) -> Halt {
        match halt {
            Halt::Fault(error) => Halt::Fault(self.doubted(error, spends)),
            ended @ Halt::Ended(_) => ended,
        }
    }

    /// Nothing is spent on a call that would be refused: it leaves the hosts, or what was encrypted so far.
    fn guarded(&self, call: &Call) -> Result<(), Error> {
        if !self.visit.reaches(&call.url) {
            let host = call.url.host_str().unwrap_or("").to_owned();
            return Err(web::Error::Stray { host }.into());
        }
        let from = self.state.page.as_ref().map_or(self.link.url(), |page| &page.url);
        if from.scheme() == "https" && call.url.scheme() != "https" {
            return Err(web::Error::Downgrade { host: self.host() }.into());
        }
        Ok(())
    }

    pub(super) async fn send(&mut self, call: Call) -> Result<Answer, Halt> {
        self.guarded(&call)?;
        self.requests = self.requests.saturating_add(1);
        if self.requests > self.recipe.file.limits.requests {
            let what = "the recipe's limit on requests is reached";
            return Err(Error::Answer { host: self.host(), what }.into());
        }
        let answer = self.visit.send(call).await.map_err(store::too_large)?;
        trace::answer(self.trace, &answer);
        Ok(answer)
    }

    pub(super) async fn read(&mut self, mut answer: Answer) -> Result<Page, Error> {
        let headers = answer.headers(LONGEST_HEADER);
        let body = answer.bytes(MOST_BODY).await?;
        let page = Page::new(answer.status(), answer.url().clone(), headers, &body);
        if !page.may_be_html() {
            return Ok(page);
        }
        // The whole answer is read as HTML at once, away from what others wait for.
        let read = tokio::task::spawn_blocking(move || {
            let _ = page.html();
            page
        });
        read.await.map_err(|_| Error::Cancelled)
    }

    // --- what an answer means

    /// Holds an answer against the outcomes.
    async fn judge(&mut self, step: &Step, page: &Page) -> Result<Option<Ending>, Halt> {
        let recipe = self.recipe;
        let rules = recipe.file.outcomes.iter().map(toml::Spanned::get_ref);
        let mut rules =
            rules.filter(|rule| rule.steps.is_empty() || rule.steps.contains(&step.name));
        let Some(rule) = rules.find(|rule| rule.when.holds(page)) else {
            return Ok(None);
        };
        self.say(&format!("by the outcomes of the recipe this means: {}", rule.outcome.word()));
        let told = rule.say.clone();
        match rule.outcome {
            Outcome::WrongFactor => {
                let said = Outcome::WrongFactor.sentence();
                let note = Some(told.map_or(said.to_owned(), |told| format!("{said}; {told}")));
                // The code that was asked for in between is asked again there; anything else from the start.
                if let Some(at) = self.state.asked_at
                    && let Some(names) =
                        recipe.file.steps.get(at).and_then(|s| s.get_ref().ask.as_ref())
                    && step.uses(&|name| names.iter().any(|known| known == name))
                {
                    self.state.next = at;
                    self.state.in_doubt = false;
                    self.state.page = Some(page.clone());
                    return Ok(Some(self.pause(names, note).await?));
                }
                let used = |name: &String| step.uses(&|known| known == name);
                let mut questions = self.questions(&used);
                if questions.is_empty() {
                    questions = self.questions(&|_| true);
                }
                self.state = State { refused: true, spent: true, ..self.recipe.start(self.link) };
                self.before_files = None;
                self.keep().await?;
                Ok(Some(Ending::Asked { questions, note }))
            }
            // The answers would have to go out again.
            Outcome::Preparing if step.uses(&|name| self.is_input(name)) => {
                Err(Error::NotReady { host: self.host() }.into())
            }
            Outcome::Preparing => {
                let wait = recognise::wait_told(page.header("retry-after").as_deref());
                self.state.in_doubt = false;
                Ok(Some(self.prepare(wait).await?))
            }
            outcome => Err(Error::Portal { host: self.host(), outcome, told }.into()),
        }
    }

    /// The same for a step that cannot end well with such an answer.
    async fn judged(&mut self, step: &Step, page: &Page) -> Result<(), Halt> {
        match self.judge(step, page).await? {
            None | Some(Ending::Done { .. }) => Ok(self.usual(page)?),
            Some(Ending::Asked { questions, note }) => {
                Err(Halt::Ended(Pulled::Asked { questions, note }))
            }
            Some(Ending::Preparing { wait }) => {
                Err(Halt::Ended(Pulled::Preparing { wait, session: None }))
            }
        }
    }

    /// What a status means if no outcome says otherwise.
    pub(super) fn usual(&self, page: &Page) -> Result<(), Error> {
        let host = self.host();
        if !matches!(page.status, 200..=299) {
            self.trace.instead(&format!(
                "{}, and no outcome of the recipe says what that means",
                page.kind()
            ));
        }
        let outcome = match page.status {
            200..=299 => return Ok(()),
            404 | 410 if !self.state.spent => Outcome::Unknown,
            500..=599 => return Err(Error::Unavailable { host, status: page.status }),
            401 | 403 if self.state.spent => return Err(Error::SessionLost { host }),
            status => return Err(Error::Refused { host, status }),
        };
        Err(Error::Portal { host, outcome, told: None })
    }

    fn extract(&mut self, step: &Step, page: &Page) -> Result<(), Error> {
        let cookie = |name: &str| self.visit.jar().value(&page.url, name).map(str::to_owned);
        let mut values = Vec::new();
        for (name, reading) in &step.extract {
            match reading.read(page, &cookie) {
                Some(value) => values.push((name.clone(), value)),
                None if reading.optional => values.push((name.clone(), String::new())),
                None => {
                    let what = format!("`{name}` is not at {}", reading.place());
                    return Err(self.differs(&what, &reading.instead(page, &cookie)));
                }
            }
        }
        for (name, value) in values {
            let length = value.chars().count();
            let found = if length == 0 { "is not there, which is allowed" } else { "is found" };
            self.say(&format!("{name} {found} ({length} characters)"));
            self.state.values.insert(name, value);
        }
        for (name, listing) in &step.list {
            let entries = match listing.read(page) {
                Some(entries) if listing.optional || !entries.is_empty() => entries,
                None if listing.optional => vec![],
                Some(_) => {
                    self.trace.instead(&listing.instead(page));
                    return Err(Error::Nothing { host: self.host() });
                }
                None => {
                    let what = format!("the list `{name}` is not at {}", listing.place());
                    return Err(self.differs(&what, &listing.instead(page)));
                }
            };
            self.say(&format!("the list {name} has {} entries", entries.len()));
            self.state.lists.insert(name.clone(), entries);
        }
        Ok(())
    }

    /// The portal is not as the recipe says; `what` holds words of the recipe only.
    pub(super) fn changed(&self, what: &str) -> Error {
        let step = self.recipe.file.steps.get(self.state.next).map(toml::Spanned::get_ref);
        let label = step.map(|step| trace::label(self.state.next, step)).unwrap_or_default();
        let told = Some(format!("step {label}: {what}"));
        Error::Portal { host: self.host(), outcome: Outcome::PortalChanged, told }
    }

    /// The same, with what is there instead for those who watch.
    pub(super) fn differs(&self, what: &str, instead: &str) -> Error {
        self.trace.instead(instead);
        self.changed(what)
    }

    // --- waiting

    /// Between two polls: in place for a while, then the import rests.
    async fn wait(&mut self, step: &Step, waited: &mut Duration) -> Result<Option<Ending>, Halt> {
        let every = step.every.unwrap_or(REST);
        let within = step.within.unwrap_or(every);
        self.state.polls = self.state.polls.saturating_add(1);
        self.state.in_doubt = false;
        // A rest counts as the polls it stands for.
        let rest = every.max(within / 40);
        let spent = every.saturating_mul(self.state.polls);
        if spent > within {
            return Err(Error::NotReady { host: self.host() }.into());
        }
        if self.pace == Pace::Recorded {
            return Ok(None);
        }
        // What is here already would be fetched again, and what was asked for would be begun anew.
        if waited.saturating_add(every) <= PATIENCE || !self.shelf.is_empty() {
            *waited = waited.saturating_add(every);
            self.rest(every).await;
            return Ok(None);
        }
        let polls = rest.as_secs().checked_div(every.as_secs().max(1)).unwrap_or(1);
        self.state.polls =
            self.state.polls.saturating_add(u32::try_from(polls).unwrap_or(u32::MAX));
        Ok(Some(self.prepare(rest).await?))
    }

    /// Rests with everything that is needed to go on.
    async fn prepare(&mut self, wait: Duration) -> Result<Ending, Halt> {
        self.keep().await?;
        self.say("the portal is still preparing the files");
        Ok(Ending::Preparing { wait })
    }

    /// Whether the whole attempt is in time.
    pub(super) async fn within(self, time: Duration) -> Result<Ending, Halt> {
        let host = self.host();
        match timeout(time, Box::pin(self.go())).await {
            Ok(ended) => ended,
            Err(_) => Err(Error::Deadline { host }.into()),
        }
    }
}
