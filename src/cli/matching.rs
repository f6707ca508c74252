//! `lotse match`: the matching engine over lines of JSON, without a daemon.
//!
//! The worklist is held in memory, the studies are streamed: one line in, one line out. Invariant: an error
//! names the file and the line and what to do, and never quotes what the line holds.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use dicom_dictionary_std::tags;
use serde::{Deserialize, Serialize};

use crate::clock::computing_time;
use crate::dicom::inspect::other_names;
use crate::dicom::{
    AccessionNumber, BirthDate, CharacterSets, DataSet, Item, Patient, PatientId, PersonName, Sex,
    StudyFacts, Tag,
};
use crate::matching::{
    Agreement, Candidate, Case, Completeness, Evidence, Index, Outcome, Policy, Target, Tier,
    Verdict, Witnesses, objection,
};
use crate::worklist::{Reading, item_of, join};

mod json;
#[cfg(test)]
mod tests;

use json::data_set;

/// Bytes of one line: a header without pixel data has a few kilobytes.
const LINE_LIMIT: u64 = 4 << 20;

/// Items of one run; the memory of a small machine holds them.
const ITEM_LIMIT: usize = 1_000_000;

/// Modalities that one study names.
const MODALITY_LIMIT: usize = 64;

/// Which of the two inputs a line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    Worklist,
    Studies,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worklist => "worklist",
            Self::Studies => "studies",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "line {line} of the {input} is not one DICOM JSON object (PS3.18 F), near column {column}; \
             write one object a line, with tags of eight digits as keys"
    )]
    NotJson { input: Input, line: u64, column: usize },
    #[error("line {line} of the {input} is longer than {} MiB; leave pixel data out", LINE_LIMIT >> 20)]
    TooLong { input: Input, line: u64 },
    #[error(
        "line {line} of the worklist has no patient ID (00100020); add it, or leave the line out"
    )]
    NoPatientId { line: u64 },
    #[error("line {line} of the studies has no valid Study Instance UID (0020000D); add it")]
    NoStudyUid { line: u64 },
    #[error("line {line} of the studies has a {key} that is no date; write YYYY-MM-DD")]
    NotADate { line: u64, key: &'static str },
    #[error(
        "line {line} of the studies has keys that are not known; study, request (patientId, issuer, \
             accessionNumber), typed (birthDate) and portal (name, birthDate, sex) are"
    )]
    UnknownKeys { line: u64 },
    #[error("the worklist has more than {ITEM_LIMIT} lines; split it")]
    TooMany,
    #[error("the {input} cannot be read")]
    Read { input: Input, source: io::Error },
    #[error("the answer cannot be written")]
    Write(#[source] io::Error),
}

/// How the run decides.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub policy: Policy,
    /// `--incomplete`: as if the worklist answer had been cut.
    pub completeness: Completeness,
    /// Candidates that are printed of each study.
    pub shown: usize,
}

/// What a run took, for those who plan a large site.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Took {
    pub items: usize,
    pub studies: usize,
    pub reading_micros: u64,
    pub index_micros: u64,
    /// Computing time of one study, without reading and printing it.
    pub median_micros: u64,
    pub p99_micros: u64,
    pub longest_micros: u64,
}

