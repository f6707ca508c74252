//! One message: segments, fields, repetitions, components, subcomponents.
//!
//! Nothing is copied until a value is read. Numbers are HL7's own: they count from 1, and MSH-1 is the field
//! separator itself.

use crate::dicom::CharacterSets;

use super::fault::{Code, Fault};
use super::text;

/// Segments of one message. Orders of one patient come in dozens at most.
const SEGMENT_LIMIT: usize = 2_000;

/// The delimiters that a message declares in MSH-1 and MSH-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Separators {
    pub field: char,
    pub component: char,
    pub repetition: char,
    pub escape: char,
    pub subcomponent: char,
}

impl Default for Separators {
    fn default() -> Self {
        Self { field: '|', component: '^', repetition: '~', escape: '\\', subcomponent: '&' }
    }
}

impl Separators {
    /// Five different ASCII signs; version 2.7 adds a sixth that nothing here needs.
    fn of(header: &[u8]) -> Option<Self> {
        let signs = header.get(3..8)?;
        let fits = |sign: &u8| sign.is_ascii_graphic() && !sign.is_ascii_alphanumeric();
        let different =
            signs.iter().enumerate().all(|(n, a)| signs.iter().skip(n + 1).all(|b| a != b));
        match signs {
            [field, component, repetition, escape, subcomponent]
                if different && signs.iter().all(fits) =>
            {
                Some(Self {
                    field: char::from(*field),
                    component: char::from(*component),
                    repetition: char::from(*repetition),
                    escape: char::from(*escape),
                    subcomponent: char::from(*subcomponent),
                })
            }
            _ => None,
        }
    }
}

/// The header as far as an answer needs it, whatever else is wrong with the message. Values are as they were
/// written, cut to what the standard allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub application: String,
    pub facility: String,
    pub receiving_application: String,
    pub receiving_facility: String,
    pub trigger: String,
    pub control_id: String,
    pub processing_id: String,
    pub version: String,
}

impl Head {
    /// What can be read of it; empty where nothing can.
    pub fn peek(bytes: &[u8]) -> Self {
        let line = first_line(bytes);
        if !line.starts_with(b"MSH") {
            return Self::default();
        }
        let Some(separators) = Separators::of(line) else { return Self::default() };
        let text = String::from_utf8_lossy(line);
        let fields: Vec<&str> = text.split(separators.field).take(20).collect();
        // Only what stands for itself in our own delimiters is given back.
        let field = |number: usize, limit: usize| -> String {
            let written = fields.get(number - 1).copied().unwrap_or("");
            let first = written.split([separators.component, separators.repetition]).next();
            let kept = |c: &char| !c.is_control() && !"|^~\\&".contains(*c);
            first.unwrap_or("").chars().filter(kept).take(limit).collect()
        };
        let trigger = fields.get(8).and_then(|kind| kind.split(separators.component).nth(1));
        let is_code = |c: &char| c.is_ascii_alphanumeric();
        Self {
            application: field(3, 180),
            facility: field(4, 180),
            receiving_application: field(5, 180),
            receiving_facility: field(6, 180),
            trigger: trigger.unwrap_or("").chars().filter(is_code).take(3).collect(),
            control_id: field(10, 199),
            processing_id: field(11, 3),
            version: field(12, 8),
        }
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default()
}

/// Carriage returns end segments. Line feeds do for senders that write nothing else; of others they stand behind
/// a carriage return, or within a text, which they do not end unless a segment follows.
fn segments(text: &str, field: char) -> Vec<&str> {
    let is_blank = |text: &str| text.trim_matches(BLANK).is_empty();
    let has_returns = text.trim_end_matches(BLANK).contains('\r');
    let mut found = Vec::new();
    for line in text.split('\r') {
        let (mut rest, mut from, mut is_begun) = (line, 0, false);
        while let Some(at) = rest.get(from..).and_then(|behind| behind.find('\n')) {
            let at = from + at;
            let (before, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let behind = behind.strip_prefix('\n').unwrap_or(behind);
            is_begun = is_begun || !is_blank(before);
            let follows = is_segment(behind, field) && behind.chars().nth(3) == Some(field);
            if has_returns && is_begun && !follows {
                from = at + 1;
                continue;
            }
            found.push(before);
            (rest, from, is_begun) = (behind, 0, false);
        }
        found.push(rest);
    }
    found.retain(|line| !is_blank(line));
    found
}

const BLANK: [char; 4] = [' ', '\0', '\r', '\n'];

/// Three capital letters or digits, and nothing or a field separator.
fn is_segment(line: &str, field: char) -> bool {
    let mut signs = line.chars();
    let name: Vec<char> = signs.by_ref().take(3).collect();
    name.len() == 3
        && name.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        && signs.next().is_none_or(|sign| sign == field)
}

/// A message as text, with its delimiters and its character set.
#[derive(Clone)]
pub struct Message {
    text: String,
    separators: Separators,
    sets: CharacterSets,
    pub head: Head,
}

crate::dicom::redacted!(Message);

impl Message {
    /// Reads a message. `fallback` is the set of a message that declares none and is no UTF-8.
    ///
    /// # Errors
    /// The first fault that keeps it from being read as a whole.
    pub fn parse(bytes: &[u8], fallback: &CharacterSets) -> Result<Self, Fault> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let line = first_line(bytes);
        if !line.starts_with(b"MSH") {
            let sentence = "a message begins with MSH; this one does not";
            return Err(Fault {
                verdict: super::Verdict::Reject,
                ..Fault::segment("MSH", sentence)
            });
        }
        let separators = Separators::of(line).ok_or_else(|| {
            Fault::header(
                Code::DataType,
                2,
                "the delimiters have to be five different signs, usually |^~\\&",
            )
        })?;
        let field = u8::try_from(separators.field).unwrap_or(b'|');
        let declared = line.split(|byte| *byte == field).nth(17).unwrap_or_default();
        let declared = String::from_utf8_lossy(declared);
        let mut terms = declared.split(separators.repetition);
        let first = terms.next().unwrap_or("").to_owned();
        if terms.any(|term| !term.is_empty() && term != first) {
            return Err(Fault::header(
                Code::TableValue,
                18,
                "messages that switch between character sets are not read; send UNICODE UTF-8",
            ));
        }
        let (text, sets) = text::decode(bytes, &first, fallback)?;
        let message = Self { text, separators, sets, head: Head::peek(bytes) };
        message.check()?;
        Ok(message)
    }

    /// Every line is a segment, or the message is not what it seems.
    fn check(&self) -> Result<(), Fault> {
        let mut count = 0;
        for (n, line) in self.lines().enumerate() {
            count += 1;
            if !is_segment(line, self.separators.field) {
                return Err(Fault::segment(
                    "MSH",
                    "a line of the message is no segment: it begins with three capital letters or digits \
                     and a field separator",
                ));
            }
            if n > 0 && line.starts_with("MSH") {
                return Err(
                    Fault::segment("MSH", "a second MSH came; send one message a frame").at(2)
                );
            }
            if count > SEGMENT_LIMIT {
                return Err(Fault::segment("MSH", "the message has more than 2000 segments"));
            }
        }
        Ok(())
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        segments(&self.text, self.separators.field).into_iter()
    }

    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.lines().map(|line| Segment { line, message: self })
    }

