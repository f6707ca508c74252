//! How one value of the study compares with the same value of an item.
//!
//! Invariant: every comparison is symmetric, and nothing that is unknown on either side agrees or contradicts.

use strsim::damerau_levenshtein;

use crate::dicom::{BirthDate, PatientId, Sex};

use super::Agreement;
use super::normalise::{Form, Name, Token, is_unnamed};

/// The comparison of two names, with its parts for the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameCompared {
    pub(super) agreement: Agreement,
    pub(super) family: Agreement,
    pub(super) given: Agreement,
}

impl NameCompared {
    const MISSING: Self = Self {
        agreement: Agreement::Missing,
        family: Agreement::Missing,
        given: Agreement::Missing,
    };
}

/// Whether a value may carry an automatic decision.
pub(super) fn agrees(agreement: Agreement) -> bool {
    matches!(agreement, Agreement::Equal | Agreement::Normalised)
}

fn strength(agreement: Agreement) -> u8 {
    match agreement {
        Agreement::Equal => 4,
        Agreement::Normalised => 3,
        Agreement::Similar => 2,
        Agreement::Missing => 1,
        Agreement::Different => 0,
    }
}

fn weaker(a: Agreement, b: Agreement) -> Agreement {
    if strength(a) <= strength(b) { a } else { b }
}

/// Compares two names. Placeholders and names in different scripts say nothing.
pub(super) fn names(a: Option<&Name>, b: Option<&Name>) -> NameCompared {
    let (Some(a), Some(b)) = (a, b) else {
        return NameCompared::MISSING;
    };
    if a.placeholder || b.placeholder {
        return NameCompared::MISSING;
    }
    let mut best = across(&a.forms, &b.forms);
    if best.agreement == Agreement::Different {
        let repaired = [
            across(&a.repaired, &b.forms),
            across(&a.forms, &b.repaired),
            across(&a.repaired, &b.repaired),
        ];
        for other in repaired {
            // Read in another character set it would agree: a candidate, never truth.
            if strength(other.agreement) >= strength(Agreement::Similar) {
                best = NameCompared {
                    agreement: Agreement::Similar,
                    family: Agreement::Similar,
                    given: Agreement::Similar,
                };
            }
        }
    }
    if best.agreement == Agreement::Normalised && a.written == b.written {
        best = NameCompared {
            agreement: Agreement::Equal,
            family: Agreement::Equal,
            given: Agreement::Equal,
        };
    }
    best
}

/// The best comparison of two groups in one script; another group that differs makes it a weak one.
fn across(a: &[Form], b: &[Form]) -> NameCompared {
    let mut best: Option<NameCompared> = None;
    let mut differs = false;
    for left in a {
        for right in b.iter().filter(|right| right.script == left.script) {
            let compared = forms(left, right);
            differs |= compared.agreement == Agreement::Different;
            let better = best.is_none_or(|best| rank(&compared) > rank(&best));
            if better {
                best = Some(compared);
            }
        }
    }
    let Some(mut best) = best else {
        return NameCompared::MISSING;
    };
    if differs && agrees(best.agreement) {
        best.agreement = Agreement::Similar;
    }
    best
}

fn rank(compared: &NameCompared) -> (u8, u8) {
    let parts = strength(compared.family).saturating_add(strength(compared.given));
    (strength(compared.agreement), parts)
}

fn forms(a: &Form, b: &Form) -> NameCompared {
    let cut = a.cut || b.cut;
    // With the particles only equality counts: they would make short names look alike.
    let with_particles = joined(&a.family_full, &b.family_full);
    let family =
        if agrees(with_particles) { with_particles } else { part(&a.family, &b.family, cut) };
    let straight = (family, given(&a.given, &b.given, cut));
    let swapped = (part(&a.family, &b.given, cut), part(&a.given, &b.family, cut));
    let whole_a: Vec<&Token> = a.family.iter().chain(&a.given).collect();
    let whole_b: Vec<&Token> = b.family.iter().chain(&b.given).collect();
    let (mut family, mut given) = straight;
    if rank(&combine(swapped.0, swapped.1)) > rank(&combine(family, given)) {
        (family, given) = swapped;
    }
    // Names in one component, or cut at another place: all words agree. One word alone is not enough.
    if whole_a.len() >= 2 && same_words(&whole_a, &whole_b) && !unnamed(a) && !unnamed(b) {
        (family, given) = (Agreement::Normalised, Agreement::Normalised);
    }
    let mut compared = combine(family, given);
    let generations = matches!((a.generation, b.generation), (Some(a), Some(b)) if a != b);
    if agrees(compared.agreement) && (generations || particles_differ(a, b)) {
        compared.agreement = Agreement::Similar;
    }
    compared
}

