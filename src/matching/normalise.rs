//! Names in comparable form: case, umlauts, titles, particles, compounds, swapped and free forms.
//!
//! Owns what counts as the same name. Invariant: normalising only makes a second, comparable form; what was
//! written stays beside it, and too much text is cut, never walked without bound.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::dicom::PersonName;

use super::lexicon::{Lexicon, Token};
use super::repair;
use super::script::{self, Fidelity, Script, script_of};
use super::words;

/// Characters of a name that are looked at: three groups of 64 (PS3.5 6.2) and some room for bad peers.
const NAME_LIMIT: usize = 256;

/// Words of a name that are looked at; more come only from free text in a name field.
const TOKEN_LIMIT: usize = 12;

/// Alphabetic, ideographic, phonetic (PS3.5 6.2).
const GROUP_LIMIT: usize = 3;

/// Words that one name is found by.
const WORD_LIMIT: usize = 32;

/// Lengths at which systems cut names: a PN group (PS3.5 6.2), and the short fields of older systems.
const CUT_LENGTHS: [usize; 2] = [64, 16];

/// Words of one part of a name.
pub(super) type Words = Box<[Arc<Token>]>;

/// One group of a name (alphabetic, ideographic or phonetic), taken apart.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) script: Script,
    /// Without titles and particles.
    pub(super) family: Words,
    /// Family with its particles, in the order written: `vonderheide` against `von der Heide`.
    pub(super) family_full: Words,
    /// Given and middle names.
    pub(super) given: Words,
    /// A family name of before: `Müller geb. Schmidt`.
    pub(super) former: Words,
    pub(super) particles: Vec<String>,
    /// Particles stood behind the given name. Some are given names elsewhere (Vietnamese Van), so they count
    /// only if the other side has the same.
    pub(super) particles_behind: bool,
    /// `junior` or `senior`, in one spelling.
    pub(super) generation: Option<&'static str>,
    /// The text has a length at which systems cut.
    pub(super) cut: bool,
}

/// A name ready to be compared.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// As written, without trailing separators: for the last comparison.
    pub(super) written: String,
    pub(super) forms: Vec<Form>,
    /// Groups of other scripts in Latin letters, each custom apart.
    pub(super) latin: Vec<(Form, Fidelity)>,
    /// What the name would be if its bytes had been read in another character set: a candidate, not truth.
    pub(super) repaired: Vec<Form>,
    /// What is written is no text but another character set's bytes. What is left of it may agree by chance.
    pub(super) mangled: bool,
    /// `UNKNOWN`, `ANONYM^001`, `XXX`: says nothing about a person.
    pub(super) placeholder: bool,
}

impl Name {
    pub(super) fn new(name: &PersonName, lexicon: &mut Lexicon) -> Self {
        let written: String = name.as_str().chars().take(NAME_LIMIT).collect();
        let forms = forms(&written, lexicon);
        let mut latin = Vec::new();
        for group in written.split('=').take(GROUP_LIMIT) {
            for (text, fidelity) in script::in_latin(group, script_within(group)) {
                latin.extend(form(&text, lexicon).map(|form| (form, fidelity)));
            }
        }
        let mut repaired = Vec::new();
        for reading in repair::readings(&written) {
            repaired.extend(self::forms(&reading, lexicon));
            let group = reading.split('=').next().unwrap_or("");
            for (text, _) in script::in_latin(group, script_within(group)) {
                repaired.extend(form(&text, lexicon));
            }
        }
        let placeholder = forms.is_empty() || forms.iter().all(is_placeholder);
        let written = written.trim_end_matches(['^', '=', ' ']).to_owned();
        let mangled = repair::is_mangled(&written);
        Self { written, forms, latin, repaired, mangled, placeholder }
    }

    /// Its groups, as written, in Latin letters, and as they may have been written.
    pub(super) fn readings(&self) -> impl Iterator<Item = &Form> {
        let latin = self.latin.iter().map(|(form, _)| form);
        self.forms.iter().chain(latin).chain(&self.repaired)
    }

