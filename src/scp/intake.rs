//! What the door needs of the scheduler.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Moment;
use crate::confirm::{self, Standing};
use crate::dicom::Uid;
use crate::dicom::inspect::Found;
use crate::dimse::{Report, Status};
use crate::fetch::Moves;
use crate::forward::HeldStudy;
use crate::import::{Inspected, Kind};
use crate::pipeline::{Arrival, Pipeline, Refusal};
use crate::spool::Sealed;
use crate::unpack::ScanSection;

/// Takes objects in. The scheduler is one; tests have their own.
#[async_trait]
pub trait Intake: Send + Sync {
    /// The import that objects of this peer go to.
    async fn arrival(&self, kind: Kind) -> Result<Arrival, Refusal>;

    /// How objects are scanned for viruses now, before any is taken.
    fn scan(&self) -> ScanSection;

    /// The C-MOVEs of ours that peers send objects for.
    fn moves(&self) -> Moves {
        Moves::default()
    }

    /// Studies that are decided and still held. Blocking.
    fn held(&self) -> Vec<Arc<HeldStudy>> {
        Vec::new()
    }

    /// One small object, sealed for the arrival's spool. Durable when it returns.
    async fn keep(&self, arrival: &Arrival, found: Found, sealed: Sealed) -> Result<(), Refusal>;

    /// One object, synced in the arrival's spool. Durable when it returns.
    async fn stored(&self, arrival: &Arrival, instance: Inspected) -> Result<(), Refusal>;

    /// Whether this peer was, or may be, asked to commit itself to what it stored, and reports on it here.
    fn awaits_reports(&self, peer: &str) -> bool;

    /// Where an instance stands that a peer sent; `None` if we do not hold it.
    fn standing(&self, sop_instance: &Uid) -> Option<Standing>;

    fn now(&self) -> Moment;

    /// Takes such a report; gives the answer to it. Durable when it returns.
    async fn reported(&self, peer: &str, report: Report) -> Status;
}

#[async_trait]
impl Intake for Pipeline {
    async fn arrival(&self, kind: Kind) -> Result<Arrival, Refusal> {
        Self::arrival(self, kind).await
    }

    fn scan(&self) -> ScanSection {
        Self::scan(self)
    }

    async fn keep(&self, arrival: &Arrival, found: Found, sealed: Sealed) -> Result<(), Refusal> {
        Self::keep(self, arrival, found, sealed).await
    }

    async fn stored(&self, arrival: &Arrival, instance: Inspected) -> Result<(), Refusal> {
        Self::stored(self, arrival, instance).await
    }

    fn moves(&self) -> Moves {
        Self::moves(self)
    }

    fn held(&self) -> Vec<Arc<HeldStudy>> {
        Self::held(self)
    }

    fn awaits_reports(&self, peer: &str) -> bool {
        Self::awaits_reports(self, peer)
    }

    fn standing(&self, sop_instance: &Uid) -> Option<Standing> {
        let imports = self.imports();
        confirm::standing(imports.iter().map(|import| &**import), sop_instance)
    }

    fn now(&self) -> Moment {
        self.clock().now()
    }

    async fn reported(&self, peer: &str, report: Report) -> Status {
        self.commitment_reported(peer, report).await
    }
}
