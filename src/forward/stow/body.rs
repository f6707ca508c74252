//! The body of one request: `multipart/related`, an object a part (PS3.18 8.6.1.2), made while it is sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Item;
use crate::dicom::StudyFacts;
use crate::forward::object::{self, Closed, Fault, Job};
use crate::forward::source::Source;
use crate::forward::{Recorder, part10};
use crate::reconcile::Plan;

pub(super) struct Producer {
    pub(super) items: Vec<Item>,
    pub(super) boundary: String,
    pub(super) plan: Arc<Plan>,
    pub(super) facts: Arc<StudyFacts>,
    pub(super) source: Arc<dyn Source>,
    pub(super) recorder: Arc<dyn Recorder>,
}

/// What became of the objects on this side.
#[derive(Default)]
pub(super) struct Sent {
    /// Those that could not be made, which the server never saw.
    pub(super) refused: Vec<(u32, String)>,
    /// The one that broke off, and the request with it.
    pub(super) broken: Option<(u32, Fault)>,
}

impl Producer {
    /// Blocking. `tell` is heard when the first object is ready; if none is, it is dropped.
    pub(super) fn produce(
        self,
        tell: oneshot::Sender<()>,
        sender: &mpsc::Sender<io::Result<Bytes>>,
    ) -> Sent {
        let mut sent = Sent::default();
        let mut tell = Some(tell);
        for item in &self.items {
            match self.one(item, &mut tell, sender) {
                Ok(()) => {}
                Err(Stopped::Before(fault)) => match super::lasting(fault) {
                    Ok(sentence) => sent.refused.push((item.number, sentence)),
                    Err(_) => {
                        // What fails for the moment ends the request here; the next run has the rest.
                        let fault = Fault::Read(io::Error::other("not readable now"));
                        sent.broken = Some((item.number, fault));
                        break_off(sender);
                        return sent;
                    }
                },
                Err(Stopped::Within(fault)) => {
                    sent.broken = Some((item.number, fault));
                    break_off(sender);
                    return sent;
                }
                Err(Stopped::Closed) => return sent,
            }
        }
        if tell.is_none() {
            let end = format!("\r\n--{}--\r\n", self.boundary);
            let _ = sender.blocking_send(Ok(Bytes::from(end)));
        }
        sent
    }

    fn one(
        &self,
        item: &Item,
        tell: &mut Option<oneshot::Sender<()>>,
        sender: &mpsc::Sender<io::Result<Bytes>>,
    ) -> Result<(), Stopped> {
        let mut reader = self.source.open(&item.instance.blob).map_err(Stopped::Before)?;
        let job = Job {
            plan: &self.plan,
            facts: &self.facts,
            number: item.number,
            instance: &item.instance,
            transfer_syntax: &item.transfer_syntax,
        };
        let prepared = object::prepare(&mut reader, &job).map_err(Stopped::Before)?;
        let head = part10::head(&item.instance, &item.transfer_syntax, &self.plan.modifying_system);
        let head = head.map_err(Stopped::Before)?;
        let break_before = if tell.is_some() { "" } else { "\r\n" };
        if let Some(tell) = tell.take() {
            tell.send(()).map_err(|()| Stopped::Closed)?;
        }
        // Without the transfer syntax, which is in the part: Orthanc refuses a parameter there.
        let start =
            format!("{break_before}--{}\r\nContent-Type: application/dicom\r\n\r\n", self.boundary);
        let mut sink = |bytes: Bytes| {
            let length = u64::try_from(bytes.len()).unwrap_or(0);
            sender.blocking_send(Ok(bytes)).map_err(|_| Closed)?;
            self.recorder.sent_bytes(length);
            Ok(())
        };
        sink(Bytes::from(start)).map_err(|Closed| Stopped::Closed)?;
        sink(Bytes::from(head)).map_err(|Closed| Stopped::Closed)?;
        prepared.stream(&mut reader, &mut sink).map_err(|fault| match fault {
            Fault::Closed => Stopped::Closed,
            fault => Stopped::Within(fault),
        })
    }
}

enum Stopped {
    /// No byte of it left.
    Before(Fault),
    Within(Fault),
    /// The request has its answer, or has none to come.
    Closed,
}

/// An error in the body breaks the connection, so that the server does not take what came for a whole.
fn break_off(sender: &mpsc::Sender<io::Result<Bytes>>) {
    let _ = sender.blocking_send(Err(io::Error::from(io::ErrorKind::InvalidData)));
}
