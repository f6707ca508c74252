//! Peers that come and go without manners, thousands of times, many at once, and slowly: nothing is left of them, and
//! nobody else notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::{
    AssociationRJSource, AssociationRQ, PDataValue, PDataValueType, Pdu,
    PresentationContextProposed, UserVariableItem, read_pdu, write_pdu,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Semaphore};

use crate::support::peers::dcmtk;
use crate::support::{Daemon, Setup, eventually, run};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const VERIFICATION: &str = "1.2.840.10008.1.1";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// A peer that speaks bytes.
struct Raw(TcpStream);

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    async fn associate(address: SocketAddr, calling: &str) -> (Self, Option<Pdu>) {
        let mut raw = Self::connect(address).await;
        raw.bytes(&request(calling)).await;
        let answer = raw.read().await;
        (raw, answer)
    }

    async fn accepted(address: SocketAddr, calling: &str) -> Self {
        let (raw, answer) = Self::associate(address, calling).await;
        assert!(matches!(answer, Some(Pdu::AssociationAC(_))), "{answer:?}");
        raw
    }

    /// The same for one of many that come and go faster than the daemon ends with them: it may be told to come later.
    async fn let_in(address: SocketAddr, calling: &str) -> Self {
        eventually("room for an association", || async {
            match Self::associate(address, calling).await {
                (raw, Some(Pdu::AssociationAC(_))) => Some(raw),
                (_, Some(Pdu::AssociationRJ(rejected))) => {
                    let source = format!("{:?}", rejected.source);
                    assert!(source.contains("LocalLimitExceeded"), "{rejected:?}");
                    None
                }
                (_, other) => panic!("{other:?}"),
            }
        })
        .await
    }

    async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    async fn send(&mut self, pdu: &Pdu) {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        self.bytes(&bytes).await;
    }

    /// The next PDU, `None` at the end of the connection.
    async fn read(&mut self) -> Option<Pdu> {
        let mut header = [0; 6];
        self.0.read_exact(&mut header).await.ok()?;
        let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]) as usize;
        let mut whole = header.to_vec();
        whole.resize(6 + length, 0);
        self.0.read_exact(&mut whole[6..]).await.ok()?;
        read_pdu(&whole[..], 1 << 24, false).unwrap()
    }

    /// Closes after the last word, as the caller has to; one of many leaves even that to the daemon.
    async fn hear_the_end(mut self, number: usize) {
        if number % 512 >= 8 {
            self.0.shutdown().await.unwrap();
        }
        assert!(self.read().await.is_none());
    }

    /// Ends it by a reset, as a device does that is switched off behind a router.
    fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    async fn echo(&mut self) {
        let command = command(VERIFICATION, 0x0030, 0x0101, None);
        self.send(&data(3, PDataValueType::Command, command)).await;
        let answer = self.read().await;
        assert!(matches!(answer, Some(Pdu::PData { .. })), "{answer:?}");
    }

    async fn release(mut self) {
        self.send(&Pdu::ReleaseRQ).await;
        assert!(matches!(self.read().await, Some(Pdu::ReleaseRP)));
    }
}

fn request(calling: &str) -> Vec<u8> {
    let context = |id, class: &str, syntax: &str| PresentationContextProposed {
        id,
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: vec![syntax.to_owned()],
    };
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: "LOTSE".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![context(1, CT, EXPLICIT), context(3, VERIFICATION, IMPLICIT)],
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request).unwrap();
    bytes
}

fn data(context: u8, value_type: PDataValueType, data: Vec<u8>) -> Pdu {
    let presentation_context_id = context;
    let is_last = value_type == PDataValueType::Command;
    Pdu::PData { data: vec![PDataValue { presentation_context_id, value_type, is_last, data }] }
}

/// A command set: implicit little endian, the group length in front.
fn command(class: &str, field: u16, data_set: u16, instance: Option<&str>) -> Vec<u8> {
    let element = |number: u16, value: &[u8]| {
        let mut bytes = vec![0, 0];
        bytes.extend(number.to_le_bytes());
        let padded = value.len() + value.len() % 2;
        bytes.extend((padded as u32).to_le_bytes());
        bytes.extend(value);
        bytes.resize(8 + padded, 0);
        bytes
    };
    let mut rest = element(0x0002, class.as_bytes());
    rest.extend(element(0x0100, &field.to_le_bytes()));
    rest.extend(element(0x0110, &1_u16.to_le_bytes()));
    if instance.is_some() {
        rest.extend(element(0x0700, &0_u16.to_le_bytes()));
    }
    rest.extend(element(0x0800, &data_set.to_le_bytes()));
    if let Some(instance) = instance {
        rest.extend(element(0x1000, instance.as_bytes()));
    }
    let mut whole = element(0x0000, &(rest.len() as u32).to_le_bytes());
    whole.extend(rest);
    whole
}

