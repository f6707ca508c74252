//! One C-STORE: from PDVs to bytes and a record on the device.
//!
//! Invariant: success is answered only behind `Intake::keep` or `Intake::stored`; on every other way out the bytes
//! that came belong to no instance.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::Intake;
use super::look::{Looked, Looks};
use super::plain::Plain;
use crate::dicom::inspect;
use crate::dimse::{self, ServerAssociation, Status, Store};
use crate::import::{Blob, Inspected, Kind};
use crate::pipeline::{Arrival, Refusal, Stay};
use crate::spool::{self, AsyncPack};
use crate::unpack::{self, ScanSection};

/// An import that we were sent to may become quiet before we get there; not often in a row.
const ENTRIES: usize = 8;

/// The objects of one association: packs as long as they go to one import.
pub(super) struct Reception {
    intake: Arc<dyn Intake>,
    kind: Kind,
    /// What all associations may hold of large objects for looking at them.
    room: Arc<Semaphore>,
    looks: Looks,
    place: Option<Place>,
    stored: u64,
    refused: u64,
    /// Of the last object that was sealed while it came; those of a series are as long.
    length: usize,
}

/// Where objects go at present.
struct Place {
    arrival: Arrival,
    /// Of this association alone; for what is too large to be sealed in memory.
    pack: Option<AsyncPack>,
}

/// What ends the reception of one object before its end.
enum Fault {
    /// The association is over.
    Association(dimse::Error),
    /// The object is answered so.
    Answer(Status),
}

/// An object that a look broke on.
const BROKE: Fault = Fault::Answer(Status::CANNOT_UNDERSTAND);

impl From<dimse::Error> for Fault {
    fn from(error: dimse::Error) -> Self {
        Self::Association(error)
    }
}

impl From<spool::Error> for Fault {
    fn from(error: spool::Error) -> Self {
        tracing::warn!(%error, "object not spooled");
        Self::Answer(if error.is_full() {
            Status::OUT_OF_RESOURCES
        } else {
            Status::PROCESSING_FAILURE
        })
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Answer(match refusal {
            // The peer may try again, and then it is another import or a gateway that is back.
            Refusal::Full(_) | Refusal::Stopping | Refusal::NotNow(_) | Refusal::Unknown => {
                Status::OUT_OF_RESOURCES
            }
            Refusal::Invalid(_) | Refusal::Unkept(_) => Status::PROCESSING_FAILURE,
        })
    }
}

impl Reception {
    pub(super) fn new(
        intake: Arc<dyn Intake>,
        kind: Kind,
        room: Arc<Semaphore>,
        looks: Looks,
    ) -> Self {
        Self { intake, kind, room, looks, place: None, stored: 0, refused: 0, length: 0 }
    }

    /// Objects stored and refused.
    pub(super) fn tally(&self) -> (u64, u64) {
        (self.stored, self.refused)
    }

    /// Takes one object; gives the status to answer.
    pub(super) async fn receive(
        &mut self,
        association: &mut ServerAssociation,
        store: &Store,
    ) -> Result<Status, dimse::Error> {
        match self.take(association, store).await {
            Ok(()) => {
                self.stored = self.stored.saturating_add(1);
                Ok(Status::SUCCESS)
            }
            Err(fault) => {
                self.refused = self.refused.saturating_add(1);
                if let Some(Place { pack: own @ Some(_), .. }) = &mut self.place
                    && let Some(pack) = own
                    && pack.abandon().await.is_err()
                {
                    // A pack that can not even give a blob up is not written to again.
                    *own = None;
                }
                match fault {
                    Fault::Association(error) => Err(error),
                    Fault::Answer(status) => Ok(status),
                }
            }
        }
    }

