//! Whose a document is that came along, if it says so itself.

use crate::dicom::Patient;
use crate::matching::{self, Agreement};

/// A document beside images.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of their patient, as far as anybody can tell.
    Theirs,
    /// Taken, with a remark.
    Doubtful(&'static str),
    /// Set aside, for this reason.
    Anothers(&'static str),
}

impl Whose {
    /// Names are written in many ways, so that only a birth date parts a document from the images.
    pub(super) fn of(document: &Patient, images: &Patient) -> Self {
        match matching::patients(document, images) {
            (Agreement::Different, _) => Self::Anothers(
                "a clinical document with another birth date than the images; find out whose it is, and import it \
                 with that patient's images or file it by hand",
            ),
            (Agreement::Similar, _) => Self::Doubtful(
                "a clinical document with a birth date that is only similar to that of the images; it was taken, so \
                 check whose it is",
            ),
            (_, Agreement::Different) => Self::Doubtful(
                "a clinical document with another name than the images; it was taken, so check whose it is",
            ),
            _ => Self::Theirs,
        }
    }
}
