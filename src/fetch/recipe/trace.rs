//! What a trial tells while it goes: steps as the recipe writes them, so no value is in it.

use super::file::Step;
use crate::web::Answer;

/// Takes the lines of a trace.
pub trait Trace: Send + Sync {
    fn line(&self, text: &str);
}

/// For pulls that nobody watches.
pub struct Silent;

impl Trace for Silent {
    fn line(&self, _: &str) {}
}

/// The step as written, with its values as names.
pub(super) fn step(trace: &dyn Trace, number: usize, step: &Step) {
    let what = if step.submit.is_some() {
        "submit a form".to_owned()
    } else if let Some(inputs) = &step.ask {
        format!("ask {}", inputs.join(", "))
    } else {
        let actions = [
            ("GET", &step.get),
            ("POST", &step.post),
            ("download", &step.download),
            ("DICOMweb", &step.dicomweb),
        ];
        let found =
            actions.into_iter().find_map(|(word, template)| Some((word, template.as_ref()?)));
        found.map_or(String::new(), |(word, template)| format!("{word} {}", template.text()))
    };
    let name = if step.name.is_empty() { String::new() } else { format!(" \"{}\"", step.name) };
    trace.line(&format!("step {}{name}: {what}", number.saturating_add(1)));
}

/// The answer: who, how, what kind, and whether the portal passed on.
pub(super) fn answer(trace: &dyn Trace, answer: &Answer) {
    let kind = answer.header("content-type").unwrap_or_default();
    let kind: String = kind.split(';').next().unwrap_or("").chars().take(60).collect();
    let length =
        answer.content_length().map_or("unknown length".to_owned(), |n| format!("{n} bytes"));
    trace.line(&format!("  {} answered {} ({kind}, {length})", answer.host(), answer.status()));
}
