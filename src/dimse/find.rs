//! C-FIND as requestor: identifiers out, matches in, as many as wanted.

use dicom_dictionary_std::uids;

use super::client::{Client, wrong_answer};
use super::command::{Command, Payload};
use super::message::{Part, Place};
use super::{Abort, Error, Status, StatusClass};
use crate::dicom::{DataSet, Syntax, Uid};

/// One worklist item has a few kilobytes.
pub(super) const IDENTIFIER_LIMIT: usize = 1 << 20;

/// All identifiers of one answer together, before parsing: 100,000 items of 1 KB fit.
const ANSWER_LIMIT: usize = 128 << 20;

/// So many matches more are read after a C-CANCEL before we abort: peers notice it late, or never.
const CANCEL_PATIENCE: usize = 1_000;

/// The answer to a C-FIND.
pub struct Found {
    pub identifiers: Vec<DataSet>,
    pub status: Status,
    /// Not everything is here: the limit was reached and the rest cancelled, or an identifier was unreadable.
    pub cut: bool,
}

/// An answer under way.
struct Gathering {
    found: Found,
    bytes: usize,
    unreadable: u32,
    /// Matches since we cancelled.
    cancelled: Option<usize>,
}

impl Client {
    /// C-FIND with an identifier in Implicit or Explicit VR Little Endian as accepted: gives the identifiers that
    /// matched as `DataSet`s, at most `limit`; above it C-CANCEL is sent.
    ///
    /// # Errors
    ///
    /// [`Error::ContextRefused`] leaves the association usable, every other error has ended it. A failure
    /// status is no error: it is in [`Found::status`].
    pub async fn find(
        &mut self,
        sop_class: &Uid,
        identifier: &DataSet,
        limit: usize,
    ) -> Result<Found, Error> {
        let explicit = super::negotiate::known(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let implicit = super::negotiate::known(uids::IMPLICIT_VR_LITTLE_ENDIAN);
        let (context, syntax) = match self.context(sop_class, Some(&explicit)) {
            Ok(context) => (context, Syntax::ExplicitLittle),
            Err(_) => (self.context(sop_class, Some(&implicit))?, Syntax::ImplicitLittle),
        };
        let result = self.find_as(context, syntax, sop_class, identifier, limit).await;
        self.settle(result).await
    }

    async fn find_as(
        &mut self,
        context: u8,
        syntax: Syntax,
        sop_class: &Uid,
        identifier: &DataSet,
        limit: usize,
    ) -> Result<Found, Error> {
        let message_id = self.next_message_id();
        let command = Command::FindRq { message_id, sop_class: sop_class.clone() };
        self.voice.command(context, &command).await?;
        self.voice.data(context, &identifier.write(syntax)).await?;
        let mut gathering = Gathering {
            found: Found { identifiers: Vec::new(), status: Status::SUCCESS, cut: false },
            bytes: 0,
            unreadable: 0,
            cancelled: None,
        };
        loop {
            let Command::FindRsp { responded, status, payload, .. } = self.answer().await? else {
                return Err(wrong_answer());
            };
            if responded != message_id {
                return Err(wrong_answer());
            }
            let bytes = match payload {
                Payload::Follows => Some(self.identifier().await?),
                Payload::Absent => None,
            };
            if status.class() != StatusClass::Pending {
                gathering.found.status = status;
                return Ok(gathering.end());
            }
            let Some(bytes) = bytes else {
                return Err(Error::protocol(
                    "a match without an identifier",
                    Abort::UnexpectedParameter,
                ));
            };
            match gathering.cancelled {
                Some(seen) if seen >= CANCEL_PATIENCE => {
                    // The peer does not hear us; what we have is cut, not wrong.
                    self.abort(None).await;
                    gathering.found.status = Status::CANCELLED;
                    return Ok(gathering.end());
                }
                Some(seen) => gathering.cancelled = Some(seen + 1),
                None if gathering.is_full(limit, bytes.len()) => {
                    gathering.cancelled = Some(0);
                    gathering.found.cut = true;
                    let cancel = Command::CancelRq { responded: message_id };
                    self.voice.command(context, &cancel).await?;
                }
                None => gathering.take(&bytes, syntax),
            }
        }
    }

    pub(super) async fn identifier(&mut self) -> Result<Vec<u8>, Error> {
        const DOING: &str = "we waited for an identifier";
        let mut whole = Vec::new();
        loop {
            match self.ear.next(self.timeouts.response, DOING).await? {
                Part::Data { bytes, place } => {
                    if whole.len().saturating_add(bytes.len()) > IDENTIFIER_LIMIT {
                        let limit = IDENTIFIER_LIMIT as u64;
                        return Err(Error::TooLarge { what: "an identifier", limit });
                    }
                    whole.extend_from_slice(&bytes);
                    if place == Place::Last {
                        return Ok(whole);
                    }
                }
                Part::Command { .. } => return Err(wrong_answer()),
                Part::Released => return Err(Error::Released(DOING)),
            }
        }
    }
}

impl Gathering {
    fn is_full(&self, limit: usize, more: usize) -> bool {
        self.found.identifiers.len() >= limit || self.bytes.saturating_add(more) > ANSWER_LIMIT
    }

    /// An identifier that can not be read costs itself, not the answer; but the answer is not whole then.
    fn take(&mut self, bytes: &[u8], syntax: Syntax) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        match DataSet::read(bytes, syntax) {
            Ok(identifier) => self.found.identifiers.push(identifier),
            Err(_) => self.unreadable = self.unreadable.saturating_add(1),
        }
    }

    fn end(mut self) -> Found {
        if self.unreadable > 0 {
            tracing::warn!(
                count = self.unreadable,
                "identifiers of a query answer were unreadable"
            );
            self.found.cut = true;
        }
        self.found
    }
}
