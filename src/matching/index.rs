//! The worklist made ready: every item normalised once, and found by what a study may share with it.
//!
//! Invariant: the rules decide over an index exactly as over every item. Whoever could be decided for, or could
//! be meant instead, shares the day of birth (or a slip of it, or has none), an ID, or a number; all of these
//! are looked up without loss. Words that are close or sound alike only add to the list that a person sees.

use std::borrow::Cow;
use std::sync::Arc;

use crate::dicom::Item;

use super::compare::{self, NameCompared};
use super::differ::Clarity;
use super::fit::{Ordered, Wordings};
use super::lexicon::{Lexicon, Token};
use super::normalise::Name;
use super::postings::Postings;
use super::rank::{self, Assessed};
use super::study::Study;
use super::vocabulary::Vocabulary;
use super::weights;
use super::{Case, Completeness, Outcome, Policy, decide};

mod near;
mod numbers;
#[cfg(test)]
mod scan;

use near::Field;
use numbers::{day, numbers_of};

/// What is kept of one item beside itself.
pub(super) struct Entry {
    pub(super) name: Option<Name>,
    clarity: Clarity,
    pub(super) open: bool,
    /// Items that carry the rarest family name and given name of this one.
    family_count: u32,
    given_count: u32,
    pub(super) ordered: Arc<Ordered>,
}

impl Entry {
    pub(super) fn name_weight(&self, compared: NameCompared, total: u32) -> i32 {
        let family = weights::name_part(compared.family, self.family_count, total, weights::FAMILY);
        let given = weights::name_part(compared.given, self.given_count, total, weights::GIVEN);
        family.saturating_add(given)
    }
}

/// A worklist ready to be matched against, for any number of studies.
pub struct Index<'a> {
    items: Cow<'a, [Item]>,
    entries: Vec<Entry>,
    words: Vocabulary,
    /// Items whose names have one word only.
    single: Vec<bool>,
    by_birth_date: Postings,
    without_birth_date: Vec<u32>,
    by_number: Postings,
}

impl std::fmt::Debug for Index<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} items)", self.items.len())
    }
}

impl<'a> Index<'a> {
    /// Normalises every item once. Items beyond four thousand million are left out, which no worklist has.
    pub fn new(items: impl Into<Cow<'a, [Item]>>) -> Self {
        let items = items.into();
        let mut lexicon = Lexicon::default();
        let names: Vec<Option<Name>> = items
            .iter()
            .map(|item| item.patient.name.as_ref().map(|name| Name::new(name, &mut lexicon)))
            .collect();
        let mut by_word = Vec::new();
        let mut single = Vec::with_capacity(items.len());
        let mut families: Vec<u32> = Vec::new();
        let mut givens: Vec<u32> = Vec::new();
        for (place, name) in (0_u32..).zip(&names) {
            let found_by =
                name.as_ref().map(|name| name.found_by(&mut lexicon)).unwrap_or_default();
            single.push(found_by.len() <= 1);
            by_word.extend(found_by.iter().map(|token| (token.place, place)));
            for form in name.iter().flat_map(|name| &name.forms) {
                form.family.iter().for_each(|token| count(&mut families, token));
                form.given.iter().for_each(|token| count(&mut givens, token));
            }
        }
        let rarest = |counts: &[u32], tokens: &[Arc<Token>]| {
            tokens.iter().map(|token| counted(counts, token)).min().unwrap_or(0)
        };
        let mut wordings = Wordings::default();
        let entries = names
            .into_iter()
            .zip(items.iter())
            .map(|(name, item)| {
                let form = name.as_ref().and_then(|name| name.forms.first());
                let family_count = form.map_or(0, |form| rarest(&families, &form.family));
                let given_count = form.map_or(0, |form| rarest(&givens, &form.given));
                let clarity = name.as_ref().map(Clarity::of).unwrap_or_default();
                let (open, ordered) = (item.is_open(), wordings.read(item));
                Entry { name, clarity, open, family_count, given_count, ordered }
            })
            .collect();
        let mut by_birth_date = Vec::new();
        let mut without_birth_date = Vec::new();
        let mut by_number = Vec::new();
        for (place, item) in (0_u32..).zip(items.iter()) {
            match item.patient.birth_date.filter(|date| !compare::is_unknown(*date)) {
                Some(date) => by_birth_date.push((day(date), place)),
                None => without_birth_date.push(place),
            }
            by_number.extend(numbers_of(item).into_iter().map(|number| (number, place)));
        }
        Self {
            entries,
            words: Vocabulary::new(lexicon.into_tokens(), by_word),
            single,
            by_birth_date: Postings::new(by_birth_date),
            without_birth_date,
            by_number: Postings::new(by_number),
            items,
        }
    }

    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Compares the study with everyone who may be meant and climbs the ladder. Deterministic, and independent
    /// of the order of the items.
    pub fn decide(&self, case: &Case, completeness: Completeness, policy: Policy) -> Outcome {
        let study = Study::new(case);
        let assessed = self.assess(&study);
        decide::climbed(&study, &assessed, completeness, policy)
    }

    fn assess(&self, study: &Study<'_>) -> Vec<Assessed<'_>> {
        let mut field = Field::new(self.items.len());
        let named = self.near(study, &mut field);
        let mut assessed = self.compare(study, field.taken());
        if !assessed.iter().any(Assessed::is_likely) {
            // Nobody whom two things point to: look for whom one rare word points to.
            self.near_by_one(&named, &mut field);
            assessed.extend(self.compare(study, field.taken()));
        }
        rank::sort(&mut assessed);
        if let Some(best) = assessed.first().map(|best| best.item) {
            self.kin(best, &mut field);
            let kin = self.compare(study, field.taken());
            if !kin.is_empty() {
                assessed.extend(kin);
                rank::sort(&mut assessed);
            }
        }
        rank::fit(study, &mut assessed);
        assessed
    }

    pub(super) fn compare(&self, study: &Study<'_>, places: Vec<u32>) -> Vec<Assessed<'_>> {
        let total = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        let at = |place: u32| {
            let index = usize::try_from(place).ok()?;
            Some((self.items.get(index)?, self.entries.get(index)?))
        };
        let mut compared = Vec::with_capacity(places.len());
        let found = places.into_iter().filter_map(at);
        compared.extend(found.map(|(item, entry)| Assessed::new(study, item, entry, total)));
        compared
    }
}

fn count(counts: &mut Vec<u32>, token: &Token) {
    let Ok(place) = usize::try_from(token.place) else { return };
    if counts.len() <= place {
        counts.resize(place.saturating_add(1), 0);
    }
    if let Some(count) = counts.get_mut(place) {
        *count = count.saturating_add(1);
    }
}

fn counted(counts: &[u32], token: &Token) -> u32 {
    usize::try_from(token.place).ok().and_then(|place| counts.get(place)).copied().unwrap_or(0)
}
