use std::sync::Arc;

use super::*;
use crate::clock::Moment;
use crate::dicom::{Layout, Patient, sample};
use crate::import::{Blob, Event, ImportId, Inspected, Kind, Request, Work};
use crate::matching::{Authority, Decision, Target};
use crate::reconcile::Plan;

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

/// The one instance of these tests, with other bytes for each `content`.
fn inspected(content: u8) -> Inspected {
    Inspected {
        sop_class: uid("1.2.840.10008.5.1.4.1.1.2"),
        sop_instance: uid("1.2.3.4"),
        series: uid("1.2.3.5"),
        layout: Layout {
            transfer_syntax: uid("1.2.840.10008.1.2.1"),
            is_implicit: false,
            data_set_at: 0,
            pixel_data: None,
            ends_at: 100,
            derived: vec![],
            bulk: vec![],
        },
        blob: Blob { pack: 1, at: 0, length: 100, digest: Digest([content; 32]) },
        facts: Arc::new(sample::facts("1.2.3")),
    }
}

fn waiting(contents: &[u8]) -> Import {
    let requested = Event::Requested { kind: Kind::Upload, request: Request::default() };
    let (mut import, _) = Import::begin(ImportId::new(), &requested, Moment::default()).unwrap();
    let instances = contents.iter().map(|content| inspected(*content)).collect();
    for event in [
        Event::Received { files: vec![], portal: None },
        Event::Unpacked { instances, documents: vec![], set_aside: vec![] },
    ] {
        import.apply(&event, Moment::default()).unwrap();
    }
    import
}

/// As one whose destinations all vouch for it.
fn kept(contents: &[u8]) -> Import {
    let mut import = waiting(contents);
    let at = Moment::default();
    let work = Box::new(Work {
        decision: Decision {
            target: Target::NoOrder(Patient::default()),
            authority: Authority::Earlier,
            evidence: vec![],
            overridden: vec![],
            rejected: vec![],
            at,
        },
        plan: Plan::default(),
        plans: Default::default(),
        deliveries: vec![],
        route: None,
        compressed: None,
        way: None,
    });
    let study = Arc::make_mut(import.studies.first_mut().unwrap());
    study.state = StudyState::Confirmed { work, at };
    import
}

fn of(imports: &[Import]) -> Option<Standing> {
    standing(imports, &uid("1.2.3.4"))
}

#[test]
fn of_two_objects_with_one_uid_nothing_is_kept() {
    assert_eq!(of(&[kept(&[1])]), Some(Standing::Kept));
    assert_eq!(of(&[kept(&[1, 1])]), Some(Standing::Kept), "the same twice");
    assert_eq!(of(&[kept(&[1, 2])]), Some(Standing::Failed), "the second reached nobody");
    assert_eq!(of(&[kept(&[1, 2]), kept(&[1])]), Some(Standing::Failed));
    assert_eq!(of(&[]), None);
}

#[test]
fn what_another_import_keeps_counts_only_if_it_is_the_same_object() {
    for (content, expected) in [(1, Standing::Kept), (2, Standing::Pending)] {
        assert_eq!(of(&[kept(&[1]), waiting(&[content])]), Some(expected));
        assert_eq!(of(&[waiting(&[content]), kept(&[1])]), Some(expected));
    }
}
