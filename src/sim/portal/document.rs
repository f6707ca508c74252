//! The JSON documents of the portal, with the faults of their form.

use serde_json::{Value, json};

use super::{Config, Faults, Item, Question, TokenForm};

/// The answer to a token; `known` false gives the decoy.
pub(super) fn questions(config: &Config, origin: &str, known: Known) -> Value {
    let faults = &config.faults;
    let base = faults.base.clone().unwrap_or_else(|| format!("{origin}/portal/dlx/v1"));
    let info = json!({
        "dlxVersion": "v1",
        "vendorInformation": "Lotse simulated portal",
        "apiBasePath": base,
    });
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
    let mut fields = serde_json::Map::new();
    fields.insert("id".to_owned(), json!(item.id));
    fields.insert("mimeType".to_owned(), json!(mime));
    fields.insert("description".to_owned(), json!(item.description));
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
