//! Sealed files of records: what the worklist keeps over a restart.
//!
//! Owns the format: a magic word, the file's own key wrapped by the master key, then sealed records with their
//! lengths. Invariants: a file is replaced as a whole or not at all; nothing in it can be read without the
//! master key; the key of a file that was replaced is overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::seal::{self, FileKey, Vault, place};

const MAGIC: &[u8; 8] = b"LOTSEWL1";

/// Bytes of one record: one order with all its steps.
const RECORD_LIMIT: usize = 8 << 20;

/// The same sealed, without and with its length in front.
const SEALED_LIMIT: usize = RECORD_LIMIT + FileKey::OVERHEAD;
const FRAMED_LIMIT: usize = SEALED_LIMIT + 4;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Place(#[from] place::Error),
    #[error(transparent)]
    Seal(#[from] seal::Error),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} was sealed with another master key, or is damaged; restore the key or the file from your backup, or \
         move the file away to start with no local orders", path.display()
    )]
    Sealed { path: PathBuf },
    #[error(
        "{} is damaged behind its first {whole} records, and more follow that cannot be told apart; nothing was \
         changed. Restore the file if you have a copy; else move it away to start with no local orders, and have \
         their senders send them again", path.display()
    )]
    Damaged { path: PathBuf, whole: u64 },
    #[error("an order has more steps than fit one record; split it")]
    TooLarge,
    #[error(
        "the local worklist is full with {0} orders; have the sender cancel old ones, or narrow worklist.window"
    )]
    Full(usize),
}

/// A file that is open for further records.
pub(super) struct Shelf {
    path: PathBuf,
    file: File,
    key: FileKey,
    records: u64,
}

impl Shelf {
    /// Writes a whole new file in place of the old one; on the device when it returns. Blocking.
    pub(super) fn replace(
        vault: &Vault,
        purpose: &'static str,
        path: &Path,
        records: impl Iterator<Item = Vec<u8>>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let draft = path.with_extension("new");
        if let Err(source) = fs::remove_file(&draft)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(failed(source));
        }
        let (key, wrapped) = vault.file_key(purpose)?;
        let file = place::create_file(&draft).map_err(|source| place::explain(&draft, source))?;
        let mut shelf = Self { path: path.to_owned(), file, key, records: 0 };
        let mut out = BufWriter::new(&shelf.file);
        out.write_all(MAGIC).and_then(|()| out.write_all(&wrapped)).map_err(failed)?;
        let mut written = 0;
        for record in records {
            out.write_all(&framed(&shelf.key, written, &record)?).map_err(failed)?;
            written += 1;
        }
        out.flush().map_err(failed)?;
        drop(out);
        shelf.records = written;
        shelf.file.sync_all().map_err(failed)?;
        let old = OpenOptions::new().write(true).open(path).ok();
        fs::rename(&draft, path).map_err(failed)?;
        place::sync_folder(place::above(path)).map_err(failed)?;
        if let Some(mut old) = old {
            // The name is gone; the bytes on the device become unreadable with the key.
            let zeros = [0; MAGIC.len() + FileKey::WRAPPED_LEN];
            let gone = old.seek(SeekFrom::Start(0)).and_then(|_| old.write_all(&zeros));
            if gone.and_then(|()| old.sync_all()).is_err() {
                tracing::warn!(
                    "the key of a worklist file that was replaced could not be overwritten"
                );
            }
        }
        Ok(shelf)
    }

    /// One more record, on the device when it returns. Blocking.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::Io { path: self.path.clone(), source };
        let bytes = framed(&self.key, self.records, record)?;
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).map_err(failed)?;
        self.records += 1;
        Ok(())
    }

    /// Whether the file still has its name: if not, what is appended to it is lost.
    pub(super) fn is_named(&self) -> bool {
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    /// How many records stand in the file, overtaken ones included.
    pub(super) fn records(&self) -> u64 {
        self.records
    }
}

