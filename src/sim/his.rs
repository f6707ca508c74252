//! A hospital's HL7 side: sends orders and patients over MLLP, answers patient demographics queries, and
//! misbehaves on request.
//!
//! Invariant: it sends what was asked for byte by byte, however wrong that is; a hanging peer never hangs it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dicom::{Item, Patient};
use crate::dimse;
use crate::hl7::{self, Acknowledged, Frame, Line, Link, Message, Patience};

const CONNECTIONS: usize = 16;

/// For every step on the wire.
const PATIENCE: Duration = Duration::from_secs(10);

/// How messages are put on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Proper,
    /// Byte by byte, so that every read ends somewhere else.
    Slow,
    /// Without the carriage return at the end of a frame.
    WithoutEnd,
    /// Half of each frame, then all of it anew.
    Restarted,
    /// Half of the frame, then the connection is closed.
    Cut,
}

/// Sends messages on one connection and gives the answer to each; `None` where none came.
///
/// # Errors
/// If the connection cannot be made or used.
pub async fn send(
    to: SocketAddr,
    messages: &[Vec<u8>],
    manner: Manner,
) -> io::Result<Vec<Option<Vec<u8>>>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut answers = Vec::new();
    for message in messages {
        let whole = [&[0x0B], message.as_slice(), &[0x1C, 0x0D]].concat();
        let half = whole.split_at(whole.len() / 2).0;
        match manner {
            Manner::Proper => stream.write_all(&whole).await?,
            Manner::WithoutEnd => {
                stream.write_all(whole.strip_suffix(b"\r").unwrap_or(&whole)).await?
            }
            Manner::Restarted => {
                stream.write_all(half).await?;
                stream.write_all(&whole).await?;
            }
            Manner::Slow => {
                for byte in &whole {
                    stream.write_all(&[*byte]).await?;
                    tokio::task::yield_now().await;
                }
            }
            Manner::Cut => {
                stream.write_all(half).await?;
                stream.shutdown().await?;
            }
        }
        answers.push(answer(&mut stream).await);
    }
    Ok(answers)
}

async fn answer(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    let whole = async {
        while !read.ends_with(&[0x1C, 0x0D]) {
            if stream.read_buf(&mut read).await.ok()? == 0 {
                return None;
            }
        }
        Some(())
    };
    tokio::time::timeout(PATIENCE, whole).await.ok()??;
    Some(read.strip_prefix(&[0x0B])?.strip_suffix(&[0x1C, 0x0D])?.to_vec())
}

/// What an answer says; `None` if it is no acknowledgement.
pub fn acknowledged(answer: &[u8]) -> Option<Acknowledged> {
    hl7::acknowledged(&Message::parse_answer(answer).ok()?)
}

/// An order as ORM^O01. `control` is NW, XO, CA, …
pub fn order(item: &Item, control: &str, control_id: &str) -> Vec<u8> {
    let number = item.accession_number.as_ref().map_or("", |number| number.number.as_str());
    let step = item.steps.first().cloned().unwrap_or_default();
    let start = step.start_date.unwrap_or_default() + &step.start_time.unwrap_or_default();
    let described = item.requested_procedure_description.as_deref().unwrap_or("");
    let mut text = header(&["ORM", "O01", "ORM_O01"], control_id);
    text.push_str(&pid(&item.patient));
    text.push_str(&Line::new("ORC").text(control).text(number).text(number).end());
    let obr =
        Line::new("OBR").text("1").text(number).text(number).parts(&["FREMD", described, "99KIS"]);
    let obr = obr.skip(13).text(number).text(item.requested_procedure_id.as_deref().unwrap_or(""));
    let obr = obr.text(step.id.as_deref().unwrap_or("")).skip(3);
    let obr = obr.text(step.modality.as_deref().unwrap_or("")).skip(11);
    text.push_str(&obr.text(&start).end());
    if let Some(uid) = &item.study_uid {
        text.push_str(
            &Line::new("ZDS").parts(&[uid.as_str(), "HIS", "Application", "DICOM"]).end(),
        );
    }
    text.into_bytes()
}

/// A patient message, such as A08; with `prior`, a merge.
pub fn patient(event: &str, patient: &Patient, prior: Option<&str>, control_id: &str) -> Vec<u8> {
    let mut text = header(&["ADT", event], control_id);
    text.push_str(&Line::new("EVN").text(event).end());
    text.push_str(&pid(patient));
    if let Some(prior) = prior {
        let issuer = patient.id.as_ref().and_then(|id| id.issuer.as_deref()).unwrap_or("");
        text.push_str(&Line::new("MRG").parts(&[prior, "", "", issuer]).end());
    }
    text.into_bytes()
}

fn header(kind: &[&str], control_id: &str) -> String {
    hl7::header(("HIS", "HAUS"), ("LOTSE", ""), "20260301101500", kind, control_id, "P", "2.5")
}