fn unnamed(form: &Form) -> bool {
    is_unnamed(&form.given)
}

fn stronger_of(a: Agreement, b: Agreement) -> Agreement {
    if strength(a) >= strength(b) { a } else { b }
}

fn combine(family: Agreement, given: Agreement) -> NameCompared {
    let agreement = match weaker(family, given) {
        // A family name alone is no name that agrees.
        Agreement::Missing if strength(stronger_of(family, given)) >= 2 => Agreement::Similar,
        other => other,
    };
    NameCompared { agreement, family, given }
}

/// `von Berg` is `Berg`, but not `van den Berg`.
fn particles_differ(a: &Form, b: &Form) -> bool {
    if a.particles_behind || b.particles_behind {
        return a.particles != b.particles;
    }
    let within = |x: &Form, y: &Form| x.particles.iter().all(|word| y.particles.contains(word));
    !within(a, b) && !within(b, a)
}

fn given(a: &[Token], b: &[Token], cut: bool) -> Agreement {
    if is_unnamed(a) || is_unnamed(b) { Agreement::Missing } else { part(a, b, cut) }
}

/// Compares family with family, or given names with given names.
fn part(a: &[Token], b: &[Token], cut: bool) -> Agreement {
    if a.is_empty() || b.is_empty() {
        return Agreement::Missing;
    }
    let (left, right): (Vec<&Token>, Vec<&Token>) = (a.iter().collect(), b.iter().collect());
    if same_words(&left, &right) {
        return Agreement::Normalised;
    }
    let whole = joined(a, b);
    if agrees(whole) {
        return whole;
    }
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    let contained = short.iter().all(|token| long.iter().any(|other| token.same(other)));
    if contained || initials(&short, &long) || (cut && begins(a, b)) {
        return Agreement::Similar;
    }
    whole
}

/// The same words in any order (`Meier-Schmidt` is `Schmidt Meier`).
fn same_words(a: &[&Token], b: &[&Token]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut rest: Vec<&Token> = b.to_vec();
    a.iter().all(|token| {
        let found = rest.iter().position(|other| token.same(other));
        found.map(|at| rest.swap_remove(at)).is_some()
    })
}

fn glue(tokens: &[Token]) -> [String; 3] {
    let by = |index: usize| -> String {
        tokens.iter().filter_map(|t| t.keys.get(index)).map(String::as_str).collect()
    };
    [by(0), by(1), by(2)]
}

/// The words run together: equal, a slip of the finger apart, or different.
fn joined(a: &[Token], b: &[Token]) -> Agreement {
    let (left, right) = (glue(a), glue(b));
    if left.iter().any(String::is_empty) || right.iter().any(String::is_empty) {
        return Agreement::Missing;
    }
    if left.iter().any(|key| right.contains(key)) {
        return Agreement::Normalised;
    }
    let close = left.iter().zip(&right).any(|(x, y)| {
        let length = x.chars().count().max(y.chars().count());
        damerau_levenshtein(x, y) <= slips(length)
    });
    if close { Agreement::Similar } else { Agreement::Different }
}

/// Slips of the finger that a name of this many letters may have and still be shown as close.
fn slips(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=10 => 2,
        _ => 3,
    }
}

/// `J` against `Johann`.
fn initials(short: &[&Token], long: &[&Token]) -> bool {
    let first = |tokens: &[&Token]| tokens.first().and_then(|t| t.keys.first().cloned());
    let (Some(a), Some(b)) = (first(short), first(long)) else {
        return false;
    };
    let one = |x: &str, y: &str| x.chars().count() == 1 && y.starts_with(x);
    one(&a, &b) || one(&b, &a)
}

fn begins(a: &[Token], b: &[Token]) -> bool {
    let (left, right) = (glue(a), glue(b));
    left.iter().zip(&right).any(|(x, y)| x.starts_with(y.as_str()) || y.starts_with(x.as_str()))
}

