//! Own ends against each other, and against a raw socket that breaks the rules.

mod client;
mod closing;
mod commitment;
mod hostile;
mod negotiation;
mod states;
mod transfer;
mod values;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed, UserVariableItem,
    read_pdu, write_pdu,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::command::Command;
use super::*;

const CT: &str = uids::CT_IMAGE_STORAGE;
const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

/// Short enough for tests, long enough for a busy machine.
fn hasty() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(5),
        association: Duration::from_millis(1500),
        read: Duration::from_millis(700),
        write: Duration::from_secs(5),
        response: Duration::from_millis(1500),
    }
}

fn remote(address: SocketAddr) -> Remote {
    Remote {
        address: address.to_string(),
        called: title("LOTSE"),
        calling: title("MODALITY"),
        timeouts: hasty(),
        max_pdu: MAX_PDU,
        security: Default::default(),
    }
}

fn terms() -> Terms {
    Terms {
        timeouts: hasty(),
        idle: Duration::from_secs(5),
        max_pdu: MAX_PDU,
        max_object: 64 << 20,
    }
}

fn storage() -> Vec<Proposed> {
    vec![
        Proposed { sop_class: uid(CT), transfer_syntaxes: vec![uid(EXPLICIT), uid(IMPLICIT)] },
        Proposed { sop_class: uid(uids::VERIFICATION), transfer_syntaxes: vec![uid(IMPLICIT)] },
    ]
}

fn everything(_: &Caller) -> Result<Vec<Offer>, Rejection> {
    Ok(vec![Offer::verification(), Offer::any_storage(), Offer::worklist()])
}

/// What an acceptor saw.
#[derive(Debug, Default)]
struct Seen {
    objects: Vec<(Uid, Vec<u8>)>,
    echoes: u32,
    end: Option<Result<(), Error>>,
}

/// Accepts one association under `terms`, stores what comes, tells what it saw.
async fn acceptor(terms: Terms) -> (SocketAddr, JoinHandle<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, from) = listener.accept().await.unwrap();
        let mut seen = Seen::default();
        seen.end = Some(take_all(stream, from, &terms, &mut seen).await);
        seen
    });
    (address, task)
}

async fn take_all(
    stream: TcpStream,
    from: SocketAddr,
    terms: &Terms,
    seen: &mut Seen,
) -> Result<(), Error> {
    let mut association = accept_tcp(stream, from, terms, everything).await?;
    while let Some(request) = association.next_request().await? {
        match request {
            Request::Echo(echo) => {
                seen.echoes += 1;
                association.respond_echo(echo, Status::SUCCESS).await?;
            }
            Request::Store(store) => {
                let mut whole = Vec::new();
                while let Some(bytes) = association.next_chunk().await? {
                    whole.extend_from_slice(&bytes);
                }
                seen.objects.push((store.sop_instance.clone(), whole));
                association.respond_store(&store, Status::SUCCESS).await?;
            }
            Request::Find(find) => association.respond_find(&find, Status::SUCCESS).await?,
            Request::Retrieve(request) => {
                let counts = Counts::default();
                association.respond_retrieve(&request, Status::SUCCESS, counts, None).await?;
            }
            Request::Commit(wanted) => association.respond_commit(&wanted, Status::SUCCESS).await?,
            Request::Report(report) => association.respond_report(&report, Status::SUCCESS).await?,
        }
    }
    Ok(())
}

/// A peer without manners: writes what it is told.
struct Raw(TcpStream);

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Connects and requests one CT context (1) and one Verification context (3).
    async fn associated(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(&request(vec![
            context(1, CT, &[EXPLICIT]),
            context(3, uids::VERIFICATION, &[IMPLICIT]),
        ]))
        .await;
        let answer = raw.read().await;
        assert!(matches!(answer, Some(Pdu::AssociationAC(_))), "{answer:?}");
        raw
    }

    async fn send(&mut self, pdu: &Pdu) {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        self.bytes(&bytes).await;
    }

    async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    async fn values(&mut self, data: Vec<PDataValue>) {
        self.send(&Pdu::PData { data }).await;
    }

    async fn command(&mut self, context: u8, command: &Command) {
        self.values(vec![value(context, PDataValueType::Command, true, command.encode().unwrap())])
            .await;
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

    async fn read_command(&mut self) -> Command {
        match self.read().await {
            Some(Pdu::PData { data }) => Command::decode(&data[0].data).unwrap(),
            other => panic!("no command: {other:?}"),
        }
    }
}

fn value(context: u8, value_type: PDataValueType, is_last: bool, data: Vec<u8>) -> PDataValue {
    PDataValue { presentation_context_id: context, value_type, is_last, data }
}

fn data(bytes: &[u8], is_last: bool) -> PDataValue {
    value(1, PDataValueType::Data, is_last, bytes.to_vec())
}

fn context(id: u8, class: &str, syntaxes: &[&str]) -> PresentationContextProposed {
    PresentationContextProposed {
        id,
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: syntaxes.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn request(contexts: Vec<PresentationContextProposed>) -> Pdu {
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "RAW".to_owned(),
        called_ae_title: "LOTSE".to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: contexts,
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    })
}

fn store_rq(message_id: u16) -> Command {
    Command::StoreRq {
        message_id,
        sop_class: uid(CT),
        sop_instance: uid("1.2.3.4"),
        originator: None,
    }
}

/// A source that sends these pieces and the end.
fn source(pieces: Vec<Vec<u8>>) -> mpsc::Receiver<Chunk> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        for piece in pieces {
            if sender.send(Chunk::Bytes(Bytes::from(piece))).await.is_err() {
                return;
            }
        }
        let _ = sender.send(Chunk::End).await;
    });
    receiver
}

/// A peer whose side of one connection the test writes itself.
async fn scripted<F, Fut>(script: F) -> (SocketAddr, JoinHandle<()>)
where
    F: FnOnce(Raw) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        script(Raw(stream)).await;
    });
    (address, task)
}
