//! Which local patient and order a foreign study belongs to: normalise, compare, rank, decide.
//!
//! Pure: a function of the study, the witnesses, the worklist items and the policy. The patient (ID with
//! issuer) is decided first, then the order among that patient's items. Invariant: nothing that contradicts
//! is ever decided automatically, and an incomplete worklist never proves that a candidate is the only one.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::dicom::{BirthDate, Item, Patient, PatientId, StudyFacts};

mod compare;
mod decide;
mod differ;
mod fit;
mod identifiers;
mod index;
mod kvnr;
mod lexicon;
mod normalise;
mod objection;
mod orders;
mod phonetic;
mod policies;
mod postings;
mod rank;
mod repair;
mod script;
mod seen;
mod study;
#[cfg(test)]
mod tests;
mod vocabulary;
mod weights;
mod words;

pub use compare::patients;
pub use decide::decide;
pub use index::Index;
pub use objection::{objection, rejected};
pub use orders::{NotTogether, ORDER_LIMIT, Orders};
pub use policies::MatchingSection;
pub use study::IDENTITY_LIMIT;

/// Version of these rules, kept with every decision by rule. Raise it when an outcome may change.
pub const RULES_VERSION: u32 = 5;

/// What is matched: a study, and everything known about whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    pub facts: StudyFacts,
    /// Modalities of all series, without repetition.
    pub modalities: Vec<String>,
    pub witnesses: Witnesses,
}

/// How far a site lets the rules go. Contradictions wait for a person under each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Every study waits for a person, the best candidate preselected.
    Confirm,
    /// Tier 1: a request that names an order and is consistent.
    #[default]
    AutomaticWithOrder,
    /// Tiers 1 to 3.
    Automatic,
}

/// Whether the worklist answer can prove that nobody else fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Completeness {
    Complete,
    Incomplete,
}

/// What is known beside the header: who asked for what, what was typed for the portal, what the portal said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Witnesses {
    pub requested_patient: Option<PatientId>,
    pub requested_accession_number: Option<String>,
    pub typed_birth_date: Option<BirthDate>,
    /// Name, birth date and sex as the portal's list told them; the ID is unused.
    pub portal: Option<Patient>,
    /// Every identity found in the headers of the study's instances, without repetition.
    pub identities: Vec<Patient>,
}

/// The rung of the decision ladder (`packaging/doc/matching.md`) that an outcome stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// The request names an order and everything agrees with it.
    #[serde(rename = "1")]
    RequestedOrder,
    /// A trusted patient ID with issuer agrees, and exactly one open order fits.
    #[serde(rename = "2")]
    PatientId,
    /// Name, birth date and sex agree with exactly one candidate of a complete answer.
    #[serde(rename = "3")]
    Demographics,
    /// Anything weaker, or more than one candidate.
    #[serde(rename = "4")]
    Weak,
    /// Something contradicts.
    #[serde(rename = "X")]
    Contradiction,
}

/// How one attribute of the study compares with the same attribute of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Agreement {
    Equal,
    /// Equal after normalisation: case, umlauts, titles, compound or swapped names.
    Normalised,
    /// Close: one letter, swapped day and month, one digit.
    Similar,
    Missing,
    Different,
}

/// The comparison of one attribute, by witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// `patientId`, `name`, `birthDate`, `sex`, `accessionNumber`, `requestedPatient`, `requestedOrder`,
    /// `typedBirthDate`, `portalName`, `portalBirthDate`, `portalSex`, `studyUid`; and what tells orders of one
    /// patient apart: `modality`, `bodyPart`, `laterality`, `studyDate`, `procedure`, `status`.
    pub attribute: String,
    pub agreement: Agreement,
    /// Tenths of a bit that this comparison adds to the score.
    pub weight: i32,
}

/// A worklist item with its evidence for one study. Rank 1 is the best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    pub item_id: String,
    pub item: Item,
    pub rank: u32,
    pub score: i32,
    pub evidence: Vec<Evidence>,
    /// In words without patient data: "birth date differs".
    pub contradictions: Vec<String>,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "by")]
pub enum Authority {
    /// The rules of this version, on this rung.
    Rule { tier: Tier, version: u32 },
    /// A person, with the reason given.
    Person { actor: String, reason: String },
    /// An earlier import of the same study was decided so.
    Earlier,
}

/// Which order, or which patient without an order, a study belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    pub target: Target,
    pub authority: Authority,
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Contradictions that a person saw and overrode.
    #[serde(default)]
    pub overridden: Vec<String>,
    /// Candidates that came near and were not taken.
    #[serde(default)]
    pub rejected: Vec<Rejected>,
    pub at: Moment,
}

/// A candidate that was not taken, without whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    pub item_id: String,
    pub score: i32,
    /// In words without patient data.
    pub why: String,
    pub evidence: Vec<Evidence>,
}

/// Where a study is filed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    Order(Box<Item>),
    /// A local patient without an order.
    NoOrder(Patient),
    /// Several orders of one patient, as a person put them together.
    Orders(Box<Orders>),
}

impl Target {
    /// The local identity.
    pub fn patient(&self) -> &Patient {
        match self {
            Self::Order(item) => &item.patient,
            Self::Orders(orders) => &orders.first().patient,
            Self::NoOrder(patient) => patient,
        }
    }
}

/// What the rules say of one study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub verdict: Verdict,
    pub tier: Tier,
    /// Best first.
    pub candidates: Vec<Candidate>,
    /// Contradictions that hold the study, in words without patient data.
    pub contradictions: Vec<String>,
    /// One sentence for a person: why it was decided so, or what to look at.
    pub reason: String,
    /// Score of the first candidate less that of the second of another patient.
    pub margin: i32,
    pub completeness: Completeness,
}

/// Whether the rules may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The first candidate, by rule.
    Automatic,
    /// A person has to choose.
    Person,
    /// No candidate at all: a person names a patient, or waits for the order.
    None,
}
