//! What is told of as possible is what `apply` takes.

use super::*;

fn takes(import: &Import, event: &Event) -> bool {
    import.clone().apply(event, Moment::default()).is_ok()
}

fn agrees(import: &Import) -> Result<(), TestCaseError> {
    prop_assert_eq!(import.may_retry(), takes(import, &Event::Retried { actor: actor() }));
    for study in &import.studies {
        let (study, uid) = (&**study, study.uid.clone());
        let decided = Event::Decided { study: uid.clone(), order: order() };
        // What may be at a destination keeps its decision, though a journal of before may say otherwise.
        let left = study.work().is_some_and(Work::may_have_left);
        prop_assert!(!import.may_decide(study) || takes(import, &decided));
        prop_assert!(left || import.may_decide(study) == takes(import, &decided));
        let rejected = Event::Rejected { study: uid, reason: "x".into(), actor: actor() };
        prop_assert_eq!(import.may_reject(study), takes(import, &rejected));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_told_as_it_is_taken(kind in kinds(), events in prop::collection::vec(events(), 0..60)) {
        let (mut import, _) = begun(kind);
        for event in &events {
            let _ = import.apply(event, Moment::default());
            agrees(&import)?;
        }
    }

    /// From a study that was decided: few random beginnings come so far.
    #[test]
    fn it_is_told_as_it_is_taken_on_the_way(events in prop::collection::vec(events(), 0..40)) {
        let (mut import, _) = forwarding();
        for event in &events {
            // What ends everything leaves nothing to look at.
            if !matches!(event, Event::Cancelled { .. }) {
                let _ = import.apply(event, Moment::default());
            }
            agrees(&import)?;
        }
    }
}

#[test]
fn a_study_on_its_way_is_neither_decided_nor_rejected() {
    let (mut import, uid) = forwarding();
    let of = |import: &Import| {
        let study = import.study(&uid).unwrap();
        (import.may_decide(study), import.may_reject(study), import.may_retry())
    };
    assert_eq!(of(&import), (false, false, true), "its destination may rest");
    let (study, destination) = (Some(uid.clone()), Some(pacs()));
    let began = Event::Began { stage: Stage::Forward, study, destination };
    let mut under_way = import.clone();
    under_way.apply(&began, Moment::default()).unwrap();
    assert_eq!(of(&under_way), (false, false, false));
    let held = Event::Held { study: uid.clone(), destination: pacs(), sentence: "theirs".into() };
    import.apply(&held, Moment::default()).unwrap();
    assert_eq!(of(&import), (true, true, true), "held, and nothing was sent");
    import.apply(&delivered(&uid, 0..1), Moment::default()).unwrap();
    assert_eq!(of(&import), (false, true, true), "what was sent keeps its decision");
}
