//! Who of a worklist may be meant: by day, by number, by the words of the name.

use std::collections::BTreeSet;

use super::super::Agreement;
use super::super::compare;
use super::super::differ::{self, Clarity};
use super::super::study::Study;
use super::super::vocabulary::Alike;
use super::numbers::{day, numbers_of, numbers_of_study, slips_of};
use super::{Index, Item};

/// A word that more items carry tells too little to look for somebody by it alone.
pub(super) const RARE: usize = 300;

/// Items that only their names point to, which are compared: more than a person is shown, and the nearest.
/// A common name points to thousands, of whom no rule takes anyone without a day or a number.
const NAMED: usize = 200;

/// Items with a slip of the day and one word of the name, whose names differ: as many are compared, and the
/// nearest. 1 January is every day of its year, and no rule takes any of them.
const SLIPPED: usize = 200;

/// Items that are compared where nothing at all is known of the patient.
const BLIND_LIMIT: usize = 500;

impl Index<'_> {
    /// Everyone whom a day, a number, or two words point to. Gives the words that are like those of the study.
    pub(super) fn near(&self, study: &Study<'_>, field: &mut Field) -> Vec<Alike> {
        field.extend(self.without_birth_date.iter().copied());
        for number in numbers_of_study(study) {
            field.extend(self.by_number.get(number));
        }
        let by_slip = self.by_day(study, field);
        let alike: Vec<Alike> = study.found_by.iter().map(|word| self.words.like(word)).collect();
        let mut hits = vec![Hit::default(); self.items.len()];
        let mut found: Vec<u32> = Vec::new();
        for (word, alike) in (1_u8..).zip(&alike) {
            let (exactly, nearly) = (self.rarity(&alike.exactly), self.rarity(&alike.nearly));
            let exactly = (&alike.exactly, 2, exactly);
            for (words, strength, rarity) in [exactly, (&alike.nearly, 1, nearly)] {
                for place in words.iter().flat_map(|word| self.words.items(*word)) {
                    let at = usize::try_from(*place).ok();
                    let Some(hit) = at.and_then(|at| hits.get_mut(at)) else { continue };
                    if hit.last == word {
                        continue;
                    }
                    hit.last = word;
                    hit.words = hit.words.saturating_add(1);
                    hit.strength = hit.strength.saturating_add(strength);
                    hit.rarity = hit.rarity.max(rarity);
                    let alone = study.found_by.len() == 1 || self.is_single(*place);
                    if hit.words == if alone { 1 } else { 2 } {
                        found.push(*place);
                    }
                }
            }
        }
        self.slipped(study, by_slip, &hits, field);
        if found.len() > NAMED {
            found.sort_by_cached_key(|place| {
                let near = self.item(*place).map_or(0, |item| nearness(study, item));
                (std::cmp::Reverse((hit(&hits, *place).strength, near)), *place)
            });
            found.truncate(NAMED);
        }
        field.extend(found);
        if study.found_by.is_empty() && field.is_as_blind_as(self.without_birth_date.len()) {
            let open = (0_u32..).zip(&self.entries).filter(|(_, entry)| entry.open);
            field.extend(open.map(|(place, _)| place).take(BLIND_LIMIT));
        }
        alike
    }

    /// Takes whoever was born on a day that is told. Gives those born on a slip of it.
    fn by_day(&self, study: &Study<'_>, field: &mut Field) -> Vec<u32> {
        let portal = study.portal.as_ref().and_then(|portal| portal.birth_date);
        let mut days: Vec<u64> = Vec::new();
        let mut by_slip: Vec<u32> = Vec::new();
        for date in [study.header.birth_date, study.case.witnesses.typed_birth_date, portal] {
            let known = date.filter(|date| !compare::is_unknown(*date));
            days.extend(known.map(slips_of).into_iter().flatten());
            field.extend(known.into_iter().flat_map(|date| self.by_birth_date.get(day(date))));
            if let Some(date) = known.filter(|date| compare::is_default(*date)) {
                let year = day(date) / 10_000 * 10_000;
                by_slip.extend(self.by_birth_date.range(year, year + 9_999));
            }
        }
        days.sort_unstable();
        days.dedup();
        for day in days {
            by_slip.extend(self.by_birth_date.get(day));
        }
        by_slip
    }

    /// Takes those born on a slip of the day who could be meant, and the nearest of the others.
    fn slipped(&self, study: &Study<'_>, by_slip: Vec<u32>, hits: &[Hit], field: &mut Field) {
        // Where more names are told, more would have to differ.
        let is_only = study.portal.is_none() && study.other_names.is_empty();
        let name = study.header.name.as_ref().filter(|_| is_only);
        let asked = name.map(Clarity::of).unwrap_or_default();
        // Without a name nobody is taken by rule, whatever the day.
        let nameless = is_only && name.is_none_or(|name| name.placeholder);
        let mut others: Vec<(std::cmp::Reverse<(u8, u8)>, u32)> = Vec::new();
        for place in by_slip {
            let entry = usize::try_from(place).ok().and_then(|at| self.entries.get(at));
            let theirs = entry.map(|entry| entry.clarity).unwrap_or_default();
            let hit = hit(hits, place);
            let names = || (name, entry.and_then(|entry| entry.name.as_ref()));
            if hit.words == 0 && differ::without_a_word(asked, theirs, names) {
                continue;
            }
            if nameless || hit.words <= 1 && differ::with_one_word(asked, theirs) {
                let sex = self.item(place).map_or(0, |item| {
                    let sexes = compare::sexes(study.header.sex, item.patient.sex);
                    u8::from(sexes == Agreement::Equal)
                });
                others.push((std::cmp::Reverse((hit.rarity, sex)), place));
            } else {
                field.add(place);
            }
        }
        others.sort_unstable();
        others.dedup();
        field.extend(others.into_iter().take(SLIPPED).map(|(_, place)| place));
    }

    pub(super) fn near_by_one(&self, alike: &[Alike], field: &mut Field) {
        for alike in alike {
            let words = alike.exactly.iter().chain(&alike.nearly);
            let mut items = BTreeSet::new();
            for item in words.flat_map(|word| self.words.items(*word)) {
                items.insert(*item);
                if items.len() > RARE {
                    break;
                }
            }
            if items.len() <= RARE {
                field.extend(items);
            }
        }
    }

    /// The other items of a patient, and those under the same number.
    pub(super) fn kin(&self, item: &Item, field: &mut Field) {
        for number in numbers_of(item) {
            field.extend(self.by_number.get(number));
        }
    }

    fn item(&self, place: u32) -> Option<&Item> {
        self.items.get(usize::try_from(place).ok()?)
    }

    fn is_single(&self, place: u32) -> bool {
        usize::try_from(place).ok().and_then(|at| self.single.get(at)).is_some_and(|single| *single)
    }

    /// How few items these words point to, in halvings of the worklist.
    fn rarity(&self, words: &[u32]) -> u8 {
        let items: usize = words.iter().map(|word| self.words.items(*word).len()).sum();
        let halvings = (self.items.len() / items.max(1)).checked_ilog2().unwrap_or(0);
        u8::try_from(halvings).unwrap_or(u8::MAX)
    }
}

