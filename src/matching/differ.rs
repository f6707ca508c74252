//! Names that differ for certain, seen by the words they share and without comparing them.
//!
//! Invariant: what is told here to differ is [`Agreement::Different`](super::Agreement) to
//! [`compare::names`]. It only spares work; where anything is unclear, names are compared.

use std::sync::Arc;

use super::compare;
use super::lexicon::Token;
use super::normalise::{Form, Name, is_unnamed};
use super::script::{Fidelity, Script};

/// What is known of a name without comparing it. Of a name with several readings all of them count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clarity {
    /// In letters of which nothing is guessed, with a family name in every reading.
    is_clear: bool,
    /// The words of the family name run together are found like a word, and none is an initial.
    family: bool,
    /// There are given names, and the same holds for them.
    given: bool,
    former: bool,
    /// No word stands in the family name and in the given names.
    is_apart: bool,
    single_family: bool,
    /// Some part may have been cut off.
    is_cut: bool,
}

impl Clarity {
    pub(super) fn of(name: &Name) -> Self {
        let legible = name.forms.len() == 1
            && !name.placeholder
            && name.latin.iter().all(|(_, fidelity)| *fidelity == Fidelity::Whole)
            && name.forms.iter().chain(&name.repaired).all(is_legible);
        if !legible {
            return Self::default();
        }
        name.readings().map(Self::of_form).reduce(Self::and).unwrap_or_default()
    }

    fn of_form(form: &Form) -> Self {
        let Form { family, given, former, .. } = form;
        // Initials stand for any word of their letter.
        let written_out =
            |words: &[Arc<Token>]| words.iter().all(|word| word.word().chars().nth(1).is_some());
        // With umlauts the words run together have more spellings than they are found by.
        let together =
            |words: &[Arc<Token>]| words.len() <= 1 || words.iter().all(|word| word.is_plain);
        let whole = family.len() == 1 || family.len() == form.family_full.len();
        Self {
            is_clear: !family.is_empty() && former.len() <= 1,
            family: written_out(family) && together(family) && together(&form.family_full) && whole,
            given: !given.is_empty() && !is_unnamed(given) && written_out(given) && together(given),
            former: !former.is_empty(),
            is_apart: !family.iter().any(|word| given.contains(word)),
            single_family: family.len() == 1 && form.family_full.len() == 1,
            is_cut: form.cut,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            is_clear: self.is_clear && other.is_clear,
            family: self.family && other.family,
            given: self.given && other.given,
            former: self.former || other.former,
            is_apart: self.is_apart && other.is_apart,
            single_family: self.single_family && other.single_family,
            is_cut: self.is_cut || other.is_cut,
        }
    }
}

/// Latin letters, or letters that have their Latin ones.
fn is_legible(form: &Form) -> bool {
    matches!(form.script, Script::Latin | Script::Cyrillic)
}

/// Whether two names differ that share no word, close words and words of one sound included.
///
/// Both families are compared with each other and, in case the parts were swapped, one of them with given names:
/// where neither pair has a word in common, no part agrees. `names` is asked for names that may have been cut.
pub(super) fn without_a_word<'a>(
    a: Clarity,
    b: Clarity,
    names: impl Fn() -> (Option<&'a Name>, Option<&'a Name>),
) -> bool {
    let clear = a.is_clear && b.is_clear && a.family && b.family && (a.given || b.given);
    let former = !a.former && !b.former || a.single_family && b.single_family;
    let whole = || match names() {
        (Some(a), Some(b)) => !compare::begin_alike(a, b),
        _ => false,
    };
    clear && former && (!a.is_cut && !b.is_cut || whole())
}

/// Whether two names differ that share one word at most: neither both families and both given names can agree,
/// nor the parts swapped.
pub(super) fn with_one_word(a: Clarity, b: Clarity) -> bool {
    let simple = |name: Clarity| {
        name.is_clear && name.family && name.given && name.is_apart && !name.former && !name.is_cut
    };
    simple(a) && simple(b)
}
