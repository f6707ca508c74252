//! Why a walk stopped.

use crate::dicom::Tag;

/// Why bytes were refused. No message carries a value of the object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("sequences are nested deeper than {0}; ask the sender to export the study again")]
    TooDeep(usize),
    #[error("the object has more than {0} elements; ask the sender what it is")]
    TooManyElements(u64),
    #[error(
        "more than {0} bytes stand before the pixel data, large binary values not counted, and no more is taken; ask \
         the sender for it in several objects, or have it sent past the gateway"
    )]
    HeaderTooLarge(u64),
    #[error(
        "the object inflates to more than {0} bytes, and no more is taken; ask the sender for it without deflation"
    )]
    InflatedTooLarge(u64),
    #[error("the object ends in the middle of an element; fetch or send it again")]
    Truncated,
    #[error("{fault} at byte {at}; ask the sender to export the study again")]
    Malformed {
        /// Offset as in [`Layout`](crate::dicom::Layout).
        at: u64,
        fault: Fault,
    },
    #[error("the file is not DICOM")]
    NotDicom,
    #[error("the file does not say how it is encoded; ask the sender to export the study again")]
    NoTransferSyntax,
    #[error("reading failed")]
    Io(#[from] std::io::Error),
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("an element is longer than the sequence around it")]
    Overrun,
    #[error("a delimiter stands outside of a sequence")]
    StrayDelimiter,
    #[error("something else stands where an item has to")]
    NotAnItem,
    #[error("a value representation is unknown")]
    UnknownVr,
    #[error("an element that is no sequence has no length")]
    UndefinedLength,
    #[error("an element of group {0:04X} stands in the data set")]
    WrongGroup(u16),
    #[error("elements are out of order behind the pixel data")]
    OutOfOrder,
    #[error("element {0} occurs twice with different values")]
    Duplicate(Tag),
    #[error("the deflated data are damaged")]
    Deflate,
    #[error("the file meta group is too large")]
    MetaTooLarge,
    #[error("encapsulated pixel data can't be written in this syntax")]
    Encapsulated,
}

impl Fault {
    pub(in crate::dicom) fn at(self, at: u64) -> Error {
        Error::Malformed { at, fault: self }
    }
}
