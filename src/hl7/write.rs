//! Messages that we write: UTF-8, the usual delimiters.

use std::fmt::Write as _;

/// A segment being written.
pub struct Line(String);

impl Line {
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The next field, one value.
    pub fn text(self, value: &str) -> Self {
        self.parts(&[value])
    }

    /// Empty fields.
    pub fn skip(mut self, count: usize) -> Self {
        self.0.extend(std::iter::repeat_n('|', count));
        self
    }

    /// The next field of several components.
    pub fn parts(mut self, values: &[&str]) -> Self {
        self.0.push('|');
        for (n, value) in values.iter().enumerate() {
            if n > 0 {
                self.0.push('^');
            }
            escape(value, &mut self.0);
        }
        self
    }

    /// The next field, repetitions of components.
    pub fn repeated(mut self, repetitions: &[Vec<&str>]) -> Self {
        self.0.push('|');
        for (n, values) in repetitions.iter().enumerate() {
            if n > 0 {
                self.0.push('~');
            }
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    self.0.push('^');
                }
                escape(value, &mut self.0);
            }
        }
        self
    }

    /// The segment with its end.
    pub fn end(mut self) -> String {
        let kept = self.0.trim_end_matches(['|', '^']).len();
        self.0.truncate(kept);
        self.0.push('\r');
        self.0
    }
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '~' => out.push_str("\\R\\"),
            '\\' => out.push_str("\\E\\"),
            '&' => out.push_str("\\T\\"),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\X{:02X}\\", u32::from(c) & 0xFF);
            }
            c => out.push(c),
        }
    }
}

/// MSH of a message from us. `kind` is code, event and structure; `at` is `YYYYMMDDHHMMSS±ZZZZ`.
pub fn header(
    from: (&str, &str),
    to: (&str, &str),
    at: &str,
    kind: &[&str],
    control_id: &str,
    processing_id: &str,
    version: &str,
) -> String {
    let line = Line(String::from("MSH|^~\\&"));
    line.text(from.0)
        .text(from.1)
        .text(to.0)
        .text(to.1)
        .text(at)
        .skip(1)
        .parts(kind)
        .text(control_id)
        .text(processing_id)
        .text(version)
        .skip(5)
        .text("UNICODE UTF-8")
        .end()
}

/// A control ID of our own: 20 characters, as MSH-10 holds.
pub fn control_id() -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    id.get(12..).unwrap_or(&id).to_owned()
}
