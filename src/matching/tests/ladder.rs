use super::*;

#[test]
fn a_request_that_names_a_consistent_order_is_automatic() {
    let items = [
        item("1", "A1", "Müller^Hans", BORN, Sex::Male),
        item("2", "A2", "Schmidt^Eva", "19810202", Sex::Female),
    ];
    let case = requested(case("MUELLER^HANS", BORN, Sex::Male), "A1");
    for completeness in [Completeness::Complete, Completeness::Incomplete] {
        let outcome = decide(&case, &items, completeness, Policy::AutomaticWithOrder);
        assert_eq!(outcome.verdict, Verdict::Automatic);
        assert_eq!(outcome.tier, Tier::RequestedOrder);
        assert_eq!(
            outcome.reason,
            "the request names an order, and name, birth date and sex agree with it"
        );
        assert_eq!(outcome.candidates[0].item, items[0]);
        assert_eq!(outcome.candidates[0].rank, 1);
        assert!(outcome.margin > 20);
    }
    let confirm = run(&case, &items, Policy::Confirm);
    assert_eq!((confirm.verdict, confirm.tier), (Verdict::Person, Tier::RequestedOrder));
    assert_eq!(confirm.candidates[0].item, items[0]);
}

#[test]
fn a_named_order_is_not_enough_if_anything_is_wrong() {
    let good = item("1", "A1", "Müller^Hans", BORN, Sex::Male);
    let base = || requested(case("Müller^Hans", BORN, Sex::Male), "A1");
    let held = |case: &Case, items: &[Item], tier: Tier, why: &str| {
        let outcome = run(case, items, Policy::Automatic);
        assert_eq!((outcome.verdict, outcome.tier), (Verdict::Person, tier), "{why}");
        assert_eq!(outcome.contradictions.is_empty(), tier != Tier::Contradiction, "{why}");
    };
    let one = std::slice::from_ref(&good);
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = base();
        change(&mut case);
        case
    };
    let changed = |change: &dyn Fn(&mut Item)| {
        let mut item = good.clone();
        change(&mut item);
        [item]
    };
    use Tier::{Contradiction as X, Weak};
    held(&with(&|c| c.facts.patient.sex = Sex::Female), one, X, "sex");
    held(&with(&|c| c.facts.patient.birth_date = BirthDate::parse("19820519")), one, X, "date");
    held(&with(&|c| c.facts.identity_removed = true), one, X, "identity removed");
    held(&with(&|c| c.witnesses.typed_birth_date = BirthDate::parse("19700306")), one, X, "typed");
    let portal = |name: &str, date: &str, sex| Some(person(name, date, sex));
    held(
        &with(&|c| c.witnesses.portal = portal("Schmidt^Eva", BORN, Sex::Male)),
        one,
        X,
        "portal name",
    );
    held(
        &with(&|c| c.witnesses.portal = portal("Müller^Hans", "19700306", Sex::Male)),
        one,
        X,
        "portal date",
    );
    held(
        &with(&|c| c.witnesses.portal = portal("Müller^Hans", BORN, Sex::Female)),
        one,
        X,
        "portal sex",
    );
    let of_id = |id: &str| Patient {
        id: Some(PatientId { id: id.to_owned(), issuer: None }),
        ..person("Müller^Hans", BORN, Sex::Male)
    };
    let foreign = |c: &mut Case| c.facts.patient.id = of_id("F-77").id;
    held(
        &with(&|c| {
            foreign(c);
            c.witnesses.portal = Some(of_id("F-78"));
        }),
        one,
        X,
        "portal ID",
    );
    let agreed = with(&|c| {
        foreign(c);
        c.witnesses.portal = Some(of_id("f-77 "));
    });
    assert_eq!(run(&agreed, one, Policy::AutomaticWithOrder).verdict, Verdict::Automatic);
    held(
        &with(&|c| c.witnesses.portal = portal("Mueler^Hans", BORN, Sex::Male)),
        one,
        Weak,
        "portal name close",
    );
    held(
        &with(&|c| c.witnesses.identities.push(person("Müller^Karl", BORN, Sex::Male))),
        one,
        X,
        "two names",
    );
    // As many as an import keeps of one study: there may be others that it did not keep.
    let crowd = |c: &mut Case| c.witnesses.identities = vec![c.facts.patient.clone(); 8];
    held(&with(&crowd), one, X, "eight identities");
    held(
        &with(&|c| c.witnesses.identities.push(person("ANONYM", BORN, Sex::Male))),
        one,
        X,
        "one instance anonymous",
    );
    held(
        &with(&|c| c.witnesses.identities.push(Patient::default())),
        one,
        Weak,
        "an instance without identity",
    );
    held(&with(&|c| c.facts.patient.name = PersonName::new("NOTFALL^23")), one, X, "placeholder");
    held(
        &with(&|c| {
            c.witnesses.requested_patient = Some(PatientId { id: "9".into(), issuer: None });
        }),
        one,
        X,
        "another patient requested",
    );
    held(
        &with(&|c| {
            c.facts.patient.id = Some(PatientId { id: "9".into(), issuer: Some("HOUSE".into()) });
        }),
        one,
        X,
        "another local ID in the header",
    );
    held(&with(&|c| c.facts.patient.birth_date = None), one, Weak, "no date in the header");
    held(&with(&|c| c.facts.patient.name = None), one, Weak, "no name in the header");
    held(
        &with(&|c| c.facts.patient.name = PersonName::new("Mueler^Hans")),
        one,
        X,
        "two names, close",
    );
    held(&base(), &changed(&|i| i.patient.birth_date = None), Weak, "no date in the item");
    held(&base(), &changed(&|i| i.patient.name = PersonName::new("Meyer^Eva")), X, "name");
    held(
        &base(),
        &changed(&|i| {
            i.steps = vec![Step { status: Some("CANCELED".into()), ..Step::default() }];
        }),
        Weak,
        "closed",
    );
    let twice = [good.clone(), item("2", "A1", "Müller^Hans", BORN, Sex::Male)];
    held(&base(), &twice, X, "two patients with the number");
    let mut second = good.clone();
    second.requested_procedure_id = Some("other".into());
    held(&base(), &[good.clone(), second], Weak, "two orders with the number");
    held(&base(), &[item("1", "A9", "Müller^Hans", BORN, Sex::Male)], Weak, "not there");
    assert_eq!(run(&base(), one, Policy::Automatic).verdict, Verdict::Automatic);
}