fn pid(patient: &Patient) -> String {
    let id = patient.id.as_ref();
    let name = patient.name.as_ref();
    let part = |index: usize| name.map(|name| name.component(index)).unwrap_or("");
    let birth_date = patient.birth_date.map(|day| day.to_dicom()).unwrap_or_default();
    let number = id.map_or("", |id| id.id.as_str());
    let issuer = id.and_then(|id| id.issuer.as_deref()).unwrap_or("");
    Line::new("PID")
        .text("1")
        .skip(1)
        .parts(&[number, "", "", issuer])
        .skip(1)
        // HL7 has the suffix before the prefix.
        .parts(&[part(0), part(1), part(2), part(4), part(3), "", "L"])
        .skip(1)
        .text(&birth_date)
        .text(patient.sex.as_str())
        .end()
}

/// How the patient index misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Takes the question and never answers.
    Stall,
    /// Closes in the middle of its answer.
    Cut,
    /// Answers AE.
    Refuse,
    /// Answers another question.
    OtherControlId,
    /// Answers what is no HL7.
    Nonsense,
    /// Ignores what was asked and tells everybody.
    IgnoreKeys,
    /// Says that there are more.
    More,
}

struct Known {
    patients: Mutex<Vec<Patient>>,
    fault: Mutex<Fault>,
    questions: Mutex<Vec<String>>,
}

/// A patient index on loopback. Dropping it stops it.
pub struct Index {
    address: SocketAddr,
    stop: CancellationToken,
    _tasks: JoinSet<()>,
    known: Arc<Known>,
}

impl Index {
    /// Starts on a free port.
    pub async fn start(patients: Vec<Patient>, fault: Fault) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let known = Arc::new(Known {
            patients: Mutex::new(patients),
            fault: Mutex::new(fault),
            questions: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (inner, token) = (Arc::clone(&known), stop.clone());
        tasks.spawn(async move {
            let connection = |stream, _| serve(stream, Arc::clone(&inner), token.clone());
            let grace = Duration::from_secs(1);
            dimse::listen(listener, token.clone(), grace, CONNECTIONS, connection).await;
        });
        Ok(Self { address, stop, _tasks: tasks, known })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.known.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// The questions so far, as they came.
    pub fn questions(&self) -> Vec<String> {
        self.known.questions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(stream: TcpStream, known: Arc<Known>, stop: CancellationToken) {
    let fault = *known.fault.lock().unwrap_or_else(PoisonError::into_inner);
    let patience = Patience { idle: PATIENCE, frame: PATIENCE };
    let mut link = Link::new(stream, patience);
    while let Ok(Some(Frame::Whole(question))) = link.next().await {
        let text = String::from_utf8_lossy(&question).into_owned();
        known.questions.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        if fault == Fault::Stall {
            stop.cancelled().await;
            return;
        }
        let Ok(question) = Message::parse_answer(&question) else { return };
        let answer = known.answer(&question, fault);
        let sent = match fault {
            // Without a word more, which is a cut for who waits.
            Fault::Cut => return,
            Fault::Nonsense => link.send(b"<html>502 Bad Gateway</html>").await,
            _ => link.send(answer.as_bytes()).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

impl Known {
    fn answer(&self, question: &Message, fault: Fault) -> String {
        let control_id = match fault {
            Fault::OtherControlId => "ANOTHER",
            _ => question.head.control_id.as_str(),
        };
        let verdict = if fault == Fault::Refuse { "AE" } else { "AA" };
        let qpd = question.segment("QPD");
        let tag = qpd.and_then(|qpd| qpd.field(2).text(1)).unwrap_or_default();
        let wanted = |patient: &&Patient| {
            let keys = qpd.map(|qpd| qpd.field(3).repetitions().collect::<Vec<_>>());
            fault == Fault::IgnoreKeys
                || keys.iter().flatten().all(|key| {
                    fits(
                        patient,
                        &key.text(1).unwrap_or_default(),
                        &key.text(2).unwrap_or_default(),
                    )
                })
        };
        let patients = self.patients.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<String> = patients.iter().filter(wanted).map(pid).collect();
        let kind = ["RSP", "K22", "RSP_K21"];
        let mut text = hl7::header(("MPI", ""), ("LOTSE", ""), "20260301", &kind, "M1", "P", "2.5");
        text.push_str(&Line::new("MSA").text(verdict).text(control_id).end());
        let status = if found.is_empty() { "NF" } else { "OK" };
        text.push_str(&Line::new("QAK").text(&tag).text(status).end());
        text.push_str(&Line::new("QPD").text("IHE PDQ Query").text(&tag).end());
        if fault != Fault::Refuse {
            text.extend(found);
        }
        if fault == Fault::More {
            text.push_str(&Line::new("DSC").text("next").text("I").end());
        }
        text
    }
}

fn fits(patient: &Patient, key: &str, value: &str) -> bool {
    let id = patient.id.as_ref();
    let name = patient.name.as_ref();
    match key {
        "@PID.3.1" => id.is_some_and(|id| id.id == value),
        "@PID.3.4.1" => id.is_some_and(|id| id.issuer.as_deref() == Some(value)),
        "@PID.5.1" => name.is_some_and(|name| name.family() == value),
        "@PID.5.2" => name.is_some_and(|name| name.given() == value),
        "@PID.7" => patient.birth_date.is_some_and(|day| day.to_dicom() == value),
        _ => true,
    }
}
