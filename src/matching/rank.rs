//! Evidence with weights, and the order in which a person sees the candidates.
//!
//! The score orders; it never decides. Patients are ordered by what tells whose the study is,
//! and only the orders of one patient by how well they fit.

use std::cmp::Ordering;

use crate::dicom::Item;

use super::compare::{self, NameCompared, agrees};
use super::fit::{Fit, Ordered};
use super::identifiers;
use super::index::Entry;
use super::study::{Study, contradicts_date};
use super::weights::{self, Day};
use super::{Agreement, Candidate, Evidence};

/// Candidates that are shown. A list that nobody reads to its end helps nobody.
pub(super) const CANDIDATE_LIMIT: usize = 50;

/// So many of the list are compared as orders too: more than are shown, since not all are worth it.
const FITTED: usize = 4 * CANDIDATE_LIMIT;

/// Attribute, how it compares, what that weighs in tenths of a bit.
type Row = (&'static str, Agreement, i32);

/// One item compared with the study.
pub(super) struct Assessed<'a> {
    pub(super) item: &'a Item,
    name_weight: i32,
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
    /// How well the order fits; read by [`fit`].
    pub(super) fit: Fit,
    ordered: &'a Ordered,
    pub(super) open: bool,
    /// What tells whose the study is.
    identity: i32,
    /// What tells which of a patient's orders it is for.
    order: i32,
}

/// Puts the best first. The order does not depend on the order of the worklist.
pub(super) fn sort(assessed: &mut Vec<Assessed<'_>>) {
    assessed.sort_by(|a, b| {
        b.identity
            .cmp(&a.identity)
            .then_with(|| a.item.patient.id.cmp(&b.item.patient.id))
            .then_with(|| b.order.cmp(&a.order))
            .then_with(|| by_content(a.item, b.item))
    });
    assessed.dedup_by(|a, b| a.identity == b.identity && a.item == b.item);
}

/// Reads how well the orders fit that somebody may see or a rule may choose, which may change their order.
pub(super) fn fit(study: &Study<'_>, assessed: &mut Vec<Assessed<'_>>) {
    let Some((first, others)) = assessed.split_first_mut() else {
        return;
    };
    for (place, other) in (1..).zip(others) {
        if place < FITTED || other.is_likely() || other.same_patient(first) {
            other.read_fit(study);
        }
    }
    first.read_fit(study);
    sort(assessed);
}

/// Two entries that weigh the same: any order will do, if it is always the same.
fn by_content(a: &Item, b: &Item) -> Ordering {
    let number = |item: &Item| item.accession_number.as_ref().map(|n| n.number.clone());
    number(a)
        .cmp(&number(b))
        .then_with(|| a.requested_procedure_id.cmp(&b.requested_procedure_id))
        .then_with(|| if a == b { Ordering::Equal } else { content(a).cmp(&content(b)) })
}

fn content(item: &Item) -> String {
    serde_json::to_string(item).unwrap_or_default()
}

