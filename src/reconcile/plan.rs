//! From a decision to the plan of changes: the coercion table, as a function of values.
//!
//! What is not in the plan stays as it came: UIDs, the dates of the examination, the institution and device
//! it was made with, private attributes (IHE RAD-61). A value longer than its VR allows is written as the
//! worklist gave it: peers take it, and a number cut short would be the number of somebody else.

use dicom_dictionary_std::tags;

use super::{Change, NewElement, NewValue, Plan};
use crate::dicom::{
    AccessionNumber, AeTitle, Code, Item, Patient, PatientId, Step, StudyFacts, Tag, Uid,
};

/// What a study is filed under.
#[derive(Clone, Copy)]
pub enum Local<'a> {
    /// An order of the worklist with its patient (scheduled import).
    Order(&'a Item),
    /// A patient alone (unscheduled import): order attributes are emptied or removed.
    NoOrder(&'a Patient),
}

/// What the house that takes the study in adds to it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Our application entity, named as the modifying system.
    pub ae_title: AeTitle,
    /// The house's name, written into Contributing Equipment. Institution Name (0008,0080) stays the origin's.
    pub institution: String,
    /// Station Name of Contributing Equipment.
    pub station: Option<String>,
    /// Issuer of local patient IDs where the worklist names none.
    pub issuer: Option<String>,
    /// Issuer of local accession numbers where the worklist names none.
    pub accession_issuer: Option<String>,
    /// Whether the foreign patient ID goes on among Other Patient IDs (0010,1002).
    pub keep_foreign_id: bool,
    /// Whether the order's referring physician replaces the foreign one.
    pub replace_referring_physician: bool,
}

impl Site {
    /// The default policy: the foreign ID is kept traceable, the local referring physician replaces.
    pub fn new(ae_title: AeTitle, institution: &str) -> Self {
        Self {
            ae_title,
            institution: institution.to_owned(),
            station: None,
            issuer: None,
            accession_issuer: None,
            keep_foreign_id: true,
            replace_referring_physician: true,
        }
    }
}

/// Works out what changes when `study` is filed under `local`. The plan fixes the time of coercion as `at`,
/// so that it can be applied again with the same result.
pub fn plan(local: Local<'_>, study: &StudyFacts, site: &Site, at: &jiff::Zoned) -> Plan {
    let date_time = at.strftime("%Y%m%d%H%M%S%.3f%z").to_string();
    let mut changes = Changes(Vec::new());
    let (patient, order) = match local {
        Local::Order(item) => (&item.patient, Some(item)),
        Local::NoOrder(patient) => (patient, None),
    };
    changes.identity(patient, order.and_then(|item| item.issuer_universal.as_ref()), site);
    if site.keep_foreign_id {
        changes.foreign_id(patient.id.as_ref(), study.patient.id.as_ref());
    }
    match order {
        Some(item) => changes.order(item, study, site),
        None => changes.no_order(),
    }
    changes.trace(site, &date_time);
    let mut changes = changes.0;
    changes.sort_by_key(Change::tag);
    Plan {
        changes,
        source_of_previous_values: study.institution.as_deref().and_then(clean),
        modifying_system: site.ae_title.as_str().to_owned(),
        institution: clean(&site.institution).unwrap_or_default(),
        date_time,
    }
}

struct Changes(Vec<Change>);

impl Changes {
    fn set(&mut self, new: NewElement) {
        self.0.push(Change::Set(new));
    }

    fn remove(&mut self, tag: Tag) {
        self.0.push(Change::Remove((tag.0, tag.1)));
    }

    fn set_or_remove(&mut self, tag: Tag, new: Option<NewElement>) {
        match new {
            Some(new) => self.set(new),
            None => self.remove(tag),
        }
    }