/// One visit, of one kind of eight.
async fn visit(address: SocketAddr, number: usize) {
    let whole = request("STATION");
    match number % 8 {
        0 => drop(Raw::connect(address).await),
        1 => {
            let mut raw = Raw::connect(address).await;
            raw.bytes(&whole[..whole.len() / 2]).await;
            raw.reset();
        }
        2 => {
            let mut raw = Raw::connect(address).await;
            raw.bytes(&whole[..7]).await;
            raw.0.shutdown().await.unwrap();
            while raw.read().await.is_some() {}
        }
        3 => {
            let mut raw = Raw::let_in(address, "STATION").await;
            raw.bytes(&[7, 0, 0, 0, 0, 4, 0, 0, 0, 0]).await;
        }
        4 => {
            let (raw, answer) = Raw::associate(address, "NOBODY").await;
            assert!(matches!(answer, Some(Pdu::AssociationRJ(_))), "{answer:?}");
            raw.hear_the_end(number).await;
        }
        5 => {
            let mut raw = Raw::let_in(address, "STATION").await;
            let store = command(CT, 0x0001, 0x0001, Some("1.2.3.4"));
            raw.send(&data(1, PDataValueType::Command, store)).await;
            raw.send(&data(1, PDataValueType::Data, vec![0; 9000])).await;
            if number.is_multiple_of(16) { raw.reset() } else { drop(raw) }
        }
        6 => {
            let mut raw = Raw::connect(address).await;
            raw.bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
            assert!(matches!(raw.read().await, Some(Pdu::AbortRQ { .. })));
            raw.hear_the_end(number).await;
        }
        _ => {
            let mut raw = Raw::let_in(address, "STATION").await;
            raw.echo().await;
            raw.release().await;
        }
    }
}

