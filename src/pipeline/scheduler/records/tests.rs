use std::sync::Arc;

use super::*;
use crate::dicom::{Layout, sample};
use crate::import::{Actor, Blob, Digest, Event, File, FileKind, Inspected, Kind, Request, Stage};

fn blob() -> Blob {
    Blob { pack: 1, at: 0, length: 100, digest: Digest([1; 32]) }
}

/// An upload behind these events.
fn upload(events: impl IntoIterator<Item = Event>) -> Import {
    let requested = Event::Requested { kind: Kind::Upload, request: Request::default() };
    let (mut import, _) = Import::begin(ImportId::new(), &requested, Moment::default()).unwrap();
    for event in events {
        import.apply(&event, Moment::default()).unwrap();
    }
    import
}

fn received() -> Event {
    let file = File { name: "cd.zip".into(), blob: blob() };
    Event::Received { files: vec![file], portal: None }
}

fn unpacked() -> Event {
    let inspected = Inspected {
        sop_class: sample::uid("1.2.840.10008.5.1.4.1.1.2"),
        sop_instance: sample::uid("1.2.3.4"),
        series: sample::uid("1.2.3.5"),
        layout: Layout {
            transfer_syntax: sample::uid(sample::EXPLICIT),
            is_implicit: false,
            data_set_at: 0,
            pixel_data: None,
            ends_at: 100,
            derived: vec![],
            bulk: vec![],
        },
        blob: blob(),
        facts: Arc::new(sample::facts("1.2.3")),
    };
    let documents = vec![(FileKind::Pdf, "Befund".into(), blob())];
    Event::Unpacked { instances: vec![inspected], documents, set_aside: vec![] }
}

#[test]
fn what_died_undelivered_is_told_whatever_it_was() {
    assert!(expired(&upload([])).is_empty(), "nothing had come");
    let told = expired(&upload([received()]));
    assert!(told.len() == 1 && told[0].contains("its 1 files were unpacked"), "{told:?}");
    let failed = Event::Failed { stage: Stage::Unpack, study: None, sentence: "it breaks".into() };
    let told = expired(&upload([received(), failed]));
    assert!(told.len() == 1 && told[0].contains("its 1 files were unpacked"), "{told:?}");
    let told = expired(&upload([received(), unpacked()]));
    assert!(told.len() == 2 && told[0].contains("1 of its 1 images"), "{told:?}");
    assert!(told[1].contains("1 of its documents were delivered"), "{told:?}");
    let actor = Actor("desk".into());
    let rejected =
        Event::Rejected { study: sample::uid("1.2.3"), reason: "not ours".into(), actor };
    let told = expired(&upload([received(), unpacked(), rejected]));
    assert!(told.is_empty(), "a person gave it up: {told:?}");
}
