//! The study's side of the comparison, normalised once, and what contradicts within it.

use std::sync::Arc;

use crate::dicom::{BirthDate, Patient, PatientId, PersonName, Sex};

use super::compare::{self, agrees};
use super::fit::{self, Examined};
use super::identifiers::ForeignId;
use super::lexicon::{Lexicon, Token};
use super::normalise::Name;
use super::{Agreement, Case};

/// Identities of one study that are compared with each other. A study that carries more holds several
/// patients whatever they are.
pub const IDENTITY_LIMIT: usize = 7;

/// Other names of one study: of before a marriage, of another country. A person has few.
const OTHER_NAME_LIMIT: usize = 4;

/// Words that one study is looked for by; as many as bits tell which were found.
const FOUND_BY_LIMIT: usize = 32;

/// A patient as one witness tells it.
pub(super) struct Identity<'a> {
    pub(super) name: Option<Name>,
    pub(super) birth_date: Option<BirthDate>,
    pub(super) sex: Sex,
    id: Option<&'a PatientId>,
}

impl<'a> Identity<'a> {
    fn new(patient: &'a Patient, lexicon: &mut Lexicon) -> Self {
        Self {
            name: patient.name.as_ref().map(|name| Name::new(name, lexicon)),
            birth_date: patient.birth_date,
            sex: patient.sex,
            id: patient.id.as_ref(),
        }
    }
}

/// A study with its witnesses, ready to be compared with any number of items.
pub(super) struct Study<'a> {
    pub(super) case: &'a Case,
    pub(super) header: Identity<'a>,
    pub(super) ids: Vec<&'a PatientId>,
    pub(super) foreign_ids: Vec<ForeignId<'a>>,
    /// Patient's Birth Name and Other Patient Names: they find candidates.
    pub(super) other_names: Vec<Name>,
    pub(super) portal: Option<Identity<'a>>,
    pub(super) requested_order: Option<&'a str>,
    /// Words that the patient may be found by, of the header and of the portal.
    pub(super) found_by: Vec<Arc<Token>>,
    pub(super) examined: Examined,
    /// Contradictions that no choice of an item resolves.
    pub(super) contradictions: Vec<String>,
    /// Some instance carries no name, so that not all are known to be of one patient.
    pub(super) unnamed_instances: bool,
}

impl<'a> Study<'a> {
    pub(super) fn new(case: &'a Case) -> Self {
        let facts = &case.facts;
        let asked = case.witnesses.requested_accession_number.as_deref().map(str::trim);
        let mut lexicon = Lexicon::default();
        let header = Identity::new(&facts.patient, &mut lexicon);
        let portal = case.witnesses.portal.as_ref().map(|p| Identity::new(p, &mut lexicon));
        let others = facts.other_names.iter().take(OTHER_NAME_LIMIT);
        let other_names: Vec<Name> = others
            .filter_map(|name| Some(Name::new(&in_full(name, &facts.patient)?, &mut lexicon)))
            .collect();
        let mut found_by: Vec<Arc<Token>> = Vec::new();
        let told = [Some(&header), portal.as_ref()].into_iter().flatten();
        for name in told.filter_map(|identity| identity.name.as_ref()).chain(&other_names) {
            for token in name.found_by(&mut lexicon) {
                if found_by.len() < FOUND_BY_LIMIT && !found_by.contains(&token) {
                    found_by.push(token);
                }
            }
        }
        let ids = || facts.patient.id.iter().chain(&facts.other_ids);
        let mut study = Self {
            case,
            header,
            foreign_ids: ids().map(ForeignId::from).collect(),
            ids: ids().collect(),
            other_names,
            portal,
            found_by,
            examined: Examined::new(case),
            requested_order: asked.filter(|number| !number.is_empty()),
            contradictions: Vec::new(),
            unnamed_instances: case.witnesses.identities.iter().any(|p| p.name.is_none()),
        };
        study.contradictions = study.within(&mut lexicon);
        study
    }

