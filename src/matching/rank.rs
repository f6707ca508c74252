//! Evidence with weights, and the order in which a person sees the candidates.
//!
//! The score orders; it never decides (reference 3.3). Weights are log2(m/u) for agreement and
//! log2((1-m)/(1-u)) for disagreement (Fellegi and Sunter), rounded, where m is the share of true pairs that
//! agree and u the share of wrong pairs that agree by chance.

use crate::dicom::Item;

use super::compare::{self, NameCompared, agrees};
use super::study::{Identity, Study, contradicts_date};
use super::{Agreement, Candidate, Evidence};

/// Candidates that are shown. A list that nobody reads to its end helps nobody.
pub(super) const CANDIDATE_LIMIT: usize = 50;

/// Weights of one attribute: equal or normalised, similar, different.
struct Weights(i32, i32, i32);

/// m 0.95, u 1 in 600 (family names of a German city).
const FAMILY: Weights = Weights(9, 4, -4);
/// m 0.95, u 1 in 80: given names are fewer.
const GIVEN: Weights = Weights(6, 3, -4);
/// m 0.98, u 1 in 25,000 days of life.
const BIRTH_DATE: Weights = Weights(14, 6, -6);
/// 1 January is shared by about one in a hundred of those who have no exact date.
const DEFAULT_BIRTH_DATE: i32 = 6;
/// m 0.99, u 1 in 2.
const SEX: Weights = Weights(1, 0, -6);
/// An ID of one issuer is given once; the same number without an issuer is given in every hospital.
const PATIENT_ID: Weights = Weights(16, 2, -12);
/// Somebody of the house named the patient or the order; slips happen in one of a hundred.
const REQUESTED: Weights = Weights(14, 0, -7);
/// Witnesses of what the header says already: dependent, hence lighter.
const WITNESS: Weights = Weights(4, 1, -8);
/// Accession numbers of other houses collide; with the same issuer they do not.
const ACCESSION_NUMBER: Weights = Weights(8, 2, 0);
/// The study was made for this order.
const STUDY_UID: Weights = Weights(12, 0, 0);
/// Tells the orders of one patient apart, never patients.
const MODALITY: Weights = Weights(1, 0, -1);
/// A closed order is shown below the open ones of the same patient.
const STATUS: Weights = Weights(0, 0, -8);

impl Weights {
    fn of(&self, agreement: Agreement) -> i32 {
        match agreement {
            Agreement::Equal | Agreement::Normalised => self.0,
            Agreement::Similar => self.1,
            Agreement::Missing => 0,
            Agreement::Different => self.2,
        }
    }
}

/// One item compared with the study.
pub(super) struct Assessed<'a> {
    pub(super) item: &'a Item,
    pub(super) item_id: String,
    pub(super) name: NameCompared,
    pub(super) birth_date: Agreement,
    pub(super) sex: Agreement,
    pub(super) patient_id: Agreement,
    pub(super) requested_patient: Agreement,
    pub(super) requested_order: Agreement,
    typed_birth_date: Agreement,
    portal_name: Agreement,
    portal_birth_date: Agreement,
    portal_sex: Agreement,
    accession_number: Agreement,
    study_uid: Agreement,
    pub(super) modality: Agreement,
    pub(super) open: bool,
    pub(super) score: i32,
}

/// Compares every item, best first. The order does not depend on the order of `items`.
pub(super) fn assess<'a>(study: &Study<'_>, items: &'a [Item]) -> Vec<Assessed<'a>> {
    let mut assessed: Vec<Assessed<'a>> = Vec::with_capacity(items.len());
    assessed.extend(items.iter().map(|item| Assessed::new(study, item)));
    assessed.sort_by(|a, b| {
        let by_score = b.score.cmp(&a.score).then_with(|| a.item_id.cmp(&b.item_id));
        // Two entries with one name that are not the same: any order will do, if it is always the same.
        by_score.then_with(|| content(a.item).cmp(&content(b.item)))
    });
    assessed.dedup_by(|a, b| a.item_id == b.item_id && a.item == b.item);
    assessed
}

fn content(item: &Item) -> String {
    serde_json::to_string(item).unwrap_or_default()
}

