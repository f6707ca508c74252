//! How well an order fits what was examined: modality, body part, side, day, wording.
//!
//! Invariant: it tells the orders of one patient apart and never helps to choose the patient.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dicom::{Item, Patient};

use super::{Agreement, Case};

/// Words of a description that are looked at.
const WORD_LIMIT: usize = 40;

/// The comparison of one order with the examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) modality: Agreement,
    pub(super) body_part: Agreement,
    pub(super) laterality: Agreement,
    pub(super) study_date: Agreement,
    pub(super) procedure: Agreement,
}

impl Fit {
    /// Not compared, or nothing to compare.
    pub(super) const UNKNOWN: Self = Self {
        modality: Agreement::Missing,
        body_part: Agreement::Missing,
        laterality: Agreement::Missing,
        study_date: Agreement::Missing,
        procedure: Agreement::Missing,
    };

    /// The order is for something else.
    pub(super) fn excludes(&self) -> bool {
        [self.modality, self.body_part, self.laterality].contains(&Agreement::Different)
    }

    /// Something of the examination is named by the order.
    pub(super) fn speaks(&self) -> bool {
        [self.modality, self.body_part, self.laterality].contains(&Agreement::Equal)
    }
}

/// What an order is for, read once.
#[derive(Debug)]
pub(super) struct Ordered {
    regions: Vec<Region>,
    sides: Vec<Side>,
    words: Vec<String>,
}

/// What orders are for, by their wording: a site has few.
#[derive(Debug, Default)]
pub(super) struct Wordings {
    known: HashMap<Vec<String>, Arc<Ordered>>,
}

impl Wordings {
    pub(super) fn read(&mut self, item: &Item) -> Arc<Ordered> {
        let descriptions = item.requested_procedure_description.iter().map(String::as_str);
        let codes = item.requested_procedure_codes.iter().map(|code| code.meaning.as_str());
        let steps = item.steps.iter().flat_map(|step| {
            let protocols = step.protocol_codes.iter().map(|code| code.meaning.as_str());
            step.description.as_deref().into_iter().chain(protocols)
        });
        let words = words_of(descriptions.chain(codes).chain(steps));
        if let Some(known) = self.known.get(&words) {
            return Arc::clone(known);
        }
        let (regions, sides) = (regions(&words), sides(&words));
        let ordered = Arc::new(Ordered { regions, sides, words: words.clone() });
        self.known.insert(words, Arc::clone(&ordered));
        ordered
    }
}

/// What the examination is, read once.
pub(super) struct Examined {
    modalities: Vec<String>,
    regions: Vec<Region>,
    sides: Vec<Side>,
    words: Vec<String>,
    date: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Regions as coarse as an order tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    Head,
    Neck,
    Chest,
    Breast,
    Abdomen,
    Pelvis,
    Spine,
    Shoulder,
    Elbow,
    Hand,
    Hip,
    Knee,
    Foot,
    Heart,
}

impl Examined {
    pub(super) fn new(case: &Case) -> Self {
        let facts = &case.facts;
        let modality = facts.modality.iter().chain(&case.modalities);
        let description = facts.study_description.as_deref().unwrap_or("");
        let words = words_of([description]);
        let mut regions = regions(&words);
        regions.extend(facts.body_part.as_deref().map(regions_of_code).unwrap_or_default());
        Self {
            modalities: modality.map(|m| m.trim().to_owned()).collect(),
            sides: sides(&words),
            regions,
            words,
            date: facts.study_date.as_deref().filter(|d| is_date(d)).map(str::to_owned),
        }
    }

    pub(super) fn fit(&self, item: &Item, ordered: &Ordered) -> Fit {
        Fit {
            modality: self.modality(item),
            body_part: common(&self.regions, &ordered.regions),
            laterality: common(&self.sides, &ordered.sides),
            study_date: self.day(item),
            procedure: self.procedure(&ordered.words),
        }
    }

    /// Whether a step of the order is for a modality of the study. `OT` says nothing: sites use it for imports.
    fn modality(&self, item: &Item) -> Agreement {
        let mut wanted = item.steps.iter().filter_map(|step| step.modality.as_deref()).peekable();
        if self.modalities.is_empty() || wanted.peek().is_none() {
            return Agreement::Missing;
        }
        let (mut unsaid, mut equal) = (false, false);
        for modality in wanted {
            unsaid |= modality == "OT";
            equal |= self.modalities.iter().any(|have| have == modality);
        }
        match (unsaid, equal) {
            (true, _) => Agreement::Missing,
            (false, true) => Agreement::Equal,
            (false, false) => Agreement::Different,
        }
    }

    /// The order to import is made after the examination. One from before may be for the next examination.
    fn day(&self, item: &Item) -> Agreement {
        let days = item.steps.iter().filter_map(|step| step.start_date.as_deref());
        let latest = days.filter(|day| is_date(day)).max();
        match (&self.date, latest) {
            (Some(made), Some(ordered)) if made.as_str() <= ordered => Agreement::Equal,
            (Some(_), Some(_)) => Agreement::Different,
            _ => Agreement::Missing,
        }
    }

