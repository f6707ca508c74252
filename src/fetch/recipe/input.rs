//! What a recipe asks a person, and how the portal wants it written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::dicom::patient::{BirthDate, parse_date};
use crate::import::{Question, QuestionKind};

/// Longer answers are no answers.
const LONGEST: usize = 500;

/// `[[inputs]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Input {
    /// Its name in templates.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// By language (ISO 639).
    #[serde(default)]
    label: BTreeMap<String, String>,
    #[serde(default)]
    format: Format,
    /// What is done to a text, in this order.
    #[serde(default)]
    change: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    BirthDate,
    StudyDate,
    Password,
    Text,
}

/// How a date is written; a text has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Format {
    #[default]
    #[serde(rename = "YYYYMMDD")]
    Plain,
    #[serde(rename = "YYYY-MM-DD")]
    Iso,
    #[serde(rename = "DD.MM.YYYY")]
    German,
    #[serde(rename = "DDMMYYYY")]
    GermanPlain,
    #[serde(rename = "MM/DD/YYYY")]
    American,
    #[serde(rename = "YYYY")]
    Year,
}

impl Format {
    /// A date as it is written so; the year alone is none.
    pub(super) fn parse(self, text: &str) -> Option<BirthDate> {
        let date = jiff::civil::Date::strptime(self.pattern(), text.trim()).ok()?;
        BirthDate::parse(&date.to_string())
    }

    fn pattern(self) -> &'static str {
        match self {
            Self::Plain => "%Y%m%d",
            Self::Iso => "%Y-%m-%d",
            Self::German => "%d.%m.%Y",
            Self::GermanPlain => "%d%m%Y",
            Self::American => "%m/%d/%Y",
            Self::Year => "%Y",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Upper,
    Lower,
    StripSpaces,
    StripDashes,
    DigitsOnly,
}

impl Change {
    fn apply(self, text: &str) -> String {
        let without = |drop: fn(char) -> bool| text.chars().filter(|c| !drop(*c)).collect();
        match self {
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
            Self::StripSpaces => without(char::is_whitespace),
            // Those that word processors make of a dash as well.
            Self::StripDashes => without(|c| matches!(c, '-' | '\u{2010}'..='\u{2015}')),
            Self::DigitsOnly => without(|c| !c.is_ascii_digit()),
        }
    }
}

/// What is known of an input.
pub(super) enum Told {
    Nothing,
    /// What was told is no such thing.
    Wrong(&'static str),
    Value(String),
}

impl Kind {
    fn of_question(self) -> QuestionKind {
        match self {
            Self::BirthDate => QuestionKind::PatBirthDate,
            Self::StudyDate => QuestionKind::StudyDate,
            Self::Password => QuestionKind::Password,
            Self::Text => QuestionKind::Custom,
        }
    }

    fn is_date(self) -> bool {
        matches!(self, Self::BirthDate | Self::StudyDate)
    }

    /// The key under which an answer of this kind is known everywhere; texts have none.
    fn key(self) -> Option<&'static str> {
        match self {
            Self::BirthDate => Some("PAT_BIRTH_DATE"),
            Self::StudyDate => Some("STUDY_DATE"),
            Self::Password => Some("PASSWORD"),
            Self::Text => None,
        }
    }
}

impl Input {
    /// The input's value as the portal wants it, from what was answered under its name or its kind.
    pub(super) fn told(&self, answers: &BTreeMap<String, String>) -> Told {
        let by_kind = || answers.get(self.kind.key()?);
        let told = answers.get(&self.name).or_else(by_kind);
        let Some(told) = told.map(|told| told.trim()).filter(|told| !told.is_empty()) else {
            return Told::Nothing;
        };
        if told.len() > LONGEST {
            return Told::Wrong("the answer is too long: check it");
        }
        if self.kind.is_date() {
            return match parse_date(told) {
                Some(date) => Told::Value(date.strftime(self.format.pattern()).to_string()),
                None => Told::Wrong("the answer is no date: write it as YYYY-MM-DD"),
            };
        }
        let text = self.change.iter().fold(told.to_owned(), |text, change| change.apply(&text));
        if text.is_empty() { Told::Nothing } else { Told::Value(text) }
    }

    /// As a person sees it, in the best language there is.
    pub(super) fn question(&self, languages: &[String]) -> Question {
        let chosen = languages.iter().find_map(|language| self.label.get(language));
        let text = chosen.or_else(|| self.label.values().next()).cloned();
        let usual = || match self.kind {
            Kind::BirthDate => "Birth date of the patient".to_owned(),
            Kind::StudyDate => "Date of the examination".to_owned(),
            Kind::Password => "Password".to_owned(),
            Kind::Text => self.name.clone(),
        };
        Question {
            key: self.name.clone(),
            kind: self.kind.of_question(),
            text: text.unwrap_or_else(usual),
            format: if self.kind.is_date() { "DATE" } else { "STRING" }.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(recipe: &str, key: &str, answer: &str) -> Result<String, &'static str> {
        let input: Input = toml::from_str(recipe).unwrap();
        match input.told(&BTreeMap::from([(key.to_owned(), answer.to_owned())])) {
            Told::Value(value) => Ok(value),
            Told::Wrong(note) => Err(note),
            Told::Nothing => Err("nothing"),
        }
    }

    #[test]
    fn answers_are_written_as_the_portal_wants_them() {
        for (format, wanted) in [
            ("YYYYMMDD", "19700131"),
            ("YYYY-MM-DD", "1970-01-31"),
            ("DD.MM.YYYY", "31.01.1970"),
            ("DDMMYYYY", "31011970"),
            ("MM/DD/YYYY", "01/31/1970"),
            ("YYYY", "1970"),
        ] {
            let input = format!("name = \"born\"\nkind = \"birth-date\"\nformat = \"{format}\"");
            for typed in ["1970-01-31", "31.01.1970", "19700131"] {
                assert_eq!(told(&input, "born", typed).as_deref(), Ok(wanted));
                assert_eq!(told(&input, "PAT_BIRTH_DATE", typed).as_deref(), Ok(wanted));
            }
            assert!(told(&input, "born", "yesterday").unwrap_err().contains("YYYY-MM-DD"));
        }
        let code = "name = \"code\"\nkind = \"text\"\nchange = [\"upper\", \"strip-dashes\", \"strip-spaces\"]";
        assert_eq!(told(code, "code", " ab-cd \u{2013}ef ").as_deref(), Ok("ABCDEF"));
        assert_eq!(told(code, "code", " - "), Err("nothing"));
        assert_eq!(told(code, "other", "x"), Err("nothing"));
        assert!(told(code, "code", &"x".repeat(1000)).is_err());
        assert_eq!(
            told(
                "name = \"pin\"\nkind = \"password\"\nchange = [\"digits-only\"]",
                "PASSWORD",
                "1 2-3"
            )
            .as_deref(),
            Ok("123")
        );
        for bad in [
            "name = \"a\"",
            "name = \"a\"\nkind = \"x\"",
            "name = \"a\"\nkind = \"text\"\nformat = \"DD\"",
        ] {
            assert!(toml::from_str::<Input>(bad).is_err());
        }
    }
}
