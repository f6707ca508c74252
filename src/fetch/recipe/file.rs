//! The recipe file: read as a whole, or refused with file, line and key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::hosts::{self, Host, Match};
use super::html::select::Selector;
use super::input::Input;
use super::outcome::{Condition, Rule};
use super::page::{Listing, Reading};
use super::patient::Shown;
use super::sample::Sample;
use super::template::{Shape, Template};
use crate::clock;
use crate::web::MOST_REDIRECTS;

/// A recipe is text that a person wrote; recorded pages are in it.
pub(super) const LARGEST: usize = 1 << 20;

/// Parts of a kind in one recipe.
const MOST_PARTS: usize = 50;

/// What is wrong with a recipe, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{sentence}", if .key.is_empty() { String::new() } else { format!("{key}: ") })]
pub struct Fault {
    pub file: String,
    /// From 1 on.
    pub line: usize,
    pub key: String,
    pub sentence: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct File {
    recipe: Spanned<u32>,
    pub(super) title: String,
    #[serde(default, rename = "match")]
    pub(super) rules: Match,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) inputs: Vec<Spanned<Input>>,
    pub(super) steps: Vec<Spanned<Step>>,
    #[serde(default)]
    pub(super) patient: Option<Spanned<Shown>>,
    #[serde(default)]
    pub(super) outcomes: Vec<Spanned<Rule>>,
    #[serde(default)]
    pub(super) samples: Vec<Spanned<Sample>>,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Hosts beside that of the link that the portal needs.
    pub(super) hosts: Vec<Host>,
    /// Bytes of all files together; never more than `max-download` in [fetch].
    #[serde(deserialize_with = "size")]
    pub(super) size: Option<u64>,
    /// For one attempt; never more than `deadline` in [fetch].
    #[serde(deserialize_with = "time")]
    pub(super) time: Option<Duration>,
    pub(super) redirects: usize,
    /// Of one attempt, each poll counted.
    pub(super) requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { hosts: vec![], size: None, time: None, redirects: 5, requests: 3000 }
    }
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    crate::fetch::section::size(deserializer).map(Some)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    clock::duration(deserializer).map(Some)
}

/// `[[steps]]`: one action, and what is read from its answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Step {
    /// For outcomes and the trace.
    pub(super) name: String,
    pub(super) get: Option<Template>,
    pub(super) post: Option<Template>,
    /// A form on the page that was read last.
    pub(super) submit: Option<Selector>,
    /// Waits for a person; the inputs by name.
    pub(super) ask: Option<Vec<String>>,
    pub(super) download: Option<Template>,
    /// The base of a DICOMweb service.
    pub(super) dicomweb: Option<Template>,
    pub(super) headers: BTreeMap<String, Template>,
    /// With `post`: a form.
    pub(super) form: Option<BTreeMap<String, Template>>,
    /// With `post`: a JSON document.
    pub(super) json: Option<Shape>,
    /// With `submit`: what is filled in.
    pub(super) fields: BTreeMap<String, Template>,
    /// With `submit`: the button that is pressed, if it matters.
    pub(super) button: Option<Selector>,
    /// With `get` or `post`: repeated until this holds.
    pub(super) until: Option<Condition>,
    #[serde(deserialize_with = "time")]
    pub(super) every: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(super) within: Option<Duration>,
    /// With `download` and `dicomweb`: once for each entry of this list.
    pub(super) each: Option<String>,
    /// With `dicomweb`: the study; all that the service shows if absent.
    pub(super) study: Option<Template>,
    /// With `download`: what a person sees the file called.
    pub(super) called: Option<Template>,
    pub(super) extract: BTreeMap<String, Reading>,
    pub(super) list: BTreeMap<String, Listing>,
}

/// Headers that are the client's own business.
const OWN_HEADERS: [&str; 8] = [
    "host",
    "cookie",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "accept-encoding",
    "te",
];

/// Reads a recipe; `name` is the file as a person knows it.
pub(super) fn parse(name: &str, text: &str) -> Result<File, Fault> {
    let fault = |at: usize, key: &str, sentence: String| Fault {
        file: name.to_owned(),
        line: text.get(..at).unwrap_or("").matches('\n').count().saturating_add(1),
        key: key.to_owned(),
        sentence,
    };
    if text.len() > LARGEST {
        return Err(fault(
            0,
            "",
            format!("this is larger than {LARGEST} bytes, so it is no recipe"),
        ));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        fault(at, &key_at(text, at), error.message().trim().replace('\n', "; "))
    })?;
    if *file.recipe.get_ref() != 1 {
        let sentence = "this release reads recipes of version 1".to_owned();
        return Err(fault(file.recipe.span().start, "recipe", sentence));
    }
    check(&file).map_err(|(at, key, sentence)| fault(at, &key, sentence))?;
    Ok(file)
}

