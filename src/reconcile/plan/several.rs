//! What the top level tells where one study answers several orders of one patient.
//!
//! Single values have no room for two orders: Request Attributes Sequence tells each, and the top level what all of
//! them tell, or what the first does (PS3.17 J.4 leaves the accession number empty, or to one of them).

use crate::dicom::Item;
use crate::reconcile::policy::Several;

/// The orders as one. The patient is the first one's.
pub(super) fn as_one(first: &Item, further: &[Item], several: Several) -> Item {
    let mut told = first.clone();
    // Multi-valued: every study that an order refers to.
    for reference in further.iter().flat_map(|order| &order.referenced_studies) {
        if !told.referenced_studies.contains(reference) {
            told.referenced_studies.push(reference.clone());
        }
    }
    if several == Several::First {
        return told;
    }
    // A number goes with its issuer: what differs in either is not told.
    let admission = |order: &Item| (order.admission_id.clone(), order.admission_issuer.clone());
    if further.iter().any(|order| admission(order) != admission(first)) {
        (told.admission_id, told.admission_issuer) = (None, None);
    }
    macro_rules! only_what_all_tell {
        ($($field:ident),+ $(,)?) => {$(
            if further.iter().any(|order| order.$field != first.$field) {
                told.$field = Default::default();
            }
        )+};
    }
    only_what_all_tell!(
        accession_number,
        requested_procedure_id,
        requested_procedure_description,
        requested_procedure_codes,
        referring_physician,
        requesting_physician,
        requesting_service,
    );
    told
}
