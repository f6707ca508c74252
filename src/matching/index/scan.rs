//! The same without looking anything up: every item held against the study, for the tests.

use std::collections::BTreeSet;

use super::near::RARE;
use super::numbers::numbers_of_study;
use super::*;
use crate::matching::{Agreement, differ};

impl Index<'_> {
    /// Compares the study with every item there is.
    pub(in crate::matching) fn over_everything(
        &self,
        case: &Case,
        completeness: Completeness,
        policy: Policy,
    ) -> Outcome {
        let study = Study::new(case);
        let mut assessed = self.compare(&study, self.places());
        rank::sort(&mut assessed);
        rank::fit(&study, &mut assessed);
        decide::climbed(&study, &assessed, completeness, policy)
    }

    /// Compares the study with whom the index should have found.
    pub(in crate::matching) fn over_the_plausible(
        &self,
        case: &Case,
        completeness: Completeness,
        policy: Policy,
    ) -> Outcome {
        let study = Study::new(case);
        let mut field: BTreeSet<u32> =
            self.places().into_iter().filter(|place| self.is_plausible(&study, *place)).collect();
        let likely = self.compare(&study, field.iter().copied().collect());
        let mut lexicon = Lexicon::default();
        let words: Vec<Vec<Arc<Token>>> = self
            .entries
            .iter()
            .map(|entry| entry.name.as_ref().map(|n| n.found_by(&mut lexicon)).unwrap_or_default())
            .collect();
        if !likely.iter().any(Assessed::is_likely) {
            for word in &study.found_by {
                let with: Vec<u32> = self
                    .places()
                    .into_iter()
                    .filter(|place| words[*place as usize].iter().any(|other| finds(word, other)))
                    .collect();
                if with.len() <= RARE {
                    field.extend(with);
                }
            }
        }
        let mut assessed = self.compare(&study, field.iter().copied().collect());
        rank::sort(&mut assessed);
        if let Some(best) = assessed.first().map(|best| best.item) {
            let kin = numbers_of(best);
            field.extend(self.places().into_iter().filter(|place| {
                numbers_of(&self.items[*place as usize]).iter().any(|number| kin.contains(number))
            }));
        }
        let mut assessed = self.compare(&study, field.into_iter().collect());
        rank::sort(&mut assessed);
        rank::fit(&study, &mut assessed);
        decide::climbed(&study, &assessed, completeness, policy)
    }

    fn places(&self) -> Vec<u32> {
        (0..u32::try_from(self.items.len()).unwrap()).collect()
    }

    fn is_plausible(&self, study: &Study<'_>, place: u32) -> bool {
        let item = &self.items[place as usize];
        let born = item.patient.birth_date;
        let witnesses = &study.case.witnesses;
        let portal = study.portal.as_ref().and_then(|portal| portal.birth_date);
        let dates = [study.header.birth_date, witnesses.typed_birth_date, portal];
        let by_date = dates.into_iter().any(|date| {
            matches!(compare::birth_dates(date, born), Agreement::Equal | Agreement::Similar)
        });
        // What only shares a slip of the day, or the year of a 1 January, has to share a word as well.
        let exactly = dates.into_iter().flatten().any(|date| Some(date) == born);
        let undated = born.is_none_or(compare::is_unknown);
        let theirs = numbers_of(item);
        let by_number = numbers_of_study(study).iter().any(|number| theirs.contains(number));
        let mut lexicon = Lexicon::default();
        let name = self.entries[place as usize].name.as_ref();
        let words = name.map(|name| name.found_by(&mut lexicon)).unwrap_or_default();
        let shared = study
            .found_by
            .iter()
            .filter(|word| words.iter().any(|other| finds(word, other)))
            .count();
        let alone = study.found_by.len() == 1 || words.len() <= 1;
        let header = study
            .header
            .name
            .as_ref()
            .filter(|_| study.portal.is_none() && study.other_names.is_empty());
        let clarity = |name: Option<&Name>| name.map(Clarity::of).unwrap_or_default();
        let differs = || differ::without_a_word(clarity(header), clarity(name), || (header, name));
        let by_date = by_date && (exactly || shared > 0 || !differs());
        by_date || undated || by_number || shared >= 2 || (alone && shared == 1)
    }
}

fn finds(word: &Token, other: &Token) -> bool {
    word.close(other) || (word.sound.is_some() && word.sound == other.sound)
}
