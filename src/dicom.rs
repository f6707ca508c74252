//! The vocabulary of DICOM, and its bytes: what is true of a UID, a name or a data set anywhere.
//!
//! Owns the newtypes that every other module speaks in, the character sets, and the scanner that foreign
//! bytes meet first. It does no IO of its own. Invariant: a value of one of these types is well-formed; text
//! that came from outside stays data and types that hold patient data print redacted under `Debug`.

pub mod bulk;
pub mod charset;
pub mod convert;
pub mod dataset;
pub mod inspect;
pub mod layout;
pub mod order;
pub mod patch;
pub mod patient;
mod redacted;
#[cfg(test)]
pub(crate) mod sample;
pub mod scan;
pub mod study;
pub mod syntax;
pub mod uid;
mod vr;
mod walk;

pub use charset::CharacterSets;
pub use dataset::{DataSet, Element, Value};
pub use dicom_core::{Tag, VR};
pub use layout::{Around, Bulk, DerivedUid, Layout, PixelData};
pub use order::{AccessionNumber, Code, Item, Step};
pub use patient::{BirthDate, Patient, PatientId, PersonName, Sex};
pub(crate) use redacted::redacted;
pub use study::StudyFacts;
pub use syntax::Syntax;
pub use uid::{AeTitle, Uid};
