//! Which answer belongs to which question. Nothing is guessed: what does not fit is asked.

use std::collections::BTreeMap;

use super::wire::Asked;
use crate::dicom::patient::parse_date;
use crate::import::{Question, QuestionKind};

/// A question of version 0.9: no password, so it may be answered again.
const OLD_INSURANCE_NUMBER: &str = "KV_NUMBER";

/// What is known before a login.
pub(super) enum Prepared {
    /// The body of the login.
    Ready(String),
    /// These have no usable answer yet.
    Missing { questions: Vec<Question>, note: Option<String> },
}

/// Matches answers to questions, by ID first, then by type if only one question has it.
pub(super) fn prepare(asked: &[Asked], answers: &BTreeMap<String, String>) -> Prepared {
    let mut ready = Vec::new();
    let mut missing = Vec::new();
    let mut note = None;
    for question in asked {
        let sole = asked.iter().filter(|other| other.kind == question.kind).count() == 1;
        let by_kind = || answers.get(&question.kind).filter(|_| sole && !question.kind.is_empty());
        let told = answers.get(&question.id).or_else(by_kind);
        let told = told.map(|told| told.trim()).filter(|told| !told.is_empty());
        match (told, told.and_then(|told| formatted(question, told))) {
            (_, Some(answer)) => {
                ready.push(serde_json::json!({ "questionId": question.id, "answer": answer }));
            }
            (told, None) => {
                if told.is_some() {
                    note = Some("the answer is no date: write it as YYYY-MM-DD".to_owned());
                }
                missing.push(shown(question));
            }
        }
    }
    if missing.is_empty() {
        Prepared::Ready(serde_json::json!({ "tfaAnswer": ready }).to_string())
    } else {
        Prepared::Missing { questions: missing, note }
    }
}

/// The answer as the portal wants it: dates as `YYYYMMDD`, whatever way they were typed.
fn formatted(question: &Asked, told: &str) -> Option<String> {
    let is_date = question.format == "DATE"
        || matches!(kind(question), QuestionKind::PatBirthDate | QuestionKind::StudyDate);
    if is_date {
        parse_date(told).map(|date| date.strftime("%Y%m%d").to_string())
    } else {
        Some(told.to_owned())
    }
}

/// The question as a person sees it.
pub(super) fn shown(asked: &Asked) -> Question {
    let kind = kind(asked);
    let text = match (asked.text.is_empty(), kind) {
        (false, _) => asked.text.clone(),
        (true, QuestionKind::PatBirthDate) => "Birth date of the patient".to_owned(),
        (true, QuestionKind::StudyDate) => "Date of the examination".to_owned(),
        (true, QuestionKind::Password) => "Password".to_owned(),
        (true, QuestionKind::Custom) if asked.kind == OLD_INSURANCE_NUMBER => {
            "Health insurance number".to_owned()
        }
        (true, QuestionKind::Custom) => "The portal asks without saying what for".to_owned(),
    };
    Question { key: asked.id.clone(), kind, text, format: asked.format.clone() }
}

pub(super) fn kind(asked: &Asked) -> QuestionKind {
    match asked.kind.as_str() {
        "PAT_BIRTH_DATE" => QuestionKind::PatBirthDate,
        "STUDY_DATE" => QuestionKind::StudyDate,
        "PASSWORD" => QuestionKind::Password,
        _ => QuestionKind::Custom,
    }
}
