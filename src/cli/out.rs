//! Standard output and standard error, for a person or a program.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use serde_json::Value;

use super::BadInput;

/// What comes on standard input is a request or an answer, never a medium.
const MOST_INPUT: u64 = 1 << 20;

/// Prints a line. A reader that has gone away is no fault of ours.
pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", visible(text));
}

/// Prints one JSON document.
pub(super) fn document(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints one JSON document on one line.
pub(super) fn compact(value: &Value) {
    let _ = writeln!(io::stdout().lock(), "{value}");
}

pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "lotse: {}", visible(text));
}

/// Foreign text must not move a cursor or hide what is beside it: control and bidi characters are shown.
fn visible(text: &str) -> String {
    let hostile = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hostile(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a person is at both ends.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal; the question goes to standard error, so that output stays clean.
pub(super) fn ask(question: &str) -> anyhow::Result<String> {
    let mut error = io::stderr().lock();
    write!(error, "{} ", visible(question))?;
    error.flush()?;
    let mut answer = String::new();
    io::stdin().lock().take(MOST_INPUT).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(BadInput("the input ended before there was an answer".into()).into());
    }
    Ok(answer.trim().to_owned())
}

/// Everything on standard input.
pub(super) fn input() -> anyhow::Result<String> {
    let mut text = String::new();
    let taken = io::stdin().lock().take(MOST_INPUT + 1).read_to_string(&mut text);
    if taken.is_err() || u64::try_from(text.len()).unwrap_or(u64::MAX) > MOST_INPUT {
        return Err(BadInput("standard input is no text, or more than 1 MiB of it".into()).into());
    }
    Ok(text)
}

/// Text of a JSON value at a pointer, empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// Number of a JSON value at a pointer.
pub(super) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// Items of a JSON array at a pointer.
pub(super) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_and_bidi_characters_are_shown_not_obeyed() {
        assert_eq!(super::visible("A\u{1b}[2JB\u{202e}C\r"), "A\u{fffd}[2JB\u{fffd}C\u{fffd}");
        assert_eq!(super::visible("Müller\n"), "Müller\n");
    }
}
