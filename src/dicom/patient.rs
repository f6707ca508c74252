//! Who a study or an order belongs to. Every type here prints redacted under `Debug`.

use serde::{Deserialize, Serialize};

/// A patient ID with its issuer (PS3.3 C.7.1.1). Two IDs are the same only if the issuers do not differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PatientId {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// A person's name (PS3.5 6.2.1): up to three groups of up to five components, kept as they were written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonName(String);

impl PersonName {
    /// Takes the decoded value of a PN element; `None` if there is nothing but separators and padding.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        let only_separators = text.chars().all(|c| matches!(c, '^' | '=' | ' '));
        (!only_separators).then(|| Self(text.to_owned()))
    }

    /// The name as it was written, `^` between components and `=` between groups.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The alphabetic (0), ideographic (1) or phonetic (2) group, empty if there is none.
    pub fn group(&self, index: usize) -> &str {
        self.0.split('=').nth(index).unwrap_or("")
    }

    /// Family (0), given (1), middle (2), prefix (3) or suffix (4) of the first group that has any text.
    pub fn component(&self, index: usize) -> &str {
        let group = self.0.split('=').find(|group| !group.trim().is_empty()).unwrap_or("");
        group.split('^').nth(index).unwrap_or("").trim()
    }

    pub fn family(&self) -> &str {
        self.component(0)
    }

    pub fn given(&self) -> &str {
        self.component(1)
    }
}

/// A birth date, written as `YYYY-MM-DD` in JSON and as `YYYYMMDD` in DICOM.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BirthDate(jiff::civil::Date);

impl BirthDate {
    /// Parses `YYYYMMDD`, `YYYY-MM-DD`, `YYYY.MM.DD` and `DD.MM.YYYY`, with anything after a `T` ignored.
    pub fn parse(text: &str) -> Option<Self> {
        parse_date(text).map(Self)
    }

    pub fn date(self) -> jiff::civil::Date {
        self.0
    }

    /// The value of a DA element.
    pub fn to_dicom(self) -> String {
        self.0.strftime("%Y%m%d").to_string()
    }
}

/// Parses the date forms that peers, portals and people write; `None` if there is no such day.
pub fn parse_date(text: &str) -> Option<jiff::civil::Date> {
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let text = text.split(['T', ' ']).next()?;
    let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse::<i16>().ok())?;
    let (year, month, day) = match text.split(['-', '.', '/']).collect::<Vec<_>>().as_slice() {
        [all] if all.len() == 8 && all.is_ascii() => {
            (number(all.get(..4)?)?, number(all.get(4..6)?)?, number(all.get(6..)?)?)
        }
        [y, m, d] if y.len() == 4 => (number(y)?, number(m)?, number(d)?),
        [d, m, y] if y.len() == 4 => (number(y)?, number(m)?, number(d)?),
        _ => return None,
    };
    if year < 1800 {
        return None;
    }
    jiff::civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Patient's Sex (0010,0040). Empty, `O` and everything else count as unknown: they contradict nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sex {
    #[serde(rename = "M")]
    Male,
    #[serde(rename = "F")]
    Female,
    #[serde(rename = "O")]
    Other,
    #[default]
    #[serde(rename = "")]
    Unknown,
}

impl Sex {
    pub fn parse(text: &str) -> Self {
        match text
            .trim_matches(|c: char| c == '\0' || c.is_whitespace())
            .to_ascii_uppercase()
            .as_str()
        {
            "M" => Self::Male,
            "F" | "W" => Self::Female,
            "O" | "D" | "X" => Self::Other,
            _ => Self::Unknown,
        }
    }

    /// The value of the CS element, empty if unknown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Male => "M",
            Self::Female => "F",
            Self::Other => "O",
            Self::Unknown => "",
        }
    }
}

/// The identity of a patient as one side tells it.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Patient {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<PatientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<PersonName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<BirthDate>,
    pub sex: Sex,
}

crate::dicom::redacted!(PatientId, PersonName, BirthDate, Sex, Patient);
