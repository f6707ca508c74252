//! One character set: its defined terms, and the way of one character to bytes and back.

use encoding_rs::{
    EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5,
    ISO_8859_6, ISO_8859_7, ISO_8859_8, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_874, WINDOWS_1252,
    WINDOWS_1254,
};

/// A character set of PS3.3 tables C.12-2 to C.12-5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// The default repertoire, IR 6.
    Ascii,
    /// The left half of JIS X 0201, IR 14: ASCII but for two signs, which are read as ASCII's.
    Romaji,
    Latin1,
    Latin2,
    Latin3,
    Latin4,
    Cyrillic,
    Arabic,
    Greek,
    Hebrew,
    Latin5,
    Latin9,
    Thai,
    /// JIS X 0201: half-width katakana (IR 13) on the right, with [`Set::Romaji`] on the left.
    Katakana,
    /// JIS X 0208, two bytes on the left.
    Kanji,
    /// JIS X 0212, two bytes on the left.
    SupplementaryKanji,
    /// KS X 1001, two bytes on the right.
    Hangul,
    /// GB 2312, two bytes on the right.
    SimplifiedChinese,
    Utf8,
    Gb18030,
    Gbk,
}

/// Where ISO 2022 puts a set, and how many bytes a character has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Seven bits, below 0x80.
    Left,
    LeftPair,
    Right,
    RightPair,
}

/// Number of the set in the ISO registry, the set.
const REGISTRY: [(&str, Set); 18] = [
    ("6", Set::Ascii),
    ("100", Set::Latin1),
    ("101", Set::Latin2),
    ("109", Set::Latin3),
    ("110", Set::Latin4),
    ("144", Set::Cyrillic),
    ("127", Set::Arabic),
    ("126", Set::Greek),
    ("138", Set::Hebrew),
    ("148", Set::Latin5),
    ("203", Set::Latin9),
    ("166", Set::Thai),
    ("13", Set::Katakana),
    ("87", Set::Kanji),
    ("159", Set::SupplementaryKanji),
    ("149", Set::Hangul),
    ("58", Set::SimplifiedChinese),
    ("192", Set::Utf8),
];

/// Parses one term; also tells whether it asks for code extensions. `None` if it is of no standard.
pub(super) fn parse(term: &str) -> Option<(Set, bool)> {
    let term: String =
        term.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let registered =
        |number: &str| REGISTRY.iter().find(|(known, _)| *known == number).map(|(_, set)| *set);
    match term.as_str() {
        "" => Some((Set::Ascii, false)),
        "GB18030" | "ISO2022GB18030" => Some((Set::Gb18030, false)),
        "GBK" | "GB2312" | "ISO2022GBK" => Some((Set::Gbk, false)),
        "UTF8" | "ISOIRUTF8" => Some((Set::Utf8, false)),
        "LATIN1" | "ISO88591" => Some((Set::Latin1, false)),
        term => {
            if let Some(number) = term.strip_prefix("ISO2022").map(|t| t.trim_start_matches("IR")) {
                return registered(number).map(|set| (set, !set.stands_alone()));
            }
            term.strip_prefix("ISOIR").and_then(registered).map(|set| (set, false))
        }
    }
}

impl Set {
    /// Whether the set excludes code extensions (PS3.3 table C.12-5).
    pub(super) fn stands_alone(self) -> bool {
        matches!(self, Self::Utf8 | Self::Gb18030 | Self::Gbk)
    }

    /// Whether the set exists only with code extensions (PS3.3 table C.12-4).
    pub(super) fn needs_escapes(self) -> bool {
        matches!(self.place(), Place::LeftPair | Place::RightPair)
    }

    pub(super) fn plain_term(self) -> String {
        match self {
            Self::Ascii => String::new(),
            Self::Gb18030 => "GB18030".to_owned(),
            Self::Gbk => "GBK".to_owned(),
            set => format!("ISO_IR {}", set.number()),
        }
    }

    pub(super) fn switching_term(self) -> String {
        format!("ISO 2022 IR {}", self.number())
    }