/// The key of the line that a fault is in.
fn key_at(text: &str, at: usize) -> String {
    let start =
        text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |n| n.saturating_add(1));
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    let key = line.split('=').next().unwrap_or("").trim();
    key.chars().filter(|c| !c.is_control()).take(60).collect()
}

type Wrong = (usize, String, String);

/// What the types cannot say: names that are used are there before, keys stand where they mean something.
fn check(file: &File) -> Result<(), Wrong> {
    let wrong =
        |at: usize, key: &str, sentence: &str| Err((at, key.to_owned(), sentence.to_owned()));
    let parts = [file.inputs.len(), file.steps.len(), file.outcomes.len(), file.samples.len()];
    if parts.into_iter().any(|parts| parts > MOST_PARTS) {
        return wrong(0, "", "a recipe has at most 50 inputs, steps, outcomes and samples each");
    }
    let mut inputs = BTreeSet::new();
    for input in &file.inputs {
        let at = input.span().start;
        let name = input.get_ref().name.as_str();
        if Template::try_from(format!("{{{name}}}")).is_err()
            || name.contains('.')
            || name == "link"
        {
            return wrong(at, "name", "an input's name has letters, digits, `_` and `-`");
        }
        if !inputs.insert(name.to_owned()) {
            return wrong(at, "name", "two inputs have this name");
        }
    }
    if file.limits.redirects > MOST_REDIRECTS {
        return wrong(0, "redirects", "at most 10 redirects are followed");
    }
    let mut known: BTreeSet<String> =
        ["link", "link.origin", "link.host"].map(str::to_owned).into();
    known.extend(inputs.iter().cloned());
    known.extend(file.rules.link.iter().flat_map(|link| link.group_names()).map(str::to_owned));
    let mut lists: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    let mut paged = false;
    let mut brought = false;
    for step in &file.steps {
        let at = step.span().start;
        if brought && step.get_ref().asks(&inputs) {
            let key = if step.get_ref().ask.is_some() { "ask" } else { "steps" };
            let sentence = "an answer is sent once, and what is downloaded before it would have to be fetched again \
                            with it; move this step before the first that downloads";
            return wrong(at, key, sentence);
        }
        brought |= step.get_ref().brings();
        step.get_ref()
            .check(&inputs, &known, &lists, paged)
            .map_err(|(key, sentence)| (at, key, sentence))?;
        let step = step.get_ref();
        if !step.name.is_empty() && !names.insert(step.name.clone()) {
            return wrong(at, "name", "two steps have this name");
        }
        known.extend(step.extract.keys().cloned());
        for (name, listing) in &step.list {
            lists.insert(name.clone(), listing.fields.keys().cloned().collect());
        }
        paged |= step.get.is_some() || step.post.is_some() || step.submit.is_some();
    }
    if !brought {
        return wrong(0, "steps", "no step brings a file; end with `download` or `dicomweb`");
    }
    for rule in &file.outcomes {
        let at = rule.span().start;
        let rule = rule.get_ref();
        if rule.when.is_empty() || rule.when.is_stray() {
            return wrong(at, "when", "say what holds: status, url, body, css, json or header");
        }
        if let Some(name) = rule.steps.iter().find(|name| !names.contains(*name)) {
            return wrong(at, "steps", &format!("no step is called `{name}`"));
        }
    }
    if let Some(patient) = &file.patient {
        let checked = patient.get_ref().check(&inputs, &known, &lists);
        checked.map_err(|(key, sentence)| (patient.span().start, key, sentence))?;
    }
    hosts::of_samples(file)
}

impl Step {
    /// The templates of a step, with the key that each stands under.
    fn templates(&self) -> Vec<(&str, Vec<&str>)> {
        let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
        let single = [
            ("get", &self.get),
            ("post", &self.post),
            ("download", &self.download),
            ("dicomweb", &self.dicomweb),
            ("study", &self.study),
            ("called", &self.called),
        ];
        for (key, template) in single {
            all.extend(template.iter().map(|template| (key, template.names().collect())));
        }
        let tables = [
            ("headers", Some(&self.headers)),
            ("form", self.form.as_ref()),
            ("fields", Some(&self.fields)),
        ];
        for (key, table) in tables {
            let templates = table.into_iter().flat_map(BTreeMap::values);
            all.extend(templates.map(|template| (key, template.names().collect())));
        }
        if let Some(json) = &self.json {
            let mut names = Vec::new();
            json.names(&mut names);
            all.push(("json", names));
        }
        all
    }

    /// Whether one of these names is used in it.
    pub(super) fn uses(&self, is: &dyn Fn(&str) -> bool) -> bool {
        self.templates().iter().flat_map(|(_, names)| names).any(|name| is(name))
    }

