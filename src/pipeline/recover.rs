//! What a start makes of the journal and the spool.

use std::collections::{BTreeMap, HashMap};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use super::scheduler::Slot;
use super::snapshot::CUT_OFF;
use super::verify;
use crate::clock::{Moment, Reading};
use crate::expire;
use crate::import::{Action, Counts, End, Event, Import, ImportId, Stop, Tombstone};
use crate::journal::{Entry, Recovered};
use crate::seal::KeysFolder;
use crate::spool::{KeyFile, Spool};

/// So long a gateway may have gone on after the last reading that its journal holds.
const RAN_ON: Duration = Duration::from_secs(5 * 60);

/// A start's findings.
#[derive(Default)]
pub(super) struct Recovery {
    pub(super) imports: BTreeMap<ImportId, Arc<Import>>,
    pub(super) slots: HashMap<ImportId, Slot>,
    pub(super) tombstones: Vec<Tombstone>,
    /// To be journalled before anything starts: every import restarted.
    pub(super) entries: Vec<Entry>,
    pub(super) actions: Vec<(ImportId, Action)>,
    /// Imports whose key is gone but whose records are still there.
    pub(super) lost: Vec<Tombstone>,
    /// Imports whose key is alive but whose records can't be used; they die like all others.
    pub(super) unreadable: Vec<ImportId>,
    /// Imports whose key is to be destroyed and could not be, which is to be tried again.
    pub(super) dying: Vec<ImportId>,
    pub(super) alarms: Vec<String>,
    pub(super) loss: Loss,
    /// Whether the folder of keys is to be the one that later starts expect.
    pub(super) keys: Keys,
}

/// What a start makes of the folder of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keys {
    #[default]
    AsBefore,
    /// Another one than at the last start, or the first; nothing is missing in it.
    Remember,
}

/// What later starts have to know of records that were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Loss {
    /// As the journal has it.
    #[default]
    Known,
    /// Bytes without a record are kept until a person erases them or their time is over; not only by this start.
    Keep,
    /// Nothing is left of it.
    Over,
}

/// Replays every import, restarts it, and clears away keys that belong to nothing.
pub(super) fn recover(mut recovered: Recovered, spool: &Spool, now: Moment) -> Recovery {
    // A journal that was in use holds a reading at least, since every start keeps one.
    let is_new = recovered.reading.is_none()
        && recovered.imports.is_empty()
        && recovered.unreadable.is_empty()
        && recovered.tombstones.is_empty();
    let mut recovery =
        Recovery { tombstones: take(&mut recovered.tombstones), ..Recovery::default() };
    let keyed = spool.list().inspect_err(|error| {
        recovery.alarms.push(format!(
            "what the spool holds cannot be listed ({error}); nothing is removed before the next start"
        ));
    });
    let keyed = keyed.ok();
    if is_new && keyed.as_ref().is_none_or(|keyed| !keyed.is_empty()) {
        // The journal was lost, the imports were not: destroying them would make that final.
        if let Some(keyed) = keyed {
            recovery.alarms.push(format!(
                "the journal is empty, but the spool holds {} imports; stop the gateway and restore the journal \
                 from a backup, or erase them: {}",
                keyed.len(),
                named(&keyed)
            ));
            recovery.unreadable.extend(keyed);
        }
        recovery.loss = Loss::Keep;
        return recovery;
    }
    if recovered.cut > 0 {
        recovery.alarms.push(verify::cut(recovered.cut));
    }
    let in_order = recovered.reading.as_ref().is_some_and(|reading| reading.is_last);
    let stop = if in_order { Stop::InOrder } else { Stop::CutOff };
    let (mut accounts, mut with_packs) = (vec![], vec![]);
    for (id, entries) in take(&mut recovered.imports) {
        if let Some(import) = replay(&mut recovery, id, entries) {
            if verify::names_blobs(&import) {
                with_packs.push(id);
            }
            match verify::account(&import, spool) {
                Ok(account) => accounts.push(account),
                Err(missing) => recovery.alarms.push(missing),
            }
            restart(&mut recovery, import, stop, now);
        }
    }
    verify::tell(&accounts);
    spool.expect_packs(with_packs);
    recovery.alarms.extend(spool.is_there().err().map(|error| error.to_string()));
    let mut keyless = vec![];
    for (id, reason) in take(&mut recovered.unreadable) {
        match spool.key_file(id) {
            // Only we write noise there, so it is a death that was begun, however many there are; whether the noise is
            // on the device is not known, so it is written again.
            KeyFile::Overwritten => bury(&mut recovery, spool, id, now),
            KeyFile::Missing => keyless.push(id),
            // It is alive, or cannot be asked for now, so a copy of the store may still help: nothing is thrown away.
            KeyFile::There => {
                recovery.alarms.push(format!(
                    "the records of import {id} cannot be read ({reason}); restore the journal from a backup, or \
                     erase the import"
                ));
                recovery.unreadable.push(id);
            }
        }
    }
    let folder = match (&recovered.keys, spool.keys_folder()) {
        (Some(known), KeysFolder::Named(found)) if known == found => Folder::Known,
        (Some(_), _) => Folder::Other,
        (None, KeysFolder::Bare) if !keyless.is_empty() => Folder::Other,
        // A journal that is new, or of an earlier version.
        (None, _) => Folder::First,
    };
    let start = Start { recovered: &recovered, folder, spool, now };
    start.clear_keyless(keyless, &mut recovery);
    if let Some(keyed) = keyed {
        start.clear_orphans(keyed, &mut recovery);
    }
    recovery
}

