//! What an answer to a request for commitment means: table 8 of the rules as far as it concerns N-ACTION
//! (PS3.7 10.1.4.1.10 and annex C, PS3.4 J.3.2.3).
//!
//! Pure. Invariant: whatever is no success has killed the transaction UID; what follows is asked for under a new one
//! or not at all.

use crate::dimse::{Status, StatusClass};

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// It does not commit at all.
    Absent,
    /// It lacks something now: asked again, with growing delay.
    Wait,
    /// It may have been this request: asked again a few times.
    AskAgain,
    /// Asking again changes nothing.
    Person,
}

/// A request that will not be reported on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub follows: Follows,
    /// Without who refused.
    pub sentence: String,
}

impl Refusal {
    /// `None` if the request was taken.
    pub fn of(status: Status) -> Option<Self> {
        let (follows, text) = match status.0 {
            _ if matches!(status.class(), StatusClass::Success | StatusClass::Warning) => {
                return None;
            }
            0x0110 => (Follows::AskAgain, "it failed while it processed the request"),
            0x0111 => (Follows::AskAgain, "it has the same request already"),
            0x0131 => (Follows::AskAgain, "it has seen the transaction UID before"),
            0x0213 | 0xA700..=0xA7FF => (Follows::Wait, "it lacks resources; check its disk"),
            0x0112 => (Follows::Absent, "it does not know the instance that takes such requests"),
            0x0118 => (Follows::Absent, "it does not know the SOP class Storage Commitment"),
            0x0122 => (Follows::Absent, "it does not support the SOP class Storage Commitment"),
            0x0123 => (Follows::Absent, "it does not know the action Request Storage Commitment"),
            0x0211 => (Follows::Absent, "it does not know the operation N-ACTION"),
            0x0124 => (
                Follows::Person,
                "it does not permit us to ask; have its administrator allow our AE title",
            ),
            0x0114 => (Follows::Person, "it misses an argument of the request"),
            0x0115 => (Follows::Person, "it finds a value of the request invalid"),
            0x0117 => (Follows::Person, "it finds the instance UID of the service invalid"),
            0x0119 => (Follows::Person, "it finds that class and instance of the service differ"),
            0x0210 => (Follows::Person, "it takes the number of our message for a used one"),
            0x0212 => (Follows::Person, "it cannot read an argument of the request"),
            0x0105 | 0x0106 | 0x0120 | 0x0121 => {
                (Follows::Person, "it misses an attribute of the request or finds it wrong")
            }
            _ => (Follows::AskAgain, "it refused for a reason that the standard does not know"),
        };
        Some(Self { follows, sentence: format!("{text} (status {status})") })
    }
}
