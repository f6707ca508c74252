//! Objects that carry one SOP Instance UID.

use super::*;

#[test]
fn of_two_objects_with_one_uid_the_second_is_a_duplicate_or_set_aside() {
    let requested = Event::Requested { kind: Kind::Upload, request: Request::default() };
    let (mut import, _) = Import::begin(ImportId::new(), &requested, Moment::default()).unwrap();
    let event = Event::Received { files: vec![file()], portal: None };
    import.apply(&event, Moment::default()).unwrap();
    let other = Inspected { blob: blob(2), ..inspected(1) };
    let event = Event::Unpacked {
        instances: vec![inspected(1), inspected(1), other],
        documents: vec![],
        set_aside: vec![],
    };
    import.apply(&event, Moment::default()).unwrap();
    assert_eq!((import.instances.len(), import.duplicates), (1, 1));
    let [aside] = import.set_aside.as_slice() else { panic!("one is set aside") };
    assert!(aside.reason.contains("different content"), "{}", aside.reason);
}

/// Sends these on one association, and lets it fall silent.
fn burst(objects: impl IntoIterator<Item = Inspected>) -> Import {
    let kind = Kind::Association { peer: "ct".into(), ae_title: AeTitle::new("CT").unwrap() };
    let (mut import, _) = begun(kind);
    for instance in objects {
        let stored = Event::Stored { instance: Box::new(instance) };
        import.apply(&stored, Moment::default()).unwrap();
    }
    import.apply(&Event::BecameQuiet, Moment::default()).unwrap();
    import
}

#[test]
fn a_study_sent_again_under_another_patient_is_of_two() {
    let mut corrected = Inspected { blob: blob(2), ..inspected(1) };
    Arc::make_mut(&mut corrected.facts).patient.name = PersonName::new("Beispiel^Otto");
    let import = burst([inspected(1), corrected]);
    assert_eq!(import.studies[0].identities.len(), 2);
    assert!(import.is_disputed(0));
    assert!(!burst([inspected(1), inspected(1)]).is_disputed(0));
}

#[test]
fn a_list_of_what_was_set_aside_ends() {
    let other = |n: u32| Inspected { blob: blob(n), ..inspected(1) };
    let import = burst((1..=10_010).map(other));
    assert_eq!(import.set_aside.len(), 10_001);
    assert!(import.set_aside.last().unwrap().reason.contains("the list ends here"));
}
