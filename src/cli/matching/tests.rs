use serde_json::{Value, json};

use super::*;

const RULES: Rules =
    Rules { policy: Policy::Automatic, completeness: Completeness::Complete, shown: 50 };

fn text(vr: &str, value: &str) -> Value {
    json!({ "vr": vr, "Value": [value] })
}

fn name(value: &str) -> Value {
    json!({ "vr": "PN", "Value": [{ "Alphabetic": value }] })
}

fn item(id: &str, number: &str, patient: &str, born: &str, sex: &str) -> Value {
    json!({
        "00080005": text("CS", "ISO_IR 100"),
        "00080050": text("SH", number),
        "00100010": name(patient),
        "00100020": text("LO", id),
        "00100021": text("LO", "HOUSE"),
        "00100030": text("DA", born),
        "00100040": text("CS", sex),
        "00401001": text("SH", number),
        "00400100": { "vr": "SQ", "Value": [{
            "00080060": text("CS", "OT"),
            "00400002": text("DA", "20240310"),
            "00400020": { "vr": "CS" },
        }] },
    })
}

fn header(patient: &str, born: &str, sex: &str) -> Value {
    json!({
        "0020000D": text("UI", "1.2.3"),
        "00080060": text("CS", "CT"),
        "00100010": name(patient),
        "00100020": text("LO", "F77"),
        "00100030": text("DA", born),
        "00100040": text("CS", sex),
        "00280010": { "vr": "US", "Value": [512] },
        "00101010": { "vr": "AS" },
    })
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn go(worklist: &str, studies: &str, rules: Rules) -> Result<Vec<Value>, Error> {
    let mut out = Vec::new();
    let took = run(worklist.as_bytes(), studies.as_bytes(), &mut out, rules)?;
    let text = String::from_utf8(out).unwrap();
    let answers: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), took.studies);
    Ok(answers)
}

fn worklist() -> String {
    lines(&[
        item("0042", "A1", "Müller^Hans", "19700305", "M"),
        item("0043", "A2", "Schmidt^Eva", "19810202", "F"),
    ])
}