/// The folder of keys beside the one that the journal knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    Known,
    First,
    Other,
}

/// What a start has found, and clears away as far as it can account for it.
struct Start<'a> {
    recovered: &'a Recovered,
    folder: Folder,
    spool: &'a Spool,
    now: Moment,
}

impl Start<'_> {
    /// Imports whose records are there and whose keys are not.
    fn clear_keyless(&self, keyless: Vec<ImportId>, recovery: &mut Recovery) {
        match keyless.as_slice() {
            [] if self.folder != Folder::Other => {}
            [] => {
                // Whatever comes now gets its key here, and with the other folder back it is missing there.
                recovery.alarms.push(
                    "the folder of keys is not the one of the last start; if that one lies on a disk of its own, \
                     mount it and start the gateway again"
                        .to_owned(),
                );
                recovery.loss = Loss::Keep;
            }
            [id] if !self.recovered.keeps_orphans && self.folder != Folder::Other => {
                bury(recovery, self.spool, *id, self.now);
            }
            // One death is cut short at a time, so this is none: keys are missing that nobody destroyed.
            _ => {
                recovery.alarms.push(format!(
                    "the keys of {} imports are missing; if their folder lies on a disk of its own, mount it and \
                     start the gateway again, or erase the imports: {}",
                    keyless.len(),
                    named(&keyless)
                ));
                recovery.unreadable.extend(keyless);
                recovery.loss = Loss::Keep;
            }
        }
    }

    /// Of what the spool holds, that which no record tells of.
    fn clear_orphans(&self, keyed: Vec<ImportId>, recovery: &mut Recovery) {
        let keeps = self.recovered.keeps_orphans;
        let kept = |id: &ImportId| {
            recovery.imports.contains_key(id)
                || recovery.unreadable.contains(id)
                || recovery.dying.contains(id)
        };
        let orphans: Vec<_> = keyed.into_iter().filter(|id| !kept(id)).collect();
        if orphans.is_empty() && recovery.unreadable.is_empty() {
            if self.folder != Folder::Known {
                recovery.keys = Keys::Remember;
            }
            if keeps && recovery.loss == Loss::Known {
                recovery.loss = Loss::Over;
            }
        }
        let reading = self.recovered.reading.as_ref();
        let came_after = |id: &ImportId| reading.is_some_and(|reading| came_after(*id, reading));
        if keeps || self.folder == Folder::Other {
            // Their records may be among those that were cut off, or in the journal that the other folder belongs to;
            // they die with their time, not now.
            recovery.alarms.extend((!orphans.is_empty()).then(|| {
                format!(
                    "{} imports have bytes but no records any more; restore the journal from a backup, or erase \
                     them: {}",
                    orphans.len(),
                    named(&orphans)
                )
            }));
            recovery.unreadable.extend(orphans);
        } else if orphans.iter().any(came_after) {
            // They were acknowledged, for all that is known, by a gateway whose records this journal has not.
            recovery.alarms.push(format!(
                "the journal is older than the spool, as one from a backup is: {} imports have bytes but no records; \
                 they are kept until their time is over; ask their senders for them again, or erase them: {}",
                orphans.len(),
                named(&orphans)
            ));
            recovery.unreadable.extend(orphans);
            recovery.loss = Loss::Keep;
        } else {
            // Uploads that were never acknowledged.
            orphans.into_iter().for_each(|id| _ = remove(recovery, self.spool, id));
        }
    }
}