    async fn take(
        &mut self,
        association: &mut ServerAssociation,
        store: &Store,
    ) -> Result<(), Fault> {
        // Held until the object is in the books: the import is not quiet meanwhile.
        let (place, _stay) = enter(&mut self.place, self.intake.as_ref(), &self.kind).await?;
        let (spool, mut plain) =
            (&place.arrival.spool, Plain::new(Arc::clone(&self.room), self.length));
        let mut rest = None;
        while rest.is_none() {
            let Some(bytes) = association.next_chunk().await? else { break };
            rest = plain.hold(bytes, spool)?;
        }
        let (intake, scan) = (&self.intake, self.intake.scan());
        let kept = if rest.is_none() && plain.is_small() {
            let looked = self.looks.at_plain(&plain, &store.transfer_syntax).await;
            let found = judge(looked.ok_or(BROKE)?, store)?;
            let reader = plain.reader();
            clear(scan, || Ok(reader)).await?;
            intake.keep(&place.arrival, found, plain.seal(spool)?).await
        } else {
            let (found, blob) = if let Some(rest) = rest {
                stream(place, association, store, (plain, rest), &self.looks).await?
            } else {
                self.length = plain.length();
                let sealed = plain.seal(spool)?;
                // The device works while we look.
                let look = self.looks.at_plain(&plain, &store.transfer_syntax);
                let (blob, looked) = tokio::join!(place.arrival.committer().commit(sealed), look);
                (judge(looked.ok_or(BROKE)?, store)?, blob?)
            };
            let (spool, kept) = (place.arrival.spool.clone(), blob.clone());
            clear(scan, move || spool.read(&kept)).await?;
            intake.stored(&place.arrival, Inspected::new(found, blob)).await
        };
        if kept.is_err() {
            // It may have been cancelled; the next object asks anew.
            self.place = None;
        }
        Ok(kept?)
    }
}

/// The place of the last object, or a new one if the quiet time has made another import of it.
async fn enter<'a>(
    known: &'a mut Option<Place>,
    intake: &dyn Intake,
    kind: &Kind,
) -> Result<(&'a mut Place, Stay), Fault> {
    let mut stay = known.as_ref().and_then(|place| place.arrival.enter());
    if let (Some(_), Some(place)) = (&stay, &*known) {
        place.arrival.spool.spool().admits(0)?;
    }
    for _ in 0..ENTRIES {
        if stay.is_some() {
            break;
        }
        let arrival = intake.arrival(kind.clone()).await?;
        stay = arrival.enter();
        *known = Some(Place { arrival, pack: None });
    }
    known.as_mut().zip(stay).ok_or(Fault::Answer(Status::OUT_OF_RESOURCES))
}

/// Takes the rest of an object that is too large for memory, with `plain` as its beginning and `rest` behind it.
async fn stream(
    place: &mut Place,
    association: &mut ServerAssociation,
    store: &Store,
    (plain, rest): (Plain, Bytes),
    looks: &Looks,
) -> Result<(inspect::Found, Blob), Fault> {
    let spool = place.arrival.spool.clone();
    let pack = match &mut place.pack {
        Some(pack) => pack,
        None => {
            let (spool, failed) = (spool.clone(), Fault::Answer(Status::PROCESSING_FAILURE));
            let pack = tokio::task::spawn_blocking(move || spool.pack_synced_often()).await;
            place.pack.insert(pack.map_err(|_| failed)??.into_async())
        }
    };
    pack.begin();
    for part in plain.parts() {
        pack.write(part.clone()).await?;
    }
    drop(plain);
    pack.write(rest).await?;
    while let Some(bytes) = association.next_chunk().await? {
        pack.write(bytes).await?;
    }
    let blob = pack.finish().await?;
    let look = looks.at_spooled(&spool, &blob, &store.transfer_syntax);
    let (looked, synced) = tokio::join!(look, pack.sync());
    let looked = looked.ok_or(BROKE)?;
    let found = judge(looked?, store)?;
    synced?;
    Ok((found, blob))
}

/// Whether what was found may be answered with success.
fn judge(looked: Looked, store: &Store) -> Result<inspect::Found, Fault> {
    let found = looked.map_err(|error| {
        tracing::warn!(%error, "object refused, it can not be read");
        Fault::Answer(Status::CANNOT_UNDERSTAND)
    })?;
    if found.sop_instance != store.sop_instance || found.sop_class != store.sop_class {
        tracing::warn!("object refused, its UIDs are not those of the request");
        return Err(Fault::Answer(Status::DOES_NOT_MATCH_CLASS));
    }
    Ok(found)
}

/// Has the bytes that `open` gives scanned for viruses where the site does so.
async fn clear<R: Read>(
    scanning: ScanSection,
    open: impl FnOnce() -> Result<R, spool::Error> + Send + 'static,
) -> Result<(), Fault> {
    if scanning.clamd_socket.is_none() {
        return Ok(());
    }
    let scanned = tokio::task::spawn_blocking(move || {
        match unpack::objection(&scanning, &mut open()?) {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => {
                tracing::warn!("object refused: {reason}");
                Err(Fault::Answer(Status::CANNOT_UNDERSTAND))
            }
            // The peer keeps it and sends it again, by then perhaps to a scanner that is back.
            Err(error) => {
                tracing::warn!(%error, "object refused");
                Err(Fault::Answer(Status::OUT_OF_RESOURCES))
            }
        }
    });
    scanned.await.map_err(|_| Fault::Answer(Status::CANNOT_UNDERSTAND))?
}