#[test]
fn the_answer_has_the_keys_of_the_contract() {
    let studies = lines(&[
        json!({
            "study": header("MUELLER^HANS", "19700305", "M"),
            "request": { "patientId": "0042", "issuer": "HOUSE", "accessionNumber": "A1" },
            "typed": { "birthDate": "1970-03-05" },
            "portal": { "name": "Müller^Hans", "birthDate": "1970-03-05", "sex": "M" },
        }),
        header("Mueller^Hans", "19700305", "M"),
        json!({ "study": header("Mueller^Hans", "19700305", "F"), "request": { "accessionNumber": "A1" } }),
        header("Nobody^Here", "19990909", "F"),
    ]);
    let answers = go(&worklist(), &studies, RULES).unwrap();
    assert_eq!(answers.len(), 4);
    let first = &answers[0];
    let mut keys: Vec<_> = first.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "accessionNumber",
            "candidates",
            "contradictions",
            "decision",
            "margin",
            "patientId",
            "reason",
            "studyInstanceUid",
            "tier"
        ]
    );
    assert_eq!(first["studyInstanceUid"], "1.2.3");
    assert_eq!((&first["decision"], &first["tier"]), (&json!("automatic"), &json!("1")));
    assert_eq!((&first["accessionNumber"], &first["patientId"]), (&json!("A1"), &json!("0042")));
    let evidence = &first["candidates"][0]["evidence"];
    assert_eq!(evidence["name"]["agreement"], "normalised");
    assert_eq!(evidence["typedBirthDate"]["agreement"], "equal");
    assert_eq!((&answers[1]["decision"], &answers[1]["tier"]), (&json!("automatic"), &json!("3")));
    assert_eq!((&answers[2]["decision"], &answers[2]["tier"]), (&json!("person"), &json!("X")));
    assert_eq!(answers[2]["contradictions"], json!(["sex differs"]));
    assert_eq!(answers[2]["accessionNumber"], Value::Null);
    assert_eq!(answers[3]["decision"], "none");

    let incomplete = Rules { completeness: Completeness::Incomplete, ..RULES };
    let answers = go(&worklist(), &studies, incomplete).unwrap();
    let decisions: Vec<_> = answers.iter().map(|a| a["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["automatic", "person", "person", "none"]);
    let confirm = Rules { policy: Policy::Confirm, ..RULES };
    assert_eq!(go(&worklist(), &studies, confirm).unwrap()[0]["decision"], "person");
}

#[test]
fn steps_of_one_procedure_are_one_candidate_and_orders_are_told_beside_each_other() {
    let order = |number: &str, step: &str| {
        let mut entry = item("0042", number, "Müller^Hans", "19700305", "M");
        entry["00400100"]["Value"][0]["00400009"] = text("SH", step);
        entry
    };
    let asked = lines(&[header("MUELLER^HANS", "19700305", "M")]);
    let steps = lines(&[order("A1", "S1"), order("A1", "S2")]);
    let told = go(&steps, &asked, RULES).unwrap().remove(0);
    assert_eq!((&told["decision"], &told["accessionNumber"]), (&json!("automatic"), &json!("A1")));
    assert_eq!(told["candidates"].as_array().unwrap().len(), 1);
    assert!(told.get("severalOrders").is_none());

    let worklist = lines(&[
        order("A1", "S1"),
        order("A2", "S1"),
        order("A2", "S2"),
        item("0043", "A3", "Schmidt^Eva", "19810202", "F"),
    ]);
    let told = go(&worklist, &asked, RULES).unwrap().remove(0);
    assert_eq!((&told["decision"], &told["tier"]), (&json!("person"), &json!("4")));
    assert_eq!(told["accessionNumber"], Value::Null, "several orders are never filed by rule");
    assert_eq!(told["severalOrders"], json!(["A1", "A2"]));
    assert!(told["reason"].as_str().unwrap().contains("several open orders"), "{told}");
    assert_eq!(told["candidates"][1]["rejected"], "another order of the same patient");
    // A request that names one of them is for that one.
    let named = lines(&[json!({
        "study": header("MUELLER^HANS", "19700305", "M"), "request": { "accessionNumber": "A2" },
    })]);
    let told = go(&worklist, &named, RULES).unwrap().remove(0);
    assert_eq!((&told["tier"], &told["accessionNumber"]), (&json!("1"), &json!("A2")));
    assert!(told.get("severalOrders").is_none());
}

#[test]
fn bad_lines_are_named_and_not_quoted() {
    let good = header("Secret^Name", "19700305", "M").to_string();
    let check = |worklist: &str, studies: &str, said: &str| {
        let error = go(worklist, studies, RULES).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("Secret"), "{error}");
    };
    let list = worklist();
    check("{\"Secret", &good, "line 1 of the worklist");
    check(&format!("\n{list}\n[1]\n"), &good, "line 5 of the worklist");
    check("{\"00100010\":{\"vr\":\"LO\",\"Value\":[\"Secret\"]}}", &good, "no patient ID");
    check(
        "{\"00100020\":{\"vr\":\"LO\",\"Value\":{\"a\":\"Secret\"}}}",
        &good,
        "line 1 of the worklist",
    );
    check(&list, &format!("{good}\nSecret\n"), "line 2 of the studies");
    check(&list, "{}", "no valid Study Instance UID");
    check(&list, "\"Secret\"", "line 1 of the studies");
    check(&list, "null", "line 1 of the studies");
    check(&list, &format!("{{\"study\":{good},\"reqest\":{{}}}}"), "keys that are not known");
    check(
        &list,
        &format!("{{\"study\":{good},\"typed\":{{\"birthDay\":\"Secret\"}}}}"),
        "not known",
    );
    check(&list, "{\"request\":{}}", "not known");
    check(
        &list,
        &format!("{{\"study\":{good},\"typed\":{{\"birthDate\":\"Secret\"}}}}"),
        "typed birthDate that is no date",
    );
    let nested =
        format!("{}{}", "{\"00400100\":{\"vr\":\"SQ\",\"Value\":[".repeat(200), "]}}".repeat(200));
    check(&nested, &good, "line 1 of the worklist");
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20));
    check(&long, &good, "longer than 4 MiB");
    let mut out = Vec::new();
    assert!(run(&[0xFF, 0xFE][..], good.as_bytes(), &mut out, RULES).is_err());
}

#[test]
fn three_groups_of_a_name_and_binary_values_are_read() {
    let mut study = header("x", "19700305", "M");
    study["00100010"] = json!({ "vr": "PN", "Value": [
        { "Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう" }
    ] });
    study["00420011"] = json!({ "vr": "OB", "InlineBinary": "AAAA" });
    study["7FE00010"] = json!({ "vr": "OW", "BulkDataURI": "http://example.org/x" });
    let list = lines(&[item("1", "A1", "Yamada^Tarou=山田^太郎", "19700305", "M")]);
    let answers = go(&list, &study.to_string(), RULES).unwrap();
    assert_eq!(answers[0]["decision"], "automatic");
}
