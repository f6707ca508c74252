//! The table of cases.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{data, today};

/// What a query has to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These steps, sorted, each with this pending status.
    Steps(Vec<String>, u16),
    Failure(u16),
}

/// One query.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub clause: String,
    /// Where a key stands (` ` top, `>` step, `#` code), its keyword, its value.
    pub keys: Vec<(char, String, String)>,
    pub wanted: Wanted,
    askers: String,
    /// What wlmscpfs gives, if it is something else, and why ours is right.
    pub wlmscpfs: Option<(Vec<String>, String)>,
}

impl Case {
    fn parse(line: &str, all: &[String], today: Date) -> Self {
        let fields: Vec<&str> = line.split('|').collect();
        let [name, clause, keys, steps, askers, wlmscpfs] = fields.as_slice() else {
            panic!("not six fields: {line}");
        };
        let key = |text: &str| {
            let (place, text) = match text.chars().next() {
                Some(mark @ ('>' | '#')) => (mark, &text[1..]),
                _ => (' ', text),
            };
            let (keyword, value) = text.split_once('=').unwrap();
            (place, keyword.to_owned(), dated(value, today))
        };
        let ids = |text: &str| match text {
            "ALL" => all.to_vec(),
            "-" => vec![],
            ids => ids.split(' ').map(str::to_owned).collect(),
        };
        let wanted = match steps.split_at(1) {
            ("!", code) => Wanted::Failure(u16::from_str_radix(code, 16).unwrap()),
            ("+", steps) => Wanted::Steps(ids(steps), 0xFF01),
            _ => Wanted::Steps(ids(steps), 0xFF00),
        };
        let wlmscpfs = (*wlmscpfs != "=").then(|| {
            let (steps, why) = wlmscpfs.split_once(": ").expect("its steps and why");
            (ids(steps), why.to_owned())
        });
        Self {
            name: (*name).to_owned(),
            clause: (*clause).to_owned(),
            keys: keys.split(';').map(key).collect(),
            wanted,
            askers: (*askers).to_owned(),
            wlmscpfs,
        }
    }

    /// `f` findscu, `p` pynetdicom, `d` dcmjs-dimse, `F` pynetdicom with fuzzy comparison agreed on.
    pub fn is_for(&self, asker: char) -> bool {
        self.askers.contains(asker)
    }

    pub fn charset(&self) -> Option<&str> {
        let own = self.keys.iter().find(|(_, keyword, _)| keyword == "SpecificCharacterSet");
        own.map(|(_, _, value)| value.as_str())
    }

    /// For the scripts.
    pub fn json(&self) -> Value {
        let at = |place: char| {
            let keys = self.keys.iter().filter(|key| key.0 == place);
            keys.map(|(_, keyword, value)| (keyword.clone(), json!(value)))
                .collect::<BTreeMap<_, _>>()
        };
        json!({
            "name": self.name, "keys": at(' '), "step": at('>'), "code": at('#'), "fuzzy": self.is_for('F'),
        })
    }
}

/// `D+n` as a day.
fn dated(text: &str, today: Date) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("D+") {
        out.push_str(&rest[..at]);
        let number: String = rest[at + 2..].chars().take_while(char::is_ascii_digit).collect();
        let day = today.checked_add(number.parse::<i32>().unwrap().days()).unwrap();
        out.push_str(&day.strftime("%Y%m%d").to_string());
        rest = &rest[at + 2 + number.len()..];
    }
    out.push_str(rest);
    out
}

pub fn cases() -> Vec<Case> {
    let lines = |name: &str| {
        let text = std::fs::read_to_string(data(name)).unwrap();
        text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    let all: Vec<String> =
        lines("entries.txt").iter().map(|l| l.split('|').next().unwrap().to_owned()).collect();
    let today = today();
    let cases: Vec<Case> =
        lines("cases.txt").iter().map(|line| Case::parse(line, &all, today)).collect();
    assert!(cases.len() >= 60, "the table has {} cases", cases.len());
    cases
}
