//! What a comparison weighs: evidence as the logarithm of how much likelier it is for the right patient.
//!
//! Fellegi and Sunter: log2(m/u) for agreement and log2((1-m)/(1-u)) for disagreement, in tenths of a bit, where
//! m is the share of true pairs that agree so and u the share of wrong pairs that agree so by chance. The m are
//! set by judgement, not fitted: `tests/bench matching` tells how well they rank. The u of names are counted in the
//! worklist at hand. Weights order candidates; they never decide.

use super::Agreement;

/// Weights of one attribute: equal or normalised, similar, different.
pub(super) struct Weights(i32, i32, i32);

/// m 0.98, u 1 in 25,000 days of life; a slip is in 1 of 80 and hits 80 days.
pub(super) const BIRTH_DATE: Weights = Weights(145, 40, -60);
/// 1 January is shared by about one in a hundred of those who have no exact date.
const DEFAULT_BIRTH_DATE: i32 = 60;
/// m 0.99, u 1 in 2.
pub(super) const SEX: Weights = Weights(10, 0, -56);
/// An ID of one issuer is given once; the same number without an issuer is given in every hospital.
pub(super) const PATIENT_ID: Weights = Weights(160, 20, -120);
/// Somebody of the house named the patient or the order; slips happen in one of a hundred.
pub(super) const REQUESTED: Weights = Weights(140, 0, -70);
/// Witnesses of what the header says already: dependent, hence lighter.
pub(super) const WITNESS: Weights = Weights(40, 10, -80);
/// Accession numbers of other houses collide; with the same issuer they do not.
pub(super) const ACCESSION_NUMBER: Weights = Weights(80, 20, 0);
/// The study was made for this order.
pub(super) const STUDY_UID: Weights = Weights(120, 0, 0);
/// Orders of one patient: modality, body part, side.
pub(super) const FIT: Weights = Weights(10, 5, -20);
/// Orders of one patient: the same words in both descriptions, a plausible day.
pub(super) const FIT_LIGHTLY: Weights = Weights(4, 2, -4);
/// A closed order is shown below the open ones of the same patient.
pub(super) const STATUS: Weights = Weights(0, 0, -80);

impl Weights {
    pub(super) fn of(&self, agreement: Agreement) -> i32 {
        match agreement {
            Agreement::Equal | Agreement::Normalised => self.0,
            Agreement::Similar => self.1,
            Agreement::Missing => 0,
            Agreement::Different => self.2,
        }
    }
}

pub(super) fn birth_date(agreement: Agreement, day: Day) -> i32 {
    match (agreement, day) {
        (Agreement::Equal, Day::Default) => DEFAULT_BIRTH_DATE,
        (other, _) => BIRTH_DATE.of(other),
    }
}

/// Whether a birth date is the day that is written where only the year is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Day {
    Default,
    Exact,
}

/// What is known of how common the words of one kind are before any worklist was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    /// One in so many carries an ordinary name of the kind.
    one_in: f64,
    /// How many items the prior counts for.
    counts_for: f64,
}

/// Family names of a German city.
pub(super) const FAMILY: Prior = Prior { one_in: 1500.0, counts_for: 500.0 };
/// Given names are fewer.
pub(super) const GIVEN: Prior = Prior { one_in: 200.0, counts_for: 500.0 };

/// True pairs whose names agree, are similar, differ.
const AGREE: f64 = 0.90;
const SIMILAR: f64 = 0.08;
const DIFFER: f64 = 0.02;

/// A name has about so many others a slip away.
const NEIGHBOURS: f64 = 6.0;

/// The weight of one part of a name that `count` of `total` items carry.
pub(super) fn name_part(agreement: Agreement, count: u32, total: u32, prior: Prior) -> i32 {
    let seen = f64::from(count) + prior.counts_for / prior.one_in;
    let chance = (seen / (f64::from(total) + prior.counts_for)).clamp(1e-6, 0.5);
    let bits = match agreement {
        Agreement::Equal | Agreement::Normalised => (AGREE / chance).log2(),
        Agreement::Similar => (SIMILAR / (NEIGHBOURS * chance).min(0.9)).log2(),
        Agreement::Missing => 0.0,
        Agreement::Different => DIFFER.log2(),
    };
    tenths(bits)
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to a few hundred")]
fn tenths(bits: f64) -> i32 {
    (bits * 10.0).round().clamp(-200.0, 200.0) as i32
}
