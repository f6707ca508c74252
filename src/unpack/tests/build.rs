//! Archives and objects with every byte under control.

use std::io::{Read, Write};
use std::sync::atomic::AtomicU64;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::import::{File, ImportId};
use crate::seal::Vault;
use crate::spool::{ImportSpool, Spool};
use crate::unpack::{Error, Limits, ScanSection, Terms, Unpacked, unpack};

/// A spool of its own for one test.
pub(super) struct World {
    dir: TempDir,
    pub(super) spool: ImportSpool,
    pub(super) limits: Limits,
    pub(super) scan: ScanSection,
    pub(super) password: Option<String>,
    pub(super) cancel: CancellationToken,
    pub(super) seen: AtomicU64,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let vault = Vault::open_or_create(&keys, &dir.path().join("master.key")).unwrap();
        let packs = dir.path().join("spool");
        std::fs::create_dir(&packs).unwrap();
        let spool = Spool::open(&packs, vault).unwrap().create(ImportId::new()).unwrap();
        let (limits, cancel) = (Limits::default(), CancellationToken::new());
        let (scan, password) = (ScanSection::default(), None);
        Self { dir, spool, limits, scan, password, cancel, seen: AtomicU64::new(0) }
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> File {
        let mut pack = self.spool.pack().unwrap();
        let blob = pack.append(&mut &*bytes, u64::MAX).unwrap();
        pack.sync().unwrap();
        File { name: name.to_owned(), blob }
    }

    pub(super) fn unpack(&self, files: &[File]) -> Result<Unpacked, Error> {
        let (limits, scan, password) = (&self.limits, &self.scan, self.password.as_deref());
        let terms = Terms { limits, scan, password };
        unpack(&self.spool, files, &terms, &self.cancel, &self.seen)
    }

    pub(super) fn unpack_one(&self, name: &str, bytes: &[u8]) -> Result<Unpacked, Error> {
        self.unpack(&[self.put(name, bytes)])
    }

    pub(super) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Bytes that lie in the spool.
    pub(super) fn packs(&self) -> u64 {
        self.spool.spool().usage().unwrap().used
    }

    pub(super) fn bytes(&self, blob: &crate::import::Blob) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.spool.read(blob).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// Reasons of the files set aside, with their names.
pub(super) fn aside(unpacked: &Unpacked) -> Vec<(&str, &str)> {
    unpacked.set_aside.iter().map(|file| (file.name.as_str(), file.reason.as_str())).collect()
}

pub(super) fn reason_of<'a>(unpacked: &'a Unpacked, name: &str) -> &'a str {
    let found = unpacked.set_aside.iter().find(|file| file.name == name);
    found.map(|file| file.reason.as_str()).unwrap_or_else(|| panic!("{name} is not set aside"))
}