async fn visits(address: SocketAddr, numbers: std::ops::Range<usize>) {
    let room = Arc::new(Semaphore::new(8));
    let mut all = tokio::task::JoinSet::new();
    for number in numbers {
        let permit = Arc::clone(&room).acquire_owned().await.unwrap();
        all.spawn(async move {
            visit(address, number).await;
            drop(permit);
        });
        while let Some(ended) = all.try_join_next() {
            ended.unwrap();
        }
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
}

fn descriptors(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap().count()
}

/// The resident set, in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Until as many descriptors are open as there were.
async fn at_rest(daemon: &Daemon, before: usize) {
    eventually("the descriptors of before", || {
        std::future::ready((descriptors(daemon) <= before).then_some(()))
    })
    .await;
}

/// The memory that a process holds after a while of the same is its working set; more of the same adds nothing.
async fn come_and_go(warm: usize, cycles: usize) {
    let mut daemon = Setup::new().peer("station", "STATION", 9, &["echo", "store"]).start().await;
    let address = daemon.dicom;
    // Streams of the API, the journal and the spool's folders are open from the first object on.
    visits(address, 0..warm).await;
    eventually("the visitors to be gone", || {
        std::future::ready((connections(&daemon) == 0).then_some(()))
    })
    .await;
    let (open, memory) = (descriptors(&daemon), resident(&daemon));
    visits(address, 0..cycles).await;
    at_rest(&daemon, open).await;
    let after = resident(&daemon);
    println!(
        "{cycles} cycles: {memory} KiB, then {after} KiB; {open} descriptors, then {}",
        descriptors(&daemon)
    );
    assert!(after < memory + 8 * 1024, "{memory} KiB became {after} KiB");
    Raw::let_in(address, "STATION").await.release().await;
    assert!(daemon.lives());
    assert_eq!(daemon.stop().await.0, 0);
}

/// Sockets of the daemon that are connected.
fn connections(daemon: &Daemon) -> usize {
    let port = format!(":{:04X} ", daemon.dicom.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // State 01 is established, 08 is closed by the other side.
    let open = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        format!("{} ", fields[1]).ends_with(&port) && matches!(fields[3], "01" | "08")
    };
    table.lines().skip(1).filter(open).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_visitors_without_manners_leave_nothing() {
    come_and_go(1000, 10_000).await;
}

/// 200 callers at the same moment: how many were accepted, all others being told that it is for now.
async fn at_once(daemon: &Daemon) -> usize {
    const CALLERS: usize = 200;
    let address = daemon.dicom;
    let (begin, answered) = (Arc::new(Barrier::new(CALLERS)), Arc::new(Barrier::new(CALLERS)));
    let callers = (0..CALLERS).map(|_| {
        let (begin, answered) = (Arc::clone(&begin), Arc::clone(&answered));
        tokio::spawn(async move {
            begin.wait().await;
            let (mut raw, answer) = Raw::associate(address, "STATION").await;
            // Nobody leaves before all have an answer, so that the limit is met.
            answered.wait().await;
            match answer {
                Some(Pdu::AssociationAC(_)) => {
                    raw.echo().await;
                    raw.release().await;
                    true
                }
                Some(Pdu::AssociationRJ(rejected)) => {
                    let source = &rejected.source;
                    let limit = "ServiceProviderPresentation(LocalLimitExceeded)";
                    assert!(matches!(source, AssociationRJSource::ServiceProviderPresentation(_)));
                    assert_eq!(format!("{source:?}"), limit);
                    assert_eq!(format!("{:?}", rejected.result), "Transient");
                    false
                }
                other => panic!("neither served nor refused: {other:?}"),
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut served = 0;
    for caller in callers {
        served += usize::from(caller.await.unwrap());
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_are_served_or_refused_by_the_limit() {
    for (lines, of_peer, served) in [
        ("", "", 32),
        ("associations = 100", "associations = 150", 100),
        ("associations = 256", "associations = 200", 200),
    ] {
        let peer = "[peers.station]\nae-title = \"STATION\"\naddress = \"127.0.0.1:9\"\nmay = [\"echo\"]\n";
        let daemon = Setup::new().dicom(lines).table(&format!("{peer}{of_peer}")).start().await;
        let open = descriptors(&daemon);
        assert_eq!(at_once(&daemon).await, served, "{lines:?} {of_peer:?}");
        at_rest(&daemon, open).await;
        // And again: nothing is used up.
        assert_eq!(at_once(&daemon).await, served);
        let (code, _) = daemon.stop().await;
        assert_eq!(code, 0);
    }
}

/// Hangs on: a byte a second of a request, or of an object.
async fn trickle(address: SocketAddr, number: usize, hanging: Arc<Semaphore>) {
    let mut raw = if number.is_multiple_of(5) {
        // Within a PDU of an association that was accepted, or refused because there are enough.
        let (mut raw, _) = Raw::associate(address, "SLOW").await;
        raw.bytes(&[4, 0, 0, 0, 0x40, 0, 0, 0]).await;
        raw
    } else {
        Raw::connect(address).await
    };
    hanging.add_permits(1);
    for byte in request("SLOW") {
        raw.bytes(&[byte]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_peers_cost_nothing_to_others() {
    // More than the door keeps waiting, and more than there are associations.
    for lorises in [100, 400] {
        let daemon = Setup::new()
            .peer("station", "STATION", 9, &["echo"])
            .peer("slow", "SLOW", 10, &["echo", "store"])
            .start()
            .await;
        let (address, hanging) = (daemon.dicom, Arc::new(Semaphore::new(0)));
        let slow = (0..lorises).map(|n| tokio::spawn(trickle(address, n, Arc::clone(&hanging))));
        let slow: Vec<_> = slow.collect();
        drop(hanging.acquire_many(lorises as u32).await.unwrap());
        let port = address.port().to_string();
        for _ in 0..10 {
            let echo = ["-aet", "STATION", "-aec", "LOTSE", "-to", "20", "127.0.0.1", &port];
            run(&mut dcmtk("echoscu", &echo), "").await.ok();
            let mut raw = Raw::accepted(address, "STATION").await;
            raw.echo().await;
            raw.release().await;
        }
        let most = descriptors(&daemon);
        assert!(most < 450, "{most} descriptors");
        slow.iter().for_each(tokio::task::JoinHandle::abort);
        println!("{lorises} slow peers: {most} descriptors, {} KiB", resident(&daemon));
    }
}
