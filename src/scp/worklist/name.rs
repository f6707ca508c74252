//! Wildcards, and person names (PS3.4 C.2.2.2.1.1, C.2.2.2.4).
//!
//! Names are compared without regard to case and accents, as the standard leaves to us. Fuzzy comparison, where it
//! was agreed on, takes words in any order, reads `ue` as `ü`, takes the beginning of a word for the word, and
//! forgives one letter in five.

use unicode_normalization::UnicodeNormalization as _;

/// Words of a name that are compared; the longest real ones have a dozen.
const WORD_LIMIT: usize = 32;

/// A word needs so many letters for its beginning to stand for it.
const PREFIX_LEAST: usize = 3;

/// A text with `*` for any run of characters and `?` for any one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<char>);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.chars().collect())
    }

    /// Without recursion and in quadratic time at most, whatever the pattern.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut place) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while place < text.len() {
            match (self.0.get(at), text.get(place)) {
                (Some('*'), _) => {
                    star = Some((at, place));
                    at += 1;
                }
                (Some(asked), Some(found)) if *asked == '?' || asked == found => {
                    at += 1;
                    place += 1;
                }
                _ => {
                    let Some((behind, from)) = star else { return false };
                    // The last star takes one more.
                    star = Some((behind, from + 1));
                    at = behind + 1;
                    place = from + 1;
                }
            }
        }
        self.0.get(at..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
    }
}

/// A name as a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NameKey {
    /// By group: alphabetic, ideographic, phonetic. One group alone is looked for in every group.
    Literal(Vec<Option<Pattern>>),
    /// Words, all of which have to be found.
    Fuzzy(Vec<String>),
}

impl NameKey {
    pub(super) fn literal(text: &str) -> Self {
        let group = |group: &str| {
            let group = folded_group(group);
            (!group.is_empty() && group != "*").then(|| Pattern::new(&group))
        };
        Self::Literal(text.split('=').take(3).map(group).collect())
    }

    pub(super) fn fuzzy(text: &str) -> Self {
        Self::Fuzzy(words(text))
    }

    pub(super) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Literal(groups) => {
                let found: Vec<String> = name.split('=').take(3).map(folded_group).collect();
                match groups.as_slice() {
                    [Some(pattern)] => found.iter().any(|group| fits_group(pattern, group)),
                    groups => groups.iter().enumerate().all(|(place, pattern)| {
                        let group = found.get(place).map_or("", String::as_str);
                        pattern.as_ref().is_none_or(|pattern| fits_group(pattern, group))
                    }),
                }
            }
            Self::Fuzzy(asked) => {
                let mut found = words(name);
                asked.iter().all(|asked| {
                    let place = found.iter().position(|found| is_like(asked, found));
                    // One word of the name answers one word of the key.
                    place.map(|place| found.swap_remove(place)).is_some()
                })
            }
        }
    }
}

/// Whether a group fits. Empty components that its writer left out at its end (PS3.5 6.2.1.1) are there for a key
/// that asks for as many: `Müller^*` is Müller without a given name too.
fn fits_group(pattern: &Pattern, group: &str) -> bool {
    let asked = pattern.0.iter().filter(|c| **c == '^').count();
    let left_out = asked.saturating_sub(group.matches('^').count());
    !group.is_empty() && pattern.fits(&format!("{group}{}", "^".repeat(left_out)))
}

/// One group without what does not tell names apart: case, accents, empty components at the end.
fn folded_group(group: &str) -> String {
    let folded = fold(group);
    let components: Vec<&str> = folded.split('^').map(str::trim).collect();
    components.join("^").trim_end_matches('^').to_owned()
}

/// Lower case without accents; letters that are no accented ones as they are written without.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)) {
        match c {
            'ß' | 'ẞ' => folded.push_str("ss"),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'ø' | 'Ø' => folded.push('o'),
            'ł' | 'Ł' => folded.push('l'),
            'đ' | 'Đ' | 'ð' | 'Ð' => folded.push('d'),
            'ı' | 'İ' => folded.push('i'),
            c => folded.extend(c.to_lowercase()),
        }
    }
    folded.nfc().collect()
}

/// The words of a name, umlauts written with two letters read as one.
fn words(text: &str) -> Vec<String> {
    let folded = fold(text).replace("ae", "a").replace("oe", "o").replace("ue", "u");
    let split = folded.split(['^', '=', ' ', '-', '.', ',', '\'']);
    split.filter(|word| !word.is_empty()).take(WORD_LIMIT).map(str::to_owned).collect()
}

fn is_like(asked: &str, found: &str) -> bool {
    if asked.contains(['*', '?']) {
        return Pattern::new(asked).fits(found);
    }
    let length = asked.chars().count();
    let forgiven = length / 5;
    // Every letter more or less is one to forgive, and comparing costs the product of both lengths.
    let is_near = found.chars().count().abs_diff(length) <= forgiven;
    asked == found
        || (length >= PREFIX_LEAST && found.starts_with(asked))
        || (forgiven > 0 && is_near && strsim::damerau_levenshtein(asked, found) <= forgiven)
}
