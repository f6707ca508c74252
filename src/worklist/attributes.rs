//! The attributes of a worklist entry that are asked of the RIS, and that modalities may match and ask of us (PS3.4
//! table K.6-1). Invariant: both are the same, so that whatever a modality may ask for was fetched.

use dicom_dictionary_std::tags;

use crate::dicom::{Tag, VR};

/// Beside Scheduled Procedure Step Sequence, and the sequence itself.
pub const TOP: [(Tag, VR); 43] = [
    (tags::SPECIFIC_CHARACTER_SET, VR::CS),
    (tags::STUDY_DATE, VR::DA),
    (tags::STUDY_TIME, VR::TM),
    (tags::ACCESSION_NUMBER, VR::SH),
    (tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, VR::SQ),
    (tags::REFERRING_PHYSICIAN_NAME, VR::PN),
    (tags::REFERENCED_STUDY_SEQUENCE, VR::SQ),
    (tags::REFERENCED_PATIENT_SEQUENCE, VR::SQ),
    (tags::PATIENT_NAME, VR::PN),
    (tags::PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID, VR::LO),
    (tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, VR::SQ),
    (tags::PATIENT_BIRTH_DATE, VR::DA),
    (tags::PATIENT_SEX, VR::CS),
    (tags::OTHER_PATIENT_I_DS_SEQUENCE, VR::SQ),
    (tags::PATIENT_SIZE, VR::DS),
    (tags::PATIENT_WEIGHT, VR::DS),
    (tags::MEDICAL_ALERTS, VR::LO),
    (tags::ALLERGIES, VR::LO),
    (tags::PREGNANCY_STATUS, VR::US),
    (tags::STUDY_INSTANCE_UID, VR::UI),
    (tags::REQUESTING_PHYSICIAN, VR::PN),
    (tags::REQUESTING_SERVICE, VR::LO),
    (tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO),
    (tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, VR::SQ),
    (tags::ADMISSION_ID, VR::LO),
    (tags::ISSUER_OF_ADMISSION_ID_SEQUENCE, VR::SQ),
    (tags::SPECIAL_NEEDS, VR::LO),
    (tags::CURRENT_PATIENT_LOCATION, VR::LO),
    (tags::PATIENT_STATE, VR::LO),
    (tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, VR::SQ),
    (tags::REQUESTED_PROCEDURE_ID, VR::SH),
    (tags::REASON_FOR_THE_REQUESTED_PROCEDURE, VR::LO),
    (tags::REQUESTED_PROCEDURE_PRIORITY, VR::SH),
    (tags::PATIENT_TRANSPORT_ARRANGEMENTS, VR::LO),
    (tags::REQUESTED_PROCEDURE_COMMENTS, VR::LT),
    (tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, VR::LO),
    (tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, VR::LO),
    (tags::CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION, VR::LO),
    (tags::PATIENT_COMMENTS, VR::LT),
    (tags::REQUESTED_PROCEDURE_LOCATION, VR::LO),
    (tags::NAMES_OF_INTENDED_RECIPIENTS_OF_RESULTS, VR::PN),
    (tags::IMAGING_SERVICE_REQUEST_COMMENTS, VR::LT),
];

/// In an item of Scheduled Procedure Step Sequence.
pub const STEP: [(Tag, VR); 15] = [
    (tags::MODALITY, VR::CS),
    (tags::REQUESTED_CONTRAST_AGENT, VR::LO),
    (tags::SCHEDULED_STATION_AE_TITLE, VR::AE),
    (tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA),
    (tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM),
    (tags::SCHEDULED_PROCEDURE_STEP_END_DATE, VR::DA),
    (tags::SCHEDULED_PERFORMING_PHYSICIAN_NAME, VR::PN),
    (tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO),
    (tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, VR::SQ),
    (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH),
    (tags::SCHEDULED_STATION_NAME, VR::SH),
    (tags::SCHEDULED_PROCEDURE_STEP_LOCATION, VR::SH),
    (tags::PRE_MEDICATION, VR::LO),
    (tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS),
    (tags::COMMENTS_ON_THE_SCHEDULED_PROCEDURE_STEP, VR::LT),
];