    /// Every word that the name may be found by, with the words of a part run together.
    pub(super) fn found_by(&self, lexicon: &mut Lexicon) -> Vec<Arc<Token>> {
        if self.placeholder {
            return Vec::new();
        }
        let mut found: Vec<Arc<Token>> = Vec::new();
        for form in self.readings() {
            let mut add = |token: Arc<Token>| {
                if found.len() < WORD_LIMIT && !found.contains(&token) {
                    found.push(token);
                }
            };
            for part in [&form.family, &form.given, &form.former] {
                part.iter().for_each(|token| add(Arc::clone(token)));
            }
            for part in [&form.family_full, &form.given] {
                if part.len() > 1 {
                    let whole: String = part.iter().map(|token| token.word()).collect();
                    add(lexicon.token(&whole));
                }
            }
        }
        found
    }
}

fn script_within(group: &str) -> Script {
    group.chars().find(|c| c.is_alphabetic()).map_or(Script::Other, script_of)
}

fn forms(text: &str, lexicon: &mut Lexicon) -> Vec<Form> {
    text.split('=').take(GROUP_LIMIT).filter_map(|group| form(group, lexicon)).collect()
}

fn form(group: &str, lexicon: &mut Lexicon) -> Option<Form> {
    let group = group.trim();
    let script = script_within(group);
    let components: Vec<&str> = group.split('^').collect();
    let component = |index: usize| components.get(index).copied().unwrap_or("");
    let (mut family, mut given) = (component(0), component(1));
    if given.trim().is_empty() && component(2).trim().is_empty() {
        // "Family, Given" in one component, as people type it.
        if let Some((before, after)) = family.split_once(',') {
            (family, given) = (before, after);
        }
    }
    let lengths = [group, family, given].map(|part| part.chars().count());
    let cut = lengths.iter().any(|length| CUT_LENGTHS.contains(length));

    let mut generation = None;
    let (family, former) = former_apart(family);
    let former = name_words(&former, &mut generation);
    let mut family = name_words(&family, &mut generation);
    let mut given_words = name_words(given, &mut generation);
    given_words.extend(name_words(component(2), &mut generation));
    let prefix = words_of(component(3));
    for word in words_of(component(4)) {
        generation = generation.or_else(|| words::generation(&word));
    }

    let mut particles: Vec<String> =
        prefix.into_iter().filter(|word| words::is_particle(word)).collect();
    // "Heide^Hans von der": the particles of the family name stand behind the given name.
    let own =
        given_words.iter().rposition(|word| !words::stands_behind(word)).map_or(0, |at| at + 1);
    let particles_behind = own > 0 && own < given_words.len();
    if particles_behind {
        particles.extend(given_words.drain(own..));
    }
    let mut full = particles.clone();
    full.extend(family.iter().cloned());
    // The last word stays even if it is a particle: Le, Ben and Di are family names too.
    let last = family.pop();
    let (mut own_particles, mut own_words): (Vec<_>, Vec<_>) =
        family.into_iter().partition(|word| words::is_particle(word));
    if let Some(last) = last {
        if words::is_particle(&last) && !own_words.is_empty() {
            own_particles.push(last);
        } else {
            own_words.push(last);
        }
    }
    particles.extend(own_particles);
    particles.sort_unstable();
    particles.dedup();

    let form = Form {
        script,
        family: tokens(&own_words, lexicon),
        family_full: tokens(&full, lexicon),
        given: tokens(&given_words, lexicon),
        former: tokens(&former, lexicon),
        particles,
        particles_behind,
        generation,
        cut,
    };
    (!form.family.is_empty() || !form.given.is_empty()).then_some(form)
}

fn tokens(words: &[String], lexicon: &mut Lexicon) -> Words {
    words.iter().take(TOKEN_LIMIT).map(|word| lexicon.token(word)).collect()
}