    /// ID and issuer go together: a foreign issuer never stays on a local ID.
    fn identity(&mut self, patient: &Patient, universal: Option<&(String, String)>, site: &Site) {
        if let Some(name) = &patient.name {
            self.0.extend(text(tags::PATIENT_NAME, "PN", name.as_str()).map(Change::Set));
        }
        let id = patient.id.as_ref();
        let number = id.and_then(|id| text(tags::PATIENT_ID, "LO", &id.id));
        self.set(number.unwrap_or_else(|| empty(tags::PATIENT_ID, "LO")));
        let issuer = id.and_then(|id| id.issuer.as_deref()).or(site.issuer.as_deref());
        self.set_or_remove(
            tags::ISSUER_OF_PATIENT_ID,
            issuer.and_then(|issuer| text(tags::ISSUER_OF_PATIENT_ID, "LO", issuer)),
        );
        let qualifiers = universal.and_then(|(id, kind)| {
            let kind = code_string(kind)?;
            Some(items(
                tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE,
                vec![vec![
                    text(tags::UNIVERSAL_ENTITY_ID, "UT", id)?,
                    text(tags::UNIVERSAL_ENTITY_ID_TYPE, "CS", kind)?,
                ]],
            ))
        });
        self.set_or_remove(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, qualifiers);
        if let Some(date) = patient.birth_date {
            self.0.extend(text(tags::PATIENT_BIRTH_DATE, "DA", &date.to_dicom()).map(Change::Set));
        }
        self.0.extend(text(tags::PATIENT_SEX, "CS", patient.sex.as_str()).map(Change::Set));
        self.remove(tags::REFERENCED_PATIENT_SEQUENCE);
    }

    fn foreign_id(&mut self, local: Option<&PatientId>, foreign: Option<&PatientId>) {
        let Some(foreign) = foreign.filter(|foreign| Some(*foreign) != local) else {
            return;
        };
        let Some(id) = text(tags::PATIENT_ID, "LO", &foreign.id) else {
            return;
        };
        let mut item = vec![id];
        let issuer = foreign.issuer.as_deref();
        item.extend(issuer.and_then(|issuer| text(tags::ISSUER_OF_PATIENT_ID, "LO", issuer)));
        item.extend(text(tags::TYPE_OF_PATIENT_ID, "CS", "TEXT"));
        self.0.push(Change::Append(items(tags::OTHER_PATIENT_I_DS_SEQUENCE, vec![item])));
    }

    fn order(&mut self, item: &Item, study: &StudyFacts, site: &Site) {
        let accession = Accession::of(item, site);
        let number = accession.number.clone();
        self.set(number.unwrap_or_else(|| empty(tags::ACCESSION_NUMBER, "SH")));
        self.set_or_remove(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, accession.issuer.clone());
        if site.replace_referring_physician {
            let name = item.referring_physician.as_deref();
            if let Some(name) =
                name.and_then(|name| text(tags::REFERRING_PHYSICIAN_NAME, "PN", name))
            {
                self.set(name);
                // They belong to the person who was named before.
                self.remove(tags::REFERRING_PHYSICIAN_ADDRESS);
                self.remove(tags::REFERRING_PHYSICIAN_TELEPHONE_NUMBERS);
                self.remove(tags::REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE);
            }
        }
        let optional =
            |tag, vr, value: &Option<String>| value.as_deref().and_then(|v| text(tag, vr, v));
        for (tag, vr, value) in [
            (tags::REQUESTING_PHYSICIAN, "PN", &item.requesting_physician),
            (tags::REQUESTING_SERVICE, "LO", &item.requesting_service),
            (tags::REQUESTED_PROCEDURE_DESCRIPTION, "LO", &item.requested_procedure_description),
            (tags::ADMISSION_ID, "LO", &item.admission_id),
        ] {
            self.set_or_remove(tag, optional(tag, vr, value));
        }
        self.remove(tags::ISSUER_OF_ADMISSION_ID_SEQUENCE);
        self.set_or_remove(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, procedure_code(item));
        let requests = request_attributes(item, &accession);
        self.set(items(tags::REQUEST_ATTRIBUTES_SEQUENCE, requests));
        let request = referenced_request(item, &accession, &study.study_uid);
        self.set(items(tags::REFERENCED_REQUEST_SEQUENCE, vec![request]));
    }

    fn no_order(&mut self) {
        self.set(empty(tags::ACCESSION_NUMBER, "SH"));
        for tag in [
            tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
            tags::REQUESTING_PHYSICIAN,
            tags::REQUESTING_SERVICE,
            tags::REQUESTED_PROCEDURE_DESCRIPTION,
            tags::REQUESTED_PROCEDURE_CODE_SEQUENCE,
            tags::ADMISSION_ID,
            tags::ISSUER_OF_ADMISSION_ID_SEQUENCE,
            tags::REQUEST_ATTRIBUTES_SEQUENCE,
            tags::REFERENCED_REQUEST_SEQUENCE,
        ] {
            self.remove(tag);
        }
    }