/// So many imports are named in one sentence at most.
const NAMED: usize = 32;

/// The names by which a person erases them.
fn named(ids: &[ImportId]) -> String {
    let names: Vec<_> = ids.iter().take(NAMED).map(ImportId::to_string).collect();
    let more = ids.len().saturating_sub(names.len());
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    names.join(", ") + &more
}

/// Whether an import came when the gateway that kept this reading, as it does every minute, cannot have run any more.
fn came_after(id: ImportId, reading: &Reading) -> bool {
    let ran = i64::try_from(RAN_ON.as_millis()).unwrap_or(i64::MAX);
    id.created_ms().is_some_and(|created| created > reading.moment.wall_ms.saturating_add(ran))
}

/// Ends a death that was cut short behind the key: the packs go after it. What had become of it was sealed with the
/// key, so it may have been one whose time was over before everything was delivered.
fn bury(recovery: &mut Recovery, spool: &Spool, id: ImportId, now: Moment) {
    let key = remove(recovery, spool, id);
    recovery.alarms.push(format!(
        "{CUT_OFF} import {id}, and nobody can tell any more whether everything of it \
         was delivered; if no person erased it, look for it at its destination, and fetch it again if it is not there"
    ));
    if key == Key::Lives {
        return;
    }
    let tombstone = Tombstone {
        id,
        kind: None,
        created: now,
        ended: now,
        end: End::Erased,
        counts: Counts::default(),
    };
    recovery.tombstones.push(tombstone.clone());
    recovery.lost.push(tombstone);
}

/// What a start has come to that destroys a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Destroyed,
    Lives,
}

/// Destroys what is left of an import; if its key lives, it is tried again.
fn remove(recovery: &mut Recovery, spool: &Spool, id: ImportId) -> Key {
    match expire::purge(spool, id) {
        Ok(left) => left.log(id),
        Err(error) => {
            tracing::error!(import = %id, %error, "a key could not be destroyed; it is tried again");
            recovery.dying.push(id);
            return Key::Lives;
        }
    }
    Key::Destroyed
}

/// When the key of an import dies whose records can't tell when it came. Its name tells in wall time, which is
/// believed only as far as it does not stretch the limit.
pub(super) fn death_of_unreadable(id: ImportId, limit: Duration, now: Moment) -> Moment {
    let age = id.created_ms().map_or(0, |created| now.wall_ms.saturating_sub(created));
    let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
    now.after(limit.saturating_sub(age))
}

fn replay(recovery: &mut Recovery, id: ImportId, entries: Vec<Entry>) -> Option<Import> {
    let next = entries.last().map_or(0, |last| last.sequence + 1);
    let mut entries = entries.into_iter();
    let first = entries.next()?;
    let (mut import, _) = match Import::begin(id, &first.event, first.at) {
        Ok(begun) => begun,
        Err(illegal) => {
            recovery.alarms.push(format!("import {id} does not begin as it should: {illegal}"));
            recovery.unreadable.push(id);
            return None;
        }
    };
    for entry in entries {
        if let Err(illegal) = import.apply(&entry.event, entry.at) {
            recovery.alarms.push(format!("import {id}: {illegal} (event {})", entry.sequence));
        }
    }
    recovery.slots.insert(id, Slot { next, ..Slot::default() });
    Some(import)
}

fn restart(recovery: &mut Recovery, mut import: Import, stop: Stop, now: Moment) {
    let id = import.id;
    match import.apply(&Event::Resumed { after: stop }, now) {
        Ok(actions) => {
            if let Some(slot) = recovery.slots.get_mut(&id) {
                let event = Event::Resumed { after: stop };
                recovery.entries.push(Entry { import: id, sequence: slot.next, at: now, event });
                slot.next += 1;
            }
            recovery.actions.extend(actions.into_iter().map(|action| (id, action)));
        }
        Err(illegal) => recovery.alarms.push(format!("import {id}: {illegal}")),
    }
    recovery.imports.insert(id, Arc::new(import));
}

#[cfg(test)]
mod tests;
