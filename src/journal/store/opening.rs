//! Opening sled where it may have been cut off before.
//!
//! Invariant: sled is not let near a disk without space, and finds no file that it began and did not end.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use super::{Fault, guarded};
use crate::journal::Error;
use crate::seal::place;

/// The journal is small; what it holds is in the scheduler's memory anyway.
const CACHE: u64 = 4 << 20;

/// sled writes when it is opened: the rest of a segment, and a snapshot of where its pages are.
const SPACE: u64 = 4 << 20;

/// A lock that is held longer than a second is another daemon's.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// Opens sled's files. A store that was dropped a moment ago may still be locked by a thread of sled's that has
/// not ended yet, so the lock is waited for, but not for long: another daemon keeps it.
pub(super) fn open(folder: &Path) -> Result<sled::Db, Error> {
    if place::space(folder)?.free < SPACE {
        return Err(Error::Full);
    }
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(CACHE)
        .flush_every_ms(None)
        .mode(sled::Mode::LowSpace);
    let mut tries = 0;
    loop {
        clear_begun(folder).map_err(|fault| fault.at_opening(folder))?;
        match guarded(|| config.open()).map_err(|fault| fault.at_opening(folder)) {
            Err(Error::Locked { .. }) if tries < LOCK_TRIES => tries += 1,
            opened => return opened,
        }
        #[expect(clippy::disallowed_methods, reason = "a blocking thread, and nothing tells when")]
        std::thread::sleep(LOCK_WAIT);
    }
}

/// Removes snapshots that were begun and not ended. sled takes one for its newest, finds it torn and never opens
/// again, although the one before is removed only when a new one has got its name.
fn clear_begun(folder: &Path) -> Result<(), Fault> {
    let log = match File::open(folder.join("db")) {
        Ok(log) => log,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // sled's own lock: somebody who has it may be writing one now.
    let Ok(_lock) = Flock::lock(log, FlockArg::LockExclusiveNonblock) else {
        return Ok(());
    };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
            tracing::warn!(
                "the journal's store was cut off while it was opened; it is opened anew"
            );
        }
    }
    Ok(())
}
