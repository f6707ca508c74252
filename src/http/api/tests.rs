use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

#[test]
fn the_document_has_exactly_the_routes_that_exist() {
    let routed: BTreeSet<_> =
        routes().iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    let document = document();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    assert_eq!(routed, documented);
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value.as_str() {
                        Some(target) if key == "$ref" => found.push(target),
                        _ => walk(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn only_the_open_addresses_are_documented_as_open() {
    for (path, operations) in document()["paths"].as_object().unwrap() {
        let is_open = operations["get"]["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(is_open, !path.starts_with("/api/"), "{path}");
    }
}

#[test]
fn operations_have_names_of_their_own_and_refusals() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
            let refuses = operation["responses"].as_object().unwrap().contains_key("401");
            assert_eq!(refuses, path.starts_with("/api/"), "{path}");
        }
    }
}

#[test]
fn paths_that_name_nothing_are_not_found() {
    for id in ["", "x", "../etc", "00000000-0000-0000-0000-00000000000g", &"9".repeat(10_000)] {
        assert_eq!(import_id(id).unwrap_err().status, StatusCode::NOT_FOUND);
    }
    assert!(import_id(&ImportId::new().to_string()).is_ok());
    for uid in ["", "..", "1..2", "1.2.x", "1.2.3", &"1".repeat(65)] {
        let import = view::samples::awaiting_decision();
        assert_eq!(named_study(&import, uid).unwrap_err().status, StatusCode::NOT_FOUND);
    }
}

#[test]
fn a_list_finds_the_state_of_import_and_study() {
    let import = view::samples::awaiting_decision();
    assert!(is_in_state(&import, "unpacked") && is_in_state(&import, "AwaitingDecision"));
    assert!(!is_in_state(&import, "Closed"));
}
