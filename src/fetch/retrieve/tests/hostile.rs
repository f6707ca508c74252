use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dicom_ul::pdu::{AbortRQSource, Pdu};

use super::super::super::{Class, Observer};
use super::evil::{Answers, CT, STUDY, Script, Wire, command, number, object, peer, us};
use super::*;
use crate::dicom::{AeTitle, Syntax};
use crate::dimse::Timeouts;
use crate::import::{File, ImportId, Selection};
use crate::seal::Vault;
use crate::spool::Spool;

pub(super) const GET: u16 = 0x8010;
const MOVE: u16 = 0x8021;

/// Far longer than any of them takes on a busy machine, far shorter than forever.
const DEADLINE: Duration = Duration::from_secs(60);

struct Deaf;
impl Observer for Deaf {
    fn downloading(&self, _: Option<u64>, _: Option<u64>) {}
    fn received(&self, _: u64) {}
}

pub(super) fn two() -> Answers {
    Answers {
        studies: vec![(STUDY.to_owned(), Some(2))],
        instances: vec!["1.2.3.4", "1.2.3.5"],
        endless: None,
    }
}

fn counted() -> Answers {
    Answers { instances: vec![], ..two() }
}

fn nothing(_: &str) -> bool {
    false
}

fn retrieval(address: SocketAddr, how: Retrieve, dir: &std::path::Path) -> Retrieval {
    let vault = Vault::open_or_create(&dir.join("keys"), &dir.join("master.key")).unwrap();
    let spool = Spool::open(&dir.join("spool"), vault).unwrap();
    let title = |text: &str| AeTitle::new(text).unwrap();
    let remote = Remote {
        address: address.to_string(),
        called: title("EVIL"),
        calling: title("LOTSE"),
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            association: Duration::from_secs(5),
            read: Duration::from_secs(2),
            write: Duration::from_secs(5),
            response: Duration::from_secs(3),
        },
        max_pdu: dimse::MAX_PDU,
        security: Default::default(),
    };
    let peers = BTreeMap::from([("evil".to_owned(), PeerSource { remote, how })]);
    let study = Uid::new(STUDY).unwrap();
    Retrieval {
        from: From {
            source: Source::Peer("evil".to_owned()),
            selection: Selection { study_instance_uid: Some(study), ..Selection::default() },
        },
        sources: Sources {
            peers: Arc::new(peers),
            listener: Some(title("LOTSE")),
            patience: Patience {
                object: Duration::from_secs(2),
                cancel: Duration::from_millis(500),
                late: Duration::from_millis(300),
            },
            ..Sources::default()
        },
        spool: spool.create(ImportId::new()).unwrap(),
        cancel: CancellationToken::new(),
        observer: Arc::new(Deaf),
        section: FetchSection { max_download: 4 << 20, ..FetchSection::default() },
        moves: Moves::default(),
    }
}

pub(super) struct Outcome {
    pub(super) ended: Result<Vec<File>, Error>,
    statuses: Vec<u16>,
}

impl Outcome {
    pub(super) fn sentence(&self) -> String {
        self.ended.as_ref().map(Vec::len).unwrap_err().to_string()
    }

    fn class(&self) -> Class {
        self.ended.as_ref().map(Vec::len).unwrap_err().class()
    }
}

async fn attempt_on(
    how: Retrieve,
    answers: Answers,
    refused: fn(&str) -> bool,
    script: Script,
    change: impl FnOnce(&mut Retrieval),
) -> Outcome {
    let (address, statuses) = peer(answers, refused, script).await;
    let dir = tempfile::tempdir().unwrap();
    let mut retrieval = retrieval(address, how, dir.path());
    change(&mut retrieval);
    let begun = Instant::now();
    let ended = tokio::time::timeout(DEADLINE, retrieve(&retrieval)).await.expect("a deadline");
    assert!(begun.elapsed() < DEADLINE);
    let ended = ended.map(|pulled| match pulled {
        Pulled::Done { files, .. } => files,
        _ => panic!("neither files nor a fault"),
    });
    let statuses = statuses.lock().unwrap().clone();
    Outcome { ended, statuses }
}

