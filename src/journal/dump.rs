//! The journal as text, one record a line, so that the store below can be replaced.
//!
//! Values stay sealed: a dump is worth nothing without the keys, and dies with them.

use std::fs;
use std::io::{BufRead, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::Error;
use super::migrate::{self, LAYOUT};
use super::record::{CUT, Change, VERSION, is_housekeeping};
use super::store::Store;
use crate::seal::{hex, place};

/// Twice the longest value in hexadecimal, and its key.
const MAX_LINE: u64 = 64 << 10;
/// Records that are loaded with one sync.
const GROUP: usize = 256;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    /// The first line: the version of the records.
    LotseJournal(u8),
    /// The second line: the layout of the store. Dumps of layout 2 and before may be without it.
    Layout(u8),
    Record {
        key: String,
        value: String,
    },
    /// The last line: how many records there were.
    End(u64),
}

/// Whether the folder is ours: what is opened by another user, root too, would leave files in it that the gateway
/// may not write.
///
/// # Errors
/// [`Error::NotOurs`] with whose it is.
pub fn owned(folder: &Path) -> Result<(), Error> {
    let owner = fs::metadata(folder).map_err(|source| place::explain(folder, source))?.uid();
    if owner == geteuid().as_raw() {
        return Ok(());
    }
    Err(Error::NotOurs { path: folder.to_owned(), owner })
}

/// Writes every record of the journal in `dir`, which no process may have open, as one JSON a line. Returns
/// how many. Blocking.
pub fn dump(dir: &Path, into: &mut dyn Write) -> Result<u64, Error> {
    let store = Store::open(dir)?;
    let mut line = |line: &Line| {
        let mut text = serde_json::to_vec(line).map_err(|_| Error::Unwritable)?;
        text.push(b'\n');
        into.write_all(&text).map_err(Error::Io)
    };
    line(&Line::LotseJournal(VERSION))?;
    line(&Line::Layout(LAYOUT))?;
    let mut count = 0_u64;
    let mut record = |key: &[u8], value: &[u8]| {
        count = count.saturating_add(1);
        line(&Line::Record { key: hex::encode(key), value: hex::encode(value) })
    };
    // It may not be among the store's records yet, and what it protects is as much in need of it behind a load.
    if store.is_marked() {
        record(CUT, &store.cut().to_be_bytes())?;
    }
    store.scan(b"", |key, value| if is_housekeeping(key) { Ok(()) } else { record(key, value) })?;
    line(&Line::End(count))?;
    into.flush().map_err(Error::Io)?;
    Ok(count)
}

/// Fills the empty journal in `dir` with what [`dump`] wrote. Returns how many records. Blocking.
///
/// # Errors
/// After an error the journal is as empty as it was. Half of it would be worse than none: a start takes an import whose
/// records are missing for an upload that was never acknowledged.
pub fn load(dir: &Path, from: &mut dyn BufRead) -> Result<u64, Error> {
    let mut store = Store::open(dir)?;
    store.scan(b"", |key, _| {
        if is_housekeeping(key) { Ok(()) } else { Err(Error::NotEmpty { path: dir.to_owned() }) }
    })?;
    store.replace(&mut |_| {}, |store, next, _| store.fresh(next, |fresh| fill(fresh, from)))
}

fn fill(fresh: &mut Store, from: &mut dyn BufRead) -> Result<u64, Error> {
    let mut lines = Lines { from, number: 0 };
    match lines.next()? {
        Some(Line::LotseJournal(VERSION)) => {}
        Some(Line::LotseJournal(found)) if found > VERSION => {
            return Err(Error::NewerDump { found });
        }
        _ => return Err(lines.wrong()),
    }
    let (mut layout, mut count, mut group) = (None, 0_u64, Vec::new());
    loop {
        match lines.next()? {
            Some(Line::Layout(found)) if found > LAYOUT => return Err(Error::NewerDump { found }),
            Some(Line::Layout(found)) if found > 0 && layout.is_none() && count == 0 => {
                layout = Some(found);
            }
            Some(Line::Record { key, value }) => {
                group.push(change(&key, &value).ok_or_else(|| lines.wrong())?);
                count = count.saturating_add(1);
            }
            Some(Line::End(told)) if told == count => break,
            Some(Line::End(_)) | None => return Err(Error::CutOff),
            Some(Line::LotseJournal(_) | Line::Layout(_)) => return Err(lines.wrong()),
        }
        if group.len() == GROUP {
            fresh.commit_apart(std::mem::take(&mut group))?;
        }
    }
    fresh.commit_apart(group)?;
    migrate::migrate(fresh, layout.unwrap_or(1))?;
    Ok(count)
}

fn change(key: &str, value: &str) -> Option<Change> {
    let (mut k, mut v) = (Vec::new(), Vec::new());
    hex::decode_into(key.as_bytes(), &mut k)?;
    hex::decode_into(value.as_bytes(), &mut v)?;
    // The store's own affairs do not go from one to another.
    (k == CUT || !is_housekeeping(&k)).then_some((k, Some(v)))
}

struct Lines<'a> {
    from: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    /// The next line; `None` at the end.
    fn next(&mut self) -> Result<Option<Line>, Error> {
        self.number = self.number.saturating_add(1);
        let mut text = Vec::new();
        let mut limited = (&mut *self.from).take(MAX_LINE);
        limited.read_until(b'\n', &mut text).map_err(Error::Io)?;
        match text.last() {
            None => Ok(None),
            Some(b'\n') => serde_json::from_slice(&text).map(Some).map_err(|_| self.wrong()),
            Some(_) if text.len() < 1024 => Err(Error::CutOff),
            Some(_) => Err(self.wrong()),
        }
    }

    fn wrong(&self) -> Error {
        Error::NotADump { line: self.number }
    }
}