/// How the words of a study point to one item.
#[derive(Clone, Copy, Default)]
struct Hit {
    words: u8,
    strength: u8,
    /// Of the rarest word.
    rarity: u8,
    /// The last word that pointed to it.
    last: u8,
}

fn hit(hits: &[Hit], place: u32) -> Hit {
    usize::try_from(place).ok().and_then(|at| hits.get(at)).copied().unwrap_or_default()
}

/// What else speaks for an item of a common name, at a glance.
fn nearness(study: &Study<'_>, item: &Item) -> u8 {
    let (asked, patient) = (&study.header, &item.patient);
    let sex = compare::sexes(asked.sex, patient.sex) == Agreement::Equal;
    let (Some(a), Some(b)) = (asked.birth_date, patient.birth_date) else {
        return u8::from(sex);
    };
    let (a, b) = (a.date(), b.date());
    let parts = [a.year() == b.year(), a.month() == b.month(), a.day() == b.day(), sex];
    parts.into_iter().map(u8::from).sum()
}

/// Which items are in question, each once.
pub(super) struct Field {
    known: Vec<bool>,
    fresh: Vec<u32>,
    count: usize,
}

impl Field {
    pub(super) fn new(items: usize) -> Self {
        Self { known: vec![false; items], fresh: Vec::new(), count: 0 }
    }

    fn add(&mut self, place: u32) {
        let known = usize::try_from(place).ok().and_then(|at| self.known.get_mut(at));
        if let Some(known) = known.filter(|known| !**known) {
            *known = true;
            self.fresh.push(place);
            self.count = self.count.saturating_add(1);
        }
    }

    fn extend(&mut self, places: impl IntoIterator<Item = u32>) {
        places.into_iter().for_each(|place| self.add(place));
    }

    /// Nothing was found but who has no birth date.
    fn is_as_blind_as(&self, undated: usize) -> bool {
        self.count <= undated
    }

    /// Those that have not been compared yet.
    pub(super) fn taken(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.fresh)
    }
}
