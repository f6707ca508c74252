//! A PACS that has something already.

use super::*;
use crate::dicom::VR;
use crate::dimse::{Classes, Offer, Syntaxes};

fn queried() -> Vec<Offer> {
    let find = uid(dicom_dictionary_std::uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND);
    let syntaxes = Syntaxes::Only(vec![uid(EXPLICIT)]);
    vec![Offer::any_storage(), Offer { classes: Classes::One(find), syntaxes }]
}

/// The study as it is held for a patient; for an image query, the image.
fn held_for(asked: &DataSet, patient: &str) -> Vec<DataSet> {
    let mut found = asked.clone();
    if asked.get(tags::PATIENT_ID).is_some() {
        found.put_bytes(tags::PATIENT_ID, VR::LO, patient.as_bytes().to_vec());
    }
    vec![found]
}

fn ours(asked: &DataSet) -> (Vec<DataSet>, u16) {
    (held_for(asked, "4711"), 0)
}

fn foreign(asked: &DataSet) -> (Vec<DataSet>, u16) {
    (held_for(asked, "0815"), 0)
}

fn nothing(_: &DataSet) -> (Vec<DataSet>, u16) {
    (vec![], 0)
}

fn somebody_elses_study(asked: &DataSet) -> (Vec<DataSet>, u16) {
    let mut other = held_for(asked, "0815").remove(0);
    other.put_bytes(tags::STUDY_INSTANCE_UID, VR::UI, b"9.9.9".to_vec());
    (vec![other], 0)
}

fn failing(_: &DataSet) -> (Vec<DataSet>, u16) {
    (vec![], 0xC001)
}

fn hangs_up(_: &DataSet) -> (Vec<DataSet>, u16) {
    (vec![], HANGS_UP)
}

fn busy(_: &DataSet) -> (Vec<DataSet>, u16) {
    (vec![], 0xA700)
}

async fn pacs(finds: fn(&DataSet) -> (Vec<DataSet>, u16), status: u16) -> Pacs {
    let door = Door { offers: queried, finds, ..Door::default() };
    Pacs::start(door, move |_, _| Reply::Status(status)).await
}

async fn run_with(
    pacs: &Pacs,
    change: impl FnOnce(&mut Run, &mut Destination),
) -> (Ended, Arc<Book>) {
    let house = House::new(&[(EXPLICIT, 10); 3]);
    let book = Arc::new(Book::default());
    let (name, destinations) = pacs.destinations(2);
    let mut destination = destinations.get(&name).unwrap().clone();
    let mut run = house.run(&book);
    change(&mut run, &mut destination);
    let destinations = Destinations::new(BTreeMap::from([(name.clone(), destination)]));
    let ended = destinations.deliver(&name, run).await;
    (ended, book)
}

#[tokio::test]
async fn a_study_that_is_held_for_another_patient_is_not_sent() {
    let pacs = pacs(foreign, 0).await;
    let (ended, book) = run_with(&pacs, |_, _| {}).await;
    let Ended::Held { sentence } = ended else { panic!("{ended:?}") };
    assert!(sentence.contains("another patient") && !sentence.contains("0815"));
    assert!(pacs.received().is_empty() && book.outcomes().is_empty());

    let (ended, _) = run_with(&pacs, |run, _| run.overridden = vec![sentence.clone()]).await;
    assert_eq!(ended, Ended::Complete, "a person decided against just this");
    let (ended, _) =
        run_with(&pacs, |_, destination| destination.check.existing = Existing::Ignore).await;
    assert_eq!(ended, Ended::Complete);
    let (ended, _) = run_with(&pacs, |run, _| run.stored = Stored::Some).await;
    assert_eq!(ended, Ended::Complete, "what we began is ours");
}

#[tokio::test]
async fn a_study_that_is_not_held_or_held_for_our_patient_is_sent() {
    for finds in [nothing, ours, somebody_elses_study] {
        let pacs = pacs(finds, 0).await;
        assert_eq!(run_with(&pacs, |_, _| {}).await.0, Ended::Complete);
        assert_eq!(pacs.received().len(), 3);
    }
}

#[tokio::test]
async fn a_destination_that_cannot_be_asked_gets_the_study_unless_it_has_to_answer() {
    let mute = Pacs::start(Door::default(), |_, _| Reply::Status(0)).await;
    let faulty = pacs(failing, 0).await;
    let rude = pacs(hangs_up, 0).await;
    for pacs in [&mute, &faulty, &rude] {
        assert_eq!(run_with(pacs, |_, _| {}).await.0, Ended::Complete);
        let (ended, book) =
            run_with(pacs, |_, destination| destination.check.existing = Existing::Require).await;
        assert!(sentence(&ended).contains("cannot be asked"), "{ended:?}");
        assert!(book.outcomes().is_empty());
    }
    let busy = pacs(busy, 0).await;
    let (ended, _) = run_with(&busy, |_, _| {}).await;
    assert!(sentence(&ended).contains("cannot say now"), "{ended:?}");
    assert!(busy.received().is_empty());
}

