//! The words of names, each normalised once.
//!
//! A worklist of 100,000 orders has few words. Invariant: a word is the same token wherever it stands in one
//! lexicon, and two words are the same or close by their keys alone, in every lexicon.

use std::collections::HashMap;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::phonetic;
use super::postings::hash;

/// Letters of a word that is compared without allocating. Longer ones are words run together.
const LETTER_LIMIT: usize = 32;

/// One word of a name, by the keys that German and Turkish spellings need: `ä→ae`, `ä→a`, and `ae` of a
/// transcription taken back to `a`. Two words are the same if they share a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) keys: [Box<str>; 3],
    /// Of the keys: most words that are compared share none, and that is seen without their letters.
    hashes: [u64; 3],
    pub(super) sound: Option<u64>,
    pub(super) shapes: [Shape; 3],
    /// All keys are the same.
    pub(super) is_plain: bool,
    /// The letters of the plain key that were written with a mark, and how: `ł` and `ä` are not `l` and `a`.
    marked: Box<[(usize, char)]>,
    /// Place in its lexicon.
    pub(super) place: u32,
}

/// What two words that are close must nearly share: cheap to compare before the letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// A bit for each letter that occurs, and one for each that occurs again.
    letters: u64,
    pub(super) length: u8,
}

impl Shape {
    fn of(word: &str) -> Self {
        let mut letters = 0_u64;
        let mut length = 0_u8;
        for c in word.chars() {
            let once = 1_u64 << (u32::from(c) % 32);
            letters |= if letters & once == 0 { once } else { once << 32 };
            length = length.saturating_add(1);
        }
        Self { letters, length }
    }

    /// Whether words of these shapes can be close: a slip changes the length by one and two bits at most.
    pub(super) fn may_be_close(self, other: Self) -> bool {
        let most = slips(usize::from(self.length.max(other.length)));
        usize::from(self.length.abs_diff(other.length)) <= most && {
            let differ = (self.letters ^ other.letters).count_ones();
            usize::try_from(differ).is_ok_and(|differ| differ <= 2 * most)
        }
    }
}

impl Token {
    fn new(word: &str, place: u32) -> Self {
        let expanded = key(word, expand);
        let plain = key(word, strip);
        let collapsed = collapse(&expanded);
        let sound = phonetic::cologne(&collapsed);
        let keys = [expanded, plain, collapsed].map(String::into_boxed_str);
        let shapes = [0, 1, 2].map(|at| keys.get(at).map_or(Shape::of(""), |key| Shape::of(key)));
        let hashes = [0, 1, 2].map(|at| keys.get(at).map_or(0, |key| hash("word", key)));
        let is_plain = keys.windows(2).all(|pair| pair.first() == pair.last());
        let marked = marked(word);
        Self { keys, hashes, sound, shapes, is_plain, marked, place }
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.hashes.iter().any(|hash| other.hashes.contains(hash))
            && self.keys.iter().any(|key| other.keys.contains(key))
            && !self.is_marked_against(other)
    }

    /// Whether both were written with marks that are not each other's: `Däbrowska` and `Dąbrowska` are both
    /// `Dabrowska` without, and still two words. Marks are lost on the way; they do not become others.
    fn is_marked_against(&self, other: &Self) -> bool {
        let ([expanded, plain, _], [theirs, their_plain, _]) = (&self.keys, &other.keys);
        if self.marked.is_empty() || other.marked.is_empty() || expanded == theirs {
            return false;
        }
        let within = |a: &Self, b: &Self, place: usize| {
            a.marked.iter().filter(|(at, _)| *at == place).all(|mark| b.marked.contains(mark))
        };
        let clashes = |(place, _): &(usize, char)| {
            other.marked.iter().any(|(at, _)| at == place)
                && !within(self, other, *place)
                && !within(other, self, *place)
        };
        plain == their_plain && self.marked.iter().any(clashes)
    }

    /// A slip of the finger apart, or the same.
    pub(super) fn close(&self, other: &Self) -> bool {
        if self.same(other) {
            return true;
        }
        // Most words have one key three times.
        let distinct = if self.is_plain && other.is_plain { 1 } else { self.keys.len() };
        let theirs = other.keys.iter().zip(&other.shapes);
        let ours = self.keys.iter().zip(&self.shapes);
        ours.zip(theirs)
            .take(distinct)
            .any(|((a, x), (b, y))| x.may_be_close(*y) && slips_apart(a, b).is_some())
    }

