//! A witness beside the store: how many commits it acknowledged.
//!
//! sled cuts a damaged log where the damage begins and goes on without a word. So every commit is numbered in the
//! store, and the number of the last one that was synced is written to a small file beside it. Invariant: the file
//! never says more than was on the device, so a store that says less has lost records that were acknowledged. The
//! file itself is synced now and then only: it costs nothing, and what it misses is a cut of the very last commits
//! by a device that forgets what it synced.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::seal::place;

/// Commits between two syncs of the file.
const SYNC_EVERY: u64 = 256;
const LENGTH: usize = 16;

/// The file, open.
pub(super) struct Guard {
    file: File,
}

impl Guard {
    /// Opens or makes the file in the folder of the journal.
    pub(super) fn open(folder: &Path) -> Result<Self, place::Error> {
        let path = folder.join("guard");
        let file = match place::create_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                File::options().read(true).write(true).open(&path)
            }
            other => other,
        };
        Ok(Self { file: file.map_err(|source| place::explain(&path, source))? })
    }

    /// The number of the last commit that was acknowledged; 0 if the file does not say.
    pub(super) fn number(&self) -> u64 {
        let mut bytes = [0; LENGTH];
        if self.file.read_exact_at(&mut bytes, 0).is_err() {
            return 0;
        }
        let (Some(number), Some(check)) =
            (bytes.first_chunk::<8>(), bytes.last_chunk::<8>().map(|c| u64::from_be_bytes(*c)))
        else {
            return 0;
        };
        let number = u64::from_be_bytes(*number);
        // A file that was torn or never reached the device says nothing.
        if check == !number { number } else { 0 }
    }

    /// Brings what was noted to the device.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        self.file.sync_all()
    }

    /// Notes a commit that is on the device. A note that fails costs a witness, not a record.
    pub(super) fn note(&self, number: u64) {
        let (a, b) = (number.to_be_bytes(), (!number).to_be_bytes());
        let mut bytes = [0; LENGTH];
        bytes.iter_mut().zip(a.into_iter().chain(b)).for_each(|(into, from)| *into = from);
        let noted = self.file.write_all_at(&bytes, 0);
        let due = number.is_multiple_of(SYNC_EVERY);
        let noted = noted.and_then(|()| if due { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = noted {
            tracing::warn!(%error, "the journal's guard can't be written; look at the disk");
        }
    }
}