    fn within(&self, lexicon: &mut Lexicon) -> Vec<String> {
        let mut found: Vec<&str> = Vec::new();
        if self.case.facts.identity_removed {
            found.push("the study says that its patient identity was removed");
        }
        if fit::is_before_birth(self.case.facts.study_date.as_deref(), &self.case.facts.patient) {
            found.push("the study is older than the birth date in its header");
        }
        let identities = &self.case.witnesses.identities;
        let compared: Vec<Identity<'_>> =
            identities.iter().take(IDENTITY_LIMIT).map(|p| Identity::new(p, lexicon)).collect();
        let placeholder =
            |identity: &Identity<'_>| identity.name.as_ref().is_some_and(|n| n.placeholder);
        if placeholder(&self.header) || compared.iter().any(placeholder) {
            found.push("the name in the header is a placeholder");
        }
        if identities.len() > IDENTITY_LIMIT {
            found.push("the study carries many different identities");
        }
        for (index, a) in compared.iter().enumerate() {
            found.extend(differences(a, &self.header));
            for b in compared.iter().skip(index + 1) {
                found.extend(differences(a, b));
            }
        }
        let typed =
            compare::birth_dates(self.case.witnesses.typed_birth_date, self.header.birth_date);
        if contradicts_date(typed) {
            found.push("the birth date typed for the portal is not the one in the header");
        }
        if let Some(portal) = &self.portal {
            let name = compare::names(portal.name.as_ref(), self.header.name.as_ref());
            if name.agreement == Agreement::Different {
                found.push("the portal tells another name than the header");
            }
            let date = compare::birth_dates(portal.birth_date, self.header.birth_date);
            if contradicts_date(date) {
                found.push("the portal tells another birth date than the header");
            }
            let typed = self.case.witnesses.typed_birth_date;
            if contradicts_date(compare::birth_dates(portal.birth_date, typed)) {
                found.push("the portal tells another birth date than the one typed for it");
            }
            if compare::sexes(portal.sex, self.header.sex) == Agreement::Different {
                found.push("the portal tells another sex than the header");
            }
            // It comes without an issuer, from who says that it is the one of the objects.
            let known = |told: &PatientId| {
                let mut ids = self.ids.iter();
                ids.any(|known| known.id.trim().eq_ignore_ascii_case(told.id.trim()))
            };
            if self.header.id.is_some() && portal.id.is_some_and(|told| !known(told)) {
                found.push("the portal tells another patient ID than the header");
            }
        }
        let mut contradictions: Vec<String> = Vec::new();
        for text in found {
            if !contradictions.iter().any(|known| known == text) {
                contradictions.push(text.to_owned());
            }
        }
        contradictions
    }
}

/// A birth name is often told as a family name alone: the given names are those of the header.
fn in_full(name: &PersonName, patient: &Patient) -> Option<PersonName> {
    if name.given().is_empty() {
        let given = patient.name.as_ref().map_or("", PersonName::given);
        return PersonName::new(&format!("{}^{given}", name.family()));
    }
    Some(name.clone())
}

/// A second witness of the same birth date has no reason to be a digit off.
pub(super) fn contradicts_date(agreement: Agreement) -> bool {
    matches!(agreement, Agreement::Different | Agreement::Similar)
}

/// What tells two identities of one study apart.
fn differences(a: &Identity<'_>, b: &Identity<'_>) -> Vec<&'static str> {
    let mut found = Vec::new();
    let name = compare::names(a.name.as_ref(), b.name.as_ref()).agreement;
    if matches!(name, Agreement::Different | Agreement::Similar) {
        found.push("the study carries several names");
    }
    let date = compare::birth_dates(a.birth_date, b.birth_date);
    if contradicts_date(date) {
        found.push("the study carries several birth dates");
    }
    if compare::sexes(a.sex, b.sex) == Agreement::Different {
        found.push("the study carries both sexes");
    }
    let differ = matches!((a.id, b.id), (Some(x), Some(y)) if x.id.trim() != y.id.trim() || issuers_differ(x, y));
    if differ && !(agrees(name) && date == Agreement::Equal) {
        found.push("the study carries several patient IDs");
    }
    found
}

fn issuers_differ(a: &PatientId, b: &PatientId) -> bool {
    matches!((&a.issuer, &b.issuer), (Some(x), Some(y)) if x.trim() != y.trim())
}