impl<'a> Assessed<'a> {
    fn new(study: &Study<'_>, item: &'a Item) -> Self {
        let witnesses = &study.case.witnesses;
        let local = Identity::new(&item.patient);
        let universal = item.issuer_universal.as_ref().map(|(id, _)| id.trim());
        let id = item.patient.id.as_ref();
        let portal = study.portal.as_ref();
        let portal_name = portal.map_or(Agreement::Missing, |p| {
            compare::names(p.name.as_ref(), local.name.as_ref()).agreement
        });
        let mut this = Self {
            item,
            item_id: item.item_id(),
            name: compare::names(study.header.name.as_ref(), local.name.as_ref()),
            birth_date: compare::birth_dates(study.header.birth_date, local.birth_date),
            sex: compare::sexes(study.header.sex, local.sex),
            patient_id: compare::patient_ids(&study.ids, id, universal),
            requested_patient: compare::requested_patient(
                witnesses.requested_patient.as_ref(),
                id,
                universal,
            ),
            requested_order: requested_order(study, item),
            typed_birth_date: compare::birth_dates(witnesses.typed_birth_date, local.birth_date),
            portal_name,
            portal_birth_date: compare::birth_dates(
                portal.and_then(|p| p.birth_date),
                local.birth_date,
            ),
            portal_sex: portal
                .map_or(Agreement::Missing, |portal| compare::sexes(portal.sex, local.sex)),
            accession_number: accession_number(study, item),
            study_uid: match &item.study_uid {
                Some(uid) if *uid == study.case.facts.study_uid => Agreement::Equal,
                _ => Agreement::Missing,
            },
            modality: modality(study, item),
            open: item.is_open(),
            score: 0,
        };
        // A patient named by the request who has no ID to compare is not the patient named.
        if witnesses.requested_patient.is_some() && this.requested_patient == Agreement::Missing {
            this.requested_patient = Agreement::Different;
        }
        this.score = this.evidence().iter().map(|evidence| evidence.weight).sum();
        this
    }

    /// Every comparison that says something, and the identity in any case.
    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let date = match self.birth_date {
            Agreement::Equal if self.item.patient.birth_date.is_some_and(compare::is_default) => {
                DEFAULT_BIRTH_DATE
            }
            other => BIRTH_DATE.of(other),
        };
        let name = FAMILY.of(self.name.family).saturating_add(GIVEN.of(self.name.given));
        let status = if self.open { Agreement::Equal } else { Agreement::Different };
        let rows = [
            ("patientId", self.patient_id, PATIENT_ID.of(self.patient_id)),
            ("name", self.name.agreement, name),
            ("birthDate", self.birth_date, date),
            ("sex", self.sex, SEX.of(self.sex)),
            ("requestedPatient", self.requested_patient, REQUESTED.of(self.requested_patient)),
            ("requestedOrder", self.requested_order, REQUESTED.of(self.requested_order)),
            ("typedBirthDate", self.typed_birth_date, WITNESS.of(self.typed_birth_date)),
            ("portalName", self.portal_name, WITNESS.of(self.portal_name)),
            ("portalBirthDate", self.portal_birth_date, WITNESS.of(self.portal_birth_date)),
            ("portalSex", self.portal_sex, SEX.of(self.portal_sex)),
            ("accessionNumber", self.accession_number, ACCESSION_NUMBER.of(self.accession_number)),
            ("studyUid", self.study_uid, STUDY_UID.of(self.study_uid)),
            ("modality", self.modality, MODALITY.of(self.modality)),
            ("status", status, STATUS.of(status)),
        ];
        rows.into_iter()
            .filter(|(attribute, agreement, _)| {
                *agreement != Agreement::Missing || matches!(*attribute, "name" | "birthDate")
            })
            .map(|(attribute, agreement, weight)| Evidence {
                attribute: attribute.to_owned(),
                agreement,
                weight,
            })
            .collect()
    }

    /// What speaks against this item, in words without patient data.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let different = |agreement: Agreement| agreement == Agreement::Different;
        let rows = [
            (different(self.name.agreement), "name differs"),
            (different(self.birth_date), "birth date differs"),
            (different(self.sex), "sex differs"),
            (
                different(self.patient_id),
                "the header carries another patient ID of the same issuer",
            ),
            (different(self.requested_patient), "the request names another patient"),
            (different(self.requested_order), "the request names another order"),
            (
                contradicts_date(self.typed_birth_date),
                "the birth date typed for the portal differs",
            ),
            (different(self.portal_name), "the portal's name differs"),
            (contradicts_date(self.portal_birth_date), "the portal's birth date differs"),
            (different(self.portal_sex), "the portal's sex differs"),
        ];
        rows.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text.to_owned()).collect()
    }

    /// Name and birth date agree, and every witness that is present agrees or is silent.
    pub(super) fn identity_agrees(&self) -> bool {
        agrees(self.name.agreement)
            && self.birth_date == Agreement::Equal
            && self.sex != Agreement::Different
            && matches!(
                self.portal_name,
                Agreement::Equal | Agreement::Normalised | Agreement::Missing
            )
    }

    /// Near enough that a header with one slip, or with a name from before a marriage, could mean this patient
    /// as well.
    pub(super) fn could_be_meant(&self) -> bool {
        let near =
            self.name.agreement != Agreement::Different && self.birth_date != Agreement::Different;
        let other_family = agrees(self.name.given) && self.birth_date == Agreement::Equal;
        self.sex != Agreement::Different && (near || other_family)
    }

    /// Anything at all speaks for this item, or nothing is known that could speak against it.
    fn worth_showing(&self) -> bool {
        let speaks = |agreement: Agreement| {
            matches!(agreement, Agreement::Equal | Agreement::Normalised | Agreement::Similar)
        };
        let for_it = [
            self.name.family,
            self.name.given,
            self.birth_date,
            self.patient_id,
            self.requested_patient,
            self.requested_order,
            self.typed_birth_date,
            self.portal_name,
            self.portal_birth_date,
            self.accession_number,
            self.study_uid,
        ];
        let against = [self.name.agreement, self.birth_date, self.patient_id];
        for_it.into_iter().any(speaks) || !against.contains(&Agreement::Different)
    }

    /// The local patient: ID with issuer. An entry without an ID is a patient of its own.
    pub(super) fn same_patient(&self, other: &Self) -> bool {
        match (&self.item.patient.id, &other.item.patient.id) {
            (Some(a), Some(b)) => a == b,
            _ => self.item_id == other.item_id,
        }
    }

    fn candidate(&self, rank: u32) -> Candidate {
        Candidate {
            item_id: self.item_id.clone(),
            item: self.item.clone(),
            rank,
            score: self.score,
            evidence: self.evidence(),
            contradictions: self.contradictions(),
        }
    }
}

