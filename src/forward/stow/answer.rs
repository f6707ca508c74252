//! What a STOW-RS server says of each instance (PS3.18 10.5.3 and table I.2-1).

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use crate::dicom::Uid;
use crate::dimse::Status;

const REFERENCED: &str = "00081199";
const FAILED: &str = "00081198";
const INSTANCE: &str = "00081155";
const FAILURE_REASON: &str = "00081197";
const WARNING_REASON: &str = "00081196";

/// Elements inside elements of an XML answer; the store response has seven.
const DEPTH: usize = 32;

/// What the server says of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// With the warning, 0 without one.
    Stored(Status),
    Failed(Status),
}

/// By SOP Instance UID. Of an instance that is in both lists the failure counts.
pub(super) type Answers = BTreeMap<Uid, Said>;

/// Reads an answer in the DICOM JSON Model, or in the Native DICOM Model; `None` if it is neither.
pub(super) fn read(body: &[u8]) -> Option<Answers> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    match body.first() {
        Some(b'{' | b'[') => json(body),
        Some(b'<') => xml(std::str::from_utf8(body).ok()?),
        _ => None,
    }
}

fn note(answers: &mut Answers, list: &str, uid: &str, reason: Option<u16>) {
    let Ok(uid) = Uid::new(uid) else { return };
    if list == FAILED {
        let reason = reason.map_or(Status::PROCESSING_FAILURE, Status);
        answers.insert(uid, Said::Failed(reason));
    } else {
        answers.entry(uid).or_insert(Said::Stored(Status(reason.unwrap_or(0))));
    }
}

fn json(body: &[u8]) -> Option<Answers> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    // Some wrap the one data set in an array, as query answers are.
    let data = match &parsed {
        Value::Array(items) => items.first()?,
        other => other,
    };
    let first = |item: &Value, tag: &str| item.get(tag)?.get("Value")?.get(0).cloned();
    let number = |value: Value| match value {
        Value::Number(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
        // As some write US by mistake.
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let mut answers = Answers::new();
    data.as_object()?;
    for (list, reason) in [(REFERENCED, WARNING_REASON), (FAILED, FAILURE_REASON)] {
        let items = data.get(list).and_then(|list| list.get("Value")).and_then(Value::as_array);
        for item in items.into_iter().flatten() {
            let uid = first(item, INSTANCE);
            let reason = first(item, reason).and_then(number);
            if let Some(uid) = uid.as_ref().and_then(Value::as_str) {
                note(&mut answers, list, uid, reason);
            }
        }
    }
    Some(answers)
}

/// `DicomAttribute` elements with a tag, `Item`s of a sequence, `Value`s of the others (PS3.19 A.1.1).
fn xml(text: &str) -> Option<Answers> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    // Names of the open elements, attributes by their tag.
    let mut path: Vec<String> = Vec::new();
    let mut answers = Answers::new();
    let (mut uid, mut reason) = (None, None);
    let mut is_native = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if path.len() >= DEPTH {
                    return None;
                }
                let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                is_native |= name == "NativeDicomModel";
                let tag = start.try_get_attribute("tag").ok()?;
                path.push(
                    tag.map_or(name, |tag| {
                        String::from_utf8_lossy(&tag.value).to_ascii_uppercase()
                    }),
                );
            }
            Event::Text(found) => {
                let found = found.decode().ok()?;
                let found = found.trim();
                if let [_, _, item, tag, value] = path.as_slice()
                    && (item.as_str(), value.as_str()) == ("Item", "Value")
                {
                    match tag.as_str() {
                        INSTANCE => uid = Some(found.to_owned()),
                        FAILURE_REASON | WARNING_REASON => reason = found.parse().ok(),
                        _ => {}
                    }
                }
            }
            Event::End(_) => {
                if let [_, list, item] = path.as_slice()
                    && item == "Item"
                    && matches!(list.as_str(), REFERENCED | FAILED)
                    && let Some(uid) = uid.take()
                {
                    note(&mut answers, list, &uid, reason.take());
                }
                path.pop();
            }
            Event::DocType(_) => return None,
            Event::Eof => return (is_native && path.is_empty()).then_some(answers),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }

    fn expected() -> Answers {
        Answers::from([
            (uid("1.2.1"), Said::Stored(Status(0))),
            (uid("1.2.2"), Said::Stored(Status(0xB000))),
            (uid("1.2.3"), Said::Failed(Status(0xA900))),
            (uid("1.2.4"), Said::Failed(Status(0xC122))),
        ])
    }

    #[test]
    fn json_and_xml_say_the_same() {
        let json = r#"{"00081199":{"vr":"SQ","Value":[
            {"00081150":{"vr":"UI","Value":["1.2"]},"00081155":{"vr":"UI","Value":["1.2.1"]}},
            {"00081155":{"vr":"UI","Value":["1.2.2"]},"00081196":{"vr":"US","Value":[45056]}},
            {"00081155":{"vr":"UI","Value":["1.2.3"]}}]},
            "00081198":{"vr":"SQ","Value":[
            {"00081155":{"vr":"UI","Value":["1.2.3"]},"00081197":{"vr":"US","Value":[43264]}},
            {"00081155":{"vr":"UI","Value":["1.2.4"]},"00081197":{"vr":"US","Value":["49442"]}}]}}"#;
        assert_eq!(read(json.as_bytes()), Some(expected()));
        assert_eq!(read(format!("[{json}]").as_bytes()), Some(expected()));
        let item = |uid: &str, reason: &str| {
            format!(
                "<Item number=\"1\"><DicomAttribute tag=\"00081155\" vr=\"UI\"><Value number=\"1\">{uid}</Value>\
                 </DicomAttribute>{reason}</Item>"
            )
        };
        let reason = |tag: &str, value: u16| {
            format!(
                "<DicomAttribute tag=\"{tag}\" vr=\"US\"><Value>{value}</Value></DicomAttribute>"
            )
        };
        let xml = format!(
            "<?xml version=\"1.0\"?><NativeDicomModel xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\">\
             <DicomAttribute tag=\"00081190\" vr=\"UR\"/><DicomAttribute tag=\"00081199\" vr=\"SQ\">{}{}</DicomAttribute>\
             <DicomAttribute tag=\"00081198\" vr=\"SQ\">{}{}</DicomAttribute></NativeDicomModel>",
            item("1.2.1", ""),
            item("1.2.2", &reason("00081196", 0xB000)),
            item("1.2.3", &reason("00081197", 0xA900)),
            item("1.2.4", &reason("00081197", 0xC122)),
        );
        assert_eq!(read(xml.as_bytes()), Some(expected()));
    }

    #[test]
    fn what_is_no_answer_names_nothing() {
        for text in [
            "",
            "ok",
            "{",
            "[]",
            "[1]",
            "null",
            "<html></html>",
            "<a>",
            "<NativeDicomModel>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><NativeDicomModel/>",
            "\u{0}\u{1}",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        let deep = "<Item>".repeat(100_000);
        assert_eq!(read(deep.as_bytes()), None);
        for text in [
            "{}",
            r#"{"00081199":5}"#,
            r#"{"00081199":{"Value":[5,{"00081155":{"Value":[]}}]}}"#,
            r#"{"00081199":{"Value":[{"00081155":{"Value":["../../x"]}}]}}"#,
            "<NativeDicomModel/>",
        ] {
            assert_eq!(read(text.as_bytes()), Some(Answers::new()), "{text}");
        }
    }
}
