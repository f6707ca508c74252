//! How a run is told to end.
//!
//! Invariant: what has to end at once is also told to begin nothing new.

use tokio_util::sync::CancellationToken;

/// Two ways to end. Cheap to clone; all clones are one brake.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    cancel: CancellationToken,
    stop: CancellationToken,
}

impl Brake {
    /// Ends it now: nobody wants the import any more, or there is no time left.
    pub fn cancel(&self) {
        self.stop.cancel();
        self.cancel.cancel();
    }

    /// Ends it at the next good moment: an object that is on the wire is sent to its end and its answer is
    /// recorded, because nobody could tell afterwards whether it arrived.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// A brake for a part: it ends with the whole, or by itself.
    pub fn child(&self) -> Self {
        Self { cancel: self.cancel.child_token(), stop: self.stop.child_token() }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Also after [`Self::cancel`].
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Also after [`Self::cancel`].
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// What is cancelled by either, for work that has nothing on a wire.
    pub fn either(&self) -> &CancellationToken {
        &self.stop
    }
}
