//! Which way an import is pulled: by its link, or from the source that it names.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::stages::Stages;
use crate::fetch::{self, Pull, Pulled, Retrieval};
use crate::import::{Import, State};
use crate::spool::ImportSpool;

impl Stages {
    /// One attempt; `None` if the import names nothing to pull.
    pub(super) fn pulling<'a>(
        &self,
        import: &Import,
        settings: &'a Settings,
        spool: ImportSpool,
        cancel: &CancellationToken,
        observer: Arc<dyn fetch::Observer>,
    ) -> Option<BoxFuture<'a, Result<Pulled, fetch::Error>>> {
        let (cancel, section) = (cancel.clone(), settings.fetch.clone());
        if let Some(from) = &import.request.from {
            let retrieval = Retrieval {
                from: (**from).clone(),
                sources: settings.sources.clone(),
                moves: self.pipeline.moves(),
                spool,
                cancel,
                observer,
                section,
            };
            return Some(Box::pin(async move { fetch::retrieve(&retrieval).await }));
        }
        let pull = Pull {
            link: import.request.link.clone()?,
            answers: import.request.answers.clone(),
            chosen: import.request.choices.clone(),
            session: import.session.clone(),
            section,
            spool,
            cancel,
            observer,
            recipes: settings.recipes.clone(),
            bookmark: import.bookmark.clone(),
        };
        let client = &settings.client;
        Some(Box::pin(async move { fetch::pull(client, &pull).await }))
    }
}

/// The least time until a portal that prepares is asked again: seconds at first, as it may ask for, later a minute.
/// Attempts are counted, and a portal may need an hour.
pub(super) fn least_wait(import: &Import) -> Duration {
    let attempts = match import.state {
        State::Requested { attempts, .. } => attempts,
        _ => 0,
    };
    after(attempts)
}

fn after(attempts: u32) -> Duration {
    Duration::from_secs(u64::from(attempts.min(30)).saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::PULL_ATTEMPTS;

    #[test]
    fn a_portal_that_prepares_has_more_than_half_an_hour() {
        let all: Duration = (0..PULL_ATTEMPTS).map(after).sum();
        assert!(all > Duration::from_secs(1800), "{all:?}");
        assert!(after(1) <= Duration::from_secs(2));
    }
}
