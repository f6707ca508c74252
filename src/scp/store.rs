//! One C-STORE: from PDVs to bytes and a record on the device.
//!
//! Invariant: success is answered only behind `Intake::stored`; on every other way out the bytes that came belong
//! to no instance.

use std::sync::Arc;

use super::Intake;
use crate::dicom::{Uid, inspect, scan};
use crate::dimse::{self, ServerAssociation, Status, Store};
use crate::import::{Blob, ImportId, Inspected, Kind};
use crate::pipeline::{Arrival, Refusal};
use crate::spool::{self, AsyncPack, ImportSpool};
use crate::unpack::{self, ScanSection};

/// The objects of one association: one pack as long as they go to one import.
pub(super) struct Reception {
    intake: Arc<dyn Intake>,
    kind: Kind,
    pack: Option<(ImportId, AsyncPack)>,
    stored: u64,
    refused: u64,
}

/// What ends the reception of one object before its end.
enum Fault {
    /// The association is over.
    Association(dimse::Error),
    /// The object is answered so.
    Answer(Status),
}

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
            Refusal::Invalid(_) => Status::PROCESSING_FAILURE,
        })
    }
}

impl Reception {
    pub(super) fn new(intake: Arc<dyn Intake>, kind: Kind) -> Self {
        Self { intake, kind, pack: None, stored: 0, refused: 0 }
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
                if let Some((_, pack)) = &mut self.pack {
                    // A pack that can not even give a blob up is not written to again.
                    if pack.abandon().await.is_err() {
                        self.pack = None;
                    }
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
        let arrival = self.intake.arrival(self.kind.clone()).await?;
        let scanning = self.intake.scan();
        let pack = self.pack_of(&arrival).await?;
        pack.begin().await?;
        while let Some(bytes) = association.next_chunk().await? {
            pack.write(bytes).await?;
        }
        let blob = pack.finish().await?;
        // The device works while we look at what it will hold.
        let seen = Seen { spool: arrival.spool.clone(), blob: blob.clone() };
        let look = look(seen, store.transfer_syntax.clone(), scanning);
        let (found, synced) = tokio::join!(look, pack.sync());
        let found = found?;
        if found.sop_instance != store.sop_instance || found.sop_class != store.sop_class {
            tracing::warn!("object refused, its UIDs are not those of the request");
            return Err(Fault::Answer(Status::DOES_NOT_MATCH_CLASS));
        }
        synced?;
        let instance = Inspected {
            sop_class: found.sop_class,
            sop_instance: found.sop_instance,
            series: found.series,
            layout: found.layout,
            blob,
            facts: found.facts,
        };
        self.intake.stored(&arrival, instance).await?;
        Ok(())
    }

    /// The pack for this arrival; a new one if the quiet time has made another import of it.
    async fn pack_of(&mut self, arrival: &Arrival) -> Result<&mut AsyncPack, Fault> {
        let fits = self.pack.as_ref().is_some_and(|(import, _)| *import == arrival.id);
        if !fits {
            let spool = arrival.spool.clone();
            let pack = tokio::task::spawn_blocking(move || spool.pack())
                .await
                .map_err(|_| Fault::Answer(Status::PROCESSING_FAILURE))??;
            self.pack = Some((arrival.id, pack.into_async()));
        }
        match &mut self.pack {
            Some((_, pack)) => Ok(pack),
            None => Err(Fault::Answer(Status::PROCESSING_FAILURE)),
        }
    }
}

/// The bytes of one object, stored but not taken yet.
struct Seen {
    spool: ImportSpool,
    blob: Blob,
}

/// Walks the stored bytes, which proves that they can be read back too, and has them scanned where the site
/// does so.
async fn look(
    seen: Seen,
    transfer_syntax: Uid,
    scanning: ScanSection,
) -> Result<inspect::Found, Fault> {
    let looked = tokio::task::spawn_blocking(move || {
        let mut reader = seen.spool.read(&seen.blob)?;
        let limits = scan::Limits::default();
        let scanned = scan::scan_data_set(&mut reader, seen.blob.length, &transfer_syntax, &limits);
        let found =
            scanned.map_err(inspect::Error::from).and_then(inspect::inspect).map_err(|error| {
                tracing::warn!(%error, "object refused, it can not be read");
                Fault::Answer(Status::CANNOT_UNDERSTAND)
            })?;
        match unpack::objection(&scanning, &mut seen.spool.read(&seen.blob)?) {
            Ok(None) => Ok(found),
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
    looked.await.map_err(|_| Fault::Answer(Status::CANNOT_UNDERSTAND))?
}
