//! Sealed files of records: what the worklist keeps over a restart.
//!
//! Owns the format: a magic word, the file's own key wrapped by the master key, then sealed records with their
//! lengths. Invariants: a file is replaced as a whole or not at all; nothing in it can be read without the
//! master key; the key of a file that was replaced is overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::seal::{self, FileKey, Vault, place};

const MAGIC: &[u8; 8] = b"LOTSEWL1";

/// Bytes of one record: one order with all its steps.
const RECORD_LIMIT: usize = 8 << 20;

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

    /// How many records stand in the file, overtaken ones included.
    pub(super) fn records(&self) -> u64 {
        self.records
    }
}

/// Reads the records of a file one after the other, up to its end or to the first that is not whole. Gives how
/// many there were; `None` if there is no file, or none that this master key opens. Blocking.
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
    let mut index = 0;
    while let Some(sealed) = next_record(&mut input) {
        let Ok(record) = key.open(index, &sealed) else { break };
        take(&record);
        index += 1;
    }
    Ok(Some(index))
}

fn next_record(input: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    input.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    if length > RECORD_LIMIT + FileKey::OVERHEAD {
        return None;
    }
    let mut sealed = vec![0; length];
    input.read_exact(&mut sealed).ok()?;
    Some(sealed)
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