    pub(super) fn word(&self) -> &str {
        let [_, plain, _] = &self.keys;
        plain
    }
}

/// The marks of a word by the place of their letter in the plain key. A cedilla and a comma below are one mark, as
/// in fonts, and the dot of an i is none.
fn marked(word: &str) -> Box<[(usize, char)]> {
    let mut marks = Vec::new();
    let mut place = 0_usize;
    for c in word.nfc().filter(|c| !(0x300..0x370).contains(&u32::from(*c))) {
        let mut parts = std::iter::once(c).nfd();
        let letter = parts.next().filter(|letter| !letter.is_ascii());
        let parts = letter.into_iter().chain(parts);
        marks.extend(parts.map(|mark| (place, if mark == '\u{326}' { '\u{327}' } else { mark })));
        place = place.saturating_add(strip(c).map_or(1, str::len));
    }
    marks.into_boxed_slice()
}

/// How many slips two words are apart, if no more than such words may have.
pub(super) fn within_slips(a: &str, b: &str) -> Option<usize> {
    if a == b {
        return Some(0);
    }
    if !Shape::of(a).may_be_close(Shape::of(b)) {
        return None;
    }
    slips_apart(a, b)
}

/// The same of two words whose shapes may be close.
fn slips_apart(a: &str, b: &str) -> Option<usize> {
    let length = a.chars().count().max(b.chars().count());
    let most = slips(length);
    if most == 0 {
        return (a == b).then_some(0);
    }
    if length > LETTER_LIMIT {
        let apart = strsim::osa_distance(a, b);
        return (apart <= most).then_some(apart);
    }
    apart(a, b, most)
}

/// Letters lost, added, changed or changed with their neighbour, if they are no more than `most`: the optimal string
/// alignment, given up as soon as it is too far. Words are compared by the million, so nothing is allocated.
fn apart(a: &str, b: &str, most: usize) -> Option<usize> {
    let mut letters = ['\0'; LETTER_LIMIT];
    letters.iter_mut().zip(b.chars()).for_each(|(place, c)| *place = c);
    let width = b.chars().count();
    let b = letters.get(..width)?;
    let mut before = [0_u8; LETTER_LIMIT + 1];
    let mut above = [0_u8; LETTER_LIMIT + 1];
    above.iter_mut().zip(0_u8..).for_each(|(cost, at)| *cost = at);
    let mut last_a = '\0';
    for (row, x) in (0_u8..).zip(a.chars()) {
        let mut current = [0_u8; LETTER_LIMIT + 1];
        let mut left = row + 1;
        if let Some(first) = current.first_mut() {
            *first = left;
        }
        let mut least = left;
        let (mut last_b, mut behind) = ('\0', 0);
        let costs = current.iter_mut().skip(1).zip(above.windows(2)).zip(b);
        for (at, ((cell, pair), y)) in costs.enumerate() {
            let &[diagonal, up] = pair else { break };
            let mut cost = (diagonal + u8::from(x != *y)).min(up + 1).min(left + 1);
            if row > 0 && at > 0 && x == last_b && last_a == *y {
                cost = cost.min(behind + 1);
            }
            *cell = cost;
            least = least.min(cost);
            (left, last_b) = (cost, *y);
            behind = before.get(at).copied().unwrap_or(0);
        }
        if usize::from(least) > most {
            return None;
        }
        (before, above) = (above, current);
        last_a = x;
    }
    above.get(width).map(|cost| usize::from(*cost)).filter(|cost| *cost <= most)
}

/// Slips of the finger that a name of this many letters may have and still be shown as close.
pub(super) fn slips(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=10 => 2,
        _ => 3,
    }
}

/// All words met so far.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    tokens: HashMap<Box<str>, Arc<Token>>,
}

impl Lexicon {
    /// The token of a folded word.
    pub(super) fn token(&mut self, word: &str) -> Arc<Token> {
        if let Some(known) = self.tokens.get(word) {
            return Arc::clone(known);
        }
        let place = u32::try_from(self.tokens.len()).unwrap_or(u32::MAX);
        let token = Arc::new(Token::new(word, place));
        self.tokens.insert(word.into(), Arc::clone(&token));
        token
    }

    /// All tokens by their places.
    pub(super) fn into_tokens(self) -> Vec<Arc<Token>> {
        let mut tokens: Vec<Arc<Token>> = self.tokens.into_values().collect();
        tokens.sort_unstable_by_key(|token| token.place);
        tokens
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