/// The candidates that a person sees.
pub(super) fn candidates(assessed: &[Assessed<'_>]) -> Vec<Candidate> {
    let shown = assessed.iter().filter(|a| a.worth_showing()).take(CANDIDATE_LIMIT);
    (1..).zip(shown).map(|(rank, a)| a.candidate(rank)).collect()
}

/// Score of the first less that of the best other patient.
pub(super) fn margin(assessed: &[Assessed<'_>]) -> i32 {
    let Some(first) = assessed.first() else {
        return 0;
    };
    let second = assessed.iter().find(|other| !other.same_patient(first));
    first.score.saturating_sub(second.map_or(0, |second| second.score))
}

fn requested_order(study: &Study<'_>, item: &Item) -> Agreement {
    let Some(asked) = study.requested_order else {
        return Agreement::Missing;
    };
    let number = item.accession_number.as_ref().map(|number| number.number.trim());
    if number == Some(asked) { Agreement::Equal } else { Agreement::Different }
}

fn accession_number(study: &Study<'_>, item: &Item) -> Agreement {
    let (Some(header), Some(local)) = (&study.case.facts.accession_number, &item.accession_number)
    else {
        return Agreement::Missing;
    };
    if header.number.trim().is_empty() || header.number.trim() != local.number.trim() {
        return Agreement::Missing;
    }
    match (&header.issuer, &local.issuer) {
        (Some(a), Some(b)) if a.trim() == b.trim() => Agreement::Equal,
        (Some(_), Some(_)) => Agreement::Missing,
        _ => Agreement::Similar,
    }
}

/// Whether a step of the order is for a modality of the study. `OT` says nothing: sites use it for imports.
fn modality(study: &Study<'_>, item: &Item) -> Agreement {
    let wanted: Vec<&str> = item.steps.iter().filter_map(|step| step.modality.as_deref()).collect();
    let have = || {
        study.case.modalities.iter().map(String::as_str).chain(study.case.facts.modality.as_deref())
    };
    if have().next().is_none() || wanted.is_empty() || wanted.contains(&"OT") {
        Agreement::Missing
    } else if have().any(|modality| wanted.contains(&modality)) {
        Agreement::Equal
    } else {
        Agreement::Different
    }
}
