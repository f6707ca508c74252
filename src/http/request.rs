//! What comes in as JSON or as a form, parsed into the types of the house at the edge.
//!
//! Invariant: every text has a bound, no control characters, and no character that DICOM gives a meaning.

use std::collections::{BTreeMap, BTreeSet};
mod from;
mod items;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::guard::text;
use super::problem::Problem;
use crate::dicom::{BirthDate, Patient, PatientId, PersonName, Sex};
use crate::import::{Chosen, DestinationName, Link, Question, QuestionKind, Request};
use crate::pipeline::{Choice, Seen};
use crate::worklist::pdq::Wanted;
use from::FromRequest;
pub(crate) use items::item_ids;

/// A request is a link, some answers and some numbers.
pub(crate) const JSON_LIMIT: usize = 64 * 1024;
/// Reading a small body may take this long.
const JSON_TIME: std::time::Duration = std::time::Duration::from_secs(15);
/// Portals ask one or two questions.
const ANSWERS: usize = 16;
/// Room for a password sentence.
const ANSWER_LENGTH: usize = 256;
/// LO, the value representation of patient ID and issuer, holds 64 characters (PS3.5 6.2).
const LO: usize = 64;
/// Three component groups of 64 characters (PS3.5 6.2, PN).
const NAME_LENGTH: usize = 3 * 64 + 2;
/// A sentence or two.
const REASON_LENGTH: usize = 500;

/// The body of `POST /api/v1/imports`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ImportRequest {
    link: Option<String>,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    patient: Option<PatientRequest>,
    accession_number: Option<String>,
    destination: Option<String>,
    password: Option<String>,
    choices: Option<ChoicesRequest>,
    from: Option<FromRequest>,
}

/// `"all"`, or keys of the portal's list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum ChoicesRequest {
    Word(String),
    Keys(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PatientRequest {
    patient_id: String,
    issuer: Option<String>,
}

/// The body of `POST …/answers`: answers to questions, or a choice.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AnswersRequest {
    pub(crate) answers: Option<BTreeMap<String, String>>,
    pub(crate) choices: Option<ChoicesRequest>,
}

impl ChoicesRequest {
    pub(crate) fn checked(self) -> Result<Chosen, Problem> {
        match self {
            Self::Word(word) if word == "all" => Ok(Chosen::All),
            Self::Word(_) => {
                Err(Problem::invalid("choices is \"all\" or a list of keys of the portal's list"))
            }
            Self::Keys(keys) => Ok(Chosen::Only(keys.into_iter().collect::<BTreeSet<_>>())),
        }
    }
}

/// The body of `POST …/decision`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DecisionRequest {
    item: Option<String>,
    /// Several orders of one patient.
    items: Option<Vec<String>>,
    no_order: Option<NoOrderRequest>,
    reject: Option<bool>,
    /// What was seen of the orders, by item: `seen` of a candidate. Refused if one has changed since.
    #[serde(default)]
    seen: BTreeMap<String, String>,
    /// `false` asks for a second look at a patient without an order, or of orders that are no candidates: refused if
    /// something differs.
    confirmed: Option<bool>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NoOrderRequest {
    pub(crate) patient_id: String,
    pub(crate) issuer: Option<String>,
    pub(crate) name: String,
    pub(crate) birth_date: Option<String>,
    pub(crate) sex: Option<String>,
}

/// The body of `POST /api/v1/patients`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[derive(Default)]
pub(crate) struct PatientsRequest {
    patient_id: Option<String>,
    name: Option<String>,
    birth_date: Option<String>,
}

/// Reads a small body within a time.
pub(crate) async fn small_body(body: Body) -> Result<bytes::Bytes, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "this request is longer than 64 kB; files are sent as multipart/form-data or application/zip",
        )
    };
    // What is declared too large is not waited for.
    if body.size_hint().lower() > u64::try_from(JSON_LIMIT).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    match tokio::time::timeout(JSON_TIME, to_bytes(body, JSON_LIMIT)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request did not arrive in time; send it again",
        )),
    }
}

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let kind = media_type(headers);
    if kind.as_deref() != Some("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the request with Content-Type application/json",
        ));
    }
    parse_json(&small_body(body).await?)
}

pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::malformed(format!("the request is not as documented: {error}")))
}

/// The media type without parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = text(headers, header::CONTENT_TYPE)?;
    Some(value.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
}

impl ImportRequest {
    /// A request for a link, or for a code or payload that a recipe makes one of.
    pub(crate) fn with_link(
        self,
        made: impl FnOnce(&str) -> Option<Link>,
    ) -> Result<Request, Problem> {
        let link = match (&self.link, &self.from) {
            (Some(link), None) => link,
            (None, Some(_)) => return self.checked(),
            (None, None) => {
                return Err(Problem::invalid(
                    "the request has no link; give one, or send a file as multipart/form-data",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(Problem::invalid(
                    "a request has a link or a source in `from`, not both; send two requests",
                ));
            }
        };
        let link = made(link).ok_or_else(|| {
            Problem::invalid(
                "this is not a web address; copy the whole link, from https:// on (a code needs a recipe that knows it)",
            )
        })?;
        Ok(Request { link: Some(link), ..self.checked()? })
    }

    /// A request that comes with a file.
    pub(crate) fn without_link(self) -> Result<Request, Problem> {
        if self.link.is_some() || self.from.is_some() {
            return Err(Problem::invalid(
                "a request has a link or a file, not both; send two requests",
            ));
        }
        self.checked()
    }

    fn checked(self) -> Result<Request, Problem> {
        let patient = self.patient.map(|patient| {
            Ok::<_, Problem>(PatientId {
                id: required("patientId", &patient.patient_id, LO)?,
                issuer: optional("issuer", patient.issuer.as_deref(), LO)?,
            })
        });
        Ok(Request {
            link: None,
            answers: answers(self.answers)?,
            patient: patient.transpose()?,
            accession_number: optional("accessionNumber", self.accession_number.as_deref(), LO)?,
            destination: optional("destination", self.destination.as_deref(), LO)?
                .map(DestinationName),
            password: self.password.map(|password| secret(&password)).transpose()?,
            choices: self.choices.map(ChoicesRequest::checked).transpose()?,
            one_time: BTreeSet::new(),
            from: self.from.map(FromRequest::checked).transpose()?.map(Box::new),
        })
    }

    /// The same from the fields of a form; empty ones count as absent.
    pub(crate) fn from_form(fields: &Fields) -> Self {
        let mut answers = BTreeMap::new();
        if let Some(birth_date) = fields.get("birthDate") {
            answers.insert("PAT_BIRTH_DATE".to_owned(), birth_date.to_owned());
        }
        Self {
            link: fields.get("link").map(str::to_owned),
            answers,
            patient: fields.get("patientId").map(|id| PatientRequest {
                patient_id: id.to_owned(),
                issuer: fields.get("issuer").map(str::to_owned),
            }),
            accession_number: fields.get("accessionNumber").map(str::to_owned),
            destination: fields.get("destination").map(str::to_owned),
            password: fields.get("password").map(str::to_owned),
            choices: fields.get("choices").map(|word| ChoicesRequest::Word(word.to_owned())),
            from: FromRequest::from_form(fields),
        }
    }
}

impl DecisionRequest {
    /// The one choice that was made, and its reason.
    pub(crate) fn checked(self) -> Result<(Choice, String), Problem> {
        let reason = required("reason", &self.reason, REASON_LENGTH)?;
        let looked = if self.confirmed == Some(false) { Seen::Once } else { Seen::Again };
        let orders = |item_ids| Choice::Items { item_ids, seen: self.seen, looked };
        let choice = match (self.item, self.items, self.no_order, self.reject) {
            (Some(item), None, None, None) => orders(vec![required("item", &item, LO)?]),
            (None, Some(items), None, None) => orders(item_ids(&items)?),
            (None, None, Some(patient), None) => {
                Choice::NoOrder { patient: patient.checked()?, seen: looked }
            }
            (None, None, None, Some(true)) => Choice::Reject,
            _ => {
                return Err(Problem::invalid(
                    "a decision is one of: item, items, noOrder, or reject: true",
                ));
            }
        };
        Ok((choice, reason))
    }

    pub(crate) fn from_form(fields: &Fields) -> Self {
        let text = |name| fields.get(name).unwrap_or("").to_owned();
        let choice = fields.get("choice").unwrap_or("");
        Self {
            item: (choice == "item").then(|| text("item")),
            items: (choice == "items").then(|| fields.ticked()),
            no_order: (choice == "noOrder").then(|| NoOrderRequest {
                patient_id: text("patientId"),
                issuer: fields.get("issuer").map(str::to_owned),
                name: text("name"),
                birth_date: fields.get("birthDate").map(str::to_owned),
                sex: fields.get("sex").map(str::to_owned),
            }),
            reject: (choice == "reject").then_some(true),
            seen: fields.seen(),
            confirmed: Some(fields.get("confirmed") == Some("yes")),
            reason: text("reason"),
        }
    }
}

impl PatientsRequest {
    /// Who is looked for.
    pub(crate) fn checked(self) -> Result<Wanted, Problem> {
        let name = optional("name", self.name.as_deref(), NAME_LENGTH)?;
        let birth_date = optional("birthDate", self.birth_date.as_deref(), LO)?;
        Ok(Wanted {
            patient_id: optional("patientId", self.patient_id.as_deref(), LO)?,
            name: name.as_deref().and_then(PersonName::new),
            birth_date: birth_date.as_deref().map(date).transpose()?,
        })
    }

    pub(crate) fn from_form(fields: &Fields) -> Self {
        let text = |name| fields.get(name).map(str::to_owned);
        Self { patient_id: text("patientId"), name: text("name"), birth_date: text("birthDate") }
    }
}

impl NoOrderRequest {
    fn checked(self) -> Result<Patient, Problem> {
        let name = required("name", &self.name, NAME_LENGTH)?;
        let birth_date = optional("birthDate", self.birth_date.as_deref(), LO)?;
        let sex = optional("sex", self.sex.as_deref(), LO)?;
        Ok(Patient {
            id: Some(PatientId {
                id: required("patientId", &self.patient_id, LO)?,
                issuer: optional("issuer", self.issuer.as_deref(), LO)?,
            }),
            name: Some(
                PersonName::new(&name).ok_or_else(|| {
                    Problem::invalid("the name is empty; write it as Family^Given")
                })?,
            ),
            birth_date: birth_date.as_deref().map(date).transpose()?,
            sex: match sex.as_deref() {
                None => Sex::Unknown,
                Some(text @ ("M" | "F" | "O")) => Sex::parse(text),
                Some(_) => return Err(Problem::invalid("sex is M, F, O or left out")),
            },
        })
    }
}

/// Answers by key; those for the birth date and the study date become `YYYY-MM-DD`.
pub(crate) fn answers(
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Problem> {
    if given.len() > ANSWERS {
        return Err(Problem::invalid("more than 16 answers; send only those that were asked for"));
    }
    let mut checked = BTreeMap::new();
    for (key, answer) in given {
        if key.is_empty() || key.len() > ANSWER_LENGTH || key.chars().any(char::is_control) {
            return Err(Problem::invalid(
                "a key of an answer is the questionId of the portal or its type",
            ));
        }
        if answer.len() > ANSWER_LENGTH || answer.chars().any(char::is_control) {
            return Err(Problem::invalid("an answer is one line of at most 256 bytes"));
        }
        let answer = match key.as_str() {
            "PAT_BIRTH_DATE" | "STUDY_DATE" => date(&answer)?.date().to_string(),
            // Passwords may begin or end with a space.
            _ => answer,
        };
        checked.insert(key, answer);
    }
    Ok(checked)
}

/// Answers to the questions that stand: nothing else is taken, and dates are dates.
pub(crate) fn answers_to(
    questions: &[Question],
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut checked = answers(given)?;
    if checked.is_empty() {
        return Err(Problem::invalid("there is no answer in the request"));
    }
    for (key, answer) in &mut checked {
        let question = questions
            .iter()
            .find(|question| question.key == *key || kind_name(question.kind) == key);
        let Some(question) = question else {
            return Err(Problem::invalid(
                "the portal did not ask for one of the keys; `questions` of the import lists them",
            ));
        };
        if is_date(question) {
            *answer = date(answer)?.date().to_string();
        }
    }
    Ok(checked)
}

/// How the portal's question type is written.
pub(crate) fn kind_name(kind: QuestionKind) -> &'static str {
    match kind {
        QuestionKind::PatBirthDate => "PAT_BIRTH_DATE",
        QuestionKind::StudyDate => "STUDY_DATE",
        QuestionKind::Password => "PASSWORD",
        QuestionKind::Custom => "CUSTOM",
    }
}

/// Whether the answer has to be a day.
pub(crate) fn is_date(question: &Question) -> bool {
    question.format == "DATE"
        || matches!(question.kind, QuestionKind::PatBirthDate | QuestionKind::StudyDate)
}

/// Fields of a form, without surrounding space; empty ones are dropped, the first of a name counts.
#[derive(Default)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            fields.insert(&name, &value);
        }
        fields
    }

    pub(crate) fn insert(&mut self, name: &str, value: &str) {
        if !value.trim().is_empty() {
            self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    /// The ticked entries of a list: fields `choice.KEY`, or `choices` for everything.
    pub(crate) fn chosen(&self) -> Option<ChoicesRequest> {
        if let Some(word) = self.get("choices") {
            return Some(ChoicesRequest::Word(word.to_owned()));
        }
        let keys = self.0.keys().filter_map(|name| name.strip_prefix("choice.").map(str::to_owned));
        let keys: Vec<_> = keys.collect();
        (!keys.is_empty()).then_some(ChoicesRequest::Keys(keys))
    }

    /// The answers of a question form: fields `answer.KEY`, as they were typed.
    pub(crate) fn answers(&self) -> BTreeMap<String, String> {
        let answer = |(name, value): (&String, &String)| {
            Some((name.strip_prefix("answer.")?.to_owned(), value.clone()))
        };
        self.0.iter().filter_map(answer).collect()
    }
}

fn date(text: &str) -> Result<BirthDate, Problem> {
    BirthDate::parse(text)
        .ok_or_else(|| Problem::invalid("there is no such day; write dates as YYYY-MM-DD"))
}

fn required(field: &str, text: &str, limit: usize) -> Result<String, Problem> {
    optional(field, Some(text), limit)?
        .ok_or_else(|| Problem::invalid(format!("{field} is empty; fill it in")))
}

/// A password as it was typed: spaces and backslashes belong to it.
fn secret(text: &str) -> Result<String, Problem> {
    if text.chars().count() > ANSWER_LENGTH || text.chars().any(char::is_control) {
        return Err(Problem::invalid(format!(
            "password is longer than {ANSWER_LENGTH} characters or has a control character"
        )));
    }
    Ok(text.to_owned())
}

/// A backslash separates values in DICOM and is refused rather than lost (PS3.5 6.2).
fn optional(field: &str, text: Option<&str>, limit: usize) -> Result<Option<String>, Problem> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let Some(text) = text else { return Ok(None) };
    if text.chars().count() > limit {
        return Err(Problem::invalid(format!("{field} is longer than {limit} characters")));
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(Problem::invalid(format!(
            "{field} has a control character or a backslash; leave it out"
        )));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests;
