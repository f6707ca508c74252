//! Words inside names that are no names: titles, particles, generations, placeholders.
//!
//! All words are in lower case without dots and accents, as [`super::normalise`] makes them.

const TITLES: [&str; 16] = [
    "dr",
    "prof",
    "professor",
    "doktor",
    "dipl",
    "diplom",
    "pd",
    "privdoz",
    "mag",
    "herr",
    "frau",
    "mr",
    "mrs",
    "ms",
    "dres",
    "univ",
];

/// Parts of a title that are a name or an initial elsewhere: only behind a title.
const TITLE_PARTS: [&str; 20] = [
    "med", "ing", "rer", "nat", "phil", "jur", "habil", "hc", "h", "c", "dent", "vet", "pol",
    "priv", "doz", "psych", "theol", "univ", "fh", "mult",
];

const ALSO_NAMES: [&str; 3] = ["mag", "herr", "frau"];

const PARTICLES: [&str; 44] = [
    "von", "van", "vom", "vander", "vonder", "de", "den", "der", "dem", "des", "zu", "zum", "zur",
    "und", "el", "al", "bin", "ben", "bint", "ibn", "la", "le", "les", "lo", "da", "das", "do",
    "dos", "du", "di", "del", "della", "dello", "degli", "ter", "ten", "te", "op", "af", "av", "y",
    "e", "auf", "in",
];

/// Particles that some systems write behind the given name: `Heide^Hans von der`.
const BEHIND: [&str; 11] =
    ["von", "van", "vom", "de", "der", "den", "dem", "zu", "zum", "zur", "und"];

const PLACEHOLDERS: [&str; 30] = [
    "unknown",
    "unbekannt",
    "unbek",
    "anonym",
    "anonymous",
    "anonymized",
    "anonymised",
    "anonymisiert",
    "anonymus",
    "notfall",
    "emergency",
    "test",
    "testpatient",
    "patient",
    "trauma",
    "nn",
    "null",
    "none",
    "noname",
    "name",
    "no",
    "dummy",
    "phantom",
    "qa",
    "qc",
    "male",
    "female",
    "na",
    "pseudonym",
    "deidentified",
];

/// Words that make a name a placeholder whatever follows: `NOTFALL^23`, `ANONYM^001`.
const PLACEHOLDER_FAMILIES: [&str; 16] = [
    "unknown",
    "unbekannt",
    "anonym",
    "anonymous",
    "anonymized",
    "anonymised",
    "anonymisiert",
    "anonymus",
    "notfall",
    "test",
    "testpatient",
    "noname",
    "phantom",
    "pseudonym",
    "dummy",
    "deidentified",
];

/// Given names that stand for a child without one; both spellings of an umlaut, because words are compared as they are.
const NEWBORNS: [&str; 25] = [
    "baby",
    "neugeborenes",
    "neugeborene",
    "neugeborener",
    "saugling",
    "newborn",
    "zwilling",
    "knabe",
    "madchen",
    "boy",
    "girl",
    "drilling",
    "saeugling",
    "maedchen",
    "junge",
    "bub",
    "sohn",
    "tochter",
    "son",
    "daughter",
    "kind",
    "neugeb",
    "infant",
    "zwillinge",
    "twin",
];

pub(super) fn is_title(word: &str) -> bool {
    TITLES.contains(&word)
}

pub(super) fn continues_title(word: &str) -> bool {
    TITLE_PARTS.contains(&word)
}

pub(super) fn is_also_name(word: &str) -> bool {
    ALSO_NAMES.contains(&word)
}

pub(super) fn is_particle(word: &str) -> bool {
    PARTICLES.contains(&word)
}

pub(super) fn stands_behind(word: &str) -> bool {
    BEHIND.contains(&word)
}

/// `junior` and `senior` in one spelling: they tell father and son apart, so they are no titles.
pub(super) fn generation(word: &str) -> Option<&'static str> {
    Some(match word {
        "jun" | "jr" | "junior" | "jnr" => "junior",
        "sen" | "sr" | "senior" | "snr" => "senior",
        "ii" => "second",
        "iii" => "third",
        _ => return None,
    })
}

pub(super) fn is_placeholder_family(word: &str) -> bool {
    PLACEHOLDER_FAMILIES.contains(&word)
}

pub(super) fn is_placeholder(word: &str) -> bool {
    let mut letters = word.chars();
    let first = letters.next();
    // `X`, `XXX`, `000`: one ASCII sign again and again. Han names of one sign are names.
    let repeated = word.is_ascii() && letters.all(|c| Some(c) == first);
    repeated || PLACEHOLDERS.contains(&word) || word.chars().all(|c| c.is_ascii_digit())
}

/// Whether the word stands for a child without a name, with its number or without: `Zwilling1`.
pub(super) fn is_newborn(word: &str) -> bool {
    NEWBORNS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// `geb.`, `née`: the name of before a marriage follows.
pub(super) fn marks_former(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ':']).to_lowercase();
    matches!(
        word.as_str(),
        "geb" | "geborene" | "geborener" | "née" | "nee" | "ehem" | "vormals" | "verw" | "gesch"
    )
}
