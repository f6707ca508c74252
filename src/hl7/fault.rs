//! Why a message is not taken, so that its sender's administrator can mend it.

use std::fmt;

/// The acknowledgement code of original mode (HL7 table 0008).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// AA: taken, and durable.
    Accept,
    /// AE: what the message says cannot be used.
    Error,
    /// AR: the message as such is not for us, or cannot be taken now.
    Reject,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "AA",
            Self::Error => "AE",
            Self::Reject => "AR",
        }
    }
}

/// Message error condition codes (HL7 table 0357), as far as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    SegmentSequence,
    RequiredFieldMissing,
    DataType,
    TableValue,
    MessageType,
    EventCode,
    ProcessingId,
    VersionId,
    UnknownKey,
    Internal,
}

impl Code {
    pub fn number(self) -> u16 {
        match self {
            Self::SegmentSequence => 100,
            Self::RequiredFieldMissing => 101,
            Self::DataType => 102,
            Self::TableValue => 103,
            Self::MessageType => 200,
            Self::EventCode => 201,
            Self::ProcessingId => 202,
            Self::VersionId => 203,
            Self::UnknownKey => 204,
            Self::Internal => 207,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::SegmentSequence => "Segment sequence error",
            Self::RequiredFieldMissing => "Required field missing",
            Self::DataType => "Data type error",
            Self::TableValue => "Table value not found",
            Self::MessageType => "Unsupported message type",
            Self::EventCode => "Unsupported event code",
            Self::ProcessingId => "Unsupported processing id",
            Self::VersionId => "Unsupported version id",
            Self::UnknownKey => "Unknown key identifier",
            Self::Internal => "Application internal error",
        }
    }
}

/// What is wrong with a message, and where. Its sentence is ours alone: it holds no text of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub verdict: Verdict,
    pub code: Code,
    /// Segment name.
    pub segment: &'static str,
    /// Which of the segments with this name, from 1.
    pub sequence: usize,
    /// Field number; `None` means the segment itself.
    pub field: Option<usize>,
    pub sentence: &'static str,
}

impl Fault {
    /// AE on a field.
    pub fn field(code: Code, segment: &'static str, field: usize, sentence: &'static str) -> Self {
        let field = Some(field);
        Self { verdict: Verdict::Error, code, segment, sequence: 1, field, sentence }
    }

    /// AE on a segment that is missing or misplaced.
    pub fn segment(segment: &'static str, sentence: &'static str) -> Self {
        let code = Code::SegmentSequence;
        Self { verdict: Verdict::Error, code, segment, sequence: 1, field: None, sentence }
    }

    /// AR on a field of the header.
    pub fn header(code: Code, field: usize, sentence: &'static str) -> Self {
        Self { verdict: Verdict::Reject, ..Self::field(code, "MSH", field, sentence) }
    }

    /// AR: nothing is wrong with the message, but it cannot be taken now.
    pub fn not_now(sentence: &'static str) -> Self {
        let code = Code::Internal;
        Self { verdict: Verdict::Reject, code, segment: "MSH", sequence: 1, field: None, sentence }
    }

    /// In the nth segment of that name, from 1.
    pub fn at(mut self, sequence: usize) -> Self {
        self.sequence = sequence;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{}-{field}: {}", self.segment, self.sentence),
            None => write!(f, "{}: {}", self.segment, self.sentence),
        }
    }
}

impl std::error::Error for Fault {}
