//! How one value of the study compares with the same value of an item.
//!
//! Invariant: every comparison is symmetric, and nothing that is unknown on either side agrees or contradicts.

use std::borrow::Cow;
use std::sync::Arc;

use crate::dicom::{BirthDate, Patient, Sex};

use super::Agreement;
use super::lexicon::{Lexicon, Token, within_slips};
use super::normalise::{Form, Name, is_unnamed, label};
use super::script::{Fidelity, Script, skeleton};

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

    const SIMILAR: Self = Self {
        agreement: Agreement::Similar,
        family: Agreement::Similar,
        given: Agreement::Similar,
    };

    /// The same where another name of the study, as of before a marriage, is compared too: it points to a person,
    /// and proves nothing.
    pub(super) fn or_known_as(self, other: Self) -> Self {
        let is_better = self.agreement == Agreement::Different
            && strength(other.agreement) >= strength(Agreement::Similar);
        if is_better { other.at_most_similar() } else { self }
    }

    /// No stronger than a candidate.
    fn at_most_similar(self) -> Self {
        let cap = |agreement| if agrees(agreement) { Agreement::Similar } else { agreement };
        Self { agreement: cap(self.agreement), family: cap(self.family), given: cap(self.given) }
    }
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

/// Compares two names. Placeholders say nothing, and neither do names whose scripts cannot be brought together.
pub(super) fn names(a: Option<&Name>, b: Option<&Name>) -> NameCompared {
    let (Some(a), Some(b)) = (a, b) else {
        return NameCompared::MISSING;
    };
    if a.placeholder || b.placeholder {
        return NameCompared::MISSING;
    }
    let mut best = across(&a.forms, &b.forms).unwrap_or_else(|| in_latin(a, b));
    if best.agreement == Agreement::Different {
        let repaired = [
            across(&a.repaired, &b.forms),
            across(&a.forms, &b.repaired),
            across(&a.repaired, &b.repaired),
        ];
        for other in repaired.into_iter().flatten() {
            // Read in another character set it would agree: a candidate, never truth.
            if strength(other.agreement) >= strength(Agreement::Similar) {
                best = NameCompared::SIMILAR;
            }
        }
    }
    if a.mangled != b.mangled {
        best = best.at_most_similar();
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
/// `None` if no two are in one script.
fn across(a: &[Form], b: &[Form]) -> Option<NameCompared> {
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
    let mut best = best?;
    if differs && agrees(best.agreement) {
        best.agreement = Agreement::Similar;
    }
    Some(best)
}

/// Names of two scripts by their transliterations. A guessed one is a candidate, and says nothing where it
/// differs; homophones and unwritten vowels prove nothing either way.
fn in_latin(a: &Name, b: &Name) -> NameCompared {
    let written = |name: &Name| -> Vec<(Form, Fidelity)> {
        let latin = name.forms.iter().filter(|form| form.script == Script::Latin);
        let whole = latin.map(|form| (form.clone(), Fidelity::Whole));
        whole.chain(name.latin.iter().cloned()).collect()
    };
    let mut best = NameCompared::MISSING;
    for (left, x) in &written(a) {
        for (right, y) in &written(b) {
            let mut compared = forms(left, right);
            if (*x, *y) != (Fidelity::Whole, Fidelity::Whole) {
                compared = compared.at_most_similar();
                let same = agrees_by_consonants(left, right);
                if same {
                    compared = NameCompared::SIMILAR;
                } else if compared.agreement == Agreement::Different {
                    compared = NameCompared::MISSING;
                }
            }
            if best.agreement == Agreement::Missing || rank(&compared) > rank(&best) {
                best = compared;
            }
        }
    }
    best
}

fn agrees_by_consonants(a: &Form, b: &Form) -> bool {
    let bones = |part: &[Arc<Token>]| -> String {
        skeleton(&part.iter().map(|token| token.word()).collect::<String>())
    };
    let alike = |x: &[Arc<Token>], y: &[Arc<Token>]| {
        let (x, y) = (bones(x), bones(y));
        !x.is_empty() && x == y
    };
    alike(&a.family, &b.family) && alike(&a.given, &b.given)
}

fn rank(compared: &NameCompared) -> (u8, u8) {
    let parts = strength(compared.family).saturating_add(strength(compared.given));
    (strength(compared.agreement), parts)
}

fn forms(a: &Form, b: &Form) -> NameCompared {
    let cut = a.cut || b.cut;
    // With the particles only equality counts: they would make short names look alike.
    let particles = [a, b].iter().any(|form| form.family.len() != form.family_full.len());
    let with_particles = match particles {
        true => joined(&a.family_full, &b.family_full),
        false => Agreement::Missing,
    };
    let family =
        if agrees(with_particles) { with_particles } else { part(&a.family, &b.family, cut) };
    let straight = (family, given(&a.given, &b.given, cut));
    let whole = |form: &'_ Form| -> Vec<Arc<Token>> {
        form.family.iter().chain(&form.given).map(Arc::clone).collect()
    };
    // Seen before anything is allocated, since names are compared by the thousand.
    let found_in = |token: &Token, form: &Form| {
        form.family.iter().chain(&form.given).any(|other| token.same(other))
    };
    let (mut family, mut given) = straight;
    let both_unnamed = unnamed(a) && unnamed(b);
    if !both_unnamed && !agrees(combine(family, given).agreement) {
        let named = |given: &[Arc<Token>], family: &[Arc<Token>]| match is_unnamed(given) {
            true => Agreement::Missing,
            false => part(given, family, cut),
        };
        let swapped = (named(&b.given, &a.family), named(&a.given, &b.family));
        if rank(&combine(swapped.0, swapped.1)) > rank(&combine(family, given)) {
            (family, given) = swapped;
        }
    }
    // Names in one component, or cut at another place: all words agree. One word alone is not enough.
    let words = a.family.len().saturating_add(a.given.len());
    let same_count = words == b.family.len().saturating_add(b.given.len());
    if words >= 2
        && same_count
        && !agrees(combine(family, given).agreement)
        && a.family.iter().chain(&a.given).all(|token| found_in(token, b))
        && same_words(&whole(a), &whole(b))
        && !unnamed(a)
        && !unnamed(b)
    {
        (family, given) = (Agreement::Normalised, Agreement::Normalised);
    }
    // A name of before a marriage points to a person, and proves nothing.
    if family == Agreement::Different {
        let before = [(&a.former, &b.family), (&a.family, &b.former), (&a.former, &b.former)];
        if before.iter().any(|(x, y)| agrees(part(x, y, false))) {
            family = Agreement::Similar;
        }
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

fn given(a: &[Arc<Token>], b: &[Arc<Token>], cut: bool) -> Agreement {
    if !is_unnamed(a) && !is_unnamed(b) {
        return part(a, b, cut);
    }
    // Twins that are told apart by what follows the same word are not each other.
    let differ = match (label(a), label(b)) {
        (Some((one, a)), Some((other, b))) => {
            one.same(other) && part(&a, &b, cut) == Agreement::Different
        }
        _ => false,
    };
    if differ { Agreement::Different } else { Agreement::Missing }
}

/// Compares family with family, or given names with given names.
fn part(a: &[Arc<Token>], b: &[Arc<Token>], cut: bool) -> Agreement {
    if a.is_empty() || b.is_empty() {
        return Agreement::Missing;
    }
    if same_words(a, b) {
        return Agreement::Normalised;
    }
    let whole = joined(a, b);
    if agrees(whole) {
        return whole;
    }
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let contained = short.iter().all(|token| long.iter().any(|other| token.same(other)));
    if contained || initials(short, long) || (cut && begins(a, b)) {
        return Agreement::Similar;
    }
    whole
}

/// The same words in any order (`Meier-Schmidt` is `Schmidt Meier`).
fn same_words(a: &[Arc<Token>], b: &[Arc<Token>]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let ([a], [b]) = (a, b) {
        return a.same(b);
    }
    let mut rest: Vec<&Arc<Token>> = b.iter().collect();
    a.iter().all(|token| {
        let found = rest.iter().position(|other| token.same(other));
        found.map(|at| rest.swap_remove(at)).is_some()
    })
}

fn glue(tokens: &[Arc<Token>]) -> [Cow<'_, str>; 3] {
    [0, 1, 2].map(|index| {
        let mut keys = tokens.iter().filter_map(|t| t.keys.get(index)).map(AsRef::as_ref);
        match (keys.next(), tokens.len()) {
            (Some(only), 1) => Cow::Borrowed(only),
            (Some(first), _) => Cow::Owned(std::iter::once(first).chain(keys).collect()),
            (None, _) => Cow::Borrowed(""),
        }
    })
}

/// The words run together: equal, a slip of the finger apart, or different.
fn joined(a: &[Arc<Token>], b: &[Arc<Token>]) -> Agreement {
    if a.is_empty() || b.is_empty() {
        return Agreement::Missing;
    }
    if let ([a], [b]) = (a, b) {
        return match (a.same(b), a.close(b)) {
            (true, _) => Agreement::Normalised,
            (false, true) => Agreement::Similar,
            (false, false) => Agreement::Different,
        };
    }
    let (left, right) = (glue(a), glue(b));
    let equal = |(x, y): (usize, usize)| left.get(x) == right.get(y);
    let mut pairs = (0..3).flat_map(|x| (0..3).map(move |y| (x, y))).filter(|pair| equal(*pair));
    if pairs.any(|(x, y)| are_parted_alike(&parted(a, x), &parted(b, y))) {
        return Agreement::Normalised;
    }
    let close = left.iter().zip(&right).any(|(x, y)| within_slips(x, y).is_some());
    if close { Agreement::Similar } else { Agreement::Different }
}

/// Where one word ends and the next begins, in letters, by one of the keys.
fn parted(tokens: &[Arc<Token>], key: usize) -> Vec<usize> {
    let lengths = tokens.iter().map(|token| token.keys.get(key).map_or(0, |key| key.len()));
    let mut at = 0_usize;
    let mut parted: Vec<usize> = lengths
        .map(|length| {
            at = at.saturating_add(length);
            at
        })
        .collect();
    parted.pop();
    parted
}

/// Words are run together or written apart (`Annamaria`, `Anna Maria`). `Silvi aSusanne` is a slip.
fn are_parted_alike(a: &[usize], b: &[usize]) -> bool {
    a.iter().all(|place| b.contains(place)) || b.iter().all(|place| a.contains(place))
}

/// `J` against `Johann`.
fn initials(short: &[Arc<Token>], long: &[Arc<Token>]) -> bool {
    let (Some(a), Some(b)) = (short.first(), long.first()) else {
        return false;
    };
    let one =
        |x: &Token, y: &Token| x.word().chars().nth(1).is_none() && y.word().starts_with(x.word());
    one(a, b) || one(b, a)
}

fn begins(a: &[Arc<Token>], b: &[Arc<Token>]) -> bool {
    let (left, right) = (glue(a), glue(b));
    left.iter().zip(&right).any(|(x, y)| x.starts_with(y.as_ref()) || y.starts_with(x.as_ref()))
}

/// Whether one family name begins with the other or with a given name: then one may have been cut.
pub(super) fn begin_alike(a: &Name, b: &Name) -> bool {
    a.readings().any(|a| {
        b.readings().any(|b| {
            let parts = [(&a.family, &b.family), (&a.family, &b.given), (&a.given, &b.family)];
            parts.into_iter().any(|(x, y)| begins(x, y))
        })
    })
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
    if next_day || swapped || year_only || digits_apart(x, y) == 1 {
        Agreement::Similar
    } else {
        Agreement::Different
    }
}

/// Birth dates and names of two patients.
pub fn patients(a: &Patient, b: &Patient) -> (Agreement, Agreement) {
    let mut lexicon = Lexicon::default();
    let mut name = |of: &Patient| of.name.as_ref().map(|name| Name::new(name, &mut lexicon));
    let (one, other) = (name(a), name(b));
    let names = names(one.as_ref(), other.as_ref());
    (birth_dates(a.birth_date, b.birth_date), names.agreement)
}

/// Digits of YYYYMMDD that are not the same.
fn digits_apart(a: jiff::civil::Date, b: jiff::civil::Date) -> usize {
    let number = |date: jiff::civil::Date| {
        i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day())
    };
    let (mut a, mut b) = (number(a), number(b));
    let mut apart = 0;
    for _ in 0..8 {
        apart += usize::from(a % 10 != b % 10);
        (a, b) = (a / 10, b / 10);
    }
    apart
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