    fn number(self) -> &'static str {
        REGISTRY.iter().find(|(_, set)| *set == self).map_or("", |(number, _)| number)
    }

    pub(super) fn place(self) -> Place {
        match self {
            Self::Ascii | Self::Romaji => Place::Left,
            Self::Kanji | Self::SupplementaryKanji => Place::LeftPair,
            Self::Hangul | Self::SimplifiedChinese | Self::Utf8 | Self::Gb18030 | Self::Gbk => {
                Place::RightPair
            }
            _ => Place::Right,
        }
    }

    fn encoding(self) -> &'static Encoding {
        match self {
            // Bytes 0x80 to 0x9F of the Windows sets are no characters of the standard's; writers use them.
            Self::Ascii | Self::Romaji | Self::Latin1 => WINDOWS_1252,
            Self::Latin2 => ISO_8859_2,
            Self::Latin3 => ISO_8859_3,
            Self::Latin4 => ISO_8859_4,
            Self::Cyrillic => ISO_8859_5,
            Self::Arabic => ISO_8859_6,
            Self::Greek => ISO_8859_7,
            Self::Hebrew => ISO_8859_8,
            Self::Latin5 => WINDOWS_1254,
            Self::Latin9 => ISO_8859_15,
            Self::Thai => WINDOWS_874,
            // A superset of JIS X 0201, and what some writers mean by it.
            Self::Katakana => SHIFT_JIS,
            Self::Kanji | Self::SupplementaryKanji => EUC_JP,
            Self::Hangul => EUC_KR,
            Self::SimplifiedChinese | Self::Gbk => GBK,
            Self::Gb18030 => GB18030,
            Self::Utf8 => UTF_8,
        }
    }

    /// Decodes a whole value without code extensions; `None` if a byte is not of the set.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        if self == Self::Ascii {
            return None;
        }
        let text = self.encoding().decode_without_bom_handling_and_without_replacement(bytes)?;
        Some(text.strip_prefix('\u{FEFF}').unwrap_or(&text).to_owned())
    }

    /// Encodes a whole value without code extensions; `None` if a character is not of the set.
    pub(super) fn encode(self, text: &str) -> Option<Vec<u8>> {
        if text.is_ascii() || self == Self::Utf8 {
            return Some(text.as_bytes().to_vec());
        }
        if self.stands_alone() {
            // The one character that the Web's GBK has and GBK has not.
            let (bytes, _, has_errors) = self.encoding().encode(text);
            let is_foreign = has_errors || (self == Self::Gbk && text.contains('€'));
            return (!is_foreign).then(|| bytes.into_owned());
        }
        let mut out = Vec::with_capacity(text.len());
        for character in text.chars() {
            if character.is_ascii() {
                out.extend(u8::try_from(character));
            } else {
                out.extend(self.encode_one(character)?);
            }
        }
        Some(out)
    }

    /// Decodes one character of one or two bytes, without their high bits on the left side.
    pub(super) fn decode_one(self, bytes: &[u8]) -> Option<String> {
        let euc: Vec<u8> = match (self, bytes) {
            (Self::Kanji, [a, b]) => vec![a | 0x80, b | 0x80],
            (Self::SupplementaryKanji, [a, b]) => vec![0x8F, a | 0x80, b | 0x80],
            _ => bytes.to_vec(),
        };
        let text = self.encoding().decode_without_bom_handling_and_without_replacement(&euc)?;
        Some(text.into_owned())
    }

    /// Encodes one character beyond ASCII, as it stands on the set's side; `None` if it is not of the set.
    pub(super) fn encode_one(self, character: char) -> Option<Vec<u8>> {
        let mut buffer = [0; 4];
        let (bytes, _, has_errors) = self.encoding().encode(character.encode_utf8(&mut buffer));
        if has_errors || self.place() == Place::Left {
            return None;
        }
        match (self, &*bytes) {
            // Rows of JIS X 0208; the Web's EUC-JP has vendors' rows as well.
            (Self::Kanji, [a @ (0xA1..=0xA8 | 0xB0..=0xF4), b @ 0xA1..=0xFF]) => {
                Some(vec![a & 0x7F, b & 0x7F])
            }
            // Rows of KS X 1001 and GB 2312 without what EUC-KR and GBK add.
            (Self::Hangul, [0xA1..=0xFF, 0xA1..=0xFF]) => Some(bytes.into_owned()),
            (Self::SimplifiedChinese, [0xA1..=0xA9 | 0xB0..=0xF7, 0xA1..=0xFF]) => {
                Some(bytes.into_owned())
            }
            (Self::Katakana, [0xA1..=0xDF]) => Some(bytes.into_owned()),
            (Self::Katakana, _) => None,
            (_, [0xA0..=0xFF]) if self.place() == Place::Right => Some(bytes.into_owned()),
            _ => None,
        }
    }
}
