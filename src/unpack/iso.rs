//! Disc images by ISO 9660 (ECMA-119), with the names of Joliet and Rock Ridge.
//!
//! No maintained crate reads them from a stream with bounds. Both trees of an image are walked, and a file
//! that both list is read once: what only one of them shows is not lost. Invariant: depth, paths, records and
//! the size of folders are bounded, and no folder is read twice, so a tree that bites its tail ends.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

use super::Error;
use super::container::{Container, Desk};
use super::intake::{self, Entry};
use super::medium::Medium;
use super::meter::{Budget, Meter, Source};
use crate::spool::BlobReader;

const SECTOR: u64 = 2048;
/// The first volume descriptor.
const DESCRIPTORS_AT: u64 = 16;
/// Descriptors that are looked at; discs have three or four.
const DESCRIPTORS: u64 = 32;
/// ISO 9660 allows 8 levels, Rock Ridge and careless writers more.
const DEPTH: usize = 32;
/// A folder of this size lists more files than the limit of an import.
const FOLDER: u64 = 16 << 20;
/// Bytes of a folder's path. Rock Ridge ends at 1,023, ISO 9660 and Joliet far before.
const PATH: usize = 4 << 10;
/// Pieces of one file: each holds up to 4 GiB.
const PIECES: usize = 64;

const DAMAGED: &str =
    "a disc image with a damaged table of contents; the files that could be found were read";

const EMPTY: &str = "the disc image is empty";
/// No library that is kept up reads UDF from a stream within bounds.
const UDF: &str =
    "a disc image in UDF format, which is not read here; mount the disc and import its folder";

/// Marks of a first descriptor: ISO 9660 (ECMA-119 8.1.2), and an image that has UDF alone (ECMA-167 2/9.2).
const MARKS: [&[u8; 5]; 2] = [b"CD001", b"BEA01"];

/// Whether a descriptor stands where every image has its first.
pub(super) fn is_image(reader: &mut BlobReader) -> Result<bool, Error> {
    Ok(mark(reader)?.is_some_and(|mark| MARKS.contains(&&mark)))
}

fn mark(reader: &mut BlobReader) -> Result<Option<[u8; 5]>, Error> {
    if reader.length() < (DESCRIPTORS_AT + 2) * SECTOR {
        return Ok(None);
    }
    let mut mark = [0; 5];
    reader.seek(SeekFrom::Start(DESCRIPTORS_AT * SECTOR + 1)).map_err(Error::Read)?;
    reader.read_exact(&mut mark).map_err(Error::Read)?;
    Ok(Some(mark))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// ASCII, or Rock Ridge's where there are any.
    Plain,
    /// UCS-2.
    Joliet,
}

struct Folder {
    at: u64,
    length: u64,
    /// The path of the folder that it lies in: shared, so that many that wait take little memory.
    parent: Rc<str>,
    /// With its slash; empty at the root.
    name: String,
    depth: usize,
}

impl Folder {
    fn path(&self) -> Rc<str> {
        format!("{}{}", self.parent, self.name).into()
    }
}

struct Listed {
    /// Without the folder.
    name: String,
    /// Where its pieces lie and how long they are.
    pieces: Vec<(u64, u64)>,
}

pub(super) fn unpack(container: &Container<'_>, desk: &mut Desk<'_, '_>) -> Result<(), Error> {
    let first = desk.ledger.found.instances.len();
    let mut medium = Medium::default();
    let (mut contents, record) = Source::new(container.reader()?);
    let mut image = Image {
        reader: container.reader()?,
        folders: HashSet::new(),
        left: 0,
        files: HashSet::new(),
        whole: true,
        has_udf: false,
    };
    if mark(&mut image.reader)? == Some(*b"BEA01") {
        container.remark(desk.ledger, UDF);
        return Ok(());
    }
    let roots = image.roots()?;
    let mut is_empty = true;
    image.whole = !roots.is_empty();
    for (names, root) in roots {
        let mut folders = vec![root];
        image.folders.clear();
        image.left = image.reader.length();
        while let Some(folder) = folders.pop() {
            if desk.budget.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let path = folder.path();
            for file in image.list(&folder, &path, names, &mut folders, desk.budget)? {
                if desk.budget.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                is_empty = false;
                let name = container.name_of(&format!("{path}{}", file.name));
                medium.saw(&name);
                if file.pieces.iter().any(|(_, length)| *length > 0)
                    && !image.files.insert(file.pieces.clone())
                {
                    continue;
                }
                let declared = file.pieces.iter().map(|(_, length)| *length).sum();
                let mut data = Pieces { source: &mut contents, pieces: file.pieces, left: 0 };
                let mut meter = Meter::new(&mut data, desk.budget, &record);
                let entry = Entry { name: &name, declared, level: container.level };
                let outcome =
                    intake::take_in(&entry, &mut meter, desk.pack.spool, desk.pack.open()?)?;
                drop(meter);
                record.check()?;
                container.enter(&name, outcome, &mut medium, desk)?;
            }
        }
    }
    let is_elsewhere = image.has_udf && desk.ledger.found.instances.len() == first;
    match (image.whole, is_empty) {
        (false, _) => container.remark(desk.ledger, DAMAGED),
        (true, true) if !is_elsewhere => container.remark(desk.ledger, EMPTY),
        (true, _) => {}
    }
    if is_elsewhere {
        container.remark(desk.ledger, UDF);
    }
    desk.ledger.close(medium, first);
    Ok(())
}

