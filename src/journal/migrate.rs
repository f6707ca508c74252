//! From the layouts of earlier versions to that of this one.
//!
//! A layout is what keys there are and what they mean; records have a version of their own (`record`). Invariant: a
//! step and its new number are one commit, so a migration that is broken off is gone on with.

use super::Error;
use super::record::{Change, STORE_VERSION};
use super::store::Store;

/// 1: events, tombstones, reading. 2: commits are numbered.
pub(super) const LAYOUT: u8 = 2;

/// What a step changes beside the number.
type Step = fn(&Store) -> Result<Vec<Change>, Error>;

/// The step at place `n` leads from layout `n + 1` to the next.
const STEPS: [Step; 1] = [number_commits];
const _: () = assert!(STEPS.len() + 1 == LAYOUT as usize, "one step for each layout but the last");

/// Brings a store of layout `found` to that of this version.
pub(super) fn migrate(store: &mut Store, found: u8) -> Result<(), Error> {
    for (step, layout) in STEPS.iter().zip(1_u8..).skip_while(|(_, layout)| *layout < found) {
        let mut changes = step(store)?;
        changes.push((STORE_VERSION.to_vec(), Some(vec![layout.saturating_add(1)])));
        store.commit([changes])?;
        tracing::info!(
            from = layout,
            to = layout.saturating_add(1),
            "the journal's layout was brought up to date"
        );
    }
    Ok(())
}

/// The commit that keeps this step is the first one that is numbered.
fn number_commits(_: &Store) -> Result<Vec<Change>, Error> {
    Ok(Vec::new())
}
