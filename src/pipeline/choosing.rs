//! A person's choice among what a portal lists.

use super::handle::Pipeline;
use super::refusal::Refusal;
use crate::import::{Actor, Chosen, Event, ImportId, State};

impl Pipeline {
    /// Takes some or all of the entries that the import shows.
    ///
    /// # Errors
    /// If nothing is to be chosen, or an entry is not in the list.
    pub async fn choose(&self, id: ImportId, chosen: Chosen, actor: Actor) -> Result<(), Refusal> {
        let import = self.import(id).ok_or(Refusal::Unknown)?;
        let State::Choosing { listing } = &import.state else {
            return Err(Refusal::NotNow("there is nothing to choose in this import now".into()));
        };
        if let Chosen::Only(keys) = &chosen {
            if keys.is_empty() {
                return Err(Refusal::Invalid(
                    "nothing is chosen; take at least one entry, or cancel the import".into(),
                ));
            }
            let known = |key: &String| listing.offers.iter().any(|offer| offer.key == *key);
            if !keys.iter().all(known) {
                return Err(Refusal::Invalid(
                    "one of the keys is not in the list; `choices` of the import has them".into(),
                ));
            }
        }
        tracing::info!(import = %id, actor = %actor.0, "chosen from the portal's list");
        self.report(id, Event::Chosen { chosen, actor }).await
    }
}
