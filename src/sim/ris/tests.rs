use std::time::Duration;

use dicom_dictionary_std::uids;

use super::*;
use crate::dicom::{AccessionNumber, AeTitle, Patient, PatientId, PersonName, Uid};
use crate::dimse::{Error, Found, Proposed, Remote, Timeouts, call};

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn item(number: usize) -> Item {
    Item {
        patient: Patient {
            id: Some(PatientId { id: format!("P{number}"), issuer: Some("KH".to_owned()) }),
            name: PersonName::new(&format!("Müßig^Zoë {number}")),
            ..Patient::default()
        },
        accession_number: Some(AccessionNumber { number: format!("A{number}"), issuer: None }),
        steps: vec![Step { modality: Some("CT".to_owned()), ..Step::default() }],
        ..Item::default()
    }
}

fn remote(ris: &Ris) -> Remote {
    let timeouts = Timeouts { response: Duration::from_millis(1500), ..Timeouts::default() };
    Remote {
        address: ris.address().to_string(),
        called: AeTitle::new("RIS").unwrap(),
        calling: AeTitle::new("LOTSE").unwrap(),
        timeouts,
        max_pdu: dimse::MAX_PDU,
        security: Default::default(),
    }
}

/// Asks by accession number (all if empty), over a context in `syntax`.
async fn find(ris: &Ris, accession: &str, limit: usize, syntax: &str) -> Result<Found, Error> {
    let class = uid(uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND);
    let mut identifier = Entry::default();
    identifier.text(tags::ACCESSION_NUMBER, VR::SH, Some(accession));
    identifier.text(tags::PATIENT_NAME, VR::PN, None);
    identifier.text(tags::PATIENT_ID, VR::LO, None);
    identifier.0.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![DataSet::default()]);
    let proposed = Proposed { sop_class: class.clone(), transfer_syntaxes: vec![uid(syntax)] };
    call(&remote(ris), &[proposed], async |client| client.find(&class, &identifier.0, limit).await)
        .await
}

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

#[tokio::test]
async fn an_order_is_found_by_its_number() {
    let ris = Ris::start((0..20).map(item).collect(), Fault::None).await.unwrap();
    for syntax in [EXPLICIT, uids::IMPLICIT_VR_LITTLE_ENDIAN] {
        let found = find(&ris, "A7", 100, syntax).await.unwrap();
        assert_eq!((found.status, found.cut), (Status::SUCCESS, false));
        assert_eq!(found.identifiers.len(), 1);
        let entry = &found.identifiers[0];
        assert_eq!(entry.text(tags::PATIENT_ID).unwrap(), "P7");
        assert_eq!(entry.text(tags::PATIENT_NAME).unwrap(), "Müßig^Zoë 7");
        assert!(entry.get(tags::PATIENT_SEX).is_none(), "not asked for");
        let step = &entry.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)[0];
        assert_eq!(step.text(tags::MODALITY).unwrap(), "CT");
    }
    assert_eq!(find(&ris, "A99", 100, EXPLICIT).await.unwrap().identifiers.len(), 0);
    assert_eq!(find(&ris, "", 100, EXPLICIT).await.unwrap().identifiers.len(), 20);
    assert_eq!(ris.queries(), 4);
    ris.stop().await;
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_cancelled() {
    let ris = Ris::start((0..3000).map(item).collect(), Fault::None).await.unwrap();
    let found = find(&ris, "", 5, EXPLICIT).await.unwrap();
    assert_eq!(found.identifiers.len(), 5);
    assert!(found.cut);
    assert_eq!(found.status, Status::CANCELLED);
    let exact = Ris::start((0..5).map(item).collect(), Fault::None).await.unwrap();
    let found = find(&exact, "", 5, EXPLICIT).await.unwrap();
    assert_eq!((found.identifiers.len(), found.cut), (5, false));
}

#[tokio::test]
async fn faults_are_told_apart() {
    let ris = Ris::start((0..20).map(item).collect(), Fault::RefuseAssociation).await.unwrap();
    let refused = find(&ris, "", 100, EXPLICIT).await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::CallingUnknown))));
    ris.set_fault(Fault::Fail(Status::OUT_OF_RESOURCES));
    let failed = find(&ris, "", 100, EXPLICIT).await.unwrap();
    assert_eq!((failed.status, failed.identifiers.len()), (Status::OUT_OF_RESOURCES, 0));
    ris.set_fault(Fault::Cap(3));
    let capped = find(&ris, "", 100, EXPLICIT).await.unwrap();
    assert_eq!((capped.status, capped.identifiers.len()), (Status::SUCCESS, 3));
    ris.set_fault(Fault::AbortAfter(3));
    let aborted = find(&ris, "", 100, EXPLICIT).await;
    assert!(matches!(aborted, Err(Error::Aborted(_))));
    ris.set_fault(Fault::Stall);
    let stalled = find(&ris, "", 100, EXPLICIT).await;
    assert!(matches!(stalled, Err(Error::TimedOut(_))));
    ris.set_fault(Fault::IgnoreKeys);
    assert_eq!(find(&ris, "A7", 100, EXPLICIT).await.unwrap().identifiers.len(), 20);
}

#[tokio::test]
async fn answers_that_nobody_wants_are_told_apart() {
    let ris = Ris::start((0..5).map(item).collect(), Fault::Twice).await.unwrap();
    assert_eq!(find(&ris, "", 100, EXPLICIT).await.unwrap().identifiers.len(), 10);
    ris.set_fault(Fault::Undeclared);
    let found = find(&ris, "A1", 100, EXPLICIT).await.unwrap();
    assert!(found.identifiers[0].get(tags::SPECIFIC_CHARACTER_SET).is_none());
    assert_eq!(found.identifiers[0].text(tags::PATIENT_NAME).unwrap(), "Müßig^Zoë 1");
    // Deaf to C-CANCEL: what came before is kept, and the association is given up.
    ris.set_fault(Fault::Endless);
    let found = find(&ris, "", 3, EXPLICIT).await.unwrap();
    assert_eq!((found.identifiers.len(), found.cut, found.status), (3, true, Status::CANCELLED));
}
