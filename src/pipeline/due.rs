//! When which import has to be looked at: an index, so that a look costs what is due and not what is there.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Moment;
use crate::import::ImportId;

/// Imports by the running time at which they have to be asked.
#[derive(Default)]
pub(super) struct Due {
    by_time: BTreeSet<(u64, ImportId)>,
    times: HashMap<ImportId, u64>,
}

impl Due {
    /// An import is due then, and not when it was before.
    pub(super) fn set(&mut self, id: ImportId, due: Moment) {
        let before = self.times.insert(id, due.running_ms);
        if before == Some(due.running_ms) {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, id));
        }
        self.by_time.insert((due.running_ms, id));
    }

    /// An import is no more.
    pub(super) fn remove(&mut self, id: ImportId) {
        if let Some(before) = self.times.remove(&id) {
            self.by_time.remove(&(before, id));
        }
    }

    /// The imports that are due, the longest overdue first. They stay so until they are set anew.
    pub(super) fn ripe(&self, now: Moment) -> Vec<ImportId> {
        let ripe = self.by_time.iter().take_while(|(due, _)| *due <= now.running_ms);
        ripe.map(|(_, id)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(running_ms: u64) -> Moment {
        Moment { wall_ms: 0, running_ms }
    }

    #[test]
    fn what_is_due_is_found_and_nothing_else() {
        let mut due = Due::default();
        let ids: Vec<ImportId> = (0..100).map(|_| ImportId::new()).collect();
        for (id, time) in ids.iter().zip(0..) {
            due.set(*id, at(time));
        }
        assert_eq!(due.ripe(at(0)), &ids[..1]);
        assert_eq!(due.ripe(at(49)), &ids[..50]);
        // Asked again and again until it is told otherwise.
        assert_eq!(due.ripe(at(49)).len(), 50);
        due.set(ids[0], at(500));
        due.set(ids[1], at(1));
        due.remove(ids[2]);
        due.remove(ids[2]);
        assert_eq!(due.ripe(at(3)), [ids[1], ids[3]]);
        assert_eq!(due.ripe(at(499)).len(), 98);
        assert_eq!(due.ripe(at(u64::MAX)).last(), Some(&ids[0]));
        for id in &ids {
            due.remove(*id);
        }
        assert!(due.by_time.is_empty() && due.times.is_empty());
    }
}
