//! The JSON documents of the portal, with the faults of their form.

use serde_json::{Value, json};

use super::{Config, Faults, Item, Question, TokenForm, Version};

/// The answer to a token; `known` false gives the decoy.
pub(super) fn questions(config: &Config, origin: &str, known: Known) -> Value {
    let faults = &config.faults;
    let (version, path) = match faults.version {
        Version::Zero9 => ("v0.9", "dlx"),
        Version::One => ("v1", "dlx/v1"),
        Version::Two => ("v2", "dlx/v2"),
    };
    let base = faults.base.clone().unwrap_or_else(|| format!("{origin}/portal/{path}"));
    let mut info = json!({
        "dlxVersion": version,
        "vendorInformation": "Lotse simulated portal",
        "apiBasePath": base,
    });
    if let Some(host) = &faults.dicomweb {
        let service = |name: &str| json!({ "available": true, "url": format!("{host}/{name}") });
        let capabilities = json!({
            "download": true,
            "dicomweb": { "qidoRs": service("qido"), "wadoRs": service("wado") },
        });
        if let Some(fields) = info.as_object_mut() {
            fields.insert("capabilities".to_owned(), capabilities);
        }
    }
    let decoy = [Question::birth_date("")];
    let asked: &[Question] = match known {
        Known::Yes => &config.questions,
        Known::No => &decoy,
    };
    let asked: Vec<Value> = asked.iter().map(|asked| question(asked, faults)).collect();
    let mut document = json!({ "tfaQuestion": asked });
    if let (Some(fields), false) = (document.as_object_mut(), faults.api_info_missing) {
        let info = if faults.api_info_object { info } else { json!([info]) };
        fields.insert("apiInfo".to_owned(), info);
    }
    document
}

/// Whether a token is the portal's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    No,
}

fn question(asked: &Question, faults: &Faults) -> Value {
    let texts: Vec<Value> = asked
        .texts
        .iter()
        .map(|(language, text)| json!({ "text": text, "language": language }))
        .collect();
    let texts = match faults.version {
        Version::Zero9 => json!(asked.texts.first().map(|(_, text)| text)),
        Version::One | Version::Two => json!(texts),
    };
    json!({
        "question": texts,
        "questionId": string(&asked.id, faults),
        "questionType": asked.kind,
        "answerFormat": asked.format,
    })
}

pub(super) fn list(config: &Config) -> Value {
    let faults = &config.faults;
    let items: Vec<Value> = config.items.iter().map(|item| entry(item, faults)).collect();
    json!({ "dataItem": items })
}

fn entry(item: &Item, faults: &Faults) -> Value {
    let mime = if faults.wrong_media_types { "application/pdf" } else { &item.mime };
    let mime = faults.listed_as.unwrap_or(mime);
    let mut fields = serde_json::Map::new();
    fields.insert("id".to_owned(), json!(item.id));
    fields.insert("mimeType".to_owned(), json!(mime));
    let description = if faults.version == Version::Zero9 { "name" } else { "description" };
    fields.insert(description.to_owned(), json!(item.description));
    let date = |date: &Option<String>, time: &str| {
        date.as_ref().map(|date| shown_date(date, faults, time))
    };
    let optional = [
        ("studyInstanceUID", item.study_uid.clone().map(Value::from)),
        ("date", date(&item.date, "T10:30:00")),
        ("modalities", item.modalities.clone().map(Value::from)),
        ("patientsName", item.patient_name.clone().map(Value::from)),
        ("patientsBirthdate", date(&item.birth_date, "")),
        ("patientsSex", item.sex.clone().map(Value::from)),
        ("fileCount", item.file_count.map(Value::from)),
        ("patientId", item.patient_id.clone().map(Value::from)),
        ("accessionNumber", item.accession_number.clone().map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    }
    Value::Object(fields)
}

fn shown_date(date: &str, faults: &Faults, time: &str) -> Value {
    if faults.iso_dates {
        let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or("");
        json!(format!("{}-{}-{}{time}", part(0..4), part(4..6), part(6..8)))
    } else {
        string(date, faults)
    }
}

fn string(text: &str, faults: &Faults) -> Value {
    match text.parse::<u64>() {
        Ok(number) if faults.numbers => json!(number),
        _ => json!(text),
    }
}

pub(super) fn session_token(token: &str, form: TokenForm) -> String {
    match form {
        TokenForm::Bare => token.to_owned(),
        TokenForm::Quoted => format!("\"{token}\"\n"),
        TokenForm::Wrapped => json!({ "access_token": token, "token_type": "Bearer" }).to_string(),
    }
}

/// RFC 4648 5, without padding.
pub(super) fn base64_url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let digit = (bits >> (18 - 6 * place)) & 0x3f;
            let digit = usize::try_from(digit).ok().and_then(|digit| DIGITS.get(digit));
            encoded.extend(digit.map(|digit| char::from(*digit)));
        }
    }
    encoded
}
