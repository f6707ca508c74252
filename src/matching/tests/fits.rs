use super::*;

fn order(number: &str, modality: &str, description: &str) -> Item {
    let mut order = item("1", number, "Müller^Eva", BORN, Sex::Female);
    order.requested_procedure_description = Some(description.into());
    order.steps = vec![Step {
        modality: Some(modality.into()),
        start_date: Some("20240310".into()),
        ..Step::default()
    }];
    order
}

fn examined(modality: &str, description: &str) -> Case {
    let mut case = case("Müller^Eva", BORN, Sex::Female);
    case.modalities = vec![modality.into()];
    case.facts.modality = Some(modality.into());
    case.facts.study_description = Some(description.into());
    case.facts.study_date = Some("20240301".into());
    case
}

#[test]
fn one_order_of_several_is_taken_only_if_all_others_are_for_something_else() {
    for (modality, description, orders, taken) in [
        ("CT", "", vec![order("A1", "CT", ""), order("A2", "MR", "")], Some("A1")),
        ("CT", "", vec![order("A1", "MR", ""), order("A2", "MR", "")], None),
        ("CT", "", vec![order("A1", "CT", ""), order("A2", "OT", "")], None),
        ("CT", "", vec![order("A1", "OT", ""), order("A2", "MR", "")], None),
        (
            "CT",
            "Thorax",
            vec![order("A1", "CT", "Schädel"), order("A2", "CT", "CT Thorax")],
            Some("A2"),
        ),
        (
            "CT",
            "Thorax/Abdomen",
            vec![order("A1", "CT", "Abdomen"), order("A2", "CT", "Thorax")],
            None,
        ),
        (
            "MR",
            "Knie links",
            vec![order("A1", "MR", "Knie re."), order("A2", "MR", "Knie li.")],
            Some("A2"),
        ),
        (
            "MR",
            "Knie bds",
            vec![order("A1", "MR", "Knie re."), order("A2", "MR", "Knie li.")],
            None,
        ),
        ("MR", "Knie links", vec![order("A1", "MR", "Knie rechts")], None),
        ("CR", "Thorax", vec![order("A1", "CR", "Hand")], None),
        ("CR", "Thorax p.a.", vec![order("A1", "OT", "Fremdaufnahmen")], Some("A1")),
    ] {
        let outcome = run(&examined(modality, description), &orders, Policy::Automatic);
        let decided = (outcome.verdict == Verdict::Automatic)
            .then(|| outcome.candidates[0].item.accession_number.as_ref().unwrap().number.as_str());
        assert_eq!(decided, taken, "{modality} {description}: {}", outcome.reason);
    }
}

#[test]
fn the_order_never_chooses_the_patient() {
    let mut other = order("A9", "CT", "CT Thorax");
    other.patient.id = Some(PatientId { id: "2".into(), issuer: Some("HOUSE".into()) });
    let outcome =
        run(&examined("CT", "Thorax"), &[order("A1", "MR", "Schädel"), other], Policy::Automatic);
    assert_eq!(outcome.verdict, Verdict::Person);
    assert_eq!(outcome.reason, "more than one patient fits; choose the right one");
    assert_eq!(outcome.margin, 0);
}

#[test]
fn a_study_from_before_the_birth_is_held() {
    let mut early = requested(examined("CT", "Thorax"), "A1");
    early.facts.study_date = Some("19600101".into());
    let outcome = run(&early, &[order("A1", "CT", "Thorax")], Policy::Automatic);
    assert_eq!(outcome.tier, Tier::Contradiction);
    early.facts.study_date = Some("19000101".into());
    let outcome = run(&early, &[order("A1", "CT", "Thorax")], Policy::Automatic);
    assert_eq!(outcome.verdict, Verdict::Automatic);
}

#[test]
fn every_candidate_that_was_not_taken_says_why() {
    let mut closed = order("A3", "CT", "Thorax");
    closed.steps[0].status = Some("COMPLETED".into());
    let mut son = item("7", "A7", "Müller^Eva", "19980305", Sex::Female);
    son.patient.sex = Sex::Male;
    let items = [order("A1", "CT", "Thorax"), order("A2", "MR", "Thorax"), closed, son];
    let outcome = run(&examined("CT", "Thorax"), &items, Policy::Automatic);
    assert_eq!(outcome.verdict, Verdict::Automatic);
    let first = &outcome.candidates[0];
    let why: Vec<Option<String>> =
        outcome.candidates.iter().map(|candidate| objection(candidate, first)).collect();
    assert_eq!(
        why,
        [
            None,
            Some("the order is for another modality".to_owned()),
            Some("the order is closed".to_owned()),
            Some("birth date differs; sex differs".to_owned()),
        ]
    );
    let kept = rejected(&outcome.candidates, &first.item_id);
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|one| one.item_id != first.item_id));
    assert!(rejected(&outcome.candidates, "nobody").is_empty());
}

#[test]
fn a_health_insurance_number_counts_only_with_its_check_digit() {
    let id = |id: &str, issuer: Option<&str>| PatientId {
        id: id.into(),
        issuer: issuer.map(str::to_owned),
    };
    let compare =
        |a: PatientId, b: PatientId| identifiers::patient_ids(&[(&a).into()], Some(&b), None);
    let oid = Some("1.2.276.0.76.4.8");
    assert_eq!(compare(id("A123456780", oid), id("A123456780", None)), Agreement::Equal);
    assert_eq!(compare(id("A1234567801095757030", oid), id("A123456780", oid)), Agreement::Equal);
    assert_eq!(compare(id("A123456780", oid), id("T012345678", oid)), Agreement::Different);
    // A wrong check digit, or a number that another issuer gave.
    assert_eq!(compare(id("A123456781", None), id("A123456781", None)), Agreement::Similar);
    assert_eq!(
        compare(id("A123456780", Some("X")), id("A123456780", Some("Y"))),
        Agreement::Missing
    );
    assert_eq!(compare(id("M010101015", None), id("M010101015", None)), Agreement::Equal);
}

#[test]
fn policies_of_sources() {
    let section = MatchingSection {
        policy: Policy::AutomaticWithOrder,
        sources: [
            ("upload", Policy::Confirm),
            ("cd", Policy::Automatic),
            ("stray", Policy::Confirm),
        ]
        .into_iter()
        .map(|(name, policy)| (name.to_owned(), policy))
        .collect(),
    };
    assert_eq!(section.of(None), Policy::Confirm);
    assert_eq!(section.of(Some("cd")), Policy::Automatic);
    assert_eq!(section.of(Some("portal.example.org")), Policy::AutomaticWithOrder);
    let strangers: Vec<&str> = section.strangers(|name| name == "cd").collect();
    assert_eq!(strangers, ["stray"]);
}