    /// The first segment of this name.
    pub fn segment(&self, name: &str) -> Option<Segment<'_>> {
        self.segments().find(|segment| segment.name() == name)
    }

    /// The header. A message has one, or it was not read.
    pub fn header(&self) -> Segment<'_> {
        Segment { line: self.lines().next().unwrap_or("MSH"), message: self }
    }

    /// Message code and trigger event of MSH-9, such as `ORM`, `O01`. Version 2.3 leaves the event to EVN-1.
    pub fn kind(&self) -> (String, String) {
        let kind = self.header().field(9);
        let event = kind.text(2).or_else(|| self.segment("EVN")?.field(1).text(1));
        (kind.text(1).unwrap_or_default(), event.unwrap_or_default())
    }
}

/// One segment.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    line: &'a str,
    message: &'a Message,
}

impl<'a> Segment<'a> {
    pub fn name(&self) -> &'a str {
        self.line.get(..3).unwrap_or("")
    }

    /// A field by its number; empty if the segment ends before it.
    pub fn field(&self, number: usize) -> Field<'a> {
        // MSH-1 is the separator, so MSH-2 is the first behind it; field 0 is nowhere.
        let is_header = self.name() == "MSH";
        let place = if is_header { number.saturating_sub(1) } else { number };
        if place == 0 {
            return Field { text: "", message: self.message };
        }
        let text = self.line.split(self.message.separators.field).nth(place).unwrap_or("");
        Field { text, message: self.message }
    }
}

/// One field, or one of its repetitions.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    text: &'a str,
    message: &'a Message,
}

/// What a sender says of one value: HL7 tells nothing from "delete it" (`""`).
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    Absent,
    Null,
    Text(String),
}

crate::dicom::redacted!(Value);

impl<'a> Field<'a> {
    /// The repetitions that say anything.
    pub fn repetitions(&self) -> impl Iterator<Item = Field<'a>> {
        let message = self.message;
        let parts = self.text.split(message.separators.repetition);
        parts.filter(|text| !text.is_empty()).map(move |text| Field { text, message })
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Component of the first repetition as the sender means it.
    pub fn value(&self, component: usize) -> Value {
        match self.sub(component, 1) {
            "" => Value::Absent,
            "\"\"" => Value::Null,
            written => match self.resolved(written) {
                text if text.is_empty() => Value::Absent,
                text => Value::Text(text),
            },
        }
    }

    /// Component of the first repetition, its first subcomponent; `None` if it says nothing.
    pub fn text(&self, component: usize) -> Option<String> {
        self.part(component, 1)
    }

    /// Subcomponent of a component of the first repetition.
    pub fn part(&self, component: usize, subcomponent: usize) -> Option<String> {
        let written = self.sub(component, subcomponent);
        let text = if written == "\"\"" { String::new() } else { self.resolved(written) };
        (!text.is_empty()).then_some(text)
    }

    fn resolved(&self, written: &str) -> String {
        text::unescape(written, self.message.separators, &self.message.sets)
    }

    fn sub(&self, component: usize, subcomponent: usize) -> &'a str {
        let signs = self.message.separators;
        let first = self.text.split(signs.repetition).next().unwrap_or("");
        let component = first.split(signs.component).nth(component.saturating_sub(1)).unwrap_or("");
        component.split(signs.subcomponent).nth(subcomponent.saturating_sub(1)).unwrap_or("")
    }
}