#[test]
fn same_patient_under_two_foreign_ids_is_one_identity() {
    let mut case = requested(case("Müller^Hans", BORN, Sex::Male), "A1");
    let mut other = case.facts.patient.clone();
    case.facts.patient.id = Some(PatientId { id: "77".into(), issuer: Some("CLINIC".into()) });
    other.id = Some(PatientId { id: "78".into(), issuer: Some("CLINIC".into()) });
    case.witnesses.identities = vec![case.facts.patient.clone(), other];
    let items = [item("1", "A1", "Müller^Hans", BORN, Sex::Male)];
    assert_eq!(run(&case, &items, Policy::Automatic).verdict, Verdict::Automatic);
    case.facts.patient.birth_date = None;
    for identity in &mut case.witnesses.identities {
        identity.birth_date = None;
    }
    assert_eq!(run(&case, &items, Policy::Automatic).tier, Tier::Contradiction);
}

#[test]
fn without_a_named_order_the_tiers_two_and_three_need_a_complete_answer() {
    let items = [
        item("1", "A1", "Müller^Hans", BORN, Sex::Male),
        item("2", "A2", "Schmidt^Eva", "19810202", Sex::Female),
    ];
    let plain = case("Mueller^Hans", BORN, Sex::Male);
    let outcome = run(&plain, &items, Policy::Automatic);
    assert_eq!((outcome.verdict, outcome.tier), (Verdict::Automatic, Tier::Demographics));
    let held = run(&plain, &items, Policy::AutomaticWithOrder);
    assert_eq!((held.verdict, held.tier), (Verdict::Person, Tier::Demographics));
    let incomplete = decide(&plain, &items, Completeness::Incomplete, Policy::Automatic);
    assert_eq!((incomplete.verdict, incomplete.tier), (Verdict::Person, Tier::Weak));

    let mut known = plain.clone();
    known.facts.patient.id = Some(PatientId { id: "1".into(), issuer: Some("HOUSE".into()) });
    assert_eq!(run(&known, &items, Policy::Automatic).tier, Tier::PatientId);
    known.facts.patient.id = Some(PatientId { id: "1".into(), issuer: None });
    assert_eq!(run(&known, &items, Policy::Automatic).tier, Tier::Demographics);

    let default = case("Müller^Hans", "19700101", Sex::Male);
    let same = [item("1", "A1", "Müller^Hans", "19700101", Sex::Male)];
    assert_eq!(run(&default, &same, Policy::Automatic).verdict, Verdict::Person);
}

