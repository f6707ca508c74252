use proptest::prelude::*;

use super::*;

fn any_name() -> impl Strategy<Value = String> {
    let families =
        ["Müller", "Mueller", "Muller", "Maier", "Meier", "von der Heide", "Yıldız", "Nguyen"];
    let givens = ["Hans", "Hanns", "Anna", "Anna Maria", "Hanna", "Ayşe", "Van An", ""];
    (prop::sample::select(families.to_vec()), prop::sample::select(givens.to_vec()))
        .prop_map(|(family, given)| format!("{family}^{given}"))
}

fn any_date() -> impl Strategy<Value = Option<BirthDate>> {
    let dates = ["19700305", "19700503", "19700306", "19700101", "19000101", "19820519", ""];
    prop::sample::select(dates.to_vec()).prop_map(BirthDate::parse)
}

fn any_sex() -> impl Strategy<Value = Sex> {
    prop::sample::select(vec![Sex::Male, Sex::Female, Sex::Other, Sex::Unknown])
}

fn any_patient() -> impl Strategy<Value = Patient> {
    let id = prop::option::of((0..3u8, prop::option::of(Just("HOUSE".to_owned()))));
    (any_name(), any_date(), any_sex(), id).prop_map(|(name, birth_date, sex, id)| Patient {
        id: id.map(|(id, issuer)| PatientId { id: id.to_string(), issuer }),
        name: PersonName::new(&name),
        birth_date,
        sex,
    })
}

pub(super) fn any_item() -> impl Strategy<Value = Item> {
    let status = prop::sample::select(vec![None, Some("COMPLETED".to_owned())]);
    (any_patient(), 0..4u8, status).prop_map(|(patient, number, status)| Item {
        patient,
        accession_number: Some(AccessionNumber { number: format!("A{number}"), issuer: None }),
        steps: vec![Step { status, ..Step::default() }],
        ..Item::default()
    })
}

pub(super) fn any_case() -> impl Strategy<Value = Case> {
    let asked = prop::option::of((0..4u8).prop_map(|n| format!("A{n}")));
    (any_patient(), any_patient(), any_date(), asked, 0..6u8).prop_map(
        |(patient, portal, typed, asked, which)| {
            let mut case = case("Müller^Hans", BORN, Sex::Male);
            case.witnesses.identities = vec![patient.clone()];
            case.facts.patient = patient;
            case.witnesses.requested_accession_number = asked;
            case.witnesses.portal = (which == 1).then_some(portal);
            case.witnesses.typed_birth_date = (which == 2).then_some(typed).flatten();
            case
        },
    )
}

proptest! {
    #[test]
    fn automatic_never_contradicts(
        case in any_case(),
        items in prop::collection::vec(any_item(), 0..8),
        complete in any::<bool>(),
    ) {
        let completeness = if complete { Completeness::Complete } else { Completeness::Incomplete };
        let outcome = decide(&case, &items, completeness, Policy::Automatic);
        if outcome.verdict == Verdict::Automatic {
            prop_assert!(outcome.contradictions.is_empty());
            let first = &outcome.candidates[0];
            prop_assert!(first.contradictions.is_empty());
            prop_assert!(first.item.is_open());
            let header = &case.facts.patient;
            let local = &first.item.patient;
            prop_assert_eq!(header.birth_date, local.birth_date);
            prop_assert!(compare::sexes(header.sex, local.sex) != Agreement::Different);
            prop_assert!(agrees(name(
                header.name.as_ref().unwrap().as_str(),
                local.name.as_ref().unwrap().as_str(),
            )));
            let typed = case.witnesses.typed_birth_date;
            prop_assert!(typed.is_none_or(compare::is_unknown) || typed == local.birth_date);
            if let Some(asked) = &case.witnesses.requested_accession_number {
                let number = first.item.accession_number.as_ref().map(|n| &n.number);
                prop_assert_eq!(number, Some(asked));
            } else {
                prop_assert!(complete);
            }
            prop_assert!(outcome.tier != Tier::Demographics || complete);
        }
        let narrow = decide(&case, &items, completeness, Policy::AutomaticWithOrder);
        if narrow.verdict == Verdict::Automatic {
            prop_assert!(case.witnesses.requested_accession_number.is_some());
        }
        let confirm = decide(&case, &items, completeness, Policy::Confirm);
        prop_assert!(confirm.verdict != Verdict::Automatic);
    }

    #[test]
    fn the_order_of_the_items_does_not_matter(
        case in any_case(),
        (items, shuffled) in prop::collection::vec(any_item(), 0..8)
            .prop_flat_map(|items| (Just(items.clone()), Just(items).prop_shuffle())),
    ) {
        let a = run(&case, &items, Policy::Automatic);
        let b = run(&case, &shuffled, Policy::Automatic);
        prop_assert_eq!(
            serde_json::to_string(&a).unwrap(),
            serde_json::to_string(&b).unwrap()
        );
    }

    #[test]
    fn any_text_is_a_name_that_can_be_compared(a in "\\PC{0,80}", b in "\\PC{0,80}") {
        name(&a, &b);
    }
}