impl<'a> Assessed<'a> {
    pub(super) fn new(study: &Study<'_>, item: &'a Item, local: &'a Entry, total: u32) -> Self {
        let witnesses = &study.case.witnesses;
        let universal = item.issuer_universal.as_ref().map(|(id, _)| id.trim());
        let id = item.patient.id.as_ref();
        let (born, sex) = (item.patient.birth_date, item.patient.sex);
        let portal = study.portal.as_ref();
        let portal_name = portal.map_or(Agreement::Missing, |p| {
            compare::names(p.name.as_ref(), local.name.as_ref()).agreement
        });
        let name = compare::names(study.header.name.as_ref(), local.name.as_ref());
        let name = study.other_names.iter().fold(name, |name, other| {
            name.or_known_as(compare::names(Some(other), local.name.as_ref()))
        });
        let mut this = Self {
            item,
            name,
            name_weight: local.name_weight(name, total),
            birth_date: compare::birth_dates(study.header.birth_date, born),
            sex: compare::sexes(study.header.sex, sex),
            patient_id: identifiers::patient_ids(&study.foreign_ids, id, universal),
            requested_patient: identifiers::requested_patient(
                witnesses.requested_patient.as_ref(),
                id,
                universal,
            ),
            requested_order: requested_order(study, item),
            typed_birth_date: compare::birth_dates(witnesses.typed_birth_date, born),
            portal_name,
            portal_birth_date: compare::birth_dates(portal.and_then(|p| p.birth_date), born),
            portal_sex: portal.map_or(Agreement::Missing, |portal| compare::sexes(portal.sex, sex)),
            accession_number: accession_number(study, item),
            study_uid: match &item.study_uid {
                Some(uid) if *uid == study.case.facts.study_uid => Agreement::Equal,
                _ => Agreement::Missing,
            },
            fit: Fit::UNKNOWN,
            ordered: &local.ordered,
            open: local.open,
            identity: 0,
            order: 0,
        };
        // A patient named by the request who has no ID to compare is not the patient named.
        if witnesses.requested_patient.is_some() && this.requested_patient == Agreement::Missing {
            this.requested_patient = Agreement::Different;
        }
        this.identity = this.identity_rows().iter().map(|(_, _, weight)| weight).sum();
        this.order = this.order_rows().iter().map(|(_, _, weight)| weight).sum();
        this
    }

    fn read_fit(&mut self, study: &Study<'_>) {
        self.fit = study.examined.fit(self.item, self.ordered);
        self.order = self.order_rows().iter().map(|(_, _, weight)| weight).sum();
    }

    fn identity_rows(&self) -> [Row; 12] {
        let day = match self.item.patient.birth_date.is_some_and(compare::is_default) {
            true => Day::Default,
            false => Day::Exact,
        };
        let weighed = |attribute, agreement, weights: &weights::Weights| {
            (attribute, agreement, weights.of(agreement))
        };
        [
            weighed("patientId", self.patient_id, &weights::PATIENT_ID),
            ("name", self.name.agreement, self.name_weight),
            ("birthDate", self.birth_date, weights::birth_date(self.birth_date, day)),
            weighed("sex", self.sex, &weights::SEX),
            weighed("requestedPatient", self.requested_patient, &weights::REQUESTED),
            weighed("requestedOrder", self.requested_order, &weights::REQUESTED),
            weighed("typedBirthDate", self.typed_birth_date, &weights::WITNESS),
            weighed("portalName", self.portal_name, &weights::WITNESS),
            weighed("portalBirthDate", self.portal_birth_date, &weights::WITNESS),
            weighed("portalSex", self.portal_sex, &weights::SEX),
            weighed("accessionNumber", self.accession_number, &weights::ACCESSION_NUMBER),
            weighed("studyUid", self.study_uid, &weights::STUDY_UID),
        ]
    }

    fn order_rows(&self) -> [Row; 6] {
        let status = if self.open { Agreement::Equal } else { Agreement::Different };
        let fit = &self.fit;
        [
            ("modality", fit.modality, weights::FIT.of(fit.modality)),
            ("bodyPart", fit.body_part, weights::FIT.of(fit.body_part)),
            ("laterality", fit.laterality, weights::FIT.of(fit.laterality)),
            ("studyDate", fit.study_date, weights::FIT_LIGHTLY.of(fit.study_date)),
            ("procedure", fit.procedure, weights::FIT_LIGHTLY.of(fit.procedure)),
            ("status", status, weights::STATUS.of(status)),
        ]
    }

    /// Every comparison that says something, and the identity in any case.
    fn evidence(&self) -> Vec<Evidence> {
        self.identity_rows()
            .into_iter()
            .chain(self.order_rows())
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

    /// Something speaks for this patient more than against.
    pub(super) fn is_likely(&self) -> bool {
        self.identity > 0
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
            _ => self.item.item_id() == other.item.item_id(),
        }
    }

    fn candidate(&self, rank: u32) -> Candidate {
        Candidate {
            item_id: self.item.item_id(),
            item: self.item.clone(),
            rank,
            score: self.identity.saturating_add(self.order),
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
    first.identity.saturating_sub(second.map_or(0, |second| second.identity))
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
