//! Outcomes on their way to the recorder.
//!
//! Invariant: never more than [`UNRECORDED`] outcomes of one association are unrecorded, and none after
//! [`Ledger::finish`].

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Gone, Recorder};
use crate::import::InstanceOutcome;

/// What a crash may repeat for each association. Recording goes on beside the next send, so that a sync of
/// the journal does not stand between two objects.
pub(super) const UNRECORDED: usize = 4;

pub(super) struct Ledger {
    recorder: Arc<dyn Recorder>,
    waiting: Vec<(u32, InstanceOutcome)>,
    /// At most one call to the recorder.
    flight: JoinSet<Result<(), Gone>>,
    flying: usize,
}

impl Ledger {
    pub(super) fn new(recorder: Arc<dyn Recorder>) -> Self {
        Self { recorder, waiting: Vec::new(), flight: JoinSet::new(), flying: 0 }
    }

    /// Takes one outcome; waits if too many are unrecorded.
    pub(super) async fn push(&mut self, number: u32, outcome: InstanceOutcome) -> Result<(), Gone> {
        self.waiting.push((number, outcome));
        while let Some(landed) = self.flight.try_join_next() {
            self.landed(landed)?;
        }
        self.depart();
        while self.flying.saturating_add(self.waiting.len()) >= UNRECORDED {
            self.land().await?;
            self.depart();
        }
        Ok(())
    }

    /// Returns when everything is recorded.
    pub(super) async fn finish(mut self) -> Result<(), Gone> {
        while self.flying > 0 || !self.waiting.is_empty() {
            self.depart();
            self.land().await?;
        }
        Ok(())
    }

    fn depart(&mut self) {
        if self.flying > 0 || self.waiting.is_empty() {
            return;
        }
        let outcomes = std::mem::take(&mut self.waiting);
        self.flying = outcomes.len();
        let recorder = Arc::clone(&self.recorder);
        self.flight.spawn(async move { recorder.record(outcomes).await });
    }

    async fn land(&mut self) -> Result<(), Gone> {
        match self.flight.join_next().await {
            Some(landed) => self.landed(landed),
            None => Ok(()),
        }
    }

    fn landed(
        &mut self,
        landed: Result<Result<(), Gone>, tokio::task::JoinError>,
    ) -> Result<(), Gone> {
        self.flying = 0;
        landed.unwrap_or(Err(Gone))
    }
}

#[cfg(test)]
mod tests;
