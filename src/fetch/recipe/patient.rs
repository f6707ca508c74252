//! `[patient]`: whom the portal shows, as a witness for the match.
//!
//! Invariants: what a person typed never comes back as the portal's word; what cannot be read is told, and is no
//! witness; entries that differ are no witness either, the headers show who else is in there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::input::Format;
use super::page::Entry;
use super::template::Template;
use crate::dicom::patient::{BirthDate, Patient, PatientId, Sex};
use crate::fetch::{name, wire};

/// Longer names and IDs are none (PS3.5 6.2: 64 characters a component group).
const LONGEST: usize = 200;

/// `[patient]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Shown {
    /// Once for each entry of this list.
    each: Option<String>,
    /// `Family, Given`, or with carets.
    name: Option<Template>,
    birth_date: Option<Template>,
    /// How the portal writes the birth date, if it is not one of the unmistakable forms.
    format: Option<Format>,
    /// As it stands in the objects.
    id: Option<Template>,
    sex: Option<Template>,
}

/// What the portal told.
pub(super) struct Witness {
    pub(super) patient: Option<Patient>,
    /// What it told and could not be read, in words.
    pub(super) unread: Vec<&'static str>,
}

impl Shown {
    fn templates(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        let all = [
            ("name", &self.name),
            ("birth-date", &self.birth_date),
            ("id", &self.id),
            ("sex", &self.sex),
        ];
        all.into_iter().filter_map(|(key, template)| Some((key, template.as_ref()?)))
    }

    /// What is wrong: the key, and a sentence.
    pub(super) fn check(
        &self,
        inputs: &BTreeSet<String>,
        known: &BTreeSet<String>,
        lists: &BTreeMap<String, BTreeSet<String>>,
    ) -> Result<(), (String, String)> {
        let wrong = |key: &str, sentence: String| Err((key.to_owned(), sentence));
        if self.templates().next().is_none() {
            return wrong(
                "patient",
                "say what the portal shows: name, birth-date, id or sex".into(),
            );
        }
        if self.format == Some(Format::Year) || (self.format.is_some() && self.birth_date.is_none())
        {
            return wrong("format", "this is how the portal writes the whole birth-date".into());
        }
        let fields = match &self.each {
            Some(list) => match lists.get(list) {
                Some(fields) => Some(fields),
                None => return wrong("each", format!("no step makes a list `{list}`")),
            },
            None => None,
        };
        for (key, template) in self.templates() {
            for value in template.names() {
                if inputs.contains(value) {
                    let why = "what a person typed proves nothing about the portal; extract what it shows";
                    return wrong(key, why.to_owned());
                }
                let of_item = value.strip_prefix("item.").zip(fields);
                let is_there = known.contains(value)
                    || of_item.is_some_and(|(field, fields)| fields.contains(field));
                if !is_there {
                    return wrong(key, format!("no step gives `{{{value}}}` a value"));
                }
            }
        }
        Ok(())
    }

    /// The patient, from the values of a visit that has come to its end.
    pub(super) fn read(
        &self,
        lists: &BTreeMap<String, Vec<Entry>>,
        value: &dyn Fn(&str, Option<&Entry>) -> Option<String>,
    ) -> Witness {
        let entries: Vec<Option<&Entry>> = match &self.each {
            Some(list) => lists.get(list).into_iter().flatten().map(Some).collect(),
            None => vec![None],
        };
        let mut unread = BTreeSet::new();
        let patients: Vec<Patient> = entries
            .into_iter()
            .map(|entry| self.one(&|name: &str| value(name, entry), &mut unread))
            .collect();
        let all: Vec<&Patient> = patients.iter().collect();
        Witness { patient: wire::agreed_patient(&all), unread: unread.into_iter().collect() }
    }

    fn one(
        &self,
        value: &dyn Fn(&str) -> Option<String>,
        unread: &mut BTreeSet<&'static str>,
    ) -> Patient {
        let text = |template: &Option<Template>| {
            let text = template.as_ref()?.plain(value).ok()?;
            Some(name::clean(&text, LONGEST)).filter(|text| !text.is_empty())
        };
        let birth_date = text(&self.birth_date).and_then(|told| {
            let read = match self.format {
                Some(format) => format.parse(&told),
                None => BirthDate::parse(&told),
            };
            if read.is_none() {
                unread.insert("birth date");
            }
            read
        });
        let sex = text(&self.sex).map_or(Sex::Unknown, |told| {
            sex(&told).unwrap_or_else(|| {
                unread.insert("sex");
                Sex::Unknown
            })
        });
        Patient {
            id: text(&self.id).map(|id| PatientId { id, issuer: None }),
            name: text(&self.name).and_then(|told| wire::person_name(&told)),
            birth_date,
            sex,
        }
    }
}

/// As pages write it.
fn sex(told: &str) -> Option<Sex> {
    Some(match told.to_lowercase().as_str() {
        "m" | "male" | "man" | "männlich" | "maennlich" | "mann" | "herr" => Sex::Male,
        "f" | "w" | "female" | "woman" | "weiblich" | "frau" => Sex::Female,
        "o" | "d" | "x" | "other" | "divers" | "diverse" => Sex::Other,
        "u" | "unknown" | "unbekannt" | "-" => Sex::Unknown,
        _ => return None,
    })
}

impl Witness {
    /// What is known, in words.
    pub(super) fn told(&self) -> String {
        let Some(patient) = &self.patient else {
            return "nothing that all entries agree on".to_owned();
        };
        let parts = [
            patient.name.is_some().then_some("name"),
            patient.birth_date.is_some().then_some("birth date"),
            patient.id.is_some().then_some("ID"),
            (patient.sex != Sex::Unknown).then_some("sex"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// `[samples.patient]`: whom a sample has to show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Expected {
    name: Option<String>,
    /// `YYYY-MM-DD`
    birth_date: Option<String>,
    id: Option<String>,
    sex: Option<String>,
}

impl Expected {
    /// What differs, without any value; `None` if it is this patient.
    pub(super) fn differs(&self, shown: Option<&Patient>) -> Option<&'static str> {
        let shown = shown.cloned().unwrap_or_default();
        let sex = Some(shown.sex.as_str().to_owned()).filter(|sex| !sex.is_empty());
        let parts = [
            ("name", &self.name, shown.name.map(|name| name.as_str().to_owned())),
            ("birth-date", &self.birth_date, shown.birth_date.map(|born| born.date().to_string())),
            ("id", &self.id, shown.id.map(|id| id.id)),
            ("sex", &self.sex, sex),
        ];
        parts.into_iter().find_map(|(key, wanted, shown)| (*wanted != shown).then_some(key))
    }
}
