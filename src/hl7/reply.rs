//! The general acknowledgement (HL7 v2.5 2.13.1), written and read.

use crate::dicom::CharacterSets;

use super::fault::{Fault, Verdict};
use super::message::{Head, Message};
use super::write::{Line, control_id, header};

/// The answer to a message: AA, or the fault with its place, in ERR and as a sentence in MSA-3. `at` is the time
/// as HL7 writes it.
pub fn reply(head: &Head, fault: Option<&Fault>, at: &str) -> Vec<u8> {
    let verdict = fault.map_or(Verdict::Accept, |fault| fault.verdict);
    let is_ours = head.version.starts_with("2.");
    let version = if is_ours { &head.version } else { "2.5" };
    let processing = if head.processing_id.is_empty() { "P" } else { &head.processing_id };
    let ours =
        if head.receiving_application.is_empty() { "LOTSE" } else { &head.receiving_application };
    let kind = ["ACK", head.trigger.as_str(), "ACK"];
    // Without an event there is nothing to repeat.
    let kind = if head.trigger.is_empty() { &kind[..1] } else { &kind[..] };
    let mut text = header(
        (ours, &head.receiving_facility),
        (&head.application, &head.facility),
        at,
        kind,
        &control_id(),
        processing,
        version,
    );
    let mut msa = Line::new("MSA").text(verdict.as_str()).text(&head.control_id);
    if let Some(fault) = fault {
        msa = msa.text(&fault.to_string());
    }
    text.push_str(&msa.end());
    if let Some(fault) = fault {
        text.push_str(&err(fault, version));
    }
    text.into_bytes()
}

/// ERR as the version has it: before 2.5 all stands in ERR-1.
fn err(fault: &Fault, version: &str) -> String {
    let number = fault.code.number().to_string();
    let sequence = fault.sequence.to_string();
    let field = fault.field.map(|field| field.to_string()).unwrap_or_default();
    let is_old = ["2.1", "2.2", "2.3", "2.4"].iter().any(|old| version.starts_with(old));
    if is_old {
        let place = [fault.segment, &sequence, &field, &number];
        return Line::new("ERR").parts(&place).end();
    }
    Line::new("ERR")
        .skip(1)
        .parts(&[fault.segment, &sequence, &field])
        .parts(&[&number, fault.code.text(), "HL70357"])
        .text("E")
        .skip(3)
        .text(fault.sentence)
        .end()
}

/// What an answer to our own message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    pub verdict: Verdict,
    /// MSA-2: the control ID that it answers.
    pub control_id: String,
}

/// Reads MSA; `None` if there is none or it says nothing known.
pub fn acknowledged(message: &Message) -> Option<Acknowledged> {
    let msa = message.segment("MSA")?;
    let verdict = match msa.field(1).text(1)?.as_str() {
        "AA" | "CA" => Verdict::Accept,
        "AE" | "CE" => Verdict::Error,
        "AR" | "CR" => Verdict::Reject,
        _ => return None,
    };
    Some(Acknowledged { verdict, control_id: msa.field(2).text(1)? })
}

impl Message {
    /// [`Message::parse`] for what we ask ourselves: UTF-8 unless it says otherwise.
    pub fn parse_answer(bytes: &[u8]) -> Result<Self, Fault> {
        Self::parse(bytes, &CharacterSets::parse(Some(b"ISO_IR 100")))
    }
}
