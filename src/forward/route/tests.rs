use super::*;
use crate::dicom::Layout;
use crate::import::{Blob, FileKind};

fn instance(class: &str, syntax: &str) -> Instance {
    let layout = Layout {
        transfer_syntax: Uid::new(syntax).unwrap(),
        is_implicit: false,
        data_set_at: 0,
        pixel_data: None,
        ends_at: 0,
        derived: Vec::new(),
        bulk: Vec::new(),
    };
    Instance {
        sop_class: Uid::new(class).unwrap(),
        sop_instance: Uid::new("1.2.3").unwrap(),
        series: Uid::new("1.2").unwrap(),
        blob: Blob { pack: 0, at: 0, length: 0, digest: Default::default() },
        origin: Origin::Received { layout },
    }
}

fn native_batches(instances: Vec<(u32, Instance)>) -> Vec<Batch> {
    let shared = instances.into_iter().map(|(n, instance)| (n, Arc::new(instance)));
    batches(shared.collect(), Compressed::default())
}

fn uids_of(list: &[Uid]) -> Vec<&str> {
    list.iter().map(Uid::as_str).collect()
}

#[test]
fn objects_go_as_they_came_if_they_may() {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let implicit = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    for (own, expected) in [
        (explicit, vec![explicit, implicit]),
        (implicit, vec![implicit, explicit]),
        ("1.2.840.10008.1.2.1.99", vec![explicit, implicit]),
        ("1.2.840.10008.1.2.2", vec![explicit, implicit]),
        ("1.2.840.10008.1.2.4.70", vec!["1.2.840.10008.1.2.4.70", explicit, implicit]),
        ("1.2.840.10008.1.2.4.80", vec!["1.2.840.10008.1.2.4.80", explicit, implicit]),
        ("1.2.840.10008.1.2.4.201", vec!["1.2.840.10008.1.2.4.201"]),
        ("1.3.46.670589.33.1.4.1", vec!["1.3.46.670589.33.1.4.1"]),
    ] {
        assert_eq!(
            uids_of(&candidates(&instance("1.2", own).origin, Compressed::NativeIfNeeded)),
            expected
        );
    }
    let created = Origin::Created { kind: FileKind::Pdf, title: String::new() };
    assert_eq!(uids_of(&candidates(&created, Compressed::Native)), vec![explicit]);
    let ct = instance("1.2", implicit);
    assert_eq!(
        choose(&ct, Compressed::AsIs, &[Uid::new(explicit).unwrap()]).unwrap().as_str(),
        explicit
    );
    assert!(choose(&ct, Compressed::AsIs, &[]).is_none());
}

#[test]
fn one_class_is_proposed_once_with_its_own_syntax_first() {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let batches = native_batches(vec![
        (0, instance("1.2.1", "1.2.840.10008.1.2.4.70")),
        (1, instance("1.2.1", explicit)),
        (2, instance("1.2.1", explicit)),
        (3, instance("1.2.2", explicit)),
    ]);
    assert_eq!(batches.len(), 1);
    let contexts = &batches[0].contexts;
    assert_eq!(contexts.len(), 2);
    let expected = ["1.2.840.10008.1.2.4.70", explicit, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    assert_eq!(uids_of(&contexts[0].transfer_syntaxes), expected);
}

#[test]
fn more_classes_than_one_association_holds_are_split() {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    let all = (0..200).map(|n| (n, instance(&format!("1.2.{n}"), explicit))).collect();
    let batches = native_batches(all);
    assert_eq!(batches.iter().map(|batch| batch.instances.len()).sum::<usize>(), 200);
    for batch in &batches {
        let pairs: usize = batch.contexts.iter().map(|c| c.transfer_syntaxes.len()).sum();
        assert!(pairs <= CONTEXTS);
    }
}