pub(super) async fn get(answers: Answers, script: Script) -> Outcome {
    attempt_on(Retrieve::Get, answers, nothing, script, |_| {}).await
}

async fn moved(script: Script) -> Outcome {
    attempt_on(Retrieve::Move, two(), nothing, script, |_| {}).await
}

#[tokio::test]
async fn a_peer_with_manners_hands_over_everything() {
    for answers in [two(), counted()] {
        let outcome = get(answers, |wire| {
            Box::pin(async move {
                wire.answer(GET, 0xFF00, [2, 0, 0, 0]).await;
                wire.good("1.2.3.4").await;
                wire.good("1.2.3.5").await;
                wire.answer(GET, 0, [0, 2, 0, 0]).await;
            })
        })
        .await;
        assert_eq!(outcome.ended.unwrap().len(), 2);
        assert_eq!(outcome.statuses, [0, 0]);
    }
}

#[tokio::test]
async fn objects_of_another_study_are_refused_and_do_not_count() {
    let foreign: Script = |wire| {
        Box::pin(async move {
            for study in ["1.2.9", "../../../etc"] {
                let bytes = object(study, "1.2.9.1").write(Syntax::ExplicitLittle);
                wire.store("1.2.9.1", &bytes).await;
            }
            wire.good("1.2.3.4").await;
            wire.good("1.2.3.5").await;
            wire.answer(GET, 0xB000, [0, 2, 2, 0]).await;
        })
    };
    let outcome = get(two(), foreign).await;
    assert_eq!(outcome.ended.unwrap().len(), 2);
    assert_eq!(outcome.statuses, [0x0124, 0x0124, 0, 0]);
    let only: Script = |wire| {
        Box::pin(async move {
            for instance in ["1.2.3.4", "1.2.3.5"] {
                let bytes = object("1.2.9", instance).write(Syntax::ExplicitLittle);
                wire.store(instance, &bytes).await;
            }
            wire.answer(GET, 0, [0, 2, 0, 0]).await;
        })
    };
    let outcome = get(counted(), only).await;
    assert!(outcome.sentence().contains("holds 2 instances"), "{}", outcome.sentence());
    assert_eq!(outcome.class(), Class::Quarantine);
}

#[tokio::test]
async fn counts_that_lie_decide_nothing() {
    // Success and a hundred completed, but one object came.
    let outcome = get(two(), |wire| {
        Box::pin(async move {
            wire.good("1.2.3.4").await;
            wire.answer(GET, 0, [0, 100, 0, 0]).await;
        })
    })
    .await;
    assert!(outcome.sentence().contains("handed over 1 of them"), "{}", outcome.sentence());
    // The same object twice is one.
    let outcome = get(counted(), |wire| {
        Box::pin(async move {
            wire.good("1.2.3.4").await;
            wire.good("1.2.3.4").await;
            wire.answer(GET, 0, [0, 2, 0, 0]).await;
        })
    })
    .await;
    assert!(outcome.sentence().contains("handed over 1 of them"), "{}", outcome.sentence());
    // Numbers that go up and a failure that is none.
    let outcome = get(two(), |wire| {
        Box::pin(async move {
            wire.answer(GET, 0xFF00, [1, 0, 0, 0]).await;
            wire.good("1.2.3.4").await;
            wire.answer(GET, 0xFF00, [900, 0, 900, 0]).await;
            wire.good("1.2.3.5").await;
            wire.answer(GET, 0xA702, [0, 0, 2, 0]).await;
        })
    })
    .await;
    assert_eq!(outcome.ended.unwrap().len(), 2);
}

