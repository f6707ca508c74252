//! What a peer may do wrong at each state of PS3.8 9.2, and what it hears.

use super::*;
use crate::clock::Moment;
use dicom_ul::pdu::{PresentationContextResultReason, UserIdentity, UserIdentityType};

/// What a request becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// Accepted, with so many contexts.
    Contexts(usize),
    Rejected,
    Aborted,
}

async fn answer_to(bytes: &[u8]) -> Answer {
    let (address, _task) = acceptor(terms()).await;
    let mut raw = Raw::connect(address).await;
    raw.bytes(bytes).await;
    match raw.read().await {
        Some(Pdu::AssociationAC(answer)) => {
            let reason = PresentationContextResultReason::Acceptance;
            let accepted = answer.presentation_contexts.iter().filter(|one| one.reason == reason);
            Answer::Contexts(accepted.count())
        }
        Some(Pdu::AssociationRJ(_)) => Answer::Rejected,
        Some(Pdu::AbortRQ { .. }) => Answer::Aborted,
        other => panic!("no answer: {other:?}"),
    }
}

fn written(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).unwrap();
    bytes
}

/// A request with these items as they are.
fn with_items(items: &[u8]) -> Vec<u8> {
    let mut bytes = written(&request(vec![context(1, CT, &[EXPLICIT])]));
    bytes.extend(items);
    let length = u32::try_from(bytes.len() - 6).unwrap();
    bytes[2..6].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

#[tokio::test]
async fn requests_of_every_awkward_shape_are_answered() {
    let odd: Vec<u8> = (1..=255).step_by(2).collect();
    let all = odd.iter().map(|id| context(*id, CT, &[EXPLICIT])).collect::<Vec<_>>();
    let mut over = all.clone();
    over.extend([0, 2, 4].map(|id| context(id, CT, &[EXPLICIT])));
    let mut twice = all.clone();
    twice.push(context(255, CT, &[IMPLICIT]));
    let many: Vec<String> = (0..200).map(|n| format!("1.2.840.10008.1.2.4.{}", 900 + n)).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push(EXPLICIT);
    let cases = [
        ("no context", request(vec![]), Answer::Contexts(0)),
        ("128 contexts", request(all), Answer::Contexts(128)),
        ("131 contexts, three with even numbers", request(over), Answer::Contexts(128)),
        ("129 contexts, one number twice", request(twice), Answer::Contexts(127)),
        ("no transfer syntax", request(vec![context(1, CT, &[])]), Answer::Contexts(0)),
        ("201 transfer syntaxes", request(vec![context(1, CT, &many)]), Answer::Contexts(1)),
        ("a syntax that is none", request(vec![context(1, CT, &["a b", ""])]), Answer::Contexts(0)),
        (
            "a class that is none",
            request(vec![context(1, "../etc", &[EXPLICIT])]),
            Answer::Contexts(0),
        ),
    ];
    for (what, pdu, expected) in cases {
        assert_eq!(answer_to(&written(&pdu)).await, expected, "{what}");
    }
}

#[tokio::test]
async fn titles_of_any_bytes_are_answered() {
    // The fields lie at 10 (called) and 26 (calling).
    for (title, expected) in [
        (b"../../etc/passwd", Answer::Contexts(1)),
        (b"A'; DROP TABLE--", Answer::Contexts(1)),
        (b"\xc3\x9cBERWACHUNG    ", Answer::Rejected),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Answer::Rejected),
        (b"LINE\r\nBREAK     ", Answer::Rejected),
        (b"BACK\\SLASH      ", Answer::Rejected),
    ] {
        let mut bytes = with_items(&[]);
        bytes[26..42].copy_from_slice(title);
        assert_eq!(answer_to(&bytes).await, expected, "{title:?}");
    }
}

