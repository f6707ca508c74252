//! Connections that have not asked for an association yet.
//!
//! They cost a descriptor each, and anybody may open them. Invariant: there are at most [`MOST`]; one more ends the
//! oldest of the address that has most of them, so whoever holds connections open keeps only itself out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// More than any burst of modalities, and few beside the 1024 descriptors that a process has at least.
pub(super) const MOST: usize = 256;

#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: u64,
    open: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// One of them, until it is dropped.
pub(super) struct Slot {
    number: u64,
    token: CancellationToken,
    waiting: Waiting,
}

impl Waiting {
    pub(super) fn enter(&self, from: IpAddr) -> Slot {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.open.len() >= MOST {
            inner.evict();
        }
        let number = inner.next;
        inner.next = number.wrapping_add(1);
        let token = CancellationToken::new();
        inner.open.insert(number, (from, token.clone()));
        Slot { number, token, waiting: self.clone() }
    }
}

impl Inner {
    fn evict(&mut self) {
        let mut by_address: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (from, _)) in &self.open {
            // In the order of their numbers: the first is the oldest.
            by_address.entry(*from).or_insert((0, *number)).0 += 1;
        }
        let most = by_address.values().max_by_key(|(count, _)| *count);
        if let Some((_, token)) = most.and_then(|(_, oldest)| self.open.remove(oldest)) {
            token.cancel();
        }
    }
}

impl Slot {
    /// When it has to make room.
    pub(super) async fn evicted(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inner = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_oldest_of_the_greediest_makes_room() {
        let waiting = Waiting::default();
        let other = waiting.enter(address(1));
        let greedy: Vec<_> = (1..MOST).map(|_| waiting.enter(address(2))).collect();
        let more = waiting.enter(address(3));
        assert!(greedy[0].token.is_cancelled());
        assert!(greedy[1..].iter().all(|slot| !slot.token.is_cancelled()));
        assert!(!other.token.is_cancelled() && !more.token.is_cancelled());
        drop(greedy);
        assert_eq!(waiting.0.lock().unwrap().open.len(), 2);
        drop((other, more));
        assert!(waiting.0.lock().unwrap().open.is_empty());
    }
}
