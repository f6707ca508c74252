//! From a decision to the plan of changes: the coercion table, as a function of values.
//!
//! What is not in the plan stays as it came: UIDs, the dates of the examination, the institution and device
//! it was made with, private attributes (IHE RAD-61). A value longer than its VR allows is written as the
//! worklist gave it: peers take it, and a number cut short would be the number of somebody else.

use dicom_dictionary_std::tags;

use super::policy::{Coercion, Foreign, Kept, OfOrder, Trace, Wording};
use super::{Change, NewElement, NewValue, Plan};
use crate::dicom::{AeTitle, Code, Item, Patient, PatientId, PersonName, StudyFacts, Tag};
use element::{clean, code_string, codes, empty, items, text};
use request::{
    Accession, procedure_code, referenced_request, referenced_studies, request_attributes,
};

mod element;
mod request;
mod several;

/// What a study is filed under.
#[derive(Clone, Copy)]
pub enum Local<'a> {
    /// An order of the worklist with its patient (scheduled import).
    Order(&'a Item),
    /// A patient alone (unscheduled import): order attributes are emptied or removed.
    NoOrder(&'a Patient),
    /// Several orders of one patient, whom the first tells.
    Orders { first: &'a Item, further: &'a [Item] },
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
    /// The choices of the coercion table.
    pub coercion: Coercion,
}

impl Site {
    /// With the coercion table's defaults.
    pub fn new(ae_title: AeTitle, institution: &str) -> Self {
        Self {
            ae_title,
            institution: institution.to_owned(),
            station: None,
            issuer: None,
            accession_issuer: None,
            coercion: Coercion::default(),
        }
    }
}

/// Works out what changes when `study` is filed under `local`. The plan fixes the time of coercion as `at`,
/// so that it can be applied again with the same result.
pub fn plan(local: Local<'_>, study: &StudyFacts, site: &Site, at: &jiff::Zoned) -> Plan {
    let date_time = at.strftime("%Y%m%d%H%M%S%.3f%z").to_string();
    let mut changes = Changes(Vec::new());
    let together;
    let (patient, order, further): (_, _, &[Item]) = match local {
        Local::Order(item) => (&item.patient, Some((item, item)), &[]),
        Local::NoOrder(patient) => (patient, None, &[]),
        Local::Orders { first, further } => {
            together = several::as_one(first, further, site.coercion.several_orders);
            (&first.patient, Some((first, &together)), further)
        }
    };
    // The first order, and what all of them tell at the top.
    let (first, order) = order.unzip();
    changes.identity(patient, order.and_then(|item| item.issuer_universal.as_ref()), site);
    changes.foreign_identity(patient, &study.patient, &site.coercion);
    changes.examination(order, &site.coercion);
    match order {
        Some(item) => {
            let each: Vec<&Item> = first.into_iter().chain(further).collect();
            changes.order(item, &each, study, site);
        }
        None => changes.no_order(&site.coercion),
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

    /// Foreign values that go on beside the local ones, or that a site does not want to keep.
    fn foreign_identity(&mut self, local: &Patient, foreign: &Patient, coercion: &Coercion) {
        if coercion.other_patient_ids == Trace::Append {
            self.foreign_id(local.id.as_ref(), foreign.id.as_ref());
        }
        let name = foreign.name.as_ref().filter(|name| local.name.as_ref() != Some(name));
        if coercion.other_patient_names == Trace::Append {
            let name = name.map(PersonName::as_str);
            let name = name.and_then(|name| text(tags::OTHER_PATIENT_NAMES, "PN", name));
            self.0.extend(name.map(Change::Append));
        }
        if coercion.patient_address == Foreign::Remove {
            self.remove(tags::PATIENT_ADDRESS);
            self.remove(tags::PATIENT_TELEPHONE_NUMBERS);
        }
        if coercion.patient_comments == Foreign::Remove {
            self.remove(tags::PATIENT_COMMENTS);
        }
    }

    /// What describes the examination: it was done elsewhere, so it stays unless the site says otherwise and
    /// the order has something to put there.
    fn examination(&mut self, order: Option<&Item>, coercion: &Coercion) {
        let procedure = order.and_then(|item| item.requested_procedure_id.as_deref());
        if coercion.study_id == Kept::Replace {
            let id = procedure.and_then(|id| text(tags::STUDY_ID, "SH", id));
            self.0.extend(id.map(Change::Set));
        }
        if coercion.procedure_code == Kept::Replace {
            let all = order.map_or(&[][..], |item| &item.requested_procedure_codes);
            self.0.extend(codes(tags::PROCEDURE_CODE_SEQUENCE, all).map(Change::Set));
        }
        let new = |value: &str| text(tags::STUDY_DESCRIPTION, "LO", value);
        match coercion.study_description {
            Wording::Keep => {}
            Wording::Replace => {
                let local = order.and_then(|item| item.requested_procedure_description.as_deref());
                self.0.extend(local.and_then(new).map(Change::Set));
            }
            Wording::Prefix => {
                // As it was written: the space at its end parts it from what follows.
                let prefix = coercion.study_description_prefix.clone();
                self.0.push(Change::Prefix(NewElement {
                    tag: (tags::STUDY_DESCRIPTION.0, tags::STUDY_DESCRIPTION.1),
                    vr: "LO".to_owned(),
                    value: NewValue::Text(prefix),
                }));
            }
        }
    }

    fn referring_physician(&mut self, item: &Item, coercion: &Coercion) {
        let name = match coercion.referring_physician {
            OfOrder::Keep => None,
            OfOrder::Remove => Some(empty(tags::REFERRING_PHYSICIAN_NAME, "PN")),
            OfOrder::Replace => {
                let name = item.referring_physician.as_deref();
                name.and_then(|name| text(tags::REFERRING_PHYSICIAN_NAME, "PN", name))
            }
        };
        if let Some(name) = name {
            self.set(name);
            // They belong to the person who was named before.
            self.remove(tags::REFERRING_PHYSICIAN_ADDRESS);
            self.remove(tags::REFERRING_PHYSICIAN_TELEPHONE_NUMBERS);
            self.remove(tags::REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE);
        }
    }

    /// The foreign visit means nothing here.
    fn admission(&mut self, order: Option<&Item>, coercion: &Coercion) {
        let id = match coercion.admission_id {
            OfOrder::Keep => return,
            OfOrder::Remove => None,
            OfOrder::Replace => order.and_then(|item| item.admission_id.as_deref()),
        };
        let id = id.and_then(|id| text(tags::ADMISSION_ID, "LO", id));
        let issuer = order.filter(|_| id.is_some()).and_then(|item| {
            let issuer = item.admission_issuer.as_deref()?;
            let issuer = text(tags::LOCAL_NAMESPACE_ENTITY_ID, "UT", issuer)?;
            Some(items(tags::ISSUER_OF_ADMISSION_ID_SEQUENCE, vec![vec![issuer]]))
        });
        self.set_or_remove(tags::ADMISSION_ID, id);
        #[expect(deprecated, reason = "retired, and still written: whose the foreign number was")]
        self.remove(tags::ISSUER_OF_ADMISSION_ID);
        self.set_or_remove(tags::ISSUER_OF_ADMISSION_ID_SEQUENCE, issuer);
        // What the visit was part of elsewhere; no worklist tells such a thing.
        self.remove(tags::SERVICE_EPISODE_ID);
        #[expect(deprecated, reason = "retired, and still written")]
        self.remove(tags::ISSUER_OF_SERVICE_EPISODE_ID);
        self.remove(tags::SERVICE_EPISODE_DESCRIPTION);
        self.remove(tags::ISSUER_OF_SERVICE_EPISODE_ID_SEQUENCE);
    }

    /// `item` is what the top level tells, `each` the orders one by one.
    fn order(&mut self, item: &Item, each: &[&Item], study: &StudyFacts, site: &Site) {
        let accession = Accession::of(item, site);
        let number = accession.number.clone();
        self.set(number.unwrap_or_else(|| empty(tags::ACCESSION_NUMBER, "SH")));
        self.set_or_remove(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, accession.issuer.clone());
        self.referring_physician(item, &site.coercion);
        self.admission(Some(item), &site.coercion);
        let optional =
            |tag, vr, value: &Option<String>| value.as_deref().and_then(|v| text(tag, vr, v));
        for (tag, vr, value) in [
            (tags::REQUESTING_PHYSICIAN, "PN", &item.requesting_physician),
            (tags::REQUESTING_SERVICE, "LO", &item.requesting_service),
            (tags::REQUESTED_PROCEDURE_DESCRIPTION, "LO", &item.requested_procedure_description),
        ] {
            self.set_or_remove(tag, optional(tag, vr, value));
        }
        self.requesters();
        self.set_or_remove(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, procedure_code(item));
        self.0.extend(referenced_studies(item).map(Change::Set));
        let requests = each.iter().flat_map(|item| {
            let accession = Accession::of(item, site);
            request_attributes(item, &accession)
        });
        self.set(items(tags::REQUEST_ATTRIBUTES_SEQUENCE, requests.collect()));
        let requests = each.iter().map(|item| {
            let accession = Accession::of(item, site);
            referenced_request(item, &accession, &study.study_uid)
        });
        self.set(items(tags::REFERENCED_REQUEST_SEQUENCE, requests.collect()));
    }

    /// Codes and numbers that belong to the physician and the service of before.
    fn requesters(&mut self) {
        self.remove(tags::REQUESTING_PHYSICIAN_IDENTIFICATION_SEQUENCE);
        self.remove(tags::REQUESTING_SERVICE_CODE_SEQUENCE);
    }

    fn no_order(&mut self, coercion: &Coercion) {
        self.admission(None, coercion);
        self.requesters();
        self.set(empty(tags::ACCESSION_NUMBER, "SH"));
        for tag in [
            tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
            tags::REQUESTING_PHYSICIAN,
            tags::REQUESTING_SERVICE,
            tags::REQUESTED_PROCEDURE_DESCRIPTION,
            tags::REQUESTED_PROCEDURE_CODE_SEQUENCE,
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
