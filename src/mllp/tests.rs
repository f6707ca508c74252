use std::net::Ipv4Addr;

use jiff::civil::date;

use super::*;
use crate::clock::Moment;
use crate::dicom::{AccessionNumber, Item, Patient, PatientId, PersonName};
use crate::sim::his::{self, Manner};
use crate::worklist::Local;
use crate::worklist::hl7::Rules;

struct Open {
    address: SocketAddr,
    local: Local,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    metrics: Metrics,
}

async fn open(senders: &[&str], applications: &[&str]) -> Open {
    let day = date(2026, 3, 1).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let wall_ms = day.timestamp().as_millisecond();
    let clock = Clock::simulated(Moment { wall_ms, running_ms: 0 });
    let local = Local::in_memory();
    let patience = Patience { idle: Duration::from_secs(20), frame: Duration::from_secs(2) };
    let book = Book::new(local.clone(), Rules::default());
    let metrics = Metrics::default();
    let zone = jiff::tz::TimeZone::UTC;
    let door = Door::with_patience(book, clock, zone, &metrics, patience);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let section = ListenerSection {
        address,
        senders: senders.iter().map(|sender| sender.parse().unwrap()).collect(),
        applications: applications.iter().map(|&name| name.to_owned()).collect(),
        tls: None,
    };
    let stop = CancellationToken::new();
    let serving =
        tokio::spawn(serve(listener, section, tls::Transport::default(), door, stop.clone()));
    Open { address, local, stop, serving, metrics }
}

fn item(number: usize) -> Item {
    Item {
        patient: Patient {
            id: Some(PatientId { id: format!("P{number}"), issuer: Some("KH".into()) }),
            name: PersonName::new("Müßig^Zoë^^Dr."),
            ..Patient::default()
        },
        accession_number: Some(AccessionNumber { number: format!("A{number}"), issuer: None }),
        requested_procedure_description: Some("Fremd|auf^nahmen".into()),
        ..Item::default()
    }
}

fn verdict(answer: &Option<Vec<u8>>) -> Verdict {
    his::acknowledged(answer.as_ref().expect("an answer")).expect("an acknowledgement").verdict
}

#[tokio::test]
async fn orders_are_taken_however_they_come() {
    let open = open(&["127.0.0.1"], &["HIS"]).await;
    let manners = [Manner::Proper, Manner::Slow, Manner::WithoutEnd, Manner::Restarted];
    for (n, manner) in manners.into_iter().enumerate() {
        let messages =
            [his::order(&item(2 * n), "NW", "1"), his::order(&item(2 * n + 1), "NW", "2")];
        let answers = his::send(open.address, &messages, manner).await.unwrap();
        assert!(answers.iter().all(|answer| verdict(answer) == Verdict::Accept), "{manner:?}");
        let ids: Vec<_> = answers
            .iter()
            .map(|a| his::acknowledged(a.as_ref().unwrap()).unwrap().control_id)
            .collect();
        assert_eq!(ids, ["1", "2"]);
    }
    assert_eq!(open.local.len(), 8);
    let reading = crate::worklist::Reading::new("", &[]);
    let found = open.local.entries()[0].item(&reading).unwrap();
    assert_eq!(found.patient.name.unwrap().as_str(), "Müßig^Zoë^^Dr.");
    assert_eq!(found.requested_procedure_description.as_deref(), Some("Fremd|auf^nahmen"));
    let cut =
        his::send(open.address, &[his::order(&item(9), "NW", "1")], Manner::Cut).await.unwrap();
    assert_eq!((cut, open.local.len()), (vec![None], 8));
    open.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), open.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_that_sleep_keep_nobody_out() {
    let open = open(&["127.0.0.1"], &[]).await;
    let mut sleeping = Vec::new();
    for _ in 0..CONNECTIONS {
        sleeping.push(TcpStream::connect(open.address).await.unwrap());
    }
    // The oldest has just sent something; another one makes room.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let order =
        |n: usize| [&[0x0b], his::order(&item(n), "NW", "7").as_slice(), &[0x1c, 0x0d]].concat();
    let mut answer = [0; 4096];
    sleeping[0].write_all(&order(1)).await.unwrap();
    assert!(sleeping[0].read(&mut answer).await.unwrap() > 0);
    for n in 2..4 {
        let answers = his::send(open.address, &[his::order(&item(n), "NW", "8")], Manner::Proper)
            .await
            .unwrap();
        assert_eq!(verdict(&answers[0]), Verdict::Accept);
    }
    sleeping[0].write_all(&order(4)).await.unwrap();
    assert!(sleeping[0].read(&mut answer).await.unwrap() > 0, "it is in use");
    assert_eq!(sleeping[1].read(&mut answer).await.unwrap(), 0, "it was silent for longest");
    assert_eq!(open.local.len(), 4);
}

