//! A person's word that something goes on, or rests.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::Paused;
use super::handle::{Command, Pipeline};
use super::refusal::Refusal;
use crate::forward::HeldBack;
use crate::import::{Actor, DestinationName, Event, ImportId};

impl Pipeline {
    /// Tries again at once what waits, also at destinations that rest.
    ///
    /// # Errors
    /// If there is nothing to try again.
    pub async fn retry(&self, id: ImportId, actor: Actor) -> Result<(), Refusal> {
        let retried = self.report(id, Event::Retried { actor }).await;
        retried.map_err(|refusal| {
            refusal.in_words(
                "there is nothing to try again in this import now; look at it again, its next step says what it waits \
                 for",
            )
        })?;
        // Only what was meant: each of the others has its reason to rest.
        let now = self.shared.clock.now();
        self.waited_for(id).iter().for_each(|name| self.shared.lanes.of(name).nudge(now));
        Ok(())
    }

    /// The destinations that this import waits for.
    fn waited_for(&self, id: ImportId) -> BTreeSet<DestinationName> {
        let Some(import) = self.import(id) else { return BTreeSet::new() };
        let deliveries = import.studies.iter().flat_map(|study| {
            let all = study.work().map_or(&[][..], |work| &work.deliveries);
            all.iter().filter(|delivery| study.awaits_turn(&delivery.destination).is_some())
        });
        deliveries.map(|delivery| delivery.destination.clone()).collect()
    }

    /// Stops sending to a destination, or lets it go on. It lasts over restarts.
    ///
    /// # Errors
    /// If there is no such destination.
    pub async fn pause(
        &self,
        name: &DestinationName,
        paused: Paused,
        actor: &Actor,
    ) -> Result<(), Refusal> {
        let known = self.destinations();
        // What a person has stopped a person may let go on, though it was taken out of the configuration meanwhile.
        let goes_on = paused == Paused::No && self.shared.lanes.paused().contains(name);
        if !known.contains(name) && !goes_on {
            let names = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(Refusal::Invalid(format!(
                "there is no destination of that name; configured are: {names}"
            )));
        }
        let settings = self.shared.settings();
        let configured = settings.destinations.get(name).map(|found| found.pace.held);
        if paused == Paused::No && configured == Some(HeldBack::Yes) {
            return Err(Refusal::Invalid(format!(
                "{name} is paused by the configuration; take `paused = true` out there, then reload"
            )));
        }
        if self.shared.lanes.of(name).pause(paused) {
            tracing::info!(destination = %name, ?paused, actor = %actor.0, "destination paused or resumed");
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::KeepPaused { reply }).await?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }
}
