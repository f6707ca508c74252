//! Who is in, and whether anybody may still come in: lock-free, because every object passes.
//!
//! Invariant: once [`Gate::close_if_empty`] or [`Gate::shut`] succeeded nobody enters any more, and the former
//! succeeds only while nobody is in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The bit above all counts.
const SHUT: u32 = 1 << 31;

/// The way into an import that is receiving.
#[derive(Debug, Default)]
pub struct Gate(AtomicU32);

/// Somebody who is in.
#[derive(Debug)]
pub struct Stay(Arc<Gate>);

impl Gate {
    /// `None` once it is shut.
    pub fn enter(self: &Arc<Self>) -> Option<Stay> {
        let one_more = |inside: u32| (inside & SHUT == 0).then(|| inside.saturating_add(1));
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Stay(Arc::clone(self)))
    }

    /// Whether it is shut now: only if nobody is in.
    pub fn close_if_empty(&self) -> bool {
        let closed = self.0.compare_exchange(0, SHUT, Ordering::AcqRel, Ordering::Acquire);
        closed.is_ok() || self.0.load(Ordering::Acquire) == SHUT
    }

    pub fn is_shut(&self) -> bool {
        self.0.load(Ordering::Acquire) & SHUT != 0
    }

    /// Whoever is in stays in.
    pub fn shut(&self) {
        self.0.fetch_or(SHUT, Ordering::AcqRel);
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_closes_only_when_nobody_is_in() {
        let gate = Arc::new(Gate::default());
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        drop(first);
        assert!(!gate.close_if_empty());
        let third = gate.enter().unwrap();
        drop((second, third));
        assert!(gate.close_if_empty());
        assert!(gate.close_if_empty(), "it stays closed");
        assert!(gate.enter().is_none());
    }

    #[test]
    fn a_shut_gate_lets_out_but_not_in() {
        let gate = Arc::new(Gate::default());
        let stay = gate.enter().unwrap();
        assert!(!gate.is_shut());
        gate.shut();
        assert!(gate.is_shut());
        assert!(gate.enter().is_none());
        assert!(!gate.close_if_empty(), "somebody is still in");
        drop(stay);
        assert!(gate.close_if_empty());
    }
}
