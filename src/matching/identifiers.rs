//! How patient IDs compare.
//!
//! Invariant: only IDs of one issuer agree or contradict; a number alone is given to somebody in every hospital.

use crate::dicom::PatientId;

use super::Agreement;
use super::kvnr;

fn without_zeros(number: &str) -> &str {
    number.trim().trim_start_matches('0')
}

/// An ID of a header, read once.
#[derive(Clone, Copy)]
pub(super) struct ForeignId<'a> {
    id: &'a str,
    issuer: Option<&'a str>,
    kvnr: Option<&'a str>,
}

impl<'a> From<&'a PatientId> for ForeignId<'a> {
    fn from(id: &'a PatientId) -> Self {
        let issuer = id.issuer.as_deref().map(str::trim).filter(|issuer| !issuer.is_empty());
        Self { id: id.id.trim(), issuer, kvnr: kvnr::of(id) }
    }
}

/// Compares the IDs of a header with a local one. Only IDs of one issuer can agree or contradict: a number
/// alone is given to somebody in every hospital.
pub(super) fn patient_ids(
    header: &[ForeignId<'_>],
    local: Option<&PatientId>,
    universal: Option<&str>,
) -> Agreement {
    let Some(local) = local else {
        return Agreement::Missing;
    };
    let local_id = local.id.trim();
    let local_issuer = local.issuer.as_deref().map(str::trim).filter(|i| !i.is_empty());
    let (mut by_insurance, mut by_issuer, mut weaker) = (None, None, Agreement::Missing);
    for foreign in header {
        let ForeignId { id, issuer, kvnr } = *foreign;
        if let (Some(theirs), Some(ours)) = (kvnr, kvnr.and_then(|_| kvnr::of(local))) {
            by_insurance = Some(with(by_insurance, agreement(theirs, ours)));
        }
        let same_issuer = issuer.is_some() && (issuer == local_issuer || issuer == universal);
        let same_id = id == local_id;
        let is_padded = !same_id && without_zeros(id) == without_zeros(local_id);
        if same_issuer && !is_padded {
            by_issuer = Some(with(by_issuer, agreement(id, local_id)));
        } else if same_issuer || (same_id && (issuer.is_none() || local_issuer.is_none())) {
            weaker = Agreement::Similar;
        }
    }
    // One insured person, whoever wrote the number down; and another ID of our issuer outweighs a number that
    // happens to be the same.
    by_insurance.or(by_issuer).unwrap_or(weaker)
}

fn agreement(theirs: &str, ours: &str) -> Agreement {
    if theirs == ours { Agreement::Equal } else { Agreement::Different }
}

/// What an issuer's IDs say with one more of them. Two, as after a merge, are neither trusted nor a
/// contradiction, in whatever order and however often they stand there.
fn with(before: Option<Agreement>, this: Agreement) -> Agreement {
    if before.is_none_or(|before| before == this) { this } else { Agreement::Similar }
}

/// A local patient ID as the request names it: the issuer only has to agree if both tell one.
pub(super) fn requested_patient(
    asked: Option<&PatientId>,
    local: Option<&PatientId>,
    universal: Option<&str>,
) -> Agreement {
    let (Some(asked), Some(local)) = (asked, local) else {
        return Agreement::Missing;
    };
    let issuers = match (asked.issuer.as_deref(), local.issuer.as_deref()) {
        (Some(a), Some(b)) => a.trim() == b.trim() || universal == Some(a.trim()),
        _ => true,
    };
    if issuers && asked.id.trim() == local.id.trim() {
        Agreement::Equal
    } else {
        Agreement::Different
    }
}
