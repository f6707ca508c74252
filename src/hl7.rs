//! HL7 v2 as it travels: MLLP frames, messages in their character set, acknowledgements.
//!
//! Owns both ends of an MLLP connection and the reading of a message down to its subcomponents; what a message
//! means is its reader's business. Invariants: every wait has a deadline and every buffer a limit; a message is
//! read whole or refused, never in part; an error names a segment and a field and holds no word of the message.
//!
//! Own code on purpose: of the crates with a usable licence, one returns success and leaves out everything behind
//! a segment it cannot read, shifts the header by one field under the delimiters of version 2.7 and quotes the
//! message in its errors; the frame codecs buffer without limit.

mod ask;
mod fault;
mod frame;
mod message;
mod reply;
mod text;
mod write;

pub use ask::{Remote, ask};
pub use fault::{Code, Fault, Verdict};
pub use frame::{Error, FRAME_LIMIT, Frame, Link, Patience};
pub use message::{Field, Head, Message, Segment, Separators, Value};
pub use reply::{Acknowledged, acknowledged, reply};
pub use write::{Line, control_id, header};

#[cfg(test)]
mod tests;
