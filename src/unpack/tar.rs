//! TAR archives, in one pass: ustar, the names of GNU and of pax.
//!
//! The `tar` crate reads the headers. Its own iterator takes long names into memory as large as they are
//! declared, so the blocks are walked here.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::Error;
use super::container::{Container, Desk};
use super::intake::{self, Entry};
use super::medium::Medium;
use super::meter::{CHUNK, Meter, Record, Source};

const BLOCK: usize = 512;
/// Long names and pax records of more than this are not what they are for.
const EXTENSION: u64 = 64 << 10;

const CUT: &str = "the archive is incomplete or damaged: the files behind this point were not read; fetch \
                   or copy it again";
const UNENDED: &str = "the archive has no mark at its end; if it was cut there, files are missing: compare with the source";
const UNREAD: &str = "behind the end mark of the archive there is something that is not read; if files are missing, \
                      fetch or copy it again";
const BOMB: &str = "a file of it inflates like a deflate bomb; the files behind it were not read";

pub(super) fn unpack(container: &Container<'_>, desk: &mut Desk<'_, '_>) -> Result<(), Error> {
    let (mut source, record) = Source::new(container.reader()?);
    if let Some(Stop::Behind) = unpack_stream(container, &mut source, &record, desk)? {
        container.remark(desk.ledger, CUT);
    }
    Ok(())
}

/// What the records in front of an entry say about it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Where the walk ended before its time.
pub(super) enum Stop {
    Cut,
    Unended,
    Bomb,
    /// Something else follows the mark at the end.
    Unread,
    /// What follows the mark at the end could not be read.
    Behind,
}

/// Tells where it stopped before the end; that has been remarked on, but for [`Stop::Behind`].
pub(super) fn unpack_stream(
    container: &Container<'_>,
    reader: &mut dyn Read,
    record: &Record,
    desk: &mut Desk<'_, '_>,
) -> Result<Option<Stop>, Error> {
    let first = desk.ledger.found.instances.len();
    let mut medium = Medium::default();
    let stop = walk(container, reader, record, &mut medium, desk)?;
    record.check()?;
    match &stop {
        None | Some(Stop::Behind) => {}
        Some(Stop::Cut) => container.remark(desk.ledger, CUT),
        Some(Stop::Unended) => container.remark(desk.ledger, UNENDED),
        Some(Stop::Bomb) => container.remark(desk.ledger, BOMB),
        Some(Stop::Unread) => container.remark(desk.ledger, UNREAD),
    }
    desk.ledger.close(medium, first);
    Ok(stop)
}

