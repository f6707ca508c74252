//! The journal held against the spool: at each start by arithmetic, for `lotse journal check` byte by byte.

use std::io;

use crate::import::{Blob, File, Import, State};
use crate::journal::Recovered;
use crate::spool::{Account, Error, Spool};

/// What a start has to say of one import; the sentence is for a person.
pub(super) fn account(import: &Import, spool: &Spool) -> Result<Account, String> {
    let account = spool.import(import.id).and_then(|packs| packs.account(blobs(import)));
    let sentence = |reason: String| {
        format!(
            "the spool does not hold the bytes of import {} ({reason}); bring the spool folder back and \
             restart, or erase the import",
            import.id
        )
    };
    let account = account.map_err(|error| sentence(error.to_string()))?;
    match account.missing.first() {
        None => Ok(account),
        Some(first) => Err(sentence(format!(
            "{} of its objects are missing, the first in pack {} at byte {}",
            account.missing.len(),
            first.pack,
            first.at
        ))),
    }
}

/// Whether anything of an import has to lie in the spool.
pub(super) fn names_blobs(import: &Import) -> bool {
    !blobs(import).is_empty()
}

/// Everything in the spool that the records of an import name.
fn blobs(import: &Import) -> Vec<&Blob> {
    let instances = import.instances.iter().map(|instance| &instance.blob);
    files(&import.state).iter().map(|file| &file.blob).chain(instances).collect()
}

/// What waits to be unpacked.
pub(super) fn files(state: &State) -> &[File] {
    match state {
        State::Received { files, .. } | State::Asking { files, .. } => files,
        State::Failed { again: Some(again), .. } => files(again),
        _ => &[],
    }
}

/// What `lotse journal check` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub imports: u64,
    pub tombstones: u64,
    /// Objects and files that records name, every one of them read and found whole.
    pub blobs: u64,
    /// Their bytes before sealing.
    pub bytes: u64,
    /// Sealed bytes that no record names: never acknowledged, or unpacked meanwhile.
    pub unclaimed: u64,
    /// What is wrong, a sentence each.
    pub faults: Vec<String>,
}

/// Replays every import and reads every byte that its records name. Changes nothing. Blocking.
pub fn verify(recovered: Recovered, spool: &Spool) -> Verified {
    let mut found = Verified::default();
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    found.tombstones = count(recovered.tombstones.len());
    if recovered.cut > 0 {
        found.faults.push(cut(recovered.cut));
    }
    for (id, reason) in recovered.unreadable {
        found.faults.push(format!("the records of import {id} cannot be read: {reason}"));
    }
    let known: Vec<_> = recovered.imports.iter().map(|(id, _)| *id).collect();
    for (id, entries) in recovered.imports {
        let mut entries = entries.into_iter();
        let Some(first) = entries.next() else { continue };
        let mut import = match Import::begin(id, &first.event, first.at) {
            Ok((import, _)) => import,
            Err(illegal) => {
                found.faults.push(format!("import {id} does not begin as it should: {illegal}"));
                continue;
            }
        };
        for entry in entries {
            if let Err(illegal) = import.apply(&entry.event, entry.at) {
                found.faults.push(format!("import {id}: {illegal} (event {})", entry.sequence));
            }
        }
        found.imports = found.imports.saturating_add(1);
        match account(&import, spool) {
            Ok(account) => found.unclaimed = found.unclaimed.saturating_add(account.unclaimed),
            Err(sentence) => {
                found.faults.push(sentence);
                continue;
            }
        }
        let blobs = blobs(&import);
        match read(&import, &blobs, spool) {
            Ok(bytes) => {
                found.blobs = found.blobs.saturating_add(count(blobs.len()));
                found.bytes = found.bytes.saturating_add(bytes);
            }
            Err(error) => found.faults.push(format!("import {id}: {error}")),
        }
    }
    let orphans = spool.list().unwrap_or_default().into_iter().filter(|id| !known.contains(id));
    let orphans = count(orphans.count());
    if orphans > 0 {
        found.faults.push(format!(
            "{orphans} imports have a key or packs but no records; a start destroys what was never acknowledged"
        ));
    }
    found
}

fn read(import: &Import, blobs: &[&Blob], spool: &Spool) -> Result<u64, Error> {
    let packs = spool.import(import.id)?;
    let mut bytes = 0_u64;
    for blob in blobs {
        let mut reader = packs.read(blob)?;
        let read = io::copy(&mut reader, &mut io::sink()).map_err(Error::Io)?;
        bytes = bytes.saturating_add(read);
    }
    Ok(bytes)
}

/// What a person is told of a journal that lost its end.
pub(super) fn cut(commits: u64) -> String {
    format!(
        "the journal has lost its last {commits} commits, which were acknowledged: its disk is not to be trusted; \
         ask the peers to send again what came last, and restore the journal from a backup if there is one"
    )
}

/// How a start sums up what it found whole.
pub(super) fn tell(accounts: &[Account]) {
    let sum = |part: fn(&Account) -> u64| accounts.iter().map(part).fold(0, u64::saturating_add);
    tracing::info!(
        imports = accounts.len(),
        claimed_bytes = sum(|account| account.claimed),
        unclaimed_bytes = sum(|account| account.unclaimed),
        "the journal was held against the spool"
    );
}
