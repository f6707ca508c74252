//! The JSON of DLX, read tolerantly: numbers for strings, objects for arrays, unknown fields, older names.

use std::time::Duration;

use serde_json::Value;

use super::name::clean;
use crate::dicom::patient::{BirthDate, Patient, PatientId, PersonName, Sex, parse_date};

/// More questions than this is no login.
const MAX_QUESTIONS: usize = 20;

/// More items than this no patient carries on paper.
const MAX_ITEMS: usize = 2000;

/// A question that does not fit on a screen is cut.
const LONGEST_TEXT: usize = 500;

/// A name and an address to turn to.
const LONGEST_VENDOR: usize = 200;

/// IDs go back into URLs.
const LONGEST_ID: usize = 512;

/// What the portal answers to a token.
pub(super) struct Questions {
    /// The base path told, of the best version.
    pub(super) base: Option<String>,
    /// What the operator says of itself, for people.
    pub(super) vendor: Option<String>,
    /// DICOMweb addresses, as told and not judged yet: QIDO-RS and WADO-RS.
    pub(super) dicomweb: (Option<String>, Option<String>),
    pub(super) questions: Vec<Asked>,
}

/// One question as it came.
pub(super) struct Asked {
    pub(super) id: String,
    /// `PAT_BIRTH_DATE`, `STUDY_DATE`, `PASSWORD`, `CUSTOM`, or what else the portal says.
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) text: String,
}

/// One entry of the list.
pub(super) struct Item {
    pub(super) id: String,
    pub(super) description: Option<String>,
    pub(super) files: Option<u64>,
    pub(super) patient: Patient,
    pub(super) study_uid: Option<String>,
    pub(super) date: Option<jiff::civil::Date>,
    pub(super) modalities: Option<String>,
    pub(super) accession_number: Option<String>,
    pub(super) media_type: Option<String>,
}

impl Item {
    /// What tells one examination from another; `None` for what belongs to any, such as a report.
    fn occasion(&self) -> Option<String> {
        self.date.map(|date| date.to_string()).or_else(|| self.study_uid.clone())
    }
}

/// Examinations of different days, as far as the list tells: reports and several studies of one day are one.
pub(super) fn occasions(items: &[Item]) -> usize {
    let mut told: Vec<_> = items.iter().filter_map(Item::occasion).collect();
    told.sort_unstable();
    told.dedup();
    told.len()
}

/// `None` if this is not a DLX answer.
pub(super) fn questions(answer: &Value, languages: &[String]) -> Option<Questions> {
    let answer = unwrapped(answer, "tfaQuestions");
    let asked = answer.get("tfaQuestion")?;
    let list: Vec<&Value> = many(asked);
    if list.len() > MAX_QUESTIONS {
        return None;
    }
    let questions =
        list.into_iter().map(|asked| question(asked, languages)).collect::<Option<_>>()?;
    let offer = offer(answer);
    let told = |name: &str| offer?.get(name).and_then(text).filter(|text| !text.is_empty());
    let dicomweb = |service: &str| {
        let told = offer?.get("capabilities")?.get("dicomweb")?.get(service)?;
        let available = told.get("available").and_then(text).is_none_or(|told| told == "true");
        let url = told.get("url").and_then(text)?;
        (available && !url.is_empty()).then_some(url)
    };
    Some(Questions {
        base: told("apiBasePath"),
        vendor: told("vendorInformation").map(|vendor| clean(&vendor, LONGEST_VENDOR)),
        dicomweb: (dicomweb("qidoRs"), dicomweb("wadoRs")),
        questions,
    })
}