#[tokio::test]
async fn strangers_are_turned_away() {
    let order = his::order(&item(1), "NW", "1");
    let elsewhere = open(&["192.0.2.1"], &[]).await;
    let answers = his::send(elsewhere.address, std::slice::from_ref(&order), Manner::Proper).await;
    assert!(answers.map_or(true, |answers| answers == [None]), "not a word");
    let other = open(&[], &["RIS"]).await;
    let answers =
        his::send(other.address, std::slice::from_ref(&order), Manner::Proper).await.unwrap();
    assert_eq!(verdict(&answers[0]), Verdict::Reject);
    assert!(String::from_utf8_lossy(answers[0].as_ref().unwrap()).contains("ERR||MSH^1^3|204"));
    assert!(other.local.is_empty() && elsewhere.local.is_empty());
}

#[tokio::test]
async fn bad_messages_are_answered_and_the_connection_goes_on() {
    let open = open(&[], &[]).await;
    let good = his::order(&item(1), "NW", "9");
    let text = String::from_utf8(good.clone()).unwrap();
    let bad: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"GET / HTTP/1.1".to_vec(),
        b"MSH|^~\\&".to_vec(),
        text.replace("ORM^O01", "SIU^S12").into_bytes(),
        text.replace("ORC|NW", "ORC|QQ").into_bytes(),
        text.replace("PID|", "pid|").into_bytes(),
        [good.as_slice(), b"\xff\xfe"].concat(),
    ];
    let messages = [bad.clone(), vec![good]].concat();
    let answers = his::send(open.address, &messages, Manner::Proper).await.unwrap();
    let (last, refused) = answers.split_last().unwrap();
    for answer in refused {
        let text = String::from_utf8_lossy(answer.as_ref().unwrap()).into_owned();
        assert!(text.contains("\rMSA|AE") || text.contains("\rMSA|AR"), "{text}");
        assert!(text.contains("\rERR|"), "{text}");
    }
    assert_eq!(verdict(last), Verdict::Accept);
    assert_eq!(open.local.len(), 1);
    let mut text = crate::metrics::Text::default();
    open.metrics.write(&mut text);
    let (accepted, all) = ("lotse_mllp_messages_total{verdict=\"AA\"} 1", text.into_string());
    assert!(all.contains(accepted), "{all}");
}

#[tokio::test]
async fn what_is_too_large_or_no_frame_ends_the_connection() {
    let open = open(&[], &[]).await;
    let large = [his::order(&item(1), "NW", "7"), vec![b'x'; hl7::FRAME_LIMIT]].concat();
    let answers = his::send(open.address, &[large], Manner::Proper).await;
    // The answer may be lost if we closed while the sender was still writing.
    if let Ok(answers) = answers
        && let Some(answer) = &answers[0]
    {
        let ack = his::acknowledged(answer).unwrap();
        assert_eq!((ack.verdict, ack.control_id.as_str()), (Verdict::Reject, "7"));
    }
    // An acknowledgement is not acknowledged.
    let ack = hl7::reply(&Head::default(), None, "");
    let order = his::order(&item(2), "NW", "8");
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ack = String::from_utf8(ack).unwrap().replace("|P|", "|X|P|");
    for message in [ack.as_bytes(), &order] {
        stream.write_all(&[&[0x0b], message, &[0x1c, 0x0d]].concat()).await.unwrap();
    }
    stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let text = String::from_utf8_lossy(&all).into_owned();
    assert_eq!(text.matches("MSA|").count(), 1, "{text}");
    assert!(text.contains("MSA|AA|8"), "{text}");
    assert_eq!(open.local.len(), 1);
}

#[test]
fn the_section_is_checked() {
    let section = |text: &str| toml::from_str::<Hl7Section>(text);
    let good = "authority = \"KH\"\naccession-number = \"filler-number\"\n[[listeners]]\n\
                address = \"0.0.0.0:2575\"\nsenders = [\"192.0.2.7\"]\napplications = [\"KIS\"]";
    let good = section(good).unwrap();
    assert!(good.faults().is_empty());
    assert_eq!(good.rules().authority.as_deref(), Some("KH"));
    assert!(section("").unwrap().faults().is_empty());
    for bad in [
        "[[listeners]]\naddress = \"0.0.0.0:2575\"",
        "authority = \" \"",
        "fallback-character-set = \"latin\"",
    ] {
        assert_eq!(section(bad).unwrap().faults().len(), 1, "{bad}");
    }
    for bad in ["autority = \"x\"", "accession-number = \"obr\"", "[[listeners]]\nsenders = []"] {
        assert!(section(bad).is_err(), "{bad}");
    }
}
