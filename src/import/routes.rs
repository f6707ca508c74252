//! `[[routes]]`: which studies go to which destinations.
//!
//! Pure. Invariant: the first route that fits a study counts, and one that no route fits goes to every
//! destination. What was chosen is recorded with the decision, so that late instances take the same way.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::StandardDataDictionary;
use serde::Deserialize;

use super::Compressed;
use crate::dicom::{StudyFacts, Tag};
use crate::matching::{Authority, Decision, Target, Tier};
use crate::reconcile::CoercionSection;

/// One route. A list that is left out fits everything; of a list that is there one value has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RouteSection {
    /// Shown to people, and recorded with the study.
    pub name: String,
    /// Names of `[peers]`, hosts of portals, or `upload`.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Modality (0008,0060); one of the study's has to be one of these.
    #[serde(default)]
    pub modalities: Vec<String>,
    /// Body Part Examined (0018,0015); `*` and `?` stand for others, here and in `institutions` and `tags`.
    #[serde(default)]
    pub body_parts: Vec<String>,
    /// Institution Name (0008,0080).
    #[serde(default)]
    pub institutions: Vec<String>,
    /// How it was decided whose study it is.
    #[serde(default)]
    pub decided: Vec<Decided>,
    /// Attributes of the first object; all of them have to fit.
    #[serde(default)]
    pub tags: Vec<TagSection>,
    pub destinations: Vec<String>,
    /// Instead of what the destinations say.
    #[serde(default)]
    pub compressed: Option<Compressed>,
    /// What is coerced otherwise than at the destinations.
    #[serde(default)]
    pub coercion: CoercionSection,
}

/// A condition on one attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TagSection {
    /// `0008,1010` or `StationName`; of the top level.
    pub tag: String,
    /// One of these; without any, that there is a value at all.
    #[serde(default)]
    pub is: Vec<String>,
    /// The other way round.
    #[serde(default)]
    pub not: bool,
}

/// Who or what decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decided {
    /// Tier 1: the request named an order.
    RequestedOrder,
    /// Tier 2: a trusted patient ID.
    PatientId,
    /// Tier 3: name, birth date and sex.
    Demographics,
    Person,
    /// As an earlier import of the same study.
    Earlier,
    /// For a patient without an order, whoever decided.
    NoOrder,
}

impl Decided {
    fn words(self) -> &'static str {
        match self {
            Self::RequestedOrder => "the requested order",
            Self::PatientId => "a trusted patient ID",
            Self::Demographics => "name, birth date and sex",
            Self::Person => "a person",
            Self::Earlier => "an earlier import",
            Self::NoOrder => "patient, without an order",
        }
    }

    /// What holds of a decision.
    pub fn of(decision: &Decision) -> Vec<Self> {
        let by = match &decision.authority {
            Authority::Rule { tier: Tier::RequestedOrder, .. } => Some(Self::RequestedOrder),
            Authority::Rule { tier: Tier::PatientId, .. } => Some(Self::PatientId),
            Authority::Rule { tier: Tier::Demographics, .. } => Some(Self::Demographics),
            Authority::Rule { tier: Tier::Weak | Tier::Contradiction, .. } => None,
            Authority::Person { .. } => Some(Self::Person),
            Authority::Earlier => Some(Self::Earlier),
        };
        let no_order = matches!(decision.target, Target::NoOrder(_)).then_some(Self::NoOrder);
        by.into_iter().chain(no_order).collect()
    }
}

/// What a route looks at.
pub struct Traits<'a> {
    /// As in [`RouteSection::sources`].
    pub source: &'a str,
    pub facts: &'a StudyFacts,
    /// Of all objects so far.
    pub modalities: &'a [String],
    pub decided: &'a [Decided],
    /// Text of an attribute of the first object; `None` if it has none.
    pub text: &'a dyn Fn(Tag) -> Option<String>,
}

/// The first route that fits.
pub fn choose<'a>(routes: &'a [RouteSection], traits: &Traits<'_>) -> Option<&'a RouteSection> {
    routes.iter().find(|route| route.fits(traits))
}

impl RouteSection {
    /// What of the route a study meets that fits it, in words of the configuration.
    pub fn met(&self, traits: &Traits<'_>) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let first = |word: &str, patterns: &[String], values: &[String]| {
            let fits =
                |pattern: &&String| values.iter().any(|value| is_like(pattern, value.trim()));
            patterns.iter().find(fits).map(|pattern| format!("{word} {pattern}"))
        };
        let facts = traits.facts;
        let lists = [
            first("source", &self.sources, &[traits.source.to_owned()]),
            first("modality", &self.modalities, traits.modalities),
            first("body part", &self.body_parts, &[text(&facts.body_part)]),
            first("institution", &self.institutions, &[text(&facts.institution)]),
        ];
        let decided = self.decided.iter().find(|by| traits.decided.contains(by));
        let decided = decided.map(|by| format!("decided by {}", by.words()));
        let tags = self.tags.iter().map(TagSection::words);
        lists.into_iter().flatten().chain(decided).chain(tags).collect()
    }
}