#[tokio::test]
async fn sub_items_of_user_information_are_answered() {
    let class = CT.as_bytes();
    let role = |scu, scp| {
        let mut body = u16::try_from(class.len()).unwrap().to_be_bytes().to_vec();
        body.extend(class);
        body.extend([scu, scp]);
        item(0x54, &body)
    };
    let identity = |kind: u8| {
        let mut body = vec![kind, 1];
        body.extend([0, 4]);
        body.extend(b"user");
        body.extend([0, 2]);
        body.extend(b"pw");
        item(0x58, &body)
    };
    let good = Answer::Contexts(1);
    let mut cases = vec![
        ("roles scu and scp".to_owned(), role(1, 1), good),
        ("role neither".to_owned(), role(0, 0), good),
        ("no operations at once".to_owned(), item(0x53, &[0, 0, 0, 0]), good),
        ("an item that nobody knows".to_owned(), item(0x7e, &[1, 2, 3]), good),
        ("an empty user information".to_owned(), vec![], good),
        ("an identity of nothing".to_owned(), item(0x58, &[]), Answer::Aborted),
        ("a length beyond its item".to_owned(), vec![0x53, 0, 0, 200, 0], Answer::Aborted),
    ];
    for kind in 0..=6 {
        cases.push((format!("identity {kind}"), identity(kind), good));
    }
    for (what, sub_item, expected) in cases {
        assert_eq!(answer_to(&with_items(&item(0x50, &sub_item))).await, expected, "{what}");
    }
    // Items that do not fit their PDU.
    let mut beyond = with_items(&[]);
    beyond.extend([0x20, 0, 0xff, 0xff]);
    let length = u32::try_from(beyond.len() - 6).unwrap();
    beyond[2..6].copy_from_slice(&length.to_be_bytes());
    assert_eq!(answer_to(&beyond).await, Answer::Aborted);
}

#[tokio::test]
async fn an_identity_is_heard_and_answered_if_asked() {
    for (wants, kind) in [
        (true, UserIdentityType::Username),
        (true, UserIdentityType::Jwt),
        (false, UserIdentityType::UsernamePassword),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (stream, from) = listener.accept().await.unwrap();
            let asking = hear(Box::new(stream), from, None, &terms()).await.unwrap();
            let shown = format!("{:?}", asking.caller());
            let identity = asking.caller().identity.clone();
            let mut association = asking.answer(everything_of()).await.unwrap();
            assert!(association.next_request().await.unwrap().is_none());
            (identity, shown)
        });
        let mut raw = Raw::connect(address).await;
        let Pdu::AssociationRQ(mut rq) = request(vec![context(1, CT, &[EXPLICIT])]) else {
            unreachable!()
        };
        let item = UserIdentity::new(wants, kind.clone(), b"gate".to_vec(), b"horse".to_vec());
        rq.user_variables.push(UserVariableItem::UserIdentityItem(item));
        raw.send(&Pdu::AssociationRQ(rq)).await;
        let Some(Pdu::AssociationAC(answer)) = raw.read().await else { panic!() };
        let response = UserVariableItem::Unknown(0x59, vec![0, 0]);
        assert_eq!(answer.user_variables.contains(&response), wants, "{kind:?}");
        raw.send(&Pdu::ReleaseRQ).await;
        assert!(matches!(raw.read().await, Some(Pdu::ReleaseRP)));
        let (identity, shown) = task.await.unwrap();
        assert!(!shown.contains("gate") && !shown.contains("horse"), "{shown}");
        let demand = |user: &str, password_file| DemandSection {
            user: Some(user.to_owned()),
            password_file,
            token: None,
        };
        let is_met = |demand: DemandSection, identity: Option<&Identity>| {
            let (us, now) = (AeTitle::new("LOTSE").unwrap(), Moment::default());
            demand.judge(identity, &us, now).is_ok()
        };
        let met = is_met(demand("gate", None), identity.as_ref());
        assert_eq!(met, kind != UserIdentityType::Jwt);
        assert!(!is_met(demand("other", None), identity.as_ref()));
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "horse\n").unwrap();
        let with_password = demand("gate", Some(secret.path().to_owned()));
        assert_eq!(
            is_met(with_password.clone(), identity.as_ref()),
            kind == UserIdentityType::UsernamePassword
        );
        assert!(!is_met(with_password, None));
        let nowhere = demand("gate", Some("/nowhere/secret".into()));
        assert!(!is_met(nowhere, identity.as_ref()));
    }
}