struct Image {
    reader: BlobReader,
    /// Folders of the tree that is walked, by their sector.
    folders: HashSet<u64>,
    /// Bytes that the folders of this tree may still hold: none overlaps another, so together they are no longer
    /// than the image. Folders that lie one over the other would let a small image be read for hours.
    left: u64,
    files: HashSet<Vec<(u64, u64)>>,
    whole: bool,
    /// Whether there is a UDF tree beside those that are walked; on a bridge disc it lists the same files.
    has_udf: bool,
}

impl Image {
    /// The trees of the image, the one with the better names first.
    fn roots(&mut self) -> Result<Vec<(Names, Folder)>, Error> {
        let mut roots = Vec::new();
        let mut is_over = false;
        for number in DESCRIPTORS_AT..DESCRIPTORS_AT + DESCRIPTORS {
            let Some(sector) = self.read(number.saturating_mul(SECTOR), SECTOR)? else {
                break;
            };
            match sector.get(1..6) {
                Some(b"CD001") if !is_over => {}
                // Behind the end of the ISO descriptors those of UDF begin (ECMA-167 2/8.3).
                Some(b"BEA01" | b"BOOT2" | b"CD001") => continue,
                Some(b"NSR02" | b"NSR03") => {
                    self.has_udf = true;
                    break;
                }
                _ => break,
            }
            let names = match sector.first() {
                Some(1) => Names::Plain,
                Some(2) => match sector.get(88..91) {
                    Some(b"%/@" | b"%/C" | b"%/E") => Names::Joliet,
                    _ => continue,
                },
                Some(255) => {
                    is_over = true;
                    continue;
                }
                _ => continue,
            };
            let record = sector.get(156..190).and_then(Record::parse);
            let block =
                sector.get(128..130).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes);
            match (record, block) {
                (Some(record), Some(2048)) => {
                    let folder = Folder {
                        at: record.at,
                        length: record.length,
                        parent: Rc::from(""),
                        name: String::new(),
                        depth: 0,
                    };
                    roots.push((names, folder));
                }
                _ => self.whole = false,
            }
        }
        roots.sort_by_key(|(names, _)| *names == Names::Plain);
        Ok(roots)
    }

    /// Whether a piece of a file is there as a whole; what is empty may lie anywhere.
    fn holds(&self, (at, length): (u64, u64)) -> bool {
        length == 0 || at.saturating_add(length) <= self.reader.length()
    }

    /// `None` if the image ends before.
    fn read(&mut self, at: u64, length: u64) -> Result<Option<Vec<u8>>, Error> {
        if at.saturating_add(length) > self.reader.length() {
            return Ok(None);
        }
        self.reader.seek(SeekFrom::Start(at)).map_err(Error::Read)?;
        let mut bytes = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut bytes).map_err(Error::Read)?;
        Ok(Some(bytes))
    }

    /// The files of one folder; its folders join `folders`. Both count while they are read, so that neither list
    /// outgrows the limit.
    fn list(
        &mut self,
        folder: &Folder,
        path: &Rc<str>,
        names: Names,
        folders: &mut Vec<Folder>,
        budget: &Budget<'_>,
    ) -> Result<Vec<Listed>, Error> {
        let mut files: Vec<Listed> = Vec::new();
        let longest = FOLDER.min(self.left);
        if !self.folders.insert(folder.at) || folder.depth > DEPTH || folder.length > longest {
            self.whole = false;
            return Ok(files);
        }
        let Some(bytes) = self.read(folder.at, folder.length)? else {
            self.whole = false;
            return Ok(files);
        };
        self.left = self.left.saturating_sub(folder.length);
        let mut goes_on = false;
        // A record never crosses the end of a sector; zeros fill what is left of it.
        for sector in bytes.chunks(2048) {
            let mut rest = sector;
            while let Some(length) = rest.first().map(|length| usize::from(*length)) {
                if length == 0 {
                    break;
                }
                let Some((bytes, behind)) = rest.split_at_checked(length) else {
                    self.whole = false;
                    break;
                };
                rest = behind;
                let Some(record) = Record::parse(bytes) else {
                    self.whole = false;
                    continue;
                };
                if matches!(record.name, [0] | [1]) {
                    continue;
                }
                let name = record.shown(names);
                if record.is_folder() {
                    budget.list(1)?;
                    if path.len().saturating_add(name.len()) >= PATH {
                        self.whole = false;
                        continue;
                    }
                    folders.push(Folder {
                        at: record.at,
                        length: record.length,
                        parent: Rc::clone(path),
                        name: format!("{name}/"),
                        depth: folder.depth.saturating_add(1),
                    });
                    continue;
                }
                let piece = (record.at, record.length);
                match files.last_mut() {
                    Some(file) if goes_on && file.pieces.len() < PIECES => file.pieces.push(piece),
                    _ => {
                        budget.list(1)?;
                        files.push(Listed { name, pieces: vec![piece] });
                    }
                }
                goes_on = record.goes_on();
                self.whole &= !record.is_interleaved() && self.holds(piece);
            }
        }
        Ok(files)
    }
}

