//! Finding what a pack holds without knowing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Error;
use super::blocks;
use super::format::{self, CHUNK, HEADER_LEN, Header, MARK_LEN, NoHeader, OVERHEAD};
use crate::import::{Blob, Digest};
use crate::seal::{self, ImportKey, Part, TAG_LEN, place};

/// What a search went through at a time for the beginning of a blob.
const WINDOW: usize = 1 << 20;

/// What recovery found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Whole blobs, in order of packs and places.
    pub blobs: Vec<Blob>,
    /// Tails that a crash tore: nothing of them was ever acknowledged. They are cut off.
    pub torn: Vec<Damage>,
    /// Damage in front of whole blobs: acknowledged bytes may be lost. It is left as it is.
    pub damaged: Vec<Damage>,
}

/// Bytes of a pack that are no whole blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub pack: u32,
    pub at: u64,
    pub length: u64,
}

/// What begins at a place of a pack.
enum Found {
    Whole {
        blob: Blob,
        end: u64,
    },
    /// Not one whole blob.
    Broken,
}

/// # Errors
/// If the pack can't be read or cut, or the key is gone; damage is no error.
pub(super) fn recover_pack(
    path: &Path,
    number: u32,
    key: &ImportKey,
    recovery: &mut Recovery,
) -> Result<(), Error> {
    let file = File::options().read(true).write(true).open(path);
    let file = file.map_err(|source| place::explain(path, source))?;
    let length = file.metadata()?.len();
    let mut scan = Scan { file: &file, number, key, buffer: Vec::new() };
    let mut at = 0;
    while at < length {
        if let Found::Whole { blob, end } = scan.blob(at)? {
            recovery.blobs.push(blob);
            at = scan.behind(end)?;
            continue;
        }
        // What was written ahead of blobs that did not come.
        if scan.is_empty(at, length)? {
            file.set_len(at)?;
            file.sync_all()?;
            return Ok(());
        }
        let Some((blob, end)) = scan.search(at.saturating_add(1), length)? else {
            file.set_len(at)?;
            file.sync_all()?;
            let length = length.saturating_sub(at);
            recovery.torn.push(Damage { pack: number, at, length });
            return Ok(());
        };
        let length = blob.at.saturating_sub(at);
        recovery.damaged.push(Damage { pack: number, at, length });
        recovery.blobs.push(blob);
        at = scan.behind(end)?;
    }
    Ok(())
}

struct Scan<'a> {
    file: &'a File,
    number: u32,
    key: &'a ImportKey,
    buffer: Vec<u8>,
}

impl Scan<'_> {
    /// Where the next blob may begin behind one that ends at `end`: with the next block, if nothing but zeros fills
    /// this one.
    fn behind(&self, end: u64) -> Result<u64, Error> {
        let block_end = blocks::block_end(end);
        Ok(if self.is_empty(end, block_end)? { block_end } else { end })
    }

    /// Whether there is nothing but zeros, or nothing at all.
    fn is_empty(&self, mut at: u64, end: u64) -> Result<bool, Error> {
        let mut bytes = vec![0; CHUNK];
        while at < end {
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(CHUNK);
            match self.file.read_at(bytes.get_mut(..left).unwrap_or_default(), at) {
                Ok(0) => break,
                Ok(read) if bytes.iter().take(read).any(|byte| *byte != 0) => return Ok(false),
                Ok(read) => at = at.saturating_add(to_u64(read)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// The blob at `at`, with every frame verified.
    fn blob(&mut self, at: u64) -> Result<Found, Error> {
        let mut bytes = [0; HEADER_LEN];
        if !self.read(&mut bytes, at)? {
            return Ok(Found::Broken);
        }
        let header = match Header::parse(bytes) {
            Ok(header) => header,
            Err(NoHeader::Newer) => return Err(Error::Newer),
            Err(NoHeader::Other) => return Ok(Found::Broken),
        };
        let key = self.key.stream(&header.salt())?;
        let mut position = at.saturating_add(to_u64(HEADER_LEN));
        let mut hash = blake3::Hasher::new();
        let (mut length, mut index, mut expected) = (0_u64, 0_u64, Part::Chunk);
        loop {
            let mut mark = [0; MARK_LEN];
            if !self.read(&mut mark, position)? {
                return Ok(Found::Broken);
            }
            let Some((part, plain)) = format::parse_mark(mark) else {
                return Ok(Found::Broken);
            };
            // A trailer comes behind the last chunk and nowhere else.
            if (part == Part::Trailer) != (expected == Part::Trailer) {
                return Ok(Found::Broken);
            }
            let mut body = std::mem::take(&mut self.buffer);
            body.resize(plain.saturating_add(TAG_LEN), 0);
            let read = self.read(&mut body, position.saturating_add(to_u64(MARK_LEN)))?;
            let opened =
                if read { key.open(part, index, header.bytes(), &mut body) } else { Ok(0) };
            self.buffer = body;
            match opened {
                Ok(opened) if opened == plain && read => {}
                Ok(_) | Err(seal::Error::Forged) => return Ok(Found::Broken),
                Err(error) => return Err(error.into()),
            }
            let opened = self.buffer.get(..plain).unwrap_or_default();
            position = position.saturating_add(to_u64(plain.saturating_add(OVERHEAD)));
            index = index.saturating_add(1);
            match part {
                Part::Chunk | Part::Last => {
                    hash.update(opened);
                    length = length.saturating_add(to_u64(plain));
                    if part == Part::Last {
                        expected = Part::Trailer;
                    }
                }
                Part::Trailer => {
                    let digest: [u8; 32] = hash.finalize().into();
                    if format::parse_trailer(opened) != Some((length, digest)) {
                        return Ok(Found::Broken);
                    }
                    let digest = Digest(digest);
                    let blob = Blob { pack: self.number, at, length, digest };
                    return Ok(Found::Whole { blob, end: position });
                }
            }
        }
    }

    /// The next whole blob at or behind `from`.
    fn search(&mut self, mut from: u64, length: u64) -> Result<Option<(Blob, u64)>, Error> {
        let overlap = format::magic().len().saturating_sub(1);
        while from < length {
            let rest = usize::try_from(length.saturating_sub(from)).unwrap_or(usize::MAX);
            let mut window = vec![0; rest.min(WINDOW)];
            if !self.read(&mut window, from)? {
                return Ok(None);
            }
            let places = window.windows(format::magic().len()).enumerate();
            for (place, _) in places.filter(|(_, bytes)| bytes == format::magic()) {
                let found = self.blob(from.saturating_add(to_u64(place)));
                match found {
                    Ok(Found::Whole { blob, end }) => return Ok(Some((blob, end))),
                    // Eight bytes by chance, or what is left of a damaged one.
                    Ok(Found::Broken) | Err(Error::Newer) => {}
                    Err(error) => return Err(error),
                }
            }
            if window.len() < WINDOW {
                return Ok(None);
            }
            from = from.saturating_add(to_u64(window.len().saturating_sub(overlap)));
        }
        Ok(None)
    }

    /// Whether so many bytes are there.
    fn read(&self, bytes: &mut [u8], at: u64) -> Result<bool, Error> {
        match self.file.read_exact_at(bytes, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

const _: () = assert!(WINDOW > CHUNK, "a search makes headway");
