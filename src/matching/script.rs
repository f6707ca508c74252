//! Scripts, and names of other scripts in Latin letters.
//!
//! Invariant: a transliteration that loses nothing which tells people apart (Cyrillic, Greek, kana) may agree;
//! one that guesses (unwritten vowels, homophones) is a candidate only.

/// The script that a name is written in.
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

/// How far a name in Latin letters may be trusted to be the one that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fidelity {
    Whole,
    Guessed,
}

pub(super) fn script_of(c: char) -> Script {
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

/// A group in Latin letters, by each custom that passports and front desks follow.
pub(super) fn in_latin(group: &str, script: Script) -> Vec<(String, Fidelity)> {
    let library = any_ascii::any_ascii(group);
    match script {
        Script::Latin => Vec::new(),
        Script::Cyrillic => [icao as fn(char) -> &'static str, german, english]
            .into_iter()
            .map(|custom| (spelt(group, custom), Fidelity::Whole))
            .collect(),
        Script::Kana => vec![(library, Fidelity::Whole)],
        // ELOT 743 writes ou, the library letter by letter.
        Script::Greek => ["ou", "oy"]
            .into_iter()
            .map(|custom| (library.to_lowercase().replace("oy", custom), Fidelity::Whole))
            .collect(),
        Script::Arabic | Script::Han | Script::Hangul | Script::Other => {
            vec![(library, Fidelity::Guessed)]
        }
    }
}

fn spelt(group: &str, custom: fn(char) -> &'static str) -> String {
    let mut out = String::with_capacity(group.len());
    for c in group.chars().flat_map(char::to_lowercase) {
        match script_of(c) {
            Script::Cyrillic => out.push_str(custom(c)),
            _ => out.push(c),
        }
    }
    out
}

/// Letters that all customs write alike.
fn common(c: char) -> &'static str {
    match c {
        'а' => "a",
        'б' => "b",
        'г' | 'ґ' => "g",
        'д' => "d",
        'е' | 'э' => "e",
        'и' | 'і' => "i",
        'к' => "k",
        'л' => "l",
        'м' => "m",
        'н' => "n",
        'о' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ў' => "u",
        'ф' => "f",
        'ы' => "y",
        'ј' => "j",
        _ => "",
    }
}

/// ICAO 9303: machine-readable passports.
fn icao(c: char) -> &'static str {
    match c {
        'в' => "v",
        'ж' => "zh",
        'з' => "z",
        'й' | 'ї' => "i",
        'х' => "kh",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ъ' => "ie",
        'ю' => "iu",
        'я' => "ia",
        'ё' => "e",
        'є' => "ie",
        other => common(other),
    }
}

/// The custom of German newspapers and of older papers.
fn german(c: char) -> &'static str {
    match c {
        'в' => "w",
        'ж' | 'ш' => "sch",
        'з' => "s",
        'й' => "i",
        'ї' => "ji",
        'х' => "ch",
        'ц' => "z",
        'ч' => "tsch",
        'щ' => "schtsch",
        'ю' => "ju",
        'я' => "ja",
        'ё' => "jo",
        'є' => "je",
        other => common(other),
    }
}

/// BGN/PCGN, as English texts and older passports write.
fn english(c: char) -> &'static str {
    match c {
        'в' => "v",
        'ж' => "zh",
        'з' => "z",
        'й' => "y",
        'ї' => "yi",
        'х' => "kh",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ю' => "yu",
        'я' => "ya",
        'ё' => "yo",
        'є' => "ye",
        other => common(other),
    }
}

/// The consonants of a word, doubled ones once: what an unvocalised script writes.
pub(super) fn skeleton(word: &str) -> String {
    let mut kept = String::with_capacity(word.len());
    let letters = word.chars().filter(char::is_ascii_alphanumeric);
    for c in letters.filter(|c| !matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'w')) {
        let c = match c {
            'q' | 'c' => 'k',
            'z' => 's',
            other => other,
        };
        if !kept.ends_with(c) {
            kept.push(c);
        }
    }
    kept
}