fn walk(
    container: &Container<'_>,
    reader: &mut dyn Read,
    record: &Record,
    medium: &mut Medium,
    desk: &mut Desk<'_, '_>,
) -> Result<Option<Stop>, Error> {
    let mut extended = Extended::default();
    let limit = desk.budget.limits.entry_bytes;
    // A block of zeros marks the end. Archives that were put one behind the other go on there, and so does one
    // in which a block was lost.
    let mut is_behind = false;
    loop {
        if desk.budget.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut block = [0; BLOCK];
        let filled = fill(reader, &mut block);
        let is_blank = block.iter().all(|byte| *byte == 0);
        match filled {
            Ok(BLOCK) => {}
            Ok(_) if is_behind => return Ok((!is_blank).then_some(Stop::Unread)),
            Err(_) if is_behind => return Ok(Some(Stop::Behind)),
            Ok(0) => return Ok(Some(Stop::Unended)),
            Ok(_) | Err(_) => return Ok(Some(Stop::Cut)),
        }
        if is_blank {
            // Zeros may go on for long, and a name in front of them belongs to nothing behind them.
            let fault = desk.budget.count(512);
            if let Some(error) = fault.and_then(|fault| desk.budget.broken(fault)) {
                return Err(error);
            }
            (is_behind, extended) = (true, Extended::default());
            continue;
        }
        let header = Header::from_byte_slice(&block);
        if !is_sound(header, &block) {
            return Ok(Some(if is_behind { Stop::Unread } else { Stop::Cut }));
        }
        is_behind = false;
        let Ok(declared) = header.entry_size() else {
            return Ok(Some(Stop::Cut));
        };
        let kind = header.entry_type();
        if matches!(kind, EntryType::XHeader | EntryType::GNULongName) {
            let Some(bytes) = extension(reader, declared) else {
                return Ok(Some(Stop::Cut));
            };
            if kind == EntryType::XHeader {
                pax(&bytes, &mut extended);
            } else {
                let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                extended.name = Some(name.to_vec());
            }
            continue;
        }
        let Extended { name, size } = std::mem::take(&mut extended);
        let size = size.unwrap_or(declared);
        let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = container.name_of(&String::from_utf8_lossy(&name));
        let reason = match kind {
            EntryType::Regular | EntryType::Continuous if size > limit => {
                Some(format!("larger than the limit of {limit} bytes (unpack.entry-bytes)"))
            }
            EntryType::Regular | EntryType::Continuous => None,
            EntryType::Directory | EntryType::XGlobalHeader | EntryType::GNULongLink => {
                Some(String::new())
            }
            EntryType::Symlink | EntryType::Link => {
                Some("a link to another file; links are not followed".to_owned())
            }
            EntryType::GNUSparse => {
                Some("stored with holes; unpack it by hand and import the files".to_owned())
            }
            _ => Some("no file but a device or something unknown".to_owned()),
        };
        let mut data = reader.take(size);
        if let Some(reason) = reason {
            if !reason.is_empty() {
                medium.saw(&name);
                desk.ledger.set_aside(name.shown().to_owned(), reason);
            }
        } else {
            desk.budget.list(1)?;
            medium.saw(&name);
            let mut meter = Meter::new(&mut data, desk.budget, record);
            let entry = Entry { name: &name, declared: size, level: container.level };
            let outcome = intake::take_in(&entry, &mut meter, desk.pack.spool, desk.pack.open()?)?;
            let is_bomb = meter.fault().is_some();
            drop(meter);
            container.enter(&name, outcome, medium, desk)?;
            if is_bomb {
                return Ok(Some(Stop::Bomb));
            }
        }
        let padding = size.wrapping_neg() % 512;
        let rest = data.limit().saturating_add(padding);
        let skipped = desk.budget.skip(reader, rest)?;
        if skipped < rest {
            return Ok(Some(Stop::Cut));
        }
    }
}

/// Reads a block, less only at the end.
fn fill(reader: &mut dyn Read, block: &mut [u8; BLOCK]) -> io::Result<usize> {
    let mut length = 0_usize;
    while let Some(rest) = block.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => length = length.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Holds the header against its checksum, which counts its own field as spaces.
fn is_sound(header: &Header, block: &[u8; BLOCK]) -> bool {
    let sum: u32 = (0_usize..)
        .zip(block)
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .fold(0, u32::saturating_add);
    header.cksum().is_ok_and(|declared| declared == sum)
}

/// The data of a record in front of an entry, with its padding; `None` if it is too long or cut.
fn extension(reader: &mut dyn Read, declared: u64) -> Option<Vec<u8>> {
    if declared > EXTENSION {
        return None;
    }
    let mut bytes = Vec::new();
    reader.take(declared.next_multiple_of(512)).read_to_end(&mut bytes).ok()?;
    let length = usize::try_from(declared).ok()?;
    (bytes.len() >= length).then(|| {
        bytes.truncate(length);
        bytes
    })
}

/// Records "LENGTH KEY=VALUE\n", of which path and size matter.
fn pax(mut bytes: &[u8], extended: &mut Extended) {
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let length = bytes.get(..space).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(length) = length.and_then(|digits| digits.parse::<usize>().ok()) else {
            return;
        };
        let Some(record) = bytes.get(space.saturating_add(1)..length) else {
            return;
        };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if let Some(path) = record.strip_prefix(b"path=") {
            extended.name = Some(path.to_vec());
        } else if let Some(size) = record.strip_prefix(b"size=") {
            extended.size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok());
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
}

impl super::meter::Budget<'_> {
    /// Reads over `length` bytes, which count; yields how many there were.
    pub(super) fn skip(&self, reader: &mut dyn Read, length: u64) -> Result<u64, Error> {
        let mut chunk = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
        let mut left = length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(CHUNK).min(chunk.len());
            let Ok(read) = reader.read(chunk.get_mut(..wanted).unwrap_or_default()) else {
                break;
            };
            if read == 0 {
                break;
            }
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            left = left.saturating_sub(read);
            if let Some(error) = self.count(read).and_then(|fault| self.broken(fault)) {
                return Err(error);
            }
        }
        Ok(length.saturating_sub(left))
    }
}
