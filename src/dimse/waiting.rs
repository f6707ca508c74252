//! Connections that may have to make room for another one.
//!
//! They cost a descriptor each, and anybody may open them. Invariant: there are at most so many; one more ends the
//! one of the address that has most of them which did nothing for longest, so whoever holds connections open keeps
//! only itself out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

#[derive(Clone)]
pub struct Waiting(Arc<Mutex<Inner>>);

struct Inner {
    most: usize,
    next: u64,
    open: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// One of them, until it is dropped.
pub struct Slot {
    number: u64,
    token: CancellationToken,
    waiting: Waiting,
}

impl Waiting {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner { most, next: 0, open: BTreeMap::new() })))
    }

    pub fn enter(&self, from: IpAddr) -> Slot {
        let mut inner = self.inner();
        if inner.open.len() >= inner.most {
            inner.evict();
        }
        let token = CancellationToken::new();
        let number = inner.insert(from, token.clone());
        drop(inner);
        Slot { number, token, waiting: self.clone() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, from: IpAddr, token: CancellationToken) -> u64 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.open.insert(number, (from, token));
        number
    }

    fn evict(&mut self) {
        let mut by_address: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (from, _)) in &self.open {
            // In the order of their numbers: the first has done nothing for longest.
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
    pub async fn evicted(&self) {
        self.token.cancelled().await;
    }

    /// It did something: others make room first.
    pub fn touch(&mut self) {
        let mut inner = self.waiting.inner();
        if let Some((from, token)) = inner.open.remove(&self.number) {
            self.number = inner.insert(from, token);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.waiting.inner().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    const MOST: usize = 256;

    #[test]
    fn the_oldest_of_the_greediest_makes_room() {
        let waiting = Waiting::new(MOST);
        let other = waiting.enter(address(1));
        let greedy: Vec<_> = (1..MOST).map(|_| waiting.enter(address(2))).collect();
        let more = waiting.enter(address(3));
        assert!(greedy[0].token.is_cancelled());
        assert!(greedy[1..].iter().all(|slot| !slot.token.is_cancelled()));
        assert!(!other.token.is_cancelled() && !more.token.is_cancelled());
        drop(greedy);
        assert_eq!(waiting.inner().open.len(), 2);
        drop((other, more));
        assert!(waiting.inner().open.is_empty());
    }

    #[test]
    fn who_does_something_stays() {
        let waiting = Waiting::new(3);
        let mut slots: Vec<_> = (0..3).map(|_| waiting.enter(address(1))).collect();
        slots[0].touch();
        let _more = waiting.enter(address(1));
        let gone: Vec<_> = slots.iter().map(|slot| slot.token.is_cancelled()).collect();
        assert_eq!(gone, [false, true, false]);
        // Whoever made room already is not brought back.
        slots[1].touch();
        assert_eq!(waiting.inner().open.len(), 3);
    }
}
