use super::super::{NotTogether, ORDER_LIMIT, Orders};
use super::*;

fn eva(number: &str) -> Item {
    item("1", number, "Müller^Eva", BORN, Sex::Female)
}

fn together(orders: &[Item]) -> Result<Target, NotTogether> {
    Target::of_orders(orders.to_vec())
}

fn numbers(target: &Target) -> Vec<&str> {
    target.orders().map(|order| order.accession_number.as_ref().unwrap().number.as_str()).collect()
}

#[test]
fn orders_of_one_patient_go_together_in_the_order_they_were_named() {
    assert!(matches!(together(&[eva("A1")]).unwrap(), Target::Order(_)));
    let target = together(&[eva("A2"), eva("A1"), eva("A2"), eva("A3")]).unwrap();
    assert_eq!(numbers(&target), ["A2", "A1", "A3"]);
    assert_eq!(target.patient(), &eva("A1").patient);
    assert_eq!(numbers(&together(&[eva("A1"), eva("A1")]).unwrap()), ["A1"]);
    // Written in another way, or not told by one of them, is no contradiction.
    let mut other = item("1", "A2", "MUELLER^EVA", BORN, Sex::Female);
    assert!(together(&[eva("A1"), other.clone()]).is_ok());
    (other.patient.birth_date, other.patient.name) = (None, None);
    other.patient.sex = Sex::Unknown;
    assert!(together(&[eva("A1"), other]).is_ok());
}

#[test]
fn orders_of_different_patients_never_go_together() {
    assert_eq!(together(&[]), Err(NotTogether::Nothing));
    let stranger = item("2", "A2", "Müller^Eva", BORN, Sex::Female);
    assert_eq!(together(&[eva("A1"), stranger.clone()]), Err(NotTogether::Patients));
    assert_eq!(together(&[eva("A1"), eva("A3"), stranger]), Err(NotTogether::Patients));
    let mut elsewhere = eva("A2");
    elsewhere.patient.id = Some(PatientId { id: "1".into(), issuer: Some("OTHER".into()) });
    assert_eq!(together(&[eva("A1"), elsewhere]), Err(NotTogether::Patients));
    let mut nobody = [eva("A1"), eva("A2")];
    for order in &mut nobody {
        order.patient.id = None;
    }
    assert_eq!(together(&nobody), Err(NotTogether::Patients));
}

#[test]
fn a_patient_who_is_told_in_two_ways_is_corrected_first() {
    for other in [
        item("1", "A2", "Müller^Eva", "19700306", Sex::Female),
        item("1", "A2", "Müller^Eva", BORN, Sex::Male),
        item("1", "A2", "Schmidt^Karin", BORN, Sex::Female),
        item("1", "A2", "Müller^Ewa", BORN, Sex::Female),
    ] {
        assert_eq!(together(&[eva("A1"), other.clone()]), Err(NotTogether::Identity));
        // Also where the first of them does not say it.
        let mut silent = eva("A0");
        silent.patient.name = None;
        silent.patient.birth_date = None;
        silent.patient.sex = Sex::Unknown;
        assert_eq!(together(&[silent, eva("A1"), other]), Err(NotTogether::Identity));
    }
}

#[test]
fn their_number_has_a_bound() {
    let many = |count: usize| (0..count).map(|n| eva(&format!("A{n}"))).collect::<Vec<_>>();
    assert_eq!(together(&many(ORDER_LIMIT)).unwrap().orders().count(), ORDER_LIMIT);
    assert_eq!(together(&many(ORDER_LIMIT + 1)), Err(NotTogether::TooMany));
}

#[test]
fn a_decision_for_several_orders_survives_the_journal_and_tells_nobody() {
    let target = together(&[eva("A1"), eva("A2")]).unwrap();
    let json = serde_json::to_string(&target).unwrap();
    assert!(json.starts_with(r#"{"orders":{"first":{"#), "{json}");
    assert_eq!(serde_json::from_str::<Target>(&json).unwrap(), target);
    let Target::Orders(orders) = &target else { panic!("several") };
    assert_eq!(format!("{:?}", Orders::clone(orders)), "Orders(redacted)");
    assert!(!format!("{target:?}").contains("ller"));
    for error in [NotTogether::Patients, NotTogether::Identity, NotTogether::TooMany] {
        assert!(error.to_string().contains(';'), "it says what to do");
    }
}

#[test]
fn several_open_orders_of_the_patient_are_never_filed_by_rule() {
    let orders = [eva("A1"), eva("A2")];
    for policy in [Policy::Confirm, Policy::AutomaticWithOrder, Policy::Automatic] {
        let outcome = run(&case("Müller^Eva", BORN, Sex::Female), &orders, policy);
        assert_eq!((outcome.verdict, outcome.tier), (Verdict::Person, Tier::Weak));
        assert_eq!(
            outcome.reason,
            "the patient is found, but has several open orders; choose one, or those that the study answers \
             together"
        );
        let first = &outcome.candidates[0];
        assert_eq!(
            objection(&outcome.candidates[1], first).as_deref(),
            Some("another order of the same patient")
        );
    }
    // A request names one of them: that one, and never both.
    let named = requested(case("Müller^Eva", BORN, Sex::Female), "A2");
    let outcome = run(&named, &orders, Policy::Automatic);
    assert_eq!((outcome.verdict, outcome.tier), (Verdict::Automatic, Tier::RequestedOrder));
    assert_eq!(outcome.candidates[0].item, orders[1]);
}
