//! Names in comparable form: case, umlauts, titles, particles, compounds, swapped and free forms.
//!
//! Owns the rules of reference 3.2. Invariant: normalising only makes a second, comparable form; what was
//! written stays beside it, and too much text is cut, never walked without bound.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::dicom::PersonName;

use super::words;

/// Characters of a name that are looked at: three groups of 64 (PS3.5 6.2) and some room for bad peers.
const NAME_LIMIT: usize = 256;

/// Words of a name that are looked at; more come only from free text in a name field.
const TOKEN_LIMIT: usize = 12;

/// Lengths at which systems cut names: a PN group (PS3.5 6.2), and the short fields of older systems.
const CUT_LENGTHS: [usize; 2] = [64, 16];

/// One word of a name, by the keys that German and Turkish spellings need: `ä→ae`, `ä→a`, and `ae` of a
/// transcription taken back to `a`. Two words are the same if they share a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) keys: [String; 3],
}

impl Token {
    fn new(word: &str) -> Self {
        let expanded = key(word, expand);
        let plain = key(word, strip);
        let collapsed = collapse(&expanded);
        Self { keys: [expanded, plain, collapsed] }
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.contains(key))
    }

    fn word(&self) -> &str {
        let [_, plain, _] = &self.keys;
        plain
    }
}

/// The script that a name is written in; only names of one script can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Latin,
    Greek,
    Cyrillic,
    Arabic,
    Han,
    Kana,
    Hangul,
    Other,
}

/// One group of a name (alphabetic, ideographic or phonetic), taken apart.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) script: Script,
    /// Without titles and particles.
    pub(super) family: Vec<Token>,
    /// Family with its particles, in the order written: `vonderheide` against `von der Heide`.
    pub(super) family_full: Vec<Token>,
    /// Given and middle names.
    pub(super) given: Vec<Token>,
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
    /// What the name would be if its bytes had been read in another character set: a candidate, not truth.
    pub(super) repaired: Vec<Form>,
    /// `UNKNOWN`, `ANONYM^001`, `XXX`: says nothing about a person.
    pub(super) placeholder: bool,
}

impl Name {
    pub(super) fn new(name: &PersonName) -> Self {
        let written: String = name.as_str().chars().take(NAME_LIMIT).collect();
        let forms = forms(&written);
        let repaired = repair(&written).map_or_else(Vec::new, |text| self::forms(&text));
        let placeholder = forms.is_empty() || forms.iter().all(is_placeholder);
        let written = written.trim_end_matches(['^', '=', ' ']).to_owned();
        Self { written, forms, repaired, placeholder }
    }
}

fn forms(text: &str) -> Vec<Form> {
    text.split('=').take(3).filter_map(form).collect()
}

fn form(group: &str) -> Option<Form> {
    let group = group.trim();
    let script = group.chars().find(|c| c.is_alphabetic()).map_or(Script::Other, script_of);
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
    let mut family = name_words(family, &mut generation);
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
        family: tokens(&own_words),
        family_full: tokens(&full),
        given: tokens(&given_words),
        particles,
        particles_behind,
        generation,
        cut,
    };
    (!form.family.is_empty() || !form.given.is_empty()).then_some(form)
}

fn tokens(words: &[String]) -> Vec<Token> {
    words.iter().take(TOKEN_LIMIT).map(|word| Token::new(word)).collect()
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

fn key(word: &str, special: fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    for c in word.nfc() {
        if let Some(text) = special(c) {
            out.push_str(text);
            continue;
        }
        let base = std::iter::once(c).nfd().next().unwrap_or(c);
        if base.is_ascii() {
            out.push(base);
        } else if !(is_combining_mark(c) && (0x300..0x370).contains(&u32::from(c))) {
            // Marks of other scripts belong to the letter (が is not か).
            out.push(c);
        }
    }
    out
}

fn expand(c: char) -> Option<&'static str> {
    Some(match c {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'å' => "aa",
        _ => return either(c),
    })
}

fn strip(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'ø' => "o",
        'œ' => "oe",
        _ => return either(c),
    })
}

fn either(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'ı' => "i",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        _ => return None,
    })
}

/// Takes a transcribed umlaut back to its letter: `mueller` to `muller`. Not where the two vowels are likely
/// genuine: behind a vowel or q (`bauer`), before a vowel, before a closing l (`samuel`, `michael`, `noel`).
fn collapse(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    let at = |index: usize| letters.get(index).copied();
    let vowel = |c: Option<char>| matches!(c, Some('a' | 'e' | 'i' | 'o' | 'u' | 'y'));
    let mut out = String::with_capacity(word.len());
    let mut index = 0;
    while let Some(letter) = at(index) {
        out.push(letter);
        let before = index.checked_sub(1).and_then(at);
        let umlaut = matches!(letter, 'a' | 'o' | 'u') && at(index + 1) == Some('e');
        let next = at(index + 2);
        let closing = next == Some('l') && (at(index + 3).is_none() || vowel(at(index + 3)));
        let genuine =
            vowel(before) || before == Some('q') || next.is_none() || vowel(next) || closing;
        index += if umlaut && !genuine { 2 } else { 1 };
    }
    out
}

fn script_of(c: char) -> Script {
    match u32::from(c) {
        0..=0x24F | 0x1E00..=0x1EFF | 0xFF21..=0xFF5A => Script::Latin,
        0x370..=0x3FF | 0x1F00..=0x1FFF => Script::Greek,
        0x400..=0x52F => Script::Cyrillic,
        0x600..=0x77F | 0xFB50..=0xFDFF | 0xFE70..=0xFEFF => Script::Arabic,
        0x3040..=0x30FF | 0xFF66..=0xFF9D => Script::Kana,
        0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => Script::Han,
        0x1100..=0x11FF | 0xAC00..=0xD7AF => Script::Hangul,
        _ => Script::Other,
    }
}

fn is_placeholder(form: &Form) -> bool {
    let strong = form.family.iter().chain(&form.given).next();
    strong.is_some_and(|token| words::is_placeholder_family(token.word()))
        || form.family.iter().chain(&form.given).all(|token| words::is_placeholder(token.word()))
}

/// Given names that stand for no name yet: a newborn is `Baby` until the parents decide.
pub(super) fn is_unnamed(given: &[Token]) -> bool {
    !given.is_empty()
        && given.iter().all(|t| words::is_placeholder(t.word()) || words::is_newborn(t.word()))
}

/// The text as it would read if UTF-8 had been taken for Latin-1 (`MÃ¼ller`), or the national letters of
/// DIN 66003 for ASCII (`M}ller`). `None` if nothing speaks for either.
fn repair(text: &str) -> Option<String> {
    if text.chars().any(|c| matches!(c, 'Ã' | 'Ä' | 'Å' | 'Â')) && !text.is_ascii() {
        let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
        if let Some(fixed) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            return Some(fixed);
        }
    }
    let national = |c: char| match c {
        '{' => 'ä',
        '|' => 'ö',
        '}' => 'ü',
        '~' => 'ß',
        '[' => 'Ä',
        '\\' => 'Ö',
        ']' => 'Ü',
        other => other,
    };
    let fixed: String = text.chars().map(national).collect();
    (fixed != text).then_some(fixed)
}