/// A directory record (ECMA-119 9.1).
struct Record<'a> {
    /// In bytes from the start of the image.
    at: u64,
    length: u64,
    flags: u8,
    interleaved: bool,
    name: &'a [u8],
    system_use: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let number = |from: usize| {
            let bytes = bytes.get(from..)?.first_chunk()?;
            Some(u64::from(u32::from_le_bytes(*bytes)))
        };
        let attributes = u64::from(*bytes.get(1)?);
        let at = number(2)?.saturating_add(attributes).saturating_mul(SECTOR);
        let length = usize::from(*bytes.get(32)?);
        if length == 0 {
            return None;
        }
        let (name, behind) = bytes.get(33..)?.split_at_checked(length)?;
        // A byte of padding follows a name of even length.
        let system_use = behind.get(usize::from(length % 2 == 0)..).unwrap_or_default();
        let interleaved = *bytes.get(26)? != 0 || *bytes.get(27)? != 0;
        Some(Self {
            at,
            length: number(10)?,
            flags: *bytes.get(25)?,
            interleaved,
            name,
            system_use,
        })
    }

    fn is_folder(&self) -> bool {
        self.flags & 2 != 0
    }

    fn goes_on(&self) -> bool {
        self.flags & 0x80 != 0
    }

    fn is_interleaved(&self) -> bool {
        self.interleaved
    }

    fn shown(&self, names: Names) -> String {
        let name = match names {
            Names::Joliet => {
                let units = self.name.chunks_exact(2);
                let units = units.map(|unit| unit.try_into().map_or(0, u16::from_be_bytes));
                String::from_utf16_lossy(&units.collect::<Vec<_>>())
            }
            Names::Plain => match self.rock_ridge() {
                Some(name) => return name,
                None => String::from_utf8_lossy(self.name).into_owned(),
            },
        };
        let name = name.split(';').next().unwrap_or_default();
        name.strip_suffix('.').unwrap_or(name).to_owned()
    }

    /// The alternate name (NM) in the system use area, if it is whole.
    fn rock_ridge(&self) -> Option<String> {
        let mut rest = self.system_use;
        let mut name = Vec::new();
        while let Some(&[a, b, length, _version]) = rest.first_chunk() {
            let (entry, behind) = rest.split_at_checked(usize::from(length).max(4))?;
            if [a, b] == *b"NM" {
                name.extend_from_slice(entry.get(5..)?);
            }
            rest = behind;
        }
        (!name.is_empty()).then(|| String::from_utf8_lossy(&name).into_owned())
    }
}

/// The bytes of a file, piece after piece.
struct Pieces<'a> {
    source: &'a mut Source<BlobReader>,
    /// Those that are not begun.
    pieces: Vec<(u64, u64)>,
    left: u64,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.left == 0 {
            if self.pieces.is_empty() {
                return Ok(0);
            }
            let (at, length) = self.pieces.remove(0);
            self.source.seek(SeekFrom::Start(at))?;
            self.left = length;
        }
        let read = self.source.by_ref().take(self.left).read(buf)?;
        if read == 0 {
            // The image ends before the file does: what was declared does not come.
            self.pieces.clear();
            self.left = 0;
        }
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}
