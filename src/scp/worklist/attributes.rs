//! The attributes that a query may match and ask for (PS3.4 table K.6-1).
//!
//! All that the gateway asks of the RIS itself (`worklist::attributes`); the rest is answered with zero length and
//! status FF01.

use dicom_dictionary_std::tags;

use crate::dicom::{Tag, VR};
use crate::worklist::attributes::{STEP, TOP};

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Top,
    /// In an item of Scheduled Procedure Step Sequence.
    Step,
    /// In an item of any other sequence.
    Within,
    /// Of a study, series or instance that is held.
    Held,
}

/// One attribute of the table, for the conformance statement.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub tag: Tag,
    pub vr: VR,
    /// Whether it stands in Scheduled Procedure Step Sequence.
    pub in_step: bool,
}

/// Every attribute that is matched and returned.
pub fn keys() -> impl Iterator<Item = Key> {
    let of = |in_step| move |&(tag, vr): &(Tag, VR)| Key { tag, vr, in_step };
    TOP.iter().map(of(false)).chain(STEP.iter().map(of(true)))
}

/// The VR of an attribute at a level; `None` if it is not supported there.
pub(super) fn supported(level: Level, tag: Tag) -> Option<VR> {
    let table: &[(Tag, VR)] = match level {
        Level::Top => &TOP,
        Level::Step => &STEP,
        Level::Within => &WITHIN,
        Level::Held => &HELD,
    };
    table.iter().find(|(known, _)| *known == tag).map(|(_, vr)| *vr)
}

/// What is matched and returned of studies that are held (PS3.4 tables C.6-1 to C.6-5).
const HELD: [(Tag, VR); 41] = [
    (tags::SOP_CLASS_UID, VR::UI),
    (tags::SOP_INSTANCE_UID, VR::UI),
    (tags::STUDY_DATE, VR::DA),
    (tags::SERIES_DATE, VR::DA),
    (tags::CONTENT_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::SERIES_TIME, VR::TM),
    (tags::CONTENT_TIME, VR::TM),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::QUERY_RETRIEVE_LEVEL, VR::CS),
    (tags::MODALITY, VR::CS),
    (tags::MODALITIES_IN_STUDY, VR::CS),
    (tags::SOP_CLASSES_IN_STUDY, VR::UI),
    (tags::INSTITUTION_NAME, VR::LO),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::STUDY_DESCRIPTION, VR::LO),
    (tags::SERIES_DESCRIPTION, VR::LO),
    (tags::MANUFACTURER, VR::LO),
    (tags::MANUFACTURER_MODEL_NAME, VR::LO),
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::PATIENT_AGE, VR::AS),
    (tags::PATIENT_COMMENTS, VR::LT),
    (tags::BODY_PART_EXAMINED, VR::CS),
    (tags::PROTOCOL_NAME, VR::LO),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::SERIES_INSTANCE_UID, VR::UI),
    (tags::STUDY_ID, VR::SH),
    (tags::SERIES_NUMBER, VR::IS),
    (tags::INSTANCE_NUMBER, VR::IS),
    (tags::NUMBER_OF_PATIENT_RELATED_STUDIES, VR::IS),
    (tags::NUMBER_OF_STUDY_RELATED_SERIES, VR::IS),
    (tags::NUMBER_OF_STUDY_RELATED_INSTANCES, VR::IS),
    (tags::NUMBER_OF_SERIES_RELATED_INSTANCES, VR::IS),
    (tags::ROWS, VR::US),
    (tags::COLUMNS, VR::US),
    (tags::NUMBER_OF_FRAMES, VR::IS),
    (tags::RETRIEVE_AE_TITLE, VR::AE),
];

const WITHIN: [(Tag, VR); 14] = [
    (tags::CODE_VALUE, VR::SH),
    (tags::CODING_SCHEME_DESIGNATOR, VR::SH),
    (tags::CODING_SCHEME_VERSION, VR::SH),
    (tags::CODE_MEANING, VR::LO),
    (tags::REFERENCED_SOP_CLASS_UID, VR::UI),
    (tags::REFERENCED_SOP_INSTANCE_UID, VR::UI),
    (tags::PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, VR::SQ),
    (tags::TYPE_OF_PATIENT_ID, VR::CS),
    (tags::LOCAL_NAMESPACE_ENTITY_ID, VR::UT),
    (tags::UNIVERSAL_ENTITY_ID, VR::UT),
    (tags::UNIVERSAL_ENTITY_ID_TYPE, VR::CS),
    (tags::IDENTIFIER_TYPE_CODE, VR::CS),
];
