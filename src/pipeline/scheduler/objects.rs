//! Small objects that peers send: the bytes of all that came together, with one sync for each import, then their
//! records, with one sync for all.
//!
//! Invariant: whoever brought one hears of success only behind both, and the bytes of what was refused belong to no
//! instance.

use tokio::sync::oneshot;

use super::{Refusal, Scheduler, Slot, Turn};
use crate::dicom::inspect::Found;
use crate::import::{Blob, Event, ImportId, Inspected};
use crate::spool::Sealed;

/// So many bytes share one sync at most: whoever came first waits until the last is written.
pub(super) const BATCH_BYTES: usize = 4 << 20;

/// An object that came whole.
pub(in super::super) struct Brought {
    pub(in super::super) import: ImportId,
    pub(in super::super) found: Found,
    pub(in super::super) sealed: Sealed,
    pub(in super::super) reply: oneshot::Sender<Result<(), Refusal>>,
}

impl Scheduler {
    /// Brings the bytes of what was brought in this turn to the device. The records go with the others of the turn.
    pub(super) fn place_brought(&mut self, turn: &mut Turn) {
        let mut brought = std::mem::take(&mut turn.brought);
        while let Some(import) = brought.first().map(|first| first.import) {
            let these = brought.extract_if(.., |brought| brought.import == import);
            let (sealed, waiting): (Vec<_>, Vec<_>) =
                these.map(|Brought { sealed, found, reply, .. }| (sealed, (found, reply))).unzip();
            match self.keep_group(import, &sealed) {
                Ok(blobs) => {
                    for (blob, (found, reply)) in blobs.into_iter().zip(waiting) {
                        let instance = Box::new(Inspected::new(found, blob));
                        let applied = self.apply(import, Event::Stored { instance }, turn);
                        turn.replies.push((import, reply, applied));
                    }
                }
                Err(refusal) => {
                    let refused = waiting.into_iter().map(|(_, reply)| reply);
                    turn.replies.extend(refused.map(|reply| (import, reply, Err(refusal.clone()))));
                }
            }
        }
    }

    fn keep_group(&mut self, import: ImportId, sealed: &[Sealed]) -> Result<Vec<Blob>, Refusal> {
        self.check_living(import)?;
        let late = || Refusal::NotNow("the import takes no more objects".to_owned());
        let pack = self.slots.get_mut(&import).and_then(Slot::pack).ok_or_else(late)?;
        self.disk.work(|| pack.keep(sealed)).map_err(|error| {
            tracing::warn!(%import, %error, "objects not spooled");
            Refusal::from(error)
        })
    }
}