#[test]
fn near_misses_wait_for_a_person() {
    for (header, born, sex, items) in [
        // Twins, and the one that is meant has no order.
        ("Müller^Lena", BORN, Sex::Female, vec![item("1", "A1", "Müller^Lisa", BORN, Sex::Female)]),
        (
            "Müller^Anna",
            BORN,
            Sex::Female,
            vec![item("1", "A1", "Müller^Anna-Lisa", BORN, Sex::Female)],
        ),
        ("Müller^Max", BORN, Sex::Male, vec![item("1", "A1", "Müller^Maxima", BORN, Sex::Female)]),
        // And before they have names.
        ("Müller^Kind", BORN, Sex::Male, vec![item("1", "A1", "Müller^Kind", BORN, Sex::Male)]),
        (
            "Müller^Sohn von Anna",
            BORN,
            Sex::Male,
            vec![item("1", "A1", "Müller^Sohn von Anna", BORN, Sex::Male)],
        ),
        // Father and son.
        (
            "Müller^Hans",
            BORN,
            Sex::Male,
            vec![item("1", "A1", "Müller^Hans", "19420110", Sex::Male)],
        ),
        // The same name, born a day apart.
        (
            "Müller^Hans",
            BORN,
            Sex::Male,
            vec![item("1", "A1", "Müller^Hans", "19700306", Sex::Male)],
        ),
        (
            "Müller^Hans",
            BORN,
            Sex::Male,
            vec![item("1", "A1", "Müller^Hans", "19700304", Sex::Male)],
        ),
        // A married name.
        ("Müller^Eva", BORN, Sex::Female, vec![item("1", "A1", "Schmidt^Eva", BORN, Sex::Female)]),
        // Registered twice.
        (
            "Müller^Eva",
            BORN,
            Sex::Female,
            vec![
                item("1", "A1", "Müller^Eva", BORN, Sex::Female),
                item("2", "A2", "Mueller^Eva", BORN, Sex::Female),
            ],
        ),
        // A neighbour who may be meant.
        (
            "Müller^Hanna",
            BORN,
            Sex::Female,
            vec![
                item("1", "A1", "Müller^Hanna", BORN, Sex::Female),
                item("2", "A2", "Müller^Anna", BORN, Sex::Female),
            ],
        ),
        // A name from before a marriage may be meant, and somebody else has it.
        (
            "Müller^Eva",
            BORN,
            Sex::Female,
            vec![
                item("1", "A1", "Müller^Eva", BORN, Sex::Female),
                item("2", "A2", "Schmidt^Eva", BORN, Sex::Female),
            ],
        ),
        // Two orders.
        (
            "Müller^Eva",
            BORN,
            Sex::Female,
            vec![
                item("1", "A1", "Müller^Eva", BORN, Sex::Female),
                item("1", "A2", "Müller^Eva", BORN, Sex::Female),
            ],
        ),
    ] {
        let outcome = run(&case(header, born, sex), &items, Policy::Automatic);
        assert_eq!(outcome.verdict, Verdict::Person, "{header}");
        assert!(!outcome.reason.is_empty());
    }
}

#[test]
fn two_ids_of_our_issuer_leave_the_patient_to_a_person() {
    let items = [
        item("123", "A1", "Müller^Hans", BORN, Sex::Male),
        item("999", "A2", "Müller^Hans", BORN, Sex::Male),
    ];
    let id = |id: &str| PatientId { id: id.into(), issuer: Some("HOUSE".into()) };
    let mut study = case("Müller^Hans", BORN, Sex::Male);
    study.facts.patient.id = Some(id("123"));
    for others in [vec![id("999")], vec![id("999"), id("123")], vec![id("123"), id("999")]] {
        study.facts.other_ids = others;
        assert_eq!(run(&study, &items, Policy::Automatic).verdict, Verdict::Person);
    }
    study.facts.other_ids.clear();
    assert_eq!(run(&study, &items, Policy::Automatic).verdict, Verdict::Automatic);
}

