//! What a trial tells while it goes: steps as the recipe writes them, so no value is in it.

use std::sync::{Mutex, PoisonError};

use super::file::Step;
use crate::web::Answer;

/// Takes the lines of a trace.
pub trait Trace: Send + Sync {
    /// A remark within a step.
    fn line(&self, text: &str);

    /// A step begins: its number with its name, and what it does.
    fn step(&self, label: &str, what: &str) {
        self.line(&format!("Step {label}: {what}"));
    }

    /// What an answer has where the recipe looks in vain.
    fn instead(&self, text: &str) {
        self.line(&format!("found instead: {text}"));
    }
}

/// For pulls that nobody watches.
pub struct Silent;

impl Trace for Silent {
    fn line(&self, _: &str) {}
}

/// Keeps where a run stands, for samples.
#[derive(Default)]
pub(super) struct Kept(Mutex<(String, Option<String>)>);

impl Trace for Kept {
    fn line(&self, _: &str) {}

    fn step(&self, label: &str, _: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (label.to_owned(), None);
    }

    fn instead(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(text.to_owned());
    }
}

impl Kept {
    /// The step that was begun last; empty before the first.
    pub(super) fn step(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// A fault, and what was there instead of what was looked for.
    pub(super) fn with_instead(&self, what: String) -> String {
        match &self.0.lock().unwrap_or_else(PoisonError::into_inner).1 {
            Some(instead) => format!("{what}; found instead: {instead}"),
            None => what,
        }
    }
}

/// The number of a step as a person counts, and its name.
pub(super) fn label(number: usize, step: &Step) -> String {
    let number = number.saturating_add(1);
    if step.name.is_empty() { number.to_string() } else { format!("{number} \"{}\"", step.name) }
}

/// The step as written, with its values as names.
pub(super) fn step(trace: &dyn Trace, number: usize, step: &Step) {
    let what = if let Some(selector) = &step.submit {
        format!("fill in and send the form {}", selector.as_str())
    } else if let Some(inputs) = &step.ask {
        format!("ask a person for {}", inputs.join(", "))
    } else {
        let actions = [
            ("open", &step.get),
            ("send to", &step.post),
            ("download", &step.download),
            ("fetch by DICOMweb from", &step.dicomweb),
        ];
        let found =
            actions.into_iter().find_map(|(word, template)| Some((word, template.as_ref()?)));
        found.map_or(String::new(), |(word, template)| format!("{word} {}", template.text()))
    };
    let each = step.each.as_ref().map(|list| format!(", for each of the {list}"));
    trace.step(&label(number, step), &format!("{what}{}", each.unwrap_or_default()));
}

/// The answer: who, how, what kind, and how much.
pub(super) fn answer(trace: &dyn Trace, answer: &Answer) {
    let kind = answer.header("content-type").unwrap_or_default();
    let kind: String = kind.split(';').next().unwrap_or("").chars().take(60).collect();
    let kind = match kind.as_str() {
        "" => "of no kind".to_owned(),
        "text/html" => "a web page".to_owned(),
        "application/json" => "JSON".to_owned(),
        other => other.to_owned(),
    };
    let length = answer.content_length().map(|n| format!(", {n} bytes")).unwrap_or_default();
    let (host, status) = (answer.host(), answer.status());
    trace.line(&format!("{host} answered: status {status}{}, {kind}{length}", meaning(status)));
}

/// In words, for who does not know the numbers.
fn meaning(status: u16) -> &'static str {
    match status {
        200..=299 => " (fine)",
        401 | 403 => " (not let in)",
        404 | 410 => " (not there)",
        400..=499 => " (refused)",
        500..=599 => " (a fault of the portal)",
        _ => "",
    }
}