/// Reads the worklist, then judges the studies one by one. Tells what that took.
pub fn run(
    worklist: impl BufRead,
    studies: impl BufRead,
    mut output: impl Write,
    rules: Rules,
) -> Result<Took, Error> {
    let begun = Instant::now();
    let items = read_worklist(worklist)?;
    let reading_micros = micros(begun);
    let begun = Instant::now();
    let index = Index::new(items);
    let index_micros = micros(begun);
    let mut lines = Lines::new(studies, Input::Studies);
    let mut each: Vec<u32> = Vec::new();
    while let Some((line, text)) = lines.next_line()? {
        let (answer, took) = judge(line, &text, &index, rules)?;
        each.push(u32::try_from(took).unwrap_or(u32::MAX));
        output.write_all(answer.as_bytes()).map_err(Error::Write)?;
        output.write_all(b"\n").map_err(Error::Write)?;
    }
    output.flush().map_err(Error::Write)?;
    each.sort_unstable();
    let at = |percent: usize| {
        let place = each.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
        u64::from(each.get(place).copied().unwrap_or(0))
    };
    Ok(Took {
        items: index.items().len(),
        studies: each.len(),
        reading_micros,
        index_micros,
        median_micros: at(50),
        p99_micros: at(99),
        longest_micros: at(100),
    })
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The items of a worklist of DICOM JSON, one entry a line; blank lines are skipped. Entries of one requested procedure
/// are one item, as the gateway joins them.
pub fn read_worklist(worklist: impl BufRead) -> Result<Vec<Item>, Error> {
    let reading = Reading::new("ISO_IR 192", &[]);
    let mut lines = Lines::new(worklist, Input::Worklist);
    let mut items = Vec::new();
    while let Some((line, text)) = lines.next_line()? {
        let not_json = |error: &serde_json::Error| Error::not_json(Input::Worklist, line, error);
        let object: serde_json::Value = serde_json::from_str(&text).map_err(|e| not_json(&e))?;
        let entry = data_set(object).map_err(|e| not_json(&e))?;
        items.push(item_of(&entry, &reading).ok_or(Error::NoPatientId { line })?);
        if items.len() > ITEM_LIMIT {
            return Err(Error::TooMany);
        }
    }
    Ok(join(items))
}

/// Judges one study line; the answer is one line of JSON without its end, with the microseconds it took.
fn judge(line: u64, text: &str, index: &Index<'_>, rules: Rules) -> Result<(String, u64), Error> {
    let case = read_study(line, text)?;
    let before = computing_time();
    let outcome = index.decide(&case, rules.completeness, rules.policy);
    let took = computing_time().saturating_sub(before);
    let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let verdict = Judged::of(&case, &outcome, rules.shown);
    let answer = serde_json::to_string(&verdict)
        .map_err(|error| Error::not_json(Input::Studies, line, &error))?;
    Ok((answer, took))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StudyLine {
    study: serde_json::Value,
    request: Option<Request>,
    typed: Option<Typed>,
    portal: Option<Portal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    patient_id: Option<String>,
    issuer: Option<String>,
    accession_number: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Typed {
    birth_date: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Portal {
    name: Option<String>,
    birth_date: Option<String>,
    sex: Option<String>,
}

fn read_study(line: u64, text: &str) -> Result<Case, Error> {
    let not_json = |error: &serde_json::Error| Error::not_json(Input::Studies, line, error);
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| not_json(&e))?;
    let wrapped = ["study", "request", "typed", "portal"].iter().any(|k| value.get(k).is_some());
    let parts = if wrapped {
        serde_json::from_value(value).map_err(|_| Error::UnknownKeys { line })?
    } else {
        StudyLine { study: value, request: None, typed: None, portal: None }
    };
    let header = data_set(parts.study).map_err(|e| not_json(&e))?;
    let facts = facts(&header).ok_or(Error::NoStudyUid { line })?;
    let date = |text: Option<String>, key: &'static str| match text.filter(|t| !t.trim().is_empty())
    {
        Some(text) => BirthDate::parse(&text).map(Some).ok_or(Error::NotADate { line, key }),
        None => Ok(None),
    };
    let request =
        parts.request.unwrap_or(Request { patient_id: None, issuer: None, accession_number: None });
    let mut witnesses = Witnesses {
        requested_patient: request
            .patient_id
            .filter(|id| !id.trim().is_empty())
            .map(|id| PatientId { id, issuer: request.issuer }),
        requested_accession_number: request.accession_number,
        identities: vec![facts.patient.clone()],
        ..Witnesses::default()
    };
    witnesses.typed_birth_date = date(parts.typed.and_then(|t| t.birth_date), "typed birthDate")?;
    if let Some(portal) = parts.portal {
        witnesses.portal = Some(Patient {
            id: None,
            name: portal.name.as_deref().and_then(PersonName::new),
            birth_date: date(portal.birth_date, "portal birthDate")?,
            sex: portal.sex.as_deref().map_or(Sex::Unknown, Sex::parse),
        });
    }
    let modalities = header
        .text(tags::MODALITIES_IN_STUDY)
        .or_else(|| facts.modality.clone())
        .map(|text| text.split('\\').take(MODALITY_LIMIT).map(|m| m.trim().to_owned()).collect())
        .unwrap_or_default();
    Ok(Case { facts, modalities, witnesses })
}

fn facts(header: &DataSet) -> Option<StudyFacts> {
    let id = |set: &DataSet| {
        let sets = CharacterSets::utf8();
        let text = |tag: Tag| set.text_in(tag, &sets);
        Some(PatientId { id: text(tags::PATIENT_ID)?, issuer: text(tags::ISSUER_OF_PATIENT_ID) })
    };
    let issuer = header.items(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE).first().and_then(|item| {
        let sets = CharacterSets::utf8();
        item.text_in(tags::LOCAL_NAMESPACE_ENTITY_ID, &sets)
            .or_else(|| item.text_in(tags::UNIVERSAL_ENTITY_ID, &sets))
    });
    Some(StudyFacts {
        study_uid: header.uid(tags::STUDY_INSTANCE_UID)?,
        patient: Patient {
            id: id(header),
            name: header.text(tags::PATIENT_NAME).and_then(|name| PersonName::new(&name)),
            birth_date: header
                .text(tags::PATIENT_BIRTH_DATE)
                .and_then(|date| BirthDate::parse(&date)),
            sex: header.text(tags::PATIENT_SEX).map_or(Sex::Unknown, |sex| Sex::parse(&sex)),
        },
        other_ids: header.items(tags::OTHER_PATIENT_I_DS_SEQUENCE).iter().filter_map(id).collect(),
        other_names: other_names(&|tag| header.text(tag)),
        accession_number: header
            .text(tags::ACCESSION_NUMBER)
            .map(|number| AccessionNumber { number, issuer }),
        study_date: header.text(tags::STUDY_DATE),
        study_description: header.text(tags::STUDY_DESCRIPTION),
        modality: header.text(tags::MODALITY),
        body_part: header.text(tags::BODY_PART_EXAMINED),
        institution: header.text(tags::INSTITUTION_NAME),
        identity_removed: header
            .text(tags::PATIENT_IDENTITY_REMOVED)
            .is_some_and(|text| text.eq_ignore_ascii_case("YES")),
    })
}

/// The line that is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Judged<'a> {
    study_instance_uid: &'a str,
    decision: Verdict,
    tier: Tier,
    /// Of the order that was decided; null if a person has to.
    accession_number: Option<&'a str>,
    patient_id: Option<&'a str>,
    margin: i32,
    reason: &'a str,
    candidates: Vec<Ranked<'a>>,
    contradictions: &'a [String],
    /// The open orders of the first candidate's patient, if a person may file the study under several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    several_orders: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ranked<'a> {
    accession_number: Option<&'a str>,
    patient_id: Option<&'a str>,
    score: i32,
    evidence: std::collections::BTreeMap<&'a str, Weighed>,
    contradictions: &'a [String],
    /// Why it was not taken; of the first what the whole answer's reason says.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<String>,
}

#[derive(Serialize)]
struct Weighed {
    agreement: Agreement,
    weight: i32,
}

impl<'a> Judged<'a> {
    fn of(case: &'a Case, outcome: &'a Outcome, shown: usize) -> Self {
        let first = outcome.candidates.first();
        let ranked =
            outcome.candidates.iter().take(shown).map(|candidate| Ranked::of(candidate, first));
        let candidates: Vec<Ranked<'a>> = ranked.collect();
        let decided = first.filter(|_| outcome.verdict == Verdict::Automatic).map(|c| &c.item);
        Self {
            study_instance_uid: case.facts.study_uid.as_str(),
            decision: outcome.verdict,
            tier: outcome.tier,
            accession_number: decided.and_then(number),
            patient_id: decided.and_then(patient_id),
            margin: outcome.margin,
            reason: &outcome.reason,
            candidates,
            contradictions: &outcome.contradictions,
            several_orders: several(outcome),
        }
    }
}

/// Never by rule: empty if the rules decided.
fn several(outcome: &Outcome) -> Vec<&str> {
    let Some(first) = outcome.candidates.first() else { return Vec::new() };
    let together = |other: &&Candidate| {
        let pair = [first.item.clone(), other.item.clone()];
        other.item.is_open() && Target::of_orders(pair).is_ok()
    };
    let orders: Vec<&Candidate> = outcome.candidates.iter().filter(together).collect();
    if outcome.verdict != Verdict::Person || orders.len() < 2 {
        return Vec::new();
    }
    orders.into_iter().filter_map(|order| number(&order.item)).collect()
}

impl<'a> Ranked<'a> {
    fn of(candidate: &'a Candidate, first: Option<&Candidate>) -> Self {
        let weighed = |e: &'a Evidence| {
            (e.attribute.as_str(), Weighed { agreement: e.agreement, weight: e.weight })
        };
        Self {
            accession_number: number(&candidate.item),
            patient_id: patient_id(&candidate.item),
            score: candidate.score,
            evidence: candidate.evidence.iter().map(weighed).collect(),
            contradictions: &candidate.contradictions,
            rejected: first.and_then(|first| objection(candidate, first)),
        }
    }
}

fn number(item: &Item) -> Option<&str> {
    item.accession_number.as_ref().map(|number| number.number.as_str())
}

fn patient_id(item: &Item) -> Option<&str> {
    item.patient.id.as_ref().map(|id| id.id.as_str())
}

impl Error {
    /// The library's own message quotes the value, so only the place is taken.
    fn not_json(input: Input, line: u64, error: &serde_json::Error) -> Self {
        Self::NotJson { input, line, column: error.column() }
    }
}

/// Lines with their numbers, from 1, blank ones skipped, none longer than the limit.
struct Lines<R> {
    reader: R,
    input: Input,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, input: Input) -> Self {
        Self { reader, input, number: 0 }
    }

    fn next_line(&mut self) -> Result<Option<(u64, String)>, Error> {
        let input = self.input;
        loop {
            let mut bytes = Vec::new();
            let mut limited = io::Read::take(&mut self.reader, LINE_LIMIT + 1);
            let read = limited
                .read_until(b'\n', &mut bytes)
                .map_err(|source| Error::Read { input, source })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let line = self.number;
            if u64::try_from(read).unwrap_or(u64::MAX) > LINE_LIMIT {
                return Err(Error::TooLong { input, line });
            }
            let text =
                String::from_utf8(bytes).map_err(|_| Error::NotJson { input, line, column: 0 })?;
            let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if !text.is_empty() {
                return Ok(Some((line, text.to_owned())));
            }
        }
    }
}