#[test]
fn strangers_are_not_shown() {
    let items = [item("2", "A2", "Schmidt^Eva", "19810202", Sex::Female)];
    let outcome = run(&case("Müller^Hans", BORN, Sex::Male), &items, Policy::Automatic);
    assert_eq!(outcome.verdict, Verdict::None);
    assert!(outcome.candidates.is_empty());
    assert_eq!(
        run(&case("Müller^Hans", BORN, Sex::Male), &[], Policy::Automatic).verdict,
        Verdict::None
    );
}

#[test]
fn the_list_is_capped_and_closed_orders_stand_below_open_ones() {
    let many: Vec<Item> = (0..200)
        .map(|n| item(&n.to_string(), &format!("A{n}"), "Müller^Hans", BORN, Sex::Male))
        .collect();
    let outcome = run(&case("Müller^Hans", BORN, Sex::Male), &many, Policy::Automatic);
    assert_eq!(outcome.candidates.len(), 50);
    assert_eq!((outcome.margin, outcome.verdict), (0, Verdict::Person));

    let mut closed = item("1", "A0", "Müller^Hans", BORN, Sex::Male);
    closed.steps = vec![Step { status: Some("COMPLETED".into()), ..Step::default() }];
    let open = item("1", "A1", "Müller^Hans", BORN, Sex::Male);
    let outcome =
        run(&case("Müller^Hans", BORN, Sex::Male), &[closed, open.clone()], Policy::Automatic);
    assert_eq!(outcome.candidates[0].item, open);
    assert_eq!(outcome.candidates.len(), 2);
    assert_eq!(outcome.verdict, Verdict::Automatic);
}

#[test]
fn reasons_and_contradictions_hold_no_patient_data() {
    let items = [item("4711", "A4711", "Müller^Hans", "19420110", Sex::Female)];
    let mut case = requested(case("Mueller^Hans", BORN, Sex::Male), "A4711");
    case.witnesses.typed_birth_date = BirthDate::parse("19991231");
    let outcome = run(&case, &items, Policy::Automatic);
    let mut said = outcome.reason.clone();
    said.extend(outcome.contradictions.iter().map(String::as_str));
    for candidate in &outcome.candidates {
        said.extend(candidate.contradictions.iter().map(String::as_str));
    }
    for secret in ["4711", "üller", "ueller", "Hans", "1942", "1970", "1999"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn another_name_of_the_patient_points_to_somebody_and_decides_nothing() {
    let items = [
        item("1", "A1", "Ehrlich^Anna", BORN, Sex::Female),
        item("2", "A2", "Krause^Karin", BORN, Sex::Female),
    ];
    for other in ["Ehrlich", "Ehrlich^Anna", "EHRLICH^ANNA^MARIA"] {
        let mut study = case("Sommer^Anna", BORN, Sex::Female);
        let before = run(&study, &items, Policy::Automatic);
        assert!(before.candidates[0].contradictions.contains(&"name differs".to_owned()));
        study.facts.other_names = vec![PersonName::new(other).unwrap()];
        for number in [None, Some("A1")] {
            study.witnesses.requested_accession_number = number.map(str::to_owned);
            let outcome = run(&study, &items, Policy::Automatic);
            let first = &outcome.candidates[0];
            assert_eq!(first.item, items[0]);
            assert!(first.contradictions.is_empty(), "{:?}", first.contradictions);
            let name = first.evidence.iter().find(|e| e.attribute == "name").unwrap();
            assert_eq!(name.agreement, Agreement::Similar);
            assert_eq!((outcome.verdict, outcome.tier), (Verdict::Person, Tier::Weak));
        }
    }
    // It brings nobody down who agrees by the name that counts.
    let mut study = case("Ehrlich^Anna", BORN, Sex::Female);
    study.facts.other_names = vec![PersonName::new("Sommer").unwrap()];
    assert_eq!(run(&study, &items, Policy::Automatic).verdict, Verdict::Automatic);
}