#[tokio::test]
async fn names_of_objects_are_never_paths() {
    let outcome = get(two(), |wire| {
        Box::pin(async move {
            for name in ["../../etc/passwd", "/etc/passwd", "..", "1.2.3.4/../x", "", "C:\\x"] {
                let bytes = object(STUDY, "1.2.3.4").write(Syntax::ExplicitLittle);
                wire.store(name, &bytes).await;
            }
            wire.answer(GET, 0, [0, 6, 0, 0]).await;
        })
    })
    .await;
    assert_eq!(outcome.statuses, [0x0117; 6]);
    assert!(outcome.sentence().contains("handed over 0 of them"), "{}", outcome.sentence());
}

#[tokio::test]
async fn objects_that_are_not_what_they_are_called_are_refused() {
    let outcome = get(two(), |wire| {
        Box::pin(async move {
            // Another instance than its command says; cut off; no data set at all; nothing.
            let whole = object(STUDY, "1.2.3.4").write(Syntax::ExplicitLittle);
            wire.store("1.2.3.5", &whole).await;
            wire.store("1.2.3.4", &whole[..whole.len() - 3]).await;
            wire.store("1.2.3.4", b"<html>no</html>").await;
            wire.store("1.2.3.4", b"").await;
            // A class that is not its context's.
            wire.store_command("1.2.3.4", "1.2.840.10008.5.1.4.1.1.4").await;
            let context = wire.storage();
            wire.value(context, false, true, &whole).await;
            if let Some((_, told, _)) = wire.hear().await {
                let status = number(&told, 0x0900);
                wire.statuses.lock().unwrap().push(status);
            }
            wire.answer(GET, 0, [0, 5, 0, 0]).await;
        })
    })
    .await;
    assert_eq!(outcome.statuses, [0xA900, 0xC000, 0xC000, 0xC000, 0x0122]);
    assert!(outcome.sentence().contains("handed over 0 of them"), "{}", outcome.sentence());
}

/// Breaks off in the middle of an object, in its own way.
async fn half(wire: &mut Wire) {
    wire.good("1.2.3.4").await;
    wire.store_command("1.2.3.5", CT).await;
    let context = wire.storage();
    let bytes = object(STUDY, "1.2.3.5").write(Syntax::ExplicitLittle);
    wire.value(context, false, false, &bytes[..40]).await;
}

#[tokio::test]
async fn what_breaks_off_is_tried_again() {
    let scripts: [Script; 3] = [
        |wire| {
            Box::pin(async move {
                half(wire).await;
                wire.send(&Pdu::AbortRQ { source: AbortRQSource::ServiceUser }).await;
            })
        },
        |wire| {
            Box::pin(async move {
                half(wire).await;
                wire.send(&Pdu::ReleaseRQ).await;
            })
        },
        // Silence in the middle.
        |wire| {
            Box::pin(async move {
                half(wire).await;
                tokio::time::sleep(DEADLINE).await;
            })
        },
    ];
    let classes = [Class::Retry, Class::Quarantine, Class::Retry];
    for (script, class) in scripts.into_iter().zip(classes) {
        let outcome = get(two(), script).await;
        assert_eq!(outcome.class(), class, "{}", outcome.sentence());
        assert!(outcome.sentence().starts_with("evil: "), "{}", outcome.sentence());
    }
}

