//! C-STORE as requestor: an object streamed from a channel into PDVs.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::client::{Client, wrong_answer};
use super::command::Command;
use super::fragments::{Fragments, Taken};
use super::message::{Ear, Part, Place, Voice};
use super::retrieve::Originator;
use super::{Chunk, Error, Status, Timeouts};
use crate::dicom::Uid;

impl Client {
    /// C-STORE; `data` yields the data set in the transfer syntax of the accepted context.
    ///
    /// An early answer with a failure is kept until the object is sent, which both sides need to go on. An early
    /// success is a breach: the peer can not have stored what it has not got.
    ///
    /// # Errors
    ///
    /// [`Error::ContextRefused`] leaves the association usable, every other error has ended it.
    pub async fn store(
        &mut self,
        sop_class: &Uid,
        sop_instance: &Uid,
        transfer_syntax: &Uid,
        data: &mut mpsc::Receiver<Chunk>,
    ) -> Result<Status, Error> {
        self.store_of((sop_class, sop_instance, transfer_syntax), None, data).await
    }

    /// [`Self::store`] on behalf of a C-MOVE.
    pub async fn store_for(
        &mut self,
        originator: &Originator,
        object: (&Uid, &Uid, &Uid),
        data: &mut mpsc::Receiver<Chunk>,
    ) -> Result<Status, Error> {
        self.store_of(object, Some(originator.clone()), data).await
    }

    async fn store_of(
        &mut self,
        (sop_class, sop_instance, transfer_syntax): (&Uid, &Uid, &Uid),
        originator: Option<Originator>,
        data: &mut mpsc::Receiver<Chunk>,
    ) -> Result<Status, Error> {
        let context = self.context(sop_class, Some(transfer_syntax))?;
        let message_id = self.next_message_id();
        let command = Command::StoreRq {
            message_id,
            sop_class: sop_class.clone(),
            sop_instance: sop_instance.clone(),
            originator,
        };
        let result = self.store_as(context, message_id, &command, data).await;
        self.settle(result).await
    }

    async fn store_as(
        &mut self,
        context: u8,
        message_id: u16,
        command: &Command,
        data: &mut mpsc::Receiver<Chunk>,
    ) -> Result<Status, Error> {
        let ends = (&mut self.ear, &mut self.voice, self.timeouts);
        let (status, _) = store_over(ends, context, (message_id, command), data).await?;
        Ok(status)
    }
}

/// Sends an object over an association of either side. The number is of a C-CANCEL that came meanwhile.
pub(super) async fn store_over(
    (ear, voice, timeouts): (&mut Ear, &mut Voice, Timeouts),
    context: u8,
    (message_id, command): (u16, &Command),
    data: &mut mpsc::Receiver<Chunk>,
) -> Result<(Status, Option<u16>), Error> {
    voice.command(context, command).await?;
    let mut sending =
        Sending { ear, voice, timeouts, context, message_id, early: None, cancelled: None };
    sending.all(data).await?;
    loop {
        if let Some(status) = sending.early {
            return Ok((status, sending.cancelled));
        }
        let heard = sending.ear.next(timeouts.response, "we waited for its answer").await?;
        sending.take_answer(&heard, Early::No)?;
    }
}

/// An object under way.
struct Sending<'a> {
    ear: &'a mut Ear,
    voice: &'a mut Voice,
    timeouts: Timeouts,
    context: u8,
    message_id: u16,
    /// A refusal that came before the object was sent.
    early: Option<Status>,
    /// What a C-CANCEL that came meanwhile is about.
    cancelled: Option<u16>,
}

impl Sending<'_> {
    /// Cuts what comes into fragments of full size.
    async fn all(&mut self, data: &mut mpsc::Receiver<Chunk>) -> Result<(), Error> {
        let mut fragments = Fragments::new(self.context, self.voice.fragment());
        while let Some(bytes) = self.chunk(data).await? {
            let mut bytes = bytes.as_ref();
            while let Taken::Full { rest } = fragments.take(bytes) {
                self.write(Place::Within, fragments.pdus()).await?;
                fragments.written();
                bytes = rest;
            }
        }
        self.write(Place::Last, fragments.last()).await
    }

    /// The next bytes, or `None` at the end that the source declared.
    async fn chunk(&mut self, data: &mut mpsc::Receiver<Chunk>) -> Result<Option<Bytes>, Error> {
        loop {
            let patience = self.timeouts.response;
            tokio::select! {
                biased;
                heard = self.ear.next(patience.saturating_mul(2), HEARING), if self.early.is_none() => {
                    self.hear(heard)?;
                }
                chunk = timeout(patience, data.recv()) => {
                    return match chunk {
                        Ok(Some(Chunk::Bytes(bytes))) => Ok(Some(bytes)),
                        Ok(Some(Chunk::End)) => Ok(None),
                        Ok(None) | Err(_) => Err(Error::SourceEnded),
                    };
                }
            }
        }
    }

    /// Writes PDUs, hearing what the peer says meanwhile: a peer that aborts may stop reading.
    async fn write(&mut self, place: Place, pdus: &[u8]) -> Result<(), Error> {
        let patience = self.timeouts.write.saturating_mul(2);
        let mut said = None;
        {
            let write = self.voice.outbound.send_pdus(pdus);
            tokio::pin!(write);
            loop {
                tokio::select! {
                    biased;
                    heard = self.ear.next(patience, HEARING), if self.early.is_none() && said.is_none() => {
                        match heard {
                            Ok(part) => said = Some(part),
                            Err(error) => return Err(error),
                        }
                    }
                    written = &mut write => {
                        match written {
                            Ok(()) => break,
                            // The reason may lie unread: an abort that came while we wrote.
                            Err(error) => return Err(last_word(self.ear, error).await),
                        }
                    }
                }
            }
        }
        match said {
            // With the last fragment on its way an answer is not early any more.
            Some(part) if place == Place::Last => self.take_answer(&part, Early::No),
            Some(part) => self.take_answer(&part, Early::Yes),
            None => Ok(()),
        }
    }

    fn hear(&mut self, heard: Result<Part, Error>) -> Result<(), Error> {
        self.take_answer(&heard?, Early::Yes)
    }

    fn take_answer(&mut self, part: &Part, early: Early) -> Result<(), Error> {
        match part {
            Part::Command { command: Command::StoreRsp { responded, status, .. }, .. }
                if *responded == self.message_id =>
            {
                use super::StatusClass::{Duplicate, Permanent, Retry, RetryFewTimes};
                let refusal =
                    matches!(status.class(), Permanent | Retry | RetryFewTimes | Duplicate);
                if early == Early::Yes && !refusal {
                    return Err(Error::protocol(
                        "a success before the object was sent",
                        super::Abort::UnexpectedParameter,
                    ));
                }
                self.early = Some(*status);
                Ok(())
            }
            Part::Command { command: Command::CancelRq { responded }, .. } => {
                self.cancelled = Some(*responded);
                Ok(())
            }
            Part::Released => Err(Error::Released(HEARING)),
            Part::Command { .. } | Part::Data { .. } => Err(wrong_answer()),
        }
    }
}

const HEARING: &str = "we were sending an object";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Early {
    Yes,
    No,
}

/// What the peer said before the connection broke, if that is the better explanation.
async fn last_word(ear: &mut Ear, error: Error) -> Error {
    let wait = std::time::Duration::from_millis(200);
    match ear.next(wait, HEARING).await {
        Err(said @ Error::Aborted(_)) => said,
        Ok(Part::Released) => Error::Released(HEARING),
        Ok(_) | Err(_) => error,
    }
}
