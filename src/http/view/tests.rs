mod sent;

use std::sync::Arc;

use serde_json::{Value, json};

use super::samples::{START, STUDY, awaiting_decision, forwarding, import, item, study};
use super::*;
use crate::import::{InstanceOutcome, QuestionKind, StudyState};

fn shown(import: &Import) -> Value {
    serde_json::to_value(of_import(import, None, Detail::Full)).unwrap()
}

#[test]
fn a_study_that_waits_for_a_person_has_the_json_of_the_contract() {
    let view = shown(&awaiting_decision());
    let best = item("A100", "MUSTER^ERIKA", "19801224").item_id();
    let mut without = view.clone();
    let study = without["studies"][0].as_object_mut().unwrap();
    let candidates = study.remove("candidates").unwrap();
    study.remove("counts");
    without.as_object_mut().unwrap().remove("counts");
    assert_eq!(
        without,
        json!({
            "id": "0198c0de000070008000000000000001", "state": "Unpacked", "kind": "link",
            "created": "2025-11-24T16:00:00Z", "changed": "2025-11-24T16:00:00Z",
            "source": "portal.example.org",
            "progress": {"stage": "forward", "bytes": 4000, "instances": 0, "totalInstances": 4},
            "nextStep": "Choose the order it belongs to.",
            "studies": [{
                "studyInstanceUid": STUDY, "state": "AwaitingDecision",
                "foreign": {
                    "patientId": "EXT-77", "issuer": "Praxis Nord", "name": "Muster^Erika",
                    "birthDate": "1980-12-24", "sex": "F", "accessionNumber": "EX1",
                    "studyDate": "2025-11-20", "description": "CT Thorax", "modalities": ["CT"],
                    "institution": "Praxis Nord"
                },
                "matching": {
                    "verdict": "person", "tier": "4", "reason": "Two orders fit; compare them.",
                    "contradictions": [], "margin": 45, "completeness": "incomplete"
                },
                "deliveries": [], "nextStep": "Choose the order it belongs to."
            }],
            "setAside": [{"name": "AUTORUN.INF", "reason": "not DICOM"}]
        })
    );
    assert_eq!(
        candidates[0],
        json!({
            "itemId": best, "rank": 1, "score": 65,
            "evidence": [
                {"attribute": "name", "agreement": "normalised", "weight": 30},
                {"attribute": "birthDate", "agreement": "equal", "weight": 30},
                {"attribute": "sex", "agreement": "equal", "weight": 5}
            ],
            "contradictions": [], "seen": candidates[0]["seen"],
            "patient": {"patientId": "4711", "issuer": "KB", "name": "MUSTER^ERIKA",
                        "birthDate": "1980-12-24", "sex": "F"},
            "accessionNumber": "A100", "requestedProcedure": "Import CT Thorax", "modality": "CT",
            "startDate": "2025-11-24", "startTime": null, "status": null
        })
    );
    assert_eq!(candidates[1]["contradictions"], json!(["birth date differs"]));
}

#[test]
fn a_study_on_its_way_tells_decision_changes_and_deliveries() {
    let view = shown(&forwarding());
    let study = &view["studies"][0];
    assert_eq!(study["decision"]["by"], "rule");
    assert_eq!(study["decision"]["tier"], "1");
    assert_eq!(study["decision"]["patient"]["patientId"], "4711");
    assert_eq!(study["decision"]["accessionNumber"], "A100");
    assert_eq!(study["decision"]["at"], "2025-11-24T16:00:00Z");
    assert_eq!(
        study["deliveries"],
        json!([{"destination": "pacs", "state": "Waiting", "total": 4, "delivered": 1, "failed": 1,
                "lastError": "the PACS refused the association"}])
    );
    assert_eq!(study["changes"][0]["tag"], "(0008,0050)");
    assert_eq!(study["changes"][0]["after"], "A100");
    assert_eq!(
        study["nextStep"],
        "Delivery to pacs waits: the PACS refused the association. It is tried again by itself."
    );
    assert!(study.get("candidates").is_none());
}

#[test]
fn deliveries_end_delivered_or_failed() {
    let state_of = |outcomes: &[InstanceOutcome]| {
        let mut import = forwarding();
        let StudyState::Forwarding(work) = &mut Arc::make_mut(&mut import.studies[0]).state else {
            panic!()
        };
        work.deliveries[0].due = None;
        work.deliveries[0].began = true;
        work.deliveries[0].outcomes = (0..).zip(outcomes.iter().cloned()).collect();
        let view = of_import(&import, None, Detail::Brief);
        let delivery = &view.studies[0].deliveries[0];
        (delivery.state, delivery.last_error.is_some())
    };
    let ok = InstanceOutcome::Delivered { status: 0 };
    let no = InstanceOutcome::Refused { status: None, sentence: "no".into() };
    assert_eq!(state_of(&[]), ("Sending", true));
    assert_eq!(state_of(&vec![ok.clone(); 4]), ("Delivered", false));
    assert_eq!(state_of(&[ok.clone(), ok.clone(), ok, no]), ("Failed", true));
}

#[test]
fn lists_are_brief() {
    let view = of_import(&awaiting_decision(), None, Detail::Brief);
    assert!(view.set_aside.is_none() && view.studies[0].candidates.is_none());
    assert!(of_import(&forwarding(), None, Detail::Brief).studies[0].changes.is_none());
}