    /// Whether files come by it.
    pub(super) fn brings(&self) -> bool {
        self.download.is_some() || self.dicomweb.is_some()
    }

    /// Whether it needs an answer of a person that is then used up.
    fn asks(&self, inputs: &BTreeSet<String>) -> bool {
        self.ask.is_some() || (!self.brings() && self.uses(&|name| inputs.contains(name)))
    }

    fn check(
        &self,
        inputs: &BTreeSet<String>,
        known: &BTreeSet<String>,
        lists: &BTreeMap<String, BTreeSet<String>>,
        paged: bool,
    ) -> Result<(), (String, String)> {
        let wrong = |key: &str, sentence: &str| Err((key.to_owned(), sentence.to_owned()));
        let requests = self.get.is_some() || self.post.is_some();
        let brings = self.brings();
        let actions = [
            self.get.is_some(),
            self.post.is_some(),
            self.submit.is_some(),
            self.ask.is_some(),
            self.download.is_some(),
            self.dicomweb.is_some(),
        ];
        if actions.into_iter().filter(|given| *given).count() != 1 {
            return wrong("steps", "a step is one of get, post, submit, ask, download, dicomweb");
        }
        let strays = [
            ("form", self.form.is_some() && self.post.is_none()),
            ("json", self.json.is_some() && (self.post.is_none() || self.form.is_some())),
            ("fields", !self.fields.is_empty() && self.submit.is_none()),
            ("button", self.button.is_some() && self.submit.is_none()),
            ("until", self.until.is_some() && !requests),
            ("every", self.every.is_some() != self.until.is_some()),
            ("within", self.within.is_some() != self.until.is_some()),
            ("each", self.each.is_some() && !brings),
            ("study", self.study.is_some() && self.dicomweb.is_none()),
            ("called", self.called.is_some() && self.download.is_none()),
            ("extract", !self.extract.is_empty() && (brings || self.ask.is_some())),
            ("list", !self.list.is_empty() && (brings || self.ask.is_some())),
            ("headers", !self.headers.is_empty() && self.ask.is_some()),
        ];
        if requests && (self.every.is_some() || self.within.is_some() || self.until.is_some()) {
            let all = self.until.is_some() && self.every.is_some() && self.within.is_some();
            if !all {
                return wrong("until", "until, every and within go together; write all three");
            }
        }
        if let Some((key, _)) = strays.into_iter().find(|(_, stray)| *stray) {
            return wrong(key, "this key does not go with this kind of step; see the manual");
        }
        if self.submit.is_some() && !paged {
            return wrong("submit", "no step before this one reads a page");
        }
        if let Some(until) = &self.until
            && (until.is_empty() || until.is_stray())
        {
            return wrong("until", "say what holds: status, url, body, css, json or header");
        }
        if let (Some(every), Some(within)) = (self.every, self.within)
            && (every < Duration::from_secs(1) || within < every)
        {
            return wrong("every", "a poll waits a second at least, and `within` is not shorter");
        }
        for name in self.ask.iter().flatten() {
            if !inputs.contains(name) {
                return wrong("ask", &format!("no input is called `{name}`"));
            }
        }
        let own = |name: &&String| OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
        if let Some(name) = self.headers.keys().find(own) {
            return wrong("headers", &format!("`{name}` is set by the client itself"));
        }
        for (name, reading) in &self.extract {
            if let Some(fault) = reading.fault() {
                return wrong(&format!("extract.{name}"), fault);
            }
            if inputs.contains(name)
                || name.contains('.')
                || matches!(name.as_str(), "link" | "item")
            {
                return wrong(&format!("extract.{name}"), "this name is taken");
            }
        }
        for (name, listing) in &self.list {
            if let Some(fault) = listing.fault() {
                return wrong(&format!("list.{name}"), fault);
            }
        }
        let fields = match &self.each {
            Some(list) => match lists.get(list) {
                Some(fields) => Some(fields),
                None => return wrong("each", &format!("no step before makes a list `{list}`")),
            },
            None => None,
        };
        for (key, names) in self.templates() {
            for name in names {
                let of_item = name.strip_prefix("item.").zip(fields);
                let is_there = known.contains(name)
                    || name.starts_with("link.query.")
                    || of_item.is_some_and(|(field, fields)| fields.contains(field));
                if !is_there {
                    return wrong(
                        key,
                        &format!("nothing before this step gives `{{{name}}}` a value"),
                    );
                }
                if inputs.contains(name) && (self.until.is_some() || brings) {
                    return wrong(
                        key,
                        "an answer is sent once, so it has no place in a step that is repeated; send it before",
                    );
                }
            }
        }
        Ok(())
    }
}
