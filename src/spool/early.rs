//! Telling the device early what it will have to keep, so that a sync finds little left to wait for.

use std::fs::File;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Bytes between two calls: long runs for the device, and a call for many objects.
const STEP: u64 = 4 << 20;

/// How far the system was told to begin writing a file.
#[derive(Default)]
pub(super) struct Early {
    told: u64,
}

impl Early {
    /// For a file of which nothing before `at` is in the cache.
    pub(super) fn behind(at: u64) -> Self {
        Self { told: at }
    }

    /// Bytes up to `end` are written.
    pub(super) fn wrote(&mut self, file: &File, end: u64) {
        let length = end.saturating_sub(self.told);
        if length < STEP {
            return;
        }
        if let (Ok(at), Ok(length)) = (self.told.try_into(), length.try_into()) {
            // Begins to write what is dirty, without waiting and without forgetting it: only clean pages are
            // dropped. It is advice, and its failure none of ours.
            let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            let _ = posix_fadvise(file, at, length, advice);
        }
        self.told = end;
    }

    /// Bytes up to `end` are on the device: told again, they would be dropped from memory.
    pub(super) fn synced(&mut self, end: u64) {
        self.told = self.told.max(end);
    }
}