#[test]
fn running_progress_comes_first() {
    let progress = Progress { stage: "download".into(), bytes: 5, ..Progress::default() };
    let view = of_import(&forwarding(), Some(progress), Detail::Brief);
    assert_eq!(view.progress.stage, "download");
}

#[test]
fn a_question_is_shown_as_the_portal_put_it() {
    let question = Question {
        key: "q1".into(),
        kind: QuestionKind::PatBirthDate,
        text: "Geburtsdatum?".into(),
        format: "DATE".into(),
    };
    let note = Some("the portal did not take the answer".to_owned());
    let view = shown(&import(
        State::Asking { questions: vec![question], note, files: Vec::new() },
        Vec::new(),
    ));
    assert_eq!(
        view["questions"],
        json!([{"key": "q1", "type": "PAT_BIRTH_DATE", "text": "Geburtsdatum?", "format": "DATE"}])
    );
    assert_eq!(view["nextStep"], "The portal did not take the answer.");
}

#[test]
fn a_sentence_that_tells_of_a_retry_tells_it_once() {
    let next_step = |sentence: &str| {
        let again = Some(Box::new(State::Requested { attempts: 0, due: None, note: None }));
        let state = State::Failed { sentence: sentence.into(), again };
        of_import(&import(state, Vec::new()), None, Detail::Full).next_step
    };
    let lost = "the session ended; press retry to log in again";
    assert_eq!(next_step(lost), "The session ended; press retry to log in again.");
    let bomb = "it inflates too far; raise unpack.ratio";
    let told = "It inflates too far; raise unpack.ratio. When that is done, try again.";
    assert_eq!(next_step(bomb), told);
}

#[test]
fn every_state_has_a_next_step() {
    let due = None;
    for (state, name) in [
        (State::Requested { attempts: 0, due, note: None }, "Requested"),
        (State::Preparing { due: START, attempts: 0 }, "Preparing"),
        (State::Downloading { interrupted: 0 }, "Downloading"),
        (State::Receiving { last: START }, "Receiving"),
        (
            State::Received {
                files: Vec::new(),
                interrupted: 0,
                waits: 0,
                fails_since: None,
                due: None,
                note: None,
                began: false,
            },
            "Received",
        ),
        (State::Unpacked, "Unpacked"),
        (State::Closed { at: START }, "Closed"),
        (State::Failed { sentence: "ask the sender for a new link".into(), again: None }, "Failed"),
        (State::Cancelled { at: START }, "Cancelled"),
    ] {
        let view = of_import(&import(state, Vec::new()), None, Detail::Full);
        assert_eq!(view.state, name);
        assert!(view.next_step.ends_with('.') && !view.next_step.is_empty(), "{name}");
    }
    for state in [
        StudyState::Inspected,
        StudyState::AwaitingWorklist {
            interrupted: 0,
            attempts: 1,
            due,
            note: Some("the RIS is down".into()),
            began: false,
        },
        StudyState::Quarantined { sentence: "the PACS refused it".into(), work: None },
        StudyState::Rejected { reason: "wrong".into(), at: START, work: None },
        StudyState::Cancelled { at: START, work: None },
    ] {
        let view = of_import(&import(State::Unpacked, vec![study(state)]), None, Detail::Full);
        assert!(view.studies[0].next_step.ends_with('.'));
    }
}

#[test]
fn the_study_that_needs_a_person_speaks_for_all() {
    let studies = vec![
        study(StudyState::Inspected),
        study(StudyState::Quarantined { sentence: "call the PACS team".into(), work: None }),
        study(StudyState::Inspected),
    ];
    let view = of_import(&import(State::Unpacked, studies), None, Detail::Brief);
    assert_eq!(view.next_step, "1 of 3 studies: Call the PACS team.");
}

#[test]
fn a_tombstone_tells_no_patient() {
    let view = of_tombstone(&Tombstone {
        id: "0198c0de000070008000000000000001".parse().unwrap(),
        kind: Some(Kind::Upload),
        created: START,
        ended: START,
        end: End::Erased,
        counts: Counts { received: 4, delivered: 4, ..Counts::default() },
    });
    assert_eq!((view.state, view.kind, view.studies.len()), ("Erased", "upload", 0));
}

#[test]
fn a_query_finds_names_as_people_write_them() {
    let import = forwarding();
    for query in [
        "muster",
        "Muster Erika",
        "muster, erika",
        "ERIKA",
        "erika muster",
        "portal.example",
        "4711",
        "ext-77",
        "a100",
        "0198c0de",
    ] {
        assert!(is_found(&import, &plain(query)), "{query}");
    }
    for query in ["meier", "erika meier", "%", "4712"] {
        assert!(!is_found(&import, &plain(query)), "{query}");
    }
}

#[test]
fn sentences_and_words() {
    assert_eq!(sentence("  the disk is full"), "The disk is full.");
    assert_eq!(sentence("Fine!"), "Fine!");
    assert_eq!(sentence(""), "");
    assert_eq!(sentence("ß"), "SS.");
    assert_eq!(spaced("requestedPatient"), "requested patient");
}