/// Compares two birth dates.
pub(super) fn birth_dates(a: Option<BirthDate>, b: Option<BirthDate>) -> Agreement {
    let (Some(a), Some(b)) = (a, b) else {
        return Agreement::Missing;
    };
    if is_unknown(a) || is_unknown(b) {
        return Agreement::Missing;
    }
    if a == b {
        return Agreement::Equal;
    }
    let (x, y) = (a.date(), b.date());
    // A day off is one slip, even where it changes two digits.
    let next_day =
        x.tomorrow().is_ok_and(|next| next == y) || y.tomorrow().is_ok_and(|next| next == x);
    let swapped = x.year() == y.year() && x.month() == y.day() && x.day() == y.month();
    let year_only = x.year() == y.year() && (is_default(a) || is_default(b));
    let (left, right) = (a.to_dicom(), b.to_dicom());
    let digits = left.bytes().zip(right.bytes()).filter(|(l, r)| l != r).count();
    if next_day || swapped || year_only || digits == 1 {
        Agreement::Similar
    } else {
        Agreement::Different
    }
}

/// 1 January: the day that is written when only the year is known. Many people share it.
pub(super) fn is_default(date: BirthDate) -> bool {
    date.date().month() == 1 && date.date().day() == 1
}

/// 1900-01-01 and its kin stand for "not known", not for a person of that age.
pub(super) fn is_unknown(date: BirthDate) -> bool {
    is_default(date) && date.date().year() <= 1901
}

/// Only `M` against `F` contradicts.
pub(super) fn sexes(a: Sex, b: Sex) -> Agreement {
    match (a, b) {
        (Sex::Male, Sex::Male) | (Sex::Female, Sex::Female) => Agreement::Equal,
        (Sex::Male, Sex::Female) | (Sex::Female, Sex::Male) => Agreement::Different,
        (Sex::Other | Sex::Unknown, _) | (_, Sex::Other | Sex::Unknown) => Agreement::Missing,
    }
}

/// Compares the IDs of a header with a local one. Only IDs of one issuer can agree or contradict: a number
/// alone is given to somebody in every hospital.
pub(super) fn patient_ids(
    header: &[&PatientId],
    local: Option<&PatientId>,
    universal: Option<&str>,
) -> Agreement {
    let Some(local) = local else {
        return Agreement::Missing;
    };
    let mut found = Agreement::Missing;
    for id in header {
        let issuer = id.issuer.as_deref().map(str::trim).filter(|issuer| !issuer.is_empty());
        let local_issuer = local.issuer.as_deref().map(str::trim).filter(|i| !i.is_empty());
        let same_issuer = issuer.is_some() && (issuer == local_issuer || issuer == universal);
        let same_id = id.id.trim() == local.id.trim();
        let zeros = |text: &str| text.trim().trim_start_matches('0').to_owned();
        let this = match (same_issuer, same_id) {
            (true, true) => Agreement::Equal,
            (true, false) if zeros(&id.id) == zeros(&local.id) => Agreement::Similar,
            (true, false) => Agreement::Different,
            (false, true) if issuer.is_none() || local_issuer.is_none() => Agreement::Similar,
            (false, _) => Agreement::Missing,
        };
        found = match (found, this) {
            // Two IDs of one issuer, as after a merge: neither trusted nor a contradiction.
            (Agreement::Equal, Agreement::Different) | (Agreement::Different, Agreement::Equal) => {
                Agreement::Similar
            }
            // Another ID of our issuer outweighs a number that happens to be the same.
            (_, Agreement::Equal | Agreement::Different) => this,
            (Agreement::Missing, _) => this,
            (kept, _) => kept,
        };
    }
    found
}

/// A local patient ID as the request names it: the issuer only has to agree if both tell one.
pub(super) fn requested_patient(
    asked: Option<&PatientId>,
    local: Option<&PatientId>,
    universal: Option<&str>,
) -> Agreement {
    let (Some(asked), Some(local)) = (asked, local) else {
        return Agreement::Missing;
    };
    let issuers = match (asked.issuer.as_deref(), local.issuer.as_deref()) {
        (Some(a), Some(b)) => a.trim() == b.trim() || universal == Some(a.trim()),
        _ => true,
    };
    if issuers && asked.id.trim() == local.id.trim() {
        Agreement::Equal
    } else {
        Agreement::Different
    }
}