pub(super) fn element(group: u16, number: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(group.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(vr);
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == b"UI" || vr == b"OB" { 0 } else { b' ' });
    }
    if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN") {
        bytes.extend([0, 0]);
        bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    } else {
        bytes.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

pub(super) fn instance_uid(number: u32) -> String {
    format!("1.2.276.0.7230010.3.1.4.{number}")
}

/// File meta group without preamble.
pub(super) fn meta(class: &str, instance: &str) -> Vec<u8> {
    let rest = [
        element(2, 1, b"OB", &[0, 1]),
        element(2, 2, b"UI", class.as_bytes()),
        element(2, 3, b"UI", instance.as_bytes()),
        element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1"),
    ]
    .concat();
    let length = u32::try_from(rest.len()).unwrap();
    [element(2, 0, b"UL", &length.to_le_bytes()), rest].concat()
}

/// A Secondary Capture of 8 x 8 pixels.
pub(super) fn data_set(number: u32) -> Vec<u8> {
    [
        element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.7"),
        element(8, 0x18, b"UI", instance_uid(number).as_bytes()),
        element(8, 0x60, b"CS", b"OT"),
        element(0x10, 0x10, b"PN", b"BEISPIEL^OTTO"),
        element(0x10, 0x20, b"LO", b"4711"),
        element(0x20, 0x0d, b"UI", b"1.2.276.0.7230010.3.1.2.1"),
        element(0x20, 0x0e, b"UI", b"1.2.276.0.7230010.3.1.3.1"),
        element(0x7fe0, 0x10, b"OW", &[7; 128]),
    ]
    .concat()
}

/// The same as a Part 10 file.
pub(super) fn object(number: u32) -> Vec<u8> {
    let meta = meta("1.2.840.10008.5.1.4.1.1.7", &instance_uid(number));
    [vec![0; 128], b"DICM".to_vec(), meta, data_set(number)].concat()
}

/// A DICOMDIR that lists these instances under these file IDs; offsets are not filled in, as nobody follows
/// them.
pub(super) fn directory(listed: &[(u32, &str)]) -> Vec<u8> {
    let item = |elements: Vec<u8>| {
        let length = u32::try_from(elements.len()).unwrap();
        [b"\xfe\xff\x00\xe0".to_vec(), length.to_le_bytes().to_vec(), elements].concat()
    };
    let mut items = item(element(4, 0x1430, b"CS", b"PATIENT"));
    for (number, id) in listed {
        items.extend(item(
            [
                element(4, 0x1430, b"CS", b"IMAGE"),
                element(4, 0x1500, b"CS", id.as_bytes()),
                element(4, 0x1510, b"UI", b"1.2.840.10008.5.1.4.1.1.7"),
                element(4, 0x1511, b"UI", instance_uid(*number).as_bytes()),
            ]
            .concat(),
        ));
    }
    let meta = meta("1.2.840.10008.1.3.10", "1.2.276.0.7230010.3.1.4.999");
    let records = [element(4, 0x1130, b"CS", b"TEST"), element(4, 0x1220, b"SQ", &items)].concat();
    [vec![0; 128], b"DICM".to_vec(), meta, records].concat()
}

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// An entry as it is written, true or not.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) name: Vec<u8>,
    pub(super) method: u16,
    pub(super) flags: u16,
    pub(super) crc: u32,
    pub(super) size: u32,
    pub(super) compressed: u32,
    pub(super) attributes: u32,
    pub(super) bytes: Vec<u8>,
    /// Where the table of contents says that it begins, if not where it does.
    pub(super) at: Option<u32>,
}

pub(super) fn stored(name: &str, bytes: &[u8]) -> Raw {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let size = u32::try_from(bytes.len()).unwrap();
    Raw {
        name: name.as_bytes().to_vec(),
        method: STORED,
        flags: 0,
        crc: crc.sum(),
        size,
        compressed: size,
        attributes: 0,
        bytes: bytes.to_vec(),
        at: None,
    }
}

pub(super) fn deflated(name: &str, bytes: &[u8]) -> Raw {
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    let small = encoder.finish().unwrap();
    let compressed = u32::try_from(small.len()).unwrap();
    Raw { method: DEFLATED, bytes: small, compressed, ..stored(name, bytes) }
}

/// Where things of an archive are.
pub(super) struct Zip {
    pub(super) bytes: Vec<u8>,
    /// Where the table of contents begins.
    pub(super) directory: usize,
}

pub(super) fn zip(entries: &[Raw]) -> Vec<u8> {
    zip_parts(entries, entries.len()).bytes
}

/// `counted`: how many entries the end record claims.
pub(super) fn zip_parts(entries: &[Raw], counted: usize) -> Zip {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    for entry in entries {
        let at = entry.at.unwrap_or_else(|| u32::try_from(bytes.len()).unwrap());
        let mut common = Vec::new();
        for number in [20, entry.flags, entry.method, 0, 0x21] {
            common.extend(number.to_le_bytes());
        }
        for number in [entry.crc, entry.compressed, entry.size] {
            common.extend(number.to_le_bytes());
        }
        common.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        if entry.at.is_none() {
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&common);
            bytes.extend(&entry.name);
            bytes.extend(&entry.bytes);
        }
        // Made by Unix, so that the attributes hold a mode.
        list.extend(b"PK\x01\x02\x14\x03");
        list.extend(&common);
        list.extend([0; 6]);
        list.extend(entry.attributes.to_le_bytes());
        list.extend(at.to_le_bytes());
        list.extend(&entry.name);
    }
    let directory = bytes.len();
    let listed = u32::try_from(list.len()).unwrap();
    bytes.extend(list);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let counted = u16::try_from(counted).unwrap();
    bytes.extend(counted.to_le_bytes());
    bytes.extend(counted.to_le_bytes());
    bytes.extend(listed.to_le_bytes());
    bytes.extend(u32::try_from(directory).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    Zip { bytes, directory }
}