#[tokio::test]
async fn endless_answers_end() {
    let pending: Script = |wire| {
        Box::pin(async move {
            for _ in 0..1_000_000 {
                wire.answer(GET, 0xFF00, [1, 0, 0, 0]).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    let outcome = get(two(), pending).await;
    assert!(outcome.sentence().contains("sends no object any more"), "{}", outcome.sentence());
    let outcome = moved(|wire| {
        Box::pin(async move {
            for _ in 0..1_000_000 {
                wire.answer(MOVE, 0xFF00, [1, 0, 0, 0]).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    })
    .await;
    assert!(outcome.sentence().contains("sends no object any more"), "{}", outcome.sentence());
    // An object without end, and objects without end.
    let outcome = get(two(), |wire| {
        Box::pin(async move {
            half(wire).await;
            let context = wire.storage();
            for _ in 0..2_000 {
                wire.value(context, false, false, &[0; 8_000]).await;
            }
        })
    })
    .await;
    assert!(outcome.sentence().contains("max-download"), "{}", outcome.sentence());
    let outcome = get(two(), |wire| {
        Box::pin(async move {
            let mut set = object(STUDY, "1.2.3.4");
            set.put_bytes(
                crate::dicom::Tag(0x7FE0, 0x0010),
                crate::dicom::VR::OW,
                vec![7; 400_000],
            );
            let bytes = set.write(Syntax::ExplicitLittle);
            for _ in 0..100 {
                wire.store("1.2.3.4", &bytes).await;
            }
        })
    })
    .await;
    assert!(outcome.sentence().contains("max-download"), "{}", outcome.sentence());
}

#[tokio::test]
async fn answers_to_something_else_end_the_association() {
    let scripts: [Script; 4] = [
        // Another message ID.
        |wire| {
            Box::pin(async move {
                wire.message_id = wire.message_id.wrapping_add(7);
                wire.answer(GET, 0, [0, 2, 0, 0]).await;
                wire.hear().await;
            })
        },
        // An answer to a query.
        |wire| Box::pin(async move { wire.answer(0x8020, 0, [0; 4]).await }),
        // Data without a command.
        |wire| {
            Box::pin(async move {
                let context = wire.storage();
                wire.value(context, false, true, &[1, 2, 3, 4]).await;
            })
        },
        // No status.
        |wire| {
            Box::pin(async move {
                let (id, context) = (wire.message_id, wire.context);
                let told = command(&[(0x0100, us(GET)), (0x0120, us(id)), (0x0800, us(0x0101))]);
                wire.value(context, true, true, &told).await;
            })
        },
    ];
    for script in scripts {
        let outcome = get(two(), script).await;
        assert!(outcome.sentence().contains("broke the protocol"), "{}", outcome.sentence());
        assert_eq!(outcome.class(), Class::Quarantine);
    }
}

#[tokio::test]
async fn a_silent_peer_is_tried_again() {
    let outcome = get(two(), |_| Box::pin(tokio::time::sleep(DEADLINE))).await;
    assert_eq!(outcome.class(), Class::Retry, "{}", outcome.sentence());
}

#[tokio::test]
async fn refusals_are_told_with_what_to_do() {
    let cases: [(Script, Class, &str); 6] = [
        (|w| Box::pin(w.answer(GET, 0xA701, [0; 4])), Class::Retry, "out of resources"),
        (|w| Box::pin(w.answer(GET, 0xA702, [0; 4])), Class::Retry, "out of resources"),
        (|w| Box::pin(w.answer(GET, 0xA900, [0; 4])), Class::Quarantine, "kind of request"),
        (|w| Box::pin(w.answer(GET, 0xC000, [0; 4])), Class::Quarantine, "look into its log"),
        (|w| Box::pin(w.answer(GET, 0xFE00, [0; 4])), Class::Quarantine, "cancelled there"),
        (|w| Box::pin(w.answer(GET, 0x0122, [0; 4])), Class::Quarantine, "allow our AE title"),
    ];
    for (script, class, words) in cases {
        let outcome = get(two(), script).await;
        assert_eq!(outcome.class(), class, "{}", outcome.sentence());
        assert!(outcome.sentence().contains(words), "{}", outcome.sentence());
    }
    let outcome = moved(|w| Box::pin(w.answer(MOVE, 0xA801, [0; 4]))).await;
    assert_eq!(outcome.class(), Class::Quarantine);
    assert!(
        outcome.sentence().contains("enter our AE title and address"),
        "{}",
        outcome.sentence()
    );
    // Success, and nothing has come.
    let outcome = moved(|w| Box::pin(w.answer(MOVE, 0, [0, 2, 0, 0]))).await;
    assert!(outcome.sentence().contains("handed over 0 of them"), "{}", outcome.sentence());
    // No context for the request; none for what comes.
    let script: Script = |w| Box::pin(w.answer(GET, 0xA702, [0, 0, 2, 0]));
    let no_get = |class: &str| class == "1.2.840.10008.5.1.4.1.2.2.3";
    let outcome = attempt_on(Retrieve::Get, two(), no_get, script, |_| {}).await;
    assert!(outcome.sentence().contains("did not accept class"), "{}", outcome.sentence());
    let no_store = |class: &str| class == CT;
    let outcome = attempt_on(Retrieve::Get, two(), no_store, script, |_| {}).await;
    assert_eq!(outcome.class(), Class::Retry, "{}", outcome.sentence());
    let no_listener = |retrieval: &mut Retrieval| retrieval.sources.listener = None;
    let outcome = attempt_on(Retrieve::Move, two(), nothing, script, no_listener).await;
    assert!(outcome.sentence().contains("[[dicom.listeners]]"), "{}", outcome.sentence());
}

#[tokio::test]
async fn queries_that_go_wrong_bring_nobody_elses_studies() {
    let script: Script = |_| Box::pin(async { panic!("nothing is to be fetched") });
    // A peer that ignores the key.
    let others = Answers { studies: vec![("1.9.9".to_owned(), Some(1))], ..two() };
    let outcome = get(others, script).await;
    assert!(outcome.sentence().contains("has no study"), "{}", outcome.sentence());
    // For a patient it answers with everybody.
    let many = (0..150).map(|n| (format!("1.2.{n}"), Some(1))).collect();
    let many = Answers { studies: many, ..two() };
    let by_patient = |retrieval: &mut Retrieval| {
        retrieval.from.selection =
            Selection { patient_id: Some("P-1".to_owned()), ..Selection::default() };
    };
    let outcome = attempt_on(Retrieve::Get, many.clone(), nothing, script, by_patient).await;
    assert!(outcome.sentence().contains("is not whole"), "{}", outcome.sentence());
    let by_other = |retrieval: &mut Retrieval| {
        retrieval.from.selection =
            Selection { patient_id: Some("P-2".to_owned()), ..Selection::default() };
    };
    let few = Answers { studies: vec![(STUDY.to_owned(), Some(2))], ..two() };
    let outcome = attempt_on(Retrieve::Get, few, nothing, script, by_other).await;
    assert!(outcome.sentence().contains("has no study"), "{}", outcome.sentence());
    // Answers without end, at each level.
    for level in ["STUDY", "SERIES"] {
        let endless = Answers { endless: Some(level), ..two() };
        let outcome = get(endless, script).await;
        assert!(outcome.sentence().contains("is not whole"), "{level}: {}", outcome.sentence());
    }
}

#[tokio::test]
async fn a_cancelled_retrieval_tells_the_peer() {
    let (address, statuses) = peer(two(), nothing, |wire| {
        Box::pin(async move {
            wire.good("1.2.3.4").await;
            // The next that we hear is the C-CANCEL.
            if let Some((_, told, _)) = wire.hear().await {
                let field = number(&told, 0x0100);
                wire.statuses.lock().unwrap().push(field);
                wire.answer(GET, 0xFE00, [1, 1, 0, 0]).await;
            }
        })
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut retrieval = retrieval(address, Retrieve::Get, dir.path());
    retrieval.sources.patience.object = DEADLINE;
    let cancel = retrieval.cancel.clone();
    let seen = Arc::clone(&statuses);
    let cancelling = tokio::spawn(async move {
        while seen.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    });
    let ended = tokio::time::timeout(DEADLINE, retrieve(&retrieval)).await.unwrap();
    cancelling.await.unwrap();
    assert!(matches!(ended, Err(Error::Cancelled)));
    assert_eq!(*statuses.lock().unwrap(), [0, 0x0FFF]);
}