fn everything_of() -> Result<Vec<Offer>, Rejection> {
    Ok(vec![Offer::verification(), Offer::any_storage(), Offer::worklist()])
}

/// Where a peer is when it does something that does not belong there.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Sta2: connected.
    Connected,
    /// Sta6: associated.
    Associated,
    /// Sta6 within a command of several fragments.
    WithinCommand,
    /// Sta6 within an object.
    WithinObject,
}

const PLACES: [At; 4] = [At::Connected, At::Associated, At::WithinCommand, At::WithinObject];

async fn at(place: At, address: SocketAddr) -> Raw {
    let mut raw = match place {
        At::Connected => return Raw::connect(address).await,
        _ => Raw::associated(address).await,
    };
    let command = store_rq(1).encode().unwrap();
    match place {
        At::WithinCommand => {
            let half = command[..command.len() / 2].to_vec();
            raw.values(vec![value(1, PDataValueType::Command, false, half)]).await;
        }
        At::WithinObject => {
            raw.command(1, &store_rq(1)).await;
            raw.values(vec![data(&[7; 100], false)]).await;
        }
        At::Connected | At::Associated => {}
    }
    raw
}

async fn end_of(task: JoinHandle<Seen>) -> Seen {
    tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_abort_is_heard_at_every_state() {
    for place in PLACES {
        let (address, task) = acceptor(terms()).await;
        let mut raw = at(place, address).await;
        raw.bytes(&[7, 0, 0, 0, 0, 4, 0, 0, 2, 0]).await;
        let seen = end_of(task).await;
        assert!(seen.objects.is_empty(), "{place:?}");
        let end = seen.end.unwrap();
        assert!(matches!(end, Err(Error::Aborted(_) | Error::Closed(_))), "{place:?} {end:?}");
        // Nobody answers an abort.
        assert!(raw.read().await.is_none(), "{place:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_or_half_ends_is_the_end_at_every_state() {
    for place in PLACES {
        for half in [true, false] {
            let (address, task) = acceptor(terms()).await;
            let mut raw = at(place, address).await;
            if half {
                raw.0.shutdown().await.unwrap();
            } else {
                raw.0.set_zero_linger().unwrap();
                drop(raw);
            }
            let seen = end_of(task).await;
            assert!(seen.objects.is_empty(), "{place:?}");
            let end = seen.end.unwrap();
            assert!(matches!(end, Err(Error::Closed(_))), "{place:?} {half} {end:?}");
        }
    }
}

#[tokio::test]
async fn pdus_that_do_not_belong_there_are_aborted_at_every_state() {
    let accept = written(&Pdu::AssociationAC(dicom_ul::pdu::AssociationAC {
        protocol_version: 1,
        calling_ae_title: "RAW".to_owned(),
        called_ae_title: "LOTSE".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![],
        user_variables: vec![],
    }));
    let strange = [
        ("an acceptance", accept),
        ("a rejection", vec![3, 0, 0, 0, 0, 4, 0, 1, 1, 1]),
        ("a release answer", vec![6, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
        ("an unknown kind", vec![0x42, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
        ("a long abort", vec![7, 0, 0, 0, 0xff, 0xff, 0, 0]),
        ("a long release", vec![5, 0, 0, 0xff, 0xff, 0xff, 0, 0]),
    ];
    for place in PLACES {
        for (what, bytes) in &strange {
            let (address, task) = acceptor(terms()).await;
            let mut raw = at(place, address).await;
            raw.bytes(bytes).await;
            let answer = raw.read().await;
            assert!(matches!(answer, Some(Pdu::AbortRQ { .. })), "{place:?} {what}: {answer:?}");
            raw.0.shutdown().await.unwrap();
            assert!(raw.read().await.is_none(), "{place:?} {what}");
            let seen = end_of(task).await;
            assert!(seen.objects.is_empty() && seen.end.unwrap().is_err(), "{place:?} {what}");
        }
    }
    // A second request, and a release within a message.
    for (place, bytes) in [
        (At::Associated, with_items(&[])),
        (At::WithinObject, with_items(&[])),
        (At::Connected, written(&Pdu::ReleaseRQ)),
        (At::Connected, vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 3]),
        (At::WithinCommand, written(&Pdu::ReleaseRQ)),
        (At::WithinObject, written(&Pdu::ReleaseRQ)),
    ] {
        let (address, task) = acceptor(terms()).await;
        let mut raw = at(place, address).await;
        raw.bytes(&bytes).await;
        let answer = raw.read().await;
        assert!(matches!(answer, Some(Pdu::AbortRQ { .. })), "{place:?}: {answer:?}");
        assert!(end_of(task).await.objects.is_empty());
    }
}

#[tokio::test]
async fn fragments_whose_lengths_lie_are_aborted() {
    let pdu = |body: &[u8]| {
        let mut bytes = vec![4, 0];
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let lies: [(&str, Vec<u8>); 6] = [
        ("longer than the PDU", vec![0, 0, 0, 200, 1, 3, 0, 0]),
        ("four gigabytes", vec![0xff, 0xff, 0xff, 0xff, 1, 3, 0, 0]),
        ("too short for its own header", vec![0, 0, 0, 1, 1]),
        ("nothing", vec![0, 0, 0, 0]),
        ("half a length", vec![0, 0]),
        ("a second that is cut", vec![0, 0, 0, 2, 1, 0, 0, 0, 0, 9, 1, 0]),
    ];
    for (what, body) in lies {
        for place in [At::Associated, At::WithinObject] {
            let (address, task) = acceptor(terms()).await;
            let mut raw = at(place, address).await;
            raw.bytes(&pdu(&body)).await;
            let answer = raw.read().await;
            assert!(matches!(answer, Some(Pdu::AbortRQ { .. })), "{what} {place:?}: {answer:?}");
            assert!(end_of(task).await.objects.is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn odd_fragments_of_the_largest_size_arrive_whole() {
    let (address, task) = acceptor(terms()).await;
    let mut raw = Raw::associated(address).await;
    raw.command(1, &store_rq(1)).await;
    let pieces: [usize; 4] = [65_535, 1, 65_533, 3];
    for (place, length) in pieces.into_iter().enumerate() {
        raw.values(vec![data(&vec![9; length], place == 3)]).await;
    }
    assert!(matches!(raw.read_command().await, Command::StoreRsp { .. }));
    raw.send(&Pdu::ReleaseRQ).await;
    let seen = end_of(task).await;
    assert_eq!(seen.objects[0].1.len(), pieces.iter().sum::<usize>());
}

#[tokio::test]
async fn an_association_that_asks_nothing_is_ended() {
    let idle = Terms { idle: Duration::from_millis(300), ..terms() };
    let (address, task) = acceptor(idle).await;
    let mut raw = Raw::associated(address).await;
    assert!(matches!(raw.read().await, Some(Pdu::AbortRQ { .. })));
    assert!(matches!(end_of(task).await.end, Some(Err(Error::TimedOut(_)))));
}

#[tokio::test]
async fn a_peer_that_asks_and_never_reads_is_given_up() {
    let hasty =
        Terms { timeouts: Timeouts { write: Duration::from_millis(500), ..hasty() }, ..terms() };
    let (address, task) = acceptor(hasty).await;
    let mut raw = Raw::associated(address).await;
    let echo = Command::EchoRq { message_id: 1 }.encode().unwrap();
    let asked = async {
        loop {
            let one = value(3, PDataValueType::Command, true, echo.clone());
            raw.values(vec![one; 40]).await;
        }
    };
    let seen = tokio::select! { seen = end_of(task) => seen, () = asked => unreachable!() };
    assert!(matches!(seen.end, Some(Err(Error::TimedOut(_) | Error::Closed(_)))), "{:?}", seen.end);
}
