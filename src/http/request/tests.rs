use super::*;
use crate::matching::ORDER_LIMIT;

fn import(json: &str) -> Result<Request, Problem> {
    parse_json::<ImportRequest>(json.as_bytes())?.with_link(Link::new)
}

fn decision(json: &str) -> Result<(Choice, String), Problem> {
    parse_json::<DecisionRequest>(json.as_bytes())?.checked()
}

#[test]
fn a_whole_request_is_taken() {
    let request = import(
        r#"{"link": " https://portal.example.org/x?token=ABC ", "answers": {"PAT_BIRTH_DATE": "24.12.1980"},
            "patient": {"patientId": " 4711 ", "issuer": "KB"}, "accessionNumber": "A1", "destination": "pacs"}"#,
    )
    .unwrap();
    assert_eq!(request.link.as_ref().unwrap().host(), "portal.example.org");
    assert_eq!(request.answers["PAT_BIRTH_DATE"], "1980-12-24");
    assert_eq!(
        request.patient.unwrap(),
        PatientId { id: "4711".into(), issuer: Some("KB".into()) }
    );
    assert_eq!(request.accession_number.as_deref(), Some("A1"));
    assert_eq!(request.destination.unwrap().0, "pacs");
}

#[test]
fn unknown_fields_and_other_shapes_are_malformed() {
    for json in [
        "",
        "null",
        "[]",
        "{\"link\": 1}",
        "{\"lnik\": \"https://x.example\"}",
        "{\"link\":\"https://x.example\",\"patient\":{\"id\":\"1\"}}",
        "{\"link\":\"https://x.example\",\"answers\":[]}",
        "{\"link\":\"https://x.example\"",
    ] {
        assert_eq!(import(json).unwrap_err().status, StatusCode::BAD_REQUEST, "{json}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(import(&deep).unwrap_err().status, StatusCode::BAD_REQUEST);
}

#[test]
fn what_cannot_be_is_invalid() {
    let long = "9".repeat(65);
    for json in [
        "{}".to_owned(),
        "{\"link\":\"\"}".into(),
        "{\"link\":\"file:///etc/passwd\"}".into(),
        "{\"link\":\"javascript:alert(1)\"}".into(),
        "{\"link\":\"https://x.example\",\"answers\":{\"PAT_BIRTH_DATE\":\"1980-02-30\"}}".into(),
        "{\"link\":\"https://x.example\",\"answers\":{\"\":\"x\"}}".into(),
        "{\"link\":\"https://x.example\",\"answers\":{\"a\":\"x\\ny\"}}".into(),
        "{\"link\":\"https://x.example\",\"patient\":{\"patientId\":\" \"}}".into(),
        "{\"link\":\"https://x.example\",\"patient\":{\"patientId\":\"a\\\\b\"}}".into(),
        "{\"link\":\"https://x.example\",\"accessionNumber\":\"a\\u0000\"}".into(),
        format!("{{\"link\":\"https://x.example\",\"accessionNumber\":\"{long}\"}}"),
    ] {
        assert_eq!(import(&json).unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY, "{json}");
    }
}

#[test]
fn a_link_and_a_file_exclude_each_other() {
    let request: ImportRequest = parse_json(b"{\"link\":\"https://x.example\"}").unwrap();
    assert!(request.without_link().is_err());
    let request: ImportRequest = parse_json(b"{\"accessionNumber\":\"A1\"}").unwrap();
    assert!(request.without_link().is_ok());
}

#[test]
fn a_decision_is_exactly_one_choice_with_a_reason() {
    let (choice, reason) = decision(r#"{"item": "ab12", "reason": " same patient "}"#).unwrap();
    assert!(matches!(choice, Choice::Items { item_ids, .. } if item_ids == ["ab12"]));
    assert_eq!(reason, "same patient");
    let (choice, _) = decision(
        r#"{"noOrder": {"patientId": "1", "name": "Muster^Erika", "birthDate": "1980-12-24", "sex": "F"},
            "reason": "walk-in"}"#,
    )
    .unwrap();
    let Choice::NoOrder { patient, .. } = choice else { panic!() };
    assert_eq!(patient.sex, Sex::Female);
    assert_eq!(patient.birth_date.unwrap().to_dicom(), "19801224");
    assert!(matches!(decision(r#"{"reject": true, "reason": "wrong"}"#), Ok((Choice::Reject, _))));
}

#[test]
fn a_decision_may_name_several_orders() {
    let (choice, _) = decision(r#"{"items": ["ab", " cd "], "reason": "both asked"}"#).unwrap();
    assert!(matches!(choice, Choice::Items { item_ids, .. } if item_ids == ["ab", "cd"]));
    // The numbers of a form are ranks; what holds none was not ticked.
    let fields = Fields::parse(
        b"choice=items&reason=both&order.aa=10&order.zz=2&order.mm=&order.kk=x&item=ff",
    );
    let (choice, _) = DecisionRequest::from_form(&fields).checked().unwrap();
    assert!(matches!(choice, Choice::Items { item_ids, .. } if item_ids == ["zz", "aa"]));
    let nothing = DecisionRequest::from_form(&Fields::parse(b"choice=items&reason=both"));
    let problem = nothing.checked().err().unwrap();
    assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY);
    let many = vec!["a"; ORDER_LIMIT + 1];
    assert!(item_ids(&many.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()).is_err());
}

#[test]
fn a_decision_may_say_what_was_seen() {
    let seen = |choice| match choice {
        Choice::Items { seen, .. } => seen,
        Choice::NoOrder { .. } | Choice::Reject => panic!(),
    };
    let (choice, _) =
        decision(r#"{"item": "ab", "seen": {"ab": "12"}, "reason": "same patient"}"#).unwrap();
    assert_eq!(seen(choice)["ab"], "12");
    let (choice, _) = decision(r#"{"items": ["ab", "cd"], "reason": "both asked"}"#).unwrap();
    assert!(seen(choice).is_empty());
    let fields =
        Fields::parse(b"choice=items&reason=both&order.aa=1&order.zz=2&seen.aa=12&seen.zz=34");
    let (choice, _) = DecisionRequest::from_form(&fields).checked().unwrap();
    let seen = seen(choice);
    assert_eq!((seen["aa"].as_str(), seen["zz"].as_str()), ("12", "34"));
}

#[test]
fn other_decisions_are_refused() {
    for json in [
        r#"{"reason": "none"}"#,
        r#"{"reject": false, "reason": "x"}"#,
        r#"{"item": "a", "reject": true, "reason": "x"}"#,
        r#"{"item": "a", "reason": "  "}"#,
        r#"{"item": "", "reason": "x"}"#,
        r#"{"items": [], "reason": "x"}"#,
        r#"{"items": ["a", ""], "reason": "x"}"#,
        r#"{"items": ["a"], "item": "a", "reason": "x"}"#,
        r#"{"items": ["a"], "reject": true, "reason": "x"}"#,
        r#"{"noOrder": {"patientId": "1", "name": "^^"}, "reason": "x"}"#,
        r#"{"noOrder": {"patientId": "1", "name": "A^B", "sex": "female"}, "reason": "x"}"#,
        r#"{"noOrder": {"patientId": "1", "name": "A^B", "birthDate": "yesterday"}, "reason": "x"}"#,
    ] {
        let problem = decision(json).err().expect(json);
        assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{json}");
    }
    assert_eq!(decision(r#"{"item": "a"}"#).err().unwrap().status, StatusCode::BAD_REQUEST);
}

fn question(key: &str, kind: QuestionKind, format: &str) -> Question {
    Question { key: key.into(), kind, text: "?".into(), format: format.into() }
}

#[test]
fn answers_go_by_key_or_type_and_only_to_what_was_asked() {
    let questions = [
        question("q1", QuestionKind::PatBirthDate, "DATE"),
        question("q2", QuestionKind::Password, "STRING"),
        question("q3", QuestionKind::Custom, "DATE"),
    ];
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let ok =
        answers_to(&questions, map(&[("q1", "19801224"), ("PASSWORD", " s "), ("q3", "2.1.2026")]));
    assert_eq!(
        ok.unwrap(),
        map(&[("q1", "1980-12-24"), ("PASSWORD", " s "), ("q3", "2026-01-02")])
    );
    for wrong in
        [map(&[]), map(&[("q9", "x")]), map(&[("STUDY_DATE", "2026-01-01")]), map(&[("q3", "x")])]
    {
        assert!(answers_to(&questions, wrong).is_err());
    }
    let many = (0..17).map(|n| (n.to_string(), String::new())).collect();
    assert!(answers(many).is_err());
}

#[test]
fn forms_say_the_same_as_json() {
    let fields = Fields::parse(
        b"link=https%3A%2F%2Fx.example%2F&birthDate=1980-12-24&accessionNumber=+A1+&patientId=&issuer=KB",
    );
    let request = ImportRequest::from_form(&fields).with_link(Link::new).unwrap();
    assert_eq!(request.answers["PAT_BIRTH_DATE"], "1980-12-24");
    assert_eq!(request.accession_number.as_deref(), Some("A1"));
    assert!(request.patient.is_none());

    let fields = Fields::parse(b"choice=item&item=ab&reason=looks+right&item=cd");
    let (choice, reason) = DecisionRequest::from_form(&fields).checked().unwrap();
    assert!(matches!(choice, Choice::Items { item_ids, .. } if item_ids == ["ab"]));
    assert_eq!(reason, "looks right");
    assert!(DecisionRequest::from_form(&Fields::parse(b"reason=x")).checked().is_err());
    assert!(DecisionRequest::from_form(&Fields::parse(b"choice=reject")).checked().is_err());

    let fields = Fields::parse(b"answer.q1=1980-12-24&answer.=x&other=1&answer.q2=%00%ff");
    assert_eq!(fields.answers().len(), 3);
    assert!(answers(fields.answers()).is_err());
}

#[test]
fn a_source_takes_the_place_of_a_link() {
    let request =
        import(r#"{"from": {"peer": "pacs2", "studyInstanceUid": "1.2.3", "patientId": " P-1 "}}"#);
    let from = request.unwrap().from.unwrap();
    assert_eq!(from.source, crate::import::Source::Peer("pacs2".to_owned()));
    assert_eq!(from.selection.patient_id.as_deref(), Some("P-1"));
    assert!(import(r#"{"from": {"dicomweb": "web", "accessionNumber": "4711"}}"#).is_ok());
    for wrong in [
        r#"{"from": {"peer": "pacs2"}}"#,
        r#"{"from": {"peer": "pacs2", "patientId": "  "}}"#,
        r#"{"from": {"peer": "pacs2", "patientId": "*"}}"#,
        r#"{"from": {"peer": "pacs2", "patientId": "P-?"}}"#,
        r#"{"from": {"peer": "pacs2", "patientId": "1\\2"}}"#,
        r#"{"from": {"peer": "pacs2", "studyInstanceUid": "../../x"}}"#,
        r#"{"from": {"peer": "pacs2", "accessionNumber": "12345678901234567"}}"#,
        r#"{"from": {"peer": "a", "dicomweb": "b", "patientId": "1"}}"#,
        r#"{"from": {"patientId": "1"}}"#,
        r#"{"from": {"peer": "a", "patientId": "1", "name": "x"}}"#,
        r#"{"link": "https://p.example/x", "from": {"peer": "a", "patientId": "1"}}"#,
    ] {
        assert!(import(wrong).is_err(), "{wrong}");
    }
}