    /// What the object tells about its way: imported, coerced when, by which equipment.
    fn trace(&mut self, site: &Site, date_time: &str) {
        self.0.extend(text(tags::INSTANCE_COERCION_DATE_TIME, "DT", date_time).map(Change::Set));
        self.0.extend(text(tags::INSTANCE_ORIGIN_STATUS, "CS", "IMPORTED").map(Change::Set));
        let purpose = Code {
            value: "109103".into(),
            scheme: "DCM".into(),
            version: None,
            meaning: "Modifying Equipment".into(),
        };
        let station = site.station.as_deref().unwrap_or(site.ae_title.as_str());
        let item = [
            text(tags::MANUFACTURER, "LO", "Lotse"),
            text(tags::INSTITUTION_NAME, "LO", &site.institution),
            text(tags::STATION_NAME, "SH", station),
            text(tags::MANUFACTURER_MODEL_NAME, "LO", "Lotse"),
            text(tags::SOFTWARE_VERSIONS, "LO", env!("CARGO_PKG_VERSION")),
            text(tags::CONTRIBUTION_DATE_TIME, "DT", date_time),
            text(tags::CONTRIBUTION_DESCRIPTION, "ST", "Import reconciliation"),
            codes(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, std::slice::from_ref(&purpose)),
        ];
        let item = item.into_iter().flatten().collect();
        self.0.push(Change::Append(items(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, vec![item])));
    }
}

/// The accession number as it goes to the top level and into the request items; the issuer goes with it.
struct Accession {
    number: Option<NewElement>,
    issuer: Option<NewElement>,
}

impl Accession {
    fn of(item: &Item, site: &Site) -> Self {
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
fn procedure_code(item: &Item) -> Option<NewElement> {
    let first = item.requested_procedure_codes.get(..1)?;
    codes(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, first)
}

/// One item a step that may still be filed under; all steps if none is open, one item if there are none.
fn request_attributes(item: &Item, accession: &Accession) -> Vec<Vec<NewElement>> {
    let open: Vec<&Step> = item.steps.iter().filter(|step| step.is_open()).collect();
    let steps = if open.is_empty() { item.steps.iter().collect() } else { open };
    let order = |step: Option<&Step>| {
        let optional =
            |tag, vr, value: Option<&String>| value.and_then(|value| text(tag, vr, value));
        let parts = [
            accession.number.clone(),
            accession.issuer.clone(),
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
fn referenced_request(item: &Item, accession: &Accession, study: &Uid) -> Vec<NewElement> {
    let uid = item.study_uid.as_ref().unwrap_or(study);
    let or_empty = |tag, vr, value: Option<&String>| {
        Some(value.and_then(|value| text(tag, vr, value)).unwrap_or_else(|| empty(tag, vr)))
    };
    let codes = procedure_code(item);
    let parts = [
        accession.number.clone().or_else(|| Some(empty(tags::ACCESSION_NUMBER, "SH"))),
        accession.issuer.clone(),
        Some(empty(tags::REFERENCED_STUDY_SEQUENCE, "SQ")),
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

/// Worklist text without control characters: an escape character would switch the character set of what
/// follows (PS3.5 6.1.3), a line break ends a value in some readers. `None` if nothing is left.
fn clean(value: &str) -> Option<String> {
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// A defined term of the worklist, if it may stand in a CS element.
fn code_string(value: &str) -> Option<&str> {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b' ';
    value.bytes().all(allowed).then_some(value)
}

fn text(tag: Tag, vr: &str, value: &str) -> Option<NewElement> {
    let value = NewValue::Text(clean(value)?);
    Some(NewElement { tag: (tag.0, tag.1), vr: vr.to_owned(), value })
}

fn empty(tag: Tag, vr: &str) -> NewElement {
    NewElement { tag: (tag.0, tag.1), vr: vr.to_owned(), value: NewValue::Empty }
}

fn items(tag: Tag, items: Vec<Vec<NewElement>>) -> NewElement {
    NewElement { tag: (tag.0, tag.1), vr: "SQ".to_owned(), value: NewValue::Items(items) }
}

/// A code sequence (PS3.3 8.8); codes that lack a value, scheme or meaning are left out.
fn codes(tag: Tag, codes: &[Code]) -> Option<NewElement> {
    let item = |code: &Code| {
        let mut item = vec![
            text(tags::CODE_VALUE, "SH", &code.value)?,
            text(tags::CODING_SCHEME_DESIGNATOR, "SH", &code.scheme)?,
        ];
        let version = code.version.as_deref();
        item.extend(version.and_then(|v| text(tags::CODING_SCHEME_VERSION, "SH", v)));
        item.push(text(tags::CODE_MEANING, "LO", &code.meaning)?);
        Some(item)
    };
    let all: Vec<_> = codes.iter().filter_map(item).collect();
    (!all.is_empty()).then(|| items(tag, all))
}