    fn procedure(&self, words: &[String]) -> Agreement {
        let telling = |word: &&String| word.chars().count() >= 4;
        match self.words.iter().filter(telling).any(|word| words.contains(word)) {
            true => Agreement::Similar,
            false => Agreement::Missing,
        }
    }
}

/// A study from before its patient was born is another patient's, or its dates are wrong.
pub(super) fn is_before_birth(study_date: Option<&str>, patient: &Patient) -> bool {
    let (Some(made), Some(born)) = (study_date.filter(|d| is_date(d)), patient.birth_date) else {
        return false;
    };
    // Scanners without a clock write 1900 and its kin.
    made >= "19200101" && made < born.to_dicom().as_str()
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit())
}

fn common<T: PartialEq>(have: &[T], wanted: &[T]) -> Agreement {
    if have.is_empty() || wanted.is_empty() {
        Agreement::Missing
    } else if have.iter().any(|one| wanted.contains(one)) {
        Agreement::Equal
    } else {
        Agreement::Different
    }
}

fn words_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut found = Vec::new();
    for text in texts {
        let lower = text.to_lowercase().replace('ä', "ae").replace('ö', "oe").replace('ü', "ue");
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        found.extend(words.take(WORD_LIMIT).map(str::to_owned));
    }
    found.truncate(WORD_LIMIT);
    found
}

fn sides(words: &[String]) -> Vec<Side> {
    let mut found = Vec::new();
    for word in words {
        match word.as_str() {
            "links" | "li" | "left" | "lt" | "linkes" | "linker" | "linke" => {
                found.push(Side::Left)
            }
            "rechts" | "re" | "right" | "rt" | "rechtes" | "rechter" | "rechte" => {
                found.push(Side::Right);
            }
            "beidseits" | "beidseitig" | "bds" | "beide" | "both" | "bilateral" | "bilat" => {
                found.extend([Side::Left, Side::Right]);
            }
            _ => {}
        }
    }
    found
}

fn regions(words: &[String]) -> Vec<Region> {
    let mut found: Vec<Region> = Vec::new();
    for word in words {
        for region in regions_of_word(word) {
            if !found.contains(region) {
                found.push(*region);
            }
        }
    }
    found
}

fn regions_of_code(code: &str) -> Vec<Region> {
    regions(&words_of([code]))
}

/// German and English words, and the terms of Body Part Examined (PS3.16 L).
fn regions_of_word(word: &str) -> &'static [Region] {
    use Region::{
        Abdomen, Breast, Chest, Elbow, Foot, Hand, Head, Heart, Hip, Knee, Neck, Pelvis, Shoulder,
        Spine,
    };
    const STEMS: [(&str, &[Region]); 58] = [
        ("schaedel", &[Head]),
        ("kopf", &[Head]),
        ("head", &[Head]),
        ("skull", &[Head]),
        ("brain", &[Head]),
        ("hirn", &[Head]),
        ("gehirn", &[Head]),
        ("neurocran", &[Head]),
        ("sinus", &[Head]),
        ("nnh", &[Head]),
        ("orbita", &[Head]),
        ("kniegelenk", &[Knee]),
        ("cct", &[Head]),
        ("cmrt", &[Head]),
        ("hals", &[Neck]),
        ("neck", &[Neck]),
        ("thorax", &[Chest]),
        ("chest", &[Chest]),
        ("lung", &[Chest]),
        ("mamma", &[Breast]),
        ("breast", &[Breast]),
        ("mammograph", &[Breast]),
        ("abdomen", &[Abdomen]),
        ("oberbauch", &[Abdomen]),
        ("bauch", &[Abdomen]),
        ("leber", &[Abdomen]),
        ("liver", &[Abdomen]),
        ("niere", &[Abdomen]),
        ("kidney", &[Abdomen]),
        ("becken", &[Pelvis]),
        ("pelvis", &[Pelvis]),
        ("prostata", &[Pelvis]),
        ("prostate", &[Pelvis]),
        ("wirbelsaeule", &[Spine]),
        ("spine", &[Spine]),
        ("hws", &[Spine]),
        ("bws", &[Spine]),
        ("lws", &[Spine]),
        ("cspine", &[Spine]),
        ("tspine", &[Spine]),
        ("lspine", &[Spine]),
        ("schulter", &[Shoulder]),
        ("shoulder", &[Shoulder]),
        ("ellenbogen", &[Elbow]),
        ("elbow", &[Elbow]),
        ("handgelenk", &[Hand]),
        ("hand", &[Hand]),
        ("wrist", &[Hand]),
        ("huefte", &[Hip]),
        ("hueftgelenk", &[Hip]),
        ("hip", &[Hip]),
        ("knie", &[Knee]),
        ("knee", &[Knee]),
        ("fuss", &[Foot]),
        ("foot", &[Foot]),
        ("ankle", &[Foot]),
        ("sprunggelenk", &[Foot]),
        ("herz", &[Heart]),
    ];
    // Short terms stand for themselves; `hip` is not in `hippocampus`.
    let matches = |stem: &str| if stem.len() <= 4 { word == stem } else { word.starts_with(stem) };
    STEMS.iter().find(|(stem, _)| matches(stem)).map_or(&[], |(_, regions)| *regions)
}