/// The entry for version 1 if there is one, else for 2, whose calls are the same, else the first.
fn offer(answer: &Value) -> Option<&Value> {
    let mut offers = many(answer.get("apiInfo")?);
    offers.retain(|offer| offer.get("apiBasePath").and_then(text).is_some());
    let version = |wanted: &str| {
        let fits = |offer: &&&Value| {
            let told = offer.get("dlxVersion").and_then(text).unwrap_or_default();
            told.trim_start_matches(['v', 'V']).split('.').next() == Some(wanted)
        };
        offers.iter().find(fits).copied()
    };
    version("1").or_else(|| version("2")).or_else(|| offers.first().copied())
}

fn question(asked: &Value, languages: &[String]) -> Option<Asked> {
    let field = |name: &str| asked.get(name).and_then(text).unwrap_or_default();
    let kind = clean(&field("questionType"), LONGEST_ID).to_ascii_uppercase();
    let id = asked.get("questionId").and_then(text).unwrap_or_else(|| kind.clone());
    if id.is_empty() || id.len() > LONGEST_ID {
        return None;
    }
    let is_date = matches!(kind.as_str(), "PAT_BIRTH_DATE" | "STUDY_DATE");
    let format = match field("answerFormat").to_ascii_uppercase().as_str() {
        "DATE" => "DATE",
        "" if is_date => "DATE",
        _ => "STRING",
    };
    let text = asked.get("question").map(|texts| in_language(texts, languages)).unwrap_or_default();
    Some(Asked { id, kind, format: format.to_owned(), text })
}

/// The text in the first of the languages that is there, else any; older portals send a bare string.
fn in_language(texts: &Value, languages: &[String]) -> String {
    let texts = many(texts);
    let language = |entry: &Value| {
        let tag = entry.get("language").and_then(text).unwrap_or_default().to_ascii_lowercase();
        tag.split(['-', '_']).next().unwrap_or("").to_owned()
    };
    let chosen = languages
        .iter()
        .find_map(|wanted| {
            texts.iter().find(|entry| language(entry) == wanted.to_ascii_lowercase())
        })
        .or_else(|| texts.first());
    let told = chosen.and_then(|entry| entry.get("text").and_then(text).or_else(|| text(entry)));
    clean(&told.unwrap_or_default(), LONGEST_TEXT)
}

/// `None` if this is no list at all, or one beyond reason.
pub(super) fn items(answer: &Value) -> Option<Vec<Item>> {
    let answer = unwrapped(answer, "dataItems");
    let list = match answer {
        Value::Array(list) => list.iter().collect(),
        other => many(other.get("dataItem")?),
    };
    if list.len() > MAX_ITEMS {
        return None;
    }
    list.into_iter().map(item).collect()
}

fn item(entry: &Value) -> Option<Item> {
    let field = |name: &str| entry.get(name).and_then(text).filter(|text| !text.is_empty());
    let id =
        field("id").filter(|id| id.len() <= LONGEST_ID && !matches!(id.as_str(), "." | ".."))?;
    let patient = Patient {
        // Version 2.
        id: field("patientId")
            .map(|id| PatientId { id: clean(&id, LONGEST_TEXT), issuer: None })
            .filter(|id| !id.id.is_empty()),
        name: field("patientsName").and_then(|name| person_name(&clean(&name, LONGEST_TEXT))),
        birth_date: field("patientsBirthdate").and_then(|date| BirthDate::parse(&date)),
        sex: field("patientsSex").map_or(Sex::Unknown, |sex| Sex::parse(&sex)),
    };
    // Version 0.9 said `name`.
    let description = field("description").or_else(|| field("name"));
    let short = |name: &str| {
        let told = field(name).map(|text| clean(&text, LONGEST_TEXT));
        told.filter(|text| !text.is_empty())
    };
    Some(Item {
        id,
        description,
        files: field("fileCount").and_then(|count| count.parse().ok()),
        patient,
        study_uid: short("studyInstanceUID"),
        date: field("date").and_then(|date| parse_date(&date)),
        modalities: modalities(entry),
        accession_number: short("accessionNumber"),
        media_type: short("mimeType"),
    })
}

