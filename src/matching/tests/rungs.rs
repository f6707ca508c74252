//! The decision ladder rung by rung, under every policy.

use super::*;

fn hans(id: &str, number: &str) -> Item {
    item(id, number, "Müller^Hans", BORN, Sex::Male)
}

/// A case for each tier, with the worklist that leads there.
fn of_each_tier() -> Vec<(Tier, Case, Vec<Item>)> {
    let plain = || case("MUELLER^HANS", BORN, Sex::Male);
    let mut known = plain();
    known.facts.patient.id = Some(PatientId { id: "1".into(), issuer: Some("HOUSE".into()) });
    let alone = vec![hans("1", "A1")];
    vec![
        (Tier::RequestedOrder, requested(plain(), "A1"), alone.clone()),
        (Tier::PatientId, known, alone.clone()),
        (Tier::Demographics, plain(), alone.clone()),
        (Tier::Weak, case("Mueler^Hans", BORN, Sex::Male), alone.clone()),
        (Tier::Weak, plain(), vec![hans("1", "A1"), hans("2", "A2")]),
        (Tier::Contradiction, requested(case("Müller^Hans", "19850911", Sex::Male), "A1"), alone),
    ]
}

#[test]
fn every_rung_passes_only_under_its_policies() {
    for (tier, case, items) in of_each_tier() {
        for policy in [Policy::Confirm, Policy::AutomaticWithOrder, Policy::Automatic] {
            let outcome = run(&case, &items, policy);
            assert_eq!(outcome.tier, tier, "{policy:?}");
            let passes = match (tier, policy) {
                (Tier::RequestedOrder, Policy::AutomaticWithOrder | Policy::Automatic) => true,
                (Tier::PatientId | Tier::Demographics, Policy::Automatic) => true,
                (_, _) => false,
            };
            assert_eq!(outcome.verdict == Verdict::Automatic, passes, "{tier:?} {policy:?}");
            assert!(!outcome.reason.is_empty());
        }
    }
}

#[test]
fn birth_date_and_sex_that_contradict_are_named_without_an_order_too() {
    for (case, said) in [
        (case("Müller^Hans", "19850911", Sex::Male), "birth date differs"),
        (case("Müller^Hans", BORN, Sex::Female), "sex differs"),
    ] {
        let outcome = run(&case, &[hans("1", "A1")], Policy::Automatic);
        assert_eq!((outcome.verdict, outcome.tier), (Verdict::Person, Tier::Contradiction));
        assert_eq!(outcome.contradictions, [said]);
        assert_eq!(outcome.candidates.len(), 1, "it is shown with what speaks against it");
    }
}

#[test]
fn a_study_of_somebody_else_in_the_same_import_is_held() {
    let items = [hans("1", "A1"), item("2", "A2", "Schmidt^Eva", "19810202", Sex::Female)];
    let stray = requested(case("Schmidt^Eva", "19810202", Sex::Female), "A1");
    let outcome = run(&stray, &items, Policy::Automatic);
    assert_eq!((outcome.verdict, outcome.tier), (Verdict::Person, Tier::Contradiction));
    assert!(outcome.contradictions.contains(&"name differs".to_owned()));
}

#[test]
fn a_valid_health_insurance_number_is_a_trusted_patient_id() {
    let insured = |id: &str| {
        let mut one = hans("1", "A1");
        one.patient.id = Some(PatientId { id: id.into(), issuer: None });
        one
    };
    let mut study = case("Müller^Hans", BORN, Sex::Male);
    let oid = Some("1.2.276.0.76.4.8".to_owned());
    study.facts.other_ids = vec![PatientId { id: "A123456780".into(), issuer: oid }];
    let tier = |item: Item, study: &Case| run(study, &[item], Policy::Automatic).tier;
    assert_eq!(tier(insured("A123456780"), &study), Tier::PatientId);
    // A wrong check digit is no number of anybody.
    study.facts.other_ids[0].id = "A123456781".into();
    assert_eq!(tier(insured("A123456781"), &study), Tier::Demographics);
}
