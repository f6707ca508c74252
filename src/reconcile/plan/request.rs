//! The order inside an object: accession number, Request Attributes Sequence (PS3.3 table 10-9), and Referenced
//! Request Sequence (PS3.3 C.17.2), which documents have in its place.

use dicom_dictionary_std::tags;

use super::Site;
use super::element::{codes, empty, items, text};
use crate::dicom::{AccessionNumber, Item, Step, Uid};
use crate::reconcile::NewElement;

/// The accession number as it goes to the top level and into the request items; the issuer goes with it.
pub(super) struct Accession {
    pub(super) number: Option<NewElement>,
    pub(super) issuer: Option<NewElement>,
}

impl Accession {
    pub(super) fn of(item: &Item, site: &Site) -> Self {
        let local = item.accession_number.as_ref();
        let number =
            local.and_then(|a: &AccessionNumber| text(tags::ACCESSION_NUMBER, "SH", &a.number));
        let issuer = local.and_then(|a| a.issuer.as_deref()).or(site.accession_issuer.as_deref());
        let issuer = issuer
            .filter(|_| number.is_some())
            .and_then(|issuer| text(tags::LOCAL_NAMESPACE_ENTITY_ID, "UT", issuer))
            .map(|id| items(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, vec![vec![id]]));
        Self { number, issuer }
    }
}

/// Requested Procedure Code Sequence takes one item (PS3.3 table 10-9).
pub(super) fn procedure_code(item: &Item) -> Option<NewElement> {
    let first = item.requested_procedure_codes.get(..1)?;
    codes(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, first)
}

/// The studies that the order refers to (0008,1110), each by class and instance.
pub(super) fn referenced_studies(item: &Item) -> Option<NewElement> {
    let reference = |(class, instance): &(Uid, Uid)| {
        Some(vec![
            text(tags::REFERENCED_SOP_CLASS_UID, "UI", class.as_str())?,
            text(tags::REFERENCED_SOP_INSTANCE_UID, "UI", instance.as_str())?,
        ])
    };
    let all: Vec<_> = item.referenced_studies.iter().filter_map(reference).collect();
    (!all.is_empty()).then(|| items(tags::REFERENCED_STUDY_SEQUENCE, all))
}

/// One item a step that may still be filed under; all steps if none is open, one item if there are none.
pub(super) fn request_attributes(item: &Item, accession: &Accession) -> Vec<Vec<NewElement>> {
    let open: Vec<&Step> = item.steps.iter().filter(|step| step.is_open()).collect();
    let steps = if open.is_empty() { item.steps.iter().collect() } else { open };
    let order = |step: Option<&Step>| {
        let optional =
            |tag, vr, value: Option<&String>| value.and_then(|value| text(tag, vr, value));
        let parts = [
            accession.number.clone(),
            accession.issuer.clone(),
            referenced_studies(item),
            item.study_uid
                .as_ref()
                .and_then(|uid| text(tags::STUDY_INSTANCE_UID, "UI", uid.as_str())),
            optional(tags::REQUESTING_PHYSICIAN, "PN", item.requesting_physician.as_ref()),
            optional(tags::REQUESTING_SERVICE, "LO", item.requesting_service.as_ref()),
            optional(
                tags::REQUESTED_PROCEDURE_DESCRIPTION,
                "LO",
                item.requested_procedure_description.as_ref(),
            ),
            procedure_code(item),
            step.and_then(|step| {
                optional(
                    tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION,
                    "LO",
                    step.description.as_ref(),
                )
            }),
            step.and_then(|step| {
                codes(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, &step.protocol_codes)
            }),
            step.and_then(|step| {
                optional(tags::SCHEDULED_PROCEDURE_STEP_ID, "SH", step.id.as_ref())
            }),
            optional(tags::REQUESTED_PROCEDURE_ID, "SH", item.requested_procedure_id.as_ref()),
            optional(tags::REASON_FOR_THE_REQUESTED_PROCEDURE, "LO", item.reason.as_ref()),
        ];
        parts.into_iter().flatten().collect()
    };
    if steps.is_empty() {
        return vec![order(None)];
    }
    steps.into_iter().map(|step| order(Some(step))).collect()
}

/// The item of Referenced Request Sequence (0040,A370), whose attributes are all type 1 or 2
/// (PS3.3 C.17.2). A worklist without a Study Instance UID leaves the study's own.
pub(super) fn referenced_request(
    item: &Item,
    accession: &Accession,
    study: &Uid,
) -> Vec<NewElement> {
    let uid = item.study_uid.as_ref().unwrap_or(study);
    let or_empty = |tag, vr, value: Option<&String>| {
        Some(value.and_then(|value| text(tag, vr, value)).unwrap_or_else(|| empty(tag, vr)))
    };
    let codes = procedure_code(item);
    let parts = [
        accession.number.clone().or_else(|| Some(empty(tags::ACCESSION_NUMBER, "SH"))),
        accession.issuer.clone(),
        referenced_studies(item).or_else(|| Some(empty(tags::REFERENCED_STUDY_SEQUENCE, "SQ"))),
        text(tags::STUDY_INSTANCE_UID, "UI", uid.as_str()),
        or_empty(
            tags::REQUESTED_PROCEDURE_DESCRIPTION,
            "LO",
            item.requested_procedure_description.as_ref(),
        ),
        codes.or_else(|| Some(empty(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, "SQ"))),
        or_empty(tags::REQUESTED_PROCEDURE_ID, "SH", item.requested_procedure_id.as_ref()),
        Some(empty(tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, "LO")),
        Some(empty(tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, "LO")),
    ];
    parts.into_iter().flatten().collect()
}
