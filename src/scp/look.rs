//! Looking at objects that came, within the memory that all associations share.
//!
//! Owns who may hold a long header, and when. Nearly every header has a few kilobytes and is looked at as its object
//! comes; only one that turns out to be long waits for its turn, and is looked at again, where it holds nobody up.
//! Invariant: all looks at long headers together hold no more of them than one alone may.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::plain::{self, Plain};
use crate::dicom::scan::{self, Limits};
use crate::dicom::{Uid, inspect, syntax};
use crate::import::Blob;
use crate::spool::{self, ImportSpool};

/// So much of a header is held without a turn: 64 associations hold 16 MiB.
const SHORT: u64 = 256 << 10;

/// The header of a large multi-frame has some of this; several of them are looked at together.
const USUAL: u64 = 8 << 20;

/// What a look made of an object.
pub(super) type Looked = Result<inspect::Found, inspect::Error>;

/// The room for long headers of all associations together, in KiB.
#[derive(Clone)]
pub(super) struct Looks(Arc<Semaphore>);

impl Looks {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(usize::try_from(room()).unwrap_or(usize::MAX))))
    }

    /// Waits until so many bytes of header may be held. Those who wait are served in order and nobody wants more
    /// than there is, so everybody's turn comes.
    async fn turn(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(room());
        Arc::clone(&self.0).acquire_many_owned(wanted).await.ok()
    }

    /// Looks at an object that is in memory. `None` if the look itself broke.
    pub(super) async fn at_plain(&self, plain: &Plain, transfer_syntax: &Uid) -> Option<Looked> {
        // The object itself has its room; beyond its length only what is deflated can grow.
        let longest = plain::MOST as u64;
        let looked = plain.look(transfer_syntax, &Limits { header: longest, ..Limits::default() });
        if !is_long(&looked) {
            return Some(looked);
        }
        let turn = self.turn(longest_header(longest, transfer_syntax)).await;
        let length = u64::try_from(plain.length()).unwrap_or(u64::MAX);
        let (mut reader, transfer_syntax) = (plain.reader(), transfer_syntax.clone());
        let look = move || {
            let _turn = turn;
            plain::look(&mut reader, length, &transfer_syntax, &Limits::default())
        };
        tokio::task::spawn_blocking(look).await.ok()
    }

    /// Looks at an object of which not all is in memory. `None` if the look itself broke.
    pub(super) async fn at_spooled(
        &self,
        spool: &ImportSpool,
        blob: &Blob,
        transfer_syntax: &Uid,
    ) -> Option<Result<Looked, spool::Error>> {
        let look = |header: u64, turn: Option<OwnedSemaphorePermit>| {
            let (spool, blob) = (spool.clone(), blob.clone());
            let transfer_syntax = transfer_syntax.clone();
            let limits = Limits { header, ..Limits::default() };
            tokio::task::spawn_blocking(move || {
                // Goes with the memory, not with the association, which may end before.
                let _turn = turn;
                let mut reader = spool.read(&blob)?;
                Ok::<_, spool::Error>(plain::look(
                    &mut reader,
                    blob.length,
                    &transfer_syntax,
                    &limits,
                ))
            })
        };
        let longest = longest_header(blob.length, transfer_syntax);
        let mut looked = look(SHORT, None).await.ok()?;
        for most in [USUAL, Limits::default().header] {
            match &looked {
                Ok(short) if is_long(short) => {}
                _ => break,
            }
            let turn = self.turn(most.min(longest)).await;
            looked = look(most, turn).await.ok()?;
        }
        Some(looked)
    }
}

/// As much as one header may take, in KiB.
fn room() -> u32 {
    u32::try_from(Limits::default().header.div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

fn is_long(looked: &Looked) -> bool {
    matches!(looked, Err(inspect::Error::Scan(scan::Error::HeaderTooLarge(_))))
}

/// As much as the header of an object of `length` bytes may take: what is deflated is longer than it looks.
fn longest_header(length: u64, transfer_syntax: &Uid) -> u64 {
    if syntax::is_deflated(transfer_syntax) { u64::MAX } else { length }
}

#[cfg(test)]
mod tests;
