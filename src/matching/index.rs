//! The worklist made ready: every item normalised once, and found by what a study may share with it.
//!
//! Invariant: the rules decide over an index exactly as over every item. Whoever could be decided for, or could
//! be meant instead, shares the day of birth (or a slip of it, or has none), an ID, or a number; all of these
//! are looked up without loss. Words that are close or sound alike only add to the list that a person sees.

use std::borrow::Cow;
use std::sync::Arc;

use crate::dicom::{BirthDate, Item};

use super::compare::{self, NameCompared};
use super::fit::{Ordered, Wordings};
use super::lexicon::{Lexicon, Shape, Token};
use super::normalise::Name;
use super::postings::{Postings, hash};
use super::rank::{self, Assessed};
use super::study::Study;
use super::weights;
use super::{Case, Completeness, Outcome, Policy, decide};

#[cfg(test)]
mod scan;

/// A word that more items carry tells too little to look for somebody by it alone.
const RARE: usize = 300;

/// Items that only their names point to, which are compared: more than a person is shown, and the nearest.
/// A common name points to thousands, of whom no rule takes anyone without a day or a number.
const NAMED: usize = 200;

/// Items that are compared where nothing at all is known of the patient.
const BLIND_LIMIT: usize = 500;

/// What is kept of one item beside itself.
pub(super) struct Entry {
    pub(super) name: Option<Name>,
    is_plain: bool,
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
    words: Vec<Arc<Token>>,
    /// By the place of the word.
    shapes: Vec<[Shape; 3]>,
    by_key: Postings,
    by_sound: Postings,
    by_word: Postings,
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
            by_word.extend(found_by.iter().map(|token| (u64::from(token.place), place)));
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
                let is_plain = name.as_ref().is_some_and(Name::is_plain);
                Entry { name, is_plain, family_count, given_count, ordered: wordings.read(item) }
            })
            .collect();
        let words = lexicon.into_tokens();
        let keys = words
            .iter()
            .flat_map(|word| word.keys.iter().map(|key| (hash("key", key), word.place)));
        let sounds = words.iter().filter_map(|word| Some((word.sound?, word.place)));
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
            shapes: words.iter().map(|word| word.shapes).collect(),
            by_key: Postings::new(keys.collect()),
            by_sound: Postings::new(sounds.collect()),
            by_word: Postings::new(by_word),
            single,
            by_birth_date: Postings::new(by_birth_date),
            without_birth_date,
            by_number: Postings::new(by_number),
            words,
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
        let found = places.into_iter().filter_map(at);
        found.map(|(item, entry)| Assessed::new(study, item, entry, total)).collect()
    }

    /// Everyone whom a day, a number, or two words point to. Gives the items that each word points to.
    fn near(&self, study: &Study<'_>, field: &mut Field) -> Vec<Named> {
        let witnesses = &study.case.witnesses;
        let portal = study.portal.as_ref().and_then(|portal| portal.birth_date);
        let mut days: Vec<u64> = Vec::new();
        let mut by_slip: Vec<u32> = Vec::new();
        for date in [study.header.birth_date, witnesses.typed_birth_date, portal] {
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
        field.extend(self.without_birth_date.iter().copied());
        for number in numbers_of_study(study) {
            field.extend(self.by_number.get(number));
        }
        let named: Vec<Named> = study.found_by.iter().map(|word| self.items_with(word)).collect();
        let mut hits = vec![Hit::default(); self.items.len()];
        let mut found: Vec<u32> = Vec::new();
        for named in &named {
            let exactly = named.exactly.iter().map(|place| (*place, 2));
            let nearly = named.nearly.iter().map(|place| (*place, 1));
            for (place, strength) in exactly.chain(nearly) {
                let hit = usize::try_from(place).ok().and_then(|place| hits.get_mut(place));
                let Some(hit) = hit else { continue };
                hit.words = hit.words.saturating_add(1);
                hit.strength = hit.strength.saturating_add(strength);
                let alone = study.found_by.len() == 1 || self.is_single(place);
                if !hit.taken && (hit.words >= 2 || alone) {
                    hit.taken = true;
                    found.push(place);
                }
            }
        }
        // A slip of the day and another name are nobody who could be meant. 1 January is every day of its year, and
        // its slips are those of many others: thousands.
        by_slip.retain(|place| !self.differs(study, *place) || hit(&hits, *place).words > 0);
        field.extend(by_slip);
        if found.len() > NAMED {
            found.sort_by_cached_key(|place| {
                let near = self.items.get(usize::try_from(*place).unwrap_or(usize::MAX));
                let near = near.map_or(0, |item| nearness(study, item));
                (std::cmp::Reverse((hit(&hits, *place).strength, near)), *place)
            });
            found.truncate(NAMED);
        }
        field.extend(found);
        if study.found_by.is_empty() && field.is_as_blind_as(self.without_birth_date.len()) {
            let open = (0_u32..).zip(self.items.iter()).filter(|(_, item)| item.is_open());
            field.extend(open.map(|(place, _)| place).take(BLIND_LIMIT));
        }
        named
    }

    /// Whether the names differ unless they share a word (see [`Name::is_plain`]), and nothing else was told.
    fn differs(&self, study: &Study<'_>, place: u32) -> bool {
        let entry = usize::try_from(place).ok().and_then(|at| self.entries.get(at));
        let asked = study.header.name.as_ref().is_some_and(Name::is_plain);
        asked && study.portal.is_none() && entry.is_some_and(|entry| entry.is_plain)
    }

    fn near_by_one(&self, named: &[Named], field: &mut Field) {
        for named in named {
            let items = [&named.exactly, &named.nearly];
            if items.iter().map(|items| items.len()).sum::<usize>() <= RARE {
                items.into_iter().for_each(|items| field.extend(items.iter().copied()));
            }
        }
    }

    /// The other items of a patient, and those under the same number.
    fn kin(&self, item: &Item, field: &mut Field) {
        for number in numbers_of(item) {
            field.extend(self.by_number.get(number));
        }
    }

    fn is_single(&self, place: u32) -> bool {
        usize::try_from(place).ok().and_then(|at| self.single.get(at)).is_some_and(|single| *single)
    }

    /// Items that carry this word, and those with one close to it or one that sounds like it; each once.
    fn items_with(&self, word: &Token) -> Named {
        let mut same: Vec<u32> = Vec::new();
        for key in &word.keys {
            same.extend(self.by_key.get(hash("key", key)));
        }
        let mut alike: Vec<u32> = Vec::new();
        if let Some(sound) = word.sound {
            alike.extend(self.by_sound.get(sound));
        }
        for (shapes, other) in self.shapes.iter().zip(&self.words) {
            let near = word.shapes.iter().zip(shapes).any(|(a, b)| a.may_be_close(*b));
            if near && word.close(other) {
                alike.push(other.place);
            }
        }
        let once = |mut places: Vec<u32>| {
            places.sort_unstable();
            places.dedup();
            places
        };
        let same = once(same);
        alike.retain(|place| same.binary_search(place).is_err());
        let items = |words: Vec<u32>| {
            once(words.into_iter().flat_map(|word| self.by_word.get(u64::from(word))).collect())
        };
        let (exactly, mut nearly) = (items(same), items(once(alike)));
        nearly.retain(|place| exactly.binary_search(place).is_err());
        Named { exactly, nearly }
    }
}