/// Reads the records of a file one after the other. The last may be torn: whoever put it was not told that it is
/// safe. Gives how many there were; `None` if there is no file, or none that this master key opens. Blocking.
///
/// # Errors
/// [`Error::Damaged`] if more follows behind a record that is not whole.
pub(super) fn read(
    vault: &Vault,
    purpose: &'static str,
    path: &Path,
    mut take: impl FnMut(&[u8]),
) -> Result<Option<u64>, Error> {
    let file = match File::open(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|source| place::explain(path, source))?,
    };
    let mut input = BufReader::new(file);
    let mut head = [0; MAGIC.len() + FileKey::WRAPPED_LEN];
    if input.read_exact(&mut head).is_err() {
        return Ok(None);
    }
    let key = match head.split_first_chunk::<{ MAGIC.len() }>() {
        Some((magic, wrapped)) if magic == MAGIC => vault.open_file_key(purpose, wrapped).ok(),
        _ => None,
    };
    let Some(key) = key else { return Ok(None) };
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut index = 0;
    loop {
        let framed = next_record(&mut input).map_err(failed)?;
        if framed.is_empty() {
            return Ok(Some(index));
        }
        match sealed(&framed).and_then(|sealed| key.open(index, sealed).ok()) {
            Some(record) => take(&record),
            None => {
                let mut rest = framed;
                let mut more = (&mut input).take(FRAMED_LIMIT as u64);
                let more = more.read_to_end(&mut rest).map_err(failed)?;
                if more < FRAMED_LIMIT && is_torn(&rest) {
                    return Ok(Some(index));
                }
                return Err(Error::Damaged { path: path.to_owned(), whole: index });
            }
        }
        index += 1;
    }
}

/// A record with its length in front, or as much of it as there is.
fn next_record(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut framed = Vec::new();
    input.by_ref().take(4).read_to_end(&mut framed)?;
    let length = length(&framed).unwrap_or(0).min(SEALED_LIMIT);
    input.by_ref().take(length as u64).read_to_end(&mut framed)?;
    Ok(framed)
}

fn length(framed: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*framed.first_chunk()?)).ok()
}

/// The record without its length, if it is as long.
fn sealed(framed: &[u8]) -> Option<&[u8]> {
    let sealed = framed.get(4..)?;
    (length(framed)? == sealed.len()).then_some(sealed)
}

/// Whether the rest of a file is the begun last record, and not a damaged one with others behind it.
fn is_torn(rest: &[u8]) -> bool {
    let is_nothing = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let Some(length) = length(rest) else { return true };
    if is_nothing(rest) {
        return true;
    }
    let is_length = (FileKey::OVERHEAD..=SEALED_LIMIT).contains(&length);
    match rest.get(length.saturating_add(4)..) {
        Some(behind) if is_length => is_nothing(behind),
        // It ends within the record, unless its length is what is damaged.
        None if is_length => !(4..rest.len()).any(|at| ends_whole(rest.get(at..).unwrap_or(&[]))),
        _ => false,
    }
}

/// Whether these bytes are records by their lengths, the last of them whole.
fn ends_whole(mut bytes: &[u8]) -> bool {
    loop {
        let length =
            length(bytes).filter(|length| (FileKey::OVERHEAD..=SEALED_LIMIT).contains(length));
        match length.and_then(|length| bytes.get(length + 4..)) {
            Some([]) => return true,
            Some(behind) => bytes = behind,
            None => return false,
        }
    }
}

fn framed(key: &FileKey, index: u64, record: &[u8]) -> Result<Vec<u8>, Error> {
    if record.len() > RECORD_LIMIT {
        return Err(Error::TooLarge);
    }
    let sealed = key.seal(index, record)?;
    let length = u32::try_from(sealed.len()).map_err(|_| Error::TooLarge)?;
    let mut framed = length.to_le_bytes().to_vec();
    framed.extend_from_slice(&sealed);
    Ok(framed)
}
