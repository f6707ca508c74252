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