/// Items that one word of the study points to.
struct Named {
    exactly: Vec<u32>,
    /// By a word that is close to it or sounds like it.
    nearly: Vec<u32>,
}

/// How the words of a study point to one item.
#[derive(Clone, Copy, Default)]
struct Hit {
    words: u8,
    strength: u8,
    taken: bool,
}

fn hit(hits: &[Hit], place: u32) -> Hit {
    usize::try_from(place).ok().and_then(|at| hits.get(at)).copied().unwrap_or_default()
}

/// What else speaks for an item of a common name, at a glance.
fn nearness(study: &Study<'_>, item: &Item) -> u8 {
    let (asked, patient) = (&study.header, &item.patient);
    let sex = compare::sexes(asked.sex, patient.sex) == super::Agreement::Equal;
    let (Some(a), Some(b)) = (asked.birth_date, patient.birth_date) else {
        return u8::from(sex);
    };
    let (a, b) = (a.date(), b.date());
    let parts = [a.year() == b.year(), a.month() == b.month(), a.day() == b.day(), sex];
    parts.into_iter().map(u8::from).sum()
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

/// Which items are in question, each once.
struct Field {
    known: Vec<bool>,
    fresh: Vec<u32>,
    count: usize,
}

impl Field {
    fn new(items: usize) -> Self {
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
    fn taken(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.fresh)
    }
}

/// A day as a number that sorts as it does.
fn day(date: BirthDate) -> u64 {
    let date = date.date();
    let part = |value: i8| u64::try_from(value).unwrap_or(0);
    let year = u64::try_from(date.year()).unwrap_or(0);
    year * 10_000 + part(date.month()) * 100 + part(date.day())
}

/// The day, and every day that one slip makes of it (as [`compare::birth_dates`] sees slips).
fn slips_of(date: BirthDate) -> Vec<u64> {
    let exact = day(date);
    let mut days = vec![exact];
    let mut place = 1_u64;
    for _ in 0..8 {
        let digit = exact / place % 10;
        days.extend((0..10).filter(|d| *d != digit).map(|d| exact - digit * place + d * place));
        place *= 10;
    }
    let civil = date.date();
    for neighbour in [civil.tomorrow(), civil.yesterday()].into_iter().flatten() {
        days.extend(BirthDate::parse(&neighbour.to_string()).map(day));
    }
    let (year, month, of_month) = (exact / 10_000, exact / 100 % 100, exact % 100);
    days.push(year * 10_000 + of_month * 100 + month);
    days.push(year * 10_000 + 101);
    days
}

fn id_key(id: &str) -> u64 {
    hash("id", id.trim().trim_start_matches('0'))
}

/// Numbers that point to an item.
fn numbers_of(item: &Item) -> Vec<u64> {
    let id = item.patient.id.as_ref();
    let kvnr = id.and_then(super::kvnr::of).map(|number| hash("kvnr", number));
    let number = item.accession_number.as_ref().map(|number| hash("order", number.number.trim()));
    let uid = item.study_uid.as_ref().map(|uid| hash("uid", uid.as_str()));
    [id.map(|id| id_key(&id.id)), kvnr, number, uid].into_iter().flatten().collect()
}

fn numbers_of_study(study: &Study<'_>) -> Vec<u64> {
    let witnesses = &study.case.witnesses;
    let asked = witnesses.requested_patient.as_ref();
    let ids = study.ids.iter().copied().chain(asked);
    let mut numbers: Vec<u64> = ids.clone().map(|id| id_key(&id.id)).collect();
    numbers.extend(ids.filter_map(super::kvnr::of).map(|number| hash("kvnr", number)));
    let header = study.case.facts.accession_number.as_ref().map(|number| number.number.trim());
    numbers.extend(study.requested_order.into_iter().chain(header).map(|n| hash("order", n)));
    numbers.push(hash("uid", study.case.facts.study_uid.as_str()));
    numbers
}