/// A text, or a list of them.
fn modalities(entry: &Value) -> Option<String> {
    let told: Vec<_> = many(entry.get("modalities")?).into_iter().filter_map(text).collect();
    Some(clean(&told.join(", "), LONGEST_TEXT)).filter(|text| !text.is_empty())
}

/// `Family, Given` or the caret form.
pub(super) fn person_name(told: &str) -> Option<PersonName> {
    match told.split_once(',') {
        Some((family, given)) if !told.contains('^') => {
            PersonName::new(&format!("{}^{}", family.trim(), given.trim()))
        }
        _ => PersonName::new(told),
    }
}

/// What all items agree on, but for the patient ID, which says nothing without its issuer; `None` if that is nothing. The headers show who else is in there.
pub(super) fn common_patient(items: &[&Item]) -> Option<Patient> {
    let patients: Vec<&Patient> = items.iter().map(|item| &item.patient).collect();
    let patient = Patient { id: None, ..agreed_patient(&patients)? };
    (patient != Patient::default()).then_some(patient)
}

/// What all agree on; `None` if that is nothing.
pub(super) fn agreed_patient(patients: &[&Patient]) -> Option<Patient> {
    fn agreed<T: PartialEq + Clone>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
        let mut values = values.flatten();
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }
    let sex = |patient: &Patient| (patient.sex != Sex::Unknown).then_some(patient.sex);
    let patient = Patient {
        id: agreed(patients.iter().map(|patient| patient.id.clone())),
        name: agreed(patients.iter().map(|patient| patient.name.clone())),
        birth_date: agreed(patients.iter().map(|patient| patient.birth_date)),
        sex: agreed(patients.iter().map(|patient| sex(patient))).unwrap_or_default(),
    };
    (patient != Patient::default()).then_some(patient)
}

/// The seconds a 503 asks for.
pub(super) fn time_out(answer: &Value) -> Option<u64> {
    answer.get("timeOutInSeconds").and_then(text)?.trim().parse().ok()
}

/// The session token of a login: bare, quoted, or in a JSON object under a usual key.
pub(super) fn session_token(body: &str) -> Option<String> {
    const KEYS: [&str; 7] =
        ["token", "jwt", "access_token", "accessToken", "id_token", "bearer", "value"];
    let body = body.trim_start_matches('\u{feff}').trim();
    let told = match serde_json::from_str::<Value>(body) {
        Ok(Value::String(token)) => token,
        Ok(Value::Object(fields)) => {
            KEYS.iter().find_map(|key| fields.get(*key).and_then(Value::as_str))?.to_owned()
        }
        _ => body.to_owned(),
    };
    let token = told.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    let parts: Vec<&str> = token.split('.').collect();
    let part = |part: &&str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=' | b'+' | b'/'))
    };
    // The signature may be empty, header and claims may not (RFC 7519 6).
    let is_jwt =
        matches!(parts.as_slice(), [header, claims, _] if !header.is_empty() && !claims.is_empty());
    (is_jwt && parts.iter().all(part)).then(|| token.to_owned())
}

/// How long a session token is good: from its `iat`, or from the time that the portal's own clock shows, to its
/// `exp` (RFC 7519 4.1). `None` if it does not tell.
pub(super) fn lifetime(token: &str, now: Option<i64>) -> Option<Duration> {
    let claims = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&base64_url(claims)?).ok()?;
    let seconds = |name: &str| claims.get(name).and_then(text)?.parse::<f64>().ok();
    let from = seconds("iat").or_else(|| now.map(|now| now as f64))?;
    Duration::try_from_secs_f64(seconds("exp")? - from).ok()
}

/// RFC 4648 5, with or without padding.
fn base64_url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = ((bits << 6) | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Some servers put the schema's name around the document.
fn unwrapped<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer.get(name).filter(|inner| !inner.is_null()).unwrap_or(answer)
}

/// An array's entries, or the one that stands for an array.
fn many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

/// A string, or a number or truth value as one.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
