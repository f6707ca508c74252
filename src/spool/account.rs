//! Every byte of an import's packs accounted for, by arithmetic: nothing is read.

use std::collections::BTreeMap;
use std::fs;

use super::blocks;
use super::format::{Frames, TRAILER_LEN};
use super::recovery::Damage;
use super::{Error, ImportSpool, pack_numbers, pack_path};
use crate::import::Blob;
use crate::seal::place;

/// What lies in the packs of an import, held against what its records say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Bytes in the packs.
    pub held: u64,
    /// Sealed bytes of the blobs that records name.
    pub claimed: u64,
    /// Bytes that no record names: what was never acknowledged, or unpacked meanwhile.
    pub unclaimed: u64,
    /// Blobs that records name and the packs do not hold.
    pub missing: Vec<Damage>,
}

impl ImportSpool {
    /// Holds the packs against `blobs`. Looks at the files' lengths only. Blocking.
    ///
    /// # Errors
    /// If the folder can't be read; what is missing is no error.
    pub fn account<'a>(&self, blobs: impl IntoIterator<Item = &'a Blob>) -> Result<Account, Error> {
        let mut lengths = BTreeMap::new();
        for number in pack_numbers(&self.0.folder)? {
            let path = pack_path(&self.0.folder, number);
            let length = fs::metadata(&path).map_err(|source| place::explain(&path, source))?.len();
            lengths.insert(number, length);
        }
        let named: BTreeMap<(u32, u64), &Blob> =
            blobs.into_iter().map(|blob| ((blob.pack, blob.at), blob)).collect();
        let mut account = Account::default();
        for ((pack, at), blob) in named {
            let end = Frames::new(blob)
                .trailer()
                .and_then(|t| t.checked_add(TRAILER_LEN.try_into().ok()?));
            let end = end.unwrap_or(u64::MAX);
            match lengths.get(&pack) {
                Some(length) if end <= *length => {
                    // The rest of its last block is its own too.
                    let whole = blocks::block_end(end).min(*length);
                    account.claimed = account.claimed.saturating_add(whole.saturating_sub(at));
                }
                _ => account.missing.push(Damage { pack, at, length: blob.length }),
            }
        }
        account.held = lengths.values().fold(0, |sum: u64, length| sum.saturating_add(*length));
        account.unclaimed = account.held.saturating_sub(account.claimed);
        Ok(account)
    }
}
