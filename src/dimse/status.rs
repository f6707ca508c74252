//! DIMSE statuses: what a code means for the gateway, and what a person reads.
//!
//! Owns the one table from code to class (PS3.7 annex C, PS3.4 B.2.3, C.4.1.1.4, K.4.1.1.4). Invariant: a code that
//! no line names is never a success.

use std::fmt;

/// A DIMSE status (PS3.7 annex C).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

/// What to do after a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// Done.
    Success,
    /// Done, with something to record: the object is stored.
    Warning,
    /// More answers follow.
    Pending,
    /// Ended because it was asked to end.
    Cancelled,
    /// The destination lacks something now: try again with growing delay.
    Retry,
    /// Try again a few times only; it may be this object.
    RetryFewTimes,
    /// This object is there already; a policy says whether that is done or a question for a person.
    Duplicate,
    /// Never for this object as it is: to a person.
    Permanent,
}

impl Status {
    pub const SUCCESS: Self = Self(0x0000);
    /// Processing failure (PS3.7 C.5.9).
    pub const PROCESSING_FAILURE: Self = Self(0x0110);
    pub const DUPLICATE_INSTANCE: Self = Self(0x0111);
    pub const NO_SUCH_INSTANCE: Self = Self(0x0112);
    pub const NO_SUCH_EVENT_TYPE: Self = Self(0x0113);
    pub const INVALID_INSTANCE: Self = Self(0x0117);
    pub const NO_SUCH_ACTION: Self = Self(0x0123);
    pub const CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    pub const NOT_AUTHORISED: Self = Self(0x0124);
    /// A commitment is asked for under the Transaction UID of another (PS3.3 C.14.1.1).
    pub const DUPLICATE_TRANSACTION: Self = Self(0x0131);
    pub const RESOURCE_LIMITATION: Self = Self(0x0213);
    pub const UNRECOGNISED_OPERATION: Self = Self(0x0211);
    pub const MISTYPED_ARGUMENT: Self = Self(0x0212);
    pub const OUT_OF_RESOURCES: Self = Self(0xA700);
    pub const DOES_NOT_MATCH_CLASS: Self = Self(0xA900);
    pub const CANNOT_UNDERSTAND: Self = Self(0xC000);
    pub const COERCED: Self = Self(0xB000);
    pub const CANCELLED: Self = Self(0xFE00);
    /// To an object that comes after we cancelled: out of resources, since a C-STORE can't be cancelled.
    pub const CANCELLED_BY_US: Self = Self::OUT_OF_RESOURCES;
    /// The destination of a C-MOVE is not known (PS3.4 C.4.2.1.5).
    pub const MOVE_DESTINATION_UNKNOWN: Self = Self(0xA801);
    pub const PENDING: Self = Self(0xFF00);
    /// Pending, and optional keys were not supported for matching.
    pub const PENDING_WARNING: Self = Self(0xFF01);

    /// The gateway's reading of the code (PS3.7 annex C, PS3.4 B.2.3), and of what vendors send in its place.
    pub fn class(self) -> StatusClass {
        match self.0 {
            0x0000 => StatusClass::Success,
            0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF => StatusClass::Warning,
            0xFF00 | 0xFF01 => StatusClass::Pending,
            0xFE00 => StatusClass::Cancelled,
            // dcm4chee's "conflicting patient attribute" stands in the range of passing faults and is none.
            0xA779 => StatusClass::Permanent,
            0xA700..=0xA7FF | 0x0213 => StatusClass::Retry,
            0x0110 => StatusClass::RetryFewTimes,
            0x0111 => StatusClass::Duplicate,
            0x0002..=0x0106
            | 0x0108..=0x010F
            | 0x0112..=0x0115
            | 0x0117..=0x0212
            | 0x0214..=0xA6FF
            | 0xA800..=0xAFFF
            | 0xC000..=0xFDFF
            | 0xFE01..=0xFEFF
            | 0xFF02..=0xFFFF => StatusClass::Permanent,
        }
    }

    /// What happened and what to do next, for a person.
    pub fn sentence(self) -> String {
        let text = match self.0 {
            0x0000 => "stored",
            0xB000 => "stored, but the destination changed elements; compare the patient there",
            0xB006 => "stored, but the destination left elements out",
            0xB007 => "stored, but the destination finds that the object does not fit its class",
            0x0001 | 0x0107 | 0x0116 | 0xB001..=0xB005 | 0xB008..=0xBFFF => "done with a warning",
            0xFF00 | 0xFF01 => "not finished yet",
            0xFE00 => "cancelled",
            0xA779 => {
                "the destination holds other patient data for this study; correct one side, then retry"
            }
            0xA700..=0xA7FF | 0x0213 => {
                "the destination is out of resources; it is tried again, check its disk if this lasts"
            }
            0x0110 => "the destination failed while processing; look into its log if this lasts",
            0x0111 => "the destination has this instance already",
            0x0105 | 0x0106 | 0x0115 | 0x0120 | 0x0121 | 0xA900..=0xA9FF => {
                "the destination finds that the object does not fit its class; check the object at its source"
            }
            0x0112 => "the destination does not know this instance",
            0x0117 => "the destination refuses the instance UID",
            0x0118 | 0x0122 => {
                "the destination does not take this kind of object; enable its SOP class there or choose another destination"
            }
            0x0124 => {
                "the destination does not permit this; ask its administrator to allow our AE title"
            }
            0x0210..=0x0212 => {
                "one side misunderstood the other; report this with the log of both sides"
            }
            0xA801 => "the move destination is not known there; enter our AE title and address",
            0xC000..=0xCFFF => "the destination cannot understand the object; look into its log",
            0x0002..=0x0104
            | 0x0108..=0x010F
            | 0x0113
            | 0x0114
            | 0x0119..=0x011F
            | 0x0123
            | 0x0125..=0x020F
            | 0x0214..=0xA6FF
            | 0xA800
            | 0xA802..=0xA8FF
            | 0xAA00..=0xAFFF
            | 0xD000..=0xFDFF
            | 0xFE01..=0xFEFF
            | 0xFF02..=0xFFFF => "the destination refused; look into its log",
        };
        format!("{text} (status {self})")
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({:04X})", self.0)
    }
}