/// What is wrong with routes, each with its number and a sentence.
pub fn faults(
    routes: &[RouteSection],
    is_destination: impl Fn(&str) -> bool,
    is_source: impl Fn(&str) -> bool,
) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (n, route) in routes.iter().enumerate() {
        let mut fault = |sentence: String| faults.push((n, sentence));
        if route.destinations.is_empty() {
            fault("name at least one destination".to_owned());
        }
        for name in route.destinations.iter().filter(|name| !is_destination(name)) {
            fault(format!("there is no `[destinations.{name}]`"));
        }
        for name in route.sources.iter().filter(|name| !is_source(name)) {
            fault(format!(
                "no import comes from `{name}`; write a name of [peers], the host of a portal, or `upload`"
            ));
        }
        for condition in route.tags.iter().filter(|condition| condition.parsed().is_none()) {
            fault(format!(
                "`{}` is no attribute; write `0008,1010` or a keyword such as `StationName`",
                condition.tag
            ));
        }
        if let Some((key, sentence)) = route.coercion.faults() {
            fault(format!("coercion.{key}: {sentence}"));
        }
        let mut before = routes.iter().take(n);
        if before.clone().any(|other| other.name == route.name) {
            fault(format!("there is another route `{}`; give each its own name", route.name));
        }
        if let Some(other) = before.find(|other| other.covers(route)) {
            fault(format!("nothing gets here: route `{}` before it takes all of it", other.name));
        }
    }
    faults
}

impl RouteSection {
    fn fits(&self, traits: &Traits<'_>) -> bool {
        let facts = traits.facts;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        one_of(&self.sources, traits.source)
            && (self.modalities.is_empty()
                || traits.modalities.iter().any(|modality| one_of(&self.modalities, modality)))
            && one_of(&self.body_parts, &text(&facts.body_part))
            && one_of(&self.institutions, &text(&facts.institution))
            && (self.decided.is_empty()
                || self.decided.iter().any(|by| traits.decided.contains(by)))
            && self.tags.iter().all(|condition| condition.fits(traits.text))
    }

    /// Whether whatever fits `other` fits this one too.
    fn covers(&self, other: &Self) -> bool {
        let covers = |own: &[String], other: &[String]| {
            own.is_empty() || (!other.is_empty() && other.iter().all(|value| one_of(own, value)))
        };
        let decided = self.decided.is_empty()
            || (!other.decided.is_empty()
                && other.decided.iter().all(|by| self.decided.contains(by)));
        covers(&self.sources, &other.sources)
            && covers(&self.modalities, &other.modalities)
            && covers(&self.body_parts, &other.body_parts)
            && covers(&self.institutions, &other.institutions)
            && decided
            && self.tags.iter().all(|condition| other.tags.contains(condition))
    }
}

impl TagSection {
    fn words(&self) -> String {
        let Self { tag, is, not } = self;
        match (is.as_slice(), not) {
            ([], false) => format!("{tag} is there"),
            ([], true) => format!("{tag} is not there"),
            (is, false) => format!("{tag} is {}", is.join(" or ")),
            (is, true) => format!("{tag} is not {}", is.join(" or ")),
        }
    }

    fn parsed(&self) -> Option<Tag> {
        let tag = self.tag.trim().trim_matches(['(', ')']);
        if let Some((group, element)) = tag.split_once(',') {
            let number = |text: &str| {
                let text = text.trim();
                let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_hexdigit());
                u16::from_str_radix(text, 16).ok().filter(|_| digits)
            };
            return Some(Tag(number(group)?, number(element)?));
        }
        StandardDataDictionary.by_name(tag).map(DataDictionaryEntry::tag)
    }

    fn fits(&self, text: &dyn Fn(Tag) -> Option<String>) -> bool {
        let value = self.parsed().and_then(text);
        let fits = match value {
            // Each value of several counts.
            Some(value) => value.split('\\').any(|value| one_of(&self.is, value)),
            None => false,
        };
        fits != self.not
    }
}

/// Whether a value is one of `patterns`, without regard to case; none of them is all.
fn one_of(patterns: &[String], value: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| is_like(pattern, value.trim()))
}

/// `*` for any number of characters, `?` for one.
fn is_like(pattern: &str, value: &str) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (pattern, value) = (lower(pattern), lower(value));
    let (mut p, mut v) = (0_usize, 0_usize);
    // Where the last star stood, and how much it has taken.
    let mut star = None;
    while v < value.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, v));
                p = p.saturating_add(1);
            }
            Some(c) if *c == '?' || Some(c) == value.get(v) => {
                p = p.saturating_add(1);
                v = v.saturating_add(1);
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken.saturating_add(1)));
                p = at.saturating_add(1);
                v = taken.saturating_add(1);
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests;