#[tokio::test]
async fn another_peer_may_answer_the_queries() {
    let (archive, catalogue) = (pacs(nothing, 0).await, pacs(foreign, 0).await);
    let (name, destinations) = catalogue.destinations(1);
    let Target::Peer { remote, .. } = destinations.get(&name).unwrap().target.clone() else {
        panic!()
    };
    let (ended, _) = run_with(&archive, |_, destination| {
        destination.check.query = Some(("catalogue".into(), remote));
    })
    .await;
    assert!(matches!(ended, Ended::Held { .. }), "{ended:?}");
}

#[tokio::test]
async fn a_duplicate_counts_only_if_it_is_there_for_our_patient() {
    let statuses = |book: &Book| book.statuses().into_iter().map(|(_, s)| s).collect::<Vec<_>>();
    let pacs_ours = pacs(ours, 0x0111).await;
    let (ended, book) = run_with(&pacs_ours, |_, _| {}).await;
    assert_eq!((ended, statuses(&book)), (Ended::Complete, vec![Some(0x0111); 3]));

    // It said nothing of the study before; a race, or an archive that hides what it deleted.
    let pacs_hidden = pacs(nothing, 0x0111).await;
    let (ended, book) = run_with(&pacs_hidden, |_, _| {}).await;
    assert_eq!((ended, statuses(&book)), (Ended::Complete, vec![None; 3]));

    let pacs_foreign = pacs(foreign, 0x0111).await;
    let (_, book) = run_with(&pacs_foreign, |run, _| run.stored = Stored::Some).await;
    assert_eq!(statuses(&book), vec![None; 3]);
    let InstanceOutcome::Refused { sentence, .. } = &book.outcomes()[&0] else { panic!() };
    assert!(sentence.contains("another patient"), "{sentence}");
}

#[tokio::test]
async fn a_duplicate_of_a_peer_that_cannot_be_asked_counts_if_it_may_be_ours() {
    let mute = Pacs::start(Door::default(), |_, _| Reply::Status(0x0111)).await;
    let (_, book) = run_with(&mute, |_, _| {}).await;
    assert!(book.statuses().iter().all(|(_, status)| status.is_none()), "never sent before");
    let (_, book) = run_with(&mute, |run, _| run.may_hold = Arc::new([1].into())).await;
    let expected = [(0, None), (1, Some(0x0111)), (2, None)];
    assert_eq!(book.statuses(), expected, "only what left before without an answer");
    let (_, book) =
        run_with(&mute, |_, destination| destination.check.existing = Existing::Ignore).await;
    assert!(book.statuses().iter().all(|(_, status)| *status == Some(0x0111)));
}

#[tokio::test]
async fn a_query_that_fails_once_makes_no_duplicate_ours() {
    let mute = Pacs::start(Door::default(), |_, _| Reply::Status(0x0111)).await;
    let rejects = Some(Rejection::LimitExceeded);
    let closed = Pacs::start(Door { rejects, ..Door::default() }, |_, _| Reply::Status(0)).await;
    let (name, destinations) = closed.destinations(1);
    let Target::Peer { remote, .. } = destinations.get(&name).unwrap().target.clone() else {
        panic!()
    };
    let (ended, book) = run_with(&mute, |run, destination| {
        run.stored = Stored::Some;
        destination.check.query = Some(("catalogue".into(), remote));
    })
    .await;
    assert!(matches!(ended, Ended::Postponed { .. }), "{ended:?}");
    let left = book.unanswered.lock().unwrap().clone();
    assert_eq!(left.len(), 0, "each was answered");
    let (_, book) = run_with(&mute, |run, _| run.may_hold = Arc::new(left)).await;
    assert_eq!(book.statuses(), [(0, None), (1, None), (2, None)]);
}

#[tokio::test]
async fn what_an_association_broke_off_at_may_be_ours() {
    let reply = |n, times| match (n, times) {
        (1, 1) => Reply::Abort,
        _ => Reply::Status(0x0111),
    };
    let pacs = Pacs::start(Door::default(), reply).await;
    let (name, destinations) = pacs.destinations(1);
    let house = House::new(&[(EXPLICIT, 10); 3]);
    let book = Arc::new(Book::default());
    let ended = destinations.deliver(&name, house.run(&book)).await;
    assert!(matches!(ended, Ended::Postponed { .. }), "{ended:?}");
    assert_eq!(*book.unanswered.lock().unwrap(), [1].into());
    assert_eq!(book.statuses(), [(0, None), (2, None)]);
    assert_eq!(destinations.deliver(&name, house.run(&book)).await, Ended::Complete);
    assert_eq!(book.statuses(), [(0, None), (1, Some(0x0111)), (2, None)]);
}