/// Takes the name of before a marriage out of a family name: `Müller geb. Schmidt`, `Müller (Schmidt)`.
fn former_apart(family: &str) -> (String, String) {
    if let Some((now, rest)) = family.split_once('(') {
        let (former, behind) = rest.split_once(')').unwrap_or((rest, ""));
        let mark = former.split_whitespace().next().is_some_and(words::marks_former);
        let former =
            if mark { former.split_once(' ').map_or("", |(_, name)| name) } else { former };
        if !now.trim().is_empty() {
            return (format!("{now} {behind}"), former.to_owned());
        }
    }
    let parts: Vec<&str> = family.split_whitespace().collect();
    match parts.iter().position(|word| words::marks_former(word)) {
        Some(at) if at > 0 => {
            let (now, then) = parts.split_at(at);
            (now.join(" "), then.iter().skip(1).copied().collect::<Vec<_>>().join(" "))
        }
        _ => (family.to_owned(), String::new()),
    }
}

/// The words of one component without titles; a generation word is taken out and told.
fn name_words(text: &str, generation: &mut Option<&'static str>) -> Vec<String> {
    let words = words_of(text);
    let alone = words.len() == 1;
    let mut kept = Vec::with_capacity(words.len());
    let mut after_title = false;
    let last = words.len().saturating_sub(1);
    for (at, word) in words.into_iter().enumerate() {
        let title = words::is_title(&word) || (after_title && words::continues_title(&word));
        // A word alone is a name: Sen, Mag and Junior are family names.
        if title && !(alone && words::is_also_name(&word)) {
            after_title = true;
            continue;
        }
        after_title = false;
        match words::generation(&word) {
            Some(found) if at == last && !kept.is_empty() => *generation = Some(found),
            _ => kept.push(word),
        }
    }
    kept
}

/// Folds and splits at everything that is no letter, digit or mark. Apostrophes join: `O'Brien` is `obrien`.
fn words_of(text: &str) -> Vec<String> {
    let folded: String = text
        .nfkc()
        .flat_map(char::to_lowercase)
        .filter(|c| !matches!(c, '\'' | '’' | '‘' | '`' | '´' | 'ʼ'))
        .map(|c| if c.is_alphanumeric() || is_combining_mark(c) { c } else { ' ' })
        .map(hiragana)
        .collect();
    folded.split(' ').filter(|word| !word.is_empty()).take(TOKEN_LIMIT).map(str::to_owned).collect()
}

/// Phonetic groups come in either kana.
fn hiragana(c: char) -> char {
    match u32::from(c) {
        code @ 0x30A1..=0x30F6 => char::from_u32(code.saturating_sub(0x60)).unwrap_or(c),
        _ => c,
    }
}

fn is_placeholder(form: &Form) -> bool {
    let strong = form.family.iter().chain(&form.given).next();
    strong.is_some_and(|token| words::is_placeholder_family(token.word()))
        || form.family.iter().chain(&form.given).all(|token| words::is_placeholder(token.word()))
}

/// Given names that stand for no name yet: a newborn is `Baby`, or `Sohn von Anna`, until the parents decide.
/// Whatever follows that word belongs to somebody else, or tells twins apart; before it may stand a number.
pub(super) fn is_unnamed(given: &[Arc<Token>]) -> bool {
    let first = given.iter().find(|token| !words::is_placeholder(token.word()));
    !given.is_empty() && first.is_none_or(|token| words::is_newborn(token.word()))
}

/// The word by which they are unnamed, and the words behind it, numbers apart.
pub(super) fn label(given: &[Arc<Token>]) -> Option<(&Arc<Token>, Vec<Arc<Token>>)> {
    let at = given.iter().position(|token| words::is_newborn(token.word()))?;
    let (word, behind) = given.get(at..)?.split_first()?;
    let named = behind.iter().filter(|token| !words::is_placeholder(token.word()));
    Some((word, named.cloned().collect()))
}
