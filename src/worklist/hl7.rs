//! What HL7 v2 messages say about orders and patients, as changes of the local worklist.
//!
//! Order messages (ORM^O01, OMG^O19, OMI^O23) make, change and take away entries; patient messages (ADT) correct
//! and merge the patients of entries that are there. Invariants: nothing is guessed, so a message whose patient or
//! order is not clear is refused with the field at fault; taking the same message twice changes nothing more.

mod book;
mod numbers;
mod order;
mod patient;

use jiff::civil::Date;
use serde::Deserialize;

use crate::dicom::{CharacterSets, DataSet, Tag, VR};
use crate::hl7::{Code, Fault, Field, Message};

pub use book::Book;
pub use numbers::{Numbers, OrderNumber};
pub use order::{Change, Control};
pub use patient::{Identity, IssuedId, PatientChange, patient_of};

/// How the messages of a site are to be read.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The assigning authority of the local patient IDs, by namespace or universal ID.
    pub authority: Option<String>,
    pub accession_number: AccessionNumberFrom,
    /// For messages that name no character set and are no UTF-8.
    pub fallback: CharacterSets,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            authority: None,
            accession_number: AccessionNumberFrom::default(),
            fallback: CharacterSets::parse(Some(b"ISO_IR 100")),
        }
    }
}

/// Where a site's order messages have the accession number, if no IPC segment tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessionNumberFrom {
    /// OBR-18, as IHE has it.
    #[default]
    PlacerField,
    /// ORC-3, else OBR-3.
    FillerNumber,
    /// ORC-2, else OBR-2.
    PlacerNumber,
}

/// What one message says.
pub enum Told {
    Orders(Vec<Change>),
    Patient(PatientChange),
    /// Understood, and nothing to do with the worklist.
    Nothing,
}

/// Patient messages that tell who somebody is.
const UPDATES: [&str; 16] = [
    "A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A09", "A10", "A11", "A12", "A13",
    "A14", "A28", "A31",
];

/// Patient messages that put one patient ID in place of another.
const MERGES: [&str; 8] = ["A18", "A30", "A34", "A36", "A39", "A40", "A46", "A47"];

/// Patient messages without a word for the worklist. Those that move orders or visits from one patient to another
/// (A43 to A45) are not among them: they are refused, for what they ask is not done.
const OTHERS: [&str; 28] = [
    "A15", "A16", "A17", "A20", "A21", "A22", "A23", "A24", "A25", "A26", "A27", "A29", "A32",
    "A33", "A35", "A37", "A38", "A41", "A42", "A50", "A51", "A52", "A53", "A54", "A55", "A60",
    "A61", "A62",
];

/// Reads a message. `today` stands in where an order is not scheduled.
///
/// # Errors
/// The first fault, to be answered with AE or AR.
pub fn read(message: &Message, rules: &Rules, today: Date) -> Result<Told, Fault> {
    check_header(message)?;
    let (kind, event) = message.kind();
    match (kind.as_str(), event.as_str()) {
        ("ORM", "O01") | ("OMG", "O19") | ("OMI", "O23") => {
            order::read(message, rules, today).map(Told::Orders)
        }
        ("ADT", event) if UPDATES.contains(&event) => {
            patient::update(message, rules).map(Told::Patient)
        }
        ("ADT", event) if MERGES.contains(&event) => {
            patient::merge(message, rules).map(Told::Patient)
        }
        ("ADT", event) if OTHERS.contains(&event) => Ok(Told::Nothing),
        ("ORM" | "OMG" | "OMI" | "ADT", _) => Err(Fault::header(
            Code::EventCode,
            9,
            "this event is not taken here; O01, O19, O23 and the ADT events of admission, update and merge are",
        )),
        _ => Err(Fault::header(
            Code::MessageType,
            9,
            "this kind of message is not taken here; ORM, OMG, OMI and ADT are",
        )),
    }
}

fn check_header(message: &Message) -> Result<(), Fault> {
    let header = message.header();
    if header.field(10).text(1).is_none() {
        return Err(Fault::header(
            Code::RequiredFieldMissing,
            10,
            "a message without a control ID cannot be acknowledged",
        ));
    }
    if header.field(11).text(1).is_some_and(|id| id != "P") {
        return Err(Fault::header(
            Code::ProcessingId,
            11,
            "only messages of production (P) are taken, none of test or training",
        ));
    }
    if !header.field(12).text(1).is_some_and(|version| version.starts_with("2.")) {
        return Err(Fault::header(Code::VersionId, 12, "only HL7 version 2 is read here"));
    }
    Ok(())
}

/// A value as DICOM holds it: no backslash, which separates values there (PS3.5 6.2), and no longer than
/// `limit`; the longest part that fits if it is only shown.
fn shown(text: &str, limit: usize) -> String {
    text.replace('\\', "/").chars().take(limit).collect()
}

/// A value that names something, and would name something else if it were cut.
fn naming(text: String, limit: usize, fault: Fault) -> Result<String, Fault> {
    let fits = text.chars().count() <= limit && !text.contains('\\');
    if fits { Ok(text) } else { Err(fault) }
}

/// `YYYYMMDD` and `HHMMSS` of a timestamp; `None` if it says nothing, an error if it is none.
fn timestamp(
    field: Field<'_>,
    component: usize,
    fault: Fault,
) -> Result<Option<(String, Option<String>)>, Fault> {
    let Some(text) = field.text(component) else { return Ok(None) };
    let (Some(day), rest) = (text.get(..8), text.get(8..).unwrap_or("")) else {
        return Err(fault);
    };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let behind = rest.get(digits.len()..).unwrap_or("");
    let is_time = matches!(digits.len(), 0 | 2 | 4 | 6)
        && digits.get(..2).is_none_or(|hour| hour < "24")
        && digits.get(2..4).is_none_or(|minute| minute < "60")
        && (behind.is_empty() || behind.starts_with(['+', '-', '.']));
    if crate::dicom::patient::parse_date(day).is_none() || !is_time {
        return Err(fault);
    }
    Ok(Some((day.to_owned(), (!digits.is_empty()).then_some(digits))))
}

/// Sets an element; an empty one stays as a key without value (type 2).
fn put(set: &mut DataSet, tag: Tag, vr: VR, text: Option<&str>) {
    let put = set.put_text(tag, vr, text.unwrap_or(""), &CharacterSets::utf8());
    debug_assert!(put, "UTF-8 holds every text");
}

#[cfg(test)]
mod tests;
